"""Shares and durations: worked answers, and rules that hold for any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.estimates import Outcome, Share, happened_by, median, restricted_mean, survival

OPEN, HAPPENED, OTHERWISE = Outcome.open, Outcome.happened, Outcome.otherwise


def remissions(text: str) -> list[tuple[float, Outcome]]:
    """Weeks; those with a + were not over."""
    return [(float(word.rstrip("+")), OPEN if "+" in word else HAPPENED) for word in text.split()]


# Freireich et al. (1963), 6-MP.
FREIREICH = remissions("6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+")


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    assert Share(part, whole).interval == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_has_no_value() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).interval is None


def test_the_median_takes_what_is_not_over_into_account() -> None:
    assert median(FREIREICH) == 23
    closed = [time for time, outcome in FREIREICH if outcome == HAPPENED]
    assert sum(closed) / len(closed) == pytest.approx(12.11, abs=0.005)
    assert restricted_mean(FREIREICH, 23) == pytest.approx(17.9092, abs=5e-5)


def test_a_median_that_was_not_reached_is_none() -> None:
    assert median([(1, HAPPENED), (2, OPEN), (3, OPEN)]) is None
    assert median([]) is None


def test_another_outcome_competes() -> None:
    deals = [(1, HAPPENED), (2, OTHERWISE), (3, HAPPENED), (4, OPEN), (5, HAPPENED)]
    assert happened_by(deals, 5) == pytest.approx(0.8)
    assert 1 - survival(deals)[-1][1] == pytest.approx(1.0)
    assert happened_by([], 5) is None


DURATIONS = st.lists(st.tuples(st.integers(0, 50), st.sampled_from(Outcome)), max_size=40)


@given(DURATIONS, st.integers(0, 60))
def test_competing_outcomes_never_add_up_to_more_than_everything(
    durations: list[tuple[float, Outcome]], until: float
) -> None:
    swap = {OPEN: OPEN, HAPPENED: OTHERWISE, OTHERWISE: HAPPENED}
    won = happened_by(durations, until)
    lost = happened_by([(time, swap[outcome]) for time, outcome in durations], until)
    if won is None or lost is None:
        assert not durations
        return
    assert 0 <= won <= 1
    assert won + lost <= 1 + 1e-9
    # Without competition and without anything open it is the plain share.
    if {outcome for _time, outcome in durations} == {HAPPENED}:
        plain = sum(time <= until for time, _outcome in durations) / len(durations)
        assert won == pytest.approx(plain)
