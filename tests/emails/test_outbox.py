"""Mail leaves once, when it can; its secrets are nowhere but in it."""

from __future__ import annotations

import threading
from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from portal import clock, mail
from portal.accounts.models import User
from portal.db import db, write
from tests.conftest import Browse
from tests.mailbox import deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import ada, lena


def queue() -> None:
    """Lena asks for a code."""
    person = lena()
    with write() as session:
        mail.queue(session, message="sign_in_code", user_id=person.id, params={"next": ""})


def states() -> list[str]:
    """Where every mail stands."""
    db.session.rollback()
    return list(db.session.scalars(select(mail.Outbox.state)))


def test_without_a_mail_server_it_waits_and_is_listed_without_its_secret(
    app: Flask, browse: Browse
) -> None:
    queue()
    assert deliver() == 0
    page = text_of(browse(ada()).get("/jobs"))
    assert "1 mail waits" in page
    assert "lena@kuehn.example" in page
    assert "No mail server is set" in page
    with mailbox(app) as box:
        deliver()
    assert states() == [mail.SENT]
    row = db.session.scalars(select(mail.Outbox)).one()
    code = box.letters[0]["Subject"][:6]
    assert code not in repr(vars(row))
    assert box.letters[0]["Message-ID"] == row.message_id


def test_a_server_that_refuses_for_now_is_asked_again_later(app: Flask) -> None:
    queue()
    with mailbox(app) as box:
        box.refuse = "451 try later"
        deliver()
        assert states() == [mail.WAITING]
        box.refuse = ""
        assert deliver() == 0
        with clock.at(clock.now() + timedelta(minutes=2)):
            assert deliver() == 1
    assert states() == [mail.SENT]
    assert len(box.letters) == 1


def test_a_refusal_for_good_is_shown_and_not_repeated(app: Flask) -> None:
    queue()
    with mailbox(app) as box:
        box.refuse = "550 no such person"
        deliver()
        with clock.at(clock.now() + timedelta(hours=1)):
            deliver()
    assert states() == [mail.FAILED]


def test_a_sender_that_died_leaves_an_unknown_outcome_that_is_not_repeated(app: Flask) -> None:
    queue()
    key = db.session.scalars(select(mail.Outbox.id)).one()
    with mailbox(app) as box:
        db.session.rollback()
        assert mail._claim(key) is not None
        with clock.at(clock.now() + timedelta(minutes=6)):
            deliver()
    assert states() == [mail.UNKNOWN]
    assert box.letters == []


def test_a_sender_that_was_slow_says_what_came_of_it_when_another_had_given_up(app: Flask) -> None:
    queue()
    key = db.session.scalars(select(mail.Outbox.id)).one()
    with mailbox(app) as box:
        db.session.rollback()
        letter = mail._claim(key)
        assert letter is not None
        with clock.at(clock.now() + timedelta(minutes=6)):
            deliver()
            assert states() == [mail.UNKNOWN]
            mail._finish(key, *mail._deliver(letter))
            assert states() == [mail.SENT]
            # Whoever comes later still has nothing to say about it any more.
            mail._finish(key, mail.WAITING, "")
    assert states() == [mail.SENT]
    assert len(box.letters) == 1


def test_a_mail_that_cannot_be_written_stops_no_other_and_is_given_up_in_the_end(
    app: Flask,
) -> None:
    queue()
    person = lena().id
    with write() as session:
        bad = mail.queue(session, message="notices", user_id=person, params={}).id
        session.get_one(mail.Outbox, bad).due_at = clock.now() - timedelta(hours=1)
    with mailbox(app) as box:
        assert deliver() == 1
        for hours in range(mail.MAX_TRIES):
            with clock.at(clock.now() + timedelta(hours=2 * hours)):
                deliver()
    assert len(box.letters) == 1
    row = db.session.get_one(mail.Outbox, bad, populate_existing=True)
    assert (row.state, row.tries, row.error) == (mail.FAILED, mail.MAX_TRIES, "KeyError: 'bundle'")


def test_two_senders_at_once_send_it_once(app: Flask) -> None:
    queue()
    db.session.rollback()

    def send() -> None:
        with app.app_context():
            mail.send_due()

    with mailbox(app) as box:
        threads = [threading.Thread(target=send) for _n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(box.letters) == 1
    assert states() == [mail.SENT]


def test_a_mail_that_came_too_late_is_not_sent(app: Flask) -> None:
    person = lena()
    with write() as session:
        mail.queue(
            session,
            message="sign_in_code",
            user_id=person.id,
            params={"next": ""},
            expires_at=clock.now() + timedelta(minutes=15),
        )
    with mailbox(app) as box, clock.at(clock.now() + timedelta(minutes=20)):
        deliver()
    assert box.letters == []
    assert states() == [mail.EXPIRED]


def test_a_hostile_name_cannot_add_a_header(app: Flask) -> None:
    key = lena().id
    with write() as session:
        session.get_one(User, key).name = "Lena\r\nBcc: everyone@example.com"
    queue()
    with mailbox(app) as box:
        deliver()
    assert box.letters[0]["Bcc"] is None
    assert "Hello" in mail_text(box.letters[0])
