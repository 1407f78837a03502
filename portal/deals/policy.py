"""What the vendor promises: how soon it decides and how long a protection lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from portal import clock

DECISION_TIME = time(14, 0)
REMINDER_DAYS = (30, 7)


@dataclass(frozen=True)
class Terms:
    """One version of the promise."""

    decision_days: int
    protection_days: int


DEFAULT = Terms(decision_days=2, protection_days=90)


def decision_due(submitted: datetime, decision_days: int, zone: ZoneInfo) -> datetime:
    """The moment a decision is promised: 14:00 on the last of so many working days, Mon-Fri.

    The day of submitting does not count, so "two days" are two whole working days to read it.
    """
    day = clock.local_day(submitted, zone)
    left = decision_days
    while left > 0:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return clock.resolve_local(datetime.combine(day, DECISION_TIME), zone)


def protected_until(approved: datetime, protection_days: int, zone: ZoneInfo) -> datetime:
    """The moment a protection given now ends: the midnight after its last whole day."""
    last = clock.local_day(approved, zone) + timedelta(days=protection_days)
    return clock.day_start(last + timedelta(days=1), zone)


def last_day(ends_at: datetime, zone: ZoneInfo) -> date:
    """The last day on which a protection that ends then still holds."""
    return clock.local_day(ends_at - timedelta(microseconds=1), zone)


def reminder_due(ends_at: datetime, now: datetime) -> int | None:
    """Which reminder (days before the end) a protection has reached, the closest one; or None."""
    left = ends_at - now
    if left <= timedelta(0):
        return None
    reached = [days for days in REMINDER_DAYS if left <= timedelta(days=days)]
    return min(reached, default=None)
