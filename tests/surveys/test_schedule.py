"""When surveys are due: RFC 5545 on a wall clock, resolved to moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.clock import resolve_local
from surveys.schedule import RULES, Schedule, from_iso, iso

BERLIN = ZoneInfo("Europe/Berlin")


def local(*parts: int) -> datetime:
    """A time on a wall clock."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


def test_quarterly_on_the_first_monday_at_nine_in_berlin() -> None:
    schedule = Schedule(RULES["quarterly"], local(2026, 1, 1, 9), BERLIN)
    due = [schedule.due(at) for at in islice(schedule.occurrences(), 4)]
    assert [f"{moment:%d %b %H:%MZ}" for moment in due] == [
        "05 Jan 08:00Z",
        "06 Apr 07:00Z",
        "06 Jul 07:00Z",
        "05 Oct 07:00Z",
    ]


@pytest.mark.parametrize(
    ("zone", "wall", "moment"),
    [
        # The hour that is skipped takes the offset before the gap.
        ("Europe/Berlin", local(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        # The hour that comes twice is its first occurrence.
        ("Europe/Berlin", local(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("America/New_York", local(2026, 3, 8, 2, 30), datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        (
            "Australia/Lord_Howe",
            local(2026, 10, 4, 2, 15),
            datetime(2026, 10, 3, 15, 45, tzinfo=UTC),
        ),
    ],
)
def test_skipped_and_repeated_hours(zone: str, wall: datetime, moment: datetime) -> None:
    assert resolve_local(wall, ZoneInfo(zone)) == moment


@given(
    st.sampled_from(sorted(RULES)),
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_the_next_dates_lie_ahead_in_order_and_are_occurrences(
    rhythm: str, start: datetime, zone: str
) -> None:
    start = start.replace(microsecond=0)
    schedule = Schedule(RULES[rhythm], start, ZoneInfo(zone))
    now = resolve_local(start, ZoneInfo(zone)) + timedelta(days=100)
    upcoming = schedule.upcoming(now, 5)
    due = [schedule.due(at) for at in upcoming]
    assert due == sorted(due)
    assert all(moment > now for moment in due)
    past = schedule.past(None, now)
    every = list(islice(schedule.occurrences(), len(past) + 5))
    assert every == [*past, *upcoming]
    assert [from_iso(iso(at)) for at in every] == every


def test_closing_keeps_the_hour_of_the_wall_clock() -> None:
    schedule = Schedule(RULES["weekly"], local(2026, 3, 23, 9), BERLIN)
    closes = schedule.closes(local(2026, 3, 23, 9), 7)
    assert closes == datetime(2026, 3, 30, 7, 0, tzinfo=UTC)
