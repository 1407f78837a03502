"""Which partner a lead of the vendor is offered to next. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class AssignRule:
    """Leads of `region` go to partners of `tier`; empty means any. A lead that names none may be of
    every region that its country has partners in."""

    region: str = ""
    tier: str = ""


class Wanted(NamedTuple):
    """Where the customer is."""

    region: str
    country: str


class Candidate(NamedTuple):
    """A partner that leads can be offered to. `offers` counts those of late, so that all get
    their share; `order` decides between equals."""

    id: uuid.UUID
    region: str
    country: str
    tier: str
    offers: int
    order: str


def next_partner(
    rules: Sequence[AssignRule],
    wanted: Wanted,
    candidates: Iterable[Candidate],
    had_it: Collection[uuid.UUID],
) -> uuid.UUID | None:
    """The partner of the first rule that finds one: near the customer, not asked about this lead
    before, and with the fewest offers of late. None when nobody is left."""
    near = [row for row in candidates if row.id not in had_it and _is_near(row, wanted)]
    for rule in rules:
        # Who is near a lead that has a region is of it; one without is of its partner's.
        found = [
            row for row in near if rule.region in ("", row.region) and rule.tier in ("", row.tier)
        ]
        if found:
            return min(found, key=lambda row: (row.offers, row.order, row.id)).id
    return None


def _is_near(candidate: Candidate, wanted: Wanted) -> bool:
    """In the region of the lead; where none is given, in its country; else anywhere."""
    if wanted.region:
        return candidate.region == wanted.region
    return candidate.country == wanted.country if wanted.country else True
