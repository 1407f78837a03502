"""Numbers of engagement. All read the rollups of `tracking.sums`; only the partner's own view of
its links reads base rows, because it must be there within seconds."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, exists, false, func, null, or_, select, true
from sqlalchemy.orm import Session

from portal import clock
from portal.db import in_parts
from tracking import rollups
from tracking.days import (
    EVERYONE,
    Attention,
    Owned,
    SlotRow,
    add_attention,
    granted,
    histogram,
    united,
    unpack_pages,
)
from tracking.dwell import DWELL_BUCKETS, IdleRule, LoadFacts, chains, first_activated
from tracking.events import TOKEN_LIFE_MS
from tracking.models import Audience, Folded, Load, Reader, ShareEvent, Slot, Tombstone, Watched
from tracking.sums import (
    AreaSum,
    AssetSum,
    DayState,
    Grain,
    PageSum,
    PairSum,
    PartnerSum,
    SearchSum,
)
from tracking.watching import Playing

PARTNER, CUSTOMER = Audience.partner.value, Audience.customer.value


class Engagement(NamedTuple):
    """What happened in a period. Attention in milliseconds, after the cap per person.

    `views` and attention are the partners' own; `opens` are views by customers through links.
    `rule` says which attention is dwell. A report makes thousands: the fields up to `likes` stand
    as in `_SUMS`, so that one is made of a row as it comes.
    """

    views: int = 0
    engaged_views: int = 0
    ended_views: int = 0
    active: int = 0
    reading: int = 0
    idle: int = 0
    downloads: int = 0
    downloads_started: int = 0
    downloads_completed: int = 0
    shares: int = 0
    likes: int = 0
    opens: int = 0
    opens_ended: int = 0
    customer_dwell: int = 0
    customer_downloads: int = 0
    rule: IdleRule = IdleRule.reading

    @property
    def dwell(self) -> int:
        """Dwell time by the rule: usually active and reading."""
        return sum(getattr(self, name) for name in DWELL_BUCKETS[self.rule])

    @property
    def dwell_at_least(self) -> int:
        """The lower bound: with input in the last 5 seconds."""
        return self.active

    @property
    def dwell_at_most(self) -> int:
        """The upper bound: idle counted too."""
        return self.active + self.reading + self.idle

    @property
    def on_purpose(self) -> int:
        """Content activities that are no reading: downloads, shares, opens of own shares."""
        return self.downloads + self.shares + self.opens

    @property
    def activities(self) -> int:
        """Content activities: downloads, shares, opens of own shares, views of 10 s and more."""
        return self.on_purpose + self.engaged_views

    def __bool__(self) -> bool:
        """Whether anything happened at all."""
        return any((self.views, self.downloads, self.shares, self.likes, self.opens, self.dwell))


_SUMS = (
    "views",
    "engaged_views",
    "ended_views",
    "active",
    "reading",
    "idle",
    "downloads",
    "downloads_started",
    "downloads_completed",
    "shares",
    "likes",
)
NOTHING = Engagement()


@dataclass(frozen=True)
class Scope:
    """Half-open days `[since, until)` and, where asked for, one partner, one asset, or both."""

    since: date
    until: date
    partner_id: uuid.UUID | None = None
    asset_id: uuid.UUID | None = None
    rule: IdleRule = IdleRule.reading

    def within(self, model: Any) -> ColumnElement[bool]:
        """The rows of `model` that make up the period: whole months, and the days beside them."""
        if not hasattr(model, "grain"):
            return and_(model.day >= self.since, model.day < self.until)
        months, days = self.parts()
        found = [and_(model.grain == Grain.day, model.day >= a, model.day < b) for a, b in days]
        if months is not None:
            first, last = months
            found.append(and_(model.grain == Grain.month, model.day >= first, model.day < last))
        return or_(false(), *found)

    def parts(self) -> tuple[tuple[date, date] | None, list[tuple[date, date]]]:
        """The whole months of the period, if there are any, and the days before and after them."""
        first = self.since.replace(day=1)
        if first < self.since:
            first = clock.add_months(first, 1)
        last = self.until.replace(day=1)
        if first >= last:
            return None, [(self.since, self.until)]
        edges = [(self.since, first), (last, self.until)]
        return (first, last), [edge for edge in edges if edge[0] < edge[1]]


def _source(scope: Scope, key: str | None = None) -> tuple[Any, list[Any]]:
    """The table that answers with the fewest rows, and the conditions on it."""
    by_asset, by_partner = key == "asset_id", key == "partner_id"
    if (scope.asset_id or by_asset) and (scope.partner_id or by_partner):
        model: Any = PairSum
    elif scope.asset_id or by_asset:
        model = AssetSum
    else:
        model = PartnerSum
    where = [scope.within(model)]
    if scope.asset_id:
        where.append(model.asset_id == scope.asset_id)
    if scope.partner_id:
        where.append(model.partner_id == scope.partner_id)
    elif model is PartnerSum:
        where.append(
            PartnerSum.partner_id != EVERYONE if by_partner else PartnerSum.partner_id == EVERYONE
        )
    return model, where


def _grouped(
    session: Session,
    scope: Scope,
    key: str | None = None,
    only: Collection[uuid.UUID] | None = None,
) -> dict[Any, Engagement]:
    model, where = _source(scope, key)
    sums = [func.sum(getattr(model, name)) for name in _SUMS]
    if key is None:
        query = select(model.audience, null(), *sums).where(*where).group_by(model.audience)
    else:
        column = getattr(model, key)
        where += [] if only is None else [column.in_(list(only))]
        query = select(model.audience, column, *sums).where(*where).group_by(model.audience, column)
    return _merged(session.execute(query), scope.rule)


def _merged(rows: Iterable[Any], rule: IdleRule) -> dict[Any, Engagement]:
    """Engagement by key, of rows `(audience, key, *_SUMS)`: at most one for each audience."""
    found: dict[Any, Engagement] = {}
    customers: dict[Any, Any] = {}
    for audience, key, *sums in rows:
        values: Any = [int(value) for value in sums]
        if audience == CUSTOMER:
            customers[key] = values
        else:
            found[key] = Engagement(*values)._replace(rule=rule)
    nothing = NOTHING._replace(rule=rule)
    for key, values in customers.items():
        theirs = Engagement(*values)._replace(rule=rule)
        found[key] = found.get(key, nothing)._replace(
            opens=theirs.views,
            opens_ended=theirs.ended_views,
            customer_dwell=theirs.dwell,
            customer_downloads=theirs.downloads,
        )
    return found


def total(session: Session, scope: Scope) -> Engagement:
    """Everything in a period."""
    return _grouped(session, scope).get(None, NOTHING._replace(rule=scope.rule))


def by_asset(session: Session, scope: Scope) -> dict[uuid.UUID, Engagement]:
    """Per asset; assets without anything are left out."""
    return _grouped(session, scope, "asset_id")


def by_partner(
    session: Session, scope: Scope, only: Collection[uuid.UUID] | None = None
) -> dict[uuid.UUID, Engagement]:
    """Per partner, of all or `only` of some; partners without anything are left out."""
    return _grouped(session, scope, "partner_id", only)


def activities_by_partner(session: Session, scope: Scope) -> dict[uuid.UUID, tuple[int, int]]:
    """`Engagement.activities` of every partner that did something, and how many of them are
    reading; at a third of the cost of all its figures: what a ranking of thousands needs."""
    model, where = _source(scope, "partner_id")
    own = model.downloads + model.shares + model.engaged_views
    is_customer = model.audience == CUSTOMER
    counted = func.sum(case((is_customer, model.views), else_=own))
    read = func.sum(case((is_customer, 0), else_=model.engaged_views))
    query = select(model.partner_id, counted, read).where(*where).group_by(model.partner_id)
    return {key: (int(n), int(of_them)) for key, n, of_them in session.execute(query)}


def readers_in_month(
    session: Session, month: date, partner_ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of some partners whose people read anything in a month, given by its first day."""
    query = select(PartnerSum.partner_id).where(
        PartnerSum.grain == Grain.month,
        PartnerSum.day == month,
        PartnerSum.partner_id.in_(list(partner_ids)),
        PartnerSum.audience == PARTNER,
        or_(PartnerSum.views > 0, PartnerSum.active + PartnerSum.reading + PartnerSum.idle > 0),
    )
    return set(session.scalars(query))


def by_day(session: Session, scope: Scope) -> dict[date, Engagement]:
    """Per local day; days without anything are left out."""
    model, where = _source(scope)
    where = [*where[1:], model.day >= scope.since, model.day < scope.until]
    if hasattr(model, "grain"):
        where.append(model.grain == Grain.day)
    sums = [func.sum(getattr(model, name)) for name in _SUMS]
    query = (
        select(model.audience, model.day, *sums).where(*where).group_by(model.audience, model.day)
    )
    return _merged(session.execute(query), scope.rule)


def partners_of_assets(
    session: Session, scope: Scope, asset_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, int]:
    """How many partners viewed each of these assets."""
    query = select(AssetSum.asset_id, AssetSum.partners).where(
        scope.within(AssetSum), AssetSum.asset_id.in_(list(asset_ids)), *_VIEWED
    )
    sets: dict[uuid.UUID, list[bytes]] = defaultdict(list)
    for asset_id, partners in session.execute(query):
        sets[asset_id].append(partners)
    return {key: len(united(some)) for key, some in sets.items()}


_VIEWED = (AssetSum.audience == PARTNER, AssetSum.views > 0)


def median_dwell(
    session: Session, scope: Scope, asset_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, int]:
    """The median dwell of the partners' views of these assets, in whole seconds.

    From the histograms of days and months; with an even number of views the lower middle one.
    """
    query = select(AssetSum.asset_id, AssetSum.dwells).where(
        scope.within(AssetSum),
        AssetSum.asset_id.in_(list(asset_ids)),
        AssetSum.audience == PARTNER,
        AssetSum.views > 0,
    )
    packs: dict[uuid.UUID, list[bytes]] = defaultdict(list)
    for asset_id, dwells in session.execute(query):
        packs[asset_id].append(dwells)
    return {key: median_of(sorted(histogram(some).items())) for key, some in packs.items()}


def median_of(histogram: Sequence[tuple[int, int]]) -> int:
    """The lower median of values given as (value, how often), sorted by value."""
    half = (sum(n for _value, n in histogram) + 1) // 2
    for value, n in histogram:
        half -= n
        if half <= 0:
            return value
    raise ValueError("a median needs at least one value")


def people(session: Session, scope: Scope) -> int:
    """How many different people of partners had a view; those of one day only are not counted."""
    if scope.asset_id and scope.partner_id:
        raise ValueError("people are counted for a partner or for an asset")
    model, where = _source(scope)
    query = select(model.people).where(*where, model.audience == PARTNER)
    return len(united(session.scalars(query)))


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
    dwell = [func.sum(getattr(PageSum, name)) for name in DWELL_BUCKETS[scope.rule]]
    query = (
        select(PageSum.page, func.sum(PageSum.readers), *dwell)
        .where(
            scope.within(PageSum),
            true() if scope.asset_id is None else PageSum.asset_id == scope.asset_id,
            true() if version_id is None else PageSum.version_id == version_id,
            true() if audience is None else PageSum.audience == audience,
        )
        .group_by(PageSum.page)
        .order_by(PageSum.page)
    )
    return [
        PageAttention(row[0], int(row[1]), sum(map(int, row[2:]))) for row in session.execute(query)
    ]


def most_read(session: Session, scope: Scope, limit: int) -> list[uuid.UUID]:
    """The assets with the most views, by partners and customers together."""
    query = (
        select(AssetSum.asset_id)
        .where(scope.within(AssetSum), AssetSum.views > 0)
        .group_by(AssetSum.asset_id)
        .order_by(func.sum(AssetSum.views).desc(), AssetSum.asset_id)
        .limit(limit)
    )
    return list(session.scalars(query))


def readers_by_page(
    session: Session, scope: Scope, asset_ids: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, str], dict[int, int]]:
    """How many views read each page of these assets, by version and audience."""
    query = (
        select(PageSum.version_id, PageSum.audience, PageSum.page, func.sum(PageSum.readers))
        .where(scope.within(PageSum), PageSum.asset_id.in_(list(asset_ids)))
        .group_by(PageSum.version_id, PageSum.audience, PageSum.page)
    )
    found: dict[tuple[uuid.UUID, str], dict[int, int]] = defaultdict(dict)
    for version_id, audience, page, readers in session.execute(query):
        found[version_id, audience][page] = int(readers)
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

    Month by month; only the month in which half is reached is read day by day.
    """
    # Many assets are for the same partners.
    audiences = set(addressed.values())
    numbers = _partner_numbers(session, frozenset().union(*audiences))
    numbered = {keys: {numbers[key] for key in keys if key in numbers} for keys in audiences}
    wanted = {asset_id: numbered[keys] for asset_id, keys in addressed.items()}
    seen: dict[uuid.UUID, set[int]] = {key: set() for key in addressed}
    # The month in which half was reached, and who had viewed it before that.
    turned: dict[uuid.UUID, date] = {}
    before: dict[uuid.UUID, set[int]] = {}
    months = (AssetSum.grain == Grain.month, AssetSum.asset_id.in_(list(addressed)))
    for asset_id, month, partners in _partner_sets(session, *months):
        known = seen[asset_id]
        seen[asset_id] = known | (wanted[asset_id] & united([partners]))
        if asset_id not in turned and _is_half(seen[asset_id], addressed[asset_id]):
            turned[asset_id], before[asset_id] = month, set(known)
    halves: dict[uuid.UUID, date] = {}
    for month, some in _by_value(turned).items():
        days = (_days_of(month), AssetSum.asset_id.in_(some))
        for asset_id, day, partners in _partner_sets(session, *days):
            before[asset_id] |= wanted[asset_id] & united([partners])
            if _is_half(before[asset_id], addressed[asset_id]):
                halves.setdefault(asset_id, day)
    return {key: Reach(len(seen[key]), halves.get(key)) for key in addressed}


def _is_half(some: Collection[Any], of: Collection[Any]) -> bool:
    return len(some) * 2 >= len(of) > 0


def _partner_sets(session: Session, *conditions: ColumnElement[bool]) -> Iterable[Any]:
    """Rows `(asset, day or month, set of partners)` in the order of days."""
    query = select(AssetSum.asset_id, AssetSum.day, AssetSum.partners)
    return session.execute(query.where(*_VIEWED, *conditions).order_by(AssetSum.day))


def _partner_numbers(session: Session, keys: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    found: dict[uuid.UUID, int] = {}
    for some in in_parts(sorted(keys)):
        query = select(Reader.subject, Reader.number).where(Reader.subject.in_(some))
        found.update((row[0], row[1]) for row in session.execute(query))
    return found


def last_views(session: Session, asset_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, date]:
    """The last day with a view, by a partner or a customer, of those assets that ever had one."""
    viewed = (AssetSum.asset_id.in_(list(asset_ids)), AssetSum.views > 0)
    query = select(AssetSum.asset_id, func.max(AssetSum.day)).group_by(AssetSum.asset_id)
    months = query.where(AssetSum.grain == Grain.month, *viewed)
    found: dict[uuid.UUID, date] = {}
    for month, some in _by_value({row[0]: row[1] for row in session.execute(months)}).items():
        of_month = and_(AssetSum.asset_id.in_(some), AssetSum.views > 0, _days_of(month))
        found.update((row[0], row[1]) for row in session.execute(query.where(of_month)))
    return found


def _by_value(some: Mapping[uuid.UUID, date]) -> dict[date, list[uuid.UUID]]:
    found: dict[date, list[uuid.UUID]] = defaultdict(list)
    for key, value in some.items():
        found[value].append(key)
    return found


def _days_of(month: date) -> ColumnElement[bool]:
    """The rows of an asset's days of a month."""
    return and_(
        AssetSum.grain == Grain.day,
        AssetSum.day >= month,
        AssetSum.day < clock.add_months(month, 1),
    )


def dwell_by_version(session: Session, scope: Scope) -> dict[uuid.UUID, int]:
    """The dwell of every version that was read at all, by partners and customers together."""
    dwell = [func.sum(getattr(PageSum, name)) for name in DWELL_BUCKETS[scope.rule]]
    query = (
        select(PageSum.version_id, *dwell)
        .where(scope.within(PageSum), PageSum.asset_id == scope.asset_id)
        .group_by(PageSum.version_id)
    )
    return {row[0]: sum(map(int, row[1:])) for row in session.execute(query)}


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
    return {row[0]: AreaTime(int(row[1]), sum(map(int, row[2:]))) for row in session.execute(query)}


@dataclass(frozen=True)
class Searched:
    """What was looked for in the library without result: how often, by how many partners."""

    words: str
    times: int
    partners: int
    last: date


class Searches(NamedTuple):
    """Some of the words that were looked for in vain; how many words there are, and how often all
    of them were looked for."""

    rows: list[Searched]
    total: int
    times: int


_times = func.sum(SearchSum.searches)
_searchers = func.count(SearchSum.partner_id.distinct())


def searches_in_vain(
    session: Session,
    scope: Scope,
    *,
    often: tuple[int, int] = (1, 1),
    first: int = 0,
    limit: int | None = None,
) -> Searches:
    """Searches of partners without result, the most wanted first, from `first` up to `limit`.
    `often` leaves out the words that fewer partners sought fewer times."""
    partners, times = often
    query = (
        select(SearchSum.words, _times, _searchers, func.max(SearchSum.day))
        .add_columns(func.count().over(), func.sum(_times).over())
        .where(scope.within(SearchSum), SearchSum.found.is_(False))
        .group_by(SearchSum.words)
        .having(or_(_searchers >= partners, _times >= times))
        .order_by(_times.desc(), _searchers.desc(), SearchSum.words)
        .offset(first)
        .limit(None if limit is None else limit - first)
    )
    rows = session.execute(query).all()
    found = [Searched(row[0], int(row[1]), row[2], row[3]) for row in rows]
    return Searches(found, rows[0][4], int(rows[0][5])) if rows else Searches([], 0, 0)


def searches_of(
    session: Session, scope: Scope, words: Collection[str]
) -> list[tuple[uuid.UUID, str, int]]:
    """Which partners looked for these words without result, and how often."""
    query = (
        select(SearchSum.partner_id, SearchSum.words, _times)
        .where(scope.within(SearchSum), SearchSum.found.is_(False))
        .where(SearchSum.words.in_(list(words)))
        .group_by(SearchSum.partner_id, SearchSum.words)
    )
    return [(row[0], row[1], int(row[2])) for row in session.execute(query)]


def times_in_vain(session: Session, scope: Scope) -> int:
    """How many searches found nothing, whatever was looked for."""
    query = select(_times).where(scope.within(SearchSum), SearchSum.found.is_(False))
    return int(session.scalar(query) or 0)


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
    played = [Playing.of_row(row) for row in session.execute(query)]
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


def people_of(
    session: Session, scope: Scope, subjects: Mapping[uuid.UUID, uuid.UUID], zone: Any
) -> dict[uuid.UUID, int]:
    """Views by person of one partner, where the privacy mode names them: subject to user id.

    Counted on the day of activation, like all views. From base rows, for at most the days that are
    not sealed.
    """
    start = clock.to_ms(clock.day_start(scope.since, zone))
    end = clock.to_ms(clock.day_start(scope.until, zone))
    query = select(Load).where(
        Load.partner_id == scope.partner_id,
        Load.audience == PARTNER,
        Load.subject.in_(list(subjects)),
        Load.asset_id.is_not(None),
        Load.machine == 0,
        # A view may have begun, or been opened without being looked at, on the day before.
        Load.issued_at >= start - 2 * TOKEN_LIFE_MS,
        Load.issued_at < end,
    )
    found: dict[uuid.UUID, int] = defaultdict(int)
    for chain in chains(_facts(load) for load in session.scalars(query)):
        first = first_activated(chain)
        if first is not None and start <= (first.activated_at or 0) < end:
            found[subjects[chain[0].subject]] += 1
    return found


def erased_since(
    session: Session, subjects: Iterable[uuid.UUID], moment: datetime
) -> set[uuid.UUID]:
    """Those of some subjects that were erased at a moment or later."""
    query = select(Tombstone.subject).where(
        Tombstone.subject.in_(list(subjects)), Tombstone.at >= moment
    )
    return set(session.scalars(query))


def as_of(session: Session) -> datetime | None:
    """Up to which moment the numbers are complete."""
    return rollups.as_of(session)


# --- a partner's own links, from base rows ------------------------------------------------------


@dataclass(frozen=True)
class Open:
    """A customer read a document behind a link. `page` is the furthest one with attention;
    `device` 1 is the first that opened this link, a higher one another of it."""

    share_id: uuid.UUID
    asset_id: uuid.UUID
    at: datetime
    dwell: int
    page: int
    page_count: int
    device: int = 1


def recent_opens(
    session: Session,
    partner_id: uuid.UUID,
    since: datetime,
    limit: int,
    share_id: uuid.UUID | None = None,
) -> list[Open]:
    """The latest opens of a partner's links, or of one of them, newest first.

    From base rows, so seconds after reading.
    """
    query = (
        select(Load)
        .where(
            Load.partner_id == partner_id,
            Load.audience == CUSTOMER,
            Load.machine == 0,
            Load.issued_at >= clock.to_ms(since),
            true() if share_id is None else Load.share_id == share_id,
        )
        .order_by(Load.issued_at.desc())
        .limit(limit * 5)
    )
    rows = {load.id: load for load in session.scalars(query)}
    seen = attention_of_loads(session, rows)
    devices = devices_of_links(session, {load.share_id for load in rows.values() if load.share_id})
    opens = []
    for chain in chains(_facts(load) for load in rows.values()):
        first = first_activated(chain)
        share_id = rows[chain[0].id].share_id
        if first is None or first.activated_at is None or share_id is None:
            continue
        parts = [seen[load.id] for load in chain if load.id in seen]
        counts = [count for pages in parts for count in pages.values()]
        opens.append(
            Open(
                share_id=share_id,
                asset_id=first.asset_id,
                at=clock.from_ms(first.activated_at),
                dwell=sum(active + reading for active, reading, *_rest in counts),
                page=max((max(pages) for pages in parts), default=1),
                page_count=rows[first.id].page_count,
                device=devices.get((share_id, rows[first.id].device), 1),
            )
        )
    return sorted(opens, key=lambda found: found.at, reverse=True)[:limit]


def devices_of_links(
    session: Session, share_ids: Iterable[uuid.UUID]
) -> dict[tuple[uuid.UUID, int | None], int]:
    """Which device of its link each is: 1 for the first that opened it."""
    query = (
        select(Load.share_id, Load.device, func.min(Load.issued_at))
        .where(
            Load.share_id.in_(list(share_ids)),
            Load.device.is_not(None),
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        .group_by(Load.share_id, Load.device)
        .order_by(func.min(Load.issued_at))
    )
    found: dict[tuple[uuid.UUID, int | None], int] = {}
    counts: dict[uuid.UUID, int] = defaultdict(int)
    for share_id, device, _at in session.execute(query):
        if share_id is not None:
            counts[share_id] += 1
            found[share_id, device] = counts[share_id]
    return found


def _facts(load: Load) -> LoadFacts:
    assert load.partner_id is not None
    assert load.asset_id is not None
    assert load.version_id is not None
    return LoadFacts(
        load.id,
        load.subject,
        load.partner_id,
        load.audience,
        load.asset_id,
        load.version_id,
        load.issued_at,
        load.activated_at,
        load.last_slot,
        load.left_at,
    )


def attention_of_loads(
    session: Session, load_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, dict[int, list[int]]]:
    """What counts of some loads, by page and bucket: what is folded, and what their slots say after
    the cap per person, as the rollups have it."""
    wanted, found = list(load_ids), defaultdict[uuid.UUID, dict[int, list[int]]](dict)
    for some in in_parts(wanted):
        add_attention(found, _granted_of(session, some))
        folded = select(Folded.load_id, Folded.pages).where(Folded.load_id.in_(some))
        for load_id, packed in session.execute(folded):
            add_attention(found, {load_id: unpack_pages(packed)})
    return found


def _granted_of(session: Session, load_ids: Sequence[uuid.UUID]) -> Attention:
    """What the slots of some loads grant, beside all that their persons have in the same time."""
    bounds = select(func.min(Slot.slot), func.max(Slot.slot)).where(Slot.load_id.in_(load_ids))
    first, last = session.execute(bounds).one()
    if not first:
        return {}
    columns = (Slot.page, Slot.active, Slot.reading, Slot.idle, Slot.glance)
    query = (
        select(Load.machine, Load.subject, Slot.load_id, Slot.slot, *columns)
        .join(Load, Load.id == Slot.load_id)
        .where(
            Load.subject.in_(select(Load.subject).where(Load.id.in_(load_ids))),
            Load.last_slot >= first,
            Slot.slot >= first,
            Slot.slot <= last,
        )
    )
    # What a program did is kept apart from its person.
    loads: dict[int, dict[uuid.UUID, Owned]] = {0: {}, 1: {}}
    places: dict[uuid.UUID, int] = {}
    rows: dict[int, list[SlotRow]] = {0: [], 1: []}
    for machine, subject, load_id, *counts in session.execute(query):
        place = places.setdefault(load_id, len(loads[machine]))
        loads[machine].setdefault(load_id, Owned(load_id, subject))
        slot, page, active, reading, idle, glance = counts
        rows[machine].append((place, slot, page, active, reading, idle, glance))
    both = {
        key: pages
        for machine, mine in loads.items()
        for key, pages in granted(rows[machine], list(mine.values())).items()
    }
    return {key: both[key] for key in both.keys() & set(load_ids)}


def links_opened(session: Session, scope: Scope, zone: ZoneInfo) -> tuple[int, int]:
    """Of the links that partners made in the period, how many a person has opened since, and how
    many there are: "opened by 3 of 5".

    Of one asset, those with it, opened when that document was. A link made on the last day may yet
    be opened, so the share of young links grows. From base rows: when those of an open are removed
    by retention or its reader has erased them, its link is one that nobody is known to have opened.
    Every link is looked at: cheap for an asset or a partner, and for all of them over some weeks.
    """
    start, end = clock.day_start(scope.since, zone), clock.day_start(scope.until, zone)
    made = (
        select(ShareEvent.share_id)
        .distinct()
        .where(
            ShareEvent.at >= start,
            ShareEvent.at < end,
            ShareEvent.audience == PARTNER,
            true() if scope.asset_id is None else ShareEvent.asset_id == scope.asset_id,
            true() if scope.partner_id is None else ShareEvent.partner_id == scope.partner_id,
        )
        .subquery()
    )
    opened = exists().where(
        Load.share_id == made.c.share_id,
        Load.activated_at.is_not(None),
        Load.machine == 0,
        true() if scope.asset_id is None else Load.asset_id == scope.asset_id,
    )
    found = session.execute(select(func.count(case((opened, 1))), func.count()).select_from(made))
    n_opened, n_made = found.one()
    return n_opened, n_made


def shares_opened(session: Session, share_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many loads of each link were really looked at; links nobody opened are left out."""
    query = (
        select(Load.share_id, func.count())
        .where(
            Load.share_id.in_(list(share_ids)),
            Load.audience == CUSTOMER,
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        .group_by(Load.share_id)
    )
    return {row[0]: row[1] for row in session.execute(query) if row[0] is not None}
