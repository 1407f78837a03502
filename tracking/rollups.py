"""Days are rebuilt, never nudged.

Context: counting up as reports arrive makes numbers that no one can check, and one lost or doubled
step stays wrong for ever.
Decision: every change of base rows inserts a mark `(id, day)`. A rebuild reads the marks and the
day in one snapshot, outside the write door, computes the day afresh, then writes only the rows
that differ, in chunks, and deletes exactly the marks it read. Each of these writes moves the
day's generation on and is made only if nobody else has moved it.
Consequences: running it twice, or on two machines, changes nothing; `portal verify` is the same
computation without the writing.
"""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    text,
    true,
    type_coerce,
    update,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.types import NullType

from portal import clock
from portal.db import in_parts, insert_once, new_id, write_connection
from tracking.days import (
    Act,
    AreaLoad,
    Attention,
    Day,
    Facts,
    Key,
    Rows,
    SearchFacts,
    SlotRow,
    Values,
    add_attention,
    granted,
    merged,
    rows_of,
    unpack_pages,
)
from tracking.dwell import SLOT_MS, VIEW_GAP_MS, LoadFacts, chain_until, chains
from tracking.events import TOKEN_LIFE_MS
from tracking.models import (
    Audience,
    Download,
    Folded,
    LikeInterval,
    Load,
    Mark,
    Reader,
    Search,
    ShareEvent,
    Slot,
    SubjectKind,
)
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

PARTNER = Audience.partner.value
CHUNK_ROWS = 400
# Rows that bring their month along cost more: a whole chunk stays under 50 ms.
CHUNKS = {"partners": 50, "assets": 50}
# Today changes all the time: it is rebuilt at most every 20 times as long as it takes.
PATIENCE = 20
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
    start = clock.day_start(day, zone)
    end = clock.day_start(day + timedelta(days=1), zone)
    return Day(day, clock.to_ms(start), clock.to_ms(end))


# --- reading ------------------------------------------------------------------------------------


def computed(connection: Connection, day: Day, zone: ZoneInfo) -> Rows:
    """What the base rows say about `day`. Use one connection in one transaction: one snapshot."""
    loads = chained_loads(connection, day)
    crossing = [load for load in loads if not day.holds_all_of(load)]
    areas = _area_loads(connection, day)
    facts = Facts(
        loads=loads,
        here=attention_of(connection, day, loads, areas),
        elsewhere=_attention_elsewhere(connection, day, crossing, zone),
        acts=_acts(connection, day),
        areas=areas,
        searches=_searches(connection, day),
        numbers=_numbers(connection, loads),
    )
    rows = rows_of(day, facts)
    rows.touched = _days_of(crossing, zone) - {day.day}
    return rows


def _raw(column: Any) -> Any:
    """A key as the driver gives it: on a busy day a million of them are read."""
    return type_coerce(column, NullType)


_FACTS = (
    Load.id,
    _raw(Load.subject),
    _raw(Load.partner_id),
    Load.audience,
    _raw(Load.asset_id),
    _raw(Load.version_id),
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


def _loads(connection: Connection, *conditions: Any) -> dict[uuid.UUID, LoadFacts]:
    found = connection.execute(select(*_FACTS).where(_CONTENT, *conditions)).all()
    known = _Interned()
    return {
        key: LoadFacts(
            key, known[subject], known[partner], audience, known[asset], known[version], *more
        )
        for key, subject, partner, audience, asset, version, *more in found
    }


class _Interned(dict[Any, uuid.UUID]):
    """One object per key, so that many rows about few things are compared quickly."""

    def __missing__(self, raw: Any) -> uuid.UUID:
        key = self[raw] = raw if isinstance(raw, uuid.UUID) else uuid.UUID(bytes=bytes(raw))
        return key


def _reaching_into(day: Day) -> Any:
    """Whether a load may have something on `day`, or next to it."""
    reaches_in = or_(
        Load.last_slot >= (day.start - VIEW_GAP_MS) // SLOT_MS - 1,
        Load.activated_at >= day.start - VIEW_GAP_MS,
    )
    return and_(
        Load.issued_at >= day.start - TOKEN_LIFE_MS - VIEW_GAP_MS,
        Load.issued_at < day.end,
        or_(Load.issued_at >= day.start, reaches_in),
    )


def chained_loads(connection: Connection, day: Day) -> list[LoadFacts]:
    """The loads that touch `day`, and all that belong to one view with them."""
    loads = _loads(connection, _reaching_into(day))
    low, high = day.start, day.end
    while True:
        # Widen the window until no view that touches the day can have more outside of it.
        edge = [
            chain
            for chain in chains(loads.values())
            if day.touches(chain) and _may_go_on(chain, day, low, high)
        ]
        if not edge:
            return list(loads.values())
        low -= 2 * TOKEN_LIFE_MS
        high += 2 * TOKEN_LIFE_MS
        for some in in_parts(sorted({chain[0].subject for chain in edge})):
            outside = or_(Load.issued_at < day.start, Load.issued_at >= day.end)
            loads |= _loads(
                connection,
                Load.issued_at >= low,
                Load.issued_at < high,
                outside,
                Load.subject.in_(some),
            )


def _may_go_on(chain: Sequence[LoadFacts], day: Day, low: int, high: int) -> bool:
    begins = chain[0].issued_at
    earlier = begins < day.start and begins < low + TOKEN_LIFE_MS + VIEW_GAP_MS
    return earlier or chain_until(chain) + VIEW_GAP_MS >= high


def _area_loads(connection: Connection, day: Day) -> list[AreaLoad]:
    columns = (Load.id, Load.subject, Load.partner_id, Load.area, Load.activated_at)
    query = select(*columns).where(
        _COUNTED, Load.audience == PARTNER, Load.area.is_not(None), _reaching_into(day)
    )
    return [AreaLoad._make(row) for row in connection.execute(query)]


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
    attention = granted(_slots(connection, day, everybody, *conditions), everybody)
    known = {load.id for load in everybody}
    query = select(Folded.load_id, Folded.pages).where(Folded.day == day.day)
    if conditions:
        query = query.join(Load, Load.id == Folded.load_id).where(*conditions)
    for load_id, pages in connection.execute(query):
        if load_id in known:
            add_attention(attention, {load_id: unpack_pages(pages)})
    return attention


def _slots(
    connection: Connection, day: Day, loads: Sequence[LoadFacts | AreaLoad], *conditions: Any
) -> list[SlotRow]:
    native = connection.dialect.name == "postgresql"
    place: dict[Any, int] = {
        load.id if native else load.id.bytes: n for n, load in enumerate(loads)
    }
    columns = (
        _raw(Slot.load_id),
        Slot.slot,
        Slot.page,
        Slot.active,
        Slot.reading,
        Slot.idle,
        Slot.glance,
    )
    query = (
        select(*columns)
        .join(Load, Load.id == Slot.load_id)
        .where(
            _COUNTED,
            Load.issued_at >= day.start - TOKEN_LIFE_MS - SLOT_MS,
            Load.issued_at < day.end,
            Slot.slot >= day.slots.start,
            Slot.slot < day.slots.stop,
            *conditions,
        )
    )
    found = connection.execute(query).all()
    return [(place[key], *slot) for key, *slot in found if key in place]


def _attention_elsewhere(
    connection: Connection, day: Day, crossing: Sequence[LoadFacts], zone: ZoneInfo
) -> Attention:
    """What counts on other days for the loads of views that cross `day`'s edges."""
    total: Attention = {}
    wanted = {load.id for load in crossing}
    for other in sorted(_days_of(crossing, zone) - {day.day}):
        span = the_day(other, zone)
        for some in in_parts(sorted({load.subject for load in crossing})):
            mine = (Load.subject.in_(some),)
            # All that these persons have on that day, so that the cap is right there, too.
            loads = list(_loads(connection, _reaching_into(span), *mine).values())
            found = attention_of(connection, span, loads, (), *mine)
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


def _numbers(connection: Connection, loads: Sequence[LoadFacts]) -> dict[uuid.UUID, int]:
    subjects = {load.subject for load in loads if load.lasting}
    found: dict[uuid.UUID, int] = {}
    for some in in_parts(sorted(subjects | {load.partner_id for load in loads})):
        query = select(Reader.subject, Reader.number).where(Reader.subject.in_(some))
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _acts(connection: Connection, day: Day) -> list[Act]:
    start, end = clock.from_ms(day.start), clock.from_ms(day.end)
    # A like that still stood at the end of its day: one at most of a person for an asset, however
    # often it was given and taken back.
    stood = or_(LikeInterval.unliked_at.is_(None), LikeInterval.unliked_at >= end)
    kinds: tuple[tuple[str, Any, Any, Any], ...] = (
        ("downloads", Download, Download.granted_at, true()),
        ("downloads_started", Download, Download.granted_at, Download.started_at.is_not(None)),
        ("downloads_completed", Download, Download.granted_at, Download.completed_at.is_not(None)),
        ("shares", ShareEvent, ShareEvent.at, true()),
        ("likes", LikeInterval, LikeInterval.liked_at, stood),
    )
    found: list[Act] = []
    for kind, model, at, condition in kinds:
        counted = (
            at >= start,
            at < end,
            model.partner_id.is_not(None),
            model.audience != Audience.vendor.value,
            condition,
        )
        keys = (model.partner_id, model.asset_id, model.audience)
        query = select(*keys, func.count()).group_by(*keys).where(*counted)
        found += [Act(kind, *row) for row in connection.execute(query)]
        if model is ShareEvent:
            # Of the partner, a link is one share, however many assets it has.
            keys = (model.partner_id, null(), model.audience)
            links = func.count(ShareEvent.share_id.distinct())
            query = select(*keys, links).group_by(model.partner_id, model.audience).where(*counted)
            found += [Act._make((kind, *row)) for row in connection.execute(query)]
    return found


def _searches(connection: Connection, day: Day) -> list[SearchFacts]:
    found = (Search.results > 0).label("found")
    keys = (Search.partner_id, Search.words, found)
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
    return [
        SearchFacts(row[0], row[1], bool(row[2]), row[3])  # type: ignore[arg-type]
        for row in connection.execute(query)
    ]


def stored(connection: Connection, day: date, grain: Grain = Grain.day) -> Rows:
    """What the rollups say about `day`, or the month that begins with it."""
    rows = Rows()
    for name, table in TABLES.items():
        if grain == Grain.month and "grain" not in table.c:
            continue
        kept = getattr(rows, name)
        query = select(table).where(table.c.day == day)
        if "grain" in table.c:
            query = query.where(table.c.grain == grain)
        if table is PairSum.__table__:
            # Clustered by asset: asked for asset by asset instead of by one more index.
            query = query.where(table.c.asset_id.in_(text("SELECT id FROM asset")))
        for row in connection.execute(query).mappings():
            kept[tuple(row[key] for key in _keys(table))] = {
                column: row[column] for column in _columns(table)
            }
    return rows


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key if column.name not in ("grain", "day")]


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One row of a rollup that differs from the base rows; `values` None: it has no business.

    `known`: there is such a row already.
    """

    table: str
    key: Key
    values: Values | None
    known: bool


def differences(old: Rows, new: Rows) -> list[Change]:
    """What has to be written so that `old` becomes `new`."""
    found = []
    for name in TABLES:
        before, after = getattr(old, name), getattr(new, name)
        found += [Change(name, key, None, True) for key in before if key not in after]
        found += [
            Change(name, key, values, key in before)
            for key, values in after.items()
            if before.get(key) != values
        ]
    return found


def rebuild_marked(engine: Engine, zone: ZoneInfo, *, at_once: bool = False) -> int:
    """Job: rebuild the days that have marks; returns how many were. `at_once` skips the waiting."""
    with engine.connect() as connection:
        marked = set(connection.scalars(select(Mark.day).distinct()))
        states = {row.day: row for row in connection.execute(select(DayState.__table__))}
    now = clock.now()
    due = [day for day in sorted(marked) if at_once or _is_due(states.get(day), now)]
    return sum(rebuild(engine, day, zone) for day in due)


def _is_due(state: Any, now: datetime) -> bool:
    if state is None or state.rebuilt_at is None or state.rebuilt_at > now:
        # Rebuilt in the future: the clock was wrong then.
        return True
    return bool(now >= state.rebuilt_at + PATIENCE * timedelta(milliseconds=state.took_ms))


def mark(engine: Engine, days: Iterable[date]) -> None:
    """Ask for `days` to be rebuilt."""
    rows = [{"id": new_id(), "day": day, "at": clock.now()} for day in days]
    if rows:
        with write_connection(engine) as connection:
            connection.execute(insert(Mark), rows)


@dataclass(frozen=True)
class _Reading:
    """What a rebuild read in one snapshot."""

    marks: Sequence[uuid.UUID]
    generation: int
    across: str
    sealed: bool
    new: Rows
    changes: Sequence[Change]


def rebuild(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    """Make the rollups of `day` equal to its base rows.

    False when another rebuild of the same day came between (the marks stay and it is tried again),
    and for a sealed day, whose numbers are final.
    """
    began = time.perf_counter()
    with _without_collecting():
        reading = _read(engine, day, zone)
    if reading.sealed:
        with write_connection(engine) as connection:
            _delete_marks(connection, reading.marks)
        return False
    generation = reading.generation
    for chunk in _chunks(reading.changes):
        with write_connection(engine) as connection:
            if not _moves_on(connection, day, generation):
                return False
            _apply(connection, day, chunk)
        generation += 1
    with write_connection(engine) as connection:
        if not _moves_on(connection, day, generation):
            return False
        _delete_marks(connection, reading.marks)
        took_ms = int((time.perf_counter() - began) * 1000)
        state = {"rebuilt_at": clock.now(), "took_ms": took_ms, "across": reading.new.across}
        connection.execute(update(DayState).where(DayState.day == day).values(**state))
        if reading.new.across != reading.across:
            more = sorted(neighbours(day, reading.new))
            marks = [{"id": new_id(), "day": d, "at": clock.now()} for d in more]
            connection.execute(insert(Mark), marks)
    return True


def neighbours(day: date, rows: Rows) -> set[date]:
    """The days whose numbers may change with the views that cross the edges of `day`."""
    return rows.touched | {day - timedelta(days=1), day + timedelta(days=1)}


@contextmanager
def _without_collecting() -> Iterator[None]:
    """A busy day is millions of objects that all stay: looking for garbage among them again and
    again took a seventh of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(engine: Engine, day: date, zone: ZoneInfo) -> _Reading:
    """One snapshot of the day. Readers who come for the first time are given their number before
    it; whoever came between the two makes it start again."""
    unnumbered = _unnumbered(engine, the_day(day, zone))
    while True:
        for some in in_parts(sorted(unnumbered), CHUNK_ROWS):
            with write_connection(engine) as connection:
                rows = [{"subject": subject} for subject in some]
                connection.execute(insert_once(connection, Reader), rows)
        with engine.connect() as connection:
            marks = list(connection.scalars(select(Mark.id).where(Mark.day == day)))
            state = connection.execute(
                select(DayState.__table__).where(DayState.day == day)
            ).one_or_none()
            generation, across = (state.generation, state.across) if state else (0, "")
            if state is not None and state.sealed_at is not None:
                return _Reading(marks, generation, across, True, Rows(), [])
            new = computed(connection, the_day(day, zone), zone)
            if not new.unnumbered:
                changes = differences(stored(connection, day), new)
                return _Reading(marks, generation, across, False, new, changes)
        unnumbered = new.unnumbered


def _unnumbered(engine: Engine, day: Day) -> set[uuid.UUID]:
    """Readers of a day that were not counted before."""
    query = (
        select(Load.subject)
        .distinct()
        .outerjoin(Reader, Reader.subject == Load.subject)
        .where(
            _CONTENT,
            Load.subject_kind == SubjectKind.lasting,
            Load.issued_at >= day.start - TOKEN_LIFE_MS,
            Load.issued_at < day.end,
            Load.activated_at.is_not(None),
            Reader.number.is_(None),
        )
    )
    with engine.connect() as connection:
        return set(connection.scalars(query))


def _chunks(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Parts of the changes; a chunk holds rows of one table, in the order of keys."""
    for name in TABLES:
        mine = [change for change in changes if change.table == name]
        for some in in_parts(mine, CHUNKS.get(name, CHUNK_ROWS)):
            yield list(some)


def _moves_on(connection: Connection, day: date, generation: int) -> bool:
    """Move the generation of a day on, in the transaction of a write; False when somebody else did
    since `generation` was read.

    Every write does, so that whoever read the day between two of them writes nothing.
    """
    moved = connection.execute(
        update(DayState)
        .where(DayState.day == day, DayState.generation == generation)
        .values(generation=generation + 1)
    )
    if moved.rowcount or generation:
        return bool(moved.rowcount)
    fresh = {"day": day, "generation": 1, "took_ms": 0, "across": ""}
    return bool(connection.execute(insert_once(connection, DayState), fresh).rowcount)


def _apply(connection: Connection, day: date, changes: Sequence[Change]) -> None:
    """Write rows of one table, and the rows of their month: again the sum of its days."""
    table = TABLES[changes[0].table]
    fixed: Values = {"day": day}
    if "grain" in table.c:
        fixed["grain"] = Grain.day.value
    rows = {change.key: change.values for change in changes}
    known = [change.key for change in changes if change.known]
    _replace(connection, table, fixed, rows, known)
    if "grain" in table.c:
        month = day.replace(day=1)
        if connection.dialect.name == "postgresql":
            # Two days of one month may be rebuilt at once: the second waits and sees the first.
            connection.execute(select(func.pg_advisory_xact_lock(month.toordinal())))
        values = month_rows(connection, table, month, [change.key for change in changes])
        fixed = {"day": month, "grain": Grain.month.value}
        _replace(connection, table, fixed, values, list(values))


def _replace(
    connection: Connection,
    table: Table,
    fixed: Values,
    rows: Mapping[Key, Values | None],
    known: Sequence[Key],
) -> None:
    """Put `rows` where those with the `known` keys are; None takes a row away."""
    keys = _keys(table)
    if known:
        names = [column.name for column in table.primary_key]
        gone = delete(table).where(*(table.c[name] == bindparam(f"b_{name}") for name in names))
        named = ({**fixed, **dict(zip(keys, key, strict=True))} for key in known)
        connection.execute(gone, [{f"b_{name}": key[name] for name in names} for key in named])
    there = [
        {**fixed, **dict(zip(keys, key, strict=True)), **row}
        for key, row in rows.items()
        if row is not None
    ]
    if there:
        connection.execute(insert(table), there)


def month_rows(
    connection: Connection, table: Table, month: date, keys: Sequence[Key] | None = None
) -> dict[Key, Values | None]:
    """What the days of a month say about some keys, or all; None where they say nothing."""
    found: dict[Key, list[Any]] = {key: [] for key in keys or ()}
    query = select(table).where(
        table.c.grain == Grain.day.value,
        table.c.day >= month,
        table.c.day < clock.add_months(month, 1),
    )
    names = _keys(table)
    if keys is not None:
        # The second part of the key (audience) is left to Python: there are two of them.
        query = query.where(table.c[names[0]].in_({key[0] for key in keys}))
    for row in connection.execute(query).mappings():
        key = tuple(row[name] for name in names)
        if keys is None or key in found:
            found.setdefault(key, []).append(row)
    return {key: merged(rows) if rows else None for key, rows in found.items()}


def _delete_marks(connection: Connection, marks: Sequence[uuid.UUID]) -> None:
    for some in in_parts(marks):
        connection.execute(delete(Mark).where(Mark.id.in_(some)))


def as_of(connection: Any) -> datetime | None:
    """Up to which moment every number is complete: the oldest change that waits to be counted, or
    now; None before anything was."""
    if connection.scalar(select(func.max(DayState.rebuilt_at))) is None:
        return None
    oldest: datetime | None = connection.scalar(select(func.min(Mark.at)))
    return min(oldest or clock.now(), clock.now())
