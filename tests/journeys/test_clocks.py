"""The script that measures, in a real browser whose clocks, timers and network are replaced: hours
pass in no time. Whatever a report was answered with there, the real endpoint answers too."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from selenium.webdriver import Chrome

from portal.db import db, write
from portal.security import hash_password
from tests import engines
from tests.browsers import chrome, screen
from tests.factories import make_asset, version_of
from tests.journeys.test_day_and_monday import Person
from tests.live import portal_on
from tests.people import lena
from tracking.beacon import BadReport, Report, accept
from tracking.dwell import SLOT_MS
from tracking.events import read_token

# In one worker, so that the server and the browser are there once.
pytestmark = pytest.mark.xdist_group("clocks")

REPLACED = (Path(__file__).parent / "replaced.js").read_text()
HOUR = 3_600_000
YEARS = 55 * 365 * 24 * HOUR


@dataclass
class Page:
    """A document that is open, and what the replaced server has of it."""

    browser: Chrome

    def do(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def run(self, seconds: float, step: float = 1) -> None:
        """Let time pass; timers come at most once in `step` seconds."""
        self.do("return replaced.run(arguments[0], arguments[1])", seconds * 1000, step * 1000)

    def jump(self, **clocks: float) -> None:
        """Move clocks by milliseconds: `perf`, `wall`, or the server's own, `passed`."""
        self.do("return replaced.jump(arguments[0])", clocks)

    def becomes(self, event: str = "", **state: Any) -> None:
        """Change the page or the network, and tell the page by an event."""
        target = "window" if event == "online" else "document"
        script = f"return replaced.becomes(arguments[0], arguments[1], {target})"
        self.do(script, state, event)

    @property
    def posts(self) -> list[dict[str, Any]]:
        """Every report that was made, with the server's time and what it answered."""
        return list(self.do("return replaced.posts"))

    @property
    def stored(self) -> dict[int, list[int]]:
        """What the server has, by slot since the page was opened and by bucket, over all pages."""
        first = int(self.do("return document.querySelector('[data-now]').dataset.now")) // SLOT_MS
        found: dict[int, list[int]] = {}
        for key, buckets in self.do("return replaced.stored").items():
            slot = int(key.split("/")[0]) - first
            found[slot] = [a + b for a, b in zip(found.get(slot, [0] * 4), buckets, strict=True)]
        return found

    @property
    def seen(self) -> float:
        """All attention that the server has, in seconds."""
        return sum(map(sum, self.stored.values())) / 1000


@dataclass
class Reader:
    """Lena, who opens documents in a browser with replaced clocks."""

    person: Person
    app: Flask
    path: str
    recording: str

    def opens(self, path: str = "", **state: Any) -> Page:
        """Open a document in a tab of its own."""
        browser = self.person.browser
        browser.switch_to.new_window("tab")
        start = f"Object.assign(replaced, {json.dumps(state)});"
        source = {"source": REPLACED + start}
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
        self.person.visit(path or self.path)
        return Page(browser)


@pytest.fixture(scope="module")
def lenas_browser() -> Iterator[Reader]:
    """A server that hands out pages, and a browser."""
    with portal_on("sqlite", "clocks") as live, screen() as display:
        hashed = hash_password("lena-password")
        with engines.opened(live.settings) as app:
            document, recording = make_asset(pages=5), make_asset("Training: pumps", pages=0)
            person = lena()
            with write() as session:
                session.merge(person).password_hash = hashed
                version = session.merge(version_of(recording))
                version.media_type, version.preview_state = "video/webm", "none"
            paths = f"/library/{document.id}", f"/library/{recording.id}"
        live.start("serve")
        live.wait_until_ready()
        with chrome(display) as browser:
            someone = Person(browser, live.url)
            someone.sign_in("lena@kuehn.example", "lena-password")
            yield Reader(someone, app, *paths)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def reader(lenas_browser: Reader) -> Iterator[Reader]:
    """A reader; afterwards, every report of theirs is put to the real endpoint."""
    browser = lenas_browser.person.browser
    first = browser.current_window_handle
    yield lenas_browser
    keys = lenas_browser.app.extensions["portal_keys"]
    for post in Page(browser).posts:
        report = msgspec.json.decode(post["body"], type=Report)
        try:
            accept(read_token(keys, report.t), report, post["now"])
            answer = 200
        except BadReport:
            answer = 400
        assert answer == post["status"] or post["status"] not in (200, 400)
    browser.close()
    browser.switch_to.window(first)


def test_an_hour_of_reading_is_an_hour(reader: Reader) -> None:
    page = reader.opens()
    page.run(3600)
    page.becomes("visibilitychange", hidden=True)
    assert abs(page.seen - 3600) < 1
    assert all(sum(buckets) <= SLOT_MS for buckets in page.stored.values())


@pytest.mark.parametrize("perf", [0, 8 * HOUR], ids=["one clock stands still", "both clocks run"])
def test_sleep_is_a_second_at_most_and_what_follows_it_is_booked_after_it(
    reader: Reader, perf: int
) -> None:
    page = reader.opens()
    page.run(20)
    page.jump(perf=perf, wall=8 * HOUR, passed=8 * HOUR)
    page.becomes(status=0)
    page.run(60)
    page.becomes("online", status=200)
    page.run(20)
    page.becomes("visibilitychange", hidden=True)
    before = {slot: sum(row) for slot, row in page.stored.items() if slot < 4}
    after = {slot: sum(row) for slot, row in page.stored.items() if slot >= 8 * HOUR // SLOT_MS}
    assert before.keys() | after.keys() == page.stored.keys()
    assert 19_000 <= sum(before.values()) <= 22_000
    # Without a network all the time: nothing of it is lost, and nothing is booked before the sleep.
    assert 75_000 <= sum(after.values()) <= 81_000


def test_sleep_while_a_report_is_under_way_is_not_booked_before_it(reader: Reader) -> None:
    page = reader.opens()
    page.run(14)
    page.do("replaced.delay = new Promise((go) => { replaced.arrives = go; })")
    page.run(2)
    page.jump(wall=8 * HOUR, passed=8 * HOUR)
    # The answer of eight hours ago says what time it was then.
    page.do("replaced.arrives(); replaced.delay = null;")
    page.run(60)
    later = [sum(row) for slot, row in page.stored.items() if slot >= 8 * HOUR // SLOT_MS]
    assert 43_000 <= sum(later) <= 61_000
    assert page.seen <= 77


@pytest.mark.parametrize("step", [YEARS, HOUR, 20_000, -HOUR], ids=["55y", "1h", "20s", "-1h"])
def test_a_clock_that_is_set_costs_a_second_and_gains_nothing(reader: Reader, step: int) -> None:
    page = reader.opens()
    page.run(20)
    page.jump(wall=step)
    page.run(100)
    page.becomes("visibilitychange", hidden=True)
    assert 117 < page.seen <= 121
    assert {post["status"] for post in page.posts} == {200}
    assert max(page.stored) <= 10


def test_a_clock_that_is_set_forward_without_a_network_loses_no_more_than_till_it_returns(
    reader: Reader,
) -> None:
    page = reader.opens()
    page.run(20)
    page.becomes(status=0)
    page.jump(wall=HOUR)
    page.run(60)
    page.becomes("online", status=200)
    page.run(40)
    page.becomes("visibilitychange", hidden=True)
    assert 58 < page.seen <= 62
    assert 400 not in {post["status"] for post in page.posts}


def test_a_report_that_is_refused_is_followed_by_asking_the_time(reader: Reader) -> None:
    page = reader.opens()
    page.run(1200)
    # The server's clock was ten minutes fast, and is put right.
    page.jump(passed=-600_000)
    page.run(1200)
    page.becomes("visibilitychange", hidden=True)
    # Ten minutes are there twice, and fit once.
    assert 1740 < page.seen <= 1805
    assert [post["status"] for post in page.posts].count(400) == 1


def test_a_starved_timer_counts_a_second_a_time(reader: Reader) -> None:
    page = reader.opens()
    page.run(20)
    page.run(600, step=60)
    page.run(20)
    assert 45 <= page.seen <= 52


def test_a_hidden_page_counts_nothing_and_asks_nothing(reader: Reader) -> None:
    page = reader.opens()
    page.run(20)
    page.becomes("visibilitychange", hidden=True)
    page.run(60)
    told = len(page.posts)
    page.run(8 * 3600, step=60)
    assert len(page.posts) == told
    assert 19.5 < page.seen <= 20.5


def test_a_page_that_freezes_reports_at_once_and_goes_on_when_it_resumes(reader: Reader) -> None:
    page = reader.opens()
    page.run(20.5, step=0.5)
    page.becomes("freeze")
    assert page.posts[-1]["beacon"]
    assert page.seen >= 20
    page.jump(perf=HOUR, wall=HOUR, passed=HOUR)
    page.becomes("resume")
    page.run(20)
    page.becomes("visibilitychange", hidden=True)
    assert 40 <= page.seen <= 42
    assert not set(page.stored) & set(range(3, HOUR // SLOT_MS))


def test_a_page_fetched_ahead_is_measured_from_when_it_is_shown(reader: Reader) -> None:
    page = reader.opens(prerendering=True, hidden=True)
    page.run(120)
    assert page.posts == []
    page.becomes("prerenderingchange", prerendering=False, hidden=False)
    page.run(20)
    page.becomes("visibilitychange", hidden=True)
    assert 19 < page.seen <= 20.5
    assert min(page.stored) >= 8
    active, reading, *rest = (sum(bucket) for bucket in zip(*page.stored.values(), strict=True))
    assert 4_000 <= active <= 6_000
    assert 14_000 <= reading <= 16_000
    assert rest == [0, 0]


def test_without_the_focus_it_is_a_glance(reader: Reader) -> None:
    page = reader.opens()
    page.run(10)
    # Nobody says so: it is asked for every second.
    page.becomes(focus=False)
    page.run(20)
    page.becomes(focus=True)
    page.run(10)
    page.becomes("visibilitychange", hidden=True)
    active, reading, idle, glance = (sum(n) / 1000 for n in zip(*page.stored.values(), strict=True))
    assert abs(active - 10) <= 2
    assert abs(reading - 10) <= 2
    assert idle == 0
    assert abs(glance - 20) <= 2


def test_tries_grow_apart_while_the_server_is_away(reader: Reader) -> None:
    page = reader.opens(status=503)
    page.run(600, step=0.1)

    def pauses() -> list[float]:
        at = [post["at"] / 1000 for post in page.posts]
        return [later - earlier for earlier, later in pairwise(at)]

    waited = pauses()
    for tries, pause in enumerate(waited):
        longest = min(60, 2 * 2**tries)
        assert longest / 2 <= pause <= longest + 0.2
    # Not all in step with other pages.
    shares = {round(pause / min(60, 2 * 2**tries), 1) for tries, pause in enumerate(waited)}
    assert len(shares) > 2
    tried = len(page.posts)
    page.becomes("online", status=200)
    assert len(page.posts) == tried + 1
    assert page.seen > 595
    page.becomes("visibilitychange", hidden=True, status=503)
    # What a page could not deliver is tried by the next one in the same way.
    reader.person.visit(reader.path)
    page.becomes(hidden=True)
    page.run(300, step=0.1)
    waited = pauses()
    assert len(waited) in range(6, 12)
    assert all(pause <= 60.2 for pause in waited)
    assert sorted(waited[:5]) == waited[:5]


RECORDING = """
    const media = { duration: arguments[0], currentTime: 0, paused: false, seeking: false,
      readyState: 4, buffered: { length: 1, end: () => 12.4 } };
    for (const name in media) {
      Object.defineProperty(HTMLMediaElement.prototype, name, { get: () => media[name] });
    }
    const player = document.querySelector("video");
    const tell = (name) => player.dispatchEvent(new Event(name));
    return (async () => {
      tell("playing");
      for (; media.currentTime < 5; media.currentTime++) {
        tell("timeupdate");
        await replaced.run(1000);
      }
      media.currentTime = arguments[1];
      tell("timeupdate");
      await replaced.run(30000);
    })();
"""


@pytest.mark.parametrize(
    ("duration", "length", "last"),
    [("20.2", 21, 5), ("Infinity", 13, 5), ("NaN", 13, 5), ("30000", 21_600, 21_599)],
)
def test_a_recording_of_any_length_is_reported(
    reader: Reader, duration: str, length: int, last: int
) -> None:
    page = reader.opens(reader.recording)
    page.do(RECORDING.replace("arguments[0]", duration), None, last)
    assert {post["status"] for post in page.posts} == {200}
    said = json.loads(page.posts[-1]["body"])["v"]
    assert said["d"] == length
    seconds = int.from_bytes(base64.b64decode(said["b"]), "little")
    assert [n for n in range(length) if seconds >> n & 1] == [0, 1, 2, 3, 4, last]
