"""From lead to MQL to SQL: the figures of some leads in a period. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from portal.estimates import Share

# How long a lead has to become sales-ready; one that is younger is maturing.
RIPE_DAYS = 90


@dataclass(frozen=True)
class LeadFacts:
    """What figures need of one lead; days in the reporting time zone, each the first time."""

    id: uuid.UUID
    partner_id: uuid.UUID | None
    source: str
    created: date
    mql: date | None = None
    sql: date | None = None
    family_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Funnel:
    """The figures of `leads` in `[since, until)`, as known on `today`."""

    since: date
    until: date
    today: date
    leads: Sequence[LeadFacts]

    def _here(self, day: date | None) -> bool:
        return day is not None and self.since <= day < self.until

    @property
    def new(self) -> list[LeadFacts]:
        """Leads that came in."""
        return [lead for lead in self.leads if self._here(lead.created)]

    @property
    def mql(self) -> list[LeadFacts]:
        """Leads that became marketing-qualified."""
        return [lead for lead in self.leads if self._here(lead.mql)]

    @property
    def sql(self) -> list[LeadFacts]:
        """Leads that sales accepted, or of which a deal was approved."""
        return [lead for lead in self.leads if self._here(lead.sql)]

    @property
    def ripe(self) -> list[LeadFacts]:
        """Of those that became MQL, the ones whose 90 days are over."""
        return [lead for lead in self.mql if self._is_ripe(lead)]

    @property
    def maturing(self) -> list[LeadFacts]:
        """Of those that became MQL, the ones whose 90 days are not over."""
        return [lead for lead in self.mql if not self._is_ripe(lead)]

    def _is_ripe(self, lead: LeadFacts) -> bool:
        return lead.mql is not None and (self.today - lead.mql).days >= RIPE_DAYS

    @property
    def mql_to_sql(self) -> Share:
        """Of those that became MQL 90 days ago or longer, how many became SQL within 90 days."""
        return Share(sum(map(_in_time, self.ripe)), len(self.ripe))

    def of(self, leads: Iterable[LeadFacts]) -> Funnel:
        """The same period for some of the leads."""
        return Funnel(self.since, self.until, self.today, list(leads))


def _in_time(lead: LeadFacts) -> bool:
    if lead.mql is None or lead.sql is None:
        return False
    return 0 <= (lead.sql - lead.mql).days <= RIPE_DAYS
