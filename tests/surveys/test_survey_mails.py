"""The mails that ask and remind: in the reader's language, to be answered or stopped, never after
an answer, and never by a scanner."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock, mail
from portal.accounts.models import User
from portal.db import db, write
from surveys import invitations, reminders
from surveys.models import Invitation, Response, SurveyOptOut, Wave
from tests.conftest import Browse
from tests.factories import make_user
from tests.mailbox import Mailbox, deliver, links_of, mailbox
from tests.mailbox import text_of as words_of
from tests.pages import text_of
from tests.people import jonas, kuehn, lena, mia
from tests.surveys.asking import ask, later, make_survey, send

# A Monday; on the Sunday before it is closed, clocks in Berlin go forward.
OPENED = datetime(2026, 3, 23, 8, 0, 17, tzinfo=UTC)
LENA = "lena@kuehn.example"


@pytest.fixture
def box(app: Flask) -> Iterator[Mailbox]:
    """A real mail server."""
    with mailbox(app) as opened:
        yield opened


def send_mails(at: datetime) -> int:
    """What the jobs do at a moment: remind, and send."""
    db.session.rollback()
    with clock.at(at):
        written = reminders.remind_answers(at)
        deliver()
    return written


def test_a_mail_reads_right_in_english_and_in_german(app: Flask, box: Mailbox) -> None:
    lena(), make_user("Uwe Roth", partner=kuehn(), email="uwe@kuehn.example", locale="de")
    survey = make_survey(OPENED, open_days=7, mode="confidential", minimum_n=7)
    first = ask(survey, OPENED)
    with write((Wave, first.id)) as session:
        session.get_one(Wave, first.id).said = "You asked for drawings. They are there."
    again = OPENED + timedelta(days=91)
    with clock.at(again):
        ask(survey, again)
        deliver()
    english, german = words_of(box.to(LENA)[0]), words_of(box.to("uwe@kuehn.example")[0])
    assert len(box.letters) == 2
    assert "How satisfied are you with working with Nordwerk?" in english
    assert "Open until Monday, 29 June 2026, 10:00 (Europe/Berlin, UTC+02:00)." in english
    assert "Wie zufrieden sind Sie" in german
    assert "Montag, 29. Juni 2026, 10:00 (Europe/Berlin, UTC+02:00)" in german
    assert "1 = überhaupt nicht zufrieden, 10 = sehr zufrieden" in german
    assert "only figures of 7 people or more together" in english
    assert "You said, we did:\r\nYou asked for drawings." in english
    numbered = [line for line in english.splitlines() if "?company=" in line]
    assert [line.split()[0] for line in numbered] == [str(n) for n in range(1, 11)]
    assert [line.rsplit("=", 1)[1] for line in numbered] == [str(n) for n in range(1, 11)]


def test_it_closes_at_the_same_hour_although_the_clocks_change(app: Flask, box: Mailbox) -> None:
    lena()
    wave = ask(make_survey(OPENED, open_days=7), OPENED)
    assert wave.closes_at == datetime(2026, 3, 30, 7, 0, 17, tzinfo=UTC)
    with clock.at(OPENED):
        deliver()
    assert "09:00 (Europe/Berlin, UTC+02:00)" in words_of(box.letters[0])


def test_a_mail_program_stops_the_mails_in_one_click_and_a_scanner_does_not(
    app: Flask, browse: Browse, box: Mailbox
) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    lena()
    survey = make_survey(clock.now())
    ask(survey)
    deliver()
    letter = box.letters[0]
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = letter["List-Unsubscribe"].strip("<>")
    assert address.startswith("http://127.0.0.1:8000/survey/")
    assert address.endswith("/unsubscribe")
    path = urlsplit(address).path
    for method in ("GET", "HEAD"):
        assert browse(None).open(path, method=method).status_code == 200
    # Neither whoever posts what is in the page without its token, nor an empty form.
    assert browse(None).post(path).status_code == 400
    assert db.session.query(SurveyOptOut).count() == 0
    one_click = {"List-Unsubscribe": "One-Click"}
    for _n in range(2):
        assert browse(None).post(path, data=one_click).status_code == 200
    assert browse(None).post("/survey/made-up/unsubscribe", data=one_click).status_code == 404
    assert db.session.scalars(select(SurveyOptOut.user_id)).all() == [lena().id]


def test_who_turned_mail_off_is_not_asked_until_they_turn_it_on_again(
    browse: Browse, box: Mailbox
) -> None:
    lena(), jonas()
    survey, page = make_survey(clock.now(), reminder_days=[1]), "/account/notices"
    wave = ask(survey)
    assert 'value="surveys" checked' in browse(lena()).get(page).text
    browse(lena()).post(page, data={"timezone": ""})
    send_mails(later(wave, minutes=1))
    send_mails(later(wave, days=1))
    assert [letter["To"] for letter in box.letters] == ["jonas@kuehn.example"] * 2
    assert 'value="surveys" checked' not in browse(lena()).get(page).text
    second = ask(survey, later(wave, days=20))
    assert second.left_out == {"opted_out": 1}
    browse(lena()).post(page, data={"timezone": "", "kinds": ["surveys"]})
    assert ask(survey, later(wave, days=40)).left_out == {}


def test_every_link_of_a_mail_at_once_changes_nothing(
    app: Flask, browse: Browse, box: Mailbox
) -> None:
    lena()
    ask(make_survey(clock.now()))
    deliver()
    links = links_of(box.letters[0])
    assert len(links) == 12
    browsers = [browse(None) for _link in links]
    db.session.remove()
    with ThreadPoolExecutor(6) as pool:
        pages = list(pool.map(lambda browser, link: browser.get(link), browsers, links))
    assert [page.status_code for page in pages] == [200] * 12
    assert db.session.query(Response).count() == db.session.query(SurveyOptOut).count() == 0
    assert db.session.scalars(select(Invitation)).one().answered is None


def test_reminders_come_on_their_days_at_the_hour_of_the_opening(box: Mailbox) -> None:
    lena()
    wave = ask(make_survey(OPENED, open_days=12, reminder_days=[3, 7, 12]), OPENED)
    send_mails(OPENED)
    days = [OPENED + timedelta(hours=n) for n in range(0, 12 * 24, 5)]
    # The clocks went forward on the 29th: the hour stays.
    moments = [
        datetime(2026, 3, 26, 8, 0, 17, tzinfo=UTC), datetime(2026, 3, 30, 7, 0, 17, tzinfo=UTC),
    ]  # fmt: skip
    sent = [at for at in sorted(days + moments) if send_mails(at)]
    assert sent == moments
    assert [letter["Subject"][:8] for letter in box.letters[1:]] == ["Reminder"] * 2
    assert "We have not heard from you yet." in words_of(box.letters[1])
    assert "Open until Saturday" in words_of(box.letters[1])
    # The last one would come when it is over.
    assert send_mails(wave.closes_at) == 0


def test_after_an_outage_one_reminder_comes_and_not_at_night(box: Mailbox) -> None:
    lena()
    wave = ask(make_survey(OPENED, open_days=14, reminder_days=[2, 4]), OPENED)
    send_mails(OPENED)
    assert send_mails(later(wave, days=5, hours=-6)) == 0
    assert [send_mails(later(wave, days=5, hours=n)) for n in range(3)] == [1, 0, 0]
    assert db.session.scalars(select(Invitation.reminders)).one() == 2


@pytest.mark.parametrize("what", ["answered", "declined_at", "opt_out", "left", "closed"])
def test_nobody_is_reminded_of_what_is_settled(box: Mailbox, what: str) -> None:
    lena(), jonas()
    wave = ask(make_survey(OPENED, reminder_days=[1], open_days=3), OPENED)
    send_mails(OPENED)
    due, settled = later(wave, days=1), lena().id
    db.session.rollback()

    def settle() -> None:
        with write((User, settled)) as session:
            own = update(Invitation).where(Invitation.user_id == settled)
            if what == "answered":
                session.execute(own.values(answered=invitations.COMPLETE))
            elif what == "declined_at":
                session.execute(own.values(declined_at=due))
            elif what == "opt_out":
                invitations.choose_mail(session, settled, due, wanted=False)
            elif what == "left":
                session.get_one(User, settled).deactivated_at = due

    # Written down before it was settled: the check is made again at the moment of sending.
    with clock.at(due):
        assert reminders.remind_answers(due) == 2
    settle()
    with clock.at(wave.closes_at if what == "closed" else due):
        deliver()
    expected = [] if what == "closed" else ["jonas@kuehn.example"]
    assert [letter["To"] for letter in box.letters[2:]] == expected
    # And not written down at all after it was settled.
    with write() as session:
        session.execute(update(Invitation).values(reminders=0))
    at = wave.closes_at if what == "closed" else due + timedelta(days=1)
    with clock.at(at):
        assert reminders.remind_answers(at) == len(expected)


def test_reminding_twice_at_once_reminds_once(app: Flask, box: Mailbox) -> None:
    lena(), jonas(), mia()
    wave = ask(make_survey(OPENED, reminder_days=[1]), OPENED)
    due = later(wave, days=1)
    send_mails(OPENED)
    db.session.remove()

    def look(_n: int) -> int:
        with app.app_context():
            try:
                return reminders.remind_answers(due)
            finally:
                db.session.remove()

    with clock.at(due), ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(look, range(3))) == 3
    assert db.session.query(mail.Outbox).count() == 6


def test_two_surveys_do_not_remind_on_the_same_day(box: Mailbox) -> None:
    lena()
    for name in ("One", "Two"):
        wave = ask(make_survey(OPENED, name=name, reminder_days=[2], open_days=9), OPENED)
    send_mails(OPENED)
    assert [send_mails(later(wave, days=n)) for n in range(1, 6)] == [0, 1, 1, 0, 0]


def test_an_answer_by_the_portal_before_the_mail_left_leaves_it_unsent(
    browse: Browse, box: Mailbox
) -> None:
    wave = (lena(), ask(make_survey(clock.now())))[1]
    key = db.session.scalars(select(Invitation.id).where(Invitation.wave_id == wave.id)).one()
    page = browse(lena()).get(f"/survey/invitation/{key}")
    assert "Your answer is saved" in text_of(
        browse(lena()).post(f"/survey/invitation/{key}", data=send(page))
    )
    deliver()
    assert box.letters == []
