"""No wave is doubled and no occurrence passes without a record, whatever happens to the processes,
the clock, the schedule and the time-zone data. What should happen is told by a model of its own,
that finds moments by looking at the wall clock minute by minute."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from portal import clock, mail
from portal.db import db, new_id, write, write_connection
from portal.errors import Refused
from surveys import definitions, reminders, waves
from surveys.audience import Audience
from surveys.models import (
    OPEN,
    SKIPPED,
    Answer,
    FollowUp,
    Invitation,
    Questionnaire,
    Response,
    Survey,
    SurveyLink,
    Wave,
)
from surveys.plans import Plan, change
from surveys.schedule import Every, Rhythm
from tests.mailbox import mailbox
from tests.people import jonas, lena, mia
from tests.processes import at_once, is_killed_at

WEEK, OPEN_DAYS = timedelta(days=7), 10
# Sundays whose clocks change: hours that are skipped, that come twice, and half an hour of either.
BERLIN = ("Europe/Berlin", datetime(2026, 3, 15, 2, 30))  # noqa: DTZ001
BERLIN_AUTUMN = ("Europe/Berlin", datetime(2026, 10, 11, 2, 30))  # noqa: DTZ001
NEW_YORK = ("America/New_York", datetime(2026, 2, 22, 2, 30))  # noqa: DTZ001
LORD_HOWE = ("Australia/Lord_Howe", datetime(2026, 9, 20, 2, 15))  # noqa: DTZ001
LORD_HOWE_AUTUMN = ("Australia/Lord_Howe", datetime(2026, 3, 22, 1, 45))  # noqa: DTZ001
PLACES = [BERLIN, BERLIN_AUTUMN, NEW_YORK, LORD_HOWE, LORD_HOWE_AUTUMN]


def forget_all() -> None:
    """Take every survey away."""
    db.session.rollback()
    tables = (
        FollowUp,
        Answer,
        Response,
        SurveyLink,
        Invitation,
        mail.Outbox,
        Wave,
        Survey,
        Questionnaire,
    )
    with write_connection(db.engine) as connection:
        for table in tables:
            connection.execute(delete(table))


def make_survey(start: datetime, zone: str, *, reminder_days: tuple[int, ...] = ()) -> Survey:
    """A weekly survey from the local time `start` on."""
    with write() as session:
        survey = Survey(
            id=new_id(),
            name="Pulse",
            questionnaire_id=definitions.standard(session, clock.now()).id,
            rrule="FREQ=WEEKLY",
            starts_local=start.isoformat(),
            timezone=zone,
            open_days=OPEN_DAYS,
            reminder_days=list(reminder_days),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        session.add(survey)
    return survey


def tick(now: datetime) -> int:
    """What the job does."""
    db.session.rollback()
    with clock.at(now):
        return waves.tick(now)


def recorded() -> dict[str, str]:
    """Every recorded occurrence with its state; none is there twice."""
    db.session.rollback()
    rows = db.session.execute(select(Wave.occurrence_local, Wave.state)).all()
    found = {at: state for at, state in rows}  # noqa: C416
    assert len(found) == len(rows)
    return found


# --- the clock ----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def seen(local: datetime, place: str) -> datetime:
    """The moment at which a clock on the wall shows `local` first. A time that is skipped counts as
    if the clock had not been put forward yet."""
    zone, moment = ZoneInfo(place), local.replace(tzinfo=UTC) - timedelta(hours=15)
    while (shown := moment.astimezone(zone).replace(tzinfo=None)) < local:
        before, moment = moment.astimezone(zone).utcoffset() or timedelta(), moment + STEP
    return moment if shown == local else local.replace(tzinfo=UTC) - before


STEP = timedelta(minutes=15)


class Model:
    """What is to be recorded of a weekly survey."""

    def __init__(self, start: datetime, place: str) -> None:
        self.place, self.paused = place, False
        self.all = [start + WEEK * n for n in range(40)]
        self.states: dict[datetime, str] = {}
        self.excused: set[datetime] = set()
        self.open_until = datetime(2000, 1, 1, tzinfo=UTC)

    def due(self, now: datetime) -> list[datetime]:
        """Occurrences that have come and wait for their record."""
        settled = {*self.states, *self.excused}
        return [at for at in self.all if at not in settled and seen(at, self.place) <= now]

    def tick(self, now: datetime) -> int:
        """How many waves open."""
        due = [] if self.paused else self.due(now)
        self.states |= dict.fromkeys(due, SKIPPED)
        if not due or self.closes(due[-1]) <= now:
            return 0
        self.states[due[-1]] = OPEN
        self.open_until = max(self.open_until, self.closes(due[-1]))
        return 1

    def closes(self, occurrence: datetime) -> datetime:
        """When answering ends: at the same time on the wall."""
        return seen(occurrence + timedelta(days=OPEN_DAYS), self.place)

    def may_change(self, now: datetime) -> bool:
        """Not while a wave is open, nor while one is about to be."""
        return self.open_until <= now and (self.paused or not self.due(now))

    def change(self, weekday: int, now: datetime) -> None:
        """From now on another day of the week, later than the day of the last wave."""
        settled = sorted({*self.states, *self.excused})
        first = self.all[0].replace(year=2026, month=1, day=5 + weekday)
        while seen(first, self.place) <= now or (settled and first.date() <= settled[-1].date()):
            first += WEEK
        self.all = [*settled, *(first + WEEK * n for n in range(40))]

    def pause(self, now: datetime) -> None:
        """What was due by then is recorded; it will not be asked any more."""
        self.states |= dict.fromkeys(self.due(now), SKIPPED)
        self.paused = True

    def resume(self, now: datetime) -> None:
        """What came meanwhile was expected by nobody."""
        self.excused |= set(self.due(now))
        self.paused = False


def edit(survey: Survey, model: Model, weekday: int, now: datetime) -> bool:
    """Ask on another day of the week; whether that was allowed."""
    plan = Plan(
        name="Pulse", questionnaire_id=None, mode="attributed", audience=Audience(),
        rhythm=Rhythm(Every.week, weekday=weekday), start=date(2026, 1, 1),
        at=model.all[0].time(), zone=ZoneInfo(model.place), open_days=OPEN_DAYS,
    )  # fmt: skip
    allowed = model.may_change(now)
    with (
        nullcontext() if allowed else pytest.raises(Refused),
        write((Survey, survey.id)) as session,
    ):
        change(session, survey.id, plan, now)
    return allowed


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["tick", "tick", "tick", "twice", "pause or resume", "other rules", "edit"]
        ),
        st.integers(-4 * 24, 25 * 24),
        st.sampled_from([place for place, _start in PLACES]),
    ),
    min_size=1,
    max_size=9,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(PLACES), st.integers(-48, 400), steps)
def test_every_past_occurrence_has_one_record_whatever_the_clocks_do(
    app: Flask, place: tuple[str, datetime], hours: int, steps: list[tuple[str, int, str]]
) -> None:
    """Outages, clocks put back and forward, pauses, zones that get other rules in between, and a
    schedule that is edited, also while a wave is open."""
    lena()
    forget_all()
    zone, start = place
    survey, model, opened = make_survey(start, zone), Model(start, zone), 0
    now = seen(start, zone) + timedelta(hours=hours)
    for kind, hours_later, other in steps:
        now += timedelta(hours=hours_later)
        if kind == "other rules":
            # As after an update of the time-zone data: the same wall clock, other offsets.
            with write((Survey, survey.id)) as session:
                session.get_one(Survey, survey.id).timezone = other
            model.place = other
        elif kind == "pause or resume":
            with write((Survey, survey.id)) as session:
                (waves.resume if model.paused else waves.pause)(session, survey.id, now)
            (model.resume if model.paused else model.pause)(now)
        elif kind == "edit":
            weekday = hours_later % 7
            if edit(survey, model, weekday, now):
                model.change(weekday, now)
        else:
            wanted = model.tick(now)
            assert tick(now) == wanted
            assert kind == "tick" or tick(now) == 0
            opened += wanted
        assert recorded() == {at.isoformat(): state for at, state in model.states.items()}
    assert db.session.scalar(select(func.count(Invitation.id))) == opened
    assert db.session.scalar(select(func.count(mail.Outbox.id))) == opened


def test_the_model_agrees_with_what_is_known() -> None:
    """The gap and the overlap of METRICS, and half an hour in Lord Howe."""
    cases: list[tuple[str, str, str]] = [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:30"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45"),
    ]
    for place, local, moment in cases:
        assert seen(datetime.fromisoformat(local), place) == datetime.fromisoformat(moment + "Z")


# --- processes ----------------------------------------------------------------------------------

MONDAY = datetime(2026, 3, 2, 9)  # noqa: DTZ001
DUE = datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_processes_at_the_same_instant_open_remind_and_mail_once(app: Flask) -> None:
    people = [lena().id, jonas().id, mia().id]
    for _n in range(2):
        make_survey(MONDAY, "Europe/Berlin", reminder_days=(2,))
    with mailbox(app) as box:
        for now in (DUE + 2 * WEEK, DUE + 2 * WEEK + timedelta(days=2)):

            def look(now: datetime = now) -> None:
                with clock.at(now):
                    waves.tick(now)
                    reminders.remind_answers(now)
                    mail.send_due()

            at_once(app, 3, look)
    states = sorted(db.session.scalars(select(Wave.state)))
    assert states == [OPEN] * 2 + [SKIPPED] * 4
    written = db.session.execute(select(mail.Outbox.user_id, mail.Outbox.message)).all()
    assert len(written) == len(box.letters) == len({it["Message-ID"] for it in box.letters})
    # Two invitations each; on the day of reminders one of the two comes, and the other a day later.
    for person in people:
        mine = sorted(message for user_id, message in written if user_id == person)
        assert mine == ["survey_invitation", "survey_invitation", "survey_reminder"]


def wave_opens() -> None:
    """Two were missed, the third opens."""
    tick(DUE + 2 * WEEK)


def people_are_reminded() -> None:
    """Two days later."""
    with clock.at(DUE + 2 * WEEK + timedelta(days=2)):
        reminders.remind_answers(clock.now())


def wave_closes() -> None:
    """Long after it."""
    waves.close_waves(DUE + 9 * WEEK)


def everything() -> tuple[dict[str, str], int, int, int, int]:
    """What there is of waves and mails."""
    db.session.rollback()
    count = select(func.count())
    return (
        recorded(),
        db.session.scalar(count.select_from(Invitation)) or 0,
        db.session.scalar(count.select_from(mail.Outbox)) or 0,
        db.session.scalar(select(func.sum(Invitation.reminders))) or 0,
        db.session.scalar(count.where(Wave.closed_at.is_not(None))) or 0,
    )


def test_a_kill_at_any_statement_leaves_all_or_nothing(app: Flask) -> None:
    lena(), jonas()
    make_survey(MONDAY, "Europe/Berlin", reminder_days=(2,))
    opened = {"2026-03-02T09:00:00": SKIPPED, "2026-03-09T09:00:00": SKIPPED,
              "2026-03-16T09:00:00": OPEN}  # fmt: skip
    duties: list[tuple[Callable[[], None], tuple[dict[str, str], int, int, int, int]]] = [
        (wave_opens, (opened, 2, 2, 0, 0)),
        (people_are_reminded, (opened, 2, 4, 2, 0)),
        (wave_closes, (opened, 2, 4, 2, 1)),
    ]
    for work, after in duties:
        before, n = everything(), 1
        while is_killed_at(app, n, work):
            assert everything() == before
            n += 1
        assert n > 4
        assert everything() == after
        work()
        assert everything() == after
