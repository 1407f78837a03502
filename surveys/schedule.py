"""When a survey is due: a recurrence on a wall clock, and the moments it means. Pure.

A rhythm is what a person chooses ("every quarter, first Monday"); it is kept as a rule of RFC 5545
and read back from it. Occurrences are identified by their naive local time, written ISO
(`2026-04-06T09:00:00`), which daylight saving cannot shift. Moments follow RFC 5545 (see
`portal.clock.resolve_local`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from portal.clock import resolve_local


@dataclass(frozen=True)
class Schedule:
    """A recurrence rule (RFC 5545, without DTSTART) from `start` on, in one time zone. Without a
    rule nothing ever comes due."""

    rule: str
    start: datetime
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None:
            raise ValueError("a schedule starts at a time on the wall clock, without an offset")

    def occurrences(self, after: datetime | None = None) -> Iterator[datetime]:
        """Local due times, later than `after` where it is given."""
        if not self.rule:
            return
        rule = rrulestr(self.rule, dtstart=self.start)
        yield from rule if after is None else rule.xafter(after)

    def due(self, occurrence: datetime) -> datetime:
        """The moment at which a local due time comes."""
        return resolve_local(occurrence, self.zone)

    def closes(self, occurrence: datetime, open_days: int) -> datetime:
        """The moment at which answering ends: the same wall-clock time, so many days later."""
        return resolve_local(occurrence + timedelta(days=open_days), self.zone)

    def upcoming(self, after: datetime, n: int) -> list[datetime]:
        """The next `n` local due times after the moment `after`."""
        # One day back on the wall clock, so that no offset can hide an occurrence.
        local = after.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=1)
        return list(islice((at for at in self.occurrences(local) if self.due(at) > after), n))

    def past(self, after: datetime | None, now: datetime) -> list[datetime]:
        """Local due times later than the local time `after` that have come by the moment `now`."""
        found = []
        for occurrence in self.occurrences(after):
            if self.due(occurrence) > now:
                break
            found.append(occurrence)
        return found


class Every(StrEnum):
    """How often; `never` comes due by itself at no time: such a survey is opened by hand."""

    week = "week"
    month = "month"
    quarter = "quarter"
    half_year = "half_year"
    year = "year"
    never = "never"


class On(StrEnum):
    """Which day of a month."""

    weekday = "weekday"
    day = "day"
    last_day = "last_day"


# How many months lie between the waves.
STEPS = {Every.month: 1, Every.quarter: 3, Every.half_year: 6, Every.year: 12}
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LAST = -1
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


@dataclass(frozen=True)
class Rhythm:
    """A recurrence as a person chooses it. What does not belong to a choice stays as it is here:
    `interval` counts weeks, `month` is the first month of a quarter, half-year or year, `nth` is
    the first to fourth weekday or the last. It ends with the day `until`, or after `count` waves.
    """

    every: Every
    interval: int = 1
    on: On = On.weekday
    weekday: int = 0
    nth: int = 1
    day: int = 1
    month: int = 1
    until: date | None = None
    count: int | None = None

    @property
    def months(self) -> tuple[int, ...]:
        """The months that it comes in; none for weeks, which do not care."""
        step = STEPS.get(self.every)
        if step is None:
            return ()
        return tuple(sorted((self.month - 1 + n) % 12 + 1 for n in range(0, 12, step)))

    @property
    def rule(self) -> str:
        """As RFC 5545 writes it; empty when it is opened by hand."""
        if self.every is Every.never:
            return ""
        parts = [self._frequency(), self._days()]
        if self.until is not None:
            parts.append(f"UNTIL={self.until:%Y%m%d}T235959")
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        return ";".join(parts)

    def _frequency(self) -> str:
        if self.every is Every.week:
            return "FREQ=WEEKLY" + (f";INTERVAL={self.interval}" if self.interval > 1 else "")
        if self.every is Every.month:
            return "FREQ=MONTHLY"
        return f"FREQ=YEARLY;BYMONTH={','.join(map(str, self.months))}"

    def _days(self) -> str:
        if self.every is Every.week:
            return f"BYDAY={WEEKDAYS[self.weekday]}"
        if self.on is On.weekday:
            return f"BYDAY={self.nth}{WEEKDAYS[self.weekday]}"
        return f"BYMONTHDAY={self.day if self.on is On.day else LAST}"

    @classmethod
    def parse(cls, rule: str) -> Rhythm | None:
        """What a person would have chosen for this rule; None where nobody could have."""
        if not rule:
            return cls(Every.never)
        try:
            found = cls._read(dict(part.split("=", 1) for part in rule.split(";")))
        except (KeyError, ValueError):
            return None
        return found if set(found.rule.split(";")) == set(rule.split(";")) else None

    @classmethod
    def _read(cls, parts: dict[str, str]) -> Rhythm:
        months = sorted(map(int, parts.get("BYMONTH", "1").split(",")))
        yearly = {4: Every.quarter, 2: Every.half_year, 1: Every.year}
        every = {"WEEKLY": Every.week, "MONTHLY": Every.month}.get(parts["FREQ"])
        days, day = parts.get("BYDAY", "MO"), int(parts.get("BYMONTHDAY", "0"))
        return cls(
            every=every or yearly[len(months)],
            interval=int(parts.get("INTERVAL", "1")),
            on=On.last_day if day == LAST else On.day if day else On.weekday,
            weekday=WEEKDAYS.index(days[-2:]),
            nth=int(days[:-2] or "1"),
            day=day if day > 0 else 1,
            month=months[0],
            until=date.fromisoformat(parts["UNTIL"][:8]) if "UNTIL" in parts else None,
            count=int(parts["COUNT"]) if "COUNT" in parts else None,
        )

    @property
    def without(self) -> tuple[int, ...]:
        """Months that it names and that never have its day: RFC 5545 skips them."""
        if self.on is not On.day:
            return ()
        return tuple(month for month in self.months if self.day > _LONGEST.get(month, 31))

    @property
    def only_in_leap_years(self) -> bool:
        """Whether it names 29 February, which most years skip."""
        return self.on is On.day and self.day == 29 and 2 in self.months

    @property
    def is_impossible(self) -> bool:
        """Whether its day is in none of its months, as 30 February."""
        return bool(self.months) and self.without == self.months

    def first(
        self, start: date, at: time, zone: ZoneInfo, now: datetime, last: date | None = None
    ) -> datetime | None:
        """The local time of the first wave: from `start` on, still to come at `now`, and after the
        local day `last` of the wave before. None when there is none."""
        if self.every is Every.never or self.is_impossible:
            return None
        if self.every is Every.week:
            # From its weekday on: else RFC 5545 counts the weeks from the one `start` lies in.
            start += timedelta(days=(self.weekday - start.weekday()) % 7)
        endless = Rhythm(**{**vars(self), "count": None})
        schedule = Schedule(endless.rule, datetime.combine(start, at), zone)
        for occurrence in schedule.occurrences():
            if schedule.due(occurrence) > now and (last is None or occurrence.date() > last):
                return occurrence
        return None


def iso(local: datetime) -> str:
    """A local due time as it is kept."""
    return local.isoformat(timespec="seconds")


def from_iso(text: str) -> datetime:
    """A kept local due time."""
    return datetime.fromisoformat(text)
