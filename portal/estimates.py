"""Estimates with their uncertainty, for numbers that are shares or durations. Pure.

A duration that is not over yet, or whose end is not what is asked for, is *censored*: it lasted at
least so long. Leaving it out would make everything look quicker than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from math import sqrt

# The 97.5th percentile of the normal distribution: intervals of 95 %.
Z = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """`part` of `whole`, such as deals won of deals closed."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None of nothing."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of Wilson (1927): it stays within 0 and 1, also for 0 of 20."""
        if not self.whole:
            return None
        n, share = self.whole, self.part / self.whole
        spread = Z * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
        middle, scale = share + Z * Z / (2 * n), 1 + Z * Z / n
        # The share itself is inside, also where rounding would leave it out: 0 of n, n of n.
        return min(share, max(0.0, (middle - spread) / scale)), max(
            share, min(1.0, (middle + spread) / scale)
        )


def difference(one: Share, other: Share) -> tuple[float, float] | None:
    """The 95 % interval of `one` less `other`, two shares of different units (Newcombe, 1998,
    method 10); None where one is of nothing."""
    a, b = one.interval, other.interval
    if a is None or b is None or one.value is None or other.value is None:
        return None
    between = one.value - other.value
    low = sqrt((one.value - a[0]) ** 2 + (b[1] - other.value) ** 2)
    high = sqrt((a[1] - one.value) ** 2 + (other.value - b[0]) ** 2)
    return between - low, between + high


class Outcome(IntEnum):
    """How something that lasted has ended: not yet, as asked for, or in another way."""

    open = 0
    happened = 1
    otherwise = 2


Duration = tuple[float, Outcome]


def survival(durations: Iterable[Duration]) -> list[tuple[float, float]]:
    """The share that lasts longer than each time at which something happened (Kaplan and Meier,
    1958); all but `happened` is censored. Steps `(time, share)`, in order."""
    steps, share = [], 1.0
    for time, at_risk, ends in _by_time(durations):
        if ends[Outcome.happened]:
            share *= 1 - ends[Outcome.happened] / at_risk
            steps.append((time, share))
    return steps


def median(durations: Iterable[Duration]) -> float | None:
    """The time after which half of them have happened; None when it was not reached yet."""
    return reached(durations, 0.5)


def reached(durations: Iterable[Duration], part: float) -> float | None:
    """The time after which `part` of them have happened; None when it was not reached yet."""
    left = 1 - part + 1e-12
    return next((time for time, share in survival(durations) if share <= left), None)


def restricted_mean(durations: Iterable[Duration], until: float) -> float:
    """The mean duration up to `until`: the area under the survival curve."""
    area, before, share = 0.0, 0.0, 1.0
    for time, after in survival(durations):
        if time >= until:
            break
        area, before, share = area + share * (time - before), time, after
    return area + share * (until - before)


def happened_by(durations: Iterable[Duration], until: float) -> float | None:
    """The share that has happened by `until` when it can also end otherwise (Aalen and Johansen,
    1978); None of nothing."""
    everything = list(durations)
    if not everything:
        return None
    found, still = 0.0, 1.0
    for time, at_risk, ends in _by_time(everything):
        if time > until:
            break
        found += still * ends[Outcome.happened] / at_risk
        still *= 1 - (ends[Outcome.happened] + ends[Outcome.otherwise]) / at_risk
    return found


def _by_time(durations: Iterable[Duration]) -> Iterable[tuple[float, int, Sequence[int]]]:
    """Each time, how many had lasted until then, and how many ended in which way at it."""
    ordered = sorted(durations)
    at_risk = len(ordered)
    for time, group in groupby(ordered, key=lambda duration: duration[0]):
        ends = [0, 0, 0]
        for _time, outcome in group:
            ends[outcome] += 1
        yield time, at_risk, ends
        at_risk -= sum(ends)
