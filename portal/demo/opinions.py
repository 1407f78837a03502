"""The demo's surveys: nine waves every 13 weeks, the last one open now."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal.clock import day_start, local_day
from portal.demo.cast import Cast, Organisation
from portal.demo.ids import key
from portal.reports import rollouts
from surveys import follow_ups, waves
from surveys.definitions import COMPANY, EXPERIENCE
from surveys.models import AFTER, BEFORE, Answer, Invitation, Mode, Response, Wave

WAVES = 9
EVERY = timedelta(weeks=13)
OPEN_DAYS = 14
ANSWERED = 0.42
COMMENTS = {
    "low": ["Finding the right price list takes too long.", "I had to ask twice for a drawing.",
            "Quotes take too long."],
    "middle": ["Good products, slow paperwork.", "More in my language, please."],
    "high": ["Fast answers, thank you.", "Registration takes a minute now.",
             "The links for customers are great."],
}  # fmt: skip


def fill(rng: random.Random, session: Session, cast: Cast, now: datetime, zone: ZoneInfo) -> None:
    """Set the rhythm up and let people answer."""
    latest = local_day(now, zone) - timedelta(days=4)
    latest -= timedelta(days=latest.weekday())
    first = datetime.combine(latest, time(9)) - (WAVES - 1) * EVERY
    survey = waves.create(
        session,
        name="Partner pulse",
        rhythm="thirteen_weeks",
        start=first,
        zone=zone,
        open_days=OPEN_DAYS,
        now=now - timedelta(days=760),
    )
    mood = {partner.id: rng.gauss(0, 0.9) for partner in cast.partners}
    schedule = waves.schedule_of(survey)
    for number in range(WAVES):
        occurrence = first + number * EVERY
        wave = waves.open_wave(session, survey, occurrence, schedule.due(occurrence), notify=False)
        survey.settled_until = wave.occurrence_local
        _answers(rng, session, cast, wave, mood, now)
    # Apart, so that the rest of the company stays as it was made.
    _check_support(random.Random(11), session, cast, mood, now, zone)
    _declare_rollout(session, cast, survey.id, zone)


def _check_support(
    rng: random.Random,
    session: Session,
    cast: Cast,
    mood: dict[Any, float],
    now: datetime,
    zone: ZoneInfo,
) -> None:
    """One survey that shows no single answer."""
    at = datetime.combine(local_day(now, zone) - timedelta(days=50), time(10))
    survey = waves.create(
        session,
        name="Honest words",
        rhythm="yearly",
        start=at,
        zone=zone,
        open_days=OPEN_DAYS,
        now=now - timedelta(days=60),
    )
    survey.mode = Mode.confidential
    wave = waves.open_wave(session, survey, at, waves.schedule_of(survey).due(at), notify=False)
    survey.settled_until = wave.occurrence_local
    _answers(rng, session, cast, wave, mood, now)


def _declare_rollout(session: Session, cast: Cast, survey_id: uuid.UUID, zone: ZoneInfo) -> None:
    """The portal itself, which partners got month by month, and the waves on both sides of it."""
    days = {partner.id: partner.rollout for partner in cast.partners}
    first, last = min(days.values()), max(days.values())
    rollout = rollouts.declare(
        session,
        name="Partner portal",
        day=first,
        days=days,
        by=cast.managers[0].id,
        now=day_start(first - timedelta(days=45), zone),
    )
    asked = select(Wave).where(Wave.survey_id == survey_id).order_by(Wave.opened_at)
    for wave in session.scalars(asked).all():
        if wave.closes_at <= day_start(first, zone):
            wave.rollout_id, wave.rollout_side = rollout.id, BEFORE
        elif wave.opened_at >= day_start(last, zone):
            wave.rollout_id, wave.rollout_side = rollout.id, AFTER
    session.flush()


def _answers(
    rng: random.Random,
    session: Session,
    cast: Cast,
    wave: Wave,
    mood: dict[Any, float],
    now: datetime,
) -> None:
    partners = {partner.id: partner for partner in cast.partners}
    lena = cast.partner("Kühn").people[0]
    still_open = wave.closes_at > now
    responses: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    invited = session.scalars(select(Invitation).where(Invitation.wave_id == wave.id))
    for invitation in sorted(invited, key=lambda row: row.user_id.bytes):
        chance = ANSWERED / 3 if still_open else ANSWERED
        at = wave.opened_at + timedelta(hours=rng.uniform(1, 13 * 24))
        if rng.random() > chance or at >= now or (still_open and invitation.user_id == lena.id):
            continue
        partner = partners[invitation.partner_id]
        scores = _scores(rng, partner, wave.opened_at, mood[partner.id])
        if still_open and partner.name.startswith("Aqua"):
            scores, comment = {COMPANY: 4, EXPERIENCE: 3}, "Waited nine days for a quote."
        else:
            comment = _comment(rng, scores[EXPERIENCE])
        response = {
            "id": key(rng, at),
            "invitation_id": invitation.id,
            "wave_id": wave.id,
            "partner_id": partner.id,
            "locale": invitation.locale,
            "submission_id": f"{rng.getrandbits(128):032x}",
            "comment": comment,
            "answered_at": at,
        }
        responses.append(response)
        invitation.answered = "complete"
        answers += [
            {"response_id": response["id"], "question": question, "value": score, "missing": None}
            for question, score in scores.items()
        ]
    session.flush()
    if responses:
        session.execute(insert(Response), responses)
        session.execute(insert(Answer), answers)
    if still_open:
        for row in session.scalars(select(Response).where(Response.wave_id == wave.id)):
            follow_ups.consider(session, row, row.answered_at or now)


def _scores(rng: random.Random, partner: Organisation, at: datetime, mood: float) -> dict[str, int]:
    after = at.date() >= partner.rollout

    def score(mean: float) -> int:
        return min(10, max(1, round(rng.gauss(mean + mood, 1.1))))

    return {
        COMPANY: score(7.2 + 0.15 * after),
        EXPERIENCE: score(6.6 + 0.8 * after),
    }


def _comment(rng: random.Random, score: int) -> str:
    if rng.random() > 0.18:
        return ""
    return rng.choice(COMMENTS["low" if score < 6 else "middle" if score < 8 else "high"])
