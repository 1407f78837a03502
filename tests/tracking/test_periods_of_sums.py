"""A period as the rows that make it up: every day once, by as few rows as there can be."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tracking.spans import Span, added, fewest
from tracking.sums import Grain

DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))


def rows_of(span: Span) -> list[date]:
    """The first days of the rows of a span, which whole rows fill."""
    found, first = [], span.first
    while first < span.until:
        assert span.grain.first(first) == first, "a row begins where the one before has ended"
        found.append(first)
        first = span.grain.after(first)
    assert first == span.until, "no row reaches beyond the span"
    assert len(found) == span.units
    return found


def days_of(span: Span) -> list[date]:
    """Every day of the rows of a span."""
    after = span.grain.after
    return [
        row + timedelta(days=k) for row in rows_of(span) for k in range((after(row) - row).days)
    ]


@given(DAYS, st.integers(0, 800))
def test_every_day_of_a_period_is_in_one_row_and_no_other_day(since: date, n: int) -> None:
    until, days, last = since + timedelta(days=n), [], since
    for span in added(since, until):
        assert span.first == last, "in order and without a gap"
        assert span.sign == 1
        last = span.until
        days += days_of(span)
    assert days == [since + timedelta(days=k) for k in range(n)]


@given(DAYS, st.integers(0, 800))
def test_few_rows_make_up_a_long_period(since: date, n: int) -> None:
    rows = sum(span.units for span in added(since, since + timedelta(days=n)))
    # At each end at most ten days (the last dekad of a month has up to eleven) and two dekads.
    assert rows <= 2 * (10 + 2) + n // 28


@given(DAYS, st.integers(0, 800))
def test_what_is_added_less_what_is_taken_away_is_every_day_once(since: date, n: int) -> None:
    counts: Counter[date] = Counter()
    for span in fewest(since, since + timedelta(days=n)):
        for day in days_of(span):
            counts[day] += span.sign
    assert {day: times for day, times in counts.items() if times} == dict.fromkeys(
        (since + timedelta(days=k) for k in range(n)), 1
    )


@given(DAYS, st.integers(0, 800))
def test_with_taking_away_there_are_never_more_rows_and_few_at_the_ends(
    since: date, n: int
) -> None:
    until = since + timedelta(days=n)
    fewer = sum(span.units for span in fewest(since, until))
    assert fewer <= sum(span.units for span in added(since, until))
    # At each end at most five days and two dekads.
    assert fewer <= 2 * (5 + 2) + n // 28


def test_nine_days_are_a_dekad_less_a_day() -> None:
    assert fewest(date(2026, 9, 2), date(2026, 9, 11)) == (
        Span(Grain.day, date(2026, 9, 1), date(2026, 9, 2), -1),
        Span(Grain.dekad, date(2026, 9, 1), date(2026, 9, 11)),
    )


@given(DAYS)
def test_a_dekad_is_a_third_of_its_month(day: date) -> None:
    first = Grain.dekad.first(day)
    assert first.day in (1, 11, 21)
    assert first <= day < Grain.dekad.after(first)
    assert Grain.month.first(first) == Grain.month.first(day)


def test_a_quarter_is_three_months() -> None:
    quarter = Span(Grain.month, date(2026, 7, 1), date(2026, 10, 1))
    assert list(added(*quarter[1:3])) == list(fewest(*quarter[1:3])) == [quarter]
