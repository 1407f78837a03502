"""Days grow old: folded, sealed, and nobody's pseudonym of the day outlives it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from flask import Flask, current_app
from sqlalchemy import event, select, update

from portal import clock, jobs
from portal.accounts.models import PrivacyMode, User
from portal.content.models import Asset
from portal.db import db, write, write_connection
from portal.runner import JobFailed, JobState
from tests.factories import make_asset, version_of
from tests.people import jonas, kuehn, lena, mia
from tests.tracking.reports import post, post_body, row, slot_now, token_for
from tests.tracking.test_hardening import area_token
from tests.tracking.test_rollups import add_load, differences, read, rebuild, stored_rows
from tracking import erasure, events, metrics, retention, rollups, verify
from tracking.events import read_token
from tracking.metrics import Scope
from tracking.models import (
    Download,
    Folded,
    Load,
    Mark,
    Reader,
    Removal,
    Search,
    Slot,
    SubjectKind,
    Watched,
)
from tracking.sums import DayState

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MARCH = Scope(date(2026, 3, 1), date(2026, 4, 1))


def grow_old(now: datetime, months: int = 13) -> int:
    """What the job does at `now`."""
    with clock.at(now):
        return retention.age(db.engine, BERLIN, now, months)


def test_a_day_is_folded_48_hours_after_its_end_and_no_number_changes(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON) as forward:
        read(lena(), asset, 40)
        forward(timedelta(minutes=10))
        read(jonas(), asset, 20, page=3)
        rebuild()
    before = stored_rows()
    the_end = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
    grow_old(the_end + timedelta(hours=48))
    assert db.session.query(Folded).count() == 0
    db.session.rollback()
    grow_old(the_end + timedelta(hours=49))
    assert (db.session.query(Slot).count(), db.session.query(Folded).count()) == (0, 2)
    rollups.mark(db.engine, [NOON.date()])
    rebuild()
    assert stored_rows() == before
    assert differences() == []


def test_what_is_reported_again_after_folding_adds_nothing(app: Flask) -> None:
    # Only a server's clock that was days ahead folds a day so early.
    asset = make_asset()
    with clock.at(NOON) as forward:
        token, now = token_for(lena(), asset), clock.now_ms()
        assert post(token, row(slot_now(), active=9_000), activated=now).status_code == 200
        rebuild()
        before = stored_rows()
        retention.fold(db.engine, NOON.date(), BERLIN)
        forward(timedelta(seconds=30))
        again = [row(slot_now(2), active=9_000)], [row(slot_now(2), active=15_000), row(slot_now())]
        for rows in again:
            answer = post(token, *rows, activated=now)
            assert (answer.status_code, answer.json) == (
                200,
                {"now": clock.now_ms(), "skipped": 1},
            )
        rebuild()
        assert stored_rows() == before
        # Other days of the same report are taken.
        late = token_for(jonas(), asset, at=datetime(2026, 3, 10, 22, 59, 50, tzinfo=UTC))
        midnight = clock.slot_of(datetime(2026, 3, 10, 23, 0, tzinfo=UTC))
        forward(timedelta(hours=12))
        rows = [row(midnight - 1, active=9_000), row(midnight, active=8_000)]
        assert post(late, *rows).json == {"now": clock.now_ms(), "skipped": 1}
    db.session.rollback()
    assert db.session.scalars(select(Slot.active)).all() == [8_000]
    rebuild()
    assert differences() == []


def test_folding_that_was_killed_is_taken_up_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = make_asset()
    with clock.at(NOON):
        read(lena(), asset, 40)
        read(jonas(), asset, 20, page=3)
        rebuild()
    before = stored_rows()
    with monkeypatch.context() as patched:
        patched.setattr(retention, "_LOADS_AT_ONCE", 1)
        patched.setattr(retention, "_replace_slots", killed_after(1, retention._replace_slots))
        with pytest.raises(Killed):
            grow_old(NOON + timedelta(days=4))
    db.session.rollback()
    assert db.session.query(Folded).count() == 1
    rollups.mark(db.engine, [NOON.date()])
    rebuild()
    assert stored_rows() == before
    assert differences() == []
    grow_old(NOON + timedelta(days=4))
    db.session.rollback()
    assert (db.session.query(Slot).count(), db.session.query(Folded).count()) == (0, 2)
    assert differences() == []


class Killed(Exception):
    """The process ends here."""


def killed_after(times: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which is not come to any more after so many times."""
    left = [times]

    def until_then(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return function(*args, **more)

    return until_then


def test_a_view_over_midnight_is_the_same_when_one_of_its_days_is_folded(app: Flask) -> None:
    asset = make_asset()
    with clock.at(datetime(2026, 3, 10, 22, 59, 50, tzinfo=UTC)):
        read(lena(), asset, 30)
        rebuild()
    before = stored_rows()
    for day in (date(2026, 3, 10), date(2026, 3, 11)):
        retention.fold(db.engine, day, BERLIN)
        rollups.mark(db.engine, [date(2026, 3, 10), date(2026, 3, 11)])
        rebuild()
        assert stored_rows() == before
        assert differences() == []
    assert db.session.query(Slot).count() == 0


def test_after_13_months_the_raw_rows_go_and_the_numbers_stay(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON):
        read(lena(), asset, 40)
        rebuild()
    before = stored_rows()
    grow_old(NOON + timedelta(days=30))
    assert db.session.query(Load).count() == 1
    db.session.rollback()
    grow_old(NOON + timedelta(days=430))
    assert (db.session.query(Load).count(), db.session.query(Folded).count()) == (0, 0)
    assert stored_rows() == before
    removal = db.session.scalars(select(Removal)).one()
    assert (removal.why, removal.rows) == ("retention", {"folded": 1, "load": 1})
    # Verifying and rebuilding leave it alone, and say so.
    assert differences() == []
    with db.engine.connect() as connection:
        assert verify.sealed_days(connection) == [NOON.date()]
    rollups.mark(db.engine, [NOON.date()])
    rebuild()
    assert stored_rows() == before
    assert db.session.query(Mark).count() == 0


def test_what_was_looked_for_and_played_goes_with_the_rest(app: Flask) -> None:
    with clock.at(NOON) as forward:
        played, now = {"b": "AQ==", "p": 900, "d": 8}, clock.now_ms()
        token = token_for(lena(), make_asset())
        post(area_token("atex"), row(slot_now(), active=900), activated=now)
        forward(timedelta(seconds=1))
        body = {"t": token, "s": [row(slot_now(), active=900)], "a": clock.now_ms(), "v": played}
        assert post_body(msgspec.json.encode(body)).status_code == 200
        rebuild()
    grow_old(NOON + timedelta(days=430))
    db.session.rollback()
    assert [db.session.query(model).count() for model in (Load, Search, Watched)] == [0, 0, 0]
    removed = db.session.scalars(select(Removal)).one().rows
    assert removed == {"folded": 2, "library_search": 1, "load": 2, "watched": 1}


def test_the_job_removes_by_the_setting_and_goes_on_after_a_kill(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, version_id = make_asset(), version_of(make_asset("File")).id
    with clock.at(NOON):
        for person in (lena(), jonas(), mia()):
            read(person, asset, 40)
        with write() as session:
            viewer = events.Viewer(lena().id, lena().partner_id, "partner")
            events.grant_download(session, viewer, asset.id, version_id, 9, BERLIN)
        rebuild()
    before, settings = stored_rows(), app.config["SETTINGS"]

    def job(months: int) -> str:
        changed = dataclasses.replace(settings, retention_months=months)
        monkeypatch.setitem(app.config, "SETTINGS", changed)
        db.session.rollback()
        with clock.at(NOON + timedelta(days=70)), suppress(JobFailed):
            jobs.run_now("age_days")
        return db.session.get_one(JobState, "age_days", populate_existing=True).error

    assert job(months=0) == job(months=3) == ""
    assert counts(Load, Download) == [3, 1]
    with monkeypatch.context() as patched:
        patched.setattr(retention, "_LOADS_AT_ONCE", 1)
        patched.setattr(retention, "_remove_loads", killed_after(2, retention._remove_loads))
        assert job(months=2) == "Killed: "
    assert counts(Load, Download) == [1, 1]
    # From its first removal on, the day is not computed again.
    rollups.mark(db.engine, [NOON.date()])
    rebuild()
    assert stored_rows() == before
    assert differences() == []
    assert job(months=2) == ""
    assert counts(Load, Folded, Download) == [0, 0, 0]
    assert stored_rows() == before
    removals = db.session.scalars(select(Removal).order_by(Removal.at)).all()
    rows = sum((Counter(removal.rows) for removal in removals), Counter[str]())
    assert rows == {"load": 3, "folded": 3, "download": 1}
    assert [removal.why for removal in removals] == ["retention"] * 2


def counts(*models: Any) -> list[int]:
    """How many rows there are of each."""
    db.session.rollback()
    return [db.session.query(model).count() for model in models]


def test_who_read_on_a_sealed_day_is_known_by_a_number_only(app: Flask) -> None:
    asset = make_asset()
    for day in (10, 11):
        with clock.at(NOON.replace(day=day)):
            read(lena(), asset, 40)
            if day == 10:
                read(jonas(), asset, 40)
    rebuild()
    people = metrics.people(db.session(), MARCH)
    db.session.rollback()
    readers = {row.subject: row.number for row in db.session.scalars(select(Reader))}
    grow_old(NOON + timedelta(days=5))
    retention.seal(db.engine, NOON.date(), BERLIN)
    db.session.rollback()
    left = {row.subject: row.number for row in db.session.scalars(select(Reader))}
    # Lena's other day is not sealed yet. Partners have numbers, too, and keep them.
    assert set(readers) & set(left) == {lena().id, kuehn().id}
    assert sorted(left.values()) == sorted(readers.values())
    assert metrics.people(db.session(), MARCH) == people == 2
    assert differences() == []


def test_a_view_of_many_days_is_removed_when_it_has_ended(app: Flask) -> None:
    asset, length = make_asset(), 5_750
    for part in range(5):
        reading: list[tuple[int, ...]] = [(0, 1, 9_000, 0, 0, 0)]
        reading += [(length - 1, 1, 9_000, 0, 0, 0)]
        add_load(lena(), asset, part * length, reading, 1_000)
    rebuild()
    before = stored_rows()
    for day in (date(2026, 3, n) for n in range(10, 16)):
        assert counts(Load) == [5]
        retention.fold(db.engine, day, BERLIN)
        retention.seal(db.engine, day, BERLIN)
        rollups.mark(db.engine, [day + timedelta(days=1)])
        rebuild()
    assert stored_rows() == before
    assert counts(Load, Folded) == [0, 0]


def test_a_view_that_goes_on_after_a_sealed_day_stays_one_view(app: Flask) -> None:
    asset = make_asset()
    with clock.at(datetime(2026, 3, 10, 22, 59, 50, tzinfo=UTC)):
        read(lena(), asset, 30)
        rebuild()
    for day in (date(2026, 3, 10), date(2026, 3, 11)):
        retention.fold(db.engine, day, BERLIN)
    before = stored_rows()
    retention.seal(db.engine, date(2026, 3, 10), BERLIN)
    rollups.mark(db.engine, [date(2026, 3, 11)])
    rebuild()
    assert stored_rows() == before
    assert differences() == []
    retention.seal(db.engine, date(2026, 3, 11), BERLIN)
    db.session.rollback()
    assert db.session.query(Load).count() == 0


def test_without_a_limit_nothing_is_removed(app: Flask) -> None:
    with clock.at(NOON):
        read(lena(), make_asset(), 40)
        rebuild()
    grow_old(NOON + timedelta(days=4000), months=0)
    assert db.session.query(Load).count() == 1
    assert db.session.scalars(select(DayState.sealed_at)).all().count(None) >= 1


def daily_token(person: User, asset: Asset) -> str:
    """A page load under the privacy mode that knows organisations only."""
    keys = current_app.extensions["portal_keys"]
    day = clock.local_day(clock.now(), BERLIN)
    viewer = events.viewer_for(keys, person, PrivacyMode.organisation, day)
    version = version_of(asset)
    return events.issue_token(
        keys, viewer, asset_id=asset.id, version_id=version.id, page_count=version.page_count
    )


def test_a_pseudonym_of_the_day_is_dropped_when_no_report_can_come_any_more(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON) as forward:
        for _load in range(2):
            now = clock.now_ms()
            post(daily_token(lena(), asset), row(now // 15_000, active=9_000), activated=now)
            forward(timedelta(minutes=5))
        rebuild()
        viewer = read_token(current_app.extensions["portal_keys"], daily_token(lena(), asset))
        who = events.Viewer(viewer.subject, kuehn().id, "partner", subject_kind=SubjectKind.daily)
        with write() as session:
            events.grant_download(session, who, asset.id, version_of(asset).id, 9, BERLIN)
        rebuild()
    db.session.rollback()
    subjects = db.session.scalars(select(Load.subject)).all()
    assert len(set(subjects)) == 1
    before = stored_rows()
    grow_old(datetime(2026, 3, 13, 23, 0, tzinfo=UTC))
    db.session.rollback()
    assert db.session.scalars(select(Load.subject)).all() == subjects
    grow_old(datetime(2026, 3, 13, 23, 10, tzinfo=UTC))
    db.session.rollback()
    dropped = db.session.scalars(select(Load)).all()
    # Still one person, whom nobody can find again.
    assert len({load.subject for load in dropped}) == 1
    assert dropped[0].subject not in subjects
    assert {load.subject_kind for load in dropped} == {SubjectKind.dropped}
    download = db.session.scalars(select(Download)).one()
    assert download.subject == dropped[0].subject
    assert download.subject_kind == SubjectKind.dropped
    rollups.mark(db.engine, [NOON.date()])
    rebuild()
    assert stored_rows() == before
    # People of one day only are never counted over days.
    assert metrics.people(db.session(), MARCH) == 0
    assert metrics.total(db.session(), MARCH).views == 2


def test_what_is_erased_stays_erased_whatever_is_reported_later(app: Flask) -> None:
    asset, person = make_asset(), lena()
    with clock.at(NOON) as forward:
        token = token_for(person, asset)
        slot = clock.now_ms() // 15_000
        assert post(token, row(slot, active=5_000), activated=clock.now_ms()).status_code == 200
        rebuild()
        before = stored_rows()
        with write_connection(db.engine) as connection:
            cut = erasure.erase(connection, [person.id])
        assert cut == Counter({"load": 1, "reader": 1, "download": 0})
        forward(timedelta(seconds=10))
        late = post(token, row(slot, active=9_000))
        assert 400 <= late.status_code < 500
        other = post(token_for(jonas(), asset), row(slot, 2, active=1_000))
        assert other.status_code == 200
    db.session.rollback()
    assert db.session.query(Load).where(Load.subject == person.id).count() == 0
    assert db.session.query(Load).count() == 2
    assert max(db.session.scalars(select(Slot.active))) == 5_000
    with clock.at(NOON):
        rollups.mark(db.engine, [NOON.date()])
        db.session.rollback()
        rebuild()
    # The organisation's numbers are what they were, and one more.
    assert metrics.people(db.session(), MARCH) == 1
    assert metrics.total(db.session(), MARCH).views == 1
    assert before
    assert differences() == []
    removal = db.session.scalars(select(Removal)).one()
    assert (removal.why, removal.rows) == ("erasure", {"load": 1, "reader": 1})


def test_erasing_finds_the_rows_of_a_person_without_reading_all(app: Flask) -> None:
    with clock.at(NOON):
        post(token_for(lena(), make_asset()), row(slot_now(), active=5_000))
    with write_connection(db.engine) as connection:
        connection.execute(update(Load).values(device=7))
    said: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        said.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", listen)
    with write_connection(db.engine) as connection:
        erasure.erase(connection, [lena().id])
    event.remove(db.engine, "before_cursor_execute", listen)
    db.session.rollback()
    load = db.session.scalars(select(Load)).one()
    assert load.subject != lena().id
    assert load.device is None
    changes = [one for one in said if one[0].startswith("UPDATE")]
    assert len(changes) == 3
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            for statement, parameters in changes:
                explain = f"EXPLAIN QUERY PLAN {statement}"
                plan = [r[3] for r in connection.exec_driver_sql(explain, parameters)]
                assert plan
                assert all(line.startswith("SEARCH") for line in plan), plan


def test_months_are_the_sum_of_their_days_and_answer_for_them(app: Flask) -> None:
    asset = make_asset()
    for day in (3, 17, 31):
        with clock.at(datetime(2026, 3, day, 12, 0, tzinfo=UTC)):
            read(lena(), asset, 10 * day)
    with clock.at(datetime(2026, 4, 2, 12, 0, tzinfo=UTC)):
        read(jonas(), asset, 60)
        rebuild()
    session = db.session()
    # Whole months, days beside them, and days alone give the same.
    for since, until, views, dwell, people in (
        (date(2026, 3, 1), date(2026, 4, 1), 3, 510_000, 1),
        (date(2026, 2, 10), date(2026, 4, 3), 4, 570_000, 2),
        (date(2026, 3, 4), date(2026, 3, 31), 1, 170_000, 1),
        (date(2026, 3, 17), date(2026, 4, 2), 2, 480_000, 1),
    ):
        scope = Scope(since, until)
        found = metrics.total(session, scope)
        assert (found.views, found.dwell) == (views, dwell)
        assert metrics.people(session, scope) == people
        assert metrics.by_partner(session, scope)[kuehn().id].views == views
        assert metrics.by_asset(session, scope)[asset.id].dwell == dwell
        assert sum(day.views for day in metrics.by_day(session, scope).values()) == views
        one = Scope(since, until, partner_id=kuehn().id, asset_id=asset.id)
        assert metrics.total(session, one).dwell == dwell
    scope = Scope(date(2026, 3, 1), date(2026, 4, 3))
    assert metrics.readerships(session, scope, [asset.id])[asset.id].median == 60
