"""What the vendor promises: how soon it decides, in business hours, and how long it protects.

Business hours are those of one calendar: Monday to Friday between two times of the local day,
without the public holidays of one country.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import holidays

from portal import clock

ONE_DAY = timedelta(days=1)
# Nobody closes for longer: a calendar without business days would otherwise be looked through
# for ever.
LONGEST_CLOSURE = 400


@dataclass(frozen=True)
class Calendar:
    """When the vendor works: `opens` and `closes` are minutes of the local day."""

    opens: int = 9 * 60
    closes: int = 17 * 60
    country: str = "DE"

    def is_open_on(self, day: date) -> bool:
        """Whether it is a working day."""
        return day.weekday() < 5 and day not in _holidays(self.country)

    def span(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The moments between which `day` is worked on."""
        start, end = (datetime.combine(day, time_of(n)) for n in (self.opens, self.closes))
        return clock.resolve_local(start, zone), clock.resolve_local(end, zone)

    @property
    def day_length(self) -> timedelta:
        """A working day."""
        return timedelta(minutes=self.closes - self.opens)


class Escalation(StrEnum):
    """Who hears of a registration that nobody decided in time, besides whom it is assigned to."""

    nobody = ""
    managers = "managers"
    admins = "admins"
    everyone = "everyone"


@dataclass(frozen=True)
class Terms:
    """One version of the rules.

    After `remind_percent` of the decision time the vendor is reminded, and at its end again,
    together with those that `escalate_to` names. `protection_reminders` are days before the end.
    """

    decision_hours: int = 16
    calendar: Calendar = Calendar()
    protection_days: int = 90
    extension_days: int = 60
    max_extensions: int = 1
    max_resubmissions: int = 2
    remind_percent: int = 75
    escalate_to: Escalation = Escalation.everyone
    protection_reminders: tuple[int, int] = (30, 7)
    stale_days: int = 30
    renewal_days: int = 120


DEFAULT = Terms()


@cache
def _holidays(country: str) -> holidays.HolidayBase:
    return holidays.country_holidays(country) if country else holidays.HolidayBase()


@cache
def holiday_countries() -> frozenset[str]:
    """The codes of the countries whose public holidays are known."""
    codes = holidays.list_supported_countries(include_aliases=False)
    return frozenset(code for code in codes if len(code) == 2)


def time_of(minutes: int) -> time:
    """The time of day so many minutes after midnight."""
    return time(minutes // 60, minutes % 60)


# Remembered: what has been decided took as long in every report.
@lru_cache(maxsize=16_384)
def business_time(start: datetime, end: datetime, calendar: Calendar, zone: ZoneInfo) -> timedelta:
    """How much of the time from `start` to `end` are business hours."""
    total = timedelta()
    if end <= start:
        return total
    day, last = clock.local_day(start, zone), clock.local_day(end, zone)
    while day <= last:
        if worked := _worked(calendar, day, zone):
            opens, closes = worked
            total += max(timedelta(), min(end, closes) - max(start, opens))
        day += ONE_DAY
    return total


@lru_cache(maxsize=4096)
def _worked(calendar: Calendar, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    # Remembered: reports ask for the same days of hundreds of registrations.
    return calendar.span(day, zone) if calendar.is_open_on(day) else None


def after_business_time(
    start: datetime, wanted: timedelta, calendar: Calendar, zone: ZoneInfo
) -> datetime:
    """The moment at which so much business time has passed since `start`.

    Of nothing: `start` itself, or the next opening when it is closed then.
    """
    day = clock.local_day(start, zone)
    closed_for = 0
    while closed_for < LONGEST_CLOSURE:
        if calendar.is_open_on(day):
            opens, closes = calendar.span(day, zone)
            begin = max(start, opens)
            if begin < closes and begin + wanted <= closes:
                return begin + wanted
            wanted -= max(timedelta(), closes - begin)
            closed_for = 0
        else:
            closed_for += 1
        day += ONE_DAY
    raise ValueError("this calendar has no business days")


def decision_due(
    now: datetime,
    terms: Terms,
    zone: ZoneInfo,
    used: timedelta = timedelta(),
) -> datetime:
    """The moment by which a decision is promised, when `used` of the time has passed before, as
    with a registration that was sent back and comes again."""
    return reached_at(now, 100, terms, zone, used)


def decision_steps(terms: Terms) -> tuple[int, ...]:
    """At how many per cent of its time an undecided registration is reminded of."""
    return (terms.remind_percent, 100)


def reached_at(
    begun: datetime, percent: int, terms: Terms, zone: ZoneInfo, used: timedelta = timedelta()
) -> datetime:
    """The moment at which so much of the decision time is used up, of a registration that waits
    since `begun` and had `used` some before: at 100 per cent the decision is due."""
    wanted = timedelta(hours=terms.decision_hours) * percent / 100
    return after_business_time(begun, max(timedelta(), wanted - used), terms.calendar, zone)


def time_left(now: datetime, due: datetime, calendar: Calendar, zone: ZoneInfo) -> timedelta:
    """The business time left until a decision is due; less than nothing when it is late."""
    if due >= now:
        return business_time(now, due, calendar, zone)
    return -business_time(due, now, calendar, zone)


def spells(
    moves: Iterable[tuple[datetime, bool]], end: datetime
) -> list[tuple[datetime, datetime]]:
    """The spells in which something waited, of moments in order, each with whether it waited from
    then on; the last one lasts until `end` if it still does."""
    found: list[tuple[datetime, datetime]] = []
    begun: datetime | None = None
    for at, waits in moves:
        if waits and begun is None:
            begun = at
        elif not waits and begun is not None:
            found.append((begun, at))
            begun = None
    return [*found, (begun, end)] if begun is not None else found


def time_used(
    waits: Iterable[tuple[datetime, datetime]], calendar: Calendar, zone: ZoneInfo
) -> timedelta:
    """The business time of several spells in which a registration waited for the vendor."""
    return sum(
        (business_time(start, end, calendar, zone) for start, end in waits), start=timedelta()
    )


def protected_until(approved: datetime, protection_days: int, zone: ZoneInfo) -> datetime:
    """The moment a protection given now ends: the midnight after its last whole day."""
    last = clock.local_day(approved, zone) + timedelta(days=protection_days)
    return clock.day_start(last + ONE_DAY, zone)


def last_day(ends_at: datetime, zone: ZoneInfo) -> date:
    """The last day on which a protection that ends then still holds."""
    return clock.local_day(ends_at - timedelta(microseconds=1), zone)


def reminder_due(ends_at: datetime, now: datetime, terms: Terms) -> int | None:
    """Which reminder (days before the end) a protection has reached, the closest one; or None."""
    left = ends_at - now
    if left <= timedelta(0):
        return None
    reached = [days for days in terms.protection_reminders if left <= timedelta(days=days)]
    return min(reached, default=None)
