"""Whether every number still equals its base rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Table, func, select
from sqlalchemy.engine import Connection, Engine

from portal import clock
from tracking import rollups, snapshot
from tracking.days import Rows
from tracking.models import Download, LikeInterval, Load, Mark, Search, ShareEvent, Slot
from tracking.sums import COARSE, DayState


def days_with_rows(connection: Connection, zone: ZoneInfo) -> list[date]:
    """Every day that has rollups or may have base rows and is not sealed."""
    days = set(connection.scalars(select(DayState.day)))
    moments = [
        connection.scalar(select(choose(column)))
        for column in (Download.granted_at, ShareEvent.at, LikeInterval.liked_at, Search.at)
        for choose in (func.min, func.max)
    ]
    ends = connection.execute(select(func.min(Load.issued_at), func.max(Load.issued_at))).one()
    last_slot = connection.scalar(select(func.max(Slot.slot)))
    moments += [clock.from_ms(value) for value in ends if value is not None]
    moments += [clock.slot_start(last_slot)] if last_slot is not None else []
    found = [clock.local_day(moment, zone) for moment in moments if moment is not None]
    if found:
        first, last = min(found), max(found)
        days |= {date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)}
    return sorted(days - set(sealed_days(connection)))


def sealed_days(connection: Connection) -> list[date]:
    """The days whose base rows retention has removed: their numbers are final."""
    query = select(DayState.day).where(DayState.sealed_at.is_not(None)).order_by(DayState.day)
    return list(connection.scalars(query))


def differences(
    engine: Engine, zone: ZoneInfo, on_waiting: Callable[[list[date]], None] = lambda _days: None
) -> Iterator[str]:
    """One line for each row of the rollups that differs from the base rows; none is right.

    Days that are still to be rebuilt are told to `on_waiting` instead: there the rollups may well
    be behind.
    """
    with engine.connect() as connection:
        waiting = _waiting_days(connection, zone)
        if waiting:
            on_waiting(sorted(waiting))
        for day in days_with_rows(connection, zone):
            if day not in waiting:
                new = snapshot.computed(connection, snapshot.the_day(day, zone), zone)
                yield from _lines(f"{day}", snapshot.stored(connection, day), new)
        days = _days_of_sums(connection)
        for grain in COARSE:
            for first in sorted({grain.first(day) for day in days}):
                new = Rows()
                for name, table in _sums().items():
                    setattr(new, name, rollups.summed(connection, table, grain, first))
                old = snapshot.stored(connection, first, grain)
                yield from _lines(f"{grain} {first}", old, new)


def _waiting_days(connection: Connection, zone: ZoneInfo) -> set[date]:
    """The days with marks, which a rebuild deletes last, and those that it will mark then."""
    across = {row.day: row.across for row in connection.execute(select(DayState.__table__))}
    fresh = set(connection.scalars(select(Mark.day).distinct()))
    sealed = set(sealed_days(connection))
    waiting: set[date] = set()
    while fresh := fresh - waiting - sealed:
        waiting |= fresh
        marked, fresh = fresh, set()
        for day in marked:
            new = snapshot.computed(connection, snapshot.the_day(day, zone), zone)
            if new.across != across.get(day, ""):
                fresh |= rollups.neighbours(day, new)
    return waiting


def _sums() -> dict[str, Table]:
    """The tables with rows for more than a day."""
    return {name: table for name, table in snapshot.TABLES.items() if "grain" in table.c}


def _days_of_sums(connection: Connection) -> set[date]:
    return {
        day
        for table in _sums().values()
        for day in connection.scalars(select(table.c.day).distinct())
    }


def _lines(when: str, old: Rows, new: Rows) -> Iterator[str]:
    for change in rollups.differences(old, new):
        before = getattr(old, change.table).get(change.key)
        key = " ".join(str(part) for part in change.key)
        yield f"{when} {change.table} {key}: stored {before}, computed {change.values}"
