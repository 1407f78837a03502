"""What the portal says by itself comes once, comes at all, and never decides: over simulated years,
outages, crashes and two schedulers at the same moment."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock
from portal.accounts import notices
from portal.accounts.models import Partner, User
from portal.accounts.notices import Notice, NoticeBundle
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import checks, policy, record, reminders, service
from portal.deals.models import Deal, DealHistory, DealReminder, Protection
from portal.deals.pipeline import UNDECIDED
from portal.deals.policy import Calendar, Terms
from portal.deals.record import Given
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, deal, register
from tests.deals.test_policy import CALENDARS, MOMENTS, ZONES, berlin, set_rules
from tests.deals.test_queue import MONDAY, manage, told
from tests.factories import make_family
from tests.mailbox import deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import ada, anna, jonas, kuehn, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


# What is drawn takes no time; a busy machine may stop anywhere.
BUSY = [HealthCheck.too_slow]

# --- the decision clock ---------------------------------------------------------------------------


@given(MOMENTS, st.integers(1, 60), st.integers(1, 99), CALENDARS, ZONES)
@settings(max_examples=40, suppress_health_check=BUSY)
def test_steps_come_in_order_and_the_last_one_is_when_the_decision_is_due(
    begun: datetime, hours: int, percent: int, calendar: Calendar, zone: ZoneInfo
) -> None:
    terms = Terms(decision_hours=hours, calendar=calendar, remind_percent=percent)
    first, last = (policy.reached_at(begun, step, terms, zone) for step in (percent, 100))
    assert begun <= first <= last == policy.decision_due(begun, terms, zone)
    used = policy.business_time(begun, first, calendar, zone)
    assert used == timedelta(hours=hours) * percent / 100
    # What is left falls as business time passes, and is nothing when it is due.
    assert policy.time_left(first, last, calendar, zone) == timedelta(hours=hours) - used
    assert policy.time_left(last, last, calendar, zone) == timedelta()
    assert policy.time_left(last + DAY * 7, last, calendar, zone) < timedelta()


@given(MOMENTS, st.lists(st.integers(1, 60 * 24 * 5), min_size=2, max_size=6), ZONES)
@settings(max_examples=40, suppress_health_check=BUSY)
def test_the_clock_stands_while_the_partner_has_the_ball(
    start: datetime, minutes: list[int], zone: ZoneInfo
) -> None:
    """Moves alternate: submitted, returned, sent again, ...; only the vendor's time counts."""
    terms, at, moves, waited = Terms(decision_hours=200), start, [], timedelta()
    for number, length in enumerate(minutes):
        name = ("submit" if number == 0 else "resubmit") if number % 2 == 0 else "ask"
        moves.append((at, name, "in_review" if number % 2 == 0 else "returned"))
        after = at + timedelta(minutes=length)
        if number % 2 == 0:
            waited += policy.business_time(at, after, terms.calendar, zone)
        at = after
    found = reminders.decision_clock(moves, terms, zone)
    if len(minutes) % 2 == 0:
        assert found is None
        return
    assert found is not None
    last = policy.business_time(found.begun, at, terms.calendar, zone)
    assert found.used + last == waited
    assert found.round == (len(minutes) + 1) // 2
    due = policy.reached_at(found.begun, 100, terms, zone, found.used)
    total = found.used + policy.business_time(found.begun, due, terms.calendar, zone)
    assert total == max(timedelta(hours=200), found.used)


# --- decisions ------------------------------------------------------------------------------------


def test_the_vendor_is_reminded_at_three_quarters_and_at_the_end(browse: Browse) -> None:
    ada(), otto()
    manage(kuehn(), anna())
    with clock.at(berlin(2026, 11, 17, 14)):
        key = register(browse, lena())
    # Twelve of sixteen hours: Thursday 10:00; due at 14:00, before the next daily mail.
    for at, expected in (
        (berlin(2026, 11, 19, 9, 59), 0),
        (berlin(2026, 11, 19, 10), 1),
        (berlin(2026, 11, 19, 13, 59), 0),
        (berlin(2026, 11, 19, 14), 1),
        (berlin(2026, 11, 25, 14), 0),
    ):
        with clock.at(at):
            assert reminders.remind_decisions(clock.now()) == expected, at
    rows = db.session.execute(select(Notice.kind, Notice.user_id, Notice.urgent))
    assert Counter((row.kind, row.urgent) for row in rows) == {
        ("deal_submitted", False): 1, ("decision_due", True): 1, ("decision_late", True): 3,
    }  # fmt: skip
    assert told("decision_due") == [anna().id]
    assert told("decision_late") == sorted([anna().id, otto().id, ada().id])
    # However late: nobody approves but a person.
    assert deal(key).status == "submitted"
    with mailbox(browse(None).application) as box:
        deliver_daily(0)
    assert "the decision was due on Thu 19 Nov 2026, 14:00" in mail_text(box.to(otto().email)[0])
    assert len(box.to(otto().email)) == 1


def test_a_reminder_that_can_wait_for_the_morning_does(browse: Browse) -> None:
    manage(kuehn(), anna())
    with clock.at(berlin(2026, 11, 16, 10)):
        register(browse, lena())
    # Twelve hours: Tuesday 14:00; due on Wednesday at 10:00, after the daily mail.
    with clock.at(berlin(2026, 11, 17, 14)):
        assert reminders.remind_decisions(clock.now()) == 1
        assert db.session.scalars(select(Notice.urgent)).all() == [False, False]


def test_escalation_goes_to_whom_the_rules_name(browse: Browse) -> None:
    ada(), otto()
    manage(kuehn(), anna())
    cases: list[tuple[str, list[User]]] = [
        ("admins", [ada()]), ("managers", [otto()]), ("", []),
    ]  # fmt: skip
    for number, (who, told_of) in enumerate(cases):
        with clock.at(MONDAY + timedelta(minutes=number)):
            set_rules(browse, escalate_to=who, decision_hours="8")
            register(browse, lena(), customer_name=f"For {who}", domain="")
        with clock.at(MONDAY + timedelta(days=2)):
            reminders.remind_decisions(clock.now())
            reached = told("decision_late")
        assert reached == sorted([anna().id, *(person.id for person in told_of)])
        with write() as session:
            session.query(Notice).delete()
        db.session.rollback()


def test_after_an_outage_only_the_last_step_is_told(browse: Browse) -> None:
    register(browse, lena())
    with clock.at(clock.now() + timedelta(days=20)):
        assert reminders.remind_decisions(clock.now()) == 1
    rows = db.session.scalars(select(DealReminder).order_by(DealReminder.step)).all()
    assert [(row.step, row.sent_at is not None) for row in rows] == [(75, False), (100, True)]


def ticks(days: list[tuple[int, int]], *times: tuple[int, int]) -> list[datetime]:
    """When a scheduler looks that runs at some times of some days of 2026 (day, month)."""
    return [berlin(2026, month, day, *at) for day, month in days for at in times]


@pytest.mark.parametrize(
    ("submitted", "looks", "told_at"),
    [
        # Good Friday and Easter Monday of 2026 are 3 and 6 April: from Thursday 15:00 on two hours,
        # Tuesday eight, Wednesday two are twelve; due on Wednesday at 15:00.
        (
            berlin(2026, 4, 2, 15),
            ticks([(2, 4), (3, 4), (4, 4), (6, 4), (7, 4), (8, 4)], (8, 0), (12, 0), (20, 0)),
            [(berlin(2026, 4, 8, 12), "decision_due"), (berlin(2026, 4, 8, 20), "decision_late")],
        ),
        # The scheduler sleeps at night and at weekends: Thursday 15:00 is two, Friday eight,
        # Monday two hours; it is looked at on Tuesday morning, when the time is over.
        (
            berlin(2026, 11, 19, 15),
            ticks([(19, 11), (20, 11), (24, 11)], (9, 0), (16, 0)),
            [(berlin(2026, 11, 24, 9), "decision_late")],
        ),
        # Every twenty minutes through a night and a weekend, nothing is told but at its time.
        (
            berlin(2026, 11, 19, 15),
            [berlin(2026, 11, 20, 16) + timedelta(minutes=20 * n) for n in range(240)],
            [
                (berlin(2026, 11, 23, 11), "decision_due"),
                (berlin(2026, 11, 23, 15), "decision_late"),
            ],
        ),
    ],
)
def test_reminders_know_holidays_and_a_scheduler_that_sleeps(
    browse: Browse,
    submitted: datetime,
    looks: list[datetime],
    told_at: list[tuple[datetime, str]],
) -> None:
    manage(kuehn(), anna())
    with clock.at(submitted):
        register(browse, lena(), first_contact="2026-03-31")
    for at in sorted(looks):
        if at > submitted:
            with clock.at(at):
                reminders.remind_decisions(clock.now())
    rows = db.session.execute(select(Notice.created_at, Notice.kind).order_by(Notice.created_at))
    assert [(at, kind) for at, kind in rows if kind != "deal_submitted"] == told_at


def test_a_clock_that_is_set_back_tells_nothing_twice_and_forgets_nothing(browse: Browse) -> None:
    manage(kuehn(), anna())
    with clock.at(berlin(2026, 11, 17, 14)):
        key = register(browse, lena())
    steps = (
        (berlin(2026, 11, 19, 10), 1), (berlin(2026, 11, 19, 9, 30), 0),
        (berlin(2026, 11, 18, 10), 0), (berlin(2026, 11, 19, 10, 30), 0),
        (berlin(2026, 11, 19, 14), 1), (berlin(2026, 11, 19, 12), 0),
        (berlin(2026, 11, 16, 9), 0), (berlin(2026, 11, 20, 9), 0),
    )  # fmt: skip
    for at, expected in steps:
        with clock.at(at):
            assert reminders.remind_decisions(clock.now()) == expected, at
    # The same of a reservation: 90 days from Thursday 19 November end with 17 February.
    with clock.at(berlin(2026, 11, 19, 15)):
        approve(browse, key)
    for at, expected in (
        (berlin(2027, 1, 18, 23), 0), (berlin(2027, 1, 19, 0), 1), (berlin(2027, 1, 18, 20), 0),
        (berlin(2027, 2, 11, 0), 1), (berlin(2027, 1, 20, 9), 0), (berlin(2027, 2, 17, 23), 0),
        (berlin(2027, 2, 18, 0), 0), (berlin(2027, 2, 17, 12), 0),
    ):  # fmt: skip
        with clock.at(at):
            assert reminders.remind_protections(clock.now()) == expected, at


def test_nothing_is_reminded_of_while_the_partner_has_the_ball_or_it_is_decided(
    browse: Browse,
) -> None:
    asked, done = register(browse, lena()), register(browse, lena(), customer_name="B", domain="")
    browse(anna()).post(f"/deals/{asked}/move/take_in_review")
    browse(anna()).post(f"/deals/{asked}/ask", data={"sentence": "Who?"})
    approve(browse, done)
    with clock.at(clock.now() + timedelta(days=20)):
        assert reminders.remind_decisions(clock.now()) == 0


# --- protections, silence, contracts --------------------------------------------------------------


def test_one_mail_lists_every_reservation_that_ends(app: Flask, browse: Browse) -> None:
    for name in ("Alpha", "Beta"):
        approve(browse, register(browse, lena(), customer_name=name, domain=""))
    ends = max(db.session.scalars(select(Protection.ends_at)))
    with clock.at(ends - timedelta(days=30)), mailbox(app) as box:
        assert reminders.remind_protections(clock.now()) == 2
        assert reminders.remind_protections(clock.now()) == 0
        deliver_daily()
    letters = [letter for letter in box.to(lena().email) if "reserved" in mail_text(letter)]
    daily = [letter for letter in letters if "Reservations that end soon" in mail_text(letter)]
    assert len(daily) == 1
    assert "2 things about your deals at Nordwerk" in daily[0]["Subject"]
    for name in ("Alpha", "Beta"):
        assert f"{name} is reserved for you until" in mail_text(daily[0])


def test_an_extended_reservation_is_reminded_of_again(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    ends = db.session.scalars(select(Protection.ends_at)).one()
    with clock.at(ends - timedelta(days=7)):
        assert reminders.remind_protections(clock.now()) == 1
        browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
        browse(anna()).post(f"/deals/{key}/move/extend")
    later = db.session.scalars(select(Protection.ends_at)).one()
    for days, expected in ((31, 0), (30, 1), (7, 1), (6, 0)):
        with clock.at(later - timedelta(days=days)):
            assert reminders.remind_protections(clock.now()) == expected, days


def test_the_days_are_those_of_the_rules_of_the_deal(browse: Browse) -> None:
    set_rules(browse, protection_days="30", remind_first_days="14", remind_last_days="3")
    approve(browse, register(browse, lena()))
    ends = db.session.scalars(select(Protection.ends_at)).one()
    for days, expected in ((15, 0), (14, 1), (7, 0), (3, 1)):
        with clock.at(ends - timedelta(days=days)):
            assert reminders.remind_protections(clock.now()) == expected, days


def test_a_silent_deal_is_asked_about_and_at_most_monthly(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    start = clock.now()
    asked = []
    for days in (29, 30, 31, 59, 61, 70):
        with clock.at(start + timedelta(days=days)):
            asked.append(reminders.warn_stale(clock.now()))
    assert asked == [0, 1, 0, 0, 1, 0]
    silent = "No news for 61 days"
    for days, said in ((29, False), (61, True)):
        with clock.at(start + timedelta(days=days)):
            for person, path in (
                (lena(), f"/deals/{key}"), (lena(), "/deals"), (anna(), "/deals/list"),
                (anna(), "/deals/list?silent=yes"), (lena(), "/deals?silent=yes"),
            ):  # fmt: skip
                assert (silent in text_of(browse(person).get(path))) is said, (days, path)
            found = browse(anna()).get("/deals.csv?silent=yes").text
            assert (deal(key).customer_name in found) is said
            assert silent not in text_of(browse(mia()).get("/deals?silent=yes"))
    assert browse(anna()).get("/deals/list?silent=perhaps").status_code == 400
    with clock.at(start + timedelta(days=80)):
        browse(lena()).post(f"/deals/{key}/move/to_proposal")
    with clock.at(start + timedelta(days=109)):
        assert reminders.warn_stale(clock.now()) == 0
    with clock.at(start + timedelta(days=111)):
        assert reminders.warn_stale(clock.now()) == 1
    assert told("deal_stale") == [lena().id] * 3
    # Nothing is erased or ended by silence, nor by the end of its protection.
    assert deal(key).status == "approved"


def test_a_renewal_is_proposed_once_to_partner_and_vendor(app: Flask, browse: Browse) -> None:
    manage(kuehn(), anna())
    key = register(browse, lena())
    approve(browse, key)
    today = clock.local_day(clock.now(), BERLIN)
    ends = (today + timedelta(days=200)).isoformat()
    order = {"amount": "900", "currency": "EUR", "won_on": today.isoformat(), "contract_ends": ends}
    browse(lena()).post(f"/deals/{key}/won", data=order)
    browse(anna()).post(f"/deals/{key}/won", data=order)
    start = clock.now()
    with mailbox(app) as box:
        for days, expected in ((79, 0), (80, 1), (81, 0), (201, 0)):
            with clock.at(start + timedelta(days=days)):
                assert reminders.propose_renewals(clock.now()) == expected, days
        deliver_daily(82)
    assert told("renewal") == sorted([lena().id, anna().id])
    texts = {letter["To"]: mail_text(letter) for letter in box.letters}
    assert f"/deals/new?renews={key}" in texts[lena().email]
    assert f"/deals/{key}" in texts[anna().email]


def test_when_the_person_has_left_the_admins_of_the_partner_are_told(browse: Browse) -> None:
    key, admin = register(browse, lena()), jonas().id
    approve(browse, key)
    left = lena().id
    with write() as session:
        session.get_one(User, left).deactivated_at = clock.now()
    ends = db.session.scalars(select(Protection.ends_at)).one()
    with clock.at(ends - DAY):
        reminders.remind_protections(clock.now())
    assert told("protection_ends") == [admin]


def test_two_schedulers_at_the_same_moment_tell_once(app: Flask, browse: Browse) -> None:
    approve(browse, register(browse, lena()))
    register(browse, lena(), customer_name="Waits", domain="")
    later = (clock.now() + timedelta(days=85)).replace(hour=8)
    db.session.remove()
    together = threading.Barrier(2)

    def look() -> None:
        with app.app_context():
            together.wait()
            run_jobs(later)
            db.session.remove()

    with clock.at(later):
        threads = [threading.Thread(target=look) for _n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kinds = Counter(db.session.scalars(select(Notice.kind)))
    assert (kinds["protection_ends"], kinds["deal_stale"], kinds["decision_late"]) == (1, 1, 1)
    assert max(bundles_per_day().values()) == 1


# --- simulated years ------------------------------------------------------------------------------


def run_jobs(now: datetime) -> None:
    """What a scheduler does of all this in one round."""
    reminders.remind_decisions(now)
    if now.hour < 12:
        # These look at days.
        reminders.remind_protections(now)
        reminders.warn_stale(now)
        reminders.propose_renewals(now)
    notices.send_notices(now)


def bundles_per_day() -> Counter[tuple[uuid.UUID, date]]:
    """How many daily mails each person got on each day."""
    db.session.rollback()
    query = select(NoticeBundle.user_id, NoticeBundle.day).where(NoticeBundle.day.is_not(None))
    return Counter((row.user_id, row.day) for row in db.session.execute(query))


class Years:
    """A vendor and a partner over the years: registrations come and take their course, while the
    scheduler runs on working days, sleeps at night and at weekends, is away for days, dies in the
    middle and is started again, runs twice, or finds its clock set back.

    A year takes seconds because nobody looks when nothing can happen: the scheduler comes every
    morning, when the daily mails leave, and on some afternoons; people come every other day.
    """

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rng = random.Random(seed)
        self.partner, self.manager = lena().id, anna().id
        manage(kuehn(), anna())
        self.family = make_family().id
        self.claim = {**claim(), "product_family_id": self.family, "amount_minor": 100_000}
        self.ticks: list[datetime] = []
        self.outage, self.steps_back = 0, 0
        self._let_it_die(monkeypatch)

    def _let_it_die(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = notices.notify

        def dying(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            if self.in_job and self.rng.random() < 0.05:
                raise RuntimeError("the scheduler dies here")

        self.in_job = False
        monkeypatch.setattr(notices, "notify", dying)

    def live(self, first: date, days: int) -> None:
        """Let so many days pass."""
        for day in (first + timedelta(days=number) for number in range(days)):
            if self.outage == 0 and self.rng.random() < 0.03:
                self.outage = self.rng.randint(1, 9)
            working = self.rng.randrange(4)
            for number, at in enumerate((time(7, 31), time(16, 40))):
                moment = datetime.combine(day, at, BERLIN).astimezone(UTC)
                looks = number == 0 or self.rng.random() < 0.3
                with clock.at(moment):
                    if number == working:
                        self.people(moment, day)
                    if looks and self.outage == 0 and day.weekday() < 5:
                        self.schedulers(moment)
            self.outage = max(0, self.outage - 1)

    def schedulers(self, now: datetime) -> None:
        """One round of the jobs; sometimes two machines make it; one that dies is started again."""
        for _again in range(1 + (self.rng.random() < 0.1)):
            self.in_job = True
            while True:
                try:
                    run_jobs(now)
                    break
                except RuntimeError:
                    db.session.rollback()
            self.in_job = False
        self.ticks.append(now)
        if self.rng.random() < 0.05:
            # The clock is set back and jobs run; what was told stays told.
            back = now - timedelta(hours=self.rng.randint(1, 30))
            with clock.at(back):
                run_jobs(back)
            self.steps_back += 1

    def people(self, now: datetime, day: date) -> None:
        """A registration now and then; each of those that are open takes a step now and then."""
        if day.weekday() < 5 and self.rng.random() < 0.16:
            with write() as session:
                person = session.get_one(User, self.partner)
                values = {**self.claim, "expected_close": day, "first_contact": day, "domain": ""}
                values["customer_name"] = f"Customer {self.rng.random()}"
                row = service.start(session, person, values, now)
                service.move(session, row, person, "submit", now)
        query = select(Deal.id, Deal.status).where(Deal.status != "closed")
        found = db.session.execute(query.order_by(Deal.created_at, Deal.id))
        steps = [
            key
            for key, status in found
            if self.rng.random() < (0.04 if status == "approved" else 0.45)
        ]
        db.session.rollback()
        while steps and checks.run_waiting(now):
            pass
        for key in steps:
            self.step(key, now, day)

    def step(self, key: uuid.UUID, now: datetime, day: date) -> None:
        """Somebody does the next thing with a deal, where the rules let them."""
        with write((Deal, key), (ProductFamily, self.family)) as session:
            row = session.get_one(Deal, key)
            people = [session.get_one(User, who) for who in (self.manager, self.partner)]
            options = [
                (person, name) for person in people for name in sorted(service.moves(
                    session, row, person, now)) if name in GIVEN
            ]  # fmt: skip
            if options:
                person, name = self.rng.choice(options)
                given = Given(**{**GIVEN[name], **({"won_on": day} if "win" in name else {})})
                if name == "confirm_win":
                    ends = day + timedelta(days=self.rng.randint(100, 300))
                    given = Given(won_amount=1, won_on=day, contract_ends=ends)
                service.move(session, row, person, name, now, given)


GIVEN: dict[str, dict[str, Any]] = {
    "take_in_review": {}, "ask": {"sentence": "Who?"}, "resubmit": {},
    "approve": {"new_customer": True, "confirmation": "Another one."},
    "to_proposal": {}, "to_negotiation": {},
    "ask_extension": {"note": "Later."}, "extend": {}, "confirm_win": {},
}  # fmt: skip


def first_tick(ticks: list[datetime], since: datetime, until: datetime) -> datetime | None:
    """The first time that the scheduler looked in [since, until)."""
    return next((tick for tick in ticks if since <= tick < until), None)


FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


def decisions_expected(years: Years) -> Iterator[tuple[uuid.UUID, str, int, int]]:
    """Which reminders of decisions the history asks for."""
    for key in db.session.scalars(select(Deal.id)):
        rows = record.history(db.session(), key)
        used, number = timedelta(), 0
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            number += row.move in reminders.SUBMITTING
            if row.to_status not in UNDECIDED:
                continue
            if row.from_status in UNDECIDED:
                # The same spell of waiting goes on.
                continue
            end = next(
                (r.at for r in rows if r.at >= row.at and r.to_status not in UNDECIDED), FOREVER
            )
            soon, due = (
                policy.reached_at(row.at, step, policy.DEFAULT, BERLIN, used) for step in (75, 100)
            )
            if (tick := first_tick(years.ticks, soon, end)) and tick < due:
                yield key, "decision", number, 75
            if first_tick(years.ticks, due, end):
                yield key, "decision", number, 100
            used += policy.business_time(row.at, end, policy.DEFAULT.calendar, BERLIN)
            assert after is not None or end == FOREVER


def protections_expected(years: Years) -> Iterator[tuple[uuid.UUID, str, int, int]]:
    """Which reminders of protections the history asks for."""
    ticks = [tick for tick in years.ticks if tick.hour < 12]
    for key in db.session.scalars(select(Deal.id)):
        rows = record.history(db.session(), key)
        approved = next((row.at for row in rows if row.move == "approve"), None)
        if approved is None:
            continue
        closed = next((row.at for row in rows if row.move == "confirm_win"), FOREVER)
        ends, since = policy.protected_until(approved, 90, BERLIN), approved
        spells = []
        for number, row in enumerate([row for row in rows if row.move == "extend"]):
            spells.append((number, ends, since, min(row.at, closed)))
            last = policy.last_day(ends, BERLIN) + timedelta(days=61)
            ends, since = clock.day_start(last, BERLIN), row.at
        spells.append((len(spells), ends, since, min(ends, closed)))
        for number, end, begun, until in spells:
            until = min(until, end)
            first, second = (max(begun, end - timedelta(days=days)) for days in (30, 7))
            if (tick := first_tick(ticks, first, until)) and tick < end - timedelta(days=7):
                yield key, "protection", number, 30
            if first_tick(ticks, second, until):
                yield key, "protection", number, 7


def test_over_simulated_years_every_mail_comes_once_and_none_is_missing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    years = Years(11 if db.engine.dialect.name == "sqlite" else 14, monkeypatch)
    years.live(date(2026, 3, 1), 370)
    assert years.steps_back > 5
    db.session.rollback()
    query = select(DealReminder).where(DealReminder.sent_at.is_not(None))
    sent = [(r.deal_id, r.kind, r.round, r.step, r.sent_at) for r in db.session.scalars(query)]
    found = Counter(row[:4] for row in sent if row[1] in ("decision", "protection"))
    expected = {*decisions_expected(years), *protections_expected(years)}
    assert set(found) == expected
    assert max(found.values()) == 1
    kinds = Counter((kind, step) for _key, kind, _round, step in expected)
    steps = (("decision", 75), ("decision", 100), ("protection", 30), ("protection", 7))
    moves = Counter(db.session.scalars(select(DealHistory.move)))
    assert min(kinds[step] for step in steps) >= 1, (kinds, moves)
    assert_one_notice_per_reminder(sent)
    assert_silence_is_asked_about(years, sent)
    assert_renewals(years, sent)
    assert_mails(years)


def assert_one_notice_per_reminder(sent: list[Any]) -> None:
    """Each reminder that was sent told each person once."""
    told_of = Counter(
        (row.kind, row.subject_id, row.user_id, row.created_at)
        for row in db.session.scalars(select(Notice))
    )
    assert max(told_of.values()) == 1
    names = {
        ("decision", 75): "decision_due", ("decision", 100): "decision_late",
        ("protection", 30): "protection_ends", ("protection", 7): "protection_ends",
    }  # fmt: skip
    for key, kind, _round, step, at in sent:
        name = names.get((kind, step)) or {"stale": "deal_stale", "renewal": "renewal"}[kind]
        assert [t for t in told_of if t[0] == name and t[1] == key and t[3] == at], (kind, step)


def assert_silence_is_asked_about(years: Years, sent: list[Any]) -> None:
    """Whenever the scheduler looked at a deal that had been silent for 30 days, it had asked within
    30 days; and it never asked twice in 30 days."""
    asked = defaultdict(list)
    for key, kind, _round, _step, at in sent:
        if kind == "stale":
            asked[key].append(at)
    month = timedelta(days=30)
    assert any(len(moments) > 1 for moments in asked.values())
    for moments in asked.values():
        moments.sort()
        assert all(b - a >= month for a, b in pairwise(moments))
    ticks = [tick for tick in years.ticks if tick.hour < 12]
    for key in db.session.scalars(select(Deal.id)):
        rows = record.history(db.session(), key)
        approved = next((row.at for row in rows if row.move == "approve"), FOREVER)
        closed = next((row.at for row in rows if row.move == "confirm_win"), FOREVER)
        for tick in ticks:
            if approved <= tick < closed:
                news = max(row.at for row in rows if row.at <= tick)
                if news + month <= tick:
                    assert any(tick - month < at <= tick for at in asked[key]), tick


def assert_renewals(years: Years, sent: list[Any]) -> None:
    """Every contract that came within 120 days of its end was proposed to be renewed, once."""
    proposed = Counter(row[0] for row in sent if row[1] == "renewal")
    last = clock.local_day(years.ticks[-1], BERLIN)
    due = {
        key
        for key, ends in db.session.execute(select(Deal.id, Deal.contract_ends))
        if ends is not None and ends - timedelta(days=120) <= last
    }
    assert set(proposed) == due
    assert max(proposed.values(), default=1) == 1


def assert_mails(years: Years) -> None:
    """One daily mail per person and day at most; what was written down is in one mail, the first
    that could carry it."""
    assert max(bundles_per_day().values()) == 1
    bundles = {row.id: row for row in db.session.scalars(select(NoticeBundle))}
    for row in db.session.scalars(select(Notice)):
        zone_day = clock.local_day(row.created_at, BERLIN)
        morning = notices.morning_of(zone_day, BERLIN)
        if row.created_at >= morning:
            morning = notices.morning_of(zone_day + DAY, BERLIN)
        first = first_tick(years.ticks, row.created_at if row.urgent else morning, FOREVER)
        # It may go along with a mail that is made before its own morning.
        assert row.bundle_id is not None or first is None
        if row.bundle_id is not None and first is not None:
            assert bundles[row.bundle_id].created_at <= first


def test_history_of_deals_is_not_touched_by_reminders(browse: Browse) -> None:
    key = register(browse, lena())
    before = db.session.query(DealHistory).count()
    later = (clock.now() + timedelta(days=400)).replace(hour=8)
    with clock.at(later):
        run_jobs(later)
    assert db.session.query(DealHistory).count() == before
    assert deal(key).status == "submitted"
    assert mia().partner_id != db.session.scalars(select(Partner.id)).first()
