"""Reports at 1 and 10 million views: 500 assets, 2 000 partners, 10 000 people, 365 days.

The rollups are written in bulk, as folded days leave them; pages are asked for in this process.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import event, insert, text
from sqlalchemy.engine import Engine

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import start_session
from portal.accounts.sessions import COOKIE
from portal.db import db, write, write_connection
from tests import engines
from tests.benchmarks import world
from tests.live import portal_on
from tracking.days import EVERYONE, FIGURES, packed, packed_histogram
from tracking.models import Reader
from tracking.sums import AssetSum, DayState, Grain, PageSum, PairSum, PartnerSum, SearchSum

SIZES = tuple(int(n) for n in os.environ.get("BENCH_VIEWS", "1000000,10000000").split(","))
DAYS, ROUNDS = 365, 30


def figures(views: int) -> dict[str, int]:
    """The figures of so many views."""
    values = dict.fromkeys(FIGURES, 0)
    values |= {"views": views, "engaged_views": views * 7 // 10, "ended_views": views * 9 // 10}
    values |= {"active": views * 9000, "reading": views * 21_000, "idle": views * 3000}
    values |= {"downloads": views // 6, "downloads_started": views // 6, "shares": views // 8}
    return {**values, "downloads_completed": views // 6, "likes": views // 30}


def spans(last: date) -> Iterator[tuple[str, date, int]]:
    """Every day and every month of the year, with its number of days."""
    months: dict[date, int] = {}
    for n in range(DAYS):
        day = last - timedelta(days=n)
        months[day.replace(day=1)] = months.get(day.replace(day=1), 0) + 1
        yield Grain.day.value, day, 1
    for month, n in months.items():
        yield Grain.month.value, month, n


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
    fill_pages(engine, place, days, max(1, round(a_day / len(place.assets))))
    fill_pairs(engine, place, days, views)
    fill_searches(engine, place, days, views // 50)
    with write_connection(engine) as connection:
        state = {"generation": 1, "took_ms": 1, "across": "", "rebuilt_at": clock.now()}
        connection.execute(insert(DayState), [{"day": day, **state} for day in days])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM ANALYZE"))


def fill_pages(engine: Engine, place: world.World, days: list[date], per: int) -> None:
    """Five pages of every asset on every day."""
    for asset, version in zip(place.assets, place.versions, strict=True):
        key = {"asset_id": asset, "version_id": version, "audience": "partner"}
        one = {"active": per * 2000, "reading": per * 4000, "idle": 0, "glance": 0, "overlap": 0}
        rows = [
            {**key, "day": day, "page": page, "readers": per, **one}
            for day in days
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
        with write_connection(engine) as connection:
            cursor: Any = connection.connection.cursor()
            if postgres:
                with cursor.copy(f"COPY sum_pair ({','.join(names)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                places = ",".join("?" * len(names))
                cursor.executemany(
                    f"INSERT INTO sum_pair ({','.join(names)}) VALUES ({places})",
                    rows,
                )
            cursor.close()
    with write_connection(engine, deadline=600) as connection:
        connection.execute(text("CREATE INDEX ix_sum_pair_partner ON sum_pair (partner_id, day)"))


def fill_searches(engine: Engine, place: world.World, days: list[date], n: int) -> None:
    """So many searches for 20 000 different words, some of them often; two of five in vain."""
    rng = random.Random(17)
    words = [int(rng.paretovariate(0.35)) % 20_000 for _search in range(n)]
    rows = {
        (rng.choice(days), f"words number {word}", rng.choice(place.partners), rng.random() < 0.6)
        for word in words
    }
    names = ("day", "words", "partner_id", "found")
    with write_connection(engine) as connection:
        numbers = [{"number": at, "subject": key} for at, key in enumerate(place.partners, 1)]
        connection.execute(insert(Reader), numbers)
        values = [{**dict(zip(names, row, strict=True)), "searches": 1} for row in sorted(rows)]
        connection.execute(insert(SearchSum), values)


_FROM = re.compile(r"\sFROM (sum_\w+\b.*?)(?:\s+GROUP BY.*|\s+ORDER BY.*)?$", re.S)


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
            found = _FROM.search(statement)
            if found and "(SELECT" not in statement:
                query = f"SELECT count(*) FROM {found[1]}"
                if not isinstance(parameters, dict):
                    # Those of the columns stand first.
                    parameters = parameters[statement[: found.start()].count("?") :]
                total += connection.exec_driver_sql(query, parameters).scalar() or 0
    return total


def ask_pages(app: Flask, place: world.World) -> dict[str, tuple[float, float, int]]:
    """Half and nineteen of twenty of the times of each page, in ms, and its rows."""
    with write() as session:
        token = start_session(session, session.get_one(User, place.manager), "bench", clock.now())
    client = app.test_client()
    client.set_cookie(COOKIE, token)
    found = {}
    for name, path in (
        ("overview", "/"),
        ("asset", f"/reports/content/{place.assets[7]}"),
        ("partner", f"/reports/partners/{place.partners[7]}"),
        ("make, fix, retire", "/reports/make-fix-retire"),
        ("ranking", "/reports/content"),
        ("time to market", "/reports/market"),
        ("searches", "/reports/searches"),
        ("not viewed", "/reports/stale"),
        ("overview, 12 months", "/?period=12m"),
        ("asset, 12 months", f"/reports/content/{place.assets[7]}?period=12m"),
        ("ranking, 12 months", "/reports/content?period=12m"),
        ("time to market, 12 months", "/reports/market?period=12m"),
        ("searches, 12 months", "/reports/searches?period=12m"),
        ("partner, 12 months", f"/reports/partners/{place.partners[7]}?period=12m"),
    ):
        times = []
        for _round in range(ROUNDS):
            began = time.perf_counter()
            assert client.get(path).status_code == 200
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        rows = rows_read(db.engine, lambda path=path: client.get(path))
        found[name] = (times[ROUNDS // 2], times[int(ROUNDS * 0.95)], rows)
    return found


def measure(engine_name: str) -> None:
    """One engine, at every size."""
    found = {}
    for views in SIZES:
        with (
            portal_on(engine_name, f"reports_{engine_name}") as live,
            engines.opened(live.settings) as app,
        ):
            place = world.build()
            began = time.perf_counter()
            fill(db.engine, place, views, clock.now().date())
            sys.stdout.write(
                f"{engine_name}: {views} views in {time.perf_counter() - began:.0f} s\n"
            )
            found[views] = ask_pages(app, place)
    for name in found[SIZES[0]]:
        parts = [
            f"{views:>9}: p50 {found[views][name][0]:6.1f} p95 {found[views][name][1]:6.1f} ms, "
            f"{found[views][name][2]:>6} rows"
            for views in SIZES
        ]
        ratio = found[SIZES[-1]][name][0] / found[SIZES[0]][name][0]
        sys.stdout.write(f"{engine_name:<12} {name:<26} {'   '.join(parts)}   {ratio:4.2f}x\n")
