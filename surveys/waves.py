"""Opening waves: each occurrence exactly once, and none without a record.

Context: several processes look at the same survey, servers are down over due times, clocks and
time-zone data change.
Decision: a wave's identity is its local due time, unique per survey. One transaction holds the
wave, its frozen list of recipients, their mails, and how far the survey is settled.
Consequences: `tick` may be called by anyone, any number of times.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.db import db, new_id, write
from portal.errors import NotFound, Refused
from portal.formatting import moment
from surveys.models import (
    BASELINE,
    MANUAL,
    OPEN,
    SCHEDULED,
    SKIPPED,
    Mode,
    Response,
    Survey,
    Wave,
)
from surveys.recipients import invite_all
from surveys.schedule import Schedule, from_iso, iso

# What the identity of a wave that was opened by hand begins with.
BY_HAND = "m"


def schedule_of(survey: Survey) -> Schedule:
    """When this survey is due."""
    return Schedule(survey.rrule, from_iso(survey.starts_local), ZoneInfo(survey.timezone))


def tick(now: datetime) -> int:
    """Job: open what is due; returns the number of waves opened. A survey that cannot be opened
    does not keep the others waiting."""
    surveys = list(db.session.scalars(select(Survey.id).where(Survey.paused_at.is_(None))))
    db.session.rollback()
    opened, problems = 0, []
    for key in surveys:
        try:
            opened += _tick_one(key, now)
        except Exception as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    return opened


def _tick_one(survey_id: uuid.UUID, now: datetime) -> bool:
    survey = db.session.get(Survey, survey_id)
    nothing = survey is None or not _past(survey, now)
    db.session.rollback()
    if nothing:
        return False
    with write((Survey, survey_id)) as session:
        survey = session.get_one(Survey, survey_id)
        past = _past(survey, now) if survey.paused_at is None else []
        if not past:
            return False
        survey.settled_until = iso(past[-1])
        past = _unrecorded(session, survey, past)
        # Of several that were missed only the latest is asked, and only while it is still open.
        schedule = schedule_of(survey)
        opens = past[-1] if past and schedule.closes(past[-1], survey.open_days) > now else None
        for occurrence in past:
            if occurrence != opens:
                _record(session, survey, SKIPPED, iso(occurrence), occurrence, now)
        if opens is not None:
            open_wave(session, survey, opens, now)
    return opens is not None


def _past(survey: Survey, now: datetime) -> list[datetime]:
    after = from_iso(survey.settled_until) if survey.settled_until else None
    return schedule_of(survey).past(after, now)


def _unrecorded(session: Session, survey: Survey, past: list[datetime]) -> list[datetime]:
    """Those without a wave: a rhythm that was changed may come to a local time again."""
    known = select(Wave.occurrence_local).where(
        Wave.survey_id == survey.id, Wave.occurrence_local >= iso(past[0])
    )
    recorded = set(session.scalars(known))
    return [occurrence for occurrence in past if iso(occurrence) not in recorded]


def _record(
    session: Session,
    survey: Survey,
    state: str,
    identity: str,
    begins: datetime,
    now: datetime,
    kind: str = SCHEDULED,
) -> Wave:
    """A wave with what is frozen at its opening; it closes so many days after `begins`."""
    wave = Wave(
        id=new_id(),
        survey_id=survey.id,
        kind=kind,
        occurrence_local=identity,
        state=state,
        questionnaire_id=survey.questionnaire_id,
        mode=survey.mode,
        minimum_n=survey.minimum_n,
        reminder_days=survey.reminder_days,
        opened_at=now,
        closes_at=schedule_of(survey).closes(begins, survey.open_days),
    )
    session.add(wave)
    session.flush()
    return wave


def open_wave(
    session: Session, survey: Survey, occurrence: datetime, now: datetime, *, notify: bool = True
) -> Wave:
    """Open the wave of one occurrence: it, its recipients and their mails at once."""
    wave = _record(session, survey, OPEN, iso(occurrence), occurrence, now)
    invite_all(session, wave, survey, now, notify=notify)
    return wave


def open_by_hand(
    session: Session, survey: Survey, kind: str, now: datetime, *, include_held: bool = False
) -> Wave:
    """Ask now, besides the rhythm: `kind` is manual or baseline. With `include_held` also people
    whose invitation to the portal waits for an administrator. Lock the survey in `write()` before.

    Refused while a wave of this survey is open, and twice in a minute.
    """
    if kind not in (MANUAL, BASELINE):
        raise NotFound(_("There is no such kind of wave."))
    zone = ZoneInfo(survey.timezone)
    still = select(Wave).where(
        Wave.survey_id == survey.id, Wave.state == OPEN, Wave.closes_at > now
    )
    running = session.scalars(still.order_by(Wave.closes_at.desc())).first()
    if running is not None:
        until = moment(running.closes_at, zone)
        raise Refused(_("A wave of this survey is open until %(time)s. Wait for it.", time=until))
    # The hour of closing is that of opening, to the second.
    local = now.astimezone(zone).replace(tzinfo=None)
    identity = BY_HAND + iso(local.replace(second=0))
    taken = select(Wave.id).where(Wave.survey_id == survey.id, Wave.occurrence_local == identity)
    if session.scalar(taken) is not None:
        raise Refused(_("A wave was opened in this minute already. Try again in the next one."))
    wave = _record(session, survey, OPEN, identity, local, now, kind)
    invite_all(session, wave, survey, now, include_held=include_held)
    return wave


def close_waves(now: datetime) -> int:
    """Job: settle the waves that are over; returns how many. Answers are refused from `closes_at`
    on, whether it runs or not; of anonymous ones it cuts what tied them to a mail."""
    over = select(Wave.id).where(
        Wave.state == OPEN, Wave.closes_at <= now, Wave.closed_at.is_(None)
    )
    keys = list(db.session.scalars(over))
    db.session.rollback()
    return sum(_close(key, now) for key in keys)


def _close(wave_id: uuid.UUID, now: datetime) -> bool:
    with write((Wave, wave_id)) as session:
        wave = session.get_one(Wave, wave_id)
        if wave.closed_at is not None:
            return False
        wave.closed_at = now
        if wave.mode == Mode.anonymous:
            own = Response.wave_id == wave_id
            session.execute(update(Response).where(own).values(answer_key=None))
    return True


# --- pausing ------------------------------------------------------------------------------------


def pause(session: Session, survey_id: uuid.UUID, now: datetime) -> None:
    """Ask no more until it is resumed."""
    survey = get(session, survey_id)
    if survey.paused_at is not None:
        raise Refused(_("This survey is paused already."))
    # What was due before and not looked at yet, as after an outage, has its record all the same.
    past = _past(survey, now)
    for occurrence in _unrecorded(session, survey, past) if past else []:
        _record(session, survey, SKIPPED, iso(occurrence), occurrence, now)
    if past:
        survey.settled_until = iso(past[-1])
    survey.paused_at = now
    session.flush()


def resume(session: Session, survey_id: uuid.UUID, now: datetime) -> None:
    """Ask again. Due times that passed meanwhile are not missed: nobody expected them."""
    survey = get(session, survey_id)
    if survey.paused_at is None:
        raise Refused(_("This survey is not paused."))
    past = _past(survey, now)
    if past:
        survey.settled_until = iso(past[-1])
    survey.paused_at = None
    session.flush()


def get(session: Session, survey_id: uuid.UUID) -> Survey:
    """The survey. Raises NotFound."""
    survey = session.get(Survey, survey_id)
    if survey is None:
        raise NotFound(_("There is no such survey."))
    return survey
