"""Partners who work together on one customer and product family, by agreement."""

from __future__ import annotations

import uuid
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.deals.customer_models import Teaming
from portal.deals.models import Deal
from portal.deals.pipeline import Status
from portal.errors import Refused


def _rows(session: Session, deal_id: uuid.UUID) -> list[Teaming]:
    mine = or_(Teaming.deal_id == deal_id, Teaming.other_deal_id == deal_id)
    return list(session.scalars(select(Teaming).where(mine).order_by(Teaming.at, Teaming.id)))


def partners_of(session: Session, deal_id: uuid.UUID) -> set[uuid.UUID]:
    """The deals whose partners work together with the partner of this one."""
    return {key for row in _rows(session, deal_id) for key in (row.deal_id, row.other_deal_id)} - {
        deal_id
    }


def of_deal(session: Session, deal_id: uuid.UUID) -> list[tuple[Teaming, Deal]]:
    """What was recorded for a deal, each with the other deal."""
    found = []
    for row in _rows(session, deal_id):
        other_id = row.other_deal_id if row.deal_id == deal_id else row.deal_id
        found.append((row, session.get_one(Deal, other_id)))
    return found


def record(
    session: Session, deal: Deal, other: Deal, user: User, sentence: str, now: datetime
) -> Teaming:
    """Write down that the partners of two deals work together. Raises Refused."""
    if other.partner_id == deal.partner_id:
        raise Refused(_("Both registrations are of the same partner."))
    if other.product_family_id != deal.product_family_id or other.status != Status.approved:
        raise Refused(
            _("Working together needs an approved deal of the same product family beside this one.")
        )
    if other.id in partners_of(session, deal.id):
        raise Refused(_("It is recorded already that these two work together."))
    row = Teaming(
        deal_id=deal.id, other_deal_id=other.id, by_id=user.id, at=now, sentence=sentence.strip()
    )
    session.add(row)
    session.flush()
    return row
