"""Reports at 1 and 10 million views: 500 assets, 2 000 partners, 10 000 people, 365 days.

Rollups and page loads are written in bulk, as folded days leave them (the loads without their
folded pages, which no page of a report reads); pages are asked for in this process.
"""

from __future__ import annotations

import gc
import os
import random
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, insert, text
from sqlalchemy.engine import Engine

from portal import clock, upkeep
from portal.accounts.models import User
from portal.accounts.service import start_session
from portal.accounts.sessions import COOKIE
from portal.db import db, write, write_connection
from tests import engines
from tests.benchmarks import world
from tests.benchmarks.table import Line
from tests.live import portal_on
from tracking.days import EVERYONE, FIGURES
from tracking.dwell import SLOT_MS
from tracking.models import Load, Reader
from tracking.packing import packed, packed_histogram
from tracking.sums import AssetSum, DayState, Grain, PageSum, PairSum, PartnerSum, SearchSum

SIZES = tuple(int(n) for n in os.environ.get("BENCH_VIEWS", "1000000,10000000").split(","))
DAYS, ROUNDS = 365, 30
PAGE_MS, RATIO = 100, 1.5
UTC = ZoneInfo("UTC")


def figures(views: int) -> dict[str, int]:
    """The figures of so many views."""
    values = dict.fromkeys(FIGURES, 0)
    values |= {"views": views, "engaged_views": views * 7 // 10, "ended_views": views * 9 // 10}
    values |= {"active": views * 9000, "reading": views * 21_000, "idle": views * 3000}
    values |= {"downloads": views // 6, "downloads_started": views // 6, "shares": views // 8}
    return {**values, "downloads_completed": views // 6, "likes": views // 30}


def spans(last: date) -> Iterator[tuple[str, date, int]]:
    """Every day, dekad and month of the year, with its number of days."""
    days = [last - timedelta(days=n) for n in range(DAYS)]
    for grain in Grain:
        for first, n in Counter(map(grain.first, days)).items():
            yield grain.value, first, n


def fill(engine: Engine, place: world.World, views: int, last: date) -> None:
    """The rollups of a year."""
    rng, a_day = random.Random(11), views / DAYS
    for grain, day, n in spans(last):
        rows: list[dict[str, Any]] = []
        per = max(1, round(a_day * n / len(place.partners)))
        for number, partner in enumerate(place.partners):
            if grain == Grain.day and rng.random() > a_day / len(place.partners):
                continue
            people = rng.sample(range(number * 5, number * 5 + 5), min(5, per))
            key = {"grain": grain, "day": day, "partner_id": partner, "audience": "partner"}
            rows.append({**key, **figures(per), "people": packed(people)})
        everyone = {"grain": grain, "day": day, "partner_id": EVERYONE, "audience": "partner"}
        here = rng.sample(range(10_000), min(9000, int(a_day * n * 0.6)))
        rows.append({**everyone, **figures(int(a_day * n)), "people": packed(here)})
        assets = []
        per = max(1, round(a_day * n / len(place.assets)))
        for asset in place.assets:
            bars: dict[int, int] = {}
            for _view in range(min(per, 400)):
                seconds = int(rng.lognormvariate(3.4, 0.8))
                bars[seconds] = bars.get(seconds, 0) + 1
            people = rng.sample(range(10_000), min(per, 2000))
            key = {"grain": grain, "day": day, "asset_id": asset, "audience": "partner"}
            who = rng.sample(range(1, 2001), min(per, 1200))
            more = {"people": packed(people), "partners": packed(who)}
            more["dwells"] = packed_histogram(bars)
            assets.append({**key, **figures(per), **more})
        with write_connection(engine) as connection:
            connection.execute(insert(PartnerSum), rows)
            connection.execute(insert(AssetSum), assets)
    days = [last - timedelta(days=n) for n in range(DAYS)]
    fill_pages(engine, place, last, max(1, round(a_day / len(place.assets))))
    fill_pairs(engine, place, days, views)
    fill_loads(engine, place, days, views)
    fill_searches(engine, place, days, views // 50)
    with write_connection(engine) as connection:
        state = {"generation": 1, "took_ms": 1, "across": "", "rebuilt_at": clock.now()}
        connection.execute(insert(DayState), [{"day": day, **state} for day in days])
    upkeep.learn_sizes(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM ANALYZE"))


def fill_pages(engine: Engine, place: world.World, last: date, per: int) -> None:
    """Five pages of every asset on every day, `per` views of each."""
    none = {"idle": 0, "glance": 0, "overlap": 0}
    for asset, version in zip(place.assets, place.versions, strict=True):
        key = {"asset_id": asset, "version_id": version, "audience": "partner"}
        rows = [
            {**key, "grain": grain, "day": day, "page": page, "readers": per * n, **none}
            | {"active": per * n * 2000, "reading": per * n * 4000}
            for grain, day, n in spans(last)
            for page in range(1, 6)
        ]
        with write_connection(engine) as connection:
            connection.execute(insert(PageSum), rows)


def fill_pairs(engine: Engine, place: world.World, days: list[date], views: int) -> None:
    """One row per view: the most that so many views can leave."""
    names = [column.name for column in PairSum.__table__.columns]
    one = {**figures(1), "audience": "partner"}
    rng, postgres = random.Random(13), engine.dialect.name == "postgresql"
    keys = place.partners if postgres else [key.bytes for key in place.partners]
    per = views / len(days) / len(place.assets)
    with write_connection(engine) as connection:
        connection.execute(text("DROP INDEX ix_sum_pair_partner"))
    for asset in place.assets:
        asset_key = asset if postgres else asset.bytes
        rows = []
        for day in sorted(days):
            n = int(per) + (rng.random() < per % 1)
            for partner in sorted(rng.sample(range(len(keys)), n)):
                values = {**one, "asset_id": asset_key, "partner_id": keys[partner]}
                values["day"] = day if postgres else day.isoformat()
                rows.append(tuple([values[name] for name in names]))
        bulk(engine, "sum_pair", names, rows)
    with write_connection(engine, deadline=600) as connection:
        connection.execute(text("CREATE INDEX ix_sum_pair_partner ON sum_pair (partner_id, day)"))


def fill_loads(engine: Engine, place: world.World, days: list[date], views: int) -> None:
    """The page loads of all views, one in ten by a customer; what the home page and the page on
    what is recorded look for."""
    rng, postgres = random.Random(17), engine.dialect.name == "postgresql"
    names = [column.name for column in Load.__table__.columns]
    for day in sorted(days):
        start, rows = clock.to_ms(clock.day_start(day, UTC)), []
        for n in range(views // len(days)):
            who, asset = rng.randrange(len(place.subjects)), rng.randrange(len(place.assets))
            issued = start + n * 80_000_000 * len(days) // views
            values = {
                "id": _ordered_key(issued, n),
                "subject": place.subjects[who],
                "subject_kind": 0,
                "partner_id": place.partners[who % len(place.partners)],
                "audience": "customer" if n % 10 == 0 else "partner",
                "asset_id": place.assets[asset],
                "version_id": place.versions[asset],
                "page_count": 5,
                "issued_at": issued,
                "activated_at": issued + 2000,
                "last_slot": issued // SLOT_MS + 2,
                "machine": 0,
            }
            rows.append(tuple([_for_driver(values.get(name), postgres) for name in names]))
        bulk(engine, "load", names, rows)


def fill_searches(engine: Engine, place: world.World, days: list[date], n: int) -> None:
    """So many searches for 20 000 different words, some of them often; two of five in vain."""
    rng = random.Random(17)
    found: dict[tuple[Any, ...], list[Any]] = {}
    for _search in range(n):
        day, partner = rng.choice(days), rng.randrange(len(place.partners)) + 1
        words = f"words number {int(rng.paretovariate(0.35)) % 20_000}"
        in_vain = rng.random() >= 0.6
        for grain in Grain:
            row = found.setdefault((grain.value, grain.first(day), words), [0, 0, {}, None])
            row[0] += 1
            if in_vain:
                row[1] += 1
                row[2][partner] = row[2].get(partner, 0) + 1
                row[3] = max(day, row[3] or day)
    names = [column.name for column in SearchSum.__table__.columns]
    with write_connection(engine) as connection:
        numbers = [{"number": at, "subject": key} for at, key in enumerate(place.partners, 1)]
        connection.execute(insert(Reader), numbers)
        values = [
            dict(zip(names, (*key, times, in_vain, packed_histogram(seekers), last), strict=True))
            for key, (times, in_vain, seekers, last) in found.items()
        ]
        connection.execute(insert(SearchSum), values)


def _ordered_key(milliseconds: int, n: int) -> uuid.UUID:
    """A key as the portal makes them, for a moment of the past."""
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | n)


def _for_driver(value: Any, postgres: bool) -> Any:
    return value.bytes if isinstance(value, uuid.UUID) and not postgres else value


def bulk(engine: Engine, table: str, names: list[str], rows: list[Any]) -> None:
    """Write rows the fastest way there is."""
    with write_connection(engine, deadline=600) as connection:
        cursor: Any = connection.connection.cursor()
        if engine.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table} ({','.join(names)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            places = ",".join("?" * len(names))
            cursor.executemany(f"INSERT INTO {table} ({','.join(names)}) VALUES ({places})", rows)
        cursor.close()


_STEP = re.compile(r"\(|\)|\bFROM\b|\b(?:GROUP|ORDER) BY\b|\bLIMIT\b")


def source_of(statement: str) -> tuple[int, int]:
    """Where the outermost FROM of a query begins, and where its conditions end."""
    depth, start = 0, -1
    for step in _STEP.finditer(statement):
        if step[0] in "()":
            depth += 1 if step[0] == "(" else -1
        elif depth == 0 and step[0] == "FROM" and start < 0:
            start = step.start()
        elif depth == 0 and start >= 0:
            return start, step.start()
    return start, len(statement)


def rows_read(engine: Engine, ask: Any) -> int:
    """How many rows of the rollups one request goes through."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    total = 0
    with engine.connect() as connection:
        for statement, parameters in asked:
            start, end = source_of(statement)
            if start < 0 or "sum_" not in statement[start:end]:
                continue
            if not isinstance(parameters, dict):
                # Those of the columns stand first, those of what was cut off last.
                first = statement[:start].count("?")
                parameters = parameters[first : first + statement[start:end].count("?")]
            query = f"SELECT count(*) {statement[start:end]}"
            total += connection.exec_driver_sql(query, parameters).scalar() or 0
    return total


@dataclass(frozen=True)
class Page:
    """What one page took, in ms: half and nineteen of twenty of the times; and its rows.

    A file has no budget: it holds everything there is.
    """

    p50: float
    p95: float
    rows: int
    is_file: bool


def signed_in(app: Flask, user_id: uuid.UUID) -> FlaskClient:
    """A browser of this person."""
    with write() as session:
        token = start_session(session, session.get_one(User, user_id), "bench", clock.now())
    client = app.test_client()
    client.set_cookie(COOKIE, token)
    return client


def ask_pages(app: Flask, place: world.World) -> dict[str, Page]:
    """Every page, as the manager and as a partner see them."""
    asset, partner = f"/reports/content/{place.assets[7]}", f"/reports/partners/{place.partners[7]}"
    managers = {
        "overview": "/",
        "asset": asset,
        "partner": partner,
        "make, fix, retire": "/reports/make-fix-retire",
        "ranking": "/reports/content",
        "overview, 12 months": "/?period=12m",
        "asset, 12 months": f"{asset}?period=12m",
        "partner, 12 months": f"{partner}?period=12m",
        "make, fix, retire, 12 months": "/reports/make-fix-retire?period=12m",
        "ranking, 12 months": "/reports/content?period=12m",
        "time to market, 12 months": "/reports/market?period=12m",
        "searches, 12 months": "/reports/searches?period=12m",
        "ranking of partners, 12 months": "/reports/partners?period=12m",
        "ranking as CSV, 12 months": "/reports/content.csv?period=12m",
        "time to market": "/reports/market",
        "stale content": "/reports/stale",
        "searches": "/reports/searches",
    }
    manager, lena = signed_in(app, place.manager), signed_in(app, place.lena)
    found = {name: time_page(manager, path) for name, path in managers.items()}
    found["a partner's home"] = time_page(lena, "/")
    found["what we record about you"] = time_page(lena, "/account/recorded")
    return found


def time_page(client: FlaskClient, path: str) -> Page:
    """Ask for one page again and again."""
    is_file, times = ".csv" in path, []
    for _round in range(3 if is_file else ROUNDS):
        began = time.perf_counter()
        assert client.get(path).status_code == 200, path
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    rows = rows_read(db.engine, lambda: client.get(path))
    return Page(times[len(times) // 2], times[int(len(times) * 0.95)], rows, is_file)


def measure(engine_name: str) -> list[Line]:
    """One engine, at every size."""
    found: dict[int, dict[str, Page]] = {}
    for views in SIZES:
        with (
            portal_on(engine_name, f"reports_{engine_name}") as live,
            engines.opened(live.settings) as app,
        ):
            place = world.build()
            began = time.perf_counter()
            fill(db.engine, place, views, clock.now().date())
            sys.stderr.write(
                f"{engine_name}: {views} views in {time.perf_counter() - began:.0f} s\n"
            )
            gc.collect()
            gc.freeze()  # as the server does when it starts
            found[views] = ask_pages(app, place)
            gc.unfreeze()
    return [line for name in found[SIZES[0]] for line in _lines(engine_name, name, found)]


def _lines(engine_name: str, name: str, found: dict[int, dict[str, Page]]) -> Iterator[Line]:
    for views in SIZES:
        page = found[views][name]
        figure = f"p50 {page.p50:.1f} ms, p95 {page.p95:.1f} ms, {page.rows} rows read"
        what = f"{name}, {views // 1_000_000} M views"
        budget = "" if page.is_file else f"{PAGE_MS} ms"
        yield Line(engine_name, what, figure, budget, None if page.is_file else page.p50 < PAGE_MS)
    if len(SIZES) > 1:
        ratio = found[SIZES[-1]][name].p50 / found[SIZES[0]][name].p50
        yield Line(engine_name, name, f"{ratio:.2f} times", f"{RATIO} times", ratio <= RATIO)
