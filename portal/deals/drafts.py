"""Drafts that lose nothing: whoever fills in the form can close it, be signed out, type nonsense or
open it twice, and finds everything again.

A draft has the key that its form was given when it was first shown: sending the form twice makes
one deal. What cannot be read yet (an amount in words) is kept as it was typed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import kept
from portal.accounts.models import User
from portal.db import hold
from portal.deals import kinds, pipeline, service
from portal.deals.keys import name_key
from portal.deals.models import Deal
from portal.deals.pipeline import Stage, Status
from portal.errors import Refused

# What a person must say: the kind of deal is proposed when they do not.
NEEDED_FIRST = "customer_name"
ASKED = tuple(name for name in pipeline.CLAIM if name != "deal_type")


@dataclass(frozen=True)
class Claim:
    """What a form says: what could be read, and what was typed and could not."""

    values: Mapping[str, Any]
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing about the customer or the deal has been said yet."""
        said = (
            "customer_name",
            "domain",
            "postcode",
            "contact",
            "tax_id",
            "amount_minor",
            "expected_close",
        )
        return not self.typed and not any(self.values.get(name) for name in said)


def save(
    session: Session,
    user: User,
    deal_id: uuid.UUID,
    claim: Claim,
    now: datetime,
    version: int | None = None,
) -> Deal:
    """Keep a claim as the draft of this key, new or known. Lock the deal before.

    Raises NotFound for another partner's deal, Refused for one that is no draft any more, and
    Overwritten when it was written since `version`.
    """
    # Two requests with one new form have no row to wait at.
    hold(session, deal_id)
    if session.get(Deal, deal_id) is None:
        return _write(service.start(session, user, claim.values, now, deal_id), claim)
    deal = service.get(session, user, deal_id)
    if deal.status != Status.draft:
        raise Refused(_("This registration has been submitted already."))
    refuse_overwriting(deal, version)
    service.edit(session, deal, user, claim.values, now)
    return _write(deal, claim)


def _write(deal: Deal, claim: Claim) -> Deal:
    deal.typed = dict(claim.typed)
    deal.version += 1
    return deal


def refuse_overwriting(deal: Deal, version: int | None) -> None:
    """Raise Overwritten when the claim was written since `version` was shown."""
    kept.refuse_overwriting("" if version is None else str(version), str(deal.version))


def own_wins(session: Session, partner_id: uuid.UUID, name: str, domain: str) -> list[kinds.Win]:
    """What this partner won before from the customer of this name or domain."""
    columns = (
        Deal.customer_name,
        Deal.domain,
        Deal.product_family_id,
        Deal.won_amount_minor,
        Deal.won_currency,
        Deal.won_at,
    )
    query = select(*columns).where(
        Deal.partner_id == partner_id, Deal.stage == Stage.won, Deal.won_at.is_not(None)
    )
    key, domain = name_key(name), domain.strip().lower()
    return [
        kinds.Win(row.product_family_id, row.won_amount_minor, row.won_currency or "", row.won_at)
        for row in session.execute(query)
        if (key and name_key(row.customer_name) == key) or (domain and row.domain == domain)
    ]


def proposed_kind(session: Session, partner_id: uuid.UUID, values: Mapping[str, Any]) -> str:
    """The kind of deal that a claim is, as far as the partner's own wins say."""
    wins = own_wins(session, partner_id, values["customer_name"], values.get("domain") or "")
    return kinds.propose(
        values.get("product_family_id"), values.get("amount_minor"), values["currency"], wins
    )


def kind_by_all_orders(session: Session, deal: Deal, customer_id: uuid.UUID) -> str:
    """The kind of deal that a claim is by what all partners ever sold to a customer. For the vendor
    alone: it tells of other partners."""
    columns = Deal.product_family_id, Deal.won_amount_minor, Deal.won_currency, Deal.won_at
    query = select(*columns).where(
        Deal.customer_id == customer_id,
        Deal.stage == Stage.won,
        Deal.status == Status.closed,
        Deal.id != deal.id,
    )
    wins = [
        kinds.Win(family_id, minor, currency or "", at)
        for family_id, minor, currency, at in session.execute(query)
        if at is not None
    ]
    return kinds.propose(deal.product_family_id, deal.amount_minor, deal.currency, wins)


def with_kind(session: Session, deal: Deal, claim: Claim) -> dict[str, Any]:
    """What was claimed, of the proposed kind where the partner has chosen none."""
    kind = claim.values["deal_type"] or proposed_kind(session, deal.partner_id, claim.values)
    return {**claim.values, "deal_type": kind}


def submit(session: Session, deal: Deal, user: User, now: datetime) -> None:
    """Submit a draft, of the proposed kind where the partner has chosen none."""
    if not deal.deal_type:
        said = {name: getattr(deal, name) for name in service.CLAIM_FIELDS}
        deal.deal_type = proposed_kind(session, deal.partner_id, said)
    service.move(session, deal, user, "submit", now)
