"""Rules 1 to 3 of the design, for whatever people, browsers and networks do.

Browsers are those of `tests.tracking.ledger`; their reports go through the real endpoint at the
moment they arrive, and days are rebuilt and folded as the jobs do.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from flask import Flask, current_app
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import clock
from portal.accounts.models import User
from portal.content import attention
from portal.content.models import ShareLink
from portal.db import Base, db, new_id, write
from portal.reports.records import erase_reading
from tests.factories import make_asset, version_of
from tests.people import jonas, kuehn, lena, mia
from tests.tracking.ledger import (
    SLOT,
    Device,
    Doing,
    Fate,
    Lines,
    Report,
    Stretch,
    Tab,
    by_slot,
    greatest,
)
from tests.tracking.ledger import browse as run
from tests.tracking.numbers import BERLIN, attention_by_slot, check_sums, check_wall_time
from tests.tracking.reports import post_body, row
from tests.tracking.test_rollups import differences, rebuild, wipe
from tracking import erasure, events, intake, metrics, retention
from tracking.beacon import MAX_AGE_MS, SLOTS_AHEAD
from tracking.events import Viewer, read_token
from tracking.metrics import Scope
from tracking.models import Folded, Load, Slot
from tracking.packing import count_of
from tracking.sums import AreaSum, AssetSum, PageSum, PairSum, PartnerSum

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
CUSTOMER, LIBRARY = 3, 3
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Chrome/142", "Mozilla/5.0 (iPhone) Safari/605")

# --- what may happen ------------------------------------------------------------------------------

STARTS = [
    clock.to_ms(moment)
    for moment in (
        datetime(2026, 3, 10, 12, 0, tzinfo=UTC),
        datetime(2026, 3, 10, 22, 59, 30, tzinfo=UTC),  # half a minute before midnight
        datetime(2026, 3, 31, 21, 59, 40, tzinfo=UTC),  # and before the next month
        datetime(2026, 3, 28, 22, 59, 50, tzinfo=UTC),  # and before a day of 23 hours
    )
]
PERIODS = st.one_of(
    st.integers(1, 5_000), st.sampled_from([12_000, 15_000, 33_000]), st.integers(5_000, 40_000)
)
AWAKE = st.builds(
    Stretch,
    doing=st.sampled_from([Doing.using, Doing.reading, Doing.glancing]),
    lasts=PERIODS,
    tab=st.integers(0, 3),
    page=st.integers(1, 3),
    beside=st.booleans(),
    step=st.sampled_from([0, 0, 0, 0, -7 * SECOND, 40 * SECOND, -2 * HOUR, 26 * HOUR]),
).map(lambda stretch: replace(stretch, page=1) if stretch.tab == LIBRARY else stretch)
AWAY = st.builds(
    Stretch,
    doing=st.sampled_from([Doing.hiding, Doing.sleeping]),
    lasts=st.sampled_from([700, 2_500, 20 * SECOND, 70 * SECOND, 3 * HOUR, 23 * HOUR, 26 * HOUR]),
    tab=st.integers(0, 3),
)
ANSWERED, LOST = Fate((0,), answered=True), Fate(())
FATES = st.lists(
    st.sampled_from(
        [
            ANSWERED,
            LOST,
            Fate((0,)),  # stored, but the browser never hears of it
            Fate((0, 4 * SECOND), answered=True),  # doubled by the network
            Fate((20 * SECOND,)),  # overtaken by the next
            Fate((3 * HOUR, 3 * HOUR)),
            Fate((40 * HOUR,)),
            Fate((0, 47 * HOUR)),
            Fate((50 * HOUR,)),  # too late
            Fate((0, 75 * HOUR)),
        ]
    ),
    min_size=1,
    max_size=6,
).map(tuple)


@st.composite
def scenarios(draw: st.DrawFn, calm: bool = False) -> list[Device]:
    """A few devices of a few people, at work at the same time."""
    start = draw(st.sampled_from(STARTS))
    devices = []
    for _n in range(draw(st.integers(1, 3))):
        stretches = draw(st.lists(st.one_of(AWAKE, AWAKE, AWAKE, AWAY), min_size=1, max_size=6))
        if not any(stretch.doing in (Doing.using, Doing.reading) for stretch in stretches):
            stretches.insert(0, Stretch(Doing.using, 9 * SECOND))
        devices.append(
            Device(
                person=draw(st.sampled_from([0, 0, 0, 1, 2, CUSTOMER, CUSTOMER])),
                starts=start + draw(st.sampled_from([0, 0, 6_000, 15_000, 41_000])),
                stretches=tuple(stretches),
                fates=(ANSWERED,) if calm else draw(FATES),
                agent=draw(st.integers(0, 1)),
                lag=draw(st.sampled_from([0, 0, 0, 250, 2_500])),
                stands=draw(st.booleans()),
                killed=draw(st.booleans()),
            )
        )
    return devices


def examples(n: int) -> settings:
    """So many examples; the application is emptied by `wipe` instead of anew for each."""
    return settings(
        max_examples=n,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


# --- the portal it happens to ---------------------------------------------------------------------


@dataclass(frozen=True)
class Delivery:
    """One arrival of a report."""

    moment: int
    report: Report


class World:
    """Four readers (the last is behind a link), two documents, and what was reported of them."""

    def __init__(self) -> None:
        self.people = [lena(), jonas(), mia()]
        self.assets = [make_asset("A", pages=3), make_asset("B", pages=3)]
        self.link = _link(self.people[0])

    def viewer(self, device: Device) -> Viewer:
        """Whoever uses this device, as a page made for them says."""
        if device.person != CUSTOMER:
            return attention.viewer(db.session.get_one(User, self.people[device.person].id))
        agent = AGENTS[device.agent]
        with current_app.test_request_context(headers={"User-Agent": agent}):
            return attention.customer(db.session.get_one(ShareLink, self.link.id))

    def issue(self, device: Device, tab: int, moment: int) -> str:
        """The token of a page: A, B, A again, or the library (customers see none: A again)."""
        at, keys = clock.from_ms(moment), current_app.extensions["portal_keys"]
        viewer = self.viewer(device)
        if tab == LIBRARY and device.person != CUSTOMER:
            user = db.session.get_one(User, self.people[device.person].id)
            reader = events.area_viewer(keys, user, clock.local_day(at, BERLIN))
            return events.issue_area_token(keys, reader, "library", at=at)
        version = version_of(self.assets[tab % 2])
        return events.issue_token(
            keys, viewer, asset_id=version.asset_id, version_id=version.id, page_count=3, at=at
        )

    def tabs(self, devices: Iterable[Device]) -> list[Tab]:
        """All page loads of these devices; nothing has been reported yet."""
        wipe()
        return [tab for device in devices for tab in run(device, self.issue)]


def _link(person: User) -> ShareLink:
    with write() as session:
        link = ShareLink(
            id=new_id(),
            slug="rules",
            partner_id=kuehn().id,
            user_id=person.id,
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=90),
        )
        session.add(link)
    return link


@pytest.fixture
def world(app: Flask, monkeypatch: pytest.MonkeyPatch) -> World:
    # The limit counts in real seconds, and days pass here in a moment.
    monkeypatch.setattr(intake, "BURST", 1e9)
    return World()


def arrivals(tabs: Iterable[Tab]) -> list[Delivery]:
    """All that arrives of what these tabs report, in that order."""
    reports = [report for tab in tabs for report in tab.reports]
    found = [Delivery(moment, report) for report in reports for moment in report.arrivals]
    return sorted(found, key=lambda delivery: delivery.moment)


class Taken(NamedTuple):
    """A report that was acknowledged, and the first slot that was young enough by then."""

    report: Report
    oldest: int

    def fresh(self, lines: Lines) -> Lines:
        """The part of `lines` that was young enough."""
        return {key: buckets for key, buckets in lines.items() if key[0] >= self.oldest}


def post_all(these: Sequence[Delivery], jobs: Iterable[int] = ()) -> dict[Tab, list[Taken]]:
    """Post reports at their moments, and let the jobs run at theirs; returns what was taken of
    each tab. An honest browser is never refused."""
    taken: dict[Tab, list[Taken]] = defaultdict(list)
    waiting = sorted(jobs, reverse=True)
    for delivery in these:
        while waiting and waiting[-1] <= delivery.moment:
            run_jobs(waiting.pop())
        with clock.at(clock.from_ms(delivery.moment)):
            answer = post_body(delivery.report.body)
            assert answer.status_code == 200, answer.text
            oldest = (clock.now_ms() - MAX_AGE_MS) // SLOT
        taken[delivery.report.tab].append(Taken(delivery.report, oldest))
    for moment in reversed(waiting):
        run_jobs(moment)
    return taken


def run_jobs(moment: int) -> None:
    """What the portal does by itself at `moment`: rebuild, fold, drop."""
    with clock.at(clock.from_ms(moment)):
        rebuild()
        retention.age(db.engine, BERLIN, clock.now(), 0)
        db.session.rollback()


def load_of(tab: Tab) -> uuid.UUID:
    """The load that this tab is."""
    return read_token(current_app.extensions["portal_keys"], tab.token).load_id


def stored_lines() -> dict[uuid.UUID, Lines]:
    """All slots by load."""
    db.session.rollback()
    found: dict[uuid.UUID, Lines] = defaultdict(dict)
    for kept in db.session.scalars(select(Slot)):
        buckets = (kept.active, kept.reading, kept.idle, kept.glance)
        found[kept.load_id][kept.slot, kept.page] = buckets
    return found


def base_rows() -> list[tuple[Any, ...]]:
    """Every base row, to be compared."""
    return _rows(Load, Slot, Folded)


def numbers(*, people: bool = True) -> list[tuple[Any, ...]]:
    """Every number of every rollup; people and partners as how many they are, because which number
    one got depends on the order in which days were rebuilt."""
    found = []
    for kept in _rows(PartnerSum, AssetSum, PairSum, PageSum, AreaSum):
        table, values = kept[0], dict(kept[1])
        for name in values.keys() & {"people", "partners"}:
            counts = people or name == "partners"
            values[name] = count_of([values[name]]) if counts else 0
        found.append((table, *values.items()))
    return found


def _rows(*models: type[Base]) -> list[tuple[Any, ...]]:
    db.session.rollback()
    return sorted(
        (
            (model.__tablename__, tuple(kept._mapping.items()))
            for model in models
            for kept in db.session.execute(select(model.__table__))
        ),
        key=str,
    )


# --- the rules ------------------------------------------------------------------------------------


# A tab that is glanced at, forgotten, and touched when its token is a day old.
FORGOTTEN = Device(
    person=0,
    starts=STARTS[0],
    stretches=(
        Stretch(Doing.reading, 900),
        Stretch(Doing.hiding, 26 * HOUR),
        Stretch(Doing.using, 9 * SECOND),
    ),
    fates=(ANSWERED,),
)


@examples(25)
@example(devices=[FORGOTTEN])
@given(devices=scenarios())
def test_what_is_stored_is_what_arrived_and_never_more_than_the_truth(
    world: World, devices: list[Device]
) -> None:
    tabs = world.tabs(devices)
    taken = post_all(arrivals(tabs))
    stored = stored_lines()
    for tab in tabs:
        mine = stored.get(load_of(tab), {})
        assert mine == greatest([some.fresh(some.report.lines) for some in taken[tab]])
        check_truth(tab, mine)
        # Lost is at most what came after the last report that arrived.
        assert_holds(mine, [some.fresh(some.report.credited) for some in taken[tab]])
    rebuild()
    check_persons(tabs)
    check_wall_time()
    check_sums()
    assert differences() == []


def assert_holds(stored: Lines, many: Sequence[Lines]) -> None:
    """`stored` is not less than any of these."""
    for key, buckets in greatest(many).items():
        assert all(map(int.__ge__, stored[key], buckets))


def check_truth(tab: Tab, stored: Lines) -> None:
    """No more is stored of a tab than really passed, and nothing ahead of its time."""
    counted, truth = by_slot(stored), tab.truth
    for slot in counted:
        later = sum(n for other, n in counted.items() if other >= slot)
        assert later <= sum(n for other, n in truth.items() if other >= slot)
    if tab.lagged:
        return
    for slot in counted:
        focused = sum(sum(b[:3]) for key, b in stored.items() if key[0] == slot)
        assert focused <= tab.passed[slot, True] + tab.allowed[slot]
        assert counted[slot] - focused <= tab.passed[slot, False] + tab.allowed[slot]


def check_persons(tabs: Iterable[Tab]) -> None:
    """Nobody is granted more of a slot than 15 s, or than their pages were in view in it."""
    keys = current_app.extensions["portal_keys"]
    subjects = {tab: read_token(keys, tab.token).subject for tab in tabs}
    late = {subject for tab, subject in subjects.items() if tab.lagged}
    truth: Counter[Any] = Counter()
    for tab, subject in subjects.items():
        truth.update({(subject, slot): n for slot, n in tab.truth.items()})
    counted: Counter[Any] = Counter()
    for slot, loads in attention_by_slot().items():
        for load, counts in loads.items():
            counted[load.subject, slot] += sum(counts[:4])
    for (subject, slot), n in counted.items():
        assert n <= SLOT
        assert subject in late or n <= truth[subject, slot]


@examples(12)
@given(devices=scenarios(), rng=st.randoms(use_true_random=False))
def test_replaying_acknowledged_reports_changes_no_row_and_no_number(
    world: World, devices: list[Device], rng: random.Random
) -> None:
    these = arrivals(world.tabs(devices))
    post_all(these)
    end = the_end(devices, these)
    for moment in (end, end + 100 * HOUR):
        # The second time all days are folded.
        run_jobs(moment)
        rows, sums = base_rows(), numbers()
        again = rng.sample(these, min(len(these), 15))
        post_all([replace(delivery, moment=moment) for delivery in again])
        assert base_rows() == rows
        run_jobs(moment)
        assert numbers() == sums
    assert db.session.query(Slot).count() == 0


def the_end(devices: Iterable[Device], these: Sequence[Delivery]) -> int:
    """When the last report has arrived and everybody is gone."""
    ends = [d.starts + sum(stretch.lasts for stretch in d.stretches) for d in devices]
    return max(*ends, 0, *(delivery.moment for delivery in these))


@examples(12)
@given(devices=scenarios(), hours=st.lists(st.integers(0, 130), max_size=6))
def test_folding_while_reports_still_come_changes_no_total(
    world: World, devices: list[Device], hours: list[int]
) -> None:
    these = arrivals(world.tabs(devices))
    post_all(these)
    rebuild()
    plain = numbers()
    wipe()
    end = the_end(devices, these) + 100 * HOUR
    post_all(these, jobs=[*(devices[0].starts + hour * HOUR for hour in hours), end])
    assert numbers() == plain
    assert db.session.query(Slot).count() == 0
    assert differences() == []


CLAIMS = st.lists(
    st.tuples(
        st.sampled_from(
            ["full", "full", "ahead", "before", "crowded", "page", "later", "altered", "swapped"]
        ),
        st.integers(0, 9),
        st.integers(0, 100),
    ),
    min_size=2,
    max_size=8,
)


@examples(12)
@given(devices=scenarios(calm=True), claims=CLAIMS)
def test_forged_claims_change_nothing_or_stay_within_the_persons_wall_time(
    world: World, devices: list[Device], claims: list[tuple[str, int, int]]
) -> None:
    tabs = world.tabs(devices)
    these = arrivals(tabs)
    taken = post_all(these)
    now = the_end(devices, these)
    forgers = {CUSTOMER + 1}
    with clock.at(clock.from_ms(now)):
        for kind, which, n in claims:
            tab = tabs[which % len(tabs)]
            before = base_rows()
            if kind == "full":
                # In every slot of every tab of this device.
                forgers.add(tab.device.person)
                for one in (other for other in tabs if other.device is tab.device):
                    assert post_body(forged(world, one, kind, n)).status_code == 200
            else:
                assert is_refused(post_body(forged(world, tab, kind, n)))
                assert base_rows() == before
    stored = stored_lines()
    for tab in tabs:
        if tab.device.person not in forgers:
            honest = greatest([some.fresh(some.report.lines) for some in taken[tab]])
            assert stored.get(load_of(tab), {}) == honest
    rebuild()
    check_wall_time()
    check_sums()
    assert differences() == []


def is_refused(answer: TestResponse) -> bool:
    """Whether a report was not taken: not at all, or as too old."""
    stale = answer.status_code == 200 and answer.json is not None and answer.json["skipped"] > 0
    return stale or 400 <= answer.status_code < 500


def forged(world: World, tab: Tab, kind: str, n: int) -> bytes:
    """A report that no script of ours would send from this tab now."""
    token, now = tab.token, clock.now_ms()
    known = read_token(current_app.extensions["portal_keys"], token)
    last = min(now // SLOT + SLOTS_AHEAD, (known.expires_at - 1) // SLOT)
    first = max(known.issued_at // SLOT, last - 30)
    rows, activated = [row(last, active=1_000)], None
    if kind == "full":
        activated = known.issued_at
        rows = [row(slot, active=SLOT) for slot in range(first, last + 1)]
    elif kind == "ahead":
        rows = [row(now // SLOT + SLOTS_AHEAD + 1 + n, active=1)]
    elif kind == "before":
        rows = [row(known.issued_at // SLOT - 1 - n, active=1)]
    elif kind == "crowded":
        rows = [row(last, 1, active=SLOT), row(last, 2, idle=1 + n)]
    elif kind == "page":
        rows = [row(last, known.page_count + 1 + n, active=1)]
    elif kind == "later":
        activated = now + (SLOTS_AHEAD + 1) * SLOT + n
    elif kind == "altered":
        at = n % (len(token) - 1)
        token = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
    elif kind == "swapped":
        other = world.issue(tab.device, 1, now + n)
        token = token.rpartition(".")[0] + "." + other.rpartition(".")[2]
    return msgspec.json.encode({"t": token, "s": rows, "a": activated})


@examples(12)
@given(
    devices=scenarios(),
    after=st.sampled_from(
        [3 * SECOND, 10 * SECOND, MINUTE, 2 * HOUR, 41 * HOUR, 60 * HOUR, 90 * HOUR]
    ),
)
def test_what_is_erased_at_any_moment_stays_erased_and_the_totals_stay(
    world: World, devices: list[Device], after: int
) -> None:
    moment, who = devices[0].starts + after, devices[0].person
    keys = current_app.extensions["portal_keys"]
    # What the person opens afterwards gets another pseudonym, and is `check_new_reading`.
    tabs = [
        tab
        for tab in world.tabs(devices)
        if tab.device.person != who or read_token(keys, tab.token).issued_at < moment
    ]
    these = arrivals(tabs)
    erased = {read_token(keys, t.token).subject for t in tabs if t.device.person == who}
    early = [d for d in these if d.moment < moment]
    late = [d for d in these if d.moment >= moment]
    mine = [d for d in late if d.report.tab.device.person == who]
    post_all([d for d in these if d not in mine])
    rebuild()
    plain = numbers()
    wipe()
    post_all(early, jobs=[moment])
    with clock.at(clock.from_ms(moment)), write() as session:
        if who == CUSTOMER:
            erasure.erase(session.connection(), erased)
        else:
            erase_reading(session, world.people[who].id)
    for delivery in late:
        if delivery in mine:
            refuse(delivery)
        else:
            post_all([delivery])
    rebuild()
    assert db.session.query(Load).where(Load.subject.in_(erased)).count() == 0
    assert numbers() == plain
    assert differences() == []
    if who != CUSTOMER:
        check_new_reading(world, devices[0], erased, the_end(devices, these))


def refuse(delivery: Delivery) -> None:
    """Post a report of a person who was erased: nothing of it is taken."""
    before = base_rows()
    with clock.at(clock.from_ms(delivery.moment)):
        assert post_body(delivery.report.body).status_code < 500
    assert base_rows() == before


def check_new_reading(world: World, device: Device, erased: set[uuid.UUID], now: int) -> None:
    """What somebody reads after their erasure is one more view of one more person."""
    always = Scope(date(2026, 3, 1), date(2026, 5, 1))
    token = world.issue(device, 0, now)
    assert read_token(current_app.extensions["portal_keys"], token).subject not in erased
    views, people = metrics.total(db.session(), always).views, metrics.people(db.session(), always)
    with clock.at(clock.from_ms(now)):
        body = {"t": token, "s": [row(now // SLOT, active=900)], "a": now}
        assert post_body(msgspec.json.encode(body)).status_code == 200
        rebuild()
    assert metrics.total(db.session(), always).views == views + 1
    assert metrics.people(db.session(), always) == people + 1
    assert differences() == []


@examples(10)
@given(devices=scenarios())
def test_the_devices_behind_a_link_are_told_apart_and_no_device_exceeds_wall_time(
    world: World, devices: list[Device]
) -> None:
    devices = [replace(device, person=CUSTOMER, agent=n % 2) for n, device in enumerate(devices)]
    tabs = world.tabs(devices)
    post_all(arrivals(tabs))
    rebuild()
    check_persons(tabs)
    check_wall_time()
    check_sums()
    agents = {load_of(tab): tab.device.agent for tab in tabs}
    loads = db.session.scalars(select(Load)).all()
    assert {load.audience for load in loads} <= {"customer"}
    assert len({load.device for load in loads}) == len({agents[load.id] for load in loads})
    assert differences() == []


# --- and that all of it does happen ---------------------------------------------------------------


def test_the_scenarios_hold_everything_that_may_go_wrong() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(scenarios())
    def look(devices: list[Device]) -> None:
        seen.update(set(features(devices)))

    look()
    assert {feature: seen[feature] for feature in FEATURES if seen[feature] < 5} == {}


FEATURES = {
    "two devices of one person at once",
    "windows side by side beyond the cap",
    "sleep that the page slept through",
    "a clock that was set",
    "a page that comes late",
    "reading over midnight",
    "several pages in a slot",
    "a tab of which nothing arrives",
    "the last report is lost",
    "too late for its slots",
    "doubled",
    "overtaken",
    "longer than the life of its token",
}


def features(devices: list[Device]) -> Iterator[str]:
    """What is nasty about a scenario."""
    tabs = [tab for device in devices for tab in run(device, lambda *_load: "")]
    focus: Counter[tuple[int, int]] = Counter()
    view: Counter[tuple[int, int]] = Counter()
    for device in devices:
        if any(stretch.step for stretch in device.stretches):
            yield "a clock that was set"
    for tab in tabs:
        person = tab.device.person
        for (slot, focused), n in tab.passed.items():
            focus[person, slot] += n if focused else 0
            view[person, slot] += n
        yield from _features_of(tab)
    if max(focus.values()) > SLOT:
        yield "two devices of one person at once"
    if any(n > SLOT and focus[key] <= SLOT for key, n in view.items()):
        yield "windows side by side beyond the cap"


def _features_of(tab: Tab) -> Iterator[str]:
    slots = {slot for slot, _focused in tab.passed}
    if tab.gaps:
        yield "sleep that the page slept through"
    if tab.lagged:
        yield "a page that comes late"
    if len({clock.local_day(clock.slot_start(slot), BERLIN) for slot in slots}) > 1:
        yield "reading over midnight"
    if slots and (max(slots) * SLOT - tab.born) > events.TOKEN_LIFE_MS:
        yield "longer than the life of its token"
    if not tab.reports:
        return
    if not any(report.arrivals for report in tab.reports):
        yield "a tab of which nothing arrives"
    elif not tab.reports[-1].arrivals:
        yield "the last report is lost"
    known = Counter(slot for slot, _page in tab.reports[-1].credited)
    if max(known.values(), default=0) > 1:
        yield "several pages in a slot"
    for number, report in enumerate(tab.reports):
        if len(report.arrivals) > 1:
            yield "doubled"
        for moment in report.arrivals:
            if any(slot * SLOT < moment - MAX_AGE_MS - SLOT for slot, _page in report.lines):
                yield "too late for its slots"
            if any(moment > other for r in tab.reports[number + 1 :] for other in r.arrivals):
                yield "overtaken"
