"""Saving an answer: once per recipient, replaceable until the wave closes, never afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.errors import Gone, PortalError
from portal.formatting import moment
from surveys.definitions import CORE, SCALE
from surveys.models import Answer, Invitation, Response


class BadAnswer(PortalError):
    """An answer that is not on the scale."""


def refuse_late(invitation: Invitation, now: datetime) -> None:
    """Raise Gone with the closing time when the wave is over, whether or not a job has run."""
    wave = invitation.wave
    if now >= wave.closes_at:
        closed = moment(wave.closes_at, ZoneInfo(wave.survey.timezone))
        raise Gone(_("This survey closed on %(time)s. Thank you for coming by.", time=closed))


def answer(
    session: Session,
    invitation: Invitation,
    submission_id: str,
    scores: Mapping[str, int],
    comment: str,
    now: datetime,
) -> Response:
    """Keep an answer. The same submission again changes nothing; a later one replaces it.

    Lock the invitation in `write()` before. Raises Gone when the wave has closed.
    """
    refuse_late(invitation, now)
    if set(scores) != set(CORE) or any(score not in SCALE for score in scores.values()):
        raise BadAnswer(_("Choose a number from 1 to 10 for both questions."))
    found = select(Response).where(Response.invitation_id == invitation.id)
    response = session.scalars(found).one_or_none()
    if response is not None and response.submission_id == submission_id:
        return response
    if response is None:
        response = Response(
            invitation_id=invitation.id,
            wave_id=invitation.wave_id,
            partner_id=invitation.partner_id,
            locale=invitation.locale,
        )
        session.add(response)
    response.submission_id, response.comment = submission_id[:40], comment.strip()
    response.answered_at, invitation.answered = now, "complete"
    session.flush()
    given = {row.question: row for row in response.answers}
    for question, score in scores.items():
        row = given.get(question)
        if row is None:
            response.answers.append(Answer(question=question, value=score))
        else:
            row.value, row.missing = score, None
    session.flush()
    return response


def new_submission() -> str:
    """An id for one filled-in form, so that sending it twice is one answer."""
    return uuid.uuid4().hex
