"""Means and changes with their uncertainty, and what would have been seen. Pure.

A mean is of units that count the same, such as partners. A change is of the same units before and
after: what differs between them cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby, product
from math import erfc, sqrt
from statistics import fmean, stdev

from portal import student

# Up to so many pairs every assignment of signs is tried, 8 192 of them; above, the normal
# distribution is near enough.
FEW = 13
POWER = 0.8


@dataclass(frozen=True)
class Mean:
    """The mean of some values."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """Of how many."""
        return len(self.values)

    @cached_property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return fmean(self.values) if self.values else None

    @cached_property
    def error(self) -> float | None:
        """The standard error; None of fewer than two."""
        return stdev(self.values) / sqrt(self.n) if self.n > 1 else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval by Student's t; None of fewer than two."""
        if self.value is None or self.error is None:
            return None
        reach = _t(0.975, self.n - 1) * self.error
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class Change:
    """What changed between pairs of values, `(before, after)` of the same unit."""

    pairs: tuple[tuple[float, float], ...]

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.pairs)

    @cached_property
    def differences(self) -> tuple[float, ...]:
        """After less before, pair by pair. Rounded, so that equal ones stay equal as numbers."""
        return tuple(round(after - before, 9) for before, after in self.pairs)

    @cached_property
    def _mean(self) -> Mean:
        return Mean(self.differences)

    @property
    def value(self) -> float | None:
        """The mean change; None of no pair."""
        return self._mean.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval; None of fewer than two pairs."""
        return self._mean.interval

    @cached_property
    def t(self) -> float | None:
        """Student's t of the pairs; None where they do not differ from each other."""
        if self._mean.value is None or not self._mean.error:
            return None
        return self._mean.value / self._mean.error

    @cached_property
    def p(self) -> float | None:
        """How likely at least such a change is where nothing changed, by t on both sides."""
        return None if self.t is None else student.tails(self.t, self.n - 1)

    @cached_property
    def p_ranks(self) -> float | None:
        """The same by ranks, which a few extreme pairs cannot sway."""
        return wilcoxon(self.differences)

    @cached_property
    def would_be_seen(self) -> float | None:
        """The smallest change that so many pairs, as scattered as these, would have shown in 80 of
        100 cases, at 5 % on both sides."""
        if not self._mean.error:
            return None
        freedom = self.n - 1
        return (_t(0.975, freedom) + _t(POWER, freedom)) * self._mean.error


@lru_cache(maxsize=2048)
def _t(share: float, freedom: int) -> float:
    return student.quantile(share, freedom)


def wilcoxon(differences: Sequence[float]) -> float | None:
    """How likely such signed ranks are where nothing changed, on both sides (Wilcoxon, 1945).

    Pairs without a change are ranked and then left out (Pratt, 1959). None where nothing changed
    at all.
    """
    ranks = _ranks([abs(one) for one in differences])
    signed = [(rank, one > 0) for rank, one in zip(ranks, differences, strict=True) if one]
    if not signed:
        return None
    weights = [rank for rank, _up in signed]
    middle = sum(weights) / 2
    away = abs(sum(rank for rank, up in signed if up) - middle)
    if len(differences) <= FEW:
        sums = [sum(chosen) for chosen in product(*((0.0, rank) for rank in weights))]
        # Sums of halves are exact, but for what floating point may do to thirds of ties.
        return sum(abs(one - middle) >= away - 1e-9 for one in sums) / len(sums)
    spread = sqrt(sum(rank * rank for rank in weights) / 4)
    return erfc(away / spread / sqrt(2))


def _ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, ties sharing theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, before = [0.0] * len(values), 0
    for _value, group in groupby(order, key=values.__getitem__):
        places = list(group)
        for place in places:
            found[place] = before + (len(places) + 1) / 2
        before += len(places)
    return found
