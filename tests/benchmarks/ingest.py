"""Durable reports (4 rows each, 32 connections) against an empty Flask view, on the same server.

Rows found afterwards are compared with rows acknowledged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import func, select

from portal.db import db, new_id
from tests import engines
from tests.factories import make_asset
from tests.live import Live, portal_on
from tests.people import lena
from tests.tracking.reports import BROWSER, row, slot_now, token_for
from tracking.models import Slot

CONNECTIONS, SECONDS, LOADS = 32, 6.0, 4000


def fsync_milliseconds(folder: Path) -> float:
    """What one durable write costs on this disk."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _n in range(50):
            began = time.perf_counter()
            file.write(b"x" * 512)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[25] * 1000


def raw(live: Live, method: str, path: str, body: bytes = b"") -> str:
    """A request as it goes over the wire."""
    host = urlsplit(live.url).netloc
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
    head += f"User-Agent: {BROWSER}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body.decode()}"


def load(live: Live, requests: list[str]) -> tuple[float, list[float], int]:
    """Requests a second, latencies in ms, and how many were answered with 200."""
    file = live.data / "requests"
    file.write_text("".join(json.dumps(text) + "\n" for text in requests))
    parts = urlsplit(live.url)
    command = [sys.executable, "-m", "tests.benchmarks.client", str(parts.hostname)]
    command += [str(parts.port), str(CONNECTIONS), str(SECONDS), str(file)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    milliseconds = [seconds * 1000 for seconds in found["latencies"]]
    return found["ok"] / SECONDS, milliseconds, found["ok"]


def reports(live: Live) -> list[str]:
    """Reports of four rows: two slots, two pages each, of many page loads."""
    with engines.opened(live.settings):
        asset, person = make_asset(), lena()
        # As many people as page loads: a person who reported that often would be refused.
        tokens = [token_for(person, asset, subject=new_id()) for _n in range(LOADS)]
    first = slot_now()
    lines = [
        row(slot, page, active=3000, reading=2000) for slot in (first, first + 1) for page in (1, 2)
    ]
    bodies = (msgspec.json.encode({"t": token, "s": lines}) for token in tokens)
    return [raw(live, "POST", "/t", body) for body in bodies]


def stored(live: Live) -> int:
    """How many slot rows are there."""
    with engines.opened(live.settings):
        return db.session.scalar(select(func.count()).select_from(Slot)) or 0


def measure(engine: str) -> None:
    """One engine: the empty view, the reports, and the empty view again."""
    with portal_on(engine, f"bench_{engine}") as live:
        live.start("serve")
        live.wait_until_ready()
        posts = reports(live)
        empty = [raw(live, "GET", "/healthz")]
        load(live, empty)
        runs = [load(live, requests) for requests in (empty, posts, empty)]
        expected = 4 * min(runs[1][2], LOADS)
        rows = stored(live)
    base = (runs[0][0] + runs[2][0]) / 2
    cuts = quantiles(runs[1][1], n=100)
    sys.stdout.write(
        f"{engine:<12} empty {base:7.0f}/s   reports {runs[1][0]:7.0f}/s   "
        f"ratio {runs[1][0] / base:4.2f}   p50 {cuts[49]:5.1f} ms   p99 {cuts[98]:5.1f} ms   "
        f"rows {rows} of {expected} or a little more\n"
    )
