"""Ten years of a quarterly survey of 500 partners, in one run: no wave doubled, none missed.

That one on SQLite only, as on PostgreSQL it takes half a minute. There ten years of 20 partners
are played with all that follows an opening: mails, answers and reminders.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal import clock, mail
from portal.accounts.models import Partner, Role, User
from portal.db import db, new_id, write
from surveys import answering, reminders, responses, waves
from surveys.answering import Given
from surveys.models import OPEN, SKIPPED, Invitation, Questionnaire, Response, Survey, Wave
from surveys.questions import Questions
from tests.surveys.asking import set_up

BERLIN = ZoneInfo("Europe/Berlin")
PARTNERS, YEARS, OPEN_DAYS = 500, 10, 14
SEED = 20260105


def first_monday(year: int, month: int) -> date:
    """The first Monday of a month, by the calendar."""
    return next(day for n in range(1, 8) if (day := date(year, month, n)).weekday() == 0)


DUE = [
    datetime(first.year, first.month, first.day, 9, tzinfo=BERLIN).astimezone(UTC)
    for year in range(2026, 2026 + YEARS)
    for month in (1, 4, 7, 10)
    for first in [first_monday(year, month)]
]


def make_partners(n: int = PARTNERS) -> None:
    """So many partners with one person each."""
    then = datetime(2025, 1, 1, tzinfo=UTC)
    partners = [
        Partner(id=new_id(), name=f"Partner {n}", tier="Gold", region="DACH", country="DE",
                languages=["de"], created_at=then)
        for n in range(n)
    ]  # fmt: skip
    with write() as session:
        session.add_all(partners)
        session.flush()
        session.add_all(
            User(id=new_id(), name=f"Person {n}", email=f"p{n}@example.com",
                 role=Role.partner_user, partner_id=partner.id, created_at=then, joined_at=then)
            for n, partner in enumerate(partners)
        )  # fmt: skip


def make_survey(*reminder_days: int) -> Survey:
    """Every quarter, first Monday, 09:00."""
    with write() as session:
        survey = set_up(
            session, datetime(2026, 1, 1, 9), datetime(2025, 12, 1, tzinfo=UTC),  # noqa: DTZ001
            name="Quarter", rhythm="quarterly", open_days=OPEN_DAYS,
        )  # fmt: skip
        survey.reminder_days = list(reminder_days)
    return survey


def looks(random: Random) -> list[datetime]:
    """When a scheduler looked: every week or so, several at once, and with outages of up to three
    quarters."""
    now, found = datetime(2025, 12, 28, tzinfo=UTC), []
    while now < DUE[-1] - timedelta(days=1):
        found += [now] * random.choice([1, 1, 2])
        outage = random.random() < 0.03
        now += timedelta(days=random.uniform(60, 270) if outage else random.uniform(4, 20))
    return [*found, *(DUE[-1] + timedelta(days=days) for days in (2, 8, 20))]


def some_answer(random: Random, wave_id: object, now: datetime, people: int = 5) -> set[object]:
    """A few answer all of it, some twice; returns the invitations that have."""
    asked = select(Invitation.id).where(Invitation.wave_id == wave_id).order_by(Invitation.id)
    with write() as session:
        questionnaire = session.scalars(select(Questionnaire)).one()
        body = Questions.parse(questionnaire.body)
        questions = answering.questions_of(body, "en", "Nordwerk")
        chosen = random.sample(list(session.scalars(asked)), people)
        for n, key in enumerate([*chosen, *chosen[:2]]):
            score = Given(value=random.randint(5, 10))
            filled_in = answering.FilledIn({"company": score, "experience": score})
            responses.save(session, key, "", f"s{n}", questions, filled_in, now)
    return set(chosen)


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_ten_years_of_quarters_for_500_partners(app: Flask) -> None:
    random, answered, opened = Random(SEED), set(), 0
    make_partners()
    survey = make_survey()
    times = looks(random)
    assert max(b - a for a, b in pairwise(times)) > timedelta(days=180)
    for now in times:
        db.session.rollback()
        with clock.at(now):
            fresh = waves.tick(now)
            assert fresh in (0, 1)
            opened += fresh
            waves.close_waves(now)
            if fresh:
                latest = select(Wave.id).where(Wave.state == OPEN).order_by(Wave.opened_at.desc())
                answered |= some_answer(random, db.session.scalars(latest.limit(1)).one(), now)
    db.session.rollback()

    # What has to be there, told by the calendar and the looks alone.
    wanted = {}
    for now in times:
        fresh_ones = [due for due in DUE if due <= now and due not in wanted]
        for due in fresh_ones:
            closes = due.astimezone(BERLIN).replace(tzinfo=None) + timedelta(days=OPEN_DAYS)
            still = closes.replace(tzinfo=BERLIN) > now
            wanted[due] = OPEN if due == fresh_ones[-1] and still else SKIPPED
    rows = db.session.execute(
        select(Wave.occurrence_local, Wave.state).where(Wave.survey_id == survey.id)
    ).all()
    local = {due.astimezone(BERLIN).replace(tzinfo=None).isoformat(): due for due in DUE}
    assert len(rows) == len(DUE) == 40
    assert {local[row.occurrence_local]: row.state for row in rows} == wanted
    assert list(wanted.values()).count(OPEN) == opened > 25
    assert list(wanted.values()).count(SKIPPED) > 3

    # Everyone once a wave, by one mail; one answer of each who answered.
    invited = db.session.execute(select(Invitation.wave_id, Invitation.user_id)).all()
    assert len(invited) == len(set(invited)) == opened * PARTNERS
    mailed = Counter(
        params["invitation"] for params in db.session.scalars(select(mail.Outbox.params))
    )
    assert set(mailed.values()) == {1}
    assert len(mailed) == len(invited)
    given = list(db.session.scalars(select(Response.invitation_id)))
    assert len(given) == len(set(given)) == len(answered)
    # Every wave is comparable with every other.
    hashes = select(func.count(func.distinct(Questionnaire.core_hash))).join(
        Wave, Wave.questionnaire_id == Questionnaire.id
    )
    assert db.session.scalar(hashes) == 1


FEW, ANSWERING, REMIND_AFTER = 20, 15, 5


@pytest.mark.parametrize("app", ["postgresql"], indirect=True)
def test_ten_years_of_mails_answers_and_reminders(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[tuple[str, datetime]] = []

    def take(letter: EmailMessage) -> tuple[str, str]:
        delivered.append((letter["To"], clock.now()))
        return mail.SENT, ""

    monkeypatch.setattr(mail, "_deliver", take)
    smtp = replace(app.config["SETTINGS"], smtp_url="smtp://127.0.0.1:25")
    monkeypatch.setitem(app.config, "SETTINGS", smtp)
    random, answered = Random(SEED), set[object]()
    make_partners(FEW)
    make_survey(REMIND_AFTER)

    def work(now: datetime, *, mails_leave: bool) -> None:
        """What the jobs do, and once more as by a second scheduler."""
        with clock.at(now):
            for _n in range(2):
                waves.tick(now)
                reminders.remind_answers(now)
                waves.close_waves(now)
            while mails_leave and mail.waiting(db.session()):
                mail.send_due()

    # The mail server is there in one wave of four: mails that come too late are never sent.
    for n, due in enumerate(DUE):
        work(due + timedelta(seconds=20), mails_leave=n % 4 == 0)
        wave = db.session.scalars(select(Wave).order_by(Wave.opened_at.desc()).limit(1)).one()
        answered |= some_answer(random, wave.id, due + timedelta(days=2), ANSWERING)
        # The day of the reminder, the day after it, and the end.
        for days in (REMIND_AFTER, REMIND_AFTER + 1, OPEN_DAYS):
            work(due + timedelta(days=days, hours=2), mails_leave=n % 4 == 0)

    invited = set(db.session.scalars(select(Invitation.id)))
    assert len(invited) == len(DUE) * FEW == 800
    assert len(answered) == ANSWERING * len(DUE)
    rows = db.session.execute(select(mail.Outbox.message, mail.Outbox.params)).all()
    written = Counter((message, uuid.UUID(params["invitation"])) for message, params in rows)
    asked = {("survey_invitation", key): 1 for key in invited}
    assert written == asked | {("survey_reminder", key): 1 for key in invited - answered}
    assert len(delivered) == len(written) / 4
    assert set(Counter((to, at.date()) for to, at in delivered).values()) == {1}
