"""A period as the rows that make it up: every day once, by the coarsest rows that fit."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tracking.engagement import parts
from tracking.sums import Grain

DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))


def rows_of(grain: Grain, first: date, until: date) -> list[date]:
    """The first days of the rows of one grain in a span that whole rows fill."""
    found = []
    while first < until:
        assert grain.first(first) == first, "a row begins where the one before has ended"
        found.append(first)
        first = grain.after(first)
    assert first == until, "no row reaches beyond the period"
    return found


@given(DAYS, st.integers(0, 800))
def test_every_day_of_a_period_is_in_one_row_and_no_other_day(since: date, n: int) -> None:
    until, days, last = since + timedelta(days=n), [], since
    for grain, first, end in parts(since, until):
        assert first == last, "in order and without a gap"
        last = end
        for row in rows_of(grain, first, end):
            days += [row + timedelta(days=k) for k in range((grain.after(row) - row).days)]
    assert days == [since + timedelta(days=k) for k in range(n)]


@given(DAYS, st.integers(0, 800))
def test_few_rows_make_up_a_long_period(since: date, n: int) -> None:
    spans = parts(since, since + timedelta(days=n))
    rows = sum(len(rows_of(*span)) for span in spans)
    # At each end at most ten days (the last dekad of a month has up to eleven) and two dekads.
    assert rows <= 2 * (10 + 2) + n // 28


@given(DAYS)
def test_a_dekad_is_a_third_of_its_month(day: date) -> None:
    first = Grain.dekad.first(day)
    assert first.day in (1, 11, 21)
    assert first <= day < Grain.dekad.after(first)
    assert Grain.month.first(first) == Grain.month.first(day)


def test_a_quarter_is_three_months() -> None:
    spans = parts(date(2026, 7, 1), date(2026, 10, 1))
    assert list(spans) == [(Grain.month, date(2026, 7, 1), date(2026, 10, 1))]
