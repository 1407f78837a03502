"""What became of deals in a period, of everyone or some, with what other areas know about them:
who had access, what was read and shared before, where partners and customers stop."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.service import PartnerFacts
from portal.content import library, sharing
from portal.content.sharing import Made
from portal.deals import metrics, revenue
from portal.deals.facts import DealFacts
from portal.deals.keys import name_key
from portal.deals.results import Results
from portal.deals.results import as_json as plain_json
from portal.deals.revenue import Revenue
from portal.estimates import Share
from portal.leads import metrics as leads
from portal.leads.funnel import Funnel
from portal.reports import baselines, disclosure, rates
from portal.reports.baselines import Slot
from portal.reports.conversion import Converted, converted
from portal.reports.engagement import scope_of
from portal.reports.filters import Filters
from portal.reports.models import Baseline
from portal.reports.periods import Period
from portal.reports.stops import PageStop, Step, last_steps, page_stops, steps
from tracking import metrics as tracking
from tracking.metrics import ReadUpTo

# Content before a registration: up to the day of submitting and so many days before it.
ASSIST = timedelta(days=30)


@dataclass(frozen=True)
class Outcomes:
    """The deals that were asked for, and everything about them."""

    session: Session
    period: Period
    zone: ZoneInfo
    filters: Filters
    everyone: list[PartnerFacts]
    results: Results
    # The deals that came of leads, whichever deals were asked for.
    of_leads: frozenset[uuid.UUID]

    @property
    def edges(self) -> tuple[datetime, datetime]:
        """The moments at which the period begins and has ended."""
        since, until = self.period.since, self.period.until
        return clock.day_start(since, self.zone), clock.day_start(until, self.zone)

    @cached_property
    def partners(self) -> set[uuid.UUID]:
        """The partners that are meant."""
        chosen = self.filters.partners(self.everyone)
        return {one.id for one in self.everyone} if chosen is None else chosen

    @cached_property
    def with_access(self) -> set[uuid.UUID]:
        """Those of them of whom somebody had access when the period began."""
        since, _until = self.edges
        had = accounts.accesses(self.session, since, since + timedelta(microseconds=1))
        return had.keys() & self.partners

    @cached_property
    def before_portal(self) -> dict[Slot, Baseline]:
        """What is known of the time before the portal."""
        return baselines.current(baselines.versions(self.session))

    # --- leads ----------------------------------------------------------------------------------

    @cached_property
    def funnel(self) -> Funnel:
        """The leads that are meant; those that no partner has belong to everybody only. Of one that
        nobody accepted, the deal that came of it tells when it became sales qualified."""
        qualified = {lead.id: lead.qualified for lead in self.results.leads}
        every = leads.funnel(self.session, self.period.since, self.period.until, self.zone)
        chosen, family = self.filters.partners(self.everyone), self.filters.family
        return every.of(
            replace(lead, sql=qualified.get(lead.id))
            for lead in every.leads
            if (chosen is None or lead.partner_id in chosen) and family in (None, lead.family_id)
        )

    @cached_property
    def direct(self) -> list[DealFacts]:
        """Deals that became sales qualified in the period and came of no lead."""
        return [
            deal
            for deal in self.results.deals
            if deal.id not in self.of_leads
            and deal.qualified is not None
            and self.period.since <= deal.qualified < self.period.until
        ]

    # --- revenue --------------------------------------------------------------------------------

    @cached_property
    def revenue(self) -> dict[str, Revenue]:
        """The confirmed orders of the period by currency."""
        return revenue.by_currency(self.results, len(self.with_access), self.assisted)

    @cached_property
    def converted(self) -> Converted:
        """The same orders added up in the currency of reports."""
        code = rates.reporting_currency(self.session)
        return converted(self.results.won, rates.known(self.session, code), code)

    # --- content --------------------------------------------------------------------------------

    @cached_property
    def unread(self) -> set[uuid.UUID]:
        """Partners of whose reading nothing is told by content and day: for them, only what they
        did on purpose counts as content before a registration."""
        period = Period(self.period.since - ASSIST, self.period.until, "days", self.period.rule)
        return set(disclosure.unsplit(self.session, period)) & self.partners

    @cached_property
    def assisted(self) -> set[uuid.UUID]:
        """Registrations before which somebody of the partner had a content activity on an asset of
        the same product family."""
        deals = [
            deal
            for deal in {*self.results.registrations, *self.results.won}
            if deal.submitted is not None and deal.family_id is not None
        ]
        if not deals:
            return set()
        families = library.families_of_assets(self.session)
        submitted = [(deal, deal.submitted) for deal in deals if deal.submitted is not None]
        days = [day for _deal, day in submitted]
        first, last = min(days) - ASSIST, max(days) + timedelta(days=1)
        partners = {deal.partner_id for deal in deals}
        # All families at once: asked for one by one, the same days are read again for each.
        active: dict[tuple[uuid.UUID, uuid.UUID], list[date]] = defaultdict(list)
        for one in tracking.active_days(self.session, first, last, partners):
            if one.on_purpose or one.partner_id not in self.unread:
                for family in families.get(one.asset_id, ()):
                    active[one.partner_id, family].append(one.day)
        for some in active.values():
            some.sort()
        return {
            deal.id
            for deal, day in submitted
            if deal.family_id is not None
            and _is_within(ASSIST, active.get((deal.partner_id, deal.family_id), []), day)
        }

    @property
    def assisted_registrations(self) -> Share:
        """Content-assisted registrations of all that were submitted in the period."""
        here = [deal.id for deal in self.results.registrations]
        return Share(len(self.assisted & set(here)), len(here))

    @cached_property
    def _links(self) -> list[Made]:
        made = sharing.links_made(self.session, None, self.edges[1])
        return [link for link in made if link.partner_id in self.partners]

    @cached_property
    def shared(self) -> set[uuid.UUID]:
        """Closed deals to whose customer the partner had sent a link before."""
        first: dict[object, datetime] = {}
        for link in self._links:
            for key in (link.deal_id, self._customer_of(link)):
                if key is not None:
                    first[key] = min(first.get(key, link.at), link.at)
        days = {key: clock.local_day(moment, self.zone) for key, moment in first.items()}
        return {
            deal.id
            for deal in self.results.closed
            if deal.closed is not None
            and min(
                days.get(deal.id, date.max),
                days.get((deal.partner_id, deal.customer_key), date.max),
            )
            <= deal.closed
        }

    @staticmethod
    def _customer_of(link: Made) -> tuple[uuid.UUID, str] | None:
        """Whom a link is for, as the customer of a deal is known."""
        return (link.partner_id, name_key(link.recipient)) if link.recipient else None

    @property
    def shared_closed(self) -> Share:
        """Of the deals closed in the period, those with content shared with the customer before."""
        return Share(len(self.shared), len(self.results.closed))

    @cached_property
    def _declared(self) -> list[metrics.Declared]:
        said = metrics.declared(self.session)
        return [said[deal.id] for deal in self.results.registrations if deal.id in said]

    @property
    def declared(self) -> Share | None:
        """Of the registrations of the period of which the partner answered, those that content
        helped with; None as long as nobody answered."""
        answers = self._declared
        return Share(sum(one.helped for one in answers), len(answers)) if answers else None

    @property
    def pursued_anyway(self) -> Share | None:
        """Of those that say whether they would have been pursued without the portal, how many would
        have been; None as long as nobody answered."""
        answers = [one.pursued_anyway for one in self._declared if one.pursued_anyway]
        return Share(answers.count("yes"), len(answers)) if answers else None

    # --- where they stop ------------------------------------------------------------------------

    @cached_property
    def partner_steps(self) -> list[Step]:
        """How far partners came in the period, from signing in to winning."""
        since, until = self.edges
        could = set(accounts.accesses(self.session, since, until)) & self.partners
        found = tracking.by_partner(self.session, scope_of(self.period))
        # What they read is not told of these, not even whether.
        hidden = disclosure.hidden(self.session, self.period)
        here = self.results
        way: list[tuple[str, Collection[uuid.UUID]]] = [
            ("signed_in", accounts.signed_in(self.session, since, until)),
            ("viewed", {k for k, one in found.items() if one.views and k not in hidden}),
            ("shared", {key for key, one in found.items() if one.shares or one.downloads}),
            ("opened", {key for key, one in found.items() if one.opens}),
            ("registered", {deal.partner_id for deal in here.registrations}),
            ("approved", {deal.partner_id for deal in here.approved}),
            ("won", {deal.partner_id for deal in here.won}),
        ]
        return steps(could, way)

    @cached_property
    def _links_here(self) -> list[Made]:
        since, _until = self.edges
        return [link for link in self._links if link.at >= since]

    @cached_property
    def _read(self) -> list[ReadUpTo]:
        """How far what the links of the period lead to was read."""
        return tracking.links_read_up_to(self.session, [link.id for link in self._links_here])

    @property
    def customer_steps(self) -> list[Step]:
        """How far customers came who were sent a link in the period, by link."""
        return steps([link.id for link in self._links_here], self._customer_way)

    @cached_property
    def pages_stopped(self) -> list[PageStop]:
        """The pages up to which customers read before they went no further, by how many."""
        last = last_steps([link.id for link in self._links_here], self._customer_way)
        reading = [name for name, _keys in self._customer_way].index("asked")
        return page_stops(one for one in self._read if last[one.share_id] <= reading)

    @cached_property
    def _customer_way(self) -> list[tuple[str, Collection[uuid.UUID]]]:
        links = self._links_here
        keys = [link.id for link in links]
        of_link: dict[object, list[DealFacts]] = defaultdict(list)
        for deal in self.results.deals:
            if deal.submitted:
                of_link[deal.id].append(deal)
            if deal.customer_key and deal.submitted:
                of_link[deal.partner_id, deal.customer_key].append(deal)
        registered, won = set[uuid.UUID](), set[uuid.UUID]()
        for link in links:
            day = clock.local_day(link.at, self.zone)
            mine = of_link.get(link.deal_id, []) + of_link.get(self._customer_of(link), [])
            for deal in mine:
                if deal.submitted and day <= deal.submitted < self.period.until:
                    registered.add(link.id)
                    if deal.won_confirmed and deal.won_confirmed < self.period.until:
                        won.add(link.id)
        return [
            ("opened", {one.share_id for one in self._read}),
            ("read", {one.share_id for one in self._read if one.is_past_half}),
            ("asked", leads.links_asked(self.session, keys)),
            ("registered", registered),
            ("won", won),
        ]

    @cached_property
    def abandoned(self) -> int:
        """Drafts begun in the period that were left alone."""
        family = self.filters.family
        return sum(
            draft.partner_id in self.partners and family in (None, draft.family_id)
            for draft in metrics.abandoned(self.session, *self.edges)
        )


def _is_within(time: timedelta, days: Sequence[date], day: date) -> bool:
    """Whether one of some days, in order, is `day` or at most so long before it."""
    before = bisect_right(days, day)
    return before > 0 and days[before - 1] >= day - time


def found(session: Session, period: Period, zone: ZoneInfo, filters: Filters) -> Outcomes:
    """What became of the deals that were asked for."""
    everyone = accounts.partner_facts(session)
    results = metrics.results(session, period.since, period.until, zone)
    of_leads = frozenset(key for lead in results.leads for key in lead.deal_ids)
    chosen = filters.partners(everyone)
    if chosen is not None:
        results = results.of_partners(chosen)
    if filters.family is not None:
        results = results.of_family(filters.family)
    return Outcomes(session, period, zone, filters, everyone, results, of_leads)


# --- for programs -------------------------------------------------------------------------------


def as_json(outcomes: Outcomes) -> dict[str, Any]:
    """All figures as plain values, each with its n."""
    values = plain_json(outcomes.results)
    shares = {
        "content_assisted": outcomes.assisted_registrations,
        "content_shared": outcomes.shared_closed,
        "content_declared": outcomes.declared or Share(0, 0),
        "pursued_anyway": outcomes.pursued_anyway or Share(0, 0),
    }
    values |= {name: share.value for name, share in shares.items()}
    values["n"] |= {name: share.whole for name, share in shares.items()}
    values["intervals"] |= {name: share.interval for name, share in shares.items()}
    values |= {
        "partners_with_access": len(outcomes.with_access),
        "revenue_by_currency": {code: _money(row) for code, row in outcomes.revenue.items()},
        "revenue_converted": _converted(outcomes.converted),
        "drafts_abandoned": outcomes.abandoned,
        "partners_stop": _steps(outcomes.partner_steps),
        "customers_stop": _steps(outcomes.customer_steps),
        "pages_stop": [
            {"asset": str(one.asset_id), "page": one.page, "of": one.page_count, "links": one.links}
            for one in outcomes.pages_stopped
        ],
        "by": {
            name: {label: _part(part) for label, part in rows}
            for name, rows in breakdowns(outcomes).items()
        },
    }
    for key, value in lead_figures(outcomes.funnel, len(outcomes.direct)).items():
        values[key] = values[key] | value if key in ("n", "intervals") else value
    values["n"] |= {
        "partners_with_access": len(outcomes.with_access),
        "revenue_by_currency": len(outcomes.results.won),
        "revenue_converted": outcomes.converted.orders,
        "drafts_abandoned": outcomes.abandoned,
        "partners_stop": sum(step.stopped for step in outcomes.partner_steps),
        "customers_stop": sum(step.stopped for step in outcomes.customer_steps),
        "pages_stop": sum(one.links for one in outcomes.pages_stopped),
    }
    return values


def lead_figures(funnel: Funnel, direct: int) -> dict[str, Any]:
    """The figures of leads, with `direct` deals that became sales qualified without one."""
    ripe, sql = funnel.mql_to_sql, len(funnel.sql) + direct
    return {
        "mql": len(funnel.mql),
        "sql": sql,
        "sql_without_lead": direct,
        "mql_to_sql": ripe.value,
        "mql_maturing": len(funnel.maturing),
        "n": {
            "mql": len(funnel.mql),
            "sql": sql,
            "sql_without_lead": direct,
            "mql_to_sql": ripe.whole,
            "mql_maturing": len(funnel.maturing),
        },
        "intervals": {"mql_to_sql": ripe.interval},
    }


def _steps(found: list[Step]) -> list[dict[str, Any]]:
    return [
        {"step": step.name or "none", "reached": step.reached, "stopped": step.stopped}
        for step in found
    ]


def _decimal(minor: float | None) -> str | None:
    return None if minor is None else f"{Decimal(repr(minor)).scaleb(-2):.2f}"


def _converted(found: Converted) -> dict[str, Any]:
    return {
        "currency": found.currency,
        "amount": f"{Decimal(found.total).scaleb(-2):.2f}" if found.orders else None,
        "n": found.orders,
        "unmeasured": found.unmeasured,
        "missing": {code or "none": n for code, n in sorted(found.missing.items())},
    }


def _money(row: Revenue) -> dict[str, Any]:
    return {
        "total": _decimal(row.total),
        "orders": row.orders,
        "partners": row.partners,
        "per_partner_30_days": _decimal(row.per_partner),
        "order_median": _decimal(row.order_median),
        "partner_median": _decimal(row.partner_median),
        "top_fifth_partners": row.top,
        "top_fifth_share": row.top_fifth / row.total if row.total else None,
        "sourced": _decimal(row.sourced),
        "sourced_not_known": _decimal(row.sourced_unknown),
        "content_assisted": _decimal(row.assisted),
        "content_assisted_not_known": _decimal(row.assisted_unknown),
    }


def _part(part: Results) -> dict[str, Any]:
    whole = plain_json(part)
    keys = (
        "won", "lost", "open", "revenue", "close_rate_closed", "cycle_days_mean",
        "registrations", "approval_rate",
    )  # fmt: skip
    return {**{key: whole[key] for key in keys}, "n": {key: whole["n"][key] for key in keys}}


def breakdowns(outcomes: Outcomes) -> dict[str, list[tuple[str, Results]]]:
    """The same figures by partner, tier, region, product family and month. Parts without anything
    in the period are left out; over the parts, counts add up to the whole."""
    return {
        "partner": [(one.name, part) for one, part in by_partner(outcomes)],
        "tier": by_word(outcomes, "tier"),
        "region": by_word(outcomes, "region"),
        "family": [(name, part) for name, _key, part in by_family(outcomes)],
        "month": [(f"{month:%Y-%m}", part) for month, part in by_month(outcomes)],
    }


def by_partner(outcomes: Outcomes) -> list[tuple[PartnerFacts, Results]]:
    """Every partner that has anything in the period."""
    parts = outcomes.results.by_partner()
    return [
        (one, parts[one.id])
        for one in outcomes.everyone
        if one.id in parts and has_any(parts[one.id])
    ]


def by_word(outcomes: Outcomes, name: str) -> list[tuple[str, Results]]:
    """By what partners have as their tier or region today."""
    keys: dict[str, set[uuid.UUID]] = defaultdict(set)
    for one in outcomes.everyone:
        keys[getattr(one, name)].add(one.id)
    parts = [(word, outcomes.results.of_partners(keys[word])) for word in sorted(keys)]
    return [(word, part) for word, part in parts if has_any(part)]


def by_family(outcomes: Outcomes) -> list[tuple[str, uuid.UUID | None, Results]]:
    """By product family; `""` for deals that name none."""
    names: list[tuple[str, uuid.UUID | None]] = [
        (row.name, row.id) for row in library.families(outcomes.session)
    ]
    parts = [(name, key, outcomes.results.of_family(key)) for name, key in [*names, ("", None)]]
    return [(name, key, part) for name, key, part in parts if has_any(part)]


def by_month(outcomes: Outcomes) -> list[tuple[date, Results]]:
    """Month by month, the first and the last as far as they are in the period."""
    month, found = outcomes.period.since.replace(day=1), []
    while month < outcomes.period.until:
        following = clock.add_months(month, 1)
        since, until = max(month, outcomes.period.since), min(following, outcomes.period.until)
        found.append((month, outcomes.results.within(since, until)))
        month = following
    return found


def has_any(part: Results) -> bool:
    """Whether anything was registered, decided, closed or open."""
    return bool(part.registrations or part.decisions or part.won or part.lost or part.open)
