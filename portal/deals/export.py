"""Deals as a file that can be imported again: the columns are the fields of `import_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.deals import policy
from portal.deals.import_rows import DAYS, FIELDS, LATER_DAYS
from portal.deals.metrics import protection_of
from portal.deals.models import REGISTERED, Deal, Protection
from portal.deals.pipeline import Stage, Status
from portal.deals.words import WON_REPORTED
from portal.tables import Column, Table


def deals(session: Session, status: str = "") -> list[Deal]:
    """Every registration, or those of one status, in the order in which they came."""
    query = select(Deal).options(
        joinedload(Deal.partner), joinedload(Deal.product_family), joinedload(Deal.customer)
    )
    query = query.where(REGISTERED)
    if status:
        query = query.where(Deal.status == status)
    return list(session.scalars(query.order_by(Deal.created_at, Deal.id)))


def table(session: Session, deals: Sequence[Deal], zone: ZoneInfo) -> Table:
    """The deals, each under its key elsewhere or its reference here, with what is reserved."""
    columns = [
        Column(name, name, "day" if name in (*DAYS, *LATER_DAYS) else "text") for name in FIELDS
    ]
    reserved = protection_of(session, [deal.id for deal in deals])
    rows = [_row(deal, reserved.get(deal.id), zone) for deal in deals]
    return Table("deals", "", columns, rows, "")


def _row(deal: Deal, reserved: Protection | None, zone: ZoneInfo) -> dict[str, Any]:
    def day(moment: datetime | None) -> Any:
        return moment and clock.local_day(moment, zone)

    is_reported = deal.status == Status.approved and deal.stage == Stage.won
    is_lost = deal.stage == Stage.lost
    return {
        "external_id": deal.external_id or deal.reference,
        "reference": deal.reference,
        "partner": deal.partner.name,
        "customer": deal.customer_name,
        "known_customer": deal.customer.name if deal.customer else "",
        "domain": deal.domain,
        "tax_id": deal.tax_id,
        "country": deal.country,
        "postcode": deal.postcode,
        "contact": deal.contact,
        "product_family": deal.product_family.name if deal.product_family else "",
        "type": deal.deal_type,
        "status": deal.status,
        # Not every order that is reported is confirmed.
        "stage": WON_REPORTED if is_reported else deal.stage or "",
        "first_contact": deal.first_contact,
        "submitted": day(deal.submitted_at),
        "decided": day(deal.decided_at),
        "closed": day(deal.won_at or deal.lost_at or deal.left_at),
        "expected_close": deal.expected_close,
        "amount": _amount(deal.amount_minor),
        "currency": deal.currency,
        "won_amount": _amount(deal.won_amount_minor),
        "won_currency": deal.won_currency or "",
        "order_number": deal.order_number,
        "contract_ends": deal.contract_ends,
        "loss_reason": (deal.loss_reason or "") if is_lost else "",
        "protected_from": _moment(reserved.starts_at, zone) if reserved else "",
        "protected_until": _until(reserved.ends_at, zone) if reserved else "",
    }


def _amount(minor: int | None) -> str:
    return "" if minor is None else f"{minor / 100:.2f}"


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat()


def _until(ends: datetime, zone: ZoneInfo) -> str:
    """The last day, as people say it; the moment where it ended within a day."""
    last = policy.last_day(ends, zone)
    is_whole = clock.day_start(last + timedelta(days=1), zone) == ends
    return last.isoformat() if is_whole else _moment(ends, zone)
