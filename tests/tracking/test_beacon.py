"""`POST /t`: what is stored, what is refused, and that neither can be confused."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from flask import Flask, current_app
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock
from portal.db import db, new_id
from portal.errors import Busy
from tests.factories import make_asset
from tests.people import lena
from tests.tracking.reports import newly_refused, post, post_body, row, slot_now, stored, token_for
from tracking import committer as committing
from tracking.committer import Committer, Entry
from tracking.events import read_token
from tracking.models import Load, Slot


def slots() -> list[tuple[int, ...]]:
    """Every slot row, without its load."""
    columns = (Slot.slot, Slot.page, Slot.active, Slot.reading, Slot.idle, Slot.glance)
    db.session.rollback()
    return sorted(tuple(found) for found in db.session.execute(select(*columns)))


def test_a_report_is_stored_with_its_load_and_a_mark(app: Flask) -> None:
    token = token_for(lena(), make_asset())
    answer = post(token, row(slot_now(), 2, active=3000, idle=500), activated=clock.now_ms())
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["skipped"] == 0
    assert slots() == [(slot_now(), 2, 3000, 0, 500, 0)]
    assert stored() == {"load": 1, "slot": 1, "mark": stored()["mark"]}
    assert db.session.scalars(select(Load)).one().activated_at is not None


def test_making_a_page_counts_nothing(app: Flask) -> None:
    token_for(lena(), make_asset())
    assert stored() == {"load": 0, "slot": 0, "mark": 0}


def test_a_replayed_report_changes_nothing(app: Flask) -> None:
    token, at = token_for(lena(), make_asset()), slot_now()
    for _time in range(3):
        assert post(token, row(at, 1, active=5000)).status_code == 200
    assert slots() == [(at, 1, 5000, 0, 0, 0)]


REPORTS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), *[st.integers(0, 1200)] * 4),
        max_size=5,
        unique_by=lambda line: line[:2],
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REPORTS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_reports_do_not_matter(
    app: Flask, reports: list[list[tuple[int, ...]]], rng: random.Random
) -> None:
    asset, at = make_asset(), slot_now()
    tokens = [token_for(lena(), asset, subject=new_id()) for _copy in range(2)]
    shuffled = reports * 2
    rng.shuffle(shuffled)
    for token, sequence in zip(tokens, (reports, shuffled), strict=True):
        for lines in sequence:
            rows = [[at + line[0], *line[1:]] for line in lines]
            assert post(token, *rows).status_code == 200
    ids = [read_token(current_app.extensions["portal_keys"], token).load_id for token in tokens]
    db.session.rollback()
    kept = [
        {
            (s.slot, s.page): (s.active, s.reading, s.idle, s.glance)
            for s in db.session.scalars(select(Slot).where(Slot.load_id == load_id))
        }
        for load_id in ids
    ]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"t": "x"}',
        b'{"t": 1, "s": []}',
        b'{"t": "x", "s": [], "more": 1}',
        b'{"t": "x", "s": [[1, 1, 1.5, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, NaN, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, -1, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, 15001, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 0, 1, 0, 0, 0]]}',
        b'{"t": "x", "s": [[99999999999, 1, 1, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, 1, 0, 0]]}',
        b'{"t": "x", "s": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"t": "x", "s": [[1, 1, 1' + b"0" * 5000 + b", 0, 0, 0]]}",
        b'{"t": "x", "s": [[1, 1, 1e3, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, Infinity, 0, 0, 0]]}',
        b'{"t": "x", "s": [[1, 1, true, 0, 0, 0]]}',
        b'{"t": "x", "s": [], "a": -1}',
        b'{"t": "x", "s": [], "a": 99999999999999999999}',
        b'{"t": "\xff\xfe", "s": []}',
        b'{"t": "' + b"x" * 70_000 + b'", "s": []}',
        b'{"t": "x", "s": [' + b"[1,1,1,0,0,0]," * 4001 + b"[1,1,1,0,0,0]]}",
    ],
)
def test_what_no_script_of_ours_sends_is_refused_and_counted(app: Flask, body: bytes) -> None:
    newly_refused()
    # By its form: a good token would not help it.
    assert post_body(body).status_code in (400, 413)
    # Without a length, as in chunks.
    assert post_body(body, CONTENT_LENGTH="").status_code in (400, 413)
    assert sum(newly_refused().values()) == 2
    assert stored()["load"] == 0


@pytest.mark.parametrize(
    ("length", "status"),
    [("0" * 13 + "99999999", 413), ("9" * 5000, 413), ("65537", 413), ("-1", 400), ("1e3", 400)],
)
def test_a_length_that_no_report_has_is_refused_and_counted(
    app: Flask, length: str, status: int
) -> None:
    newly_refused()
    assert post_body(b"{}", CONTENT_LENGTH=length).status_code == status
    assert sum(newly_refused().values()) == 1


def test_a_report_may_come_without_its_length(app: Flask) -> None:
    body = {"t": token_for(lena(), make_asset()), "s": [row(slot_now(), active=1000)]}
    assert post_body(msgspec.json.encode(body), CONTENT_LENGTH="").status_code == 200
    assert stored()["slot"] == 1


def test_a_token_made_elsewhere_is_refused(app: Flask) -> None:
    newly_refused()
    token = token_for(lena(), make_asset())
    assert post(token[:-2] + "xx", row(slot_now(), active=1)).status_code == 403
    assert post("", row(slot_now(), active=1)).status_code == 403
    assert newly_refused()["token"] == 2
    assert stored()["load"] == 0


def test_another_sites_page_is_refused(app: Flask) -> None:
    newly_refused()
    token = token_for(lena(), make_asset())
    for origin in ("https://evil.example", "null", "http://127.0.0.1:80000", ""):
        assert post(token, row(slot_now(), active=1), origin=origin).status_code == 403
    # A browser may leave the origin out, and then says otherwise where the page is from.
    for site, code in (("cross-site", 403), ("same-origin", 200)):
        answer = post(token, row(slot_now(), active=1), origin=None, HTTP_SEC_FETCH_SITE=site)
        assert answer.status_code == code
    assert newly_refused()["token"] == 5
    assert stored()["load"] == 1


def test_time_outside_the_life_of_a_page_is_refused(app: Flask) -> None:
    newly_refused()
    asset = make_asset()
    token = token_for(lena(), asset)
    assert post(token, row(slot_now() + 3, active=1)).status_code == 400
    assert post(token, row(slot_now(back=5), active=1)).status_code == 400
    assert post(token, row(slot_now(), 6, active=1)).status_code == 400
    assert (
        post(token, row(slot_now(), 1, active=9000), row(slot_now(), 2, active=9000)).status_code
        == 400
    )
    for moment in (clock.now_ms() - 60_000, 0):
        answer = post(token, row(slot_now(), active=1), activated=moment)
        assert answer.status_code == 400
    expired = token_for(lena(), asset, at=clock.now() - timedelta(hours=25))
    assert post(expired, row(slot_now(), active=1)).status_code == 400
    assert newly_refused()["form"] == 7
    assert stored()["load"] == 0


def test_slots_older_than_48_hours_are_skipped_and_do_not_block_others(app: Flask) -> None:
    old = token_for(lena(), make_asset(), at=clock.now() - timedelta(hours=49))
    stale, fresh = slot_now(back=49 * 240), slot_now(back=26 * 240)
    answer = post(old, row(stale, active=1000), row(fresh, active=2000))
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["skipped"] == 1
    assert [found[0] for found in slots()] == [fresh]


def test_a_view_whose_activation_is_older_than_48_hours_counts_from_the_first_moment_taken(
    app: Flask,
) -> None:
    then, asset = clock.now() - timedelta(hours=49), make_asset()
    old, long_over = (token_for(lena(), asset, at=then, subject=new_id()) for _n in range(2))
    stale, fresh, moment = slot_now(49 * 240 - 1), slot_now(26 * 240), clock.to_ms(then) + 30_000
    post(old, row(stale, active=1000), row(fresh, active=2000), activated=moment)
    load = db.session.scalars(select(Load)).one()
    assert load.activated_at is not None
    assert 0 <= clock.now_ms() - 48 * 3600 * 1000 - load.activated_at < 60_000
    # Where nothing of the reading is taken any more there is nothing to count.
    assert post(long_over, row(stale, active=1000), activated=moment).status_code == 200
    assert stored()["load"] == 1


def test_a_report_about_content_that_is_gone_is_refused_and_blocks_nobody(app: Flask) -> None:
    keys = current_app.extensions["portal_keys"]
    good, bad = token_for(lena(), make_asset()), read_token(keys, token_for(lena(), make_asset()))
    gone = bad._replace(asset_id=bad.load_id)
    committer: Committer = current_app.extensions["portal_beacon"].committer
    entries = [
        Entry(read_token(keys, good), None, {(slot_now(), 1): (1, 0, 0, 0)}),
        Entry(gone, None, {(slot_now(), 1): (1, 0, 0, 0)}),
    ]
    db.session.rollback()
    committer._commit(entries, time.monotonic() + 2)
    assert [entry.outcome for entry in entries] == ["committed", "refused"]
    assert stored()["load"] == 1


def test_a_report_that_we_stumble_over_ourselves_fails_alone(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, asset, person = current_app.extensions["portal_keys"], make_asset(), lena()
    tokens = [read_token(keys, token_for(person, asset)) for _n in range(3)]
    entries = [Entry(token, None, {(slot_now(), 1): (1, 0, 0, 0)}) for token in tokens]
    real = committing.touched_days

    def stumble(entry: Entry, zone: ZoneInfo) -> Any:
        if entry is entries[1]:
            raise ValueError("a date that no calendar has")
        return real(entry, zone)

    monkeypatch.setattr(committing, "touched_days", stumble)
    db.session.rollback()
    committer: Committer = current_app.extensions["portal_beacon"].committer
    committer._commit(entries, time.monotonic() + 2)
    assert [entry.outcome for entry in entries] == ["committed", "failed", "committed"]


def test_with_16_waiting_a_failed_commit_acknowledges_none_that_is_not_stored(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, asset, person = current_app.extensions["portal_keys"], make_asset(), lena()
    tokens = [read_token(keys, token_for(person, asset)) for _n in range(32)]
    engine, real = db.engine, committing.Merge.apply
    together, failures = threading.Barrier(16), iter(range(1000))

    def apply(self: committing.Merge, connection: Any, rows: committing.Rows) -> None:
        real(self, connection, rows)
        # Every second transaction fails after its rows were written, before its commit.
        if next(failures) % 2 == 1:
            raise OSError("the disk is full")

    monkeypatch.setattr(committing.Merge, "apply", apply)
    committer = Committer(lambda: engine, lambda: ZoneInfo("UTC"), waiting=16)
    outcomes: dict[Any, bool] = {}

    def send(token: Any) -> None:
        together.wait()
        try:
            committer.store(Entry(token, None, {(slot_now(), 1): (1000, 0, 0, 0)}))
            outcomes[token.load_id] = True
        except Busy:
            outcomes[token.load_id] = False

    db.session.rollback()
    # All 16 may share one transaction; those after them are in another.
    for some in (tokens[:16], tokens[16:]):
        threads = [threading.Thread(target=send, args=[token]) for token in some]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kept = set(db.session.scalars(select(Slot.load_id)))
    acknowledged = {load_id for load_id, ok in outcomes.items() if ok}
    assert len(outcomes) == 32
    assert acknowledged == kept
    assert 0 < len(acknowledged) < 32


def test_when_too_many_wait_the_next_is_told_to_come_again(app: Flask) -> None:
    keys = current_app.extensions["portal_keys"]
    token = read_token(keys, token_for(lena(), make_asset()))
    engine = db.engine
    committer = Committer(lambda: engine, lambda: ZoneInfo("UTC"), waiting=2, patience=0.3)
    committer._led = True  # somebody leads, and their commit does not come to an end
    entries = [Entry(token, None, {(slot_now(), 1): (1000, 0, 0, 0)}) for _n in range(3)]
    refused: list[Entry] = []

    def send(entry: Entry) -> None:
        try:
            committer.store(entry)
        except Busy:
            refused.append(entry)

    threads = [threading.Thread(target=send, args=[entry]) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert committer._queue == []
    assert stored()["load"] == 0


def test_the_lead_goes_on_until_everyone_who_came_meanwhile_is_stored(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, asset, person = current_app.extensions["portal_keys"], make_asset(), lena()
    tokens = [read_token(keys, token_for(person, asset)) for _n in range(24)]
    engine, real = db.engine, committing.Merge.apply
    sizes: list[int] = []

    def apply(self: committing.Merge, connection: Any, rows: committing.Rows) -> None:
        sizes.append(len(rows.loads))
        time.sleep(0.02)
        real(self, connection, rows)

    monkeypatch.setattr(committing.Merge, "apply", apply)
    committer = Committer(lambda: engine, lambda: ZoneInfo("UTC"), waiting=24)
    together = threading.Barrier(24)

    def send(token: Any) -> None:
        together.wait()
        committer.store(Entry(token, None, {(slot_now(), 1): (1000, 0, 0, 0)}))

    db.session.rollback()
    threads = [threading.Thread(target=send, args=[token]) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored()["load"] == sum(sizes) == 24
    # The first alone or with a few, then all that came during its commit at once.
    assert len(sizes) < 8
    assert not committer._led
