"""Days are rebuilt from base rows, and every number equals the same question asked of them."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection, Engine

from portal import cli, clock, pace
from portal.accounts.models import User
from portal.content.models import Asset
from portal.db import db, new_id, write, write_connection
from tests.factories import make_asset, make_partner, make_user, version_of
from tests.people import anna, jonas, lena, mia
from tests.tracking.numbers import check_sums, check_wall_time
from tests.tracking.reports import post, post_body, row, slot_now, token_for
from tracking import erasure, events, metrics, retention, rollups, snapshot, verify
from tracking.dwell import SLOT_MS
from tracking.metrics import Scope
from tracking.models import Folded, Load, Mark, Reader, Slot, Tombstone
from tracking.sums import AssetSum, DayState, PageSum, PairSum, PartnerSum

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
THAT_DAY = Scope(date(2026, 3, 10), date(2026, 3, 11))
MARCH = Scope(date(2026, 3, 1), date(2026, 4, 1))


def rebuild() -> None:
    """What the job does, until nothing is marked."""
    db.session.rollback()
    for _round in range(5):
        if not rollups.rebuild_marked(db.engine, BERLIN, at_once=True):
            return


def differences() -> list[str]:
    """What `portal verify` would print, and the days that it would not compare."""
    waiting: list[date] = []
    return [*verify.differences(db.engine, BERLIN, waiting.extend), *map(str, waiting)]


def read(person: User, asset: Asset, seconds: int, *, page: int = 1, share: bool = False) -> None:
    """`person` reads for so many seconds from now on, at the stopped clock."""
    now = clock.now_ms()
    token = token_for(person, asset)
    rows, left, at = [], seconds * 1000, now
    while left > 0:
        part = min(left, SLOT_MS - at % SLOT_MS)
        rows.append(row(at // SLOT_MS, page, active=part))
        at, left = at + part, left - part
    with clock.at(clock.from_ms(at)):
        assert post(token, *rows, activated=now + 1).status_code == 200


def test_a_day_shows_views_dwell_downloads_shares_and_likes(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON) as forward:
        read(lena(), asset, 40)
        forward(timedelta(minutes=10))
        read(jonas(), asset, 5, page=3)
        db.session.rollback()
        with write() as session:
            person = session.get_one(User, lena().id)
            viewer = events.Viewer(person.id, person.partner_id, "partner")
            events.grant_download(session, viewer, asset.id, version_of(asset).id, 9, BERLIN)
            events.like(session, person, asset.id, BERLIN)
            events.like(session, person, asset.id, BERLIN)
        rebuild()
    found = metrics.total(db.session(), THAT_DAY)
    assert (found.views, found.engaged_views, found.dwell) == (2, 1, 45_000)
    assert (found.downloads, found.likes) == (1, 1)
    assert metrics.people(db.session(), THAT_DAY) == 2
    assert metrics.readerships(db.session(), THAT_DAY, [asset.id])[asset.id].median == 5
    strip = metrics.pages(db.session(), THAT_DAY, version_of(asset).id)
    assert [(page.page, page.readers, page.dwell) for page in strip] == [
        (1, 1, 40_000),
        (3, 1, 5_000),
    ]
    assert differences() == []


def test_the_vendors_own_reading_is_kept_and_not_counted(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON):
        token = token_for(anna(), asset, audience="vendor")
        post(token, row(clock.now_ms() // SLOT_MS, active=9000), activated=clock.now_ms())
        rebuild()
    assert db.session.query(Load).count() == 1
    assert not metrics.total(db.session(), THAT_DAY)
    assert differences() == []


def test_two_windows_of_one_person_count_once_over_assets(app: Flask) -> None:
    one, other = make_asset("One"), make_asset("Other")
    with clock.at(NOON):
        at = clock.now_ms() // SLOT_MS
        post(
            token_for(lena(), one), row(at, active=10_000, reading=5_000), activated=clock.now_ms()
        )
        post(token_for(lena(), other), row(at, glance=15_000), activated=clock.now_ms())
        rebuild()
    found = metrics.by_asset(db.session(), THAT_DAY)
    assert found[one.id].dwell == 15_000
    assert found[other.id].dwell == 0
    kept = db.session.scalars(select(PairSum).where(PairSum.asset_id == other.id)).one()
    assert (kept.glance, kept.overlap) == (0, 15_000)


def test_what_is_said_of_single_loads_is_what_counts_of_them(app: Flask) -> None:
    one, other = make_asset("One"), make_asset("Other")
    with clock.at(NOON):
        now, at = clock.now_ms(), clock.slot_of(NOON)
        tokens = [token_for(person, one) for person in (lena(), lena(), jonas())]
        for token in tokens:
            post(token, row(at, active=10_000), row(at + 1, active=1_000), activated=now)
        post(token_for(lena(), other), row(at, 2, active=10_000), activated=now)
        # What a program says of itself takes nothing away from its person.
        body = {"t": token_for(lena(), one), "s": [row(at, active=15_000)], "m": True}
        post_body(msgspec.json.encode(body))
        rebuild()
    load_ids = db.session.scalars(select(Load.id).where(Load.asset_id == one.id)).all()
    counted = metrics.by_asset(db.session(), THAT_DAY)
    assert counted[one.id].dwell == 5_000 * 2 + 10_000 + 3_000
    for _time in range(2):
        found = metrics.attention_of_loads(db.session(), load_ids)
        assert set(found) == set(load_ids)
        active = sorted(sum(page[0] for page in pages.values()) for pages in found.values())
        assert active == [6_000, 6_000, 11_000, 15_000]
        db.session.rollback()
        retention.fold(db.engine, NOON.date(), BERLIN)


def test_a_view_over_midnight_counts_on_the_day_it_began_and_its_time_on_both(app: Flask) -> None:
    asset = make_asset()
    with clock.at(datetime(2026, 3, 10, 22, 59, 50, tzinfo=UTC)):
        read(lena(), asset, 30)
        rebuild()
    days = metrics.by_day(db.session(), Scope(date(2026, 3, 10), date(2026, 3, 12)))
    assert {day.isoformat(): (found.views, found.dwell) for day, found in days.items()} == {
        "2026-03-10": (1, 10_000),
        "2026-03-11": (0, 20_000),
    }
    scope = Scope(date(2026, 3, 10), date(2026, 3, 12))
    assert metrics.readerships(db.session(), scope, [asset.id])[asset.id].median == 30
    assert differences() == []
    assert db.session.query(Mark).count() == 0


def test_rebuilding_again_changes_nothing(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON):
        read(lena(), asset, 20)
        rebuild()
        before = stored_rows()
        rollups.mark(db.engine, [date(2026, 3, 10)])
        rebuild()
    assert stored_rows() == before


def through(
    monkeypatch: pytest.MonkeyPatch, door: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """Let every write of a rebuild go through this door."""
    for module in (rollups, pace):
        monkeypatch.setattr(module, "write_connection", door)


def test_a_quiet_day_is_one_write_and_all_its_newcomers_another(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, doors = make_asset(), 0

    def counted_door(engine: Engine) -> AbstractContextManager[Connection]:
        nonlocal doors
        doors += 1
        return write_connection(engine)

    for hours in (0, 24, 72):
        with clock.at(NOON + timedelta(hours=hours)):
            read(jonas() if hours else lena(), asset, 20)
    through(monkeypatch, counted_door)
    assert rollups.rebuild_marked(db.engine, BERLIN, at_once=True) == 3
    # Two days that follow each other, and one that stands alone and has nobody new.
    assert doors == 3 + 1
    assert differences() == []


def stored_rows() -> list[tuple[object, ...]]:
    """Every row of two rollups."""
    db.session.rollback()
    found: list[tuple[object, ...]] = []
    for model in (PartnerSum, AssetSum, PairSum, PageSum):
        found += [tuple(r) for r in db.session.execute(select(model.__table__))]
    return sorted(found, key=str)


class InTurns:
    """Rebuilds of one day in threads of their own: each step of one ends before its next write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
        self._app = app
        self._mine = threading.local()
        self.results: dict[str, object] = {}
        self._steps: dict[str, tuple[threading.Semaphore, threading.Semaphore]] = {}

        def waiting_door(engine: Engine) -> AbstractContextManager[Connection]:
            if hasattr(self._mine, "pause"):
                self._mine.pause()
            return write_connection(engine)

        through(monkeypatch, waiting_door)
        # Every row is a write of its own.
        monkeypatch.setattr(rollups, "CHUNK_ROWS", 1)

    def step(self, name: str, times: int = 1) -> None:
        """Let `name` go on, each time to its next write; its first step reads the day."""
        if name not in self._steps:
            self._steps[name] = threading.Semaphore(0), threading.Semaphore(0)
            threading.Thread(target=self._run, args=(name,)).start()
        go, done = self._steps[name]
        for _time in range(times):
            if name not in self.results:
                go.release()
                assert done.acquire(timeout=10)

    def _run(self, name: str) -> None:
        go, done = self._steps[name]

        def pause() -> None:
            done.release()
            go.acquire()

        go.acquire()
        self._mine.pause = pause
        try:
            with self._app.app_context():
                self.results[name] = rollups.rebuild(db.engine, NOON.date(), BERLIN)
        except Exception as error:
            self.results[name] = error
        done.release()


@pytest.mark.parametrize("takes_back", [False, True], ids=["more", "less"])
def test_two_rebuilds_of_a_day_write_between_each_other_and_no_change_is_lost(
    app: Flask, monkeypatch: pytest.MonkeyPatch, takes_back: bool
) -> None:
    with clock.at(NOON) as forward:
        read(jonas(), make_asset("Old"), 20)
        rebuild()
        for written, meanwhile in itertools.product(range(4), range(1, 4)):
            forward(timedelta(minutes=1))
            asset = make_asset(f"New {written} {meanwhile}")
            token, now = token_for(lena(), asset), clock.now_ms()
            post(token, row(slot_now(), active=9_000), activated=now)
            turns = InTurns(monkeypatch, app)
            turns.step("first", 1 + written)
            if takes_back:
                # It was a program: what the first is about to write is wrong by now.
                body = {"t": token, "s": [row(slot_now(), active=9_000)], "m": True}
                post_body(msgspec.json.encode(body))
            else:
                post(token_for(jonas(), asset), row(slot_now(), active=9_000), activated=now)
            turns.step("second")
            turns.step("first", meanwhile)
            turns.step("second", 50)
            turns.step("first", 50)
            monkeypatch.undo()
            assert sorted(map(str, turns.results.values())) == ["False", "True"]
            # What was not rebuilt has kept its marks.
            rebuild()
            assert differences() == []


def test_a_changed_number_is_found_by_verify(app: Flask) -> None:
    with clock.at(NOON):
        read(lena(), make_asset(), 20)
        rebuild()
    with write_connection(db.engine) as connection:
        connection.execute(update(PairSum).values(views=7))
    assert len(differences()) == 1
    assert "views" in differences()[0]


def test_a_report_that_comes_while_verifying_is_no_difference(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, rebuild_marked = make_asset(), rollups.rebuild_marked
    with clock.at(NOON):
        read(jonas(), asset, 20)
        token = token_for(lena(), asset)

        def then_somebody_reads(*args: Any, **more: Any) -> int:
            done = rebuild_marked(*args, **more)
            post(token, row(slot_now(), active=9_000), activated=clock.now_ms())
            return done

        monkeypatch.setattr(cli, "_app", lambda _settings: app)
        with monkeypatch.context() as patched:
            patched.setattr(rollups, "rebuild_marked", then_somebody_reads)
            compared = CliRunner().invoke(cli.portal, ["verify"])
        assert (compared.stdout, compared.exit_code) == ("", 0), compared.output
        assert "Not compared" in compared.stderr
        assert "2026-03-10" in compared.stderr
        again = CliRunner().invoke(cli.portal, ["verify"])
        assert (again.output, again.exit_code) == ("", 0)
        with write_connection(db.engine) as connection:
            connection.execute(update(PairSum).values(views=7))
        wrong = CliRunner().invoke(cli.portal, ["verify"])
        assert wrong.exit_code == 1
        assert "views" in wrong.stdout


def test_days_that_share_a_view_with_a_waiting_one_are_not_compared(app: Flask) -> None:
    asset, midnight = make_asset(), 11 * 240  # slots after noon UTC
    with clock.at(NOON):
        over_it: list[tuple[int, ...]] = [(0, 1, 5_000, 0, 0, 0), (1, 1, 5_000, 0, 0, 0)]
        add_load(lena(), asset, midnight - 1, over_it, 16_000)
        rebuild()
        assert metrics.by_day(db.session(), MARCH)[date(2026, 3, 11)].views == 1
        # The same view, as it turns out, began the day before: it moves there.
        add_load(lena(), asset, midnight - 2, [(0, 1, 5_000, 0, 0, 0)], 1_000)
        assert differences() == [f"2026-03-{day:02}" for day in (9, 10, 11, 12)]
        rebuild()
        assert metrics.by_day(db.session(), MARCH)[date(2026, 3, 10)].views == 1
    assert differences() == []


def test_a_day_that_was_rebuilt_in_the_future_is_due(app: Flask) -> None:
    with clock.at(NOON) as forward:
        forward(timedelta(days=1))
        read(lena(), make_asset(), 20)
        rebuild()
        forward(timedelta(hours=-1))
        read(jonas(), make_asset("Other"), 20)
        assert rollups.rebuild_marked(db.engine, BERLIN) == 1


def test_numbers_are_as_of_the_oldest_change_that_waits(app: Flask) -> None:
    with clock.at(NOON) as forward:
        assert metrics.as_of(db.session()) is None
        read(lena(), make_asset(), 20)
        rebuild()
        forward(timedelta(hours=1))
        assert metrics.as_of(db.session()) == clock.now()
        since = clock.now()
        rollups.mark(db.engine, [NOON.date()])
        forward(timedelta(minutes=5))
        rollups.mark(db.engine, [NOON.date(), date(2026, 3, 9)])
        rollups.rebuild(db.engine, date(2026, 3, 9), BERLIN)
        db.session.rollback()
        assert metrics.as_of(db.session()) == since


PIECE = st.tuples(
    st.integers(0, 2),  # who
    st.integers(0, 1),  # which asset
    st.integers(0, 2 * 24 * 240),  # issued so many slots after the first noon
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 3), *[st.integers(0, 15_000)] * 4),
        max_size=4,
    ),
    st.one_of(st.none(), st.integers(0, 60_000)),
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECE, max_size=12), st.randoms(use_true_random=False))
def test_days_rebuilt_in_any_order_equal_the_base_rows(
    app: Flask,
    pieces: list[tuple[int, int, int, list[tuple[int, ...]], int | None]],
    rng: random.Random,
) -> None:
    """Rules 2 and 3: nobody exceeds wall time; pages add up to assets; any order, any number of
    partial rebuilds gives the same rows as one from nothing."""
    people, assets = [lena(), jonas(), mia()], [make_asset("A"), make_asset("B")]
    wipe()
    for who, which, after, lines, activated in pieces:
        add_load(people[who], assets[which], after, lines, activated)
        if rng.random() < 0.3:
            rollups.rebuild_marked(db.engine, BERLIN, at_once=True)
    rebuild()
    assert differences() == []
    step_by_step = stored_rows()
    with write_connection(db.engine) as connection:
        for table in (*snapshot.TABLES.values(), DayState.__table__):
            connection.execute(delete(table))
    with db.engine.connect() as connection:
        days = verify.days_with_rows(connection, BERLIN)
    rollups.mark(db.engine, days)
    rebuild()
    assert stored_rows() == step_by_step
    check_wall_time()
    check_sums()
    # In any order of folding, with rebuilds between: no number changes.
    rng.shuffle(days)
    for day in days:
        retention.fold(db.engine, day, BERLIN)
        rollups.mark(db.engine, [day])
        if rng.random() < 0.3:
            rebuild()
    rebuild()
    assert db.session.query(Slot).count() == 0
    assert stored_rows() == step_by_step
    assert differences() == []
    # Nor does erasing a person, who is still counted, as somebody.
    with write_connection(db.engine) as connection:
        erasure.erase(connection, [people[0].id])
    rollups.mark(db.engine, days)
    rebuild()
    assert stored_rows() == step_by_step


def wipe() -> None:
    """No attention at all."""
    db.session.rollback()
    with write_connection(db.engine) as connection:
        tables = (*snapshot.TABLES.values(), DayState, Mark, Folded, Slot, Load, Reader, Tombstone)
        for table in tables:
            connection.execute(delete(table))


def add_load(
    person: User, asset: Asset, after: int, lines: list[tuple[int, ...]], activated: int | None
) -> None:
    """Base rows as the endpoint would have stored them."""
    first = clock.slot_of(NOON) + after
    slots: dict[tuple[int, int], tuple[int, ...]] = {}
    for offset, page, *buckets in lines:
        taken = sum(sum(slots[key][:4]) for key in slots if key[0] == first + offset)
        if taken + sum(buckets) <= SLOT_MS:
            slots[first + offset, page] = tuple(buckets)
    load_id = new_id()
    row = {
        "id": load_id,
        "subject": person.id,
        "partner_id": person.partner_id,
        "audience": "partner",
        "asset_id": asset.id,
        "version_id": version_of(asset).id,
        "share_id": None,
        "page_count": 3,
        "issued_at": first * SLOT_MS,
        "activated_at": None if activated is None else first * SLOT_MS + activated,
        "last_slot": max((slot for slot, _page in slots), default=0),
    }
    names = ("active", "reading", "idle", "glance")
    rows = [
        {"load_id": load_id, "slot": slot, "page": page, **dict(zip(names, buckets, strict=True))}
        for (slot, page), buckets in slots.items()
    ]
    moments = [slot * SLOT_MS for slot, _page in slots]
    moments += [row["activated_at"]] if row["activated_at"] else []  # type: ignore[list-item]
    days = {clock.local_day(clock.from_ms(moment), BERLIN) for moment in moments}
    db.session.rollback()
    with write_connection(db.engine) as connection:
        connection.execute(insert(Load), [row])
        if rows:
            connection.execute(insert(Slot), rows)
    rollups.mark(db.engine, days)


def test_sets_of_partners_say_the_same_as_the_rows_of_each_partner(app: Flask) -> None:
    rng, assets = random.Random(3), [make_asset("One"), make_asset("Other")]
    sellers = [make_user(partner=make_partner()) for _n in range(5)]
    for _view in range(25):
        day = NOON + timedelta(days=rng.randrange(50), minutes=rng.randrange(300))
        with clock.at(day):
            read(rng.choice(sellers), rng.choice(assets), 2)
    rebuild()
    session, addressed = db.session(), frozenset(x.partner_id for x in sellers if x.partner_id)
    for length in (5, 40, 80):
        scope = Scope(date(2026, 3, 12), date(2026, 3, 12) + timedelta(days=length))
        counted: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        for pair in session.scalars(select(PairSum).where(scope.within(PairSum))):
            counted[pair.asset_id].add(pair.partner_id)
        found = metrics.readerships(session, scope, [asset.id for asset in assets])
        assert {key: of.partners for key, of in found.items()} == {
            key: len(partners) for key, partners in counted.items()
        }
    for asset in assets:
        rows = select(PairSum.partner_id, func.min(PairSum.day)).group_by(PairSum.partner_id)
        first = session.execute(rows.where(PairSum.asset_id == asset.id)).all()
        days = sorted(day for _partner, day in first)
        reached = metrics.reach(session, {asset.id: addressed})[asset.id]
        assert (reached.opened, reached.half) == (len(days), days[2] if len(days) > 2 else None)
        last = select(func.max(PairSum.day)).where(PairSum.asset_id == asset.id)
        assert metrics.last_views(session, [asset.id]) == {asset.id: session.scalar(last)}
    assert differences() == []


def test_any_period_says_what_its_days_say_together(app: Flask) -> None:
    """Read from months, dekads and days, some of them taken away from the others."""
    rng, assets = random.Random(5), [make_asset("One"), make_asset("Other")]
    sellers = [make_user(partner=make_partner()) for _n in range(3)]
    for _view in range(40):
        day = NOON + timedelta(days=rng.randrange(70), minutes=rng.randrange(300))
        with clock.at(day):
            someone, asset = rng.choice(sellers), rng.choice(assets)
            read(someone, asset, rng.randrange(1, 40), page=rng.randrange(1, 4))
    rebuild()
    session, first = db.session(), date(2026, 3, 1)
    for _period in range(12):
        since = first + timedelta(days=rng.randrange(60))
        scope = Scope(since, since + timedelta(days=rng.randrange(1, 60)))
        days = [since + timedelta(days=n) for n in range((scope.until - since).days)]
        single = [Scope(day, day + timedelta(days=1)) for day in days]
        for ask in (metrics.by_asset, metrics.by_partner, by_page, by_version, activities):
            together: dict[Any, list[int]] = {}
            for of_day in single:
                for key, values in ask(session, of_day).items():
                    together[key] = added(together.get(key), values)
            found = {key: added(None, values) for key, values in ask(session, scope).items()}
            assert found == together, (ask, scope)
        viewed = [found for found in map(metrics.total, itertools.repeat(session), single) if found]
        assert metrics.total(session, scope).views == sum(found.views for found in viewed)


def added(before: list[int] | None, values: Any) -> list[int]:
    """The sum of figures, by place; those that are no numbers left out."""
    numbers = [value for value in values if isinstance(value, int)]
    return [sum(pair) for pair in zip(before or [0] * len(numbers), numbers, strict=True)]


def activities(session: Any, scope: Scope) -> dict[Any, tuple[int, int]]:
    """Of the partners that had any."""
    found = metrics.activities_by_partner(session, scope)
    return {key: values for key, values in found.items() if any(values)}


def by_page(session: Any, scope: Scope) -> dict[Any, tuple[int, int]]:
    """Views and dwell of every page."""
    return {page.page: (page.readers, page.dwell) for page in metrics.pages(session, scope)}


def by_version(session: Any, scope: Scope) -> dict[Any, tuple[int, int]]:
    """Readers of all pages, by version and page."""
    assets = list(metrics.by_asset(session, scope))
    found = metrics.readers_by_page(session, scope, assets)
    return {
        (key, page): (readers, 0)
        for key, of_pages in found.items()
        for page, readers in of_pages.items()
    }
