"""The queue: by business time left, divided among people, also when one of them is away."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.accounts import absences
from portal.accounts.models import Partner, Role, User
from portal.accounts.notices import Notice
from portal.db import db, write
from portal.deals import policy, policy_versions, promise
from portal.deals.models import Deal, DealHistory, KeptPromise
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, deal, look_for_conflicts, register
from tests.deals.test_policy import set_rules
from tests.deals.test_second_person import protection
from tests.factories import make_family, make_user
from tests.pages import text_of
from tests.people import ada, anna, brandt, jonas, kuehn, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 16, 10, tzinfo=BERLIN)


def manage(partner: Partner, manager: User) -> None:
    """`manager` looks after `partner`."""
    key = manager.id
    with write() as session:
        session.get_one(Partner, partner.id).channel_manager_id = key


def away(user: User, deputy: User, first: date | None = None, days: int = 3) -> None:
    """`deputy` stands in for `user`, from today if no day is given."""
    today = clock.local_day(clock.now(), BERLIN)
    first, key, other = first or today, user.id, deputy.id
    last = first + timedelta(days=days)
    with write() as session:
        person = session.get_one(User, key)
        absences.set_absence(session, person, first, last, other, min(first, today))


def told(kind: str) -> list[uuid.UUID]:
    """Who has a notice of this kind."""
    db.session.rollback()
    return sorted(db.session.scalars(select(Notice.user_id).where(Notice.kind == kind)))


def test_the_queue_is_ordered_by_business_time_left(browse: Browse) -> None:
    with clock.at(MONDAY):
        slow = register(browse, lena(), customer_name="Sixteen hours", domain="")
    with clock.at(MONDAY + timedelta(hours=1)):
        set_rules(browse, decision_hours="2", opens="09:00", closes="17:00", holiday_country="DE")
        quick = register(browse, mia(), customer_name="Two hours", domain="")
    with clock.at(MONDAY + timedelta(hours=2)):
        page = browse(anna()).get("/deals/queue?whose=all")
    text = text_of(page)
    assert text.index("Two hours") < text.index("Sixteen hours")
    assert "1 h left" in text
    assert "14 h left" in text
    # After hours nothing runs out; two days later it is late by hours of work.
    with clock.at(MONDAY + timedelta(days=2, hours=3)):
        assert "16 h late" in text_of(browse(anna()).get("/deals/queue?whose=all"))
    assert {slow, quick} == set(db.session.scalars(select(Deal.id)))


def test_claim_and_what_is_known_stand_side_by_side(browse: Browse) -> None:
    first = register(browse, mia())
    approve(browse, first)
    register(browse, lena(), customer_name="BRANDT & Söhne", contact="Frau Brandt")
    look_for_conflicts()
    text = text_of(browse(anna()).get("/deals/queue?whose=all"))
    for words in (
        "Kühn Technik Gold", "brandt.example, DE 20095", "Pumps · New business", "€ 18 400",
        "1 Nov 2026, Frau Brandt", "the same company", "Brandt Pumpen",
    ):  # fmt: skip
        assert words in text.replace("\u202f", " ").replace("\xa0", " "), words
    new = register(browse, lena(), customer_name="Quite new", domain="")
    page = text_of(browse(anna()).get("/deals/queue?whose=all"))
    assert page.count("Nobody else: no registration") == 1
    assert deal(new).status == "submitted"


def test_a_registration_is_the_channel_managers_and_in_nobody_elses_part(browse: Browse) -> None:
    otto()
    manage(kuehn(), anna())
    key = register(browse, lena(), customer_name="Annas")
    register(browse, mia(), customer_name="Nobodys", domain="")
    assert deal(key).assignee_id == anna().id
    mine = text_of(browse(anna()).get("/deals/queue"))
    assert "Annas" in mine
    assert "Nobodys" not in mine
    assert "1 registration is assigned to nobody." in mine
    assert "Nothing of yours waits" in text_of(browse(otto()).get("/deals/queue"))
    unassigned = text_of(browse(otto()).get("/deals/queue?whose=unassigned"))
    assert "Nobodys" in unassigned
    assert "Annas" not in unassigned
    # Of what is nobody's, every channel manager who is there is told.
    assert told("deal_submitted") == sorted([anna().id, anna().id, otto().id])


def test_several_are_assigned_at_once(browse: Browse) -> None:
    otto()
    keys = [register(browse, lena(), customer_name=f"C{n}", domain="") for n in range(3)]
    manager = browse(anna())
    done = manager.post(
        "/deals/queue?whose=all", data={"deal": keys[:2], "to": str(otto().id)},
        follow_redirects=True,
    )  # fmt: skip
    assert "2 registrations assigned." in text_of(done)
    assert [deal(key).assignee_id for key in keys] == [otto().id, otto().id, None]
    moves = db.session.execute(select(DealHistory.move, DealHistory.note))
    assert [tuple(row) for row in moves if row.move == "assign"] == [("assign", "Otto Lang")] * 2
    assert told("deal_assigned") == [otto().id] * 2
    assert "assigned it to" in text_of(browse(otto()).get(f"/deals/{keys[0]}"))
    # How the vendor divides its work is not the partner's.
    assert "Otto assigned" not in text_of(browse(lena()).get(f"/deals/{keys[0]}"))
    assert "assigned it" not in text_of(browse(lena()).get(f"/deals/{keys[0]}"))
    manager.post("/deals/queue", data={"deal": keys[:1], "to": "nobody"})
    assert deal(keys[0]).assignee_id is None


@pytest.mark.parametrize(
    ("deals", "to", "status", "sentence"),
    [
        (0, "otto", 400, "Tick the registrations first."),
        (1, "", 400, "Choose who looks after them."),
        (1, "lena", 404, "There is no such person."),
        (1, "nonsense", 404, "There is no such person."),
    ],
)
def test_what_cannot_be_assigned_is_refused_and_the_ticks_are_kept(
    browse: Browse, deals: int, to: str, status: int, sentence: str
) -> None:
    keys = [register(browse, lena(), domain="")]
    people = {"otto": str(otto().id), "lena": str(lena().id)}
    data = {"deal": [str(key) for key in keys[:deals]], "to": people.get(to, to)}
    answer = browse(anna()).post("/deals/queue?whose=all", data=data)
    assert answer.status_code == status
    assert sentence in text_of(answer)
    assert answer.text.count(" checked") == (deals if status == 400 else 0)
    assert deal(keys[0]).assignee_id is None


def test_partners_have_no_queue_and_drafts_are_not_assigned(browse: Browse) -> None:
    for method in ("GET", "POST"):
        assert browse(lena()).open("/deals/queue", method=method).status_code == 404
    answer = browse(lena()).post("/deals/new", data=claim(then="draft"))
    key = answer.location.rsplit("/", 1)[1]
    data = {"deal": [key], "to": str(anna().id)}
    assert browse(anna()).post("/deals/queue", data=data).status_code == 404


def test_what_is_mine_comes_first_on_the_page_i_start_on(browse: Browse) -> None:
    manage(kuehn(), otto())
    register(browse, mia(), customer_name="Of somebody", domain="")
    register(browse, lena(), customer_name="Of Otto", domain="")
    for person, first, second in (
        (otto(), "Of Otto", "Of somebody"),
        (anna(), "Of somebody", "Of Otto"),
    ):
        page = text_of(browse(person).get("/"))
        assert page.index(first) < page.index(second)


# --- absences -------------------------------------------------------------------------------------


def test_a_deputy_has_what_is_assigned_to_somebody_who_is_away(browse: Browse) -> None:
    manage(kuehn(), anna())
    with clock.at(MONDAY) as forward:
        away(anna(), otto(), days=1)
        key = register(browse, lena(), customer_name="Stands in")
        assert deal(key).assignee_id == anna().id
        assert told("deal_submitted") == [otto().id]
        assert "Otto Lang for Anna Keller" in text_of(browse(otto()).get("/deals/queue"))
        assert "Stands in" not in text_of(browse(anna()).get("/deals/queue?whose=mine"))
        # On the day after the last one it is hers again.
        forward(timedelta(days=2))
        assert "Stands in" in text_of(browse(anna()).get("/deals/queue"))
        assert "Stands in" not in text_of(browse(otto()).get("/deals/queue"))


def test_a_deputy_who_is_away_too_has_a_deputy_and_a_circle_leads_to_everyone(
    browse: Browse,
) -> None:
    manage(kuehn(), anna())
    third = make_user("Carla Vogt", Role.channel_manager)
    away(anna(), otto())
    away(otto(), third)
    register(browse, lena())
    assert told("deal_submitted") == [third.id]
    away(third, anna())
    register(browse, lena(), customer_name="Nobody is there", domain="")
    assert "Nobody is there" in text_of(browse(ada()).get("/deals/queue?whose=unassigned"))


def test_standing_in_does_not_make_two_people_of_one(browse: Browse) -> None:
    manage(kuehn(), anna())
    otto()
    set_rules(browse, two_person="10 000")
    key = register(browse, lena(), amount="10 000")
    away(anna(), otto())
    browse(otto()).post(f"/deals/{key}/move/take_in_review")
    browse(otto()).post(f"/deals/{key}/approve", data={"customer": "new"})
    again = browse(otto()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert again.status_code == 409
    assert "Two people have to do this" in text_of(again)
    assert deal(key).status == "in_review"
    browse(ada()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert deal(key).status == "approved"


def test_people_say_themselves_when_they_are_away(browse: Browse) -> None:
    otto()
    today = clock.local_day(clock.now(), BERLIN)
    days = {"first_day": today.isoformat(), "last_day": (today + timedelta(days=4)).isoformat()}
    manager = browse(anna())
    for wrong, sentence in (
        ({"deputy": ""}, "Please choose a deputy."),
        ({"last_day": (today - timedelta(days=1)).isoformat()}, "must not be before"),
        ({"deputy": str(anna().id)}, "Not a valid choice"),
        ({"deputy": str(lena().id)}, "Not a valid choice"),
    ):
        answer = manager.post("/account/absence", data={**days, "deputy": str(otto().id), **wrong})
        assert answer.status_code == 400
        assert sentence in text_of(answer)
        assert f'value="{days["first_day"]}"' in answer.text
    saved = manager.post(
        "/account/absence", data={**days, "deputy": str(otto().id)}, follow_redirects=True
    )
    assert "Otto Lang stands in from" in text_of(saved)
    manager.post("/account/absence", data={"then": "end"})
    assert "stands in from" not in text_of(manager.get("/account/absence"))
    assert browse(lena()).get("/account/absence").status_code == 404


def test_an_administrator_does_it_for_a_colleague_who_is_ill(browse: Browse) -> None:
    today = clock.local_day(clock.now(), BERLIN).isoformat()
    path, otto_id = f"/people/{anna().id}/absence", otto().id
    data = {"first_day": today, "last_day": today, "deputy": str(otto_id)}
    assert browse(otto()).post(path, data=data).status_code == 404
    assert browse(ada()).post(path, data=data).status_code == 302
    assert "Otto Lang stands in" in text_of(browse(anna()).get("/account/absence"))
    assert browse(ada()).get(f"/people/{lena().id}/absence").status_code == 404


# --- what partners are told -----------------------------------------------------------------------


def test_partners_read_when_it_is_decided_by_whom_it_was_seen_and_who_may_see_it(
    browse: Browse,
) -> None:
    manage(kuehn(), anna())
    otto(), ada()
    with clock.at(datetime(2026, 11, 17, 14, tzinfo=BERLIN)) as forward:
        form = text_of(browse(lena()).get("/deals/new"))
        assert "Decision by Thursday 14:00." in form
        assert "only these may see it: Anna Keller, Otto Lang, Ada Berg." in form
        key = register(browse, lena())
        forward(timedelta(minutes=42))
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
        page = text_of(browse(lena()).get(f"/deals/{key}"))
    assert "Seen by Anna Keller, 14:42. Decision by Thursday 14:00." in page
    assert "Anna Keller, Otto Lang, Ada Berg." in page
    assert "decided half" not in page


def decided(n: int, partners: int, month: datetime) -> None:
    """So many registrations of so many partners decided an hour of work after they came, the last
    one three days later."""
    people = [make_user() for _n in range(partners)]
    with write() as session:
        rules = policy_versions.current_policy(session, month)
        for number in range(n):
            person = people[number % partners]
            late = number == n - 1
            at = month + timedelta(days=3 if late else 0, hours=1)
            row = Deal(
                reference=f"D{number}", customer_name=f"C{number}", partner_id=person.partner_id,
                submitted_by_id=person.id, created_at=month, submitted_at=month, status="rejected",
                decided_at=at, policy_id=rules.id,
                decision_due_at=policy.decision_due(month, rules.terms, BERLIN),
            )  # fmt: skip
            session.add(row)
            session.flush()
            for when, before, after in (
                (month, "draft", "submitted"),
                (at, "submitted", "rejected"),
            ):
                session.add(
                    DealHistory(
                        deal_id=row.id, at=when, actor_id=person.id, side="partner", move="x",
                        from_status=before, to_status=after,
                    )
                )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "partners", "shown"), [(20, 5, True), (19, 5, False), (20, 4, False)]
)
def test_what_the_vendor_achieved_is_told_from_twenty_decisions_of_five_partners_on(
    app: Flask, browse: Browse, n: int, partners: int, shown: bool
) -> None:
    decided(n, partners, MONDAY)
    with clock.at(MONDAY + timedelta(days=7)):
        # This month is not over.
        assert promise.sum_up(clock.now()) == 0
        assert "decided half" not in text_of(browse(lena()).get("/deals/new"))
    with clock.at(datetime(2026, 12, 1, 0, 30, tzinfo=BERLIN)):
        assert promise.sum_up(clock.now()) == n
        assert promise.sum_up(clock.now()) == 0
        page = text_of(browse(lena()).get("/deals/new"))
    sentence = (
        "Nordwerk decided half of all registrations within 1 business hour, and "
        f"{n - 1} of {n} in time (all partners together, twelve months to 30 Nov 2026)."
    )
    assert (sentence in page) is shown
    assert ("decided half" in page) is shown
    assert db.session.query(KeptPromise).count() == 2


def test_what_is_told_does_not_change_when_a_rival_registers_and_is_decided(
    browse: Browse,
) -> None:
    decided(20, 5, datetime(2026, 10, 12, 10, tzinfo=BERLIN))
    make_family(), anna()
    with clock.at(MONDAY):
        promise.sum_up(clock.now())
        before = browse(lena()).get("/deals/new")
        assert "19 of 20 in time (all partners together" in text_of(before)
        approve(browse, register(browse, mia()))
        promise.sum_up(clock.now())
        after = browse(lena()).get("/deals/new")
    assert text_of(before) == text_of(after)


# --- contracts ------------------------------------------------------------------------------------


def test_a_contract_on_a_win_leads_to_the_form_of_its_renewal(browse: Browse) -> None:
    key = register(browse, lena(), contact="Frau Brandt")
    approve(browse, key)
    order = {"amount": "17 500", "currency": "CHF", "won_on": "2026-11-20"}
    wrong = browse(lena()).post(f"/deals/{key}/won", data={**order, "contract_ends": "2026-11-20"})
    assert wrong.status_code == 409
    today = clock.local_day(clock.now(), BERLIN)
    far, near = today + timedelta(days=121), today + timedelta(days=120)
    browse(lena()).post(f"/deals/{key}/won", data={**order, "contract_ends": far.isoformat()})
    assert browse(lena()).get(f"/deals/new?renews={key}").status_code == 404
    # The vendor confirms it, and corrects the day.
    assert f'value="{far.isoformat()}"' in browse(anna()).get(f"/deals/{key}").text
    browse(anna()).post(f"/deals/{key}/won", data={**order, "contract_ends": near.isoformat()})
    assert "Register the renewal" in text_of(browse(lena()).get(f"/deals/{key}"))
    form = browse(lena()).get(f"/deals/new?renews={key}")
    for value in ("Brandt &amp; Söhne", "brandt.example", "17500.00", near.isoformat(), "Frau"):
        assert f'value="{value}' in form.text, value
    for value in ("CHF", "renewal", "DE"):
        assert f'<option selected value="{value}"' in form.text, value
    # Nobody else's contract, and nobody else's form.
    assert browse(mia()).get(f"/deals/new?renews={key}").status_code == 404
    assert browse(lena()).get(f"/deals/new?renews={uuid.uuid4()}").status_code == 404
    assert browse(lena()).get("/deals/new?renews=nonsense").status_code == 404
    assert protection(key).customer_id == deal(key).customer_id
    jonas(), brandt()
