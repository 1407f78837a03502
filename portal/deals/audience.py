"""Who hears of a deal, and who may see it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import absences
from portal.accounts import service as accounts
from portal.accounts.models import Role, User
from portal.accounts.service import zone
from portal.deals.models import Deal
from portal.deals.policy import Escalation


def default_assignee(deal: Deal) -> uuid.UUID | None:
    """The partner's channel manager, who need not be there today but must have access."""
    manager = deal.partner.channel_manager
    return manager.id if manager is not None and manager.deactivated_at is None else None


def deciders(session: Session, deal: Deal, now: datetime) -> list[uuid.UUID]:
    """Who of the vendor looks after a deal now: whom it is assigned to or their deputy; else the
    channel managers who are there; else the administrators."""
    there = absences.stand_ins(session, clock.local_day(now, zone()))
    return there.looking_after(deal.assignee_id)


def second_people(session: Session, deal: Deal, first: uuid.UUID, now: datetime) -> list[uuid.UUID]:
    """Who of the vendor is asked to be the second of two people, after `first`: whoever else looks
    after the deal; where nobody else does, every other manager who is there."""
    if others := [key for key in deciders(session, deal, now) if key != first]:
        return others
    there = absences.stand_ins(session, clock.local_day(now, zone()))
    found = {there.acting_for(person.id) for person in absences.vendor_people(session)}
    return sorted(key for key in found if key is not None and key != first)


def escalated_to(session: Session, escalation: Escalation, told: Iterable[uuid.UUID]) -> list[User]:
    """Who else hears that a decision is late."""
    roles = {
        Escalation.nobody: (),
        Escalation.managers: (Role.channel_manager,),
        Escalation.admins: (Role.admin,),
        Escalation.everyone: (Role.channel_manager, Role.admin),
    }[escalation]
    known = set(told)
    people = absences.vendor_people(session)
    return [person for person in people if person.role in roles and person.id not in known]


def told(session: Session, deal: Deal) -> list[uuid.UUID]:
    """Who of the partner hears of a deal: who registered it; of an imported one, and when they have
    left, the admins."""
    author = session.get(User, deal.submitted_by_id) if deal.submitted_by_id else None
    if author is not None and author.deactivated_at is None:
        return [author.id]
    people = accounts.people_of(session, deal.partner_id)
    return sorted(person.id for person in people if person.role == Role.partner_admin)
