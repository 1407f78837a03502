"""What became of deals in a period: close rate, cycle, revenue, registrations (METRICS 3 to 6).

Pure: facts in, figures out. Periods are half-open days, and everything is counted as it stood when
the period ended: what was decided, won, lost, withdrawn or given up later waits or is open in it,
so that a period that is over says the same for ever. Only what is written down later for an earlier
day changes it: an order confirmed with its day, an import. One figure takes longer than the period:
the share won within 180 days, told of those whose 180 days are over today, stays from then on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from statistics import fmean
from typing import Any, NamedTuple
from uuid import UUID

from portal.deals.facts import CROSS_SELL, UPSELL, DealFacts, LeadFacts
from portal.deals.pipeline import Status
from portal.estimates import Duration, Outcome, Share, happened_by, median, reached

HORIZON_DAYS = 180
CYCLE_DAYS = (30, 60, 90)
WAITING = (Status.submitted, Status.in_review, Status.returned)
# 2: open, waiting and sourced by what was so when the period ended.
# 3: won within 180 days of those whose 180 days are over today, not when the period ended; a lead
# of which a deal came is sales qualified when that is approved, not when it is submitted.
DEFINITION_VERSION = 3


class Sql(NamedTuple):
    """Something that became sales qualified: a lead that sales accepted, or a deal that was
    approved; and the day it was won, if it was."""

    partner_id: UUID | None
    day: date
    won: date | None
    lead_id: UUID | None
    deal_id: UUID | None


def decided_by_promise(deal: DealFacts) -> bool:
    """Whether it was decided by the time that was promised."""
    return bool(deal.decided_at and deal.due_at and deal.decided_at <= deal.due_at)


def won_in_time(sql: Sql) -> bool:
    """Whether it was won within 180 days."""
    return sql.won is not None and (sql.won - sql.day).days <= HORIZON_DAYS


@dataclass(frozen=True)
class Results:
    """The figures of some deals in `[since, until)`; money in minor units per currency.

    `leads` are those that sales accepted or of which a deal came. Of one product family, `others`
    are the deals in all of them: they tell which customers have ordered anything before. `today` is
    the day up to which anything can be known; without one, nothing from the end of the period on.
    """

    since: date
    until: date
    deals: Sequence[DealFacts]
    leads: Sequence[LeadFacts] = ()
    others: Sequence[DealFacts] | None = None
    today: date | None = None

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
        """Deals approved by the end of the period that were not over then, also those of which no
        day is known."""
        return [deal for deal in self.deals if self._is_open(deal)]

    def _is_open(self, deal: DealFacts) -> bool:
        over = deal.over
        still = deal.status == Status.approved if over is None else over >= self.until
        return still and self._was_approved(deal)

    def _was_approved(self, deal: DealFacts) -> bool:
        """Whether it was approved by the end of the period; without a day of decision, begun."""
        day = deal.decided or deal.begun or deal.over
        return deal.was_approved and (day is None or day < self.until)

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
        return Share(len(self.won), len(self.closed))

    @property
    def closed(self) -> list[DealFacts]:
        """Deals won or lost in the period."""
        return [*self.won, *self.lost]

    @cached_property
    def qualified(self) -> list[Sql]:
        """What became sales qualified in the period."""
        deals = {deal.id: deal for deal in self.deals}
        from_leads = {key for lead in self.leads for key in (lead.deal_ids | {lead.deal_id})}
        found = [
            Sql(
                lead.partner_id,
                lead.qualified,
                deals[lead.deal_id].won_confirmed if lead.deal_id in deals else None,
                lead.id,
                lead.deal_id,
            )
            for lead in self.leads
            if lead.qualified is not None
        ]
        found += [
            Sql(deal.partner_id, deal.qualified, deal.won_confirmed, None, deal.id)
            for deal in self.deals
            if deal.qualified is not None and deal.id not in from_leads
        ]
        return [sql for sql in found if self._here(sql.day)]

    @property
    def close_rate_headline(self) -> float | None:
        """Deals won in the period per lead that became qualified in it; more than 1 when older
        ones close."""
        return len(self.won) / len(self.qualified) if self.qualified else None

    @cached_property
    def ripe(self) -> list[Sql]:
        """Those of them whose 180 days are over."""
        today = self.today or self.until
        return [sql for sql in self.qualified if (today - sql.day).days > HORIZON_DAYS]

    @property
    def close_rate_cohort(self) -> Share:
        """Of those that became qualified in the period, and whose 180 days are over, how many were
        won within them, also after the end of the period."""
        return Share(sum(map(won_in_time, self.ripe)), len(self.ripe))

    @cached_property
    def young(self) -> list[Sql]:
        """Those that became qualified too lately to tell yet."""
        ripe = set(self.ripe)
        return [sql for sql in self.qualified if sql not in ripe]

    @property
    def maturing(self) -> int:
        """How many these are."""
        return len(self.young)

    @staticmethod
    def _won(deal: DealFacts) -> date:
        assert deal.won_confirmed is not None
        return deal.won_confirmed

    @property
    def cycle_days(self) -> list[int]:
        """From first contact to won, of the deals won in the period."""
        return self._cycles(self.won)

    def _cycles(self, won: Iterable[DealFacts]) -> list[int]:
        return [
            (self._won(deal) - deal.first_contact).days
            for deal in won
            if deal.first_contact is not None
        ]

    @property
    def cycle_mean(self) -> float | None:
        """The average deal cycle in days; None without a win."""
        return fmean(self.cycle_days) if self.cycle_days else None

    @cached_property
    def begun(self) -> list[DealFacts]:
        """Deals with their first contact in the period that were approved by its end."""
        return [
            deal for deal in self.deals if self._here(deal.first_contact) and self._has_course(deal)
        ]

    def _has_course(self, deal: DealFacts) -> bool:
        """Whether it was approved by the end of the period, and it is known how long it lasted."""
        is_told = deal.over is not None or deal.status == Status.approved
        return is_told and self._was_approved(deal)

    @cached_property
    def durations(self) -> list[Duration]:
        """How long the deals begun in the period have lasted when it ended: until won, lost
        otherwise, or still open."""
        return [duration for deal in self.begun if (duration := self._lasted(deal))]

    def _lasted(self, deal: DealFacts) -> Duration | None:
        if deal.first_contact is None:
            return None
        ended = deal.over
        outcome = Outcome.happened if deal.won_confirmed else Outcome.otherwise
        if deal.closed is None:
            # Given up, or going on: nobody knows whether it would have been won.
            outcome = Outcome.open
        if ended is None or ended >= self.until:
            ended, outcome = self.until, Outcome.open
        return (ended - deal.first_contact).days, outcome

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
        return Share(len(self.approved), len(self.decisions))

    @property
    def approved(self) -> list[DealFacts]:
        """Registrations approved in the period, whatever came of them later."""
        return [deal for deal in self.decisions if deal.status != Status.rejected]

    @property
    def decided_in_time(self) -> Share:
        """Decisions made by the time that was promised, of those that had one."""
        return Share(sum(map(decided_by_promise, self.promised)), len(self.promised))

    @property
    def promised(self) -> list[DealFacts]:
        """Decisions of the period that had a time by which they were promised."""
        return [deal for deal in self.decisions if deal.decided_at and deal.due_at]

    @cached_property
    def decision_hours(self) -> list[Duration]:
        """How many business hours the decisions of the period took, and how long those have waited
        that were not decided when it ended."""
        found = [(d.waited, Outcome.happened) for d in self.decisions if d.waited is not None]
        return found + [(d.waited, Outcome.open) for d in self.undecided if d.waited is not None]

    @property
    def measured(self) -> list[DealFacts]:
        """Registrations decided in the period or undecided at its end of which it is known how long
        they waited."""
        some = (*self.decisions, *self.undecided)
        return [deal for deal in some if deal.waited is not None]

    @cached_property
    def undecided(self) -> list[DealFacts]:
        """Registrations that had no decision when the period ended."""
        return [deal for deal in self.deals if self._is_undecided(deal)]

    def _is_undecided(self, deal: DealFacts) -> bool:
        if deal.submitted is None or deal.submitted >= self.until:
            return False
        end = deal.decided or deal.left
        return deal.status in WAITING if end is None else end >= self.until

    @cached_property
    def withdrawn(self) -> list[DealFacts]:
        """Registrations that were withdrawn, or expired, in the period without a decision."""
        return [d for d in self.deals if d.submitted and not d.decided and self._here(d.left)]

    @property
    def unmeasured(self) -> int:
        """How many decisions of the period took nobody knows how long, such as imported ones."""
        return sum(deal.waited is None for deal in self.decisions)

    # --- the registrations of the period, and what became of them -------------------------------

    @cached_property
    def registered_won(self) -> list[DealFacts]:
        """Registrations of the period that were won before it ended."""
        return [deal for deal in self.registrations if self._ended(deal.won_confirmed)]

    @property
    def registered_close_rate(self) -> Share:
        """Of the registrations of the period that were closed before it ended, those won."""
        return Share(len(self.registered_won), len(self.registered_closed))

    @property
    def registered_closed(self) -> list[DealFacts]:
        """Registrations of the period that were won or lost before it ended."""
        lost = [deal for deal in self.registrations if self._ended(deal.lost)]
        return [*self.registered_won, *lost]

    def _ended(self, day: date | None) -> bool:
        return day is not None and day < self.until

    @property
    def registered_cycle_days(self) -> list[int]:
        """From first contact to won, of the registrations of the period that were won."""
        return self._cycles(self.registered_won)

    @cached_property
    def registered_durations(self) -> list[Duration]:
        """How long the approved registrations of the period have lasted when it ended."""
        approved = [deal for deal in self.registrations if self._has_course(deal)]
        return [duration for deal in approved if (duration := self._lasted(deal))]

    @property
    def new_business(self) -> Share:
        """Registrations from partners without one in the 12 months before, or for a customer new to
        that partner."""
        n = sum(deal.new_business is True for deal in self.registrations)
        return Share(n, len(self.registrations))

    # --- more business with customers -----------------------------------------------------------

    @cached_property
    def existing_customers(self) -> dict[UUID, DealFacts]:
        """Customers with a win before the period, each with the last one."""
        wins = [
            (deal.won_confirmed, deal.id, deal)
            for deal in (self.deals if self.others is None else self.others)
            if deal.won_confirmed and deal.won_confirmed < self.since
        ]
        return {deal.customer_id: deal for _day, _id, deal in sorted(wins) if deal.customer_id}

    @property
    def new_customers(self) -> list[date]:
        """The days of the period on which customers ordered for the first time."""
        first: dict[UUID, date] = {}
        for deal in self.deals if self.others is None else self.others:
            if deal.customer_id and (day := deal.won_confirmed):
                first[deal.customer_id] = min(first.get(deal.customer_id, day), day)
        return [day for day in first.values() if self._here(day)]

    def won_of_kind(self, kind: str) -> list[DealFacts]:
        """Wins of the period of one kind, such as upsell."""
        return [deal for deal in self.won if deal.kind == kind]

    def customers_with(self, kind: str) -> Share:
        """Existing customers with a win of this kind in the period, of all existing customers."""
        return Share(len(self.grown(kind)), len(self.existing_customers))

    def grown(self, kind: str) -> set[UUID]:
        """The existing customers with a win of this kind in the period."""
        theirs = {deal.customer_id for deal in self.won_of_kind(kind)}
        return {key for key in self.existing_customers if key in theirs}

    def conversion_of(self, *kinds: str) -> Share:
        """Won deals of these kinds, of those closed in the period."""
        closed = self.closed_of_kind(*kinds)
        return Share(sum(deal.won_confirmed is not None for deal in closed), len(closed))

    def closed_of_kind(self, *kinds: str) -> list[DealFacts]:
        """Deals of these kinds won or lost in the period."""
        return [deal for deal in self.closed if deal.kind in kinds]

    @property
    def losses(self) -> dict[str, int]:
        """How many deals were lost in the period for which coded reason, the most frequent
        first; `""` where none was given."""
        return dict(Counter(deal.loss_reason or "" for deal in self.lost).most_common())

    # --- parts of it ----------------------------------------------------------------------------

    def of_partners(self, keys: Collection[UUID]) -> Results:
        """The same period for some partners."""
        deals = [deal for deal in self.deals if deal.partner_id in keys]
        leads = [lead for lead in self.leads if lead.partner_id in keys]
        others = self.others and [deal for deal in self.others if deal.partner_id in keys]
        return replace(self, deals=deals, leads=leads, others=others)

    def by_partner(self) -> dict[UUID, Results]:
        """The same period for each partner; `of_partners` one by one would take long."""
        deals, others = _by_partner(self.deals), _by_partner(self.others or ())
        leads: dict[UUID, list[LeadFacts]] = defaultdict(list)
        for lead in self.leads:
            if lead.partner_id is not None:
                leads[lead.partner_id].append(lead)
        return {
            key: replace(
                self,
                deals=deals.get(key, []),
                leads=leads.get(key, []),
                others=None if self.others is None else others.get(key, []),
            )
            for key in deals.keys() | leads.keys()
        }

    def of_family(self, key: UUID | None) -> Results:
        """The same period for one product family."""
        deals = [deal for deal in self.deals if deal.family_id == key]
        leads = [lead for lead in self.leads if lead.family_id == key]
        others = self.deals if self.others is None else self.others
        return replace(self, deals=deals, leads=leads, others=others)

    def within(self, since: date, until: date) -> Results:
        """The same deals in a part of the period."""
        return replace(self, since=since, until=until)


def _by_partner(deals: Iterable[DealFacts]) -> dict[UUID, list[DealFacts]]:
    found: dict[UUID, list[DealFacts]] = defaultdict(list)
    for deal in deals:
        found[deal.partner_id].append(deal)
    return found


def as_json(found: Results) -> dict[str, Any]:
    """All figures as plain values, each with its n, how many deals it is made of, as on the page:
    of a count the count itself. Shares are 0 to 1 with their interval."""
    shares = {
        "close_rate_closed": found.close_rate_closed,
        "close_rate_within_180_days": found.close_rate_cohort,
        "approval_rate": found.approval_rate,
        "decided_in_time": found.decided_in_time,
        "registrations_close_rate": found.registered_close_rate,
        "new_business": found.new_business,
        "upsell_rate": found.customers_with(UPSELL),
        "cross_sell_rate": found.customers_with(CROSS_SELL),
        "upsell_conversion": found.conversion_of(UPSELL),
        "cross_sell_conversion": found.conversion_of(CROSS_SELL),
        "upsell_cross_sell_conversion": found.conversion_of(UPSELL, CROSS_SELL),
    }
    registered = found.registered_cycle_days
    outcomes = Counter(outcome for _days, outcome in found.durations)
    counts = {
        "won": len(found.won),
        "lost": len(found.lost),
        "open": len(found.open),
        "open_without_day": found.open_without_day,
        "maturing": found.maturing,
        "sqls": len(found.qualified),
        "undecided": len(found.undecided),
        "withdrawn_undecided": len(found.withdrawn),
        "decisions_not_measured": found.unmeasured,
        "registrations": len(found.registrations),
    }
    return {
        "from": found.since.isoformat(),
        "to": found.until.isoformat(),
        "definition_version": DEFINITION_VERSION,
        **counts,
        "revenue": {code: str(Decimal(n).scaleb(-2)) for code, n in found.revenue.items()},
        **{name: share.value for name, share in shares.items()},
        "losses": found.losses,
        "close_rate": found.close_rate_headline,
        "cycle_days_mean": found.cycle_mean,
        "cycle_days_median": found.cycle_median,
        **{f"won_by_day_{days}": found.won_by(days) for days in CYCLE_DAYS},
        "decision_hours_median": median(found.decision_hours),
        "decision_hours_p90": reached(found.decision_hours, 0.9),
        "registrations_cycle_days_mean": fmean(registered) if registered else None,
        "registrations_cycle_days_median": median(found.registered_durations),
        "registering_partners": len({deal.partner_id for deal in found.registrations}),
        "n": {
            **{name: share.whole for name, share in shares.items()},
            **counts,
            "revenue": len(found.won),
            "close_rate": len(found.qualified),
            "cycle_days_mean": len(found.cycle_days),
            "cycle_days_median": len(found.durations),
            **{f"won_by_day_{days}": len(found.durations) for days in CYCLE_DAYS},
            "decision_hours_median": len(found.decision_hours),
            "decision_hours_p90": len(found.decision_hours),
            "registrations_cycle_days_mean": len(registered),
            "registrations_cycle_days_median": len(found.registered_durations),
            "registering_partners": len(found.registrations),
            "losses": len(found.lost),
        },
        "cycle_outcomes": {
            "won": outcomes[Outcome.happened],
            "lost": outcomes[Outcome.otherwise],
            "open": outcomes[Outcome.open],
        },
        "intervals": {name: share.interval for name, share in shares.items()},
    }
