"""What happened with a deal, in one line of time: moves, comments and files. Internal notes are in
another table: they never come into it, and are read here for whoever wrote them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import mail
from portal.accounts.models import User
from portal.db import write
from portal.deals import audience, deciding, notices, service
from portal.deals.files import of_deal
from portal.deals.forms import TYPE_NAMES
from portal.deals.models import Deal, DealComment, DealHistory, InternalNote
from portal.deals.wording import MOVE_NAMES
from portal.errors import Refused

LONGEST = 4000
# The same words of the same person within this time are said once.
AGAIN = timedelta(minutes=5)


@dataclass(frozen=True)
class Entry:
    """One line: who did what, and the words that came with it. `reason_code` is the vendor's."""

    at: datetime
    who: str
    what: str
    words: tuple[str, ...] = ()
    is_comment: bool = False
    reason_code: str | None = None


def of(session: Session, user: User, deal: Deal, history: Sequence[DealHistory]) -> list[Entry]:
    """Everything both sides may read of a deal, the latest first; `history` are the moves that this
    person may see."""
    entries = [_moved(row, user) for row in history]
    entries += [
        Entry(row.at, row.author.name, _("wrote"), (row.text,), is_comment=True)
        for row in comments(session, deal.id)
    ]
    entries += [
        Entry(row.at, row.by.name, _("attached %(name)s", name=row.filename))
        for row in of_deal(session, deal.id)
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def _moved(row: DealHistory, user: User) -> Entry:
    words = (row.sentence, _note(row.note))
    return Entry(
        row.at,
        row.actor.name if row.actor else _("Import"),
        str(MOVE_NAMES.get(row.move, row.move)),
        tuple(text for text in words if text),
        reason_code=row.reason_code if user.is_vendor else None,
    )


def _note(note: str) -> str:
    """A note in words; that the kind of deal was corrected is kept by the kinds' keys."""
    if not note.startswith(deciding.KIND_CHANGED):
        return note
    claimed, _mark, approved = note.removeprefix(deciding.KIND_CHANGED).partition(">")
    return _(
        "Claimed as: %(claimed)s. Approved as: %(approved)s.",
        claimed=TYPE_NAMES.get(claimed, claimed),
        approved=TYPE_NAMES.get(approved, approved),
    )


def comments(session: Session, deal_id: uuid.UUID) -> list[DealComment]:
    """What both sides said to each other, oldest first."""
    query = select(DealComment).where(DealComment.deal_id == deal_id)
    query = query.options(joinedload(DealComment.author))
    return list(session.scalars(query.order_by(DealComment.at, DealComment.id)))


def written_by(session: Session, user_id: uuid.UUID) -> list[tuple[DealComment, str]]:
    """What one person has written about deals, each with its customer's name."""
    query = select(DealComment, Deal.customer_name).join(Deal, Deal.id == DealComment.deal_id)
    rows = session.execute(query.where(DealComment.author_id == user_id))
    return [(row[0], row[1]) for row in rows]


def moved_by(session: Session, user_id: uuid.UUID) -> list[tuple[DealHistory, str, str]]:
    """The moves of deals that one person made, each with its customer's name and in their words."""
    query = select(DealHistory, Deal.customer_name).join(Deal, Deal.id == DealHistory.deal_id)
    found = []
    for row, customer in session.execute(query.where(DealHistory.actor_id == user_id)):
        words = (str(MOVE_NAMES.get(row.move, row.move)), row.sentence, _note(row.note))
        found.append((row, customer, ": ".join(text for text in words if text)))
    return found


def noted_by(session: Session, user_id: uuid.UUID) -> list[tuple[InternalNote, str]]:
    """What one person of the vendor has noted about deals, for that person alone."""
    query = select(InternalNote, Deal.customer_name).join(Deal, Deal.id == InternalNote.deal_id)
    rows = session.execute(query.where(InternalNote.author_id == user_id))
    return [(row[0], row[1]) for row in rows]


def _said_already(
    session: Session, deal_id: uuid.UUID, user_id: uuid.UUID, text: str, now: datetime
) -> bool:
    """Whether this is a button that was pressed twice, or a page that was sent again."""
    query = select(DealComment.id).where(
        DealComment.deal_id == deal_id,
        DealComment.author_id == user_id,
        DealComment.text == text,
        DealComment.at > now - AGAIN,
    )
    return session.scalars(query).first() is not None


def comment(user_id: uuid.UUID, deal_id: uuid.UUID, text: str, now: datetime) -> None:
    """Say something to the other side: a partner hears of it at once, being asked; the vendor in
    its daily mail. Raises Refused for no words, or
    while the vendor does not know the deal yet."""
    text = text.strip()[:LONGEST]
    if not text:
        raise Refused(_("Write your comment first."))
    with write((Deal, deal_id)) as session:
        author = session.get_one(User, user_id)
        deal = service.get(session, author, deal_id)
        if not deal.is_registered:
            raise Refused(_("This was not submitted: the vendor does not see it."))
        if _said_already(session, deal_id, user_id, text, now):
            return
        row = DealComment(deal_id=deal_id, author_id=user_id, at=now, text=text)
        session.add(row)
        session.flush()
        if not author.is_vendor:
            people = audience.deciders(session, deal, now)
            notices.notify(session, people, "deal_comment", deal, now)
            return
        for key in audience.told(session, deal):
            params = {"deal": str(deal_id), "comment": str(row.id)}
            mail.queue(session, message="deal_comment", user_id=key, params=params)


@mail.prepares("deal_comment")
def prepare_comment(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: what somebody of the vendor wrote about a deal."""
    row = session.get_one(DealComment, uuid.UUID(params["comment"]))
    deal = session.get_one(Deal, row.deal_id)
    return {
        "deal": deal,
        "author": row.author.name,
        "text": row.text,
        "link": mail.absolute(f"/deals/{deal.id}"),
    }
