"""The demo's surveys: nine waves every 13 weeks, the last one open now."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal.accounts.models import Partner, User
from portal.clock import day_start, local_day
from portal.demo import answers
from portal.demo.cast import Cast
from portal.demo.ids import key
from portal.reports import rollouts
from surveys import definitions, follow_ups, plans, questionnaires, waves
from surveys.audience import Audience
from surveys.definitions import COMPANY, CORE, EXPERIENCE
from surveys.models import (
    AFTER,
    BEFORE,
    Answer,
    Invitation,
    Mode,
    Questionnaire,
    Response,
    Survey,
    Wave,
)
from surveys.plans import Plan
from surveys.schedule import Every, Rhythm

WAVES = 9
EVERY = timedelta(weeks=13)
OPEN_DAYS = 14
ANSWERED = 0.42
# The last waves ask more than the two core questions.
WITH_REASONS = 4
SAID = (
    "You said that quotes take too long: two more people write them now, and the "
    "median has come down from nine days to five. Drawings are in the library now."
)
CALLED = (
    "Called. The price list was hard to find: sent the link and showed the search.",
    "Called back after two weeks: finds what is needed now.",
)


def fill(rng: random.Random, session: Session, cast: Cast, now: datetime, zone: ZoneInfo) -> None:
    """Set the rhythm up and let people answer."""
    latest = local_day(now, zone) - timedelta(days=4)
    latest -= timedelta(days=latest.weekday())
    first = datetime.combine(latest, time(9)) - (WAVES - 1) * EVERY
    survey = plans.add(
        session,
        _plan("Partner pulse", Rhythm(Every.week, interval=13), first, zone),
        now - timedelta(days=760),
    )
    with_reasons = _with_reasons(session, survey, now)
    mood = {partner.id: rng.gauss(0, 0.9) for partner in cast.partners}
    schedule = waves.schedule_of(survey)
    for number in range(WAVES):
        occurrence = first + number * EVERY
        if number == WAVES - WITH_REASONS:
            survey.questionnaire_id = with_reasons.id
        wave = waves.open_wave(session, survey, occurrence, schedule.due(occurrence), notify=False)
        survey.settled_until = wave.occurrence_local
        _answers(rng, session, cast, wave, mood, now)
        if WAVES - WITH_REASONS <= number < WAVES - 1:
            _close_the_loop(session, wave)
    # Apart, so that the rest of the company stays as it was made.
    _check_support(random.Random(11), session, cast, mood, now, zone)
    _declare_rollout(session, cast, survey.id, zone)


def _plan(
    name: str, rhythm: Rhythm, start: datetime, zone: ZoneInfo, mode: Mode = Mode.attributed
) -> Plan:
    """A survey of everyone."""
    return Plan(
        name=name,
        questionnaire_id=None,
        mode=mode,
        audience=Audience(),
        rhythm=rhythm,
        start=start.date(),
        at=start.time(),
        zone=zone,
        open_days=OPEN_DAYS,
    )


def _with_reasons(session: Session, survey: Survey, now: datetime) -> Questionnaire:
    """The version that asks for reasons, too."""
    standard = questionnaires.get(session, survey.questionnaire_id)
    questions = answers.questions(definitions.parsed(standard))
    at = now - WITH_REASONS * EVERY
    return questionnaires.add(session, "With reasons", questions, standard.id, at)


def _close_the_loop(session: Session, wave: Wave) -> None:
    """After a wave that is over: those who were not satisfied were called. There are few of them,
    in some waves none."""
    wave.said = SAID
    low = select(Answer.response_id).where(
        Answer.question.in_(CORE), Answer.value <= follow_ups.LOW_SCORE
    )
    unhappy = select(Response).where(Response.wave_id == wave.id, Response.id.in_(low))
    for response in session.scalars(unhappy.order_by(Response.id)):
        at = response.answered_at or wave.opened_at
        opened = follow_ups.consider(session, response, at)
        partner = session.get_one(Partner, response.partner_id)
        caller = session.get_one(User, partner.channel_manager_id)
        steps = ((follow_ups.CONTACTED, 2), (follow_ups.CLOSED, 16))
        for (step, days), note in zip(steps, CALLED, strict=True):
            assert opened is not None
            follow_ups.move(session, opened, caller, step, note, at + timedelta(days=days))


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
    rhythm = Rhythm(Every.year, month=3)
    plan = _plan("Honest words", rhythm, at, zone, Mode.confidential)
    survey = plans.add(session, plan, now - timedelta(days=60))
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
    lena, unhappy = (cast.partner(name).people[0].id for name in ("Kühn", "Aqua"))
    still_open = wave.closes_at > now
    # Apart, so that who answers and the two scores stay whatever else a wave asks.
    more = random.Random(wave.occurrence_local)
    further = definitions.parsed(wave.questionnaire).questions[len(CORE) :]
    responses: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    invited = session.scalars(select(Invitation).where(Invitation.wave_id == wave.id))
    for invitation in sorted(invited, key=lambda row: row.user_id.bytes):
        chance = ANSWERED / 3 if still_open else ANSWERED
        at = wave.opened_at + timedelta(hours=rng.uniform(1, 13 * 24))
        silent = rng.random() > chance or at >= now or (still_open and invitation.user_id == lena)
        if still_open and invitation.user_id == unhappy:
            # By hand: the one low score to follow up, whatever day it is.
            at, silent = wave.opened_at + timedelta(hours=30), False
        if silent:
            continue
        partner = partners[invitation.partner_id]
        after = wave.opened_at.date() >= partner.rollout
        scores = answers.scores(rng, after, mood[partner.id])
        if still_open and partner.name.startswith("Aqua"):
            scores, comment = {COMPANY: 4, EXPERIENCE: 3}, "Waited nine days for a quote."
        else:
            comment = answers.comment(rng, scores[EXPERIENCE])
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
        given = answers.core(scores) + answers.further(more, further, scores[EXPERIENCE])
        rows += [{"response_id": response["id"]} | row for row in given]
    session.flush()
    if responses:
        session.execute(insert(Response), responses)
        session.execute(insert(Answer), rows)
    if still_open:
        for row in session.scalars(select(Response).where(Response.wave_id == wave.id)):
            follow_ups.consider(session, row, row.answered_at or now)
