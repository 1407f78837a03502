"""Acknowledged means durable: whatever is killed, every acknowledged report is there, once."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import select

from portal.db import db, new_id
from tests import engines
from tests.engines import ENGINES
from tests.factories import make_asset
from tests.live import Live, children, portal_on
from tests.people import lena
from tests.tracking.reports import BROWSER, row, slot_now, token_for
from tracking.events import read_token
from tracking.models import Load, Slot

SENDERS, PEOPLE_EACH, ROUNDS = 6, 25, 20


@pytest.fixture(params=ENGINES)
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """The server alone, with two workers."""
    with portal_on(request.param, f"kill_{request.param}") as running:
        running.start("serve")
        running.wait_until_ready()
        yield running


class Senders:
    """Browsers that report again and again, and remember what was acknowledged."""

    def __init__(self, live: Live, tokens: list[str]) -> None:
        self.address = urlsplit(live.url)
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
                if not self._stop.is_set() and self._post(token, row(at, 1, active=total)):
                    self.acknowledged[token] = total

    def _post(self, token: str, line: list[int]) -> bool:
        host, port = self.address.hostname or "", self.address.port
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            origin = f"http://{self.address.netloc}"
            headers = {"Origin": origin, "User-Agent": BROWSER}
            connection.request(
                "POST", "/t", msgspec.json.encode({"t": token, "s": [line]}), headers
            )
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            return False
        finally:
            connection.close()


def test_every_acknowledged_report_survives_kill_9(live: Live) -> None:
    with engines.opened(live.settings):
        asset, person = make_asset(), lena()
        tokens = [token_for(person, asset, subject=new_id()) for _n in range(SENDERS * PEOPLE_EACH)]
    with Senders(live, tokens) as senders:
        for _round in range(ROUNDS):
            server = live.processes.pop()
            time.sleep(0.4)
            workers = children(server.pid)
            assert workers
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.4)
            orphans = children(server.pid)
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            wait_until_gone(orphans)
            # The port is free again: nothing of the old server kept it.
            live.start("serve")
            live.wait_until_ready()
        time.sleep(1)
    with engines.opened(live.settings) as app:
        keys = app.extensions["portal_keys"]
        loads = db.session.scalars(select(Load.id)).all()
        kept = {s.load_id: s.active for s in db.session.scalars(select(Slot))}
    assert len(loads) == len(set(loads)) == len(kept)
    assert len(senders.acknowledged) == SENDERS * PEOPLE_EACH
    for token, total in senders.acknowledged.items():
        assert kept[read_token(keys, token).load_id] >= total
    live.command("rebuild")
    assert live.command("verify") == ""


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
    second = live.start("serve")
    assert second.wait(timeout=20) == 2
    assert "PORTAL_PORT" in (live.data / "serve.log").read_text()
