"""Reminding those who have not answered, at most as often as the wave says.

Context: a reminder after the answer annoys the very people who took the time; a job may run twice,
late, or in two places; answers arrive while it runs.
Decision: what is due is found again with the invitations locked, counted there, and checked a third
time when the mail is written. A reminder comes at the wall-clock time of the opening, so many days
later, weekends too: what was promised is a number of days. After an outage one comes, not all.
Mails of surveys are mails of their own, because their one-click unsubscribe must mean them alone;
but nobody gets a reminder on a local day on which any survey wrote to them: it comes a day later.
Consequences: `remind_answers` may be called by anyone, any number of times.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal import clock, mail
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.db import db, in_parts, write
from portal.mail import Outbox
from surveys.invitations import COMPLETE, PARTIAL
from surveys.letters import REMINDER, mailed_on
from surveys.models import OPEN, Invitation, Mode, Survey, SurveyOptOut, Wave


def due_times(wave: Wave, survey: Survey) -> list[datetime]:
    """When a wave reminds, in order: never at or after its end."""
    local_zone = ZoneInfo(survey.timezone)
    opened = wave.opened_at.astimezone(local_zone).replace(tzinfo=None)
    times = (
        clock.resolve_local(opened + timedelta(days=days), local_zone)
        for days in sorted(set(wave.reminder_days))
        if days > 0
    )
    return [at for at in times if at < wave.closes_at]


def _step(wave: Wave, survey: Survey, now: datetime) -> int:
    """How many reminders are due; none before the hour of the opening, so that what was put off or
    missed does not come at night."""
    local_zone = ZoneInfo(survey.timezone)
    hour = wave.opened_at.astimezone(local_zone).time()
    today = datetime.combine(clock.local_day(now, local_zone), hour)
    if clock.resolve_local(today, local_zone) > now:
        return 0
    return sum(at <= now for at in due_times(wave, survey))


def remind_answers(now: datetime) -> int:
    """Job: write the reminders that are due; returns how many."""
    query = select(Wave, Survey).join(Survey, Survey.id == Wave.survey_id)
    query = query.where(Wave.state == OPEN, Wave.opened_at <= now, Wave.closes_at > now)
    steps = {wave.id: _step(wave, survey, now) for wave, survey in db.session.execute(query)}
    found = [
        (step, part)
        for wave_id, step in steps.items()
        if step
        for part in in_parts(_waiting(db.session(), wave_id, step), 100)
    ]
    db.session.rollback()
    return sum(_remind(part, step, now) for step, part in found)


def _waiting(session: Session, wave_id: uuid.UUID, step: int) -> list[uuid.UUID]:
    query = select(Invitation.id).join(User, User.id == Invitation.user_id)
    query = query.where(Invitation.wave_id == wave_id, *_may_be_reminded(step))
    return list(session.scalars(query.order_by(Invitation.id)))


def _may_be_reminded(step: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Invitation.reminders < step,
        Invitation.answered.is_distinct_from(COMPLETE),
        Invitation.declined_at.is_(None),
        User.deactivated_at.is_(None),
        Invitation.user_id.not_in(select(SurveyOptOut.user_id)),
    )


def _remind(keys: Sequence[uuid.UUID], step: int, now: datetime) -> int:
    with write() as session:
        query = (
            select(Invitation, Wave)
            .join(Wave, Wave.id == Invitation.wave_id)
            .join(User, User.id == Invitation.user_id)
            .where(Invitation.id.in_(keys), Wave.closes_at > now, *_may_be_reminded(step))
            .order_by(Invitation.id)
            .with_for_update(of=Invitation)
        )
        rows = session.execute(query).all()
        written_to = _written_to_today(session, [row.Invitation.user_id for row in rows], now)
        due: dict[datetime, list[tuple[uuid.UUID, dict[str, str]]]] = defaultdict(list)
        for invitation, wave in rows:
            # A mail of its own could not find again what was begun from another, unnamed one.
            unnamed = wave.mode == Mode.anonymous and invitation.answered == PARTIAL
            if invitation.user_id in written_to or unnamed:
                continue
            written_to.add(invitation.user_id)
            invitation.reminders, invitation.reminded_at = step, now
            params = {"invitation": str(invitation.id)}
            due[wave.closes_at].append((invitation.user_id, params))
        for closes_at, letters in due.items():
            mail.queue_all(session, REMINDER, letters, closes_at)
    return sum(map(len, due.values()))


def _written_to_today(
    session: Session, user_ids: Sequence[uuid.UUID], now: datetime
) -> set[uuid.UUID]:
    today = mailed_on(clock.local_day(now, zone()))
    query = select(Outbox.user_id).where(Outbox.user_id.in_(user_ids), today)
    return set(session.scalars(query))
