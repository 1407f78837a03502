"""Days are rebuilt, never nudged.

Context: counting up as reports arrive makes numbers that no one can check, and one lost or doubled
step stays wrong for ever.
Decision: every change of base rows inserts a mark `(id, day)`. A rebuild reads the marks and the
day in one snapshot, outside the write door, computes the day afresh, then writes only the rows
that differ, in chunks, and deletes exactly the marks it read.
Consequences: running it twice, or on two machines, changes nothing; `portal verify` is the same
computation without the writing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Table, and_, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.engine import Connection, Engine

from portal import clock
from portal.db import insert_once, new_id, write_connection
from tracking.days import ACTS, Act, Day, Key, Rows, SlotFacts, Values, rows_of
from tracking.dwell import SLOT_MS, VIEW_GAP_MS, LoadFacts, chain_until, chains
from tracking.events import TOKEN_LIFE_MS
from tracking.models import (
    Audience,
    DayAsset,
    DayDwell,
    DayPage,
    DayPeople,
    DayState,
    Download,
    LikeInterval,
    Load,
    Mark,
    ShareEvent,
    Slot,
)

CHUNK_ROWS = 400
# Today changes all the time: it is rebuilt at most every 20 times as long as it takes.
PATIENCE = 20
TABLES: dict[str, Any] = {
    "assets": DayAsset.__table__,
    "pages": DayPage.__table__,
    "dwell": DayDwell.__table__,
    "people": DayPeople.__table__,
}


def the_day(day: date, zone: ZoneInfo) -> Day:
    """`day` with its first and its past-the-end moment."""
    start = clock.day_start(day, zone)
    end = clock.day_start(day + timedelta(days=1), zone)
    return Day(day, clock.to_ms(start), clock.to_ms(end))


# --- reading ------------------------------------------------------------------------------------


def computed(connection: Connection, day: Day) -> Rows:
    """What the base rows say about `day`. Use one connection in one transaction: one snapshot."""
    loads = _chained_loads(connection, day)
    return rows_of(day, loads, _slots(connection, day, loads), _acts(connection, day))


_FACTS = (
    Load.id,
    Load.subject,
    Load.partner_id,
    Load.audience,
    Load.asset_id,
    Load.version_id,
    Load.issued_at,
    Load.activated_at,
    Load.last_slot,
)
_COUNTED = and_(Load.audience != Audience.vendor.value, Load.partner_id.is_not(None))


def _loads(connection: Connection, *conditions: Any) -> dict[uuid.UUID, LoadFacts]:
    found = connection.execute(select(*_FACTS).where(_COUNTED, *conditions))
    return {row[0]: LoadFacts._make(row) for row in found}


def _chained_loads(connection: Connection, day: Day) -> list[LoadFacts]:
    """The loads that touch `day`, and all that belong to one view with them."""
    reaches_in = or_(
        Load.last_slot >= (day.start - VIEW_GAP_MS) // SLOT_MS - 1,
        Load.activated_at >= day.start - VIEW_GAP_MS,
    )
    loads = _loads(
        connection,
        Load.issued_at >= day.start - TOKEN_LIFE_MS - VIEW_GAP_MS,
        Load.issued_at < day.end,
        or_(Load.issued_at >= day.start, reaches_in),
    )
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
        for some in _parts(sorted({chain[0].subject for chain in edge}), 500):
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


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


_SLOT = (Slot.load_id, Slot.slot, Slot.page, Slot.active, Slot.reading, Slot.idle, Slot.glance)


def _slots(connection: Connection, day: Day, loads: Sequence[LoadFacts]) -> list[SlotFacts]:
    known = {load.id for load in loads}
    of_day = (
        select(*_SLOT)
        .join(Load, Load.id == Slot.load_id)
        .where(
            _COUNTED,
            Load.issued_at >= day.start - TOKEN_LIFE_MS - SLOT_MS,
            Load.issued_at < day.end,
            Slot.slot >= day.slots.start,
            Slot.slot < day.slots.stop,
        )
    )
    rows = list(connection.execute(of_day))
    rows += _slots_elsewhere(connection, day, loads)
    return [
        SlotFacts(row[0], row[1], row[2], (row[3], row[4], row[5], row[6]))
        for row in rows
        if row[0] in known
    ]


def _slots_elsewhere(connection: Connection, day: Day, loads: Sequence[LoadFacts]) -> list[Any]:
    """What the persons of views over midnight have outside `day`."""
    crossing = [load for load in loads if not day.holds_all_of(load)]
    rows: list[Any] = []
    for some in _parts(sorted({load.subject for load in crossing}), 500):
        query = (
            select(*_SLOT)
            .join(Load, Load.id == Slot.load_id)
            .where(
                _COUNTED,
                Load.subject.in_(some),
                Load.issued_at >= min(load.issued_at for load in crossing) - TOKEN_LIFE_MS,
                Load.issued_at <= max(chain_until([load]) for load in crossing),
                or_(Slot.slot < day.slots.start, Slot.slot >= day.slots.stop),
            )
        )
        rows += connection.execute(query)
    return rows


def _acts(connection: Connection, day: Day) -> list[Act]:
    start, end = clock.from_ms(day.start), clock.from_ms(day.end)
    tables: tuple[tuple[Any, Any], ...] = (
        (Download, Download.granted_at),
        (ShareEvent, ShareEvent.at),
        (LikeInterval, LikeInterval.liked_at),
    )
    found: list[Act] = []
    for kind, (model, at) in zip(ACTS, tables, strict=True):
        keys = (model.partner_id, model.asset_id, model.audience)
        query = (
            select(*keys, func.count())
            .group_by(*keys)
            .where(
                at >= start,
                at < end,
                model.partner_id.is_not(None),
                model.audience != Audience.vendor.value,
            )
        )
        found += [Act(kind, *row) for row in connection.execute(query)]
    return found


def stored(connection: Connection, day: date) -> Rows:
    """What the rollups say about `day`."""
    rows = Rows()
    for name, table in TABLES.items():
        kept = getattr(rows, name)
        for row in connection.execute(select(table).where(table.c.day == day)).mappings():
            kept[tuple(row[key] for key in _keys(table))] = {
                column: row[column] for column in _columns(table)
            }
    return rows


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key if column.name != "day"]


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One row of a rollup that differs from the base rows; `values` None: it has no business."""

    table: str
    key: Key
    values: Values | None


def differences(old: Rows, new: Rows) -> list[Change]:
    """What has to be written so that `old` becomes `new`."""
    found = []
    for name in TABLES:
        before, after = getattr(old, name), getattr(new, name)
        found += [Change(name, key, None) for key in before if key not in after]
        found += [
            Change(name, key, values) for key, values in after.items() if before.get(key) != values
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
    if state is None or state.rebuilt_at is None:
        return True
    return bool(now >= state.rebuilt_at + PATIENCE * timedelta(milliseconds=state.took_ms))


def mark(engine: Engine, days: Iterable[date]) -> None:
    """Ask for `days` to be rebuilt."""
    rows = [{"id": new_id(), "day": day, "at": clock.now()} for day in days]
    if rows:
        with write_connection(engine) as connection:
            connection.execute(insert(Mark), rows)


def rebuild(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    """Make the rollups of `day` equal to its base rows.

    False when another rebuild of the same day came between; the marks stay and it is tried again.
    """
    began = time.perf_counter()
    with engine.connect() as connection:
        marks = list(connection.scalars(select(Mark.id).where(Mark.day == day)))
        state = connection.execute(
            select(DayState.generation, DayState.across).where(DayState.day == day)
        ).one_or_none()
        new = computed(connection, the_day(day, zone))
        changes = iter(differences(stored(connection, day), new))
    generation, across = (state.generation, state.across) if state else (0, "")
    if not _claim(engine, day, generation):
        return False
    while chunk := list(islice(changes, CHUNK_ROWS)):
        with write_connection(engine) as connection:
            if not _still_mine(connection, day, generation + 1):
                return False
            _apply(connection, day, chunk)
    neighbours = [day - timedelta(days=1), day + timedelta(days=1)] if new.across != across else []
    with write_connection(engine) as connection:
        if not _still_mine(connection, day, generation + 1):
            return False
        _close(connection, day, marks, new.across, int((time.perf_counter() - began) * 1000))
        at = clock.now()
        for neighbour in neighbours:
            connection.execute(insert(Mark).values(id=new_id(), day=neighbour, at=at))
    return True


def _claim(engine: Engine, day: date, generation: int) -> bool:
    with write_connection(engine) as connection:
        moved = connection.execute(
            update(DayState)
            .where(DayState.day == day, DayState.generation == generation)
            .values(generation=generation + 1)
        )
        if moved.rowcount:
            return True
        if generation:
            return False
        fresh = {"day": day, "generation": 1, "took_ms": 0, "across": ""}
        return bool(connection.execute(insert_once(connection, DayState), fresh).rowcount)


def _still_mine(connection: Connection, day: date, generation: int) -> bool:
    query = select(DayState.generation).where(DayState.day == day).with_for_update()
    return bool(connection.scalar(query) == generation)


def _apply(connection: Connection, day: date, changes: Sequence[Change]) -> None:
    for name, table in TABLES.items():
        mine = [change for change in changes if change.table == name]
        if not mine:
            continue
        keys = _keys(table)
        columns = tuple_(*(table.c[key] for key in keys))
        connection.execute(
            delete(table).where(table.c.day == day, columns.in_([change.key for change in mine]))
        )
        rows = [
            {"day": day, **dict(zip(keys, change.key, strict=True)), **change.values}
            for change in mine
            if change.values is not None
        ]
        if rows:
            connection.execute(insert(table), rows)


def _close(
    connection: Connection, day: date, marks: Sequence[uuid.UUID], across: str, took_ms: int
) -> None:
    for some in _parts(marks, 500):
        connection.execute(delete(Mark).where(Mark.id.in_(some)))
    connection.execute(
        update(DayState)
        .where(DayState.day == day)
        .values(rebuilt_at=clock.now(), took_ms=took_ms, across=across)
    )


def as_of(connection: Any) -> datetime | None:
    """When the newest numbers were computed."""
    moment: datetime | None = connection.scalar(select(func.max(DayState.rebuilt_at)))
    return moment
