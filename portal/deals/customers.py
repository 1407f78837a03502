"""Customers as the vendor knows them: found again, made once, and two that are one merged."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content.models import ProductFamily
from portal.db import Base, hold, new_id
from portal.deals import checks, conflicts, pipeline, policy, teaming
from portal.deals.customer_models import CustomerMerge, KnownAccount
from portal.deals.keys import keys_of, name_key
from portal.deals.models import Customer, Deal, Protection
from portal.deals.pipeline import Status
from portal.errors import NotFound, Refused
from portal.formatting import day, sort_key

WHO_IS_WHO = checks.WHO_IS_WHO


def get(session: Session, customer_id: uuid.UUID) -> Customer:
    """The customer, also one that was merged into another. Raises NotFound."""
    found = session.get(Customer, customer_id)
    if found is None:
        raise NotFound(_("There is no such customer."))
    return found


# --- finding ------------------------------------------------------------------------------------


def _shares_a_key(model: Any, row: Any) -> Any:
    """The condition that another row has a key of this one."""
    tests = [model.company_key == row.company_key]
    for name in ("domain_key", "tax_key"):
        if getattr(row, name):
            tests.append(getattr(model, name) == getattr(row, name))
    return or_(*tests)


def like(session: Session, row: Any, limit: int = 8) -> list[Customer]:
    """Customers that a claim, a customer or a known account may mean, the surest first."""
    query = select(Customer).where(Customer.merged_into_id.is_(None), _shares_a_key(Customer, row))
    mine, ranked = keys_of(row), []
    for found in session.scalars(query.limit(200)):
        match = conflicts.compare(mine, keys_of(found))
        if match is not None and found is not row:
            rank = list(conflicts.Band).index(match.band)
            ranked.append((rank, sort_key(found.name, found.id), found))
    return [found for _rank, _name, found in sorted(ranked, key=lambda one: one[:2])[:limit]]


def accounts_like(session: Session, customer: Customer) -> list[KnownAccount]:
    """The vendor's known accounts that are this customer, by a key they share."""
    query = select(KnownAccount).options(joinedload(KnownAccount.product_family))
    rows = session.scalars(query.where(_shares_a_key(KnownAccount, customer)).limit(50))
    mine = keys_of(customer)
    found = [row for row in rows if conflicts.compare(mine, keys_of(row))]
    return sorted(found, key=lambda row: sort_key(row.name, row.id))


def search(session: Session, text: str) -> list[Customer]:
    """Customers whose name, domain or tax number holds `text`, by name."""
    query = select(Customer).where(Customer.merged_into_id.is_(None))
    words = conflicts.company_key(text) or text.strip().casefold()
    if text.strip():
        plain = text.strip().lower()
        query = query.where(
            or_(
                Customer.company_key.contains(words, autoescape=True),
                Customer.name_key.contains(name_key(text), autoescape=True),
                func.lower(Customer.domain).contains(plain, autoescape=True),
                Customer.tax_key.contains(conflicts.tax_key(text) or plain, autoescape=True),
            )
        )
    return sorted(session.scalars(query), key=lambda row: sort_key(row.name, row.id))


@dataclass(frozen=True)
class Standing:
    """How much there is of a customer: registrations that were submitted, reservations that run."""

    deals: int = 0
    running: int = 0


def standings(
    session: Session, customer_ids: Iterable[uuid.UUID], now: datetime
) -> dict[uuid.UUID, Standing]:
    """How much there is of some customers."""
    keys = list(customer_ids)
    deals = select(Deal.customer_id, func.count()).where(Deal.customer_id.in_(keys))
    running = select(Protection.customer_id, func.count()).where(
        Protection.customer_id.in_(keys), Protection.starts_at <= now, Protection.ends_at > now
    )
    n_deals = {row[0]: row[1] for row in session.execute(deals.group_by(Deal.customer_id))}
    grouped = running.group_by(Protection.customer_id)
    n_running = {row[0]: row[1] for row in session.execute(grouped)}
    return {key: Standing(n_deals.get(key, 0), n_running.get(key, 0)) for key in keys}


def deals_of(session: Session, customer_id: uuid.UUID) -> list[Deal]:
    """The registrations of a customer, the newest first."""
    query = select(Deal).options(joinedload(Deal.partner), joinedload(Deal.product_family))
    mine = query.where(Deal.customer_id == customer_id, Deal.status != Status.draft)
    return list(session.scalars(mine.order_by(Deal.created_at.desc(), Deal.id.desc())))


def protections_of(session: Session, *customer_ids: uuid.UUID) -> list[Protection]:
    """What is, was or will be reserved of some customers, the latest end first."""
    query = select(Protection).options(
        joinedload(Protection.deal).joinedload(Deal.partner),
        joinedload(Protection.deal).joinedload(Deal.product_family),
    )
    mine = query.where(Protection.customer_id.in_(customer_ids))
    return list(session.scalars(mine.order_by(Protection.ends_at.desc(), Protection.id)))


def merges_into(session: Session, customer_id: uuid.UUID) -> list[CustomerMerge]:
    """What became part of this customer, the newest first."""
    query = select(CustomerMerge).options(
        joinedload(CustomerMerge.merged), joinedload(CustomerMerge.by)
    )
    mine = query.where(CustomerMerge.survivor_id == customer_id)
    return list(session.scalars(mine.order_by(CustomerMerge.at.desc(), CustomerMerge.id)))


# --- for approving ------------------------------------------------------------------------------


def _of_name(session: Session, deal: Deal) -> Customer | None:
    """The customer of exactly this name and country; the survivor where it was merged."""
    same = select(Customer).where(
        Customer.name_key == name_key(deal.customer_name), Customer.country == deal.country
    )
    known = session.scalars(same.order_by(Customer.id)).first()
    if known is not None and known.merged_into_id is not None:
        return session.get(Customer, known.merged_into_id)
    return known


def locks(
    session: Session, deal: Deal, customer_id: uuid.UUID | None
) -> list[tuple[type[Base], Any]]:
    """The rows that approving decides on: the family, and the customer where there is one."""
    known = None if customer_id else _of_name(session, deal)
    key = customer_id or (known.id if known else None)
    customer: list[tuple[type[Base], Any]] = [(Customer, key)] if key else []
    return [(ProductFamily, deal.product_family_id), *customer]


def chosen(session: Session, deal: Deal, customer_id: uuid.UUID | None, now: datetime) -> Customer:
    """The customer that a reviewer chose; without one that of the claim's name, made when new.

    Of two who make it at the same moment the second finds that of the first.
    """
    hold(session, WHO_IS_WHO)
    if customer_id is None:
        return _of_name(session, deal) or _make(session, deal, now)
    found = session.get(Customer, customer_id, populate_existing=True)
    if found is None:
        raise Refused(_(pipeline.missing("customer")))
    if found.merged_into_id is not None:
        raise Refused(
            _("%(name)s was merged into another customer. Please choose again.", name=found.name)
        )
    return found


def _make(session: Session, deal: Deal, now: datetime) -> Customer:
    fresh = Customer(
        id=new_id(),
        name=deal.customer_name,
        name_key=name_key(deal.customer_name),
        domain=deal.domain,
        tax_id=deal.tax_id,
        country=deal.country,
        postcode=deal.postcode,
        created_at=now,
    )
    session.add(fresh)
    session.flush()
    return fresh


# --- merging ------------------------------------------------------------------------------------


def merge_locks(session: Session, *customer_ids: uuid.UUID) -> list[tuple[type[Base], Any]]:
    """The rows that merging decides on: customers, their deals, the families reserved."""
    deals = session.scalars(select(Deal.id).where(Deal.customer_id.in_(customer_ids)))
    families = session.scalars(
        select(Protection.product_family_id).where(Protection.customer_id.in_(customer_ids))
    )
    rows: list[tuple[type[Base], Any]] = [(Customer, key) for key in customer_ids]
    return [
        *rows,
        *((Deal, key) for key in deals),
        *((ProductFamily, key) for key in set(families)),
    ]


def merge(
    session: Session, survivor_id: uuid.UUID, merged_id: uuid.UUID, user: User, now: datetime
) -> CustomerMerge:
    """Let one customer become part of another, with all that is of it; recorded for good.

    Refused when both are reserved for one product family at the same time, now or later. Take
    `merge_locks` in `write(holding=WHO_IS_WHO)` before.
    """
    survivor, merged = get(session, survivor_id), get(session, merged_id)
    if survivor_id == merged_id:
        raise Refused(_("Choose two different customers."))
    for row in (survivor, merged):
        if row.merged_into_id is not None:
            raise Refused(_("%(name)s has been merged already.", name=row.name))
    if overlap := overlapping(session, survivor_id, merged_id, now):
        raise Refused(overlap)
    moved = [
        len(session.scalars(query).all())
        for query in (
            select(Deal.id).where(Deal.customer_id == merged_id),
            select(Protection.id).where(Protection.customer_id == merged_id),
        )
    ]
    for model in (Deal, Protection):
        session.execute(
            update(model).where(model.customer_id == merged_id).values(customer_id=survivor_id)
        )
    # Whoever was merged before points to who is left, without a detour.
    session.execute(
        update(Customer)
        .where((Customer.id == merged_id) | (Customer.merged_into_id == merged_id))
        .values(merged_into_id=survivor_id)
    )
    for name in ("domain", "tax_id", "postcode"):
        if not getattr(survivor, name):
            setattr(survivor, name, getattr(merged, name))
    record = CustomerMerge(
        id=new_id(),
        survivor_id=survivor_id,
        merged_id=merged_id,
        by_id=user.id,
        at=now,
        deals=moved[0],
        protections=moved[1],
    )
    session.add(record)
    session.flush()
    checks.customers_changed(session, [survivor_id, merged_id])
    return record


def overlapping(session: Session, one_id: uuid.UUID, other_id: uuid.UUID, now: datetime) -> str:
    """Which reservations of two customers would overlap if they were one; nothing when none.

    What has ended is past, whoever had it; who works together may overlap.
    """
    rows = [row for row in protections_of(session, one_id, other_id) if row.ends_at > now]
    mine = [row for row in rows if row.customer_id == one_id]
    theirs = [row for row in rows if row.customer_id == other_id]
    for first in mine:
        for second in theirs:
            overlaps = first.starts_at < second.ends_at and second.starts_at < first.ends_at
            if first.product_family_id != second.product_family_id or not overlaps:
                continue
            if second.deal_id not in teaming.partners_of(session, first.deal_id):
                return _both(first, second)
    return ""


def _both(first: Protection, second: Protection) -> str:
    local = zone()
    family = first.deal.product_family
    return _(
        "%(family)s is reserved for %(one)s until %(day)s (deal %(deal)s) and for %(other)s until "
        "%(other_day)s (deal %(other_deal)s). Nothing was merged: end one of the two first.",
        family=family.name if family else "–",
        one=first.deal.partner.name,
        day=day(policy.last_day(first.ends_at, local)),
        deal=first.deal.reference,
        other=second.deal.partner.name,
        other_day=day(policy.last_day(second.ends_at, local)),
        other_deal=second.deal.reference,
    )
