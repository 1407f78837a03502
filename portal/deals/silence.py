"""Deals of which nothing was heard for as long as the rules say."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from portal.db import in_parts
from portal.deals import service
from portal.deals.models import Deal, DealComment, DealHistory, Policy
from portal.deals.pipeline import OPEN_STAGES, Status

IS_OPEN = (Deal.status == Status.approved) & Deal.stage.in_(OPEN_STAGES)


def last_news(session: Session, deal_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """When something was last done or said about some deals."""
    found: dict[uuid.UUID, datetime] = {}
    for part in in_parts(list(deal_ids)):
        query = select(DealHistory.deal_id, func.max(DealHistory.at)).where(
            # What partners are not told is no news to them, not even by its day.
            DealHistory.deal_id.in_(part),
            DealHistory.move.not_in(service.UNSEEN_BY_PARTNERS),
        )
        for deal_id, at in session.execute(query.group_by(DealHistory.deal_id)):
            found[deal_id] = at
        said = select(DealComment.deal_id, func.max(DealComment.at))
        said = said.where(DealComment.deal_id.in_(part)).group_by(DealComment.deal_id)
        for deal_id, at in session.execute(said):
            found[deal_id] = max(found.get(deal_id, at), at)
    return found


def silent(
    session: Session, now: datetime, only: Collection[uuid.UUID] | None = None
) -> dict[uuid.UUID, datetime]:
    """The open deals, or those of some, of which nothing was heard for as long as the rules say;
    each with when that last was."""
    query = select(Deal.id, Policy.stale_days).join(Policy, Deal.policy_id == Policy.id)
    query = query.where(IS_OPEN).order_by(Deal.id)
    parts = [true()] if only is None else [Deal.id.in_(some) for some in in_parts(list(only))]
    patience: dict[uuid.UUID, timedelta] = {}
    for part in parts:
        for deal_id, days in session.execute(query.where(part)):
            patience[deal_id] = timedelta(days=days)
    news = last_news(session, patience)
    return {key: news[key] for key in patience if key in news and news[key] + patience[key] <= now}
