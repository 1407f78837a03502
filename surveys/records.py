"""What surveys keep about one person: for that person to read, and to erase."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from surveys.follow_ups import CLOSED, OPEN_STATES
from surveys.models import (
    Answer,
    FollowUp,
    Invitation,
    Response,
    SurveyLink,
    SurveyOptOut,
    Wave,
)


@dataclass(frozen=True)
class Kept:
    """One thing that is kept: `kind` is asked, answer or opt_out."""

    kind: str
    at: datetime
    what: str
    detail: str


def of_person(session: Session, user_id: uuid.UUID) -> list[Kept]:
    """Everything that surveys keep about a person. What they answered in an anonymous survey is not
    among it: the portal does not know which answer is theirs."""
    query = (
        select(Invitation)
        .where(Invitation.user_id == user_id)
        .options(
            joinedload(Invitation.wave).joinedload(Wave.survey),
            joinedload(Invitation.response).selectinload(Response.answers),
        )
    )
    found = []
    for row in session.scalars(query):
        survey, response = row.wave.survey.name, row.response
        found.append(Kept("asked", row.wave.opened_at, survey, _detail(row)))
        if response is not None:
            at = response.answered_at or row.wave.opened_at
            found.append(Kept("answer", at, survey, _in_words(response)))
    opt_out = session.get(SurveyOptOut, user_id)
    if opt_out is not None:
        found.append(Kept("opt_out", opt_out.at, _("No mail about surveys"), ""))
    return found


def _detail(row: Invitation) -> str:
    parts = [row.wave.mode]
    if row.reminders:
        parts.append(_("reminded"))
    if row.answered:
        parts.append(_("answered"))
    if row.declined_at:
        parts.append(_("declined"))
    return ", ".join(parts)


def _in_words(response: Response) -> str:
    given = ", ".join(
        f"{row.question} {row.value or row.missing or row.text or ' '.join(row.choices)}"
        for row in response.answers
    )
    return " ".join(part for part in (given, response.comment) if part)


def forget(session: Session, user_id: uuid.UUID, now: datetime) -> None:
    """A person is erased. The figures of their partner stay; what they wrote goes, and nothing says
    any more which answer was theirs, what their address was, or whom to call."""
    asked = select(Invitation.id).where(Invitation.user_id == user_id)
    keys = list(session.scalars(select(Response.id).where(Response.invitation_id.in_(asked))))
    told, open_ones = FollowUp.response_id.in_(keys), FollowUp.state.in_(OPEN_STATES)
    session.execute(update(FollowUp).where(told).values(note=""))
    session.execute(update(FollowUp).where(told, open_ones).values(state=CLOSED, closed_at=now))
    session.execute(update(Answer).where(Answer.response_id.in_(keys)).values(text=""))
    own = Response.id.in_(keys)
    session.execute(update(Response).where(own).values(comment="", invitation_id=None))
    session.execute(delete(SurveyLink).where(SurveyLink.invitation_id.in_(asked)))
    session.execute(update(Invitation).where(Invitation.user_id == user_id).values(mailbox=None))
    session.execute(delete(SurveyOptOut).where(SurveyOptOut.user_id == user_id))
