"""Whom a wave asks: the audience of its survey, one per mailbox, nobody too often, all counted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock, mail
from portal.accounts.models import User, UserSession
from portal.db import db, write
from portal.errors import NotFound, Refused
from portal.mail import Outbox
from surveys import letters, reminders, waves
from surveys.models import BASELINE, OPEN, Invitation, Survey, Wave
from tests.factories import LONG_AGO, make_partner, make_user
from tests.mailbox import deliver, mailbox
from tests.people import anna, brandt, jonas, kuehn, lena, mia
from tests.surveys.asking import ask, make_survey

# A Monday, ten o'clock in Berlin.
NOW = datetime(2026, 6, 1, 8, 0, 20, tzinfo=UTC)


def asked(wave: Wave) -> set[str]:
    """The addresses of those who are asked."""
    db.session.rollback()
    query = select(User.email).join(Invitation, Invitation.user_id == User.id)
    return set(db.session.scalars(query.where(Invitation.wave_id == wave.id)))


def sign_in(person: User, at: datetime) -> None:
    """Somebody signs in."""
    with write() as session:
        session.add(
            UserSession(
                token_hash=f"{person.id}{at}", user_id=person.id, created_at=at, last_seen_at=at
            )
        )


def test_two_who_share_a_mailbox_are_asked_once(app: Flask) -> None:
    first = make_user(email="info@kuehn.example", partner=kuehn())
    second = make_user(email="info+sales@kuehn.example", partner=kuehn())
    make_user(email="info+left@kuehn.example", partner=kuehn(), deactivated_at=LONG_AGO)
    survey = make_survey(NOW)
    wave = ask(survey, NOW)
    assert asked(wave) == {first.email}
    assert wave.left_out == {"mailbox": 1}
    sign_in(first, NOW - timedelta(days=2))
    sign_in(second, NOW - timedelta(days=1))
    later = ask(survey, NOW + timedelta(days=30))
    assert asked(later) == {second.email}
    assert db.session.query(mail.Outbox).count() == 2


def test_nobody_is_asked_again_before_the_days_of_quarantine_are_over(app: Flask) -> None:
    lena(), make_user(email="lena+news@kuehn.example", partner=kuehn())
    one, other = make_survey(NOW, name="One"), make_survey(NOW, name="Two", quarantine_days=7)
    ask(one, NOW)
    mia()
    # Also the other person of the mailbox that was written to.
    wave = ask(other, NOW + timedelta(days=1))
    assert asked(wave) == {"mia@brandt.example"}
    assert wave.left_out == {"quarantine": 2}
    # Days of the calendar: seconds by which the last wave was late keep nobody out.
    again = ask(other, NOW + timedelta(days=8, seconds=-20))
    assert asked(again) == {"lena@kuehn.example", "mia@brandt.example"}
    assert again.left_out == {"mailbox": 1}


def test_two_surveys_due_at_once_see_each_others_invitations(app: Flask) -> None:
    lena(), jonas()
    keys = [make_survey(NOW, name=name, quarantine_days=3).id for name in ("One", "Two")]
    db.session.remove()
    together = threading.Barrier(2)

    def look(key: object) -> None:
        with app.app_context():
            together.wait()
            with write((Survey, key)) as session:
                survey = session.get_one(Survey, key)
                waves.open_by_hand(session, survey, BASELINE, NOW)
            db.session.remove()

    threads = [threading.Thread(target=look, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.session.query(Invitation).count() == 2
    left_out = [wave.left_out for wave in db.session.scalars(select(Wave))]
    assert sorted(map(str, left_out)) == ["{'quarantine': 2}", "{}"]


def test_two_surveys_due_on_one_day_write_on_two(app: Flask) -> None:
    lena(), jonas()
    first = ask(make_survey(NOW, reminder_days=[1]), NOW)
    for name in ("Two", "Three"):
        with clock.at(NOW + timedelta(minutes=5)):
            ask(make_survey(NOW, name=name), clock.now())
    mails: list[tuple[str, int]] = []
    with mailbox(app) as box:
        for day in range(4):
            with clock.at(NOW + timedelta(days=day, minutes=30)):
                db.session.rollback()
                reminders.remind_answers(clock.now())
                deliver()
            mails.append((box.letters[-1]["To"], len(box.letters)))
    # One a day each, and the reminder of the first when none of the others is due any more.
    assert [n for _to, n in mails] == [2, 4, 6, 8]
    sent = db.session.scalars(
        select(Outbox.message).where(Outbox.user_id == lena().id).order_by(Outbox.sent_at)
    ).all()
    assert sent == ["survey_invitation"] * 3 + ["survey_reminder"]
    assert first.closes_at > NOW + timedelta(days=3)


def test_a_wave_that_closes_before_another_day_writes_at_once(app: Flask) -> None:
    lena()
    ask(make_survey(NOW), NOW)
    ask(make_survey(NOW, name="Short", open_days=1), NOW + timedelta(minutes=1))
    due = db.session.scalars(select(Outbox.due_at).order_by(Outbox.created_at)).all()
    assert due == [NOW, NOW + timedelta(minutes=1)]


def test_who_asks_for_the_mail_that_is_held_gets_it_now(app: Flask) -> None:
    lena()
    ask(make_survey(NOW), NOW)
    second = ask(make_survey(NOW, name="Two"), NOW + timedelta(minutes=1))
    asked_for = NOW + timedelta(minutes=2)
    key = db.session.scalars(select(Invitation.id).where(Invitation.wave_id == second.id)).one()
    with clock.at(asked_for), write((Invitation, key)) as session:
        letters.send_again(session, session.get_one(Invitation, key), asked_for)
    with mailbox(app) as box, clock.at(asked_for):
        deliver()
    assert len(box.letters) == 2
    assert db.session.query(Outbox).count() == 2


def test_an_audience_is_asked_as_it_is_when_the_wave_opens(app: Flask) -> None:
    lena(), jonas(), mia(), anna()
    make_user(email="far@x.example", partner=make_partner(region="Nordics", tier="Gold"))
    survey = make_survey(NOW, audience={"regions": ["DACH"], "roles": ["partner_user"]})
    wave = ask(survey, NOW)
    assert asked(wave) == {"lena@kuehn.example", "mia@brandt.example"}
    with write() as session:
        session.execute(update(User).values(partner_id=brandt().id).where(User.id == lena().id))
    frozen = db.session.scalars(
        select(Invitation.partner_id).where(Invitation.user_id == lena().id)
    ).one()
    assert frozen == kuehn().id


def test_a_baseline_may_ask_those_who_have_no_account_yet(app: Flask) -> None:
    make_user(email="new@kuehn.example", partner=kuehn(), held_at=LONG_AGO, joined_at=None)
    survey = make_survey(NOW)
    assert asked(ask(survey, NOW, BASELINE)) == set()
    wave = ask(survey, NOW + timedelta(days=6), BASELINE, include_held=True)
    assert asked(wave) == {"new@kuehn.example"}
    assert (wave.kind, wave.occurrence_local) == (BASELINE, "m2026-06-07T10:00:00")


def test_a_wave_is_opened_by_hand_only_while_none_is_open(app: Flask) -> None:
    lena()
    survey = make_survey(NOW)
    wave = ask(survey, NOW)
    assert wave.closes_at == NOW + timedelta(days=5)
    with pytest.raises(Refused, match="is open until Sat 6 Jun 2026, 10:00"):
        ask(survey, wave.closes_at - timedelta(seconds=1))
    with pytest.raises(NotFound):
        ask(survey, wave.closes_at, "scheduled")
    ask(survey, wave.closes_at)
    # The clock was wrong and set back: the minute has its wave.
    with write() as session:
        session.execute(update(Wave).values(closes_at=NOW))
    with pytest.raises(Refused, match="in this minute already"):
        ask(survey, NOW + timedelta(seconds=30))
    assert db.session.query(Wave).where(Wave.state == OPEN).count() == 2
    assert ask(make_survey(NOW, name="Other"), NOW).kind == "manual"


def test_a_survey_that_cannot_be_opened_does_not_keep_the_others_waiting(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lena()
    weekly: dict[str, Any] = {
        "rrule": "FREQ=WEEKLY;BYDAY=MO", "starts_local": "2026-06-01T10:00:00",
    }  # fmt: skip
    bad, _good = make_survey(NOW, name="Bad", **weekly), make_survey(NOW, name="Good", **weekly)
    real, broken = waves.open_wave, bad.id

    def open_wave(session: object, survey: Survey, *rest: object) -> Wave:
        if survey.id == broken:
            raise ValueError("broken")
        return real(session, survey, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(waves, "open_wave", open_wave)
    db.session.rollback()
    with clock.at(NOW), pytest.raises(ValueError, match="broken"):
        waves.tick(NOW)
    assert db.session.scalars(select(Wave.survey_id)).all() != [bad.id]
    assert db.session.query(Wave).count() == 1
