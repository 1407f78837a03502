"""Acknowledged means durable: whatever is killed, every acknowledged report is there, once."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import func, select, text

from portal import clock
from portal.accounts.service import zone
from portal.db import db, new_id, write_connection
from tests import engines
from tests.engines import ENGINES
from tests.factories import make_asset
from tests.live import Live, Started, children, portal_on
from tests.people import lena
from tests.tracking.reports import BROWSER, row, slot_now, token_for
from tracking import metrics
from tracking.events import read_token
from tracking.metrics import Scope
from tracking.models import Load, Refusals, Slot

SENDERS, PEOPLE_EACH, ROUNDS = 6, 25, 20


# Each in one worker, so that it is set up once.
PORTALS = [pytest.param(e, marks=pytest.mark.xdist_group(f"a kill on {e}")) for e in ENGINES]


@pytest.fixture(scope="module", params=PORTALS)
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A portal whose server is started and killed at will."""
    with portal_on(request.param, f"kill_{request.param}") as installed:
        yield installed


def server_of(live: Live) -> Started:
    """The server with its two workers, started where none is running."""
    running = [process for process in live.processes if process.poll() is None]
    if running:
        return running[0]
    started = live.start("serve")
    live.wait_until_ready()
    return started


def kill(process: Started) -> None:
    """End a process without its having a say."""
    process.kill()
    process.wait()


def connected(url: str) -> closing[http.client.HTTPConnection]:
    """A connection to the server at `url`."""
    return closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=5))


def send(connection: http.client.HTTPConnection, url: str, report: dict[str, Any]) -> None:
    """Send a report as a browser would; the answer is for whoever reads it."""
    headers = {"Origin": url, "User-Agent": BROWSER}
    connection.request("POST", "/t", msgspec.json.encode(report), headers)


class Senders:
    """Browsers that report again and again, and remember what was acknowledged."""

    def __init__(self, live: Live, tokens: list[str]) -> None:
        self.url, self.activated = live.url, clock.now_ms()
        self.sent: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=[tokens[n::SENDERS]]) for n in range(SENDERS)
        ]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, tokens: list[str]) -> None:
        # Each of many people in turn: one who reported that often would be told to wait.
        total, at = 0, slot_now()
        while not self._stop.is_set() and total < 15_000:
            total += 1
            for token in tokens:
                if self._stop.is_set():
                    return
                self.sent[token] = total
                if self._post(token, row(at, 1, active=total)):
                    self.acknowledged[token] = total

    def _post(self, token: str, line: list[int]) -> bool:
        try:
            with connected(self.url) as connection:
                send(connection, self.url, {"t": token, "s": [line], "a": self.activated})
                return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            return False


def tokens_of(live: Live, people: int) -> list[str]:
    """Page loads of one new asset, each of another person."""
    with engines.opened(live.settings):
        asset, person = make_asset(), lena()
        return [token_for(person, asset, subject=new_id()) for _n in range(people)]


def kept_of(live: Live, tokens: Iterable[str]) -> dict[str, int]:
    """What is stored of each page load: milliseconds of its one slot."""
    with engines.opened(live.settings) as app:
        keys = app.extensions["portal_keys"]
        found = list(db.session.execute(select(Slot.load_id, Slot.active)))
        assert len(found) == len(dict(found)) == db.session.query(Load).count()
    loads = {read_token(keys, token).load_id: token for token in tokens}
    return {loads[load]: active for load, active in found if load in loads}


def test_every_acknowledged_report_survives_kill_9(live: Live) -> None:
    server = server_of(live)
    scheduler: Started = live.start("scheduler")
    tokens = tokens_of(live, SENDERS * PEOPLE_EACH)
    with Senders(live, tokens) as senders:
        for number in range(ROUNDS):
            time.sleep(0.3)
            workers = children(server.pid)
            assert workers
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.3)
            orphans = children(server.pid)
            kill(server)
            wait_until_gone(orphans)
            if number % 6 == 0:
                kill(scheduler)
                scheduler = live.start_forked("scheduler")
            # The port is free again: nothing of the old server kept it.
            server = live.start_forked("serve")
            live.wait_until_ready()
        time.sleep(1)
        kill(scheduler)
    # The tests after this one get a server that was started by the command.
    server.terminate()
    server.wait(timeout=15)
    kept = kept_of(live, tokens)
    assert len(senders.acknowledged) == len(kept) == SENDERS * PEOPLE_EACH
    for token, total in senders.acknowledged.items():
        # One more may have been stored and its answer lost.
        assert total <= kept[token] <= senders.sent[token]
    assert live.command("verify") == ""
    with engines.opened(live.settings) as app:
        today, day = clock.local_day(clock.now(), zone()), timedelta(days=1)
        asset = read_token(app.extensions["portal_keys"], tokens[0]).asset_id
        counted = metrics.total(db.session(), Scope(today - day, today + day, asset_id=asset))
    assert counted.views == SENDERS * PEOPLE_EACH
    assert counted.dwell == sum(kept.values())


def test_a_server_told_to_stop_answers_what_it_took_and_ends_within_10_s(live: Live) -> None:
    server, tokens = server_of(live), tokens_of(live, SENDERS * PEOPLE_EACH)
    held, busy = tokens[:SENDERS], tokens[SENDERS:]
    with engines.opened(live.settings), Senders(live, busy) as senders, ExitStack() as stack:
        connections = [stack.enter_context(connected(live.url)) for _token in held]

        def report(milliseconds: int) -> None:
            for token, connection in zip(held, connections, strict=True):
                lines = [row(at, active=milliseconds)]
                send(connection, live.url, {"t": token, "s": lines})

        def answers() -> list[int]:
            return [answer.status for c in connections if (answer := c.getresponse()).read()]

        # An answer says that a worker has taken this connection.
        at = slot_now()
        report(1)
        assert answers() == [200] * SENDERS
        with write_connection(db.engine) as lock:
            if db.engine.dialect.name == "postgresql":
                lock.execute(text("LOCK TABLE load IN EXCLUSIVE MODE"))
            report(2)
            with connected(live.url) as other:
                send(other, live.url, {})
                assert other.getresponse().status == 400
            time.sleep(0.3)
            server.terminate()
            time.sleep(0.3)
        assert answers() == [200] * SENDERS
        assert server.wait(timeout=10) == 0
        refused = select(func.sum(Refusals.n)).where(Refusals.reason == "form")
        assert (db.session.scalar(refused) or 0) >= 1
    kept = kept_of(live, tokens)
    assert [kept[token] for token in held] == [2] * SENDERS
    assert senders.acknowledged
    for token, total in senders.acknowledged.items():
        assert total <= kept[token] <= senders.sent[token]


def test_a_report_in_chunks_is_taken(live: Live) -> None:
    server_of(live)
    token = tokens_of(live, 1)[0]
    body = msgspec.json.encode({"t": token, "s": [row(slot_now(), active=1)]})
    with connected(live.url) as connection:
        headers = {"Origin": live.url, "User-Agent": BROWSER}
        connection.request("POST", "/t", iter([body[:50], body[50:]]), headers)
        assert connection.getresponse().status == 200
    assert kept_of(live, [token]) == {token: 1}


def wait_until_gone(pids: list[int], seconds: float = 5) -> None:
    """Workers end by themselves when their parent has gone."""
    until = time.monotonic() + seconds
    while any(map(is_running, pids)):
        assert time.monotonic() < until, f"still there: {[p for p in pids if is_running(p)]}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process is there and not a mere entry of the table."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state = done.stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_a_second_server_on_the_same_port_is_refused_with_the_settings_name(live: Live) -> None:
    server_of(live)
    second = live.start("serve")
    assert second.wait(timeout=20) == 2
    assert "PORTAL_PORT" in (live.data / "serve.log").read_text()
