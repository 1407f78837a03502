"""What waits for the vendor besides registrations and wins: requests for more time, and proposals
to withdraw an approval, which need a second person."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from portal.deals.models import Deal
from portal.deals.pipeline import OPEN_STAGES, Status

_RUNS = Deal.status == Status.approved, Deal.stage.in_(OPEN_STAGES)


def for_more_time(session: Session, limit: int) -> list[Deal]:
    """Deals whose partner asks to extend the reservation, who asked first before the others."""
    return _found(
        session, Deal.extension_asked_at.is_not(None), Deal.extension_asked_at, limit=limit
    )


def to_withdraw(session: Session, limit: int) -> list[Deal]:
    """Approved deals of which somebody proposes to withdraw the approval; another has to do it."""
    return _found(session, Deal.revocation_by_id.is_not(None), Deal.decided_at, limit=limit)


def _found(
    session: Session,
    asked: ColumnElement[bool],
    first: InstrumentedAttribute[datetime | None],
    *,
    limit: int,
) -> list[Deal]:
    query = select(Deal).where(*_RUNS, asked).order_by(first, Deal.id).limit(limit)
    with_names = (
        joinedload(Deal.partner),
        joinedload(Deal.product_family),
        joinedload(Deal.revocation_by),
    )
    return list(session.scalars(query.options(*with_names)))
