"""A busy day (100 000 loads, 8 slots each): its rebuild, commits meanwhile, and bytes once folded.

Both run in a process of their own, as in the scheduler; reports are committed beside them.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.engine import Engine

from portal import clock
from portal.db import db, new_id, write_connection
from tests import engines
from tests.benchmarks import world
from tests.benchmarks.aside import ZONE
from tests.benchmarks.table import Line
from tests.live import Live, portal_on
from tracking import rollups
from tracking.committer import Committer, Entry
from tracking.dwell import SLOT_MS
from tracking.events import Token
from tracking.models import Folded, Load, Mark, Slot

LOADS, SLOTS, PEOPLE = 100_000, 8, 10_000
REBUILD_S, WAIT_MS, BYTES = 10, 50, 500
DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def load_rows(rng: random.Random, place: world.World) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Page loads over a working day with their slots; five pages each."""
    start = clock.to_ms(NOON) - 5 * 3600 * 1000
    for _n in range(LOADS):
        person = rng.randrange(PEOPLE)
        issued = start + rng.randrange(10 * 3600 * 1000)
        load_id, asset = new_id(), rng.randrange(len(place.assets))
        first = issued // SLOT_MS + 1
        yield (
            {
                "id": load_id,
                "subject": place.subjects[person],
                "subject_kind": 0,
                "partner_id": place.partners[person % len(place.partners)],
                "audience": "partner",
                "area": None,
                "asset_id": place.assets[asset],
                "version_id": place.versions[asset],
                "share_id": None,
                "page_count": 5,
                "issued_at": issued,
                "activated_at": issued + 2000,
                "last_slot": first + SLOTS - 1,
                "left_at": (first + SLOTS) * SLOT_MS,
                "machine": 0,
                "device": None,
            },
            [
                {
                    "load_id": load_id,
                    "slot": first + n,
                    "page": n % 5 + 1,
                    "active": rng.randrange(6000),
                    "reading": rng.randrange(8000),
                    "idle": 0,
                    "glance": 0,
                }
                for n in range(SLOTS)
            ],
        )


def fill(engine: Engine, place: world.World) -> None:
    """The busy day, in transactions of a few thousand rows."""
    rng, loads, slots = random.Random(7), [], []
    for n, (load, some) in enumerate(load_rows(rng, place), 1):
        loads.append(load)
        slots += some
        if n % 2000 == 0:
            with write_connection(engine) as connection:
                connection.execute(insert(Load), loads)
                connection.execute(insert(Slot), slots)
            loads, slots = [], []
    if engine.dialect.name == "sqlite":
        # A day's reports come in over a day: its log was written back long before.
        with engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    rollups.mark(engine, [DAY])
    with write_connection(engine) as connection:
        connection.execute(insert(Mark), [{"id": new_id(), "day": DAY, "at": NOON}])


def beside(live: Live, what: str, engine: Engine, token: Token) -> tuple[float, list[float]]:
    """Commit reports while a day is rebuilt or folded; returns how many seconds that took, and how
    many milliseconds each commit, in order."""
    committer, waits = Committer(lambda: engine, lambda: ZONE, waiting=8), []
    command = [sys.executable, "-m", "tests.benchmarks.aside", what, str(DAY)]
    process = subprocess.Popen(command, env=live.environ, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        fresh = token._replace(load_id=new_id(), issued_at=clock.now_ms())
        slot = clock.now_ms() // SLOT_MS
        entry = Entry(fresh, clock.now_ms(), {(slot, page): (900, 0, 0, 0) for page in (1, 2, 3)})
        began = time.perf_counter()
        committer.store(entry)
        waits.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    output, _errors = process.communicate()
    assert process.returncode == 0, f"to {what} failed"
    return float(output), sorted(waits)


def bytes_per_load(engine: Engine) -> float:
    """What base storage takes per folded load, indexes included."""
    tables = (Load.__table__, Folded.__table__, Slot.__table__)
    names = [table.name for table in tables]  # type: ignore[attr-defined]
    names += [index.name for table in tables for index in table.indexes]  # type: ignore[attr-defined]
    if engine.dialect.name == "postgresql":
        query = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname = ANY(:names)"
        names += [f"pk_{name}" for name in names]
        sizes = text(query).bindparams(names=names)
    else:
        query = "SELECT sum(pgsize) FROM dbstat WHERE name IN :names"
        sizes = text(query).bindparams(bindparam("names", names, expanding=True))
    with engine.connect() as connection:
        size = int(connection.scalar(sizes) or 0)
        return size / (connection.scalar(select(func.count()).select_from(Load)) or 1)


def vacuum(engine: Engine) -> None:
    """Give the room of removed slots back, as the databases do by themselves in time."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM FULL slot"))
            connection.execute(text("VACUUM load"))


def measure(engine_name: str) -> list[Line]:
    """One engine."""
    with portal_on(engine_name, f"days_{engine_name}") as live, engines.opened(live.settings):
        place = world.build(people=PEOPLE)
        fill(db.engine, place)
        token = Token(
            new_id(), uuid.uuid4(), 0, place.partners[0], "partner", place.assets[0],
            place.versions[0], 5, None, clock.now_ms(),
        )  # fmt: skip
        took, waits = beside(live, "rebuild", db.engine, token)
        folded, more = beside(live, "fold", db.engine, token)
        vacuum(db.engine)
        size = bytes_per_load(db.engine)
    return [
        Line(engine_name, "rebuild", f"{took:.1f} s", f"{REBUILD_S} s", 0 < took < REBUILD_S),
        _waits(engine_name, "commits during the rebuild", waits),
        Line(engine_name, "folding", f"{folded:.1f} s"),
        _waits(engine_name, "commits during folding", more),
        Line(
            engine_name,
            "base storage",
            f"{size:.0f} bytes a folded load of 5 pages",
            f"{BYTES} bytes",
            size < BYTES,
        ),
    ]


def _waits(engine_name: str, what: str, waits: list[float]) -> Line:
    p99, longest = waits[int(len(waits) * 0.99)], waits[-1]
    figure = f"{len(waits)} commits, p99 {p99:.1f} ms, longest {longest:.1f} ms"
    return Line(engine_name, what, figure, f"longest {WAIT_MS} ms", longest < WAIT_MS)
