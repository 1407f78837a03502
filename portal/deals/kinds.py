"""What kind of deal a claim is, from the partner's own earlier wins with that customer. Pure.

Upsell: more or larger in a family owned. Cross-sell: another family. Renewal: neither. What other
partners sold to the customer plays no part, so that nothing of them shows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

KINDS = ("new", "renewal", "upsell", "cross_sell")


@dataclass(frozen=True)
class Win:
    """An order that the same partner won from the same customer."""

    family_id: uuid.UUID | None
    amount_minor: int | None
    currency: str
    at: datetime


def propose(
    family_id: uuid.UUID | None, amount_minor: int | None, currency: str, wins: Sequence[Win]
) -> str:
    """The kind of a deal of this family and amount, after these wins.

    Amounts in different currencies are not compared: then it is a renewal until somebody says more.
    """
    if not wins:
        return "new"
    owned = [win for win in wins if win.family_id == family_id]
    if family_id is None or not owned:
        return "cross_sell"
    latest = max(owned, key=lambda win: win.at)
    comparable = latest.currency == currency and latest.amount_minor is not None
    is_larger = comparable and amount_minor is not None and amount_minor > latest.amount_minor  # type: ignore[operator]
    return "upsell" if is_larger else "renewal"
