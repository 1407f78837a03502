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

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Delete,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection, Engine

from portal import clock
from portal.bulk import insert_all
from portal.db import in_parts, insert_once, new_id, write_connection
from portal.pace import Pace, without_collecting
from tracking.days import (
    Key,
    Rows,
    Values,
    merged,
)
from tracking.models import (
    Mark,
    Reader,
)
from tracking.snapshot import (
    TABLES,
    columns_of,
    computed,
    keys_of,
    span,
    stored,
    the_day,
    unnumbered,
)
from tracking.sums import (
    COARSE,
    DayState,
    Grain,
)

CHUNK_ROWS = 400
# Rows that bring their dekad and month along take that much longer than others.
WEIGHTS = {"partners": 8, "assets": 20, "pages": 8, "searches": 8}
# Today changes all the time: it is rebuilt at most every 20 times as long as it takes.
PATIENCE = 20


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
        for key, values in after.items():
            kept = before.get(key)
            if kept != values:
                found.append(Change(name, key, values, kept is not None))
    return found


def rebuild_marked(engine: Engine, zone: ZoneInfo, *, at_once: bool = False) -> int:
    """Job: rebuild the days that have marks; returns how many were. `at_once` skips the waiting."""
    with engine.connect() as connection:
        marked = set(connection.scalars(select(Mark.day).distinct()))
        states = {row.day: row for row in connection.execute(select(DayState.__table__))}
    now = clock.now()
    due = [day for day in sorted(marked) if at_once or _is_due(states.get(day), now)]
    for first, last in _stretches(due):
        _welcome(engine, unnumbered(engine, span(first, last, zone)))
    return sum(rebuild(engine, day, zone) for day in due)


def _stretches(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """The first and the last of days that follow each other."""
    for _distance, found in groupby(enumerate(days), lambda pair: pair[1].toordinal() - pair[0]):
        some = [day for _place, day in found]
        yield some[0], some[-1]


def _welcome(engine: Engine, newcomers: Iterable[uuid.UUID]) -> None:
    """Give readers who come for the first time their numbers."""
    pace = Pace(engine, CHUNK_ROWS)
    for some in pace.parts(sorted(newcomers, key=attrgetter("int"))):
        with pace.write(len(some)) as connection:
            rows = [{"subject": subject} for subject in some]
            connection.execute(insert_once(connection, Reader), rows)


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
    with without_collecting():
        return _rebuild(engine, day, zone)


def _rebuild(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    began = time.perf_counter()
    reading = _read(engine, day, zone)
    if reading.sealed:
        with write_connection(engine) as connection:
            _delete_marks(connection, reading.marks)
        return False
    generation, pace, left = reading.generation, Pace(engine, CHUNK_ROWS), reading.changes
    while True:
        chunk, amount = _chunk(left, pace.room)
        left = left[len(chunk) :]
        with pace.write(amount) as connection:
            if not _moves_on(connection, day, generation):
                return False
            _apply(connection, day, chunk)
            if not left:
                took_ms = int((time.perf_counter() - began) * 1000)
                _finish(connection, day, reading, took_ms)
                return True
        generation += 1


def _finish(connection: Connection, day: date, reading: _Reading, took_ms: int) -> None:
    """With the last rows of a day: what was asked for is done."""
    _delete_marks(connection, reading.marks)
    state = {"rebuilt_at": clock.now(), "took_ms": took_ms, "across": reading.new.across}
    connection.execute(update(DayState).where(DayState.day == day).values(**state))
    if reading.new.across != reading.across:
        more = sorted(neighbours(day, reading.new))
        marks = [{"id": new_id(), "day": d, "at": clock.now()} for d in more]
        connection.execute(insert(Mark), marks)


def neighbours(day: date, rows: Rows) -> set[date]:
    """The days whose numbers may change with the views that cross the edges of `day`."""
    return rows.touched | {day - timedelta(days=1), day + timedelta(days=1)}


def _read(engine: Engine, day: date, zone: ZoneInfo) -> _Reading:
    """One snapshot of the day. Readers who come for the first time have their number before it;
    whoever came since makes it start again."""
    while True:
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
                # Every write of a row moves its day on: of a new day there is none.
                old = stored(connection, day) if generation else Rows()
                changes = differences(old, new)
                return _Reading(marks, generation, across, False, new, changes)
        _welcome(engine, new.unnumbered)


def _chunk(changes: Sequence[Change], room: int) -> tuple[Sequence[Change], int]:
    """The first of the changes that go into one write of this size, and the size that they are: at
    least one, if there is any."""
    size = 0
    for place, change in enumerate(changes):
        weight = WEIGHTS.get(change.table, 1)
        if place and size + weight > room:
            return changes[:place], size
        size += weight
    return changes, size


_MOVE_ON = (
    update(DayState)
    .where(DayState.day == bindparam("which"), DayState.generation == bindparam("read"))
    .values(generation=DayState.generation + 1)
)


def _moves_on(connection: Connection, day: date, generation: int) -> bool:
    """Move the generation of a day on, in the transaction of a write; False when somebody else did
    since `generation` was read.

    Every write does, so that whoever read the day between two of them writes nothing.
    """
    moved = connection.execute(_MOVE_ON, {"which": day, "read": generation})
    if moved.rowcount or generation:
        return bool(moved.rowcount)
    fresh = {"day": day, "generation": 1, "took_ms": 0, "across": ""}
    return bool(connection.execute(insert_once(connection, DayState), fresh).rowcount)


def _apply(connection: Connection, day: date, changes: Iterable[Change]) -> None:
    """Write rows of the day, and those of their dekad and month: again the sums of the finer."""
    for name, some in groupby(changes, attrgetter("table")):
        table, mine = TABLES[name], list(some)
        fixed: Values = {"day": day}
        if "grain" in table.c:
            fixed["grain"] = Grain.day.value
        known = [change.key for change in mine if change.known]
        _replace(connection, table, fixed, ((one.key, one.values) for one in mine), known)
        if "grain" in table.c:
            _sum_up(connection, table, day, [change.key for change in mine])


def _sum_up(connection: Connection, table: Table, day: date, keys: Sequence[Key]) -> None:
    if connection.dialect.name == "postgresql":
        # Two days of one month may be rebuilt at once: the second waits and sees the first.
        month = Grain.month.first(day)
        connection.execute(select(func.pg_advisory_xact_lock(month.toordinal())))
    for grain in COARSE:
        first = grain.first(day)
        values = summed(connection, table, grain, first, keys)
        fixed: Values = {"day": first, "grain": grain.value}
        _replace(connection, table, fixed, values.items(), list(values))


@lru_cache
def _removal(table: Table) -> Delete:
    names = (column.name for column in table.primary_key)
    return delete(table).where(*(table.c[name] == bindparam(f"b_{name}") for name in names))


def _replace(
    connection: Connection,
    table: Table,
    fixed: Values,
    rows: Iterable[tuple[Key, Values | None]],
    known: Sequence[Key],
) -> None:
    """Put `rows` (key and values) where those with the `known` keys are; None takes a row away."""
    keys = keys_of(table)
    if known:
        names = [column.name for column in table.primary_key]
        named = ({**fixed, **dict(zip(keys, key, strict=True))} for key in known)
        gone = [{f"b_{name}": key[name] for name in names} for key in named]
        connection.execute(_removal(table), gone)
    there = (
        {**fixed, **dict(zip(keys, key, strict=True)), **row}
        for key, row in rows
        if row is not None
    )
    insert_all(connection, table, map(itemgetter(*table.columns.keys()), there))


@lru_cache
def _finer_rows(table: Table, some: bool) -> Select[Any]:
    """The rows of one grain from a day to another, of some keys or all: their keys, and what they
    say. Made once: a rebuild of many quiet days asks more than it reads."""
    columns = (*keys_of(table), *columns_of(table))
    query = select(*(table.c[name] for name in columns)).where(
        table.c.grain == bindparam("finer"),
        table.c.day >= bindparam("first"),
        table.c.day < bindparam("after"),
    )
    # What follows in the key (audience, page) is left to Python: there are few of them.
    among = table.c[columns[0]].in_(bindparam("among", expanding=True))
    return query.where(among) if some else query


def summed(
    connection: Connection,
    table: Table,
    grain: Grain,
    first: date,
    keys: Sequence[Key] | None = None,
) -> dict[Key, Values | None]:
    """What the finer rows of a dekad or month, given by its first day, say about some keys, or
    all; None where they say nothing."""
    found: dict[Key, list[Sequence[Any]]] = {key: [] for key in keys or ()}
    width, columns = len(keys_of(table)), columns_of(table)
    asked: Values = {"finer": grain.finer.value, "first": first, "after": grain.after(first)}
    if keys is not None:
        asked["among"] = list({key[0] for key in keys})
    for row in connection.execute(_finer_rows(table, keys is not None), asked):
        key = row[:width]
        if keys is None or key in found:
            found.setdefault(key, []).append(row[width:])
    return {key: merged(columns, rows) if rows else None for key, rows in found.items()}


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
