"""Saving an answer: once per recipient, replaceable until the wave closes, never afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from portal.db import new_id
from portal.errors import Gone
from portal.security import token_hash
from surveys import follow_ups
from surveys.answering import COMMENT, Asked, FilledIn, Given
from surveys.invitations import COMPLETE, PARTIAL, refuse_late
from surveys.models import Answer, Invitation, Mode, Response, Wave


def key_of(token: str) -> str:
    """What finds an anonymous answer until its wave closes: a hash of the mailed token that is not
    the one by which its link is known."""
    return token_hash(f"answer:{token}")


def find(session: Session, invitation: Invitation, answer_key: str) -> Response | None:
    """What was answered so far. Raises Gone when an anonymous answer came from another mail, from
    which alone it can be found."""
    query = select(Response).options(selectinload(Response.answers))
    if invitation.wave.mode != Mode.anonymous:
        own = Response.invitation_id == invitation.id
        return session.scalars(query.where(own)).one_or_none()
    found = None
    if answer_key:
        found = session.scalars(query.where(Response.answer_key == answer_key)).one_or_none()
    if found is None and invitation.answered is not None:
        raise Gone(
            _(
                "You have answered already, and the portal does not know which answer is yours. "
                "To change it, use the mail from which you answered."
            )
        )
    return found


def given_by(response: Response | None) -> dict[str, Given]:
    """The answers of a response by question."""
    rows = response.answers if response else []
    return {
        row.question: Given(row.value, tuple(row.choices), row.text, row.missing) for row in rows
    }


def save(
    session: Session,
    invitation_id: uuid.UUID,
    answer_key: str,
    submission_id: str,
    questions: Sequence[Asked],
    filled_in: FilledIn,
    now: datetime,
) -> Response | None:
    """Keep what was filled in, complete or not. The same submission again changes nothing once it
    was complete; a later one replaces what it answers. Nothing at all is no answer.

    Lock the invitation in `write()` before. Raises Gone when the wave has closed.
    """
    invitation = session.get_one(Invitation, invitation_id)
    # Whoever closes the wave waits for those who are answering.
    session.get(Wave, invitation.wave_id, with_for_update={"read": True}, populate_existing=True)
    refuse_late(invitation, now)
    response = find(session, invitation, answer_key)
    known = given_by(response)
    if response and response.complete and response.submission_id == submission_id:
        return response
    if response is None:
        if not any(filled_in.kept().values()) and not filled_in.comment:
            return None
        response = _begin(session, invitation, answer_key)
    response.submission_id = submission_id
    if COMMENT not in filled_in.problems:
        response.comment = filled_in.comment
    if invitation.wave.mode != Mode.anonymous:
        response.answered_at = now
    _write(response, filled_in.kept())
    response.complete = not filled_in.missing(questions, known)
    invitation.answered = COMPLETE if response.complete else PARTIAL
    invitation.declined_at = None
    session.flush()
    follow_ups.consider(session, response, now)
    return response


def _begin(session: Session, invitation: Invitation, answer_key: str) -> Response:
    unnamed = invitation.wave.mode == Mode.anonymous
    response = Response(
        # A key that tells the time of its making would tell when somebody answered.
        id=uuid.uuid4() if unnamed else new_id(),
        invitation_id=None if unnamed else invitation.id,
        answer_key=answer_key if unnamed else None,
        wave_id=invitation.wave_id,
        partner_id=invitation.partner_id,
        locale=invitation.locale,
    )
    session.add(response)
    return response


def _write(response: Response, given: Mapping[str, Given]) -> None:
    rows = {row.question: row for row in response.answers}
    for question, answer in given.items():
        row = rows.get(question)
        if not answer:
            if row is not None:
                response.answers.remove(row)
            continue
        if row is None:
            row = Answer(question=question)
            response.answers.append(row)
        row.value, row.choices = answer.value, list(answer.choices)
        row.text, row.missing = answer.text, answer.missing


def new_submission() -> str:
    """An id for one filled-in form, so that sending it twice is one answer."""
    return uuid.uuid4().hex
