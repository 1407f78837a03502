"""When surveys are due: RFC 5545 on a wall clock, resolved to moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.clock import resolve_local
from surveys.schedule import LAST, Every, On, Rhythm, Schedule, from_iso, iso
from tests.surveys.asking import RULES

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


# --- rhythms ------------------------------------------------------------------------------------

RHYTHMS = st.builds(
    Rhythm,
    every=st.sampled_from(Every),
    interval=st.integers(1, 52),
    on=st.sampled_from(On),
    weekday=st.integers(0, 6),
    nth=st.sampled_from([1, 2, 3, 4, LAST]),
    day=st.integers(1, 31),
    month=st.integers(1, 12),
    until=st.none() | st.dates(date(2027, 1, 1), date(2040, 1, 1)),
)


@settings(max_examples=150)
@given(RHYTHMS, st.none() | st.integers(1, 40))
def test_what_is_chosen_is_read_back_from_the_rule(chosen: Rhythm, times: int | None) -> None:
    if chosen.until is None:
        chosen = replace(chosen, count=times)
    read = Rhythm.parse(chosen.rule)
    assert read is not None
    assert read.rule == chosen.rule
    assert read.months == chosen.months
    assert Rhythm.parse(read.rule) == read


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY", "FREQ=YEARLY;BYMONTH=1,2;BYDAY=1MO", "FREQ=WEEKLY;BYDAY=MO,WE", "x"]
)
def test_a_rule_that_nobody_can_choose_has_no_rhythm(rule: str) -> None:
    assert Rhythm.parse(rule) is None


@pytest.mark.parametrize("rule", RULES.values())
def test_the_usual_rules_can_be_chosen(rule: str) -> None:
    assert Rhythm.parse(rule) is not None


# RFC 5545, section 3.8.5.3: DTSTART, the rule, and the days that the text itself gives.
EXPANSIONS = [
    (
        local(1997, 9, 2, 9),
        "FREQ=WEEKLY;COUNT=10",
        "0902 0909 0916 0923 0930 1007 1014 1021 1028 1104",
    ),
    (
        local(1997, 9, 2, 9),
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        "0902 0916 0930 1014 1028 1111 1125 1209 1223",
    ),
    (
        local(1997, 9, 5, 9),
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "0905 1003 1107 1205 0102 0206 0306 0403 0501 0605",
    ),
    (local(1997, 9, 5, 9), "FREQ=MONTHLY;UNTIL=19971224T000000;BYDAY=1FR", "0905 1003 1107 1205"),
    (local(1997, 9, 22, 9), "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "0922 1020 1117 1222 0119 0216"),
    (local(1997, 9, 28, 9), "FREQ=MONTHLY;BYMONTHDAY=-3", "0928 1029 1128 1229 0129 0226"),
    (
        local(1997, 9, 30, 9),
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "0930 1001 1031 1101 1130 1201 1231 0101 0131 0201",
    ),
    (
        local(1997, 6, 10, 9),
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "0610 0710 0610 0710 0610 0710 0610 0710 0610 0710",
    ),
    (local(1997, 9, 4, 9), "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "0904 1007 1106"),
    # An invalid date, as 30 February, is ignored.
    (local(2007, 1, 15, 9), "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "0115 0130 0215 0315 0330"),
]


@pytest.mark.parametrize(("start", "rule", "days"), EXPANSIONS)
def test_the_examples_of_rfc_5545_expand_as_the_text_says(
    start: datetime, rule: str, days: str
) -> None:
    expected = days.split()
    found = islice(Schedule(rule, start, ZoneInfo("America/New_York")).occurrences(), len(expected))
    assert [f"{at:%m%d}" for at in found] == expected


def first_days(rhythm: Rhythm, start: date, n: int = 4) -> list[str]:
    """The days of its first waves."""
    first = rhythm.first(start, time(9), BERLIN, datetime(2026, 1, 1, tzinfo=UTC))
    assert first is not None
    return [str(at.date()) for at in islice(Schedule(rhythm.rule, first, BERLIN).occurrences(), n)]


def test_months_without_the_day_are_skipped_and_the_last_day_never_is() -> None:
    monthly = Rhythm(Every.month, on=On.day, day=31)
    start = date(2027, 1, 1)
    assert first_days(monthly, start, 3) == ["2027-01-31", "2027-03-31", "2027-05-31"]
    assert monthly.without == (2, 4, 6, 9, 11)
    last = replace(monthly, on=On.last_day)
    assert first_days(last, start, 3) == ["2027-01-31", "2027-02-28", "2027-03-31"]
    assert last.without == ()
    leap = Rhythm(Every.year, on=On.day, day=29, month=2)
    assert first_days(leap, start, 2) == ["2028-02-29", "2032-02-29"]
    assert leap.only_in_leap_years
    assert replace(leap, day=30).is_impossible


def test_weeks_are_counted_from_the_first_wave() -> None:
    every_other = Rhythm(Every.week, interval=2, weekday=0)
    assert first_days(every_other, date(2027, 1, 7), 3) == [
        "2027-01-11",
        "2027-01-25",
        "2027-02-08",
    ]


def test_the_first_wave_lies_ahead_and_after_the_day_of_the_last_one() -> None:
    weekly = Rhythm(Every.week, count=3)
    now = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday, 09:00 in Berlin
    today = date(2026, 3, 2)
    assert weekly.first(today, time(9, 1), BERLIN, now) == local(2026, 3, 2, 9, 1)
    assert weekly.first(today, time(9), BERLIN, now) == local(2026, 3, 9, 9)
    assert weekly.first(today, time(10), BERLIN, now, last=today) == local(2026, 3, 9, 10)
    over = replace(weekly, count=None, until=date(2026, 3, 1))
    assert over.first(today, time(9), BERLIN, now) is None


def test_without_a_rule_nothing_comes_due() -> None:
    by_hand = Rhythm(Every.never)
    assert by_hand.rule == ""
    schedule = Schedule("", local(2026, 1, 1, 9), BERLIN)
    now = datetime(2036, 1, 1, tzinfo=UTC)
    assert schedule.past(None, now) == schedule.upcoming(now, 5) == []
