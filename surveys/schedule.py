"""When a survey is due: a recurrence on a wall clock, and the moments it means. Pure.

Occurrences are identified by their naive local time, written ISO (`2026-04-06T09:00:00`), which
daylight saving cannot shift. Moments follow RFC 5545 (see `portal.clock.resolve_local`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from portal.clock import resolve_local


@dataclass(frozen=True)
class Schedule:
    """A recurrence rule (RFC 5545, without DTSTART) from `start` on, in one time zone."""

    rule: str
    start: datetime
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None:
            raise ValueError("a schedule starts at a time on the wall clock, without an offset")

    def occurrences(self, after: datetime | None = None) -> Iterator[datetime]:
        """Local due times, later than `after` where it is given."""
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


RULES = {
    "weekly": "FREQ=WEEKLY;BYDAY=MO",
    "monthly": "FREQ=MONTHLY;BYDAY=1MO",
    "thirteen_weeks": "FREQ=WEEKLY;INTERVAL=13;BYDAY=MO",
    "quarterly": "FREQ=YEARLY;BYMONTH=1,4,7,10;BYDAY=1MO",
    "half_yearly": "FREQ=YEARLY;BYMONTH=3,9;BYDAY=1MO",
    "yearly": "FREQ=YEARLY;BYMONTH=3;BYDAY=1MO",
}


def iso(local: datetime) -> str:
    """A local due time as it is kept."""
    return local.isoformat(timespec="seconds")


def from_iso(text: str) -> datetime:
    """A kept local due time."""
    return datetime.fromisoformat(text)
