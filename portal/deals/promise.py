"""What a partner is told besides the day of the decision: how well the vendor keeps to such days,
and who may see the registration.

The figures are those of all partners together, of the twelve whole months before this one, summed
up once a month: a page never changes because somebody else's registration was decided, and a small
number never points at anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import absences
from portal.accounts.models import Role, User
from portal.accounts.service import zone
from portal.db import db, insert_once, write
from portal.deals import metrics
from portal.deals.models import KeptPromise
from portal.estimates import median

MONTHS = 12
# Fewer decisions, or of fewer partners, are not told.
MIN_DECISIONS, MIN_PARTNERS = 20, 5
# More names than this are counted instead.
MAX_NAMES = 4


@dataclass(frozen=True)
class Readers:
    """Who at the vendor may see a registration: some by name, and how many more."""

    names: list[str]
    more: int


@dataclass(frozen=True)
class Promise:
    """What the vendor achieved (None: not enough to tell), and who may see it."""

    kept: KeptPromise | None
    readers: Readers

    @property
    def median_hours(self) -> int:
        """Half of the decisions took so many business hours or fewer, begun hours counted."""
        minutes = self.kept.median_minutes if self.kept else None
        return max(1, -(-(minutes or 0) // 60))


def this_month(now: datetime) -> date:
    """The month that figures of the twelve before are told in."""
    return clock.local_day(now, zone()).replace(day=1)


def sum_up(now: datetime) -> int:
    """Job: sum up the twelve months before this one, once; returns of how many decisions."""
    local, month = zone(), this_month(now)
    done = db.session.get(KeptPromise, month)
    db.session.rollback()
    if done is not None:
        return 0
    found = metrics.results(db.session(), clock.add_months(month, -MONTHS), month, local)
    decisions = [deal for deal in found.decisions if not deal.is_imported]
    ours = replace(found, deals=[deal for deal in found.deals if not deal.is_imported])
    middle = median(ours.decision_hours)
    in_time = ours.decided_in_time
    db.session.rollback()
    values = {
        "month": month,
        "decisions": len(decisions),
        "partners": len({deal.partner_id for deal in decisions}),
        "in_time": in_time.part,
        "timed": in_time.whole,
        "median_minutes": None if middle is None else round(middle * 60),
    }
    with write() as session:
        session.execute(insert_once(session, KeptPromise), values)
    return len(decisions)


def kept(session: Session, now: datetime) -> KeptPromise | None:
    """What the vendor achieved, when that is enough to be told."""
    row = session.get(KeptPromise, this_month(now))
    if row is None or row.median_minutes is None:
        return None
    return row if row.timed >= MIN_DECISIONS and row.partners >= MIN_PARTNERS else None


def readers(session: Session, partner_manager: User | None) -> Readers:
    """Everyone at the vendor who has access, the partner's own channel manager first."""
    people = absences.vendor_people(session)
    first = partner_manager.id if partner_manager else None
    people.sort(key=lambda person: (person.id != first, person.role == Role.admin))
    names = [person.name for person in people[:MAX_NAMES]]
    return Readers(names, len(people) - len(names))


def for_partner(session: Session, user: User, now: datetime) -> Promise:
    """All of it, for the pages of one partner."""
    manager = user.partner.channel_manager if user.partner else None
    return Promise(kept(session, now), readers(session, manager))
