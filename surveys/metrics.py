"""Satisfaction: the mean of partner means, and who has answered."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts.models import Partner, User
from portal.formatting import sort_key
from surveys.definitions import COMPANY, EXPERIENCE, SCALE
from surveys.models import OPEN, Answer, Invitation, Response, Survey, Wave


@dataclass(frozen=True)
class WaveSummary:
    """How one wave went; a mean is None while nobody has answered."""

    wave_id: uuid.UUID
    survey_id: uuid.UUID
    name: str
    opened_at: datetime
    closes_at: datetime
    company: float | None
    experience: float | None
    people_answered: int
    people_invited: int
    partners_answered: int
    partners_invited: int


def mean_of_partner_means(scores: Iterable[tuple[uuid.UUID, int]]) -> float | None:
    """Every partner counts the same, however many of its people answered (METRICS, metric 7)."""
    by_partner: dict[uuid.UUID, list[int]] = defaultdict(list)
    for partner_id, score in scores:
        by_partner[partner_id].append(score)
    return fmean(map(fmean, by_partner.values())) if by_partner else None


def last_waves(session: Session, limit: int | None = 8) -> list[WaveSummary]:
    """The latest waves that were opened, oldest first."""
    newest = (
        select(Wave, Survey.name)
        .join(Survey)
        .where(Wave.state == OPEN)
        .order_by(Wave.opened_at.desc(), Wave.id.desc())
        .limit(limit)
    )
    waves = [(wave, name) for wave, name in session.execute(newest)][::-1]
    return _summaries(session, waves)


def summary(session: Session, wave: Wave) -> WaveSummary:
    """How one wave went."""
    return _summaries(session, [(wave, wave.survey.name)])[0]


def _summaries(session: Session, waves: list[tuple[Wave, str]]) -> list[WaveSummary]:
    keys = [wave.id for wave, _name in waves]
    invited = _counts(session, Invitation, keys)
    answered = _counts(session, Response, keys)
    scores = _scores(session, keys)
    return [
        WaveSummary(
            wave_id=wave.id,
            survey_id=wave.survey_id,
            name=name,
            opened_at=wave.opened_at,
            closes_at=wave.closes_at,
            company=mean_of_partner_means(scores[wave.id, COMPANY]),
            experience=mean_of_partner_means(scores[wave.id, EXPERIENCE]),
            people_answered=answered[wave.id][0],
            people_invited=invited[wave.id][0],
            partners_answered=answered[wave.id][1],
            partners_invited=invited[wave.id][1],
        )
        for wave, name in waves
    ]


def _counts(
    session: Session, model: type[Invitation] | type[Response], wave_ids: list[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, int]]:
    query = (
        select(model.wave_id, func.count(), func.count(model.partner_id.distinct()))
        .where(model.wave_id.in_(wave_ids))
        .group_by(model.wave_id)
    )
    found = {row[0]: (row[1], row[2]) for row in session.execute(query)}
    return defaultdict(lambda: (0, 0), found)


def _scores(
    session: Session, wave_ids: list[uuid.UUID]
) -> dict[tuple[uuid.UUID, str], list[tuple[uuid.UUID, int]]]:
    query = (
        select(Response.wave_id, Answer.question, Response.partner_id, Answer.value)
        .join(Answer, Answer.response_id == Response.id)
        .where(Response.wave_id.in_(wave_ids))
    )
    found: dict[tuple[uuid.UUID, str], list[tuple[uuid.UUID, int]]] = defaultdict(list)
    for wave_id, question, partner_id, value in session.execute(query):
        if value is not None:
            found[wave_id, question].append((partner_id, value))
    return found


def distribution(session: Session, wave_id: uuid.UUID, question: str) -> dict[int, int]:
    """How many people chose each number of the scale."""
    query = (
        select(Answer.value, func.count())
        .join(Response, Response.id == Answer.response_id)
        .where(Response.wave_id == wave_id, Answer.question == question)
        .group_by(Answer.value)
    )
    found = {row[0]: row[1] for row in session.execute(query)}
    return {score: found.get(score, 0) for score in SCALE}


@dataclass(frozen=True)
class PartnerLine:
    """How one partner answered in a wave."""

    partner: str
    tier: str
    region: str
    answered: int
    invited: int
    company: float | None
    experience: float | None


def by_partner(session: Session, wave_id: uuid.UUID) -> list[PartnerLine]:
    """Every invited partner, the least satisfied first, those without an answer last."""
    query = (
        select(
            Invitation.partner_id, Partner.name, Invitation.tier, Invitation.region, func.count()
        )
        .join(Partner, Partner.id == Invitation.partner_id)
        .where(Invitation.wave_id == wave_id)
        .group_by(Invitation.partner_id, Partner.name, Invitation.tier, Invitation.region)
    )
    replied = select(Response.partner_id, func.count()).where(Response.wave_id == wave_id)
    answered = {row[0]: row[1] for row in session.execute(replied.group_by(Response.partner_id))}
    scores = _scores(session, [wave_id])
    lines = [
        PartnerLine(
            partner=name,
            tier=tier,
            region=region,
            answered=answered.get(key, 0),
            invited=invited,
            company=_mean_for(key, scores[wave_id, COMPANY]),
            experience=_mean_for(key, scores[wave_id, EXPERIENCE]),
        )
        for key, name, tier, region, invited in session.execute(query)
    ]
    return sorted(lines, key=lambda line: (_worst(line), sort_key(line.partner)))


def _mean_for(partner_id: uuid.UUID, scores: list[tuple[uuid.UUID, int]]) -> float | None:
    own = [score for key, score in scores if key == partner_id]
    return fmean(own) if own else None


def _worst(line: PartnerLine) -> float:
    means = [mean for mean in (line.company, line.experience) if mean is not None]
    return min(means, default=11)


@dataclass(frozen=True)
class Comment:
    """What a person wrote, with who they are: these waves are attributed, and say so."""

    text: str
    person: str
    partner: str
    company: int | None
    experience: int | None


def comments(session: Session, wave_id: uuid.UUID) -> list[Comment]:
    """The comments of a wave, the lowest scores first."""
    rows = session.scalars(
        select(Response).where(Response.wave_id == wave_id, Response.comment != "")
    ).all()
    names = {
        row.id: row.name
        for row in session.scalars(
            select(Partner).where(Partner.id.in_({row.partner_id for row in rows}))
        )
    }
    found = []
    for row in rows:
        scores = {answer.question: answer.value for answer in row.answers}
        person = row.invitation.user.name if row.invitation else ""
        found.append(
            Comment(
                row.comment,
                person,
                names[row.partner_id],
                scores.get(COMPANY),
                scores.get(EXPERIENCE),
            )
        )
    return sorted(found, key=lambda row: (row.experience or 0, sort_key(row.person)))


@dataclass(frozen=True)
class LowScore:
    """Somebody is not satisfied."""

    wave_id: uuid.UUID
    partner: str
    person: str
    score: int
    comment: str


def low_scores(session: Session, since: datetime, at_most: int, limit: int) -> list[LowScore]:
    """Answers since a moment with a score of `at_most` or less, the lowest first."""
    lowest = func.min(Answer.value)
    query = (
        select(Response.wave_id, Partner.name, User.name, lowest, Response.comment)
        .join(Answer, Answer.response_id == Response.id)
        .join(Invitation, Invitation.id == Response.invitation_id)
        .join(User, User.id == Invitation.user_id)
        .join(Partner, Partner.id == Response.partner_id)
        .where(Response.answered_at >= since)
        .group_by(Response.id, Response.wave_id, Partner.name, User.name, Response.comment)
        .having(lowest <= at_most)
        .order_by(lowest, Response.id)
        .limit(limit)
    )
    return [
        LowScore(wave_id, partner, person, score or 0, comment)
        for wave_id, partner, person, score, comment in session.execute(query)
    ]


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
