"""Numbers about deals, for reports and for the pages people start on."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.db import in_parts, plain_rows
from portal.deals import contacts, policy
from portal.deals.facts import DealFacts, LeadFacts, with_history, with_leads
from portal.deals.keys import name_key
from portal.deals.models import (
    BY_IMPORT,
    REGISTERED,
    Deal,
    DealHistory,
    Helped,
    Policy,
    Protection,
)
from portal.deals.pipeline import UNDECIDED, Side, Stage, Status
from portal.deals.policy import spells
from portal.deals.results import Results
from portal.leads import metrics as leads_area
from portal.leads.stages import Source

# A draft that nobody has touched for so long is taken for abandoned.
ABANDONED = timedelta(days=14)


@dataclass(frozen=True)
class StatusRow:
    """Registrations in one status; `amounts` by currency in minor units, as expected or as won."""

    status: str
    n: int
    amounts: dict[str, int]


def by_status(session: Session, since: datetime, until: datetime) -> list[StatusRow]:
    """Registrations that left draft in [since, until), by their status now."""
    query = (
        select(
            Deal.status,
            func.coalesce(Deal.won_currency, Deal.currency),
            func.count(),
            func.coalesce(func.sum(func.coalesce(Deal.won_amount_minor, Deal.amount_minor)), 0),
        )
        .where(Deal.submitted_at >= since, Deal.submitted_at < until)
        .group_by(Deal.status, func.coalesce(Deal.won_currency, Deal.currency))
    )
    n: Counter[str] = Counter()
    amounts: dict[str, dict[str, int]] = {}
    for status, currency, count, minor in session.execute(query):
        n[status] += count
        amounts.setdefault(status, {})[currency] = int(minor)
    order = [status.value for status in Status]
    return [StatusRow(status, n[status], amounts[status]) for status in order if n[status]]


@dataclass(frozen=True)
class MonthRow:
    """Registrations in a month, `2026-03`."""

    month: str
    n: int


def registrations_by_month(
    session: Session, since: datetime, until: datetime, zone: ZoneInfo
) -> list[MonthRow]:
    """Registrations leaving draft in [since, until), by month of the reporting time zone."""
    moments = session.scalars(
        select(Deal.submitted_at).where(Deal.submitted_at >= since, Deal.submitted_at < until)
    )
    found = Counter(f"{moment.astimezone(zone):%Y-%m}" for moment in moments if moment)
    return [MonthRow(month, n) for month, n in sorted(found.items())]


@dataclass(frozen=True)
class WonRow:
    """Wins confirmed by the vendor in a month, in one currency, in minor units."""

    month: str
    currency: str
    n: int
    amount_minor: int


def won_by_month(
    session: Session, since: datetime, until: datetime, zone: ZoneInfo
) -> list[WonRow]:
    """Confirmed wins by the day of the order in [since, until)."""
    query = select(Deal.won_at, Deal.won_currency, Deal.won_amount_minor).where(
        Deal.won_at >= since,
        Deal.won_at < until,
        Deal.status == Status.closed,
        Deal.stage == Stage.won,
    )
    n: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for moment, currency, minor in session.execute(query):
        assert moment is not None
        key = f"{moment.astimezone(zone):%Y-%m}", currency or ""
        n[key] += 1
        total[key] += minor or 0
    return [WonRow(*key, n[key], total[key]) for key in sorted(n)]


def facts(session: Session, until: date, zone: ZoneInfo) -> list[DealFacts]:
    """What figures need of every deal that has left draft; waiting times up to the day `until`."""
    columns = (
        Deal.id,
        Deal.partner_id,
        Deal.product_family_id,
        Deal.status,
        Deal.stage,
        Deal.first_contact,
        Deal.submitted_at,
        Deal.decided_at,
        Deal.decision_due_at,
        Deal.external_id,
        Deal.policy_id,
        Deal.won_at,
        Deal.lost_at,
        Deal.left_at,
        Deal.won_amount_minor,
        Deal.won_currency,
        Deal.amount_minor,
        Deal.currency,
        Deal.loss_reason,
        Deal.customer_id,
        Deal.customer_name,
        Deal.deal_type,
    )

    def local(moment: datetime | None) -> date | None:
        return moment and clock.local_day(moment, zone)

    end = min(clock.now(), clock.day_start(until, zone))
    waits = _waits(session, end)
    known = contacts.first_contacts(session, zone)
    terms = {row.id: row.terms for row in session.scalars(select(Policy))}

    def waited(deal_id: uuid.UUID, policy_id: uuid.UUID | None) -> float | None:
        spells = waits.get(deal_id)
        if not spells or policy_id is None:
            return None
        return policy.time_used(spells, terms[policy_id].calendar, zone) / timedelta(hours=1)

    return [
        DealFacts(
            id=row.id,
            partner_id=row.partner_id,
            family_id=row.product_family_id,
            status=row.status,
            stage=row.stage,
            first_contact=row.first_contact,
            submitted=local(row.submitted_at),
            decided=local(row.decided_at),
            decided_at=row.decided_at,
            due_at=row.decision_due_at,
            is_imported=row.external_id is not None,
            waited=waited(row.id, row.policy_id),
            won=local(row.won_at),
            lost=local(row.lost_at),
            amount_minor=row.won_amount_minor,
            currency=row.won_currency,
            loss_reason=row.loss_reason,
            expected_minor=row.amount_minor,
            expected_currency=row.currency,
            customer_id=row.customer_id,
            customer_key=name_key(row.customer_name),
            kind=row.deal_type or None,
            sourced=contacts.sourced(
                local(row.decided_at),
                row.external_id is None and row.customer_id is not None,
                known.get(row.customer_id),
            ),
            left=local(row.left_at),
        )
        for row in plain_rows(session, select(*columns).where(REGISTERED))
    ]


def lead_facts(session: Session, deals: Iterable[DealFacts], zone: ZoneInfo) -> list[LeadFacts]:
    """The leads that sales has accepted or of which some of these deals came."""
    approved = {deal.id: deal.qualified for deal in deals}
    query = select(Deal.lead_id, Deal.id).where(REGISTERED, Deal.lead_id.is_not(None))
    # What was won comes first, the earliest of it; then what was submitted first.
    is_won = case((Deal.stage == Stage.won, 0), else_=1)
    of_lead: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for lead_id, deal_id in session.execute(
        query.order_by(is_won, Deal.won_at, Deal.submitted_at, Deal.id)
    ):
        if lead_id is not None:
            of_lead[lead_id].append(deal_id)
    found = []
    for lead in leads_area.facts(session, zone):
        theirs = of_lead.get(lead.id, [])
        if lead.sql is None and not theirs:
            continue
        days = (day for key in theirs if (day := approved.get(key)) is not None)
        found.append(
            LeadFacts(
                id=lead.id,
                partner_id=lead.partner_id,
                family_id=lead.family_id,
                created=lead.created,
                qualified=lead.sql or min(days, default=None),
                deal_id=next(iter(theirs), None),
                by_vendor=lead.source in (Source.hand, Source.file),
                deal_ids=frozenset(theirs),
            )
        )
    return found


def declared(session: Session) -> dict[uuid.UUID, Declared]:
    """What partners said of their deals, of those of which they said anything."""
    helped = set(session.scalars(select(Helped.deal_id).distinct()))
    query = select(Deal.id, Deal.pursued_anyway).where(REGISTERED)
    said = query.where((Deal.pursued_anyway != "") | Deal.id.in_(select(Helped.deal_id)))
    return {row[0]: Declared(row[0] in helped, row[1]) for row in session.execute(said)}


def named(session: Session, keys: Iterable[uuid.UUID]) -> list[Deal]:
    """Some deals with their partners and product families."""
    found: list[Deal] = []
    for some in in_parts(list(keys)):
        query = select(Deal).where(Deal.id.in_(some))
        found += session.scalars(
            query.options(joinedload(Deal.partner), joinedload(Deal.product_family))
        )
    return found


class Declared(NamedTuple):
    """What a partner said of a deal: whether content helped, and whether they would have pursued it
    without the portal (yes, no, unsure, or nothing)."""

    helped: bool
    pursued_anyway: str


class Abandoned(NamedTuple):
    """Whose draft was left alone, and for which product family, as far as it says."""

    partner_id: uuid.UUID
    family_id: uuid.UUID | None


def abandoned(session: Session, since: datetime, until: datetime) -> list[Abandoned]:
    """Drafts begun in [since, until) that never became a registration and were not touched for 14
    days."""
    now = clock.now()
    touched = (
        select(DealHistory.deal_id, func.max(DealHistory.at).label("at"))
        .group_by(DealHistory.deal_id)
        .subquery()
    )
    query = (
        select(Deal.partner_id, Deal.product_family_id)
        .outerjoin(touched, touched.c.deal_id == Deal.id)
        .where(
            Deal.status == Status.draft,
            Deal.created_at >= since,
            Deal.created_at < until,
            func.coalesce(touched.c.at, Deal.created_at) < now - ABANDONED,
        )
    )
    return [Abandoned._make(row) for row in session.execute(query)]


def _waits(session: Session, end: datetime) -> dict[uuid.UUID, list[tuple[datetime, datetime]]]:
    """The spells in which each registration waited for the vendor, up to `end`."""
    into = DealHistory.to_status.in_(UNDECIDED)
    out_of = DealHistory.from_status.in_(UNDECIDED)
    query = select(DealHistory.deal_id, DealHistory.at, DealHistory.to_status).where(
        into | out_of, DealHistory.at < end, DealHistory.move != BY_IMPORT
    )
    moves: dict[uuid.UUID, list[tuple[datetime, bool]]] = defaultdict(list)
    for deal_id, at, to_status in plain_rows(
        session, query.order_by(DealHistory.at, DealHistory.id)
    ):
        moves[deal_id].append((at, to_status in UNDECIDED))
    return {deal_id: spells(some, end) for deal_id, some in moves.items()}


def results(session: Session, since: date, until: date, zone: ZoneInfo) -> Results:
    """What became of deals and leads in the days `[since, until)`, as known today."""
    known = facts(session, until, zone)
    leads = lead_facts(session, known, zone)
    deals = with_history(with_leads(known, leads))
    return Results(since, until, deals, leads, today=clock.local_day(clock.now(), zone))


def moves_by_partner(session: Session, since: datetime, until: datetime) -> dict[uuid.UUID, int]:
    """How many steps of its registrations each partner's people took in [since, until); filling in
    a form is none."""
    query = select(Deal.partner_id, func.count()).join(DealHistory, DealHistory.deal_id == Deal.id)
    query = query.where(
        REGISTERED,
        DealHistory.at >= since,
        DealHistory.at < until,
        DealHistory.side == Side.partner,
        DealHistory.move != "edit",
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(Deal.partner_id))}


def partners_of_families(session: Session) -> dict[uuid.UUID, set[uuid.UUID]]:
    """The partners that registered a deal of each product family."""
    query = (
        select(Deal.product_family_id, Deal.partner_id)
        .where(Deal.submitted_at.is_not(None), Deal.product_family_id.is_not(None))
        .distinct()
    )
    found: dict[uuid.UUID, set[uuid.UUID]] = {}
    for family_id, partner_id in session.execute(query):
        assert family_id is not None
        found.setdefault(family_id, set()).add(partner_id)
    return found


def needs_decision(session: Session, limit: int) -> list[Deal]:
    """Registrations that wait for the vendor, by time left; reported wins after them."""
    waiting = (
        select(Deal)
        .where(Deal.status.in_(UNDECIDED))
        .order_by(Deal.decision_due_at, Deal.id)
        .options(
            joinedload(Deal.partner),
            joinedload(Deal.product_family),
            joinedload(Deal.first_approved_by),
        )
        .limit(limit)
    )
    return list(session.scalars(waiting))


def wins_to_confirm(session: Session, limit: int) -> list[Deal]:
    """Deals that partners report as won."""
    query = (
        select(Deal)
        .where(Deal.status == Status.approved, Deal.stage == Stage.won)
        .order_by(Deal.won_at, Deal.id)
        .options(joinedload(Deal.partner), joinedload(Deal.product_family))
        .limit(limit)
    )
    return list(session.scalars(query))


_OPEN = (Status.draft, Status.submitted, Status.in_review, Status.returned, Status.approved)


def open_of_partner(session: Session, partner_id: uuid.UUID, limit: int) -> list[Deal]:
    """A partner's deals that are not over: those that need the partner first, then the newest."""
    query = (
        select(Deal)
        .where(Deal.partner_id == partner_id, Deal.status.in_(_OPEN))
        .options(joinedload(Deal.seen_by), joinedload(Deal.product_family))
    )
    rows = sorted(session.scalars(query), key=lambda deal: deal.created_at, reverse=True)
    return sorted(rows, key=lambda deal: deal.status != Status.returned)[:limit]


def protection_of(session: Session, deal_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Protection]:
    """The protections of some deals."""
    found: dict[uuid.UUID, Protection] = {}
    for some in in_parts(list(deal_ids)):
        rows = session.scalars(select(Protection).where(Protection.deal_id.in_(some)))
        found.update((row.deal_id, row) for row in rows)
    return found


def submitted_by(session: Session, user_id: uuid.UUID) -> list[Deal]:
    """What one person registered, drafts included."""
    return list(session.scalars(select(Deal).where(Deal.submitted_by_id == user_id)))


def customer_names(session: Session) -> list[tuple[uuid.UUID, str]]:
    """For whom partners have registrations, drafts included."""
    query = select(Deal.partner_id, Deal.customer_name).distinct()
    return [(row[0], row[1]) for row in session.execute(query)]
