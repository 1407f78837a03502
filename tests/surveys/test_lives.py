"""The lives of waves, in any order of what people and jobs do: nobody gets a mail after their
answer, none comes twice, and of each recipient there is one answer at most."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from portal import clock, mail
from portal.accounts.models import User
from portal.db import db, write
from portal.errors import Gone
from surveys import answering, invitations, reminders, responses, waves
from surveys.answering import FilledIn, Given
from surveys.models import Invitation, Mode, Response, SurveyOptOut
from surveys.questions import Questions
from tests.mailbox import Mailbox, links_of, mailbox
from tests.people import jonas, lena, mia
from tests.processes import is_killed_at
from tests.surveys.asking import ask, make_survey
from tests.surveys.test_occurrences import forget_all

REMINDER_DAYS, OPEN_DAYS = [1, 3], 5
PEOPLE = (lena, jonas, mia)


def answer(invitation: Invitation, token: str, scores: dict[str, int], number: int) -> bool:
    """Send what somebody chose; whether it is complete."""
    given = {question: Given(value=score) for question, score in scores.items()}
    with write((Invitation, invitation.id)) as session:
        body = Questions.parse(invitation.wave.questionnaire.body)
        questions = answering.questions_of(body, "en", "Nordwerk")
        key = responses.key_of(token) if token else ""
        kept = responses.save(
            session, invitation.id, key, str(number), questions, FilledIn(given), clock.now()
        )
        return kept is not None and kept.complete


def invitation_of(user_id: object) -> Invitation:
    """How a person was asked."""
    db.session.rollback()
    return db.session.scalars(select(Invitation).where(Invitation.user_id == user_id)).one()


def newest_token(box: Mailbox, address: str) -> str:
    """The token of the newest mail to somebody, or nothing."""
    letters = box.to(address)
    return links_of(letters[-1])[-2].split("/")[2] if letters else ""


DOES = ["send", "send", "remind", "remind", "answer", "change", "begin", "decline", "off", "close"]
deeds = st.lists(
    st.tuples(st.sampled_from(DOES), st.integers(0, 2), st.integers(0, 30)),
    min_size=3,
    max_size=14,
)


def test_mails_and_answers_in_any_order(app: Flask) -> None:
    people = [(person.id, person.email) for person in (make() for make in PEOPLE)]

    @settings(
        max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.sampled_from(Mode), deeds)
    def live(mode: Mode, deeds: list[tuple[str, int, int]]) -> None:
        forget_all()
        with write() as session:
            session.query(SurveyOptOut).delete()
        box.letters.clear()
        now = clock.now()
        wave = ask(
            make_survey(now, mode=mode, reminder_days=REMINDER_DAYS, open_days=OPEN_DAYS), now
        )
        settled: dict[str, int] = {}
        for number, (deed, index, hours) in enumerate(deeds):
            now += timedelta(hours=hours)
            user_id, address = people[index]
            with clock.at(now):
                do(deed, user_id, address, number, settled)
            answered = select(func.count()).where(Invitation.answered.is_not(None))
            assert db.session.query(Response).count() == db.session.scalar(answered)
        with clock.at(wave.closes_at + timedelta(days=30)):
            do("remind", *people[0], 99, settled)
            do("send", *people[0], 99, settled)
        for user_id, address in people:
            letters = box.to(address)
            kinds = Counter("Reminder" in str(letter["Subject"]) for letter in letters)
            assert kinds[False] <= 1
            assert kinds[True] <= len(REMINDER_DAYS)
            assert len(letters) == settled.get(address, len(letters))
            rows = select(func.count()).where(mail.Outbox.user_id == user_id)
            assert (db.session.scalar(rows) or 0) <= 1 + len(REMINDER_DAYS)
        assert len({letter["Message-ID"] for letter in box.letters}) == len(box.letters)

    def do(deed: str, user_id: object, address: str, number: int, settled: dict[str, int]) -> None:
        invitation = invitation_of(user_id)
        wave, now = invitation.wave, clock.now()
        over = now >= wave.closes_at
        if deed == "send":
            mail.send_due()
        elif deed == "remind":
            reminders.remind_answers(now)
            assert reminders.remind_answers(now) == 0
        elif deed == "close":
            waves.close_waves(now)
        elif deed == "decline" and not over:
            with write((Invitation, invitation.id)) as session:
                invitations.decline(session.get_one(Invitation, invitation.id), now)
        elif deed == "off":
            with write((User, user_id)) as session:
                invitations.choose_mail(session, invitation.user_id, now, wanted=False)
            settled.setdefault(address, len(box.to(address)))
        elif deed in ("answer", "change", "begin"):
            token = newest_token(box, address) if wave.mode == Mode.anonymous else ""
            if wave.mode == Mode.anonymous and not token:
                return
            scores = {"company": 1 + number % 10, "experience": 7}
            if deed == "begin":
                del scores["experience"]
            try:
                complete = answer(invitation, token, scores, number)
            except Gone:
                # Too late, or answered from another mail of an anonymous survey.
                assert over or wave.mode == Mode.anonymous
            else:
                assert not over
                if complete:
                    settled.setdefault(address, len(box.to(address)))

    with mailbox(app) as box:
        live()


@pytest.mark.parametrize("mode", [Mode.attributed, Mode.anonymous])
def test_a_kill_at_any_statement_of_an_answer_leaves_it_whole_or_not_there(
    app: Flask, mode: Mode
) -> None:
    person = lena().id
    ask(make_survey(clock.now(), mode=mode))
    invitation = invitation_of(person)
    key = invitation.id

    def answers() -> None:
        assert answer(
            db.session.get_one(Invitation, key), "token", {"company": 3, "experience": 9}, 1
        )

    def stored() -> tuple[int, str | None]:
        return db.session.query(Response).count(), invitation_of(person).answered

    n = 1
    while is_killed_at(app, n, answers):
        assert stored() == (0, None)
        n += 1
    assert n > 6
    assert stored() == (1, "complete")
    answers()
    assert stored() == (1, "complete")
