"""The one module that knows the time.

Everything else takes moments, days and zones as arguments. A *moment* is an aware `datetime` in
UTC, a *day* a `date` in the reporting time zone, a *slot* 15 seconds of server time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SLOT_SECONDS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLOT_MS = SLOT_SECONDS * 1000

_source: Callable[[], float] = time.time


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.fromtimestamp(_source(), UTC)


def now_ms() -> int:
    """The present moment in whole milliseconds since 1970 (UTC)."""
    return int(_source() * 1000)


@contextmanager
def at(moment: datetime) -> Iterator[Callable[[timedelta], None]]:
    """Stop the clock at `moment`, for tests and the demo; yields a function that moves it on."""
    global _source
    before, present = _source, moment.timestamp()

    def forward(by: timedelta) -> None:
        nonlocal present
        present += by.total_seconds()

    _source = lambda: present  # noqa: E731
    try:
        yield forward
    finally:
        _source = before


def from_ms(milliseconds: int) -> datetime:
    """The moment `milliseconds` after 1970 (UTC)."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(moment: datetime) -> int:
    """Whole milliseconds from 1970 (UTC) to `moment`."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def slot_of(moment: datetime) -> int:
    """The number of the 15-second slot that holds `moment`."""
    return int(moment.timestamp() // SLOT_SECONDS)


def slot_start(slot: int) -> datetime:
    """The first moment of `slot`."""
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The day that a calendar in `zone` shows at `moment`."""
    return moment.astimezone(zone).date()


@lru_cache(maxsize=4096)
def day_of_slot(slot: int, zone: ZoneInfo) -> date:
    """The local day of `slot`; none lies on two, because zones differ by whole minutes."""
    return local_day(slot_start(slot), zone)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which `day` begins in `zone`."""
    return resolve_local(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001


def resolve_local(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment a wall clock in `zone` shows the naive time `local`.

    A time that the clocks skip takes the offset in force before the gap; a time that comes twice
    is its first occurrence (RFC 5545, section 3.3.5).
    """
    if local.tzinfo is not None:
        raise ValueError("resolve_local takes a naive local time")
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day `months` later (or earlier), at most the last day of that month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    month += 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month, min(day.day, last))
