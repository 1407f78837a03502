"""How the reservation of a customer goes on and ends: extended, revoked, never overlapping."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.deals import audience, notices, policy, record, teaming
from portal.deals.models import Deal, Protection
from portal.deals.record import Given
from portal.errors import Refused
from portal.formatting import day


def refuse_overlap(session: Session, deal: Deal, since: datetime, until: datetime) -> None:
    """Raise Refused when another deal has this customer reserved for this family in that time,
    and nobody recorded that the two work together."""
    taken = select(Protection.deal_id).where(
        Protection.customer_id == deal.customer_id,
        Protection.product_family_id == deal.product_family_id,
        Protection.deal_id != deal.id,
        Protection.starts_at < until,
        Protection.ends_at > since,
    )
    if set(session.scalars(taken)) - teaming.partners_of(session, deal.id):
        raise Refused(_("This customer is already reserved for this product family."))


def extension_asked(
    session: Session, deal: Deal, _user: User, now: datetime, _given: Given
) -> None:
    """The partner asks for more time."""
    deal.extension_asked_at = now
    notices.notify(session, audience.deciders(session, deal, now), "extension_asked", deal, now)


def extended(session: Session, deal: Deal, _user: User, now: datetime, _given: Given) -> Given:
    """The reservation goes on; the history says until when."""
    assert deal.policy is not None
    running = select(Protection).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    protection = session.scalars(running).one()
    local = zone()
    before = policy.last_day(protection.ends_at, local)
    days = before + timedelta(days=deal.policy.extension_days + 1)
    ends = clock.day_start(days, local)
    refuse_overlap(session, deal, protection.ends_at, ends)
    protection.ends_at = ends
    deal.extension_asked_at = None
    notices.notify(session, audience.told(session, deal), "extension_decided", deal, now)
    return Given(note=_("until %(day)s", day=day(policy.last_day(ends, local))))


def extension_refused(
    session: Session, deal: Deal, _user: User, now: datetime, _given: Given
) -> None:
    """The reservation ends as it would have."""
    deal.extension_asked_at = None
    notices.notify(session, audience.told(session, deal), "extension_decided", deal, now)


def revocation_proposed(
    session: Session, deal: Deal, user: User, now: datetime, _given: Given
) -> None:
    """The first of the two people who revoke; the vendor's other people are told."""
    deal.revocation_by_id = user.id
    others = audience.second_people(session, deal, user.id, now)
    notices.notify(session, others, "revocation_proposed", deal, now)


def revocation_dropped(
    _session: Session, deal: Deal, _user: User, _now: datetime, _given: Given
) -> None:
    """Nobody proposes to revoke any more."""
    deal.revocation_by_id = None


def revoked(session: Session, deal: Deal, _user: User, now: datetime, _given: Given) -> Given:
    """The partner reads the sentence of whoever proposed it."""
    proposed = [row for row in record.history(session, deal.id) if row.move == "propose_revocation"]
    end_protection(session, deal, now)
    deal.revocation_by_id = deal.extension_asked_at = None
    record.tell(session, deal, "deal_revoked")
    return Given(sentence=proposed[-1].sentence)


def end_protection(session: Session, deal: Deal, now: datetime) -> None:
    """The customer is free from now on."""
    running = select(Protection).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    for protection in session.scalars(running):
        protection.ends_at = max(now, protection.starts_at)
