"""What the end of a deal does: won with its order, asked about, or lost."""

from __future__ import annotations

from datetime import datetime, time

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.deals import pipeline, protecting, reasons, record
from portal.deals.models import Deal
from portal.deals.record import Given
from portal.errors import Refused
from portal.formatting import day


def won(_session: Session, deal: Deal, user: User | None, now: datetime, given: Given) -> None:
    """The order as the partner reports it, or as the vendor confirms it."""
    assert given.won_on is not None
    if given.won_on > clock.local_day(now, zone()):
        raise Refused(_("The day of the order lies in the future."))
    if deal.first_contact is not None and given.won_on < deal.first_contact:
        raise Refused(
            _(
                "The day of the order lies before the first contact with the customer, %(day)s.",
                day=day(deal.first_contact),
            )
        )
    deal.won_amount_minor = given.won_amount
    deal.won_currency = given.won_currency or deal.currency
    deal.order_number = given.order_number.strip()[:60]
    # Noon, so that the day is the same for everyone who reads it.
    deal.won_at = clock.resolve_local(datetime.combine(given.won_on, time(12)), zone())
    deal.won_confirmed_by_id = user.id if user and user.is_vendor else None
    if given.contract_ends is not None and given.contract_ends <= given.won_on:
        raise Refused(_("A contract ends after the day of the order."))
    deal.contract_ends = given.contract_ends


def questioned(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    """The order is not confirmed: the partner reports it again."""
    deal.won_amount_minor = deal.won_currency = deal.won_at = deal.contract_ends = None
    deal.order_number = ""
    record.tell(session, deal, "deal_question")


def lost(session: Session, deal: Deal, _user: User, now: datetime, given: Given) -> None:
    """The deal is over for a coded reason, its customer free."""
    if given.loss_reason not in reasons.LOSS_LABELS:
        raise Refused(_(pipeline.missing("loss_reason")))
    if deal.first_contact is not None and clock.local_day(now, zone()) < deal.first_contact:
        raise Refused(
            _(
                "The first contact with the customer is still to come, on %(day)s.",
                day=day(deal.first_contact),
            )
        )
    deal.loss_reason, deal.lost_at = given.loss_reason, now
    protecting.end_protection(session, deal, now)
