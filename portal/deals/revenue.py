"""Revenue in one currency: in all, by partner, how much of it comes from few. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from portal.deals.facts import DealFacts
from portal.deals.results import Results


@dataclass(frozen=True)
class Revenue:
    """What was won in one currency in a period, in minor units.

    `per_partner` is per partner with access when the period began, and 30 days; None when none had.
    `order_median` is of orders, `partner_median` of the partners that won any; `top_fifth` is what
    the best fifth of these have won, `top` how many they are (rounded up).
    `sourced` and `assisted` are parts of it that may overlap and are never added; `sourced_unknown`
    is what cannot be told, `assisted_unknown` what was never registered here.
    """

    currency: str
    total: int
    orders: int
    partners: int
    per_partner: float | None
    order_median: float
    partner_median: float
    top: int
    top_fifth: int
    sourced: int
    sourced_unknown: int
    assisted: int
    assisted_unknown: int


def by_currency(found: Results, with_access: int, assisted: Collection[UUID]) -> dict[str, Revenue]:
    """The revenue of a period by currency. `assisted` are deals with content before them."""
    wins: dict[str, list[DealFacts]] = defaultdict(list)
    for deal in found.won:
        wins[deal.currency or ""].append(deal)
    days = (found.until - found.since).days
    return {code: _revenue(code, wins[code], with_access, days, assisted) for code in sorted(wins)}


def _revenue(
    code: str, wins: list[DealFacts], with_access: int, days: int, assisted: Collection[UUID]
) -> Revenue:
    of_partner: dict[UUID, int] = defaultdict(int)
    for deal in wins:
        of_partner[deal.partner_id] += deal.amount_minor or 0
    best = sorted(of_partner.values(), reverse=True)
    total, top = sum(best), -(-len(best) // 5)
    return Revenue(
        currency=code,
        total=total,
        orders=len(wins),
        partners=len(best),
        per_partner=total / with_access / days * 30 if with_access else None,
        order_median=median(deal.amount_minor or 0 for deal in wins),
        partner_median=median(best),
        top=top,
        top_fifth=sum(best[:top]),
        sourced=_sum(deal for deal in wins if deal.sourced),
        sourced_unknown=_sum(deal for deal in wins if deal.sourced is None),
        assisted=_sum(deal for deal in wins if deal.id in assisted),
        assisted_unknown=_sum(deal for deal in wins if deal.submitted is None),
    )


def _sum(deals: Iterable[DealFacts]) -> int:
    return sum(deal.amount_minor or 0 for deal in deals)
