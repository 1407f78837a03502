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
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select

from portal.clock import now_ms
from portal.db import db, new_id
from tests import engines
from tests.benchmarks.table import Line
from tests.factories import make_asset
from tests.live import Live, portal_on
from tests.people import lena
from tests.tracking.reports import BROWSER, row, slot_now, token_for
from tracking.events import read_token
from tracking.models import Slot

CONNECTIONS, SECONDS, LOADS, EACH = 32, 6.0, 4000, 8
RATIOS = {"sqlite": 1.0, "postgresql": 0.6}
P99_MS = 50.0


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


@dataclass(frozen=True)
class Run:
    """What a load came to: answers with 200 a second, latencies in ms, and the rest."""

    rate: float
    milliseconds: list[float]
    others: dict[str, int]
    acknowledged: list[int]


def load(live: Live, requests: list[str]) -> Run:
    """Send `requests` in turn, again from the first when they are used up."""
    file = live.data / "requests"
    file.write_text("".join(json.dumps(text) + "\n" for text in requests))
    parts = urlsplit(live.url)
    command = [sys.executable, "-m", "tests.benchmarks.client", str(parts.hostname)]
    command += [str(parts.port), str(CONNECTIONS), str(SECONDS), str(file)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    statuses = found["statuses"]
    ok = statuses.pop("200", 0)
    milliseconds = [seconds * 1000 for seconds in found["latencies"]]
    return Run(ok / SECONDS, milliseconds, statuses, found["acknowledged"])


@dataclass(frozen=True)
class Report:
    """One report: of which page load, how much it says of each of its rows, and as it is sent."""

    load_id: uuid.UUID
    total: int
    request: str


def reports(live: Live) -> list[Report]:
    """Reports of four rows (two slots, two pages each) of many page loads: each load reports
    again and again, a little more each time, as a browser does."""
    with engines.opened(live.settings) as app:
        keys = app.extensions["portal_keys"]
        asset, person = make_asset(), lena()
        # As many people as page loads: a person who reported that often would be refused.
        tokens = [token_for(person, asset, subject=new_id()) for _n in range(LOADS)]
        loads = [read_token(keys, token).load_id for token in tokens]
    first, made = slot_now(), []
    for turn in range(1, EACH + 1):
        lines = [
            row(slot, page, active=400 * turn, reading=300 * turn)
            for slot in (first, first + 1)
            for page in (1, 2)
        ]
        for load_id, token in zip(loads, tokens, strict=True):
            body = msgspec.json.encode({"t": token, "s": lines, "a": now_ms()})
            made.append(Report(load_id, 400 * turn, raw(live, "POST", "/t", body)))
    return made


def lost(live: Live, sent: Sequence[Report], acknowledged: Iterable[int]) -> tuple[int, int]:
    """How many rows were acknowledged, and how many of them are not stored as they were said."""
    said: dict[uuid.UUID, int] = {}
    for number in acknowledged:
        said[sent[number].load_id] = max(said.get(sent[number].load_id, 0), sent[number].total)
    kept: dict[uuid.UUID, list[int]] = defaultdict(list)
    with engines.opened(live.settings):
        for load_id, active in db.session.execute(select(Slot.load_id, Slot.active)):
            kept[load_id].append(active)
    assert kept.keys() == said.keys(), "a load that nobody acknowledged"
    return 4 * len(said), sum(4 * (kept[key] != [total] * 4) for key, total in said.items())


def measure(engine: str) -> list[Line]:
    """One engine: the empty view, the reports, and the empty view again."""
    with portal_on(engine, f"bench_{engine}") as live:
        live.start("serve")
        live.wait_until_ready()
        sent = reports(live)
        empty = [raw(live, "GET", "/healthz")]
        load(live, empty)
        runs = [load(live, some) for some in (empty, [one.request for one in sent], empty)]
        rows, missing = lost(live, sent, runs[1].acknowledged)
    base, found = (runs[0].rate + runs[2].rate) / 2, runs[1]
    cuts = quantiles(found.milliseconds, n=100)
    ratio, budget = found.rate / base, RATIOS[engine]
    others = ", ".join(f"{n} answered {status}" for status, n in found.others.items())
    return [
        Line(engine, "empty view", f"{base:.0f} requests/s"),
        Line(
            engine,
            "reports",
            f"{found.rate:.0f} requests/s, {ratio:.2f} of the empty view",
            f"{budget} of it",
            ratio >= budget,
        ),
        Line(
            engine,
            "latency",
            f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms",
            f"p99 {P99_MS:.0f} ms",
            cuts[98] < P99_MS,
        ),
        Line(
            engine,
            "rows acknowledged",
            f"{rows}, {missing} of them not found" + (f"; {others}" if others else ""),
            "all found",
            not missing,
        ),
    ]
