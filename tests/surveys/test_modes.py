"""Who sees my answer: with a name, only in sums, or without a tie to me."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.db import db, write
from portal.reports import records
from surveys import reminders, waves
from surveys.models import Answer, FollowUp, Invitation, Mode, Response, SurveyLink
from surveys.wording import who_sees
from tests.conftest import Browse
from tests.factories import LONG_AGO, make_user
from tests.mailbox import deliver, links_of, mailbox
from tests.mailbox import text_of as words_of
from tests.pages import text_of
from tests.people import ada, anna, lena
from tests.reports.test_reports import rows
from tests.surveys.asking import MORE_QUESTIONS, ask, later, link_to, make_survey, send
from tests.surveys.crowds import make_people, make_wave

LENA = "lena@kuehn.example"


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("attributed", "see your answer with your name and your company"),
        ("confidential", "have answered. The portal itself knows which answer is yours"),
        ("anonymous", "what ties your answer to you is deleted"),
    ],
)
def test_who_sees_it_stands_above_the_scale(
    app: Flask, browse: Browse, mode: str, words: str
) -> None:
    lena()
    ask(make_survey(clock.now(), mode=mode))
    page = text_of(browse(None).get(link_to(app, LENA)))
    assert page.index(words) < page.index("How satisfied are you with working")


WORD_FOR_WORD = "What you write is shown word for word, without your name."


@pytest.mark.parametrize("mode", list(Mode))
def test_it_is_said_beside_each_text_that_it_is_shown_word_for_word(
    app: Flask, browse: Browse, mode: str
) -> None:
    lena()
    ask(make_survey(clock.now(), mode=mode, questions=MORE_QUESTIONS))
    with mailbox(app) as box:
        deliver()
    mailed = " ".join(words_of(box.to(LENA)[-1]).split())
    page = browse(None).get(links_of(box.to(LENA)[-1])[10])
    protected = mode != Mode.attributed
    # In the mail once; on the page above the scale, and below the two fields for words.
    assert mailed.count(WORD_FOR_WORD) == protected
    assert text_of(page).count(WORD_FOR_WORD) == 3 * protected
    for key in ("why", "comment"):
        assert (f'aria-describedby="{key}-shown"' in page.text) == protected
        assert (f'id="{key}-shown">{WORD_FOR_WORD}' in page.text) == protected
    for words in (mailed, text_of(page)):
        assert ("only figures of 5 people or more together" in words) == protected
        assert ("before the survey has closed and 5 people or more have answered" in words) == (
            protected
        )


@pytest.mark.parametrize("mode", [Mode.confidential, Mode.anonymous])
def test_texts_are_shown_without_a_name_and_only_of_enough_answers(
    app: Flask, browse: Browse, mode: str
) -> None:
    people = make_people()
    few = make_wave(people, {"Alpha": [4, 4, 4, 4]}, mode, 60, "Four of us")
    enough = make_wave(people, {"Alpha": [4, 4, 4, 4, 4]}, mode, 30, "Five of us")
    manager = browse(anna())
    assert "Four of us" not in manager.get(f"/surveys/waves/{few.id}").text
    assert rows(manager.get(f"/surveys/waves/{few.id}/comments.csv")) == []
    page = text_of(manager.get(f"/surveys/waves/{enough.id}"))
    assert page.count("Five of us") == 5
    assert "What they wrote stands here word for word, without names." in page
    written = rows(manager.get(f"/surveys/waves/{enough.id}/comments.csv"))
    assert written == [{"Comment": "Five of us", "Question": ""}] * 5


def test_nothing_ties_an_anonymous_answer_to_a_person_once_it_has_closed(
    app: Flask, browse: Browse
) -> None:
    lena(), anna()
    wave = ask(make_survey(clock.now(), mode="anonymous"))
    link = link_to(app, LENA)
    page = browse(None).get(link)
    assert "Lena" not in text_of(page)
    browse(None).post(link, data=send(page, company="2"))
    # It can be changed from the same mail.
    page = browse(None).get(link)
    assert 'value="2" checked' in page.text
    browse(None).post(link, data=send(page, company="3"))
    response = db.session.scalars(select(Response)).one()
    assert (response.answered_at, response.invitation_id) == (None, None)
    assert response.id.version == 4
    hashes = {response.answer_key, *db.session.scalars(select(SurveyLink.token_hash))}
    assert len(hashes) == 2
    assert db.session.query(FollowUp).count() == 0
    db.session.rollback()
    assert waves.close_waves(wave.closes_at - timedelta(seconds=1)) == 0
    assert [waves.close_waves(wave.closes_at) for _n in range(2)] == [1, 0]
    response = db.session.scalars(select(Response)).one()
    assert response.answer_key is None
    invitation = db.session.scalars(select(Invitation)).one()
    assert (invitation.answered, invitation.response) == ("complete", None)
    # What was said is kept, is; and it names the only one of a company who has answered.
    kept = {column.name for column in Response.__table__.columns if getattr(response, column.name)}
    assert kept == {"id", "wave_id", "partner_id", "locale", "submission_id", "complete"}
    assert response.partner_id == invitation.partner_id
    with app.test_request_context():
        said = who_sees(invitation.wave, "Nordwerk")
    assert "each answer with its company and language" in said
    assert "Where only one person of a company answers" in said
    assert "nobody can" not in said
    # Closed is closed, also when the clock is set back.
    assert browse(None).get(link).status_code == 410


def test_a_second_mail_of_an_anonymous_survey_gives_no_second_answer(
    app: Flask, browse: Browse
) -> None:
    lena()
    start = clock.now() - timedelta(days=2)
    wave = ask(make_survey(start, mode="anonymous", reminder_days=[1]), start)
    with clock.at(start):
        first = link_to(app, LENA)
    due = later(wave, days=1, minutes=1)
    with mailbox(app) as box, clock.at(due):
        assert reminders.remind_answers(due) == 1
        deliver()
    second = links_of(box.letters[0])[10]
    assert first != second
    pages = [browse(None).get(link) for link in (first, second)]
    assert browse(None).post(first, data=send(pages[0])).status_code == 200
    for answer in (browse(None).post(second, data=send(pages[1])), browse(None).get(second)):
        assert answer.status_code == 410
        assert "use the mail from which you answered" in text_of(answer)
    assert browse(None).get(first).status_code == 200
    assert db.session.query(Response).count() == 1


def test_the_portal_offers_to_mail_an_anonymous_survey_again_but_not_at_once(
    app: Flask, browse: Browse
) -> None:
    lena()
    start = clock.now() - timedelta(hours=1)
    ask(make_survey(start, mode="anonymous"), start)
    with clock.at(start):
        link_to(app, LENA)
    key = db.session.scalars(select(Invitation.id)).one()
    mine, path = browse(lena()), f"/survey/invitation/{key}"
    assert "Answer from your mail" in text_of(mine.get("/"))
    page = mine.get(path)
    assert "answered only from the link in its mail" in text_of(page)
    assert 'name="company"' not in page.text
    assert "answered only from" in text_of(mine.post(path, data={"company": "1"}))
    assert db.session.query(Response).count() == 0
    assert mine.post(f"{path}/mail").status_code == 302
    assert mine.post(f"{path}/mail").status_code == 429
    link = link_to(app, LENA)
    assert browse(None).post(link, data=send(browse(None).get(link))).status_code == 200
    assert mine.post(f"{path}/mail").status_code == 410
    assert "You have answered" in text_of(mine.get(path))


def test_what_is_recorded_names_answers_and_erasing_cuts_them_off(
    app: Flask, browse: Browse
) -> None:
    person = make_user("Kai Alt", email="kai@alt.example")
    for days, mode in ((2, "attributed"), (1, "confidential")):
        start = clock.now() - timedelta(days=days)
        ask(make_survey(start, name=mode.title(), mode=mode), start)
        link = link_to(app, "kai@alt.example")
        page = browse(None).get(link)
        browse(None).post(link, data=send(page, company="1", comment=f"Kai of {mode}"))
    recorded = text_of(browse(person).get("/account/recorded"))
    exported = browse(person).get("/account/recorded.json").text
    for words in ("Kai of attributed", "Kai of confidential", "company 1"):
        assert words in recorded
        assert words in exported
    assert "Asked in a survey" in recorded
    browse(person).post(f"{link}/unsubscribe", data={"List-Unsubscribe": "One-Click"})
    assert "No mail about surveys" in text_of(browse(person).get("/account/recorded"))
    with write() as session:
        records.erase_person(session, person.id, clock.now())
    invited = db.session.scalars(select(Invitation)).all()
    assert [(row.mailbox, row.response, row.answered) for row in invited] == [
        (None, None, "complete")
    ] * 2
    kept = db.session.scalars(select(Response)).all()
    assert [row.comment for row in kept] == ["", ""]
    # The figures of the partner stay.
    assert sorted(map(str, db.session.scalars(select(Answer.value)))) == ["1", "1", "6", "6"]
    assert db.session.scalars(select(FollowUp.state)).one() == "closed"
    assert browse(None).get(link).status_code == 404
    closed = text_of(browse(ada()).get("/surveys/follow-ups?whose=all&state=closed"))
    assert "Kai" not in closed


def test_who_has_left_does_not_answer_any_more(app: Flask, browse: Browse) -> None:
    person = make_user(email="gone@alt.example")
    ask(make_survey(clock.now()))
    link = link_to(app, "gone@alt.example")
    with write() as session:
        session.merge(person).deactivated_at = LONG_AGO
    answer = browse(None).get(link)
    assert answer.status_code == 410
    assert "Your access to the portal has ended" in text_of(answer)
