"""Protections as files for a calendar."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from flask import Response
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal import clock, mail
from portal.accounts.access import current_user, partners_only, signed_in
from portal.accounts.service import company, zone
from portal.db import db
from portal.deals import calendar, policy, service
from portal.deals.calendar import Event
from portal.deals.models import Deal, DealHistory, Protection
from portal.deals.pipeline import Status
from portal.deals.views import bp
from portal.deals.wording import customer_of
from portal.errors import NotFound


def _events(session: Session, now: datetime, *conditions: object) -> list[Event]:
    """The ends of protections that still run; a protection keeps its event when it is extended."""
    query = (
        select(Protection)
        .join(Deal, Protection.deal_id == Deal.id)
        .where(Protection.ends_at > now, Deal.status == Status.approved, *conditions)  # type: ignore[arg-type]
        .options(joinedload(Protection.deal).joinedload(Deal.product_family))
        .order_by(Protection.ends_at, Protection.id)
    )
    found = list(session.scalars(query))
    extended = _extensions(session, [row.deal_id for row in found])
    return [_event(row, extended.get(row.deal_id, 0)) for row in found]


def _extensions(session: Session, deal_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    query = select(DealHistory.deal_id, func.count()).where(
        DealHistory.deal_id.in_(deal_ids), DealHistory.move == "extend"
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(DealHistory.deal_id))}


def _event(row: Protection, revision: int) -> Event:
    deal = row.deal
    family = deal.product_family.name if deal.product_family else ""
    link = mail.absolute(f"/deals/{deal.id}")
    return Event(
        uid=f"protection-{row.id}@{urlsplit(link).hostname}",
        day=policy.last_day(row.ends_at, zone()),
        title=_("Reservation ends: %(customer)s", customer=customer_of(deal)),
        text=_(
            "Last day on which %(customer)s is reserved for you for %(family)s (%(reference)s).",
            customer=customer_of(deal),
            family=family,
            reference=deal.reference,
        ),
        link=link,
        revision=revision,
    )


def _file(events: list[Event], name: str, now: datetime) -> Response:
    answer = Response(calendar.file_of(events, company(), now), mimetype="text/calendar")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.ics"'
    return answer


@bp.get("/deals/protections.ics")
@partners_only
def protections_ics() -> Response:
    """The ends of all protections of one's own partner."""
    now, partner_id = clock.now(), current_user().partner_id
    return _file(_events(db.session(), now, Deal.partner_id == partner_id), "reservations", now)


@bp.get("/deals/<uuid:deal_id>/protection.ics")
@signed_in
def protection_ics(deal_id: uuid.UUID) -> Response:
    """The end of one deal's protection."""
    now, deal = clock.now(), service.get(db.session(), current_user(), deal_id)
    events = _events(db.session(), now, Protection.deal_id == deal.id)
    if not events:
        raise NotFound(_("No reservation runs for this deal."))
    return _file(events, f"reservation-{deal.reference}", now)
