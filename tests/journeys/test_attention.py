"""Attention as a stopwatch sees it: a real browser in which pages really are hidden, lost, offline
and killed. Expected times are the test's own clock."""

from __future__ import annotations

import base64
import io
import math
import os
import signal
import time
import urllib.request
import uuid
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from sqlalchemy import ColumnElement, delete, select

from portal.accounts.service import zone
from portal.clock import local_day, now
from portal.content.storage import storage
from portal.db import db, write, write_connection
from portal.security import hash_password
from tests import engines
from tests.browsers import chrome, screen
from tests.factories import make_asset, version_of
from tests.journeys.test_day_and_monday import Person
from tests.live import Live, portal_on
from tests.people import lena
from tests.proxy import Proxy, proxy
from tracking import metrics, rollups
from tracking.models import Load, Mark, Search, Slot, Watched

# In one worker, so that the portal, the browser and the minute are there once.
pytestmark = pytest.mark.xdist_group("attention")

TOLERANCE = 1.1
HEARTBEAT = 15


@dataclass
class Counted:
    """What the server knows, in seconds by bucket and by page, and its loads."""

    loads: int = 0
    activated: int = 0
    buckets: dict[str, float] = field(default_factory=dict)
    pages: dict[int, float] = field(default_factory=dict)

    @property
    def seen(self) -> float:
        """All attention to a visible page."""
        return sum(self.buckets.values())


class Stopwatch:
    """The portal, a document in it, and Lena's browser beside a stopwatch."""

    def __init__(self, live: Live, app: Flask, person: Person, path: str, way: Proxy) -> None:
        self.live, self.app, self.person, self.path, self.proxy = live, app, person, path, way
        self.browser = person.browser

    def read(self, seconds: float) -> float:
        """Open the document and look at it; returns the time it was open."""
        self.person.visit(self.path)
        began = self.person.since_shown()
        time.sleep(seconds)
        return time.monotonic() - began

    def leave(self) -> None:
        """Go to another page of the portal, which delivers what is left."""
        self.person.visit("/account")
        time.sleep(0.7)

    def counted(self, path: str = "") -> Counted:
        """What the server has stored, of one document or of all."""
        found = Counted()
        with self.app.app_context():
            # Of content: the portal's other pages are measured by area.
            content: ColumnElement[bool] = Load.asset_id.is_not(None)
            if path:
                content = Load.asset_id == uuid.UUID(path.rsplit("/", 1)[1])
            for load in db.session.scalars(select(Load).where(content)):
                found.loads += 1
                found.activated += load.activated_at is not None
            names = ("active", "reading", "idle", "glance")
            found.buckets = dict.fromkeys(names, 0.0)
            of_content = select(Slot).join(Load, Load.id == Slot.load_id).where(content)
            for slot in db.session.scalars(of_content):
                for name in names:
                    found.buckets[name] += getattr(slot, name) / 1000
                total = sum(getattr(slot, name) for name in names) / 1000
                found.pages[slot.page] = found.pages.get(slot.page, 0) + total
            db.session.remove()
        return found

    def views(self, path: str) -> int:
        """How many views of a document the reports show today."""
        with self.app.app_context():
            here = zone()
            db.session.remove()
            rollups.rebuild_marked(db.engine, here, at_once=True)
            today = local_day(now(), here)
            days = metrics.Scope(today - timedelta(days=1), today + timedelta(days=1))
            found = metrics.by_asset(db.session(), days)[uuid.UUID(path.rsplit("/", 1)[1])]
            db.session.remove()
        return found.views

    def forget(self) -> None:
        """Start from nothing."""
        self.leave()
        with self.app.app_context(), write_connection(db.engine) as connection:
            for table in (Search, Watched, Slot, Load, Mark):
                connection.execute(delete(table))


@pytest.fixture(scope="module")
def everything() -> Iterator[Stopwatch]:
    """One server and one browser for all tests here."""
    with portal_on("sqlite", "attention") as live, screen() as display, proxy() as way:
        hashed = hash_password("lena-password")
        with engines.opened(live.settings) as app:
            asset = make_asset(pages=5)
            person = lena()
            with write() as session:
                session.merge(person).password_hash = hashed
            path = f"/library/{asset.id}"
        live.start("serve")
        live.wait_until_ready()
        with chrome(display, proxy=way.address) as browser:
            reader = Person(browser, live.url)
            reader.sign_in("lena@kuehn.example", "lena-password")
            yield Stopwatch(live, app, reader, path, way)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def watch(everything: Stopwatch) -> Stopwatch:
    """The stopwatch at zero."""
    everything.forget()
    return everything


# What browsers say that they understand, with and without TLS.
@pytest.mark.parametrize("accepted", ["gzip, deflate, br, zstd", "gzip, deflate"])
def test_the_script_is_small(everything: Stopwatch, accepted: str) -> None:
    script = everything.live.url + "/static/beacon.js"
    asked = urllib.request.Request(script, headers={"Accept-Encoding": accepted})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["Content-Encoding"] in accepted.split(", ")
        assert len(answer.read()) < 3000


def test_a_page_left_at_once_is_no_view(watch: Stopwatch) -> None:
    watch.read(0.5)
    watch.leave()
    assert watch.counted().activated == 0
    assert watch.counted().seen == 0


def test_a_short_reading_is_counted_though_the_page_is_left(watch: Stopwatch) -> None:
    # Measured elsewhere: 3 s of reading gave 0 s.
    read = watch.read(3)
    watch.leave()
    assert watch.counted().activated == 1
    assert abs(watch.counted().seen - read) < TOLERANCE


def test_a_tab_in_front_of_it_stops_the_clock(watch: Stopwatch) -> None:
    # Measured elsewhere: 32 s with a tab switch gave 50 s.
    read = watch.read(3)
    reader = watch.browser.current_window_handle
    watch.browser.switch_to.new_window("tab")
    time.sleep(4)
    watch.browser.close()
    watch.browser.switch_to.window(reader)
    back = time.monotonic()
    time.sleep(3)
    read += time.monotonic() - back
    watch.leave()
    assert abs(watch.counted().seen - read) < TOLERANCE


def test_page_turns_divide_the_time_and_add_up_to_it(watch: Stopwatch) -> None:
    read = watch.read(3)
    turned = time.monotonic()
    watch.person.press("Next")
    time.sleep(4)
    second = time.monotonic() - turned
    watch.leave()
    found = watch.counted()
    assert abs(sum(found.pages.values()) - found.seen) < 0.001
    assert abs(found.seen - read - second) < TOLERANCE
    # The press scrolls by itself for a moment, hence the wider margin for one page.
    assert abs(found.pages[2] - second) < 1.6


def test_a_page_that_loses_the_focus_is_seen_at_a_glance_until_it_has_it_again(
    watch: Stopwatch,
) -> None:
    browser = watch.browser
    first = browser.current_window_handle
    browser.set_window_rect(0, 0, 680, 850)
    read = watch.read(3)
    blurred = time.monotonic()
    browser.switch_to.new_window("window")
    browser.set_window_rect(683, 0, 680, 850)
    time.sleep(4)
    browser.switch_to.window(first)
    focused = time.monotonic()
    time.sleep(3)
    read += time.monotonic() - blurred
    glance, front = focused - blurred, read - (focused - blurred)
    watch.leave()
    browser.switch_to.window((set(browser.window_handles) - {first}).pop())
    browser.close()
    browser.switch_to.window(first)
    browser.set_window_rect(0, 0, 1366, 850)
    found = watch.counted()
    assert abs(found.seen - read) < TOLERANCE
    assert abs(found.buckets["glance"] - glance) < 2
    assert abs(found.buckets["active"] + found.buckets["reading"] - front) < 2
    # Whoever comes back to a page has just done something.
    assert found.buckets["active"] > front - 2


def test_back_makes_a_new_load_whether_or_not_the_browser_kept_the_page(watch: Stopwatch) -> None:
    browser = watch.browser
    kept = "sessionStorage.kept = (sessionStorage.kept || '') + ' ' + event.persisted"
    source = {"source": f"addEventListener('pageshow', (event) => {{ {kept}; }})"}
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)

    def back() -> float:
        browser.execute_script("window.old = true")
        watch.leave()
        browser.back()
        is_new = "return !window.old && document.readyState === 'complete'"
        WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(is_new))
        began = watch.person.since_shown()
        time.sleep(2.5)
        return time.monotonic() - began

    try:
        read = watch.read(2.5) + back()
        # It is asked not to, and may all the same.
        watch.proxy.lets_keep = True
        read += watch.read(2.5) + back()
        shown = browser.execute_script("return sessionStorage.kept").split()
    finally:
        watch.proxy.lets_keep = False
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert shown[-2:] == ["true", "false"]
    watch.leave()
    assert watch.counted().loads == watch.counted().activated == 4
    assert abs(watch.counted().seen - read) < 4 * TOLERANCE


def offline(browser: Chrome, is_offline: bool) -> None:
    """Take the network away, or give it back."""
    browser.execute_cdp_cmd("Network.enable", {})
    conditions = {
        "offline": is_offline,
        "latency": 0,
        "downloadThroughput": -1,
        "uploadThroughput": -1,
    }
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


def test_only_a_person_with_a_browser_is_an_open(watch: Stopwatch) -> None:
    watch.person.visit(watch.path + "/share")
    watch.person.fill(recipient="Hafen Emden")
    watch.person.press("Make the link")
    watch.person.sees("Nobody has opened it yet")
    link = watch.browser.find_element(By.ID, "address").get_attribute("value") or ""
    for method in ("HEAD", "GET"):
        with urllib.request.urlopen(urllib.request.Request(link, method=method)) as answer:
            assert answer.status == 200
    assert watch.counted().loads == 0
    watch.person.visit(link)
    watch.person.sees("this does not count as opened")
    watch.browser.delete_all_cookies()
    watch.person.visit(link)
    time.sleep(3)
    watch.leave()
    assert watch.counted().activated == 1
    watch.person.sign_in("lena@kuehn.example", "lena-password")
    watch.person.visit("/shares")
    assert "opened" in watch.person.text()


def test_two_windows_side_by_side_count_every_second_once(watch: Stopwatch) -> None:
    # Measured elsewhere: 30 s over two windows gave 60 s.
    browser = watch.browser
    first = browser.current_window_handle
    browser.set_window_rect(0, 0, 680, 850)
    watch.read(0)
    began = time.monotonic()
    time.sleep(4)
    browser.switch_to.new_window("window")
    browser.set_window_rect(683, 0, 680, 850)
    watch.read(4)
    wall = time.monotonic() - began
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        watch.leave()
        if handle != first:
            browser.close()
    browser.switch_to.window(first)
    browser.set_window_rect(0, 0, 1366, 850)
    found = watch.counted()
    dwell = found.buckets["active"] + found.buckets["reading"]
    assert found.loads == 2
    # Both are seen all the time, and only the one with the focus is read. (On a screen without a
    # window manager a new window may leave the focus nowhere: then neither is.)
    assert 3.5 < dwell < wall + 0.5
    assert found.buckets["glance"] > 3
    assert abs(found.seen - wall - 4) < 2


def test_a_duplicated_tab_is_a_load_of_its_own_and_its_copies_count_once(watch: Stopwatch) -> None:
    kept = "return Object.keys(sessionStorage).filter((key) => key.startsWith('attention:'))"
    script = watch.browser.execute_script
    watch.proxy.is_busy = True
    read = watch.read(3)
    first = watch.browser.current_window_handle
    waiting = script(kept)
    assert len(waiting) == 1
    # As when a tab is duplicated, the new one has a copy of what this one keeps.
    script("window.open(location.href)")
    (second,) = set(watch.browser.window_handles) - {first}
    watch.browser.switch_to.window(second)
    again = watch.person.since_shown()
    assert script(kept) == waiting
    time.sleep(3)
    read += time.monotonic() - again
    watch.proxy.is_busy = False
    watch.leave()
    assert script(kept) == []
    watch.browser.close()
    watch.browser.switch_to.window(first)
    watch.leave()
    found = watch.counted()
    assert found.loads == 2
    assert abs(found.seen - read) < 2 * TOLERANCE


def sound(seconds: int) -> bytes:
    """A recording of so many seconds: a quiet tone."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        tone = (int(900 * math.sin(n / 8)) for n in range(8000 * seconds))
        file.writeframes(b"".join(level.to_bytes(2, "little", signed=True) for level in tone))
    return out.getvalue()


def publish(watch: Stopwatch, data: bytes, media_type: str) -> str:
    """A recording in the library; returns where it is."""
    with watch.app.app_context():
        asset = make_asset("Training: pumps", pages=0)
        stored = storage().save(io.BytesIO(data), ".media")
        with write() as session:
            version = session.merge(version_of(asset))
            version.file_key, version.size, version.sha256 = stored
            version.media_type, version.preview_state = media_type, "none"
        path = f"/library/{asset.id}"
        db.session.remove()
    return path


@contextmanager
def watched(watch: Stopwatch) -> Iterator[Watched]:
    """What the server has of the one recording that was played."""
    with watch.app.app_context():
        yield db.session.scalars(select(Watched)).one()
        db.session.remove()


def test_a_recording_counts_the_seconds_that_were_seen_and_a_seek_adds_none(
    watch: Stopwatch,
) -> None:
    watch.person.visit(publish(watch, sound(20), "audio/wav"))
    began = watch.person.since_shown()
    player = watch.browser.find_element(By.TAG_NAME, "video")
    watch.browser.find_element(By.TAG_NAME, "h1").click()
    script = watch.browser.execute_script
    script("return arguments[0].play()", player)
    time.sleep(4.5)
    script("arguments[0].currentTime = 12", player)
    time.sleep(2.5)
    script("arguments[0].currentTime = 0", player)
    time.sleep(2.5)
    script("arguments[0].pause()", player)
    read = time.monotonic() - began
    watch.leave()
    with watched(watch) as kept:
        seen = {n for n in range(20) if int.from_bytes(kept.seconds, "little") >> n & 1}
        assert kept.length == 20
        assert seen >= {0, 1, 2, 3, 12, 13}
        assert not seen & {6, 7, 8, 9, 10, 11, 16, 17, 18, 19}
        assert 8.0 < kept.played_ms / 1000 < 10.6
    found = watch.counted()
    assert abs(found.seen - read) < 1.5 * TOLERANCE


# Some seconds of a picture that changes, as a browser records them: without their length.
RECORD = """
    const done = arguments[0], canvas = document.createElement("canvas"), parts = [];
    const drawing = setInterval(() => {
      canvas.getContext("2d").fillStyle = `rgb(${Date.now() % 255}, 0, 0)`;
      canvas.getContext("2d").fillRect(0, 0, 300, 150);
    }, 100);
    const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: "video/webm" });
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = async () => {
      clearInterval(drawing);
      const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
      done(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
    };
    recorder.start(500);
    setTimeout(() => recorder.stop(), 7000);
"""


def test_a_recording_that_does_not_know_its_length_is_measured_too(watch: Stopwatch) -> None:
    recorded = base64.b64decode(watch.browser.execute_async_script(RECORD))
    watch.person.visit(publish(watch, recorded, "video/webm"))
    began = watch.person.since_shown()
    player = watch.browser.find_element(By.TAG_NAME, "video")
    watch.browser.find_element(By.TAG_NAME, "h1").click()
    script = watch.browser.execute_script
    script("return arguments[0].play()", player)
    time.sleep(2.5)
    # It is found out when the end has come from the server.
    assert script("return String(arguments[0].duration)", player) == "Infinity"
    script("arguments[0].pause()", player)
    read = time.monotonic() - began
    watch.leave()
    with watched(watch) as kept:
        assert {0, 1} <= {n for n in range(9) if int.from_bytes(kept.seconds, "little") >> n & 1}
        assert 2 <= kept.length <= 8
        assert 1.2 < kept.played_ms / 1000 < 3.5
    assert abs(watch.counted().seen - read) < 1.5 * TOLERANCE


def test_a_browser_that_a_program_drives_is_a_machine(everything: Stopwatch) -> None:
    everything.forget()
    with screen() as display, chrome(display, like_a_person=False) as other:
        reader = Person(other, everything.live.url)
        reader.sign_in("lena@kuehn.example", "lena-password")
        reader.visit(everything.path)
        time.sleep(3)
        reader.visit("/account")
        time.sleep(0.7)
    with everything.app.app_context():
        content = select(Load.machine).where(Load.asset_id.is_not(None))
        assert list(db.session.scalars(content)) == [1]
        db.session.remove()


def test_pages_of_the_portal_are_measured_by_area(watch: Stopwatch) -> None:
    watch.person.visit("/library?q=ATEX%20Certificate")
    time.sleep(3)
    watch.leave()
    with watch.app.app_context():
        area = select(Load).where(Load.area == "library", Load.activated_at.is_not(None))
        found = db.session.scalars(area).one()
        assert found.asset_id is None
        search = db.session.scalars(select(Search)).one()
        assert (search.words, search.results) == ("atex certificate", 0)
        db.session.remove()


# --- a minute that several readers spend, each with a browser and a document of their own ---------


@dataclass
class Sitting:
    """Somebody and their document, and how long the test's clock saw it open."""

    person: Person
    path: str
    began: float = 0.0
    read: float = 0.0
    found: Counted = field(default_factory=Counted)

    def begin(self) -> None:
        """Open the document."""
        self.person.visit(self.path)
        self.began = self.person.since_shown()

    def end(self) -> None:
        """The document is not looked at any more."""
        self.read = time.monotonic() - self.began


@dataclass
class Minute:
    """What came of the minute. `tries` are the moments at which reports were refused, `views` those
    of one document: read twice at the start, and once more at the end."""

    offline: Sitting
    busy: Sitting
    still: Sitting
    killed: Sitting
    tries: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def minute(everything: Stopwatch) -> Iterator[Minute]:
    """One reader without a network, one whose reports cannot be taken, one who does nothing, and
    one whose browser is killed."""
    everything.forget()
    with everything.app.app_context():
        again, *paths = [f"/library/{make_asset().id}" for _document in range(5)]
        db.session.remove()
    with ExitStack() as stack:
        way, people = stack.enter_context(proxy()), []
        for address in ("", way.address, ""):
            # The focus is one per screen.
            browser = chrome(stack.enter_context(screen()), proxy=address)
            people.append(Person(stack.enter_context(browser), everything.live.url))
            people[-1].sign_in("lena@kuehn.example", "lena-password")
        others = [Sitting(*one) for one in zip(people, paths, strict=False)]
        spent = Minute(others[0], others[1], Sitting(everything.person, paths[3]), others[2])
        spend(everything, spent, way, again)
        yield spent


def spend(watch: Stopwatch, minute: Minute, way: Proxy, again: str) -> None:
    """Let the minute pass."""
    watch.person.visit(again)
    time.sleep(3)
    watch.browser.refresh()
    time.sleep(3)
    watch.leave()
    minute.views.append(watch.views(again))
    # The network and the server go before anything has been reported.
    minute.offline.begin()
    offline(minute.offline.person.browser, True)
    way.is_busy = True
    minute.busy.begin()
    away = time.monotonic()
    minute.still.begin()
    minute.killed.begin()
    time.sleep(24)
    minute.killed.end()
    kill(minute.killed.person.browser)
    time.sleep(max(0.0, away + 60 - time.monotonic()))
    nothing_yet = [watch.counted(one.path).seen for one in (minute.offline, minute.busy)]
    assert nothing_yet == [0, 0]
    offline(minute.offline.person.browser, False)
    way.is_busy = False
    token = "return document.querySelector('[data-attention]').dataset.attention"
    minute.tries = way.refused[minute.busy.person.browser.execute_script(token)]
    minute.offline.end()
    # Back on the network, it is said at once; to the server that was busy, when leaving.
    time.sleep(1)
    minute.offline.found = watch.counted(minute.offline.path)
    minute.busy.person.visit("/account")
    minute.busy.end()
    minute.still.end()
    watch.person.visit(again)
    time.sleep(3)
    watch.leave()
    minute.views.append(watch.views(again))
    for one in (minute.busy, minute.still, minute.killed):
        one.found = watch.counted(one.path)


def kill(browser: Chrome) -> None:
    """End the browser itself, as a power cut does, and not only its driver."""
    process = int(browser.capabilities["goog:processID"])
    profile = browser.capabilities["chrome"]["userDataDir"]
    assert profile.encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    os.kill(process, signal.SIGKILL)


def test_a_minute_without_a_network_is_told_when_it_is_back(minute: Minute) -> None:
    assert minute.offline.read > 60
    assert abs(minute.offline.found.seen - minute.offline.read) < 1.5 * TOLERANCE


def test_a_minute_of_a_server_that_takes_nothing_loses_nothing(minute: Minute) -> None:
    assert minute.busy.read > 60
    assert abs(minute.busy.found.seen - minute.busy.read) < 1.5 * TOLERANCE


def test_tries_grow_apart_while_the_server_takes_nothing(minute: Minute) -> None:
    pauses = [later - earlier for earlier, later in pairwise(minute.tries)]
    # 1 to 2 s, 2 to 4 s, 4 to 8 s and so on; a page that reports every 15 s does not reach it.
    for tries, pause in enumerate(pauses):
        assert 2**tries - 0.1 < pause < 2 ** (tries + 1) + 2
    assert len(pauses) in (4, 5)


def test_a_reader_who_does_nothing_becomes_idle_after_30_seconds(minute: Minute) -> None:
    buckets, read = minute.still.found.buckets, minute.still.read
    assert abs(minute.still.found.seen - read) < TOLERANCE
    assert abs(buckets["active"] - 5) < 2
    assert abs(buckets["reading"] - 25) < 2
    assert abs(buckets["idle"] - (read - 30)) < 2.5


def test_a_reload_at_once_is_the_same_view_and_after_a_minute_another(minute: Minute) -> None:
    assert minute.views == [1, 2]


def test_a_browser_that_is_killed_loses_one_heartbeat_at_most_and_gains_nothing(
    minute: Minute,
) -> None:
    read = minute.killed.read
    assert read - HEARTBEAT - TOLERANCE < minute.killed.found.seen < read + TOLERANCE
    assert minute.killed.found.seen > 5
