"""What became of deals in a period: close rate, cycle, revenue, registrations (METRICS 3 to 6).

Pure: facts in, figures out. Periods are half-open days; what ends later than the period is open in
it, so that a period that is over says the same for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from statistics import fmean
from typing import Any, NamedTuple
from uuid import UUID

from portal.deals.pipeline import Stage, Status
from portal.estimates import Duration, Outcome, Share, happened_by, median, reached

HORIZON_DAYS = 180
CYCLE_DAYS = (30, 60, 90)
WAITING = (Status.submitted, Status.in_review, Status.returned)
DEFINITION_VERSION = 1


class DealFacts(NamedTuple):
    """What figures need to know of one deal. Days are those of the reporting time zone."""

    id: UUID
    partner_id: UUID
    family_id: UUID | None
    status: str
    stage: str | None
    first_contact: date | None
    submitted: date | None
    decided: date | None
    decided_at: datetime | None
    due_at: datetime | None
    is_imported: bool
    # Business hours in which it waited for the vendor, until it was decided or the period ended.
    waited: float | None
    won: date | None
    lost: date | None
    amount_minor: int | None
    currency: str | None

    @property
    def won_confirmed(self) -> date | None:
        """The day it was won, once the vendor has confirmed it."""
        return self.won if self.status == Status.closed and self.stage == Stage.won else None

    @property
    def begun(self) -> date | None:
        """The first day that anything is known of it."""
        days = (self.first_contact, self.submitted, self.decided)
        return min((day for day in days if day is not None), default=None)

    @property
    def was_approved(self) -> bool:
        """Whether the claim was accepted, whatever came of it."""
        return self.stage is not None or self.status in (Status.approved, Status.revoked)

    @property
    def qualified(self) -> date | None:
        """The day it became sales qualified: the day it was approved; of an imported deal without
        one, the first contact."""
        if not self.was_approved:
            return None
        return self.decided or (self.first_contact if self.is_imported else None)


@dataclass(frozen=True)
class Results:
    """The figures of some deals in `[since, until)`; money in minor units per currency."""

    since: date
    until: date
    deals: Sequence[DealFacts]

    def _here(self, day: date | None) -> bool:
        return day is not None and self.since <= day < self.until

    @cached_property
    def won(self) -> list[DealFacts]:
        """Deals won in the period and confirmed by the vendor."""
        return [deal for deal in self.deals if self._here(deal.won_confirmed)]

    @cached_property
    def lost(self) -> list[DealFacts]:
        """Deals lost in the period."""
        return [deal for deal in self.deals if self._here(deal.lost)]

    @cached_property
    def open(self) -> list[DealFacts]:
        """Approved deals that were neither won nor lost when the period ended, those begun by then
        and those of which no day is known."""
        return [deal for deal in self.deals if self._is_open(deal)]

    def _is_open(self, deal: DealFacts) -> bool:
        ended = deal.won_confirmed or deal.lost
        if ended is not None:
            return ended >= self.until and (deal.begun or ended) < self.until
        goes_on = deal.status == Status.approved
        return goes_on and (deal.begun is None or deal.begun < self.until)

    @property
    def open_without_day(self) -> int:
        """How many of the open ones have no day at all."""
        return sum(deal.begun is None for deal in self.open)

    @property
    def revenue(self) -> dict[str, int]:
        """Confirmed amounts of the wins, per currency, never added over currencies."""
        total: Counter[str] = Counter()
        for deal in self.won:
            total[deal.currency or ""] += deal.amount_minor or 0
        return dict(sorted(total.items()))

    @property
    def close_rate_closed(self) -> Share:
        """Deals won of those that were closed, by the day of closing."""
        return Share(len(self.won), len(self.won) + len(self.lost))

    @cached_property
    def qualified(self) -> list[DealFacts]:
        """Deals that became sales qualified in the period."""
        return [deal for deal in self.deals if self._here(deal.qualified)]

    @property
    def close_rate_headline(self) -> float | None:
        """Deals won in the period per deal that became qualified in it; more than 1 when older
        ones close."""
        return len(self.won) / len(self.qualified) if self.qualified else None

    @property
    def close_rate_cohort(self) -> Share:
        """Of those that became qualified in the period, and long enough before its end to tell, how
        many were won within 180 days."""
        ripe = [d for d in self.qualified if (self.until - self._day(d)).days >= HORIZON_DAYS]
        won = [d for d in ripe if d.won_confirmed and d.won_confirmed < self.until]
        return Share(
            sum((self._won(d) - self._day(d)).days <= HORIZON_DAYS for d in won), len(ripe)
        )

    @staticmethod
    def _day(deal: DealFacts) -> date:
        assert deal.qualified is not None
        return deal.qualified

    @staticmethod
    def _won(deal: DealFacts) -> date:
        assert deal.won_confirmed is not None
        return deal.won_confirmed

    @property
    def cycle_days(self) -> list[int]:
        """From first contact to won, of the deals won in the period."""
        return [
            (self._won(deal) - deal.first_contact).days
            for deal in self.won
            if deal.first_contact is not None
        ]

    @property
    def cycle_mean(self) -> float | None:
        """The average deal cycle in days; None without a win."""
        return fmean(self.cycle_days) if self.cycle_days else None

    @cached_property
    def durations(self) -> list[Duration]:
        """How long the deals begun in the period have lasted when it ended: until won, lost
        otherwise, or still open."""
        found: list[Duration] = []
        for deal in self.deals:
            if deal.first_contact is None or not self._here(deal.first_contact):
                continue
            if not (deal.won_confirmed or deal.lost or deal.status == Status.approved):
                continue
            ended, outcome = deal.won_confirmed, Outcome.happened
            if ended is None:
                ended, outcome = deal.lost, Outcome.otherwise
            if ended is None or ended >= self.until:
                ended, outcome = self.until, Outcome.open
            found.append(((ended - deal.first_contact).days, outcome))
        return found

    @property
    def cycle_median(self) -> float | None:
        """The median deal cycle in days, deals still open and lost ones taken into account
        (Kaplan-Meier); None while fewer than half are won."""
        return median(self.durations)

    def won_by(self, days: int) -> float | None:
        """The share of the deals begun that are won by so many days, lost being the other way to
        end (Aalen-Johansen)."""
        return happened_by(self.durations, days)

    @cached_property
    def registrations(self) -> list[DealFacts]:
        """Registrations that left draft in the period."""
        return [deal for deal in self.deals if self._here(deal.submitted)]

    @cached_property
    def decisions(self) -> list[DealFacts]:
        """Registrations decided in the period."""
        accepted = (Status.approved, Status.closed, Status.expired, Status.revoked)
        known = (*accepted, Status.rejected)
        return [d for d in self.deals if self._here(d.decided) and d.status in known]

    @property
    def approval_rate(self) -> Share:
        """Registrations approved of those decided."""
        rejected = sum(deal.status == Status.rejected for deal in self.decisions)
        return Share(len(self.decisions) - rejected, len(self.decisions))

    @property
    def decided_in_time(self) -> Share:
        """Decisions made by the time that was promised, of those that had one."""
        timed = [(d.decided_at, d.due_at) for d in self.decisions if d.decided_at and d.due_at]
        return Share(sum(at <= due for at, due in timed), len(timed))

    @cached_property
    def decision_hours(self) -> list[Duration]:
        """How many business hours the decisions of the period took, and how long those have waited
        that were not decided when it ended."""
        found = [(d.waited, Outcome.happened) for d in self.decisions if d.waited is not None]
        for deal in self.deals:
            is_undecided = deal.status in WAITING or (deal.decided or self.since) >= self.until
            if deal.waited is not None and deal.submitted and deal.submitted < self.until:
                found += [(deal.waited, Outcome.open)] if is_undecided else []
        return found

    def of(self, deals: Iterable[DealFacts]) -> Results:
        """The same period for some of the deals."""
        return Results(self.since, self.until, list(deals))


def as_json(found: Results) -> dict[str, Any]:
    """All figures as plain values, each with its n; shares 0 to 1 with their interval."""
    shares = {
        "close_rate_closed": found.close_rate_closed,
        "close_rate_within_180_days": found.close_rate_cohort,
        "approval_rate": found.approval_rate,
        "decided_in_time": found.decided_in_time,
    }
    outcomes = Counter(outcome for _days, outcome in found.durations)
    return {
        "from": found.since.isoformat(),
        "to": found.until.isoformat(),
        "definition_version": DEFINITION_VERSION,
        "won": len(found.won),
        "lost": len(found.lost),
        "open": len(found.open),
        "open_without_day": found.open_without_day,
        "revenue": {code: str(Decimal(n).scaleb(-2)) for code, n in found.revenue.items()},
        **{name: share.value for name, share in shares.items()},
        "close_rate": found.close_rate_headline,
        "cycle_days_mean": found.cycle_mean,
        "cycle_days_median": found.cycle_median,
        **{f"won_by_day_{days}": found.won_by(days) for days in CYCLE_DAYS},
        "decision_hours_median": median(found.decision_hours),
        "decision_hours_p90": reached(found.decision_hours, 0.9),
        "registrations": len(found.registrations),
        "registering_partners": len({deal.partner_id for deal in found.registrations}),
        "n": {
            **{name: share.whole for name, share in shares.items()},
            "won": len(found.deals),
            "lost": len(found.deals),
            "open": len(found.deals),
            "revenue": len(found.won),
            "close_rate": len(found.qualified),
            "cycle_days_mean": len(found.cycle_days),
            "cycle_days_median": len(found.durations),
            **{f"won_by_day_{days}": len(found.durations) for days in CYCLE_DAYS},
            "decision_hours_median": len(found.decision_hours),
            "decision_hours_p90": len(found.decision_hours),
            "registrations": len(found.deals),
        },
        "cycle_outcomes": {
            "won": outcomes[Outcome.happened],
            "lost": outcomes[Outcome.otherwise],
            "open": outcomes[Outcome.open],
        },
        "intervals": {name: share.interval for name, share in shares.items()},
    }
