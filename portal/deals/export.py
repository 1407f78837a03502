"""Deals as a file that can be imported again: the columns are the fields of `import_rows`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.deals.import_rows import FIELDS
from portal.deals.models import REGISTERED, Deal
from portal.tables import Column, Table


def deals(session: Session, status: str = "") -> list[Deal]:
    """Every registration, or those of one status, the newest first."""
    query = select(Deal).options(joinedload(Deal.partner), joinedload(Deal.product_family))
    query = query.where(REGISTERED)
    if status:
        query = query.where(Deal.status == status)
    return list(session.scalars(query.order_by(Deal.created_at.desc(), Deal.id.desc())))


_DAYS = ("first_contact", "submitted", "decided", "closed")


def table(deals: Iterable[Deal], zone: ZoneInfo) -> Table:
    """The deals, each under its key elsewhere or its reference here."""
    columns = [Column(name, name, "day" if name in _DAYS else "text") for name in FIELDS]
    return Table("deals", "", columns, [_row(deal, zone) for deal in deals], "")


def _row(deal: Deal, zone: ZoneInfo) -> dict[str, Any]:
    def day(moment: datetime | None) -> Any:
        return moment and clock.local_day(moment, zone)

    is_won = deal.won_amount_minor is not None
    minor = deal.won_amount_minor if is_won else deal.amount_minor
    return {
        "external_id": deal.external_id or deal.reference,
        "partner": deal.partner.name,
        "customer": deal.customer_name,
        "domain": deal.domain,
        "country": deal.country,
        "product_family": deal.product_family.name if deal.product_family else "",
        "type": deal.deal_type,
        "status": deal.status,
        "stage": deal.stage or "",
        "first_contact": deal.first_contact,
        "submitted": day(deal.submitted_at),
        "decided": day(deal.decided_at),
        "closed": day(deal.won_at or deal.lost_at),
        "amount": "" if minor is None else f"{minor / 100:.2f}",
        "currency": (deal.won_currency if is_won else deal.currency) or "",
        "order_number": deal.order_number,
    }
