"""The next contract with a customer, from the one that ends."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.deals import policy_versions, service
from portal.deals.models import Deal
from portal.deals.pipeline import Stage, Status
from portal.errors import NotFound


def can_renew(deal: Deal) -> bool:
    """Whether a deal has a contract that can be renewed."""
    is_won = deal.status == Status.closed and deal.stage == Stage.won
    return is_won and deal.contract_ends is not None


def is_near(session: Session, deal: Deal, now: datetime) -> bool:
    """Whether its contract ends so soon that the rules propose to renew it."""
    if not can_renew(deal) or deal.contract_ends is None:
        return False
    rules = deal.policy or policy_versions.current_policy(session, now)
    today = clock.local_day(now, zone())
    return deal.contract_ends - timedelta(days=rules.renewal_days) <= today


def claim(session: Session, user: User, deal_id: uuid.UUID, today: date) -> dict[str, Any]:
    """What the form of a renewal is filled with, from a won deal of the person's own partner."""
    deal = service.get(session, user, deal_id)
    if not can_renew(deal):
        raise NotFound(_("There is no contract to renew."))
    minor = deal.won_amount_minor
    return {
        "customer_name": deal.customer_name,
        "domain": deal.domain,
        "country": deal.country,
        "postcode": deal.postcode,
        "contact": deal.contact,
        "product_family": str(deal.product_family_id or ""),
        "deal_type": "renewal",
        "amount": "" if minor is None else f"{minor / 100:.2f}",
        "currency": deal.won_currency or deal.currency,
        "expected_close": deal.contract_ends,
        "first_contact": today,
    }
