"""What other areas ask of surveys: how waves went, who is not satisfied, what one person said."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Partner, User
from surveys import history
from surveys.history import Round
from surveys.models import Answer, Invitation, Mode, Response, Wave


def last_waves(session: Session, limit: int | None = 8) -> list[Round]:
    """The latest waves that were opened, oldest first."""
    return list(history.latest(session, limit))


@dataclass(frozen=True)
class LowScore:
    """Somebody is not satisfied."""

    wave_id: uuid.UUID
    partner: str
    person: str
    score: int
    comment: str


def low_scores(session: Session, since: datetime, at_most: int, limit: int) -> list[LowScore]:
    """Answers since a moment with a score of `at_most` or less, the lowest first. Only of waves
    that promised nobody anything else."""
    lowest = func.min(Answer.value)
    query = (
        select(Response.wave_id, Partner.name, User.name, lowest, Response.comment)
        .join(Answer, Answer.response_id == Response.id)
        .join(Invitation, Invitation.id == Response.invitation_id)
        .join(User, User.id == Invitation.user_id)
        .join(Partner, Partner.id == Response.partner_id)
        .join(Wave, Wave.id == Response.wave_id)
        .where(Response.answered_at >= since, Wave.mode == Mode.attributed)
        .group_by(Response.id, Response.wave_id, Partner.name, User.name, Response.comment)
        .having(lowest <= at_most)
        .order_by(lowest, Response.id)
        .limit(limit)
    )
    return [
        LowScore(wave_id, partner, person, score or 0, comment)
        for wave_id, partner, person, score, comment in session.execute(query)
    ]


def answers_by_partner(session: Session, since: datetime, until: datetime) -> dict[uuid.UUID, int]:
    """How many people of each partner answered in [since, until). Only of waves that name them: of
    the others nobody is to learn who did, not even of which partner."""
    query = select(Response.partner_id, func.count()).join(Wave, Wave.id == Response.wave_id)
    query = query.where(
        Response.answered_at >= since, Response.answered_at < until, Wave.mode == Mode.attributed
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(Response.partner_id))}


@dataclass(frozen=True)
class OwnAnswer:
    """What one person answered in a wave, for that person."""

    at: datetime
    survey: str
    scores: str


def answered_by(session: Session, user_id: uuid.UUID) -> list[OwnAnswer]:
    """What one person answered, as far as answers are tied to people."""
    query = (
        select(Response)
        .join(Invitation, Invitation.id == Response.invitation_id)
        .where(Invitation.user_id == user_id)
    )
    found = []
    for response in session.scalars(query):
        wave = response.wave
        scores = ", ".join(
            f"{answer.question} {answer.value or answer.missing}" for answer in response.answers
        )
        scores = " ".join(part for part in (scores, response.comment) if part)
        found.append(OwnAnswer(response.answered_at or wave.opened_at, wave.survey.name, scores))
    return found
