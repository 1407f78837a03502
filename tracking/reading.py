"""How content is read: page by page, how far it has come, when it was last viewed, how recordings
were played; and the time in the portal by area."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, column, func, select, table, text, true
from sqlalchemy.orm import Session

from portal import clock
from portal.db import Key, plain_rows
from tracking.days import EVERYONE
from tracking.dwell import DWELL_BUCKETS
from tracking.engagement import CUSTOMER, PARTNER
from tracking.models import Load, Reader, Watched
from tracking.packing import bits, bits_of, count_of, histogram
from tracking.spans import Scope, rows_within, sums_within
from tracking.sums import (
    AreaSum,
    AssetSum,
    DayState,
    Grain,
    PageSum,
)
from tracking.watching import Playing


class Readership(NamedTuple):
    """How many partners viewed an asset, and the median dwell of their views in whole seconds; with
    an even number of views the lower middle one. None where there was no view."""

    partners: int
    median: int | None


NO_READERS = Readership(0, None)
_VIEWED = (AssetSum.audience == PARTNER, AssetSum.views > 0)


def readerships(
    session: Session, scope: Scope, asset_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, Readership]:
    """The readership of these assets, from their sets and histograms; of those that had any."""
    columns = (AssetSum.asset_id, AssetSum.partners, AssetSum.dwells)
    where = (AssetSum.asset_id.in_(asset_ids), *_VIEWED)
    partners: dict[uuid.UUID, list[bytes]] = defaultdict(list)
    dwells: dict[uuid.UUID, list[bytes]] = defaultdict(list)
    for asset_id, some, bars in rows_within(session, scope, AssetSum, columns, *where):
        partners[asset_id].append(some)
        dwells[asset_id].append(bars)
    return {
        key: Readership(count_of(some), median_of(sorted(histogram(dwells[key]).items())))
        for key, some in partners.items()
    }


def median_of(histogram: Sequence[tuple[int, int]]) -> int:
    """The lower median of values given as (value, how often), sorted by value."""
    half = (sum(n for _value, n in histogram) + 1) // 2
    for value, n in histogram:
        half -= n
        if half <= 0:
            return value
    raise ValueError("a median needs at least one value")


@dataclass(frozen=True)
class PageAttention:
    """How a page of a document was read: views with 2 s on it, and dwell in milliseconds."""

    page: int
    readers: int
    dwell: int


def pages(
    session: Session,
    scope: Scope,
    version_id: uuid.UUID | None = None,
    audience: str | None = None,
) -> list[PageAttention]:
    """The attention strip of one version (or of all), by partners, customers, or both together."""
    rows = sums_within(
        session,
        scope,
        PageSum,
        (PageSum.page,),
        (PageSum.readers, *_dwell(scope)),
        true() if scope.asset_id is None else PageSum.asset_id == scope.asset_id,
        true() if version_id is None else PageSum.version_id == version_id,
        true() if audience is None else PageSum.audience == audience,
    )
    return [PageAttention(page, readers, sum(dwell)) for page, readers, *dwell in sorted(rows)]


def _dwell(scope: Scope) -> list[Any]:
    """The columns of a page's row that are dwell by the idle rule of a report."""
    return [getattr(PageSum, name) for name in DWELL_BUCKETS[scope.rule]]


def readers_by_page(
    session: Session, scope: Scope, asset_ids: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, str], dict[int, int]]:
    """How many views read each page of these assets, by version and audience."""
    rows = sums_within(
        session,
        scope,
        PageSum,
        (PageSum.version_id, PageSum.audience, PageSum.page),
        (PageSum.readers,),
        PageSum.asset_id.in_(list(asset_ids)),
    )
    found: dict[tuple[uuid.UUID, str], dict[int, int]] = defaultdict(dict)
    for version_id, audience, page, readers in rows:
        found[version_id, audience][page] = readers
    return found


@dataclass(frozen=True)
class Reach:
    """How many of some partners have viewed an asset, and on which day half of them had; `half`
    is None while they have not."""

    opened: int
    half: date | None


def reach(
    session: Session, addressed: Mapping[uuid.UUID, frozenset[uuid.UUID]]
) -> dict[uuid.UUID, Reach]:
    """How far each of these assets has come among the partners it is for.

    Month by month; only the month in which half is reached is read dekad by dekad, and only that
    dekad day by day.
    """
    # Many assets are for the same partners: of each audience how many they are, and who of them has
    # ever been counted.
    numbers = _partner_numbers(session)
    audiences = {
        keys: (len(keys), bits_of(numbers[key] for key in keys & numbers.keys()))
        for keys in set(addressed.values())
    }
    goals = {key: audiences[keys] for key, keys in addressed.items()}
    seen = dict.fromkeys(addressed, 0)
    halves = _halves(session, goals, seen, AssetSum.grain == Grain.month)
    for grain in (Grain.month, Grain.dekad):
        finer: dict[uuid.UUID, tuple[date, int]] = {}
        for first, some in _by_date(halves).items():
            days = (AssetSum.day >= first, AssetSum.day < grain.after(first))
            finer |= _halves(session, goals, some, AssetSum.grain == grain.finer, *days)
        halves = finer
    half = {key: day for key, (day, _before) in halves.items()}
    return {
        key: Reach((seen[key] & wanted).bit_count(), half.get(key))
        for key, (_whole, wanted) in goals.items()
    }


def _halves(
    session: Session,
    goals: Mapping[uuid.UUID, tuple[int, int]],
    seen: dict[uuid.UUID, int],
    *within: ColumnElement[bool],
) -> dict[uuid.UUID, tuple[date, int]]:
    """Add the partners of some rows to those that have `seen` each asset, of its goal: how many it
    is for, and those that count. Returns the first day of the row by which half had, and who had
    before that row. Partners as bits."""
    found: dict[uuid.UUID, tuple[date, int]] = {}
    query = select(AssetSum.asset_id, AssetSum.day, AssetSum.partners)
    query = query.where(*_VIEWED, AssetSum.asset_id.in_(list(seen)), *within)
    for asset_id, first, partners in plain_rows(session, query.order_by(AssetSum.day)):
        before, (whole, wanted) = seen[asset_id], goals[asset_id]
        seen[asset_id] = now = before | bits(partners)
        if asset_id not in found and (now & wanted).bit_count() * 2 >= whole > 0:
            found[asset_id] = first, before
    return found


def _by_date(some: Mapping[uuid.UUID, tuple[date, int]]) -> dict[date, dict[uuid.UUID, int]]:
    found: dict[date, dict[uuid.UUID, int]] = defaultdict(dict)
    for key, (day, seen) in some.items():
        found[day][key] = seen
    return found


def _partner_numbers(session: Session) -> dict[uuid.UUID, int]:
    query = select(Reader.subject, Reader.number).where(
        Reader.subject.in_(text("SELECT id FROM partner"))
    )
    return dict(plain_rows(session, query))


_ASSET = table("asset", column("id", Key))


def last_views(session: Session, asset_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, date]:
    """The last day with a view, by a partner or a customer, of those assets that ever had one."""
    # Of each asset the newest row of its index that has a view: not all its days.
    of_asset = select(AssetSum.day).where(
        AssetSum.asset_id == _ASSET.c.id, AssetSum.grain == Grain.day, AssetSum.views > 0
    )
    last = of_asset.order_by(AssetSum.day.desc()).limit(1).scalar_subquery()
    query = select(_ASSET.c.id, last).where(_ASSET.c.id.in_(list(asset_ids)))
    return {key: day for key, day in plain_rows(session, query) if day is not None}


def dwell_by_version(session: Session, scope: Scope) -> dict[uuid.UUID, int]:
    """The dwell of every version that was read at all, by partners and customers together."""
    of_asset = PageSum.asset_id == scope.asset_id
    rows = sums_within(session, scope, PageSum, (PageSum.version_id,), _dwell(scope), of_asset)
    return {version_id: sum(dwell) for version_id, *dwell in rows}


@dataclass(frozen=True)
class AreaTime:
    """What partners did in an area of the portal: page views, and time in milliseconds."""

    views: int
    time: int


def areas(session: Session, scope: Scope) -> dict[str, AreaTime]:
    """Page views and time in the portal by area, of everyone or of one partner."""
    time = [func.sum(getattr(AreaSum, name)) for name in DWELL_BUCKETS[scope.rule]]
    query = (
        select(AreaSum.area, func.sum(AreaSum.views), *time)
        .where(scope.within(AreaSum), AreaSum.partner_id == (scope.partner_id or EVERYONE))
        .group_by(AreaSum.area)
    )
    return {
        row[0]: AreaTime(int(row[1]), sum(map(int, row[2:]))) for row in plain_rows(session, query)
    }


@dataclass(frozen=True)
class Recording:
    """How a recording was seen: `loads` that played it, how many different seconds of it they saw
    on average, and which share of all, how many saw nine tenths or more, and the time it ran."""

    loads: int
    seconds: float
    completion: float
    completed: int
    played_ms: int


def recording(
    session: Session, asset_id: uuid.UUID, since: datetime, until: datetime
) -> Recording | None:
    """How the recordings of an asset were seen in `[since, until)`, in every language and version,
    by partners and customers; None when by nobody.

    From base rows: a recording has few loads, and a set of seconds cannot be added up by day. They
    go with the raw details (`raw_since`).
    """
    query = (
        select(Watched.seconds, Watched.played_ms, Watched.length)
        .join(Load, Load.id == Watched.load_id)
        .where(
            Load.asset_id == asset_id,
            Load.issued_at >= clock.to_ms(since),
            Load.issued_at < clock.to_ms(until),
            Load.machine == 0,
            Load.audience.in_((PARTNER, CUSTOMER)),
            Watched.length > 0,
        )
    )
    played = [Playing.of_row(row) for row in plain_rows(session, query)]
    if not played:
        return None
    return Recording(
        len(played),
        sum(playing.unique_seconds for playing in played) / len(played),
        sum(playing.completion for playing in played) / len(played),
        sum(playing.completion >= 0.9 for playing in played),
        sum(playing.played_ms for playing in played),
    )


def raw_since(session: Session) -> date | None:
    """The first day of which raw details are still kept; None while they are of every day."""
    sealed = session.scalar(select(func.max(DayState.day)).where(DayState.sealed_at.is_not(None)))
    return None if sealed is None else sealed + timedelta(days=1)
