"""How a survey is set up and changed: what is decided before it asks anyone.

A new rhythm begins after the local day of the last wave and never while one is open; all else
that is changed holds from the next wave on, because a wave keeps what it was opened with.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.db import new_id
from portal.errors import Refused
from portal.formatting import moment
from surveys import waves
from surveys.audience import Audience
from surveys.definitions import standard
from surveys.models import BASELINE, OPEN, SCHEDULED, SKIPPED, Invitation, Survey, Wave
from surveys.recipients import choose
from surveys.schedule import Every, Rhythm, Schedule, from_iso, iso

MINIMUM_N, LEAST_N = 5, 3


@dataclass(frozen=True)
class Plan:
    """What a person chooses for a survey; `start` is the first day that may be its first. Without
    a questionnaire it asks the standard one."""

    name: str
    questionnaire_id: uuid.UUID | None
    mode: str
    audience: Audience
    rhythm: Rhythm
    start: date
    at: time
    zone: ZoneInfo
    open_days: int
    reminder_days: tuple[int, ...] = ()
    quarantine_days: int = 0
    minimum_n: int = MINIMUM_N

    @property
    def columns(self) -> dict[str, Any]:
        """What is kept of it besides when and what it asks."""
        return {
            "name": self.name,
            "mode": self.mode,
            "audience": self.audience.kept,
            "open_days": self.open_days,
            "reminder_days": list(self.reminder_days),
            "quarantine_days": self.quarantine_days,
            "minimum_n": self.minimum_n,
        }

    def keeps_rhythm(self, survey: Survey) -> bool:
        """Whether it asks when the survey does already."""
        if (self.rhythm.rule, str(self.zone)) != (survey.rrule, survey.timezone):
            return False
        begins = datetime.combine(self.start, self.at)
        return self.rhythm.every is Every.never or begins == from_iso(survey.starts_local)


@dataclass(frozen=True)
class Outlook:
    """What would happen: the next due times, local and as moments, and how many people of how many
    partners would be asked today, with the number of those who would not, by reason."""

    dates: list[tuple[datetime, datetime]]
    people: int
    partners: int
    left_out: dict[str, int]


def outlook(session: Session, plan: Plan, survey: Survey | None, now: datetime) -> Outlook:
    """What saving a plan would bring, before anything is saved."""
    chosen, left_out = choose(session, _draft(plan), now)
    partners = {found.partner.id for found in chosen}
    return Outlook(_dates(session, plan, survey, now), len(chosen), len(partners), left_out)


def _draft(plan: Plan) -> Survey:
    """A survey that is never added: to ask whom it would ask."""
    return Survey(timezone=str(plan.zone), **plan.columns)


def _dates(
    session: Session, plan: Plan, survey: Survey | None, now: datetime, n: int = 5
) -> list[tuple[datetime, datetime]]:
    if survey is not None and plan.keeps_rhythm(survey):
        schedule = waves.schedule_of(survey)
        return [(at, schedule.due(at)) for at in schedule.upcoming(now, n)]
    first = _first(session, plan, survey, now)
    if first is None:
        return []
    schedule = Schedule(plan.rhythm.rule, first, plan.zone)
    return [(at, schedule.due(at)) for at in islice(schedule.occurrences(), n)]


def _first(session: Session, plan: Plan, survey: Survey | None, now: datetime) -> datetime | None:
    last = None if survey is None else _last_day(session, survey)
    return plan.rhythm.first(plan.start, plan.at, plan.zone, now, last)


def _last_day(session: Session, survey: Survey) -> date | None:
    """The local day of the last occurrence that was opened, skipped, or passed while paused."""
    latest = select(func.max(Wave.occurrence_local)).where(
        Wave.survey_id == survey.id, Wave.kind == SCHEDULED
    )
    settled = max(session.scalar(latest) or "", survey.settled_until)
    return from_iso(settled).date() if settled else None


def add(session: Session, plan: Plan, now: datetime) -> Survey:
    """A new survey. Refused when it would never ask."""
    survey = Survey(id=new_id(), created_at=now, settled_until="", **plan.columns)
    _set_rhythm(survey, plan, _first(session, plan, None, now))
    survey.questionnaire_id = _questionnaire(session, plan, now)
    session.add(survey)
    session.flush()
    return survey


def change(session: Session, survey_id: uuid.UUID, plan: Plan, now: datetime) -> None:
    """Change a survey; lock it in `write()` before. A wave that is open stays as it is, and while
    it is, the rhythm does, too."""
    survey = waves.get(session, survey_id)
    if not plan.keeps_rhythm(survey):
        _refuse_new_rhythm(session, survey, now)
        _set_rhythm(survey, plan, _first(session, plan, survey, now))
    for name, value in plan.columns.items():
        setattr(survey, name, value)
    survey.questionnaire_id = _questionnaire(session, plan, now)
    session.flush()


def _questionnaire(session: Session, plan: Plan, now: datetime) -> uuid.UUID:
    return plan.questionnaire_id or standard(session, now).id


def _refuse_new_rhythm(session: Session, survey: Survey, now: datetime) -> None:
    running = open_wave(session, survey.id, now)
    if running is not None:
        until = moment(running.closes_at, ZoneInfo(survey.timezone))
        raise Refused(
            _(
                "A wave of this survey is open until %(time)s. When it asks can be changed after "
                "that; all else can be changed now.",
                time=until,
            )
        )
    after = from_iso(survey.settled_until) if survey.settled_until else None
    if survey.paused_at is None and waves.schedule_of(survey).past(after, now):
        raise Refused(_("A wave is due and about to open. Try again in a minute."))


def _set_rhythm(survey: Survey, plan: Plan, first: datetime | None) -> None:
    if first is None and plan.rhythm.every is not Every.never:
        raise Refused(_("No wave would ever open. Choose other days, or a later end."))
    survey.rrule = plan.rhythm.rule
    survey.starts_local = iso(first or datetime.combine(plan.start, plan.at))
    survey.timezone = str(plan.zone)


def open_wave(session: Session, survey_id: uuid.UUID, now: datetime) -> Wave | None:
    """The wave of a survey that can be answered now."""
    running = select(Wave).where(
        Wave.survey_id == survey_id, Wave.state == OPEN, Wave.closes_at > now
    )
    return session.scalars(running.order_by(Wave.closes_at.desc())).first()


def open_now(
    session: Session, survey_id: uuid.UUID, kind: str, now: datetime, *, include_held: bool
) -> Wave:
    """Ask now. People without an account belong to a baseline only: they know the time before the
    portal. Refused for another wave, and when nobody would be asked."""
    survey = waves.get(session, survey_id)
    if include_held and kind != BASELINE:
        raise Refused(
            _("Only a baseline asks people without an account. Choose a baseline, or untick them.")
        )
    wave = waves.open_by_hand(session, survey, kind, now, include_held=include_held)
    if session.scalar(select(Invitation.id).where(Invitation.wave_id == wave.id).limit(1)) is None:
        raise Refused(_("Nobody would be asked today. Look at the audience and the quarantine."))
    return wave


def delete(session: Session, survey_id: uuid.UUID) -> None:
    """Take back a survey that never opened a wave. Refused later: answers belong to it."""
    survey = waves.get(session, survey_id)
    if has_waves(session, survey_id):
        raise Refused(_("This survey has waves already. Pause it instead."))
    session.delete(survey)
    session.flush()


def has_waves(session: Session, survey_id: uuid.UUID) -> bool:
    """Whether a wave of it was opened or skipped."""
    found = select(Wave.id).where(Wave.survey_id == survey_id).limit(1)
    return session.scalar(found) is not None


@dataclass(frozen=True)
class Line:
    """A survey in the list: when it asks next, and its open wave with how many have answered."""

    survey: Survey
    next_at: datetime | None
    wave: Wave | None
    answered: int
    invited: int


def lines(session: Session, now: datetime) -> list[Line]:
    """Every survey, oldest first."""
    running = select(Wave).where(Wave.state == OPEN, Wave.closes_at > now)
    open_waves = {wave.survey_id: wave for wave in session.scalars(running)}
    keys = [wave.id for wave in open_waves.values()]
    counted = (
        select(Invitation.wave_id, func.count(Invitation.answered), func.count())
        .where(Invitation.wave_id.in_(keys))
        .group_by(Invitation.wave_id)
    )
    counts = {row[0]: (row[1], row[2]) for row in session.execute(counted)}
    found = []
    for survey in session.scalars(select(Survey).order_by(Survey.created_at, Survey.id)):
        wave = open_waves.get(survey.id)
        answered, invited = counts.get(wave.id, (0, 0)) if wave else (0, 0)
        found.append(Line(survey, next_due(survey, now), wave, answered, invited))
    return found


@dataclass(frozen=True)
class Missed:
    """A wave that was due while the portal was not running: nobody was asked."""

    survey: str
    due: datetime


def missed(session: Session, limit: int) -> list[Missed]:
    """The latest waves that nobody was asked in, on the clocks of their surveys."""
    query = select(Survey.name, Wave.occurrence_local).join(Survey, Survey.id == Wave.survey_id)
    query = query.where(Wave.state == SKIPPED)
    query = query.order_by(Wave.occurrence_local.desc(), Survey.name).limit(limit)
    return [Missed(name, from_iso(local)) for name, local in session.execute(query)]


def next_due(survey: Survey, now: datetime) -> datetime | None:
    """When it asks next; None while it is paused, has ended, or is opened by hand."""
    if survey.paused_at is not None:
        return None
    schedule = waves.schedule_of(survey)
    upcoming = schedule.upcoming(now, 1)
    return schedule.due(upcoming[0]) if upcoming else None
