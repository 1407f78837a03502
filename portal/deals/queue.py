"""The vendor's queue: what waits for a decision, by business time left, and what is known of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts import absences
from portal.accounts.absences import StandIns
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.deals import policy, service
from portal.deals.evidence import Evidence, evidence
from portal.deals.models import Deal
from portal.deals.pipeline import UNDECIDED
from portal.errors import NotFound, Refused

MINE, UNASSIGNED, ALL = "mine", "unassigned", "all"
LONGEST = timedelta(days=3650)


@dataclass(frozen=True)
class Item:
    """One registration in the queue: `left` is business time, less than nothing when it is late;
    `acting` looks after it now, instead of its assignee if they are away."""

    deal: Deal
    left: timedelta | None
    acting: User | None
    evidence: Evidence

    @property
    def is_late(self) -> bool:
        """Whether it was promised for earlier."""
        return self.left is not None and self.left < timedelta()


@dataclass(frozen=True)
class Queue:
    """All that waits, by time left, and how it is divided."""

    waiting: list[tuple[Deal, timedelta | None]]
    people: dict[uuid.UUID, User]
    stand_ins: StandIns
    reader: User

    def of(self, whose: str) -> list[tuple[Deal, timedelta | None]]:
        """The part that is the reader's, or nobody's, or all of it."""
        return [row for row in self.waiting if whose == ALL or self._whose(row[0]) == whose]

    def _whose(self, deal: Deal) -> str:
        acting = self.acting_for(deal)
        if acting is None:
            return UNASSIGNED
        return MINE if acting.id == self.reader.id else ""

    def acting_for(self, deal: Deal) -> User | None:
        """Who looks after it now; None when nobody does."""
        key = self.stand_ins.acting_for(deal.assignee_id)
        return self.people.get(key) if key else None


def load(session: Session, reader: User, now: datetime) -> Queue:
    """Everything that waits for a decision, the least business time left first."""
    query = (
        select(Deal)
        .where(Deal.status.in_(UNDECIDED))
        .options(
            joinedload(Deal.partner),
            joinedload(Deal.product_family),
            joinedload(Deal.policy),
            joinedload(Deal.assignee),
            joinedload(Deal.first_approved_by),
        )
    )
    rows = [(deal, time_left(deal, now)) for deal in session.scalars(query)]
    rows.sort(key=lambda row: (LONGEST if row[1] is None else row[1], row[0].id))
    people = {person.id: person for person in absences.vendor_people(session)}
    today = clock.local_day(now, zone())
    return Queue(rows, people, absences.stand_ins(session, today), reader)


def time_left(deal: Deal, now: datetime) -> timedelta | None:
    """The business time left to decide; None where nothing was promised."""
    if deal.decision_due_at is None or deal.policy is None:
        return None
    return policy.time_left(now, deal.decision_due_at, deal.policy.terms.calendar, zone())


def items(
    session: Session, queue: Queue, rows: Sequence[tuple[Deal, timedelta | None]]
) -> list[Item]:
    """Some of the queue, with what is known of each."""
    known = evidence(session, [deal for deal, _left in rows])
    return [Item(deal, left, queue.acting_for(deal), known[deal.id]) for deal, left in rows]


# --- assigning ------------------------------------------------------------------------------------


def assign(
    session: Session,
    actor: User,
    deal_ids: Sequence[uuid.UUID],
    assignee_id: uuid.UUID | None,
    now: datetime,
) -> int:
    """Let one person look after several deals, or nobody; returns how many. Lock the deals before:
    all of them are assigned or none is."""
    if not deal_ids:
        raise Refused(_("Tick the registrations first."))
    assignee = session.get(User, assignee_id) if assignee_id else None
    there = assignee is not None and assignee.is_vendor and assignee.deactivated_at is None
    if assignee_id is not None and not there:
        raise NotFound(_("There is no such person."))
    for key in deal_ids:
        service.assign(session, service.get(session, actor, key), actor, assignee, now)
    return len(deal_ids)
