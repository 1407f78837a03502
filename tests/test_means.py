"""Means and changes: the worked answers of statisticians, and what must hold of any."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal import student
from portal.estimates import Share, difference
from portal.means import FEW, Change, Mean, wilcoxon

BEFORE = (7, 6, 8, 5, 9, 7, 6, 8, 7, 4)
AFTER = (8, 7, 8, 7, 9, 8, 8, 8, 9, 5)
# Hours of sleep gained with two drugs (Student, 1908).
FIRST = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2)
SECOND = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def change(before: tuple[float, ...], after: tuple[float, ...]) -> Change:
    """The change between values of the same units, in order."""
    return Change(tuple(zip(before, after, strict=True)))


@pytest.mark.parametrize(
    ("share", "freedom", "value"),
    [(0.975, 9, 2.262157), (0.975, 1, 12.706205), (0.8, 9, 0.883404), (0.975, 1e6, 1.959966),
     (0.5, 4, 0), (0.025, 9, -2.262157)],
)  # fmt: skip
def test_the_distribution_of_student_is_that_of_the_tables(
    share: float, freedom: float, value: float
) -> None:
    assert student.quantile(share, freedom) == pytest.approx(value, abs=2e-6)


def test_the_paired_change_of_satisfaction_is_as_worked_out() -> None:
    found = change(BEFORE, AFTER)
    assert found.value == 1.0
    assert found.t == pytest.approx(3.872983, abs=1e-6)
    assert found.p == pytest.approx(0.0037716, abs=1e-7)
    assert found.interval == pytest.approx((0.41591, 1.58409), abs=1e-5)
    # (2.262157 + 0.883404) times the standard error.
    assert found.would_be_seen == pytest.approx(0.812180, abs=1e-5)


def test_student_slept_as_he_said() -> None:
    found = change(SECOND, FIRST)
    assert found.t == pytest.approx(-4.0621, abs=1e-4)
    assert found.p == pytest.approx(0.002833, abs=1e-6)
    assert found.interval == pytest.approx((-2.4599, -0.7001), abs=1e-4)
    assert found.p_ranks == 0.00390625


def test_too_few_or_equal_pairs_make_no_verdict() -> None:
    assert (Change(()).value, Change(()).interval, Change(()).p) == (None, None, None)
    one = Change(((3, 5),))
    assert (one.value, one.interval, one.t, one.would_be_seen) == (2, None, None, None)
    same = Change(((3, 4), (5, 6), (7, 8)))
    assert (same.value, same.t, same.p) == (1, None, None)
    assert Change(((3, 3), (4, 4))).p_ranks is None
    assert Mean(()).value is None
    assert Mean((7.0,)).interval is None


@settings(max_examples=30)
@given(st.lists(st.integers(-9, 9).filter(bool), min_size=FEW, max_size=FEW))
def test_ranks_by_trying_all_signs_are_near_those_of_the_normal_distribution(
    differences: list[int],
) -> None:
    exact, found = wilcoxon(differences), wilcoxon([0, *differences])
    assert exact is not None
    assert found is not None
    assert 0 < exact <= 1
    assert found == pytest.approx(exact, abs=0.15)
    assert wilcoxon([-one for one in differences]) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090),
     ((10, 10), (0, 20), 0.6791, 1)],
)  # fmt: skip
def test_the_difference_of_two_shares_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    assert difference(Share(*one), Share(*other)) == pytest.approx((low, high), abs=1e-4)
    assert difference(Share(*one), Share(0, 0)) is None
