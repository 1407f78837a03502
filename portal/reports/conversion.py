"""Orders of several currencies added up in one, by the rate of the day of winning. Pure.

Nothing is rounded before the end: the sum is exact, and becomes whole cents once, half a cent up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from portal.deals.facts import DealFacts

# A rate holds until the next one, at most so many days: an older one says nothing of today.
LIMIT = timedelta(days=31)
# More digits than any sum of orders has.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)

# By currency: the days from which rates hold, in order, each with its rate.
Rates = Mapping[str, Sequence[tuple[date, Decimal]]]


@dataclass(frozen=True)
class Converted:
    """The orders of `counted` in minor units of one currency; `missing` counts the other wins by
    theirs, those without any amount under no currency."""

    currency: str
    total: int
    counted: Sequence[DealFacts]
    wins: int
    missing: Mapping[str, int]

    @property
    def orders(self) -> int:
        """How many orders are in it."""
        return len(self.counted)

    @property
    def unmeasured(self) -> int:
        """How many of the wins are not in it."""
        return self.wins - self.orders


def rate_on(rates: Sequence[tuple[date, Decimal]], day: date) -> Decimal | None:
    """The latest rate on or before `day`; None where that is older than the limit."""
    after = bisect_right(rates, day, key=lambda one: one[0])
    if not after or day - rates[after - 1][0] > LIMIT:
        return None
    return rates[after - 1][1]


def converted(wins: Iterable[DealFacts], rates: Rates, currency: str) -> Converted:
    """What was ordered, in `currency`."""
    total, missing = Decimal(0), Counter[str]()
    counted = list[DealFacts]()
    for deal in wins:
        code, rate = deal.currency or "", Decimal(1)
        if code != currency:
            assert deal.won is not None
            found = rate_on(rates.get(code, ()), deal.won)
            if found is None or deal.amount_minor is None:
                missing[code] += 1
                continue
            rate = found
        elif deal.amount_minor is None:
            missing[""] += 1
            continue
        total = _EXACT.add(total, _EXACT.multiply(Decimal(deal.amount_minor), rate))
        counted.append(deal)
    whole = int(total.quantize(Decimal(1), context=_EXACT))
    return Converted(currency, whole, counted, len(counted) + missing.total(), dict(missing))
