"""Opening waves: each occurrence exactly once, and none without a record.

Context: several processes look at the same survey, servers are down over due times, clocks and
time-zone data change.
Decision: a wave's identity is its local due time, unique per survey. One transaction holds the
wave, its frozen list of recipients, their mails, and how far the survey is settled.
Consequences: `tick` may be called by anyone, any number of times.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import mail
from portal.accounts.models import PARTNER_ROLES, Partner, User
from portal.accounts.service import has_access
from portal.db import db, new_id, write
from portal.errors import NotFound, Refused
from surveys import definitions
from surveys.models import OPEN, SKIPPED, Invitation, Survey, Wave
from surveys.schedule import RULES, Schedule, from_iso, iso


def schedule_of(survey: Survey) -> Schedule:
    """When this survey is due."""
    return Schedule(survey.rrule, from_iso(survey.starts_local), ZoneInfo(survey.timezone))


def tick(now: datetime) -> int:
    """Job: open what is due; returns the number of waves opened."""
    surveys = list(db.session.scalars(select(Survey.id).where(Survey.paused_at.is_(None))))
    db.session.rollback()
    return sum(_tick_one(key, now) for key in surveys)


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
        # Of several that were missed only the latest is asked, and only while it is still open.
        *missed, latest = past
        if schedule_of(survey).closes(latest, survey.open_days) <= now:
            missed.append(latest)
        for occurrence in missed:
            _record(session, survey, occurrence, SKIPPED, now)
        opened = latest not in missed
        if opened:
            open_wave(session, survey, latest, now)
        survey.settled_until = iso(latest)
    return opened


def _past(survey: Survey, now: datetime) -> list[datetime]:
    after = from_iso(survey.settled_until) if survey.settled_until else None
    return schedule_of(survey).past(after, now)


def _record(
    session: Session, survey: Survey, occurrence: datetime, state: str, now: datetime
) -> Wave:
    wave = Wave(
        id=new_id(),
        survey_id=survey.id,
        occurrence_local=iso(occurrence),
        state=state,
        questionnaire_id=survey.questionnaire_id,
        mode=survey.mode,
        minimum_n=survey.minimum_n,
        reminder_days=survey.reminder_days,
        opened_at=now,
        closes_at=schedule_of(survey).closes(occurrence, survey.open_days),
    )
    session.add(wave)
    session.flush()
    return wave


def open_wave(
    session: Session, survey: Survey, occurrence: datetime, now: datetime, *, notify: bool = True
) -> Wave:
    """Open the wave of one occurrence: it, its recipients and their mails at once."""
    wave = _record(session, survey, occurrence, OPEN, now)
    people = select(User, Partner).join(Partner, Partner.id == User.partner_id)
    people = people.where(User.role.in_(PARTNER_ROLES), *has_access())
    for user, partner in session.execute(people.order_by(User.id)):
        invitation = Invitation(
            id=new_id(),
            wave_id=wave.id,
            user_id=user.id,
            partner_id=partner.id,
            mailbox=mailbox(user.email),
            tier=partner.tier,
            region=partner.region,
            locale=user.locale,
        )
        session.add(invitation)
        if notify:
            letter = mail.queue(
                session,
                message="survey_invitation",
                user_id=user.id,
                params={"invitation": str(invitation.id)},
                expires_at=wave.closes_at,
            )
            invitation.mail_id = letter.id
    session.flush()
    return wave


def mailbox(email: str) -> str:
    """What identifies the mailbox of an address: a hash, the same for `ann+news@x` and `Ann@x`."""
    local, _at, host = email.strip().casefold().rpartition("@")
    return hashlib.sha256(f"{local.partition('+')[0]}@{host}".encode()).hexdigest()


# --- the rhythm ---------------------------------------------------------------------------------


def create(
    session: Session,
    *,
    name: str,
    rhythm: str,
    start: datetime,
    zone: ZoneInfo,
    open_days: int,
    now: datetime,
) -> Survey:
    """A new survey whose first wave is due at or after the local time `start`."""
    if rhythm not in RULES:
        raise NotFound(_("There is no such rhythm."))
    schedule = Schedule(RULES[rhythm], start, zone)
    # What lies in the past when it is set up was never promised to anyone.
    past = schedule.past(None, now)
    survey = Survey(
        id=new_id(),
        name=name,
        questionnaire_id=definitions.standard(session, now).id,
        rrule=schedule.rule,
        starts_local=iso(start),
        timezone=str(zone),
        open_days=open_days,
        settled_until=iso(past[-1]) if past else "",
        created_at=now,
    )
    session.add(survey)
    session.flush()
    return survey


def pause(session: Session, survey_id: uuid.UUID, now: datetime) -> None:
    """Ask no more until it is resumed."""
    survey = get(session, survey_id)
    if survey.paused_at is not None:
        raise Refused(_("This survey is paused already."))
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
