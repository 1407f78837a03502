"""Whether every number still equals its base rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.engine import Connection, Engine

from portal import clock
from tracking import rollups
from tracking.models import DayState, Download, LikeInterval, Load, ShareEvent, Slot


def days_with_rows(connection: Connection, zone: ZoneInfo) -> list[date]:
    """Every day that has rollups or may have base rows."""
    days = set(connection.scalars(select(DayState.day)))
    moments = [
        connection.scalar(select(choose(column)))
        for column in (Download.granted_at, ShareEvent.at, LikeInterval.liked_at)
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
    return sorted(days)


def differences(engine: Engine, zone: ZoneInfo) -> Iterator[str]:
    """One line for each row of the rollups that differs from the base rows; none is right."""
    with engine.connect() as connection:
        for day in days_with_rows(connection, zone):
            new = rollups.computed(connection, rollups.the_day(day, zone))
            old = rollups.stored(connection, day)
            for change in rollups.differences(old, new):
                before = getattr(old, change.table).get(change.key)
                key = " ".join(str(part) for part in change.key)
                yield f"{day} {change.table} {key}: stored {before}, computed {change.values}"
