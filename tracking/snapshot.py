"""A day as its base rows say it, and as the rollups do: both are read in one snapshot.

Nothing here writes. `tracking.rollups` makes the two equal, `tracking.verify` says where they are
not.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Executable,
    Null,
    Select,
    Table,
    and_,
    bindparam,
    func,
    null,
    or_,
    select,
    text,
    union,
)
from sqlalchemy.engine import Connection, Engine

from portal import clock
from portal.bulk import Raw, driver_rows
from portal.db import UTCDateTime, in_parts
from tracking.days import (
    Act,
    AreaLoad,
    Attention,
    Day,
    Facts,
    Rows,
    SearchFacts,
    add_attention,
    granted,
    key_of,
    rows_of,
)
from tracking.dwell import SLOT_MS, VIEW_GAP_MS, Id, LoadFacts, chain_until, chains
from tracking.events import TOKEN_LIFE_MS
from tracking.models import (
    Audience,
    Download,
    Folded,
    LikeInterval,
    Load,
    Reader,
    Search,
    ShareEvent,
    Slot,
    SubjectKind,
)
from tracking.packing import unpack_pages
from tracking.sums import (
    AreaSum,
    AssetSum,
    Grain,
    PageSum,
    PairSum,
    PartnerSum,
    SearchSum,
)

PARTNER = Audience.partner.value
TABLES: dict[str, Any] = {
    "partners": PartnerSum.__table__,
    "assets": AssetSum.__table__,
    "pairs": PairSum.__table__,
    "pages": PageSum.__table__,
    "areas": AreaSum.__table__,
    "searches": SearchSum.__table__,
}


def the_day(day: date, zone: ZoneInfo) -> Day:
    """`day` with its first and its past-the-end moment."""
    begin, end = span(day, day, zone)
    return Day(day, begin, end)


def span(first: date, last: date, zone: ZoneInfo) -> tuple[int, int]:
    """The first moment of days and the past-the-end one, in milliseconds."""
    begin = clock.day_start(first, zone)
    end = clock.day_start(last + timedelta(days=1), zone)
    return clock.to_ms(begin), clock.to_ms(end)


def computed(connection: Connection, day: Day, zone: ZoneInfo) -> Rows:
    """What the base rows say about `day`. Use one connection in one transaction: one snapshot."""
    views = chains_of(connection, day)
    loads = [load for chain in views for load in chain]
    crossing = [load for load in loads if not day.holds_all_of(load)]
    areas, searches = _area_loads(connection, day), _searches(connection, day)
    facts = Facts(
        chains=views,
        here=attention_of(connection, day, loads, areas),
        elsewhere=_attention_elsewhere(connection, day, crossing, zone),
        acts=_acts(connection, day),
        areas=areas,
        searches=searches,
        numbers=_numbers(connection, loads, searches),
    )
    rows = rows_of(day, facts)
    rows.touched = _days_of(crossing, zone) - {day.day}
    return rows


_FACTS = (
    Raw(Load.id),
    Raw(Load.subject),
    Raw(Load.partner_id),
    Load.audience,
    Raw(Load.asset_id),
    Raw(Load.version_id),
    Load.issued_at,
    Load.activated_at,
    Load.last_slot,
    Load.left_at,
    (Load.subject_kind == SubjectKind.lasting).label("lasting"),
)
_COUNTED = and_(
    Load.audience != Audience.vendor.value, Load.partner_id.is_not(None), Load.machine == 0
)
_CONTENT = and_(_COUNTED, Load.asset_id.is_not(None))


def _loads(
    connection: Connection, query: Executable, asked: Mapping[str, int] | None = None
) -> dict[Id, LoadFacts]:
    # One object for each thing, however many loads are about it: they are near in memory, and equal
    # at first sight.
    known: dict[Any, Any] = {}
    one = known.setdefault
    return {
        key: LoadFacts(
            key, one(who, who), one(of, of), one(to, to), one(what, what), one(which, which), *more
        )
        for key, who, of, to, what, which, *more in driver_rows(connection, query, asked)
    }


# Whether a load may have something on a day, or next to it.
_REACHING = and_(
    Load.issued_at >= bindparam("alive"),
    Load.issued_at < bindparam("past"),
    or_(
        Load.issued_at >= bindparam("start"),
        Load.last_slot >= bindparam("slot"),
        Load.activated_at >= bindparam("view"),
    ),
)
_LOADS = select(*_FACTS).where(_CONTENT, _REACHING)
_AREA_LOADS = select(
    Raw(Load.id), Raw(Load.subject), Raw(Load.partner_id), Load.area, Load.activated_at
).where(_COUNTED, Load.audience == PARTNER, Load.area.is_not(None), _REACHING)


def _reaching_into(day: Day) -> dict[str, int]:
    """What `_REACHING` asks about `day`."""
    return {
        "alive": day.start - TOKEN_LIFE_MS - VIEW_GAP_MS,
        "past": day.end,
        "start": day.start,
        "slot": (day.start - VIEW_GAP_MS) // SLOT_MS - 1,
        "view": day.start - VIEW_GAP_MS,
    }


def chains_of(connection: Connection, day: Day) -> list[list[LoadFacts]]:
    """The loads that touch `day`, with all that belong to one view with them, as chains."""
    loads = _loads(connection, _LOADS, _reaching_into(day))
    low, high = day.start, day.end
    while True:
        # Widen the window until no view that touches the day can have more outside of it.
        found = chains(loads.values())
        edge = [chain for chain in found if _may_go_on(chain, day, low, high)]
        if not edge:
            return found
        low -= 2 * TOKEN_LIFE_MS
        high += 2 * TOKEN_LIFE_MS
        for some in in_parts(_subjects(chain[0] for chain in edge)):
            outside = or_(Load.issued_at < day.start, Load.issued_at >= day.end)
            also = (Load.issued_at >= low, Load.issued_at < high, outside, Load.subject.in_(some))
            loads |= _loads(connection, select(*_FACTS).where(_CONTENT, *also))


def _may_go_on(chain: Sequence[LoadFacts], day: Day, low: int, high: int) -> bool:
    """Whether a view that touches the day may have more outside of what was looked at."""
    begins, until = chain[0].issued_at, chain_until(chain)
    earlier = begins < day.start and begins < low + TOKEN_LIFE_MS + VIEW_GAP_MS
    return (earlier or until + VIEW_GAP_MS >= high) and day.touches(chain)


def _area_loads(connection: Connection, day: Day) -> list[AreaLoad]:
    found = driver_rows(connection, _AREA_LOADS, _reaching_into(day))
    return [AreaLoad._make(row) for row in found]


def _subjects(loads: Iterable[LoadFacts]) -> list[uuid.UUID]:
    return [key_of(subject) for subject in sorted({load.subject for load in loads})]


def attention_of(
    connection: Connection,
    day: Day,
    loads: Sequence[LoadFacts],
    areas: Sequence[AreaLoad] = (),
    *conditions: Any,
) -> Attention:
    """What counts on `day` for `loads`: what is folded, and what slots say after the cap.

    A person's slots of a day are folded all at once, so that the two never mix.
    """
    everybody: list[LoadFacts | AreaLoad] = [*loads, *areas]
    person_of = {load.id: load.subject for load in everybody}
    attention = granted(driver_rows(connection, _slots(day, *conditions)), person_of)
    query = select(Raw(Folded.load_id), Folded.pages).where(Folded.day == day.day)
    if conditions:
        query = query.join(Load, Load.id == Folded.load_id).where(*conditions)
    for load_id, pages in driver_rows(connection, query):
        if load_id in person_of:
            add_attention(attention, {load_id: unpack_pages(pages)})
    return attention


def _slots(day: Day, *conditions: Any) -> Select[Any]:
    """The slots of a day, as `SlotRow`, and some of loads that count for nothing."""
    # By the moment of issue alone, an index has these: the loads need not be read once more.
    loads = select(Load.id).where(
        Load.issued_at >= day.start - TOKEN_LIFE_MS - SLOT_MS,
        Load.issued_at < day.end,
        *conditions,
    )
    counts: Sequence[Any] = (Slot.active, Slot.reading, Slot.idle, Slot.glance)
    return select(Raw(Slot.load_id), Slot.slot, Slot.page, *counts).where(
        Slot.load_id.in_(loads), Slot.slot >= day.slots.start, Slot.slot < day.slots.stop
    )


def _attention_elsewhere(
    connection: Connection, day: Day, crossing: Sequence[LoadFacts], zone: ZoneInfo
) -> Attention:
    """What counts on other days for the loads of views that cross `day`'s edges."""
    total: Attention = {}
    wanted = {load.id for load in crossing}
    for other in sorted(_days_of(crossing, zone) - {day.day}):
        that = the_day(other, zone)
        for some in in_parts(_subjects(crossing)):
            mine = (Load.subject.in_(some),)
            # All that these persons have on that day, so that the cap is right there, too.
            theirs = _loads(connection, _LOADS.where(*mine), _reaching_into(that))
            found = attention_of(connection, that, list(theirs.values()), (), *mine)
            add_attention(total, {key: found[key] for key in found.keys() & wanted})
    return total


def _days_of(loads: Iterable[LoadFacts], zone: ZoneInfo) -> set[date]:
    """Every local day on which these loads may have something."""
    days: set[date] = set()
    for load in loads:
        first = clock.local_day(clock.from_ms(load.issued_at), zone)
        last = clock.local_day(clock.from_ms(chain_until([load])), zone)
        days |= {date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)}
    return days


def _numbers(
    connection: Connection, loads: Sequence[LoadFacts], searches: Iterable[SearchFacts]
) -> dict[Id, int]:
    wanted = {load.subject for load in loads if load.lasting}
    wanted |= {load.partner_id for load in loads} | {search.partner_id for search in searches}
    found: dict[Id, int] = {}
    for some in in_parts([key_of(key) for key in sorted(wanted)]):
        query = select(Raw(Reader.subject), Reader.number).where(Reader.subject.in_(some))
        found.update(driver_rows(connection, query))
    return found


_BEGIN, _END = bindparam("begin", type_=UTCDateTime), bindparam("end", type_=UTCDateTime)


def _acts_of(model: Any, at: Any, by: Sequence[Any], *counts: Any) -> Select[Any]:
    """How many acts of one kind there were from `begin` to `end`, made ready once: a rebuild of
    many quiet days asks more than it reads."""
    return (
        select(*by, *counts)
        .where(at >= _BEGIN, at < _END)
        .where(model.partner_id.is_not(None), model.audience != Audience.vendor.value)
        .group_by(*(key for key in by if not isinstance(key, Null)))
    )


def _keys(model: Any) -> tuple[Any, ...]:
    return Raw(model.partner_id), Raw(model.asset_id), model.audience


# What is counted, column by column after the keys, and the query.
_ACTS: tuple[tuple[tuple[str, ...], Select[Any]], ...] = (
    (
        ("downloads", "downloads_started", "downloads_completed"),
        _acts_of(
            Download,
            Download.granted_at,
            _keys(Download),
            func.count(),
            func.count(Download.started_at),
            func.count(Download.completed_at),
        ),
    ),
    (("shares",), _acts_of(ShareEvent, ShareEvent.at, _keys(ShareEvent), func.count())),
    # Of the partner, a link is one share, however many assets it has.
    (
        ("shares",),
        _acts_of(
            ShareEvent,
            ShareEvent.at,
            (Raw(ShareEvent.partner_id), null(), ShareEvent.audience),
            func.count(ShareEvent.share_id.distinct()),
        ),
    ),
    # A like that still stood at the end of its day: one at most of a person for an asset, however
    # often it was given and taken back.
    (
        ("likes",),
        _acts_of(LikeInterval, LikeInterval.liked_at, _keys(LikeInterval), func.count()).where(
            or_(LikeInterval.unliked_at.is_(None), LikeInterval.unliked_at >= _END)
        ),
    ),
)


def _acts(connection: Connection, day: Day) -> list[Act]:
    asked = {"begin": clock.from_ms(day.start), "end": clock.from_ms(day.end)}
    return [
        Act(kind, partner, asset, audience, n)
        for kinds, query in _ACTS
        for partner, asset, audience, *counts in connection.execute(query, asked)
        for kind, n in zip(kinds, counts, strict=True)
        if n
    ]


def _searches(connection: Connection, day: Day) -> list[SearchFacts]:
    found = (Search.results > 0).label("found")
    keys = (Raw(Search.partner_id), Search.words, found)
    query = (
        select(*keys, func.count())
        .join(Load, Load.id == Search.load_id)
        .where(
            _COUNTED,
            Search.audience == PARTNER,
            # Counted like a view, on the day its page was looked at; by the index on `at`.
            Search.at >= clock.from_ms(day.start - TOKEN_LIFE_MS),
            Search.at < clock.from_ms(day.end),
            Load.activated_at >= day.start,
            Load.activated_at < day.end,
        )
        .group_by(*keys)
    )
    return [SearchFacts(row[0], row[1], bool(row[2]), row[3]) for row in connection.execute(query)]


def stored(connection: Connection, day: date, grain: Grain = Grain.day) -> Rows:
    """What the rollups say about `day`, or the dekad or month that begins with it."""
    rows = Rows()
    for name, table in TABLES.items():
        if grain != Grain.day and "grain" not in table.c:
            continue
        kept = getattr(rows, name)
        query = select(table).where(table.c.day == day)
        if "grain" in table.c:
            query = query.where(table.c.grain == grain)
        if table is PairSum.__table__:
            # Clustered by asset: asked for asset by asset instead of by one more index.
            query = query.where(table.c.asset_id.in_(text("SELECT id FROM asset")))
        for row in connection.execute(query).mappings():
            kept[tuple(row[key] for key in keys_of(table))] = {
                column: row[column] for column in columns_of(table)
            }
    return rows


def keys_of(table: Table) -> list[str]:
    """The columns that tell the rows of one day and grain apart."""
    return [column.name for column in table.primary_key if column.name not in ("grain", "day")]


def columns_of(table: Table) -> list[str]:
    """The columns that hold what a row says."""
    return [column.name for column in table.columns if not column.primary_key]


def unnumbered(engine: Engine, when: tuple[int, int]) -> set[uuid.UUID]:
    """The readers of a `span`, people and partners, that were not counted before."""
    begin, end = when
    # The loads are read once; of the few thousand readers it is then asked who has a number.
    seen = (
        select(Load.subject, Load.subject_kind, Load.partner_id)
        .distinct()
        .where(
            _CONTENT,
            Load.issued_at >= begin - TOKEN_LIFE_MS,
            Load.issued_at < end,
            Load.activated_at.is_not(None),
        )
        .cte()
    )
    people = select(seen.c.subject).where(seen.c.subject_kind == SubjectKind.lasting)
    readers = union(people, select(seen.c.partner_id)).subquery()
    query = select(readers).outerjoin(Reader, Reader.subject == readers.c.subject)
    with engine.connect() as connection:
        return set(connection.scalars(query.where(Reader.number.is_(None))))
