"""What must neither inflate a number nor get lost: machines, devices, parts of files, floods."""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock
from portal.accounts.models import User
from portal.content.models import ShareLink
from portal.db import db, new_id, write
from tests.conftest import Browse
from tests.factories import make_asset, version_of
from tests.people import anna, kuehn, lena, mia
from tests.tracking.reports import (
    newly_refused,
    post,
    post_body,
    refusals,
    row,
    slot_now,
    stored,
    token_for,
)
from tests.tracking.test_rollups import differences, rebuild
from tracking import erasure, events, metrics, ranges
from tracking.intake import BURST, is_program
from tracking.metrics import Scope
from tracking.models import Download, Load, Refusals, Search, Watched
from tracking.sums import Grain, SearchSum
from tracking.watching import Playing, is_possible

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
THAT_DAY = Scope(date(2026, 3, 10), date(2026, 3, 11))


# --- machines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent",
    ["", "Mozilla/5.0 HeadlessChrome/142.0", "Googlebot/2.1", "Barracuda Sentinel", "curl/8.5"],
)
def test_the_name_of_a_program_is_known(agent: str) -> None:
    assert is_program(agent)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/142.0 Mobile",
        "Mozilla/5.0 (Linux; Android 9; Cubot) AppleWebKit/537.36 Chrome/120.0 Mobile",
    ],
)
def test_a_phone_with_the_name_of_a_program_is_none(agent: str) -> None:
    assert not is_program(agent)


def test_what_a_program_reads_is_kept_and_not_counted(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON):
        now = clock.now_ms()
        post(token_for(lena(), asset), row(slot_now(), active=9_000), activated=now)
        for said, agent in ((True, "Mozilla/5.0 Chrome/142"), (False, "SafeLinks/1.0")):
            body = {"t": token_for(lena(), asset), "s": [row(slot_now(), active=9_000)], "a": now}
            sent = msgspec.json.encode({**body, "m": said})
            assert post_body(sent, agent=agent).status_code == 200
        rebuild()
    assert db.session.query(Load).count() == 3
    found = metrics.total(db.session(), THAT_DAY)
    assert (found.views, found.dwell) == (1, 9_000)
    assert differences() == []


def test_a_load_that_turns_out_to_be_a_machine_is_taken_out_again(app: Flask) -> None:
    with clock.at(NOON):
        token, now = token_for(lena(), make_asset()), clock.now_ms()
        post(token, row(slot_now(), active=9_000), activated=now)
        rebuild()
        assert metrics.total(db.session(), THAT_DAY).views == 1
        body = {"t": token, "s": [row(slot_now(), active=9_500)], "m": True}
        post_body(msgspec.json.encode(body))
        rebuild()
    assert metrics.total(db.session(), THAT_DAY).views == 0
    assert differences() == []


# --- the end of a reading -------------------------------------------------------------------------


def test_a_view_is_measured_to_the_end_when_its_last_report_arrived(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON):
        now = clock.now_ms()
        post(token_for(lena(), asset), row(slot_now(), active=9_000), activated=now)
        body = {"t": token_for(mia(), asset), "s": [row(slot_now(), active=9_000)], "a": now}
        assert post_body(msgspec.json.encode({**body, "l": now + 9_000})).status_code == 200
        rebuild()
    found = metrics.total(db.session(), THAT_DAY)
    assert (found.views, found.ended_views) == (2, 1)


def test_the_last_time_a_reader_left_decides_in_whichever_order_it_is_told(app: Flask) -> None:
    with clock.at(NOON):
        now = clock.now_ms()
        token, second = token_for(lena(), make_asset()), slot_now(back=-1)
        for moment, slots in ((now + 20_000, [row(second, active=900)]), (now + 3_000, [])):
            body = {"t": token, "s": [row(slot_now(), active=900), *slots], "a": now, "l": moment}
            assert post_body(msgspec.json.encode(body)).status_code == 200
        rebuild()
    load = db.session.scalars(select(Load)).one()
    assert (load.last_slot, load.left_at) == (second, now + 20_000)
    assert metrics.total(db.session(), THAT_DAY).ended_views == 1


def test_leaving_a_tab_after_the_life_of_its_page_loses_nothing(app: Flask) -> None:
    token = token_for(lena(), make_asset(), at=clock.now() - timedelta(hours=25))
    body = {"t": token, "s": [row(slot_now(back=61 * 4), active=900)], "l": clock.now_ms()}
    assert post_body(msgspec.json.encode(body)).status_code == 200
    assert stored()["slot"] == 1


# --- floods ---------------------------------------------------------------------------------------


def test_a_thousand_reports_in_a_second_from_one_person_are_mostly_refused(app: Flask) -> None:
    token, other = token_for(lena(), make_asset()), token_for(mia(), make_asset("Other"))
    # The portal's own limit is per person, whatever the page.
    codes = [post(token, row(slot_now(), active=n)).status_code for n in range(1, 1001)]
    assert set(codes) == {200, 429}
    assert BURST <= codes.count(200) < BURST + 200
    assert codes[-1] == 429
    assert stored()["load"] == 1
    assert post(other, row(slot_now(), active=1)).status_code == 200
    counters = current_app.extensions["portal_beacon"].refused
    counters.write(db.engine)
    counted = db.session.scalars(select(Refusals).where(Refusals.reason == "rate")).one()
    assert counted.n >= codes.count(429)


def test_what_was_refused_is_counted_by_reason(app: Flask) -> None:
    newly_refused()
    post_body(b"{")
    post("made elsewhere", row(slot_now(), active=1))
    assert +Counter(newly_refused()) == {"form": 1, "token": 1}
    post_body(b"[")
    assert +Counter(newly_refused()) == {"form": 1}


def test_what_was_refused_is_written_down_from_time_to_time_and_at_the_end(app: Flask) -> None:
    newly_refused()
    beacon, before, ended = current_app.extensions["portal_beacon"], refusals(), threading.Event()
    worker = threading.Thread(target=ended.wait)
    writing = threading.Thread(target=beacon.write_refusals, args=[worker, 0.1])
    worker.start()
    writing.start()
    post_body(b"{")
    until = time.monotonic() + 5
    while refusals() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert refusals()["form"] == before.get("form", 0) + 1
    post_body(b"{")
    ended.set()
    writing.join(5)
    assert refusals()["form"] == before.get("form", 0) + 2


# --- downloads ------------------------------------------------------------------------------------


def grants() -> list[Download]:
    """Every download, in the order of granting."""
    db.session.rollback()
    return list(db.session.scalars(select(Download).order_by(Download.granted_at)))


def test_a_download_has_started_and_is_complete_when_all_was_sent(browse: Browse) -> None:
    version = version_of(make_asset())
    assert browse(lena()).get(f"/library/files/{version.id}").status_code == 200
    one = grants()[0]
    assert (one.ranges, one.size) == (f"0-{version.size}", version.size)
    assert one.started_at is not None
    assert one.completed_at is not None


def test_parts_and_a_resumed_download_count_once(browse: Browse) -> None:
    # Measured elsewhere: 1 203 downloads where there were 824, because of range requests.
    version, browser = version_of(make_asset()), browse(lena())
    path = f"/library/files/{version.id}"
    first = browser.get(path, headers={"Range": "bytes=0-3"})
    assert (first.status_code, first.data) == (206, b"%PDF")
    assert first.headers["Content-Range"] == f"bytes 0-3/{version.size}"
    assert grants()[0].completed_at is None
    for part in ("bytes=2-6", "bytes=9-", "bytes=4-8"):
        assert browser.get(path, headers={"Range": part}).status_code == 206
    assert len(grants()) == 1
    assert grants()[0].completed_at is not None
    assert grants()[0].ranges == f"0-{version.size}"
    # Another click, later, is another download; another person's is another one, too.
    browser.get(path)
    browse(mia()).get(path)
    assert len(grants()) == 3


def test_what_has_not_changed_and_what_cannot_be_sent_count_nothing(browse: Browse) -> None:
    version, browser = version_of(make_asset()), browse(lena())
    path = f"/library/files/{version.id}"
    same = browser.get(path, headers={"If-None-Match": f'"{version.sha256}"'})
    assert same.status_code == 304
    assert browser.get(path, headers={"Range": "bytes=900-"}).status_code == 416
    assert browser.head(path).headers["Accept-Ranges"] == "bytes"
    assert grants() == []


def at_once(tasks: Sequence[Callable[[], None]]) -> None:
    """Run all of these at the same moment, each as a request of its own."""
    together = threading.Barrier(len(tasks))

    def run(task: Callable[[], None]) -> None:
        together.wait()
        task()

    db.session.rollback()
    threads = [threading.Thread(target=run, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_parts_fetched_side_by_side_are_one_complete_download(browse: Browse) -> None:
    path, codes = f"/library/files/{version_of(make_asset()).id}", list[int]()

    def fetch(browser: FlaskClient, part: str) -> None:
        headers = {"Range": f"bytes={part}"}
        with browser.get(path, headers=headers, buffered=True) as answer:
            codes.append(answer.status_code)

    parts = ("0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-", "0-3")
    at_once([partial(fetch, browse(lena()), part) for part in parts])
    assert codes == [206] * 8
    assert [(one.ranges, one.completed_at is not None) for one in grants()] == [("0-13", True)]


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "curl/8.5"},
        {"User-Agent": "Barracuda Sentinel"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_programs_and_browsers_that_fetch_ahead_get_the_file_and_count_nothing(
    browse: Browse, headers: dict[str, str]
) -> None:
    asset = make_asset()
    path = f"/library/files/{version_of(asset).id}"
    assert browse(lena()).get(path, headers=headers).data == b"%PDF-1.7 test"
    browse(lena()).post(f"/library/{asset.id}/share", data=SHARE)
    slug, stranger = db.session.scalars(select(ShareLink.slug)).one(), browse(None)
    posted = stranger.post(f"/s/{slug}/{asset.id}/download", headers=headers)
    assert posted.data == b"%PDF-1.7 test"
    assert grants() == []
    # Nor does one that follows a person to their download make it complete.
    granted = stranger.post(f"/s/{slug}/{asset.id}/download").location
    assert stranger.get(granted, headers=headers).data == b"%PDF-1.7 test"
    assert [one.started_at for one in grants()] == [None]


def test_only_a_single_range_that_cannot_be_met_is_refused(browse: Browse) -> None:
    version, browser = version_of(make_asset()), browse(lena())
    path, tag = f"/library/files/{version.id}", f'"{version.sha256}"'
    for headers in (
        {"Range": "bytes=0-1,4-5"},
        {"Range": "bytes=x-"},
        {"Range": "pages=1-2"},
        {"Range": "bytes=-900"},
        {"Range": "bytes=4-", "If-Range": '"another"'},
    ):
        whole = browser.get(path, headers=headers)
        assert (whole.status_code, whole.data) == (200, b"%PDF-1.7 test"), headers
    for headers in ({"Range": "bytes=-5"}, {"Range": "bytes=8-", "If-Range": tag}):
        part = browser.get(path, headers=headers)
        assert (part.status_code, part.data) == (206, b" test"), headers
    assert browser.get(path, headers={"Range": "bytes=13-"}).status_code == 416


@pytest.mark.parametrize(("taken", "sent"), [(1, ""), (2, "0-4"), (4, "0-12"), (5, "0-13")])
def test_what_was_never_asked_for_was_not_sent(
    browse: Browse, monkeypatch: pytest.MonkeyPatch, taken: int, sent: str
) -> None:
    # Of four chunks: 4, 4, 4 and 1 byte. The fifth question is whether there are more.
    monkeypatch.setattr("portal.content.delivery.CHUNK", 4)
    version, browser = version_of(make_asset()), browse(lena())
    fetched = browser.open(f"/library/files/{version.id}", method="HEAD").request.environ
    environ = {**fetched, "REQUEST_METHOD": "GET"}

    application = current_app.wsgi_app

    def break_off() -> None:
        body = application(environ, lambda *_answer: lambda _data: None)
        parts = iter(body)
        for _chunk in range(taken):
            next(parts, b"")
        body.close()  # type: ignore[attr-defined]

    at_once([break_off])
    one = grants()[0]
    assert (one.ranges, one.completed_at is not None) == (sent, sent == "0-13")


def test_nothing_is_granted_to_somebody_who_was_erased_meanwhile(app: Flask) -> None:
    asset, subject, link = make_asset(), new_id(), new_id()
    of_person = events.Viewer(subject, kuehn().id, "partner")
    of_link = events.Viewer(new_id(), kuehn().id, "customer", share_id=link)
    db.session.rollback()
    with write() as session:
        erasure.erase(session.connection(), [subject, link])
    for who in (of_person, of_link):
        with write() as session:
            version = version_of(asset)
            found = events.grant_download(session, who, asset.id, version.id, 9, BERLIN)
            assert found is None
    assert grants() == []


def test_a_customers_download_can_be_resumed_at_its_own_address(browse: Browse) -> None:
    asset = make_asset()
    made = browse(lena()).post(f"/library/{asset.id}/share", data=SHARE)
    assert made.status_code == 302
    slug = db.session.scalars(select(ShareLink.slug)).one()
    stranger = browse(None)
    granted = stranger.post(f"/s/{slug}/{asset.id}/download")
    assert granted.status_code == 303
    assert stranger.get(granted.location, headers={"Range": "bytes=0-3"}).data == b"%PDF"
    rest = stranger.get(granted.location, headers={"Range": "bytes=4-"})
    assert rest.status_code == 206
    assert [one.completed_at is not None for one in grants()] == [True]
    # The address of a grant is good for its own link only.
    other = f"/s/{slug}/{asset.id}/files/{new_id()}"
    assert stranger.get(other).status_code == 404


SHARE = {"recipient": "Stadtwerke", "days": "90", "allow_download": "y"}
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12)


@given(SPANS)
def test_the_union_of_parts_is_the_set_of_their_bytes(spans: list[tuple[int, int]]) -> None:
    union: list[tuple[int, int]] = []
    for start, length in spans:
        union = ranges.union(ranges.parse(ranges.text_of(union)), (start, start + length))
    sent = {byte for start, length in spans for byte in range(start, start + length)}
    assert {byte for start, stop in union for byte in range(start, stop)} == sent
    assert sum(stop - start for start, stop in union) == len(sent)
    assert ranges.covers(union, 30) == (sent == set(range(30)))


# --- recordings -----------------------------------------------------------------------------------


def bits(*seconds: int) -> str:
    """Seconds of a recording as the script sends them."""
    value = sum(1 << second for second in seconds)
    return base64.b64encode(value.to_bytes(8, "little")).decode()


def test_seconds_of_a_recording_are_united_and_a_seek_adds_nothing(app: Flask) -> None:
    asset = make_asset()
    with clock.at(NOON) as forward:
        token = token_for(lena(), asset)
        forward(timedelta(seconds=20))
        for seen, played in ((bits(0, 1, 2), 3000), (bits(2, 3, 9), 5000), (bits(0, 1), 2000)):
            body = {"t": token, "s": [], "v": {"b": seen, "p": played, "d": 10}}
            assert post_body(msgspec.json.encode(body)).status_code == 200
    row_ = db.session.scalars(select(Watched)).one()
    playing = Playing(int.from_bytes(row_.seconds, "little"), row_.played_ms, row_.length)
    assert (playing.unique_seconds, playing.played_ms, playing.completion) == (5, 5000, 0.5)
    later = NOON + timedelta(days=1)
    found = metrics.recording(db.session(), asset.id, NOON, later)
    assert found is not None
    assert (found.loads, found.seconds, found.completion) == (1, 5, 0.5)
    assert (found.completed, found.played_ms) == (0, 5000)
    assert metrics.recording(db.session(), asset.id, later, later + timedelta(days=9)) is None
    assert metrics.recording(db.session(), new_id(), NOON, later) is None


@pytest.mark.parametrize(
    "played",
    [
        {"b": "!", "p": 10, "d": 10},
        {"b": bits(11), "p": 10, "d": 10},
        {"b": bits(*range(60)), "p": 100, "d": 60},
        {"b": bits(0), "p": 10_000_000, "d": 10},
        {"b": bits(0), "p": 10, "d": 10_000_000},
        {"b": bits(0), "p": -1, "d": 10},
    ],
)
def test_more_than_a_page_had_time_for_is_refused(app: Flask, played: dict[str, object]) -> None:
    token = token_for(lena(), make_asset())
    body = {"t": token, "s": [], "v": played}
    assert post_body(msgspec.json.encode(body)).status_code == 400
    assert stored()["load"] == 0


def test_a_page_of_the_portal_plays_nothing(app: Flask) -> None:
    body = {"t": area_token(), "s": [], "v": {"b": bits(0), "p": 10, "d": 10}}
    assert post_body(msgspec.json.encode(body)).status_code == 400
    assert db.session.query(Watched).count() == 0


def test_what_was_played_is_taken_for_48_hours_after_the_life_of_its_page(app: Flask) -> None:
    played = {"b": bits(0), "p": 900, "d": 10}
    for hours in (73, 71):
        token = token_for(lena(), make_asset(f"{hours}"), at=clock.now() - timedelta(hours=hours))
        body = {"t": token, "s": [], "v": played}
        assert post_body(msgspec.json.encode(body)).status_code == 200
    assert db.session.query(Watched).count() == 1


@given(st.integers(0, 2**40), st.integers(0, 40_000), st.integers(0, 40))
def test_unique_seconds_never_exceed_what_could_be_played(
    seconds: int, played_ms: int, length: int
) -> None:
    playing = Playing(seconds, played_ms, length)
    if is_possible(playing, 30_000):
        assert playing.unique_seconds <= min(length, 16 * 32 + 2)
        assert 0 <= playing.completion <= 1


# --- areas and searches ---------------------------------------------------------------------------


def area_token(
    words: str = "", results: int = 0, area: str = "library", person: User | None = None
) -> str:
    """One page load of Lena's, or of another `person`, in an area of the portal."""
    keys = current_app.extensions["portal_keys"]
    viewer = events.area_viewer(keys, person or lena(), clock.local_day(clock.now(), BERLIN))
    return events.issue_area_token(keys, viewer, area, words=words, results=results)


def test_time_in_the_portal_is_known_by_area_and_organisation_only(app: Flask) -> None:
    with clock.at(NOON):
        now = clock.now_ms()
        post(area_token(area="deals"), row(slot_now(), active=4_000), activated=now)
        post(area_token(), row(slot_now(), reading=11_000), activated=now)
        post(area_token(), row(slot_now(back=-1), reading=1_000))
        rebuild()
    found = metrics.areas(db.session(), THAT_DAY)
    assert {area: (row.views, row.time) for area, row in found.items()} == {
        "deals": (1, 4_000),
        "library": (1, 12_000),
    }
    assert metrics.areas(db.session(), Scope(*SPAN, partner_id=kuehn().id)) == found
    assert metrics.areas(db.session(), Scope(*SPAN, partner_id=mia().partner_id)) == {}
    # It is no content, and nobody is counted.
    assert not metrics.total(db.session(), THAT_DAY)
    assert {load.subject_kind for load in db.session.scalars(select(Load))} == {1}
    assert differences() == []


SPAN = (date(2026, 3, 10), date(2026, 3, 11))


def test_two_windows_of_the_portal_do_not_double_a_persons_time(app: Flask) -> None:
    with clock.at(NOON):
        for _window in range(2):
            post(area_token(), row(slot_now(), active=15_000), activated=clock.now_ms())
        rebuild()
    assert metrics.areas(db.session(), THAT_DAY)["library"].time == 15_000


def test_a_search_is_counted_when_a_person_saw_its_results(app: Flask) -> None:
    with clock.at(NOON):
        now = clock.now_ms()
        post(area_token("  ATEX  Certificate"), row(slot_now(), active=3_000), activated=now)
        post(area_token("atex certificate"), row(slot_now(), active=1_000))
        seen = area_token("wartung", 3)
        for _report in range(3):
            post(seen, row(slot_now(), active=1_000), activated=now)
        post(area_token("scanned"), row(slot_now(), active=1_000), activated=now, agent="bot")
        rebuild()
    assert db.session.query(Search).count() == 3
    of_day = select(SearchSum).where(SearchSum.grain == Grain.day)
    kept = {(row.words, row.searches, row.in_vain) for row in db.session.scalars(of_day)}
    assert kept == {("atex certificate", 1, 1), ("wartung", 1, 0)}
    found = metrics.searches_in_vain(db.session(), THAT_DAY)
    assert [(row.words, row.times, row.partners) for row in found.rows] == [
        ("atex certificate", 1, 1)
    ]
    assert differences() == []


def test_searches_of_months_are_added_up_with_who_looked_for_them(app: Flask) -> None:
    searched = [
        (lena(), "atex certificate", 0), (mia(), "atex certificate", 35),
        (lena(), "spare parts", 3), (lena(), "spare parts", 3),
        (lena(), "wartung", 5), (mia(), "wartung", 6),
        (lena(), "once", 40), (mia(), "often", 20), (mia(), "often", 41), (mia(), "often", 42),
    ]  # fmt: skip
    for person, words, after in searched:
        with clock.at(NOON + timedelta(days=after)):
            now, token = clock.now_ms(), area_token(words, person=person)
            post(token, row(slot_now(), active=1_000), activated=now)
    rebuild()
    period, session = Scope(date(2026, 3, 9), date(2026, 4, 30)), db.session()
    found = metrics.searches_in_vain(session, period)
    assert [(one.words, one.times, one.partners) for one in found.rows] == [
        ("often", 3, 1), ("atex certificate", 2, 2), ("wartung", 2, 2), ("spare parts", 2, 1),
        ("once", 1, 1),
    ]  # fmt: skip
    assert found.rows[1].last == date(2026, 4, 14)
    assert (found.total, found.times) == (5, 10)
    # What one partner alone looked for now and then is left out, and counted nevertheless.
    for limit in (None, 1, 2):
        often = metrics.searches_in_vain(session, period, often=3, limit=limit)
        names = ["often", "atex certificate", "wartung"][:limit]
        assert [one.words for one in often.rows] == names
        assert (often.total, often.times) == (3, 7)
    assert metrics.times_in_vain(session, period) == 10
    assert metrics.searches_of(session, period, ["wartung", "spare parts"]) == [
        (lena().partner_id, "spare parts", 2),
        (lena().partner_id, "wartung", 1),
        (mia().partner_id, "wartung", 1),
    ]
    assert differences() == []


def test_a_search_is_counted_on_the_day_its_results_were_looked_at(app: Flask) -> None:
    with clock.at(datetime(2026, 3, 10, 22, 59, 50, tzinfo=UTC)) as forward:
        token = area_token("wartung", 3)
        forward(timedelta(seconds=20))
        post(token, row(slot_now(), active=1_000), activated=clock.now_ms())
        rebuild()
    kept = db.session.scalars(select(SearchSum).where(SearchSum.grain == Grain.day)).one()
    assert (kept.day, kept.searches) == (date(2026, 3, 11), 1)
    assert differences() == []


def test_a_page_that_is_open_over_all_of_a_short_day_is_corrected_on_each_of_its_days(
    app: Flask,
) -> None:
    # 24 hours from ten seconds before the day of 23 hours on which summer begins.
    before, on, after = (date(2026, 3, n) for n in (28, 29, 30))
    evening = datetime(2026, 3, 28, 22, 59, 50, tzinfo=UTC)

    def views() -> list[int]:
        rebuild()
        spans = [Scope(day, day + timedelta(days=1)) for day in (before, on, after)]
        found = [metrics.areas(db.session(), span).get("library") for span in spans]
        assert differences() == []
        return [area.views if area else -1 for area in found]

    with clock.at(evening) as forward:
        token = area_token()
        forward(timedelta(hours=12))
        noon, slot = clock.now_ms(), slot_now()
        post(token, row(slot, active=1_000), activated=noon)
        forward(timedelta(hours=11, minutes=40))
        post(token, row(slot_now(), active=1_000))
        assert views() == [-1, 1, 0]
        # An earlier moment of activation arrives last.
        post(token, activated=clock.to_ms(evening) + 1)
        assert views() == [1, 0, 0]
        # And then it turns out to be a machine.
        body = {"t": token, "s": [row(slot, active=1_000)], "m": True}
        assert post_body(msgspec.json.encode(body)).status_code == 200
        assert views() == [-1, -1, -1]


# --- devices --------------------------------------------------------------------------------------


def test_devices_of_one_link_are_told_apart_and_of_two_links_are_not_compared() -> None:
    from portal.security import Keys

    keys, one, two = Keys(["secret"]), new_id(), new_id()
    assert events.device_of(keys, one, "Phone de") == events.device_of(keys, one, "Phone de")
    assert events.device_of(keys, one, "Phone de") != events.device_of(keys, one, "Laptop de")
    assert events.device_of(keys, one, "Phone de") != events.device_of(keys, two, "Phone de")


# --- likes and shares -----------------------------------------------------------------------------


def test_a_like_counts_once_a_day_and_not_when_it_was_taken_back_that_day(app: Flask) -> None:
    asset, other = make_asset(), make_asset("Other")
    people = [lena().id, mia().id, anna().id]
    moves = ((events.like, asset), (events.unlike, asset), (events.like, asset))
    with clock.at(NOON) as forward:
        for move, piece in (*moves, (events.like, other), (events.unlike, other)):
            with write() as session:
                move(session, session.get_one(User, people[0]), piece.id, BERLIN)
            forward(timedelta(minutes=1))
            rebuild()
        for person_id in people[1:]:
            with write() as session:
                events.like(session, session.get_one(User, person_id), asset.id, BERLIN)
        rebuild()
        by_asset = metrics.by_asset(db.session(), THAT_DAY)
        assert {key: found.likes for key, found in by_asset.items() if found} == {asset.id: 2}
        assert events.current_likes(db.session(), [asset.id, other.id]) == {asset.id: 2}
        # Taken back on a later day, it was given all the same.
        forward(timedelta(days=1))
        with write() as session:
            events.unlike(session, session.get_one(User, people[0]), asset.id, BERLIN)
        rebuild()
        assert metrics.total(db.session(), THAT_DAY).likes == 2
    assert events.current_likes(db.session(), [asset.id, other.id]) == {asset.id: 1}
    assert not events.likes(db.session(), lena().id, asset.id)
    assert differences() == []


def test_a_link_with_three_documents_is_one_share(app: Flask, browse: Browse) -> None:
    pieces = [make_asset(title) for title in ("One", "Two", "Three")]
    with clock.at(NOON):
        for person, n in ((lena(), 3), (lena(), 1), (mia(), 2)):
            data = {**SHARE, "also": [str(piece.id) for piece in pieces[1:n]]}
            browse(person).post(f"/library/{pieces[0].id}/share", data=data)
        rebuild()
    session = db.session()
    found = metrics.total(session, THAT_DAY)
    assert (found.shares, found.activities) == (3, 3)
    by_partner = metrics.by_partner(session, THAT_DAY)
    assert {key: partner.shares for key, partner in by_partner.items()} == {
        lena().partner_id: 2,
        mia().partner_id: 1,
    }
    assert metrics.activities_by_partner(session, THAT_DAY)[kuehn().id] == (2, 0)
    by_asset = metrics.by_asset(session, THAT_DAY)
    assert [by_asset[piece.id].shares for piece in pieces] == [3, 2, 1]
    of_lena = Scope(*SPAN, partner_id=kuehn().id, asset_id=pieces[0].id)
    assert metrics.total(session, of_lena).shares == 2
    assert metrics.by_day(session, THAT_DAY)[SPAN[0]].shares == 3
    assert differences() == []
