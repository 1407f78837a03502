"""Answering: without sign-in, once per person, by pressing Send and by nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.db import db, write
from surveys import metrics, waves
from surveys.models import Answer, Invitation, Response, Wave
from tests.conftest import Browse
from tests.mailbox import deliver, links_of, mailbox
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def wave(app: Flask) -> Wave:
    """A wave that opened a moment ago, for Lena, Jonas and Mia."""
    lena(), jonas(), mia(), anna()
    db.session.rollback()
    now = clock.now()
    start = now.astimezone(BERLIN).replace(tzinfo=None, microsecond=0)
    with write() as session:
        survey = waves.create(
            session, name="Pulse", rhythm="weekly", start=start, zone=BERLIN, open_days=5, now=now
        )
        return waves.open_wave(session, survey, start, now)


def mail_links(app: Flask) -> list[str]:
    """The links in the mail to Lena."""
    with mailbox(app) as box:
        deliver()
    return links_of(box.to("lena@kuehn.example")[0])


def send(page: Any, **more: str) -> dict[str, str]:
    """What a browser posts from this page, with the choices made."""
    found = re.search(r'name="submission"[^>]*value="(\w+)"', page.text)
    assert found
    return {"submission": found[1], "company": "8", "experience": "6", **more}


def answers() -> dict[str, int | None]:
    """Every answer that is stored."""
    db.session.rollback()
    return {row.question: row.value for row in db.session.scalars(select(Answer))}


def test_a_scanner_that_follows_every_link_answers_nothing(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    links = mail_links(app)
    assert len(links) == 12
    for link in links:
        browse(None).head(link)
        page = browse(None).get(link)
        assert page.status_code == 200
    assert db.session.query(Response).count() == 0


def test_a_link_shows_its_number_chosen_and_send_saves(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    link = next(link for link in mail_links(app) if link.endswith("company=7"))
    page = browse(None).get(link)
    assert re.search(r'name="company"[^>]*value="7"[^>]*checked', page.text)
    assert "see your answer with your name and your company" in text_of(page)
    path = urlsplit(link).path
    done = browse(None).post(path, data=send(page, company="7", comment="More drawings"))
    assert "Your answer is saved" in text_of(done)
    assert answers() == {"company": 7, "experience": 6}


def test_the_same_submission_changes_nothing_and_a_later_one_replaces(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    path = urlsplit(mail_links(app)[10]).path
    first = send(browse(None).get(path))
    for company in ("8", "1"):
        browse(None).post(path, data={**first, "company": company})
    assert answers() == {"company": 8, "experience": 6}
    page = browse(None).get(path)
    assert re.search(r'name="company"[^>]*value="8"[^>]*checked', page.text)
    browse(None).post(path, data=send(page, company="9"))
    assert answers() == {"company": 9, "experience": 6}
    assert db.session.query(Response).count() == 1


def test_an_answer_that_is_not_complete_keeps_what_was_typed(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    path = urlsplit(mail_links(app)[10]).path
    data = send(browse(None).get(path), comment="Long <text>")
    del data["experience"]
    page = browse(None).post(path, data=data)
    assert page.status_code == 400
    assert "still open: How satisfied are you with this portal" in text_of(page)
    assert "Choose a number from 1 to 10" in text_of(page)
    assert "Long &lt;text&gt;" in page.text
    assert re.search(r'name="company"[^>]*value="8"[^>]*checked', page.text)
    for bad in ("11", "0", "x", ""):
        assert browse(None).post(path, data={**data, "experience": bad}).status_code == 400
    assert answers() == {"company": 8}
    state = db.session.scalars(select(Invitation.answered).where(Invitation.answered != "")).one()
    assert state == "partial"


def test_late_answers_are_refused_even_if_no_job_has_run(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    path = urlsplit(mail_links(app)[10]).path
    data = send(browse(None).get(path))
    with clock.at(wave.closes_at):
        for answer in (browse(None).get(path), browse(None).post(path, data=data)):
            assert answer.status_code == 410
            assert "This survey closed on" in text_of(answer)
    with clock.at(wave.closes_at - timedelta(seconds=1)):
        assert browse(None).post(path, data=data).status_code == 200


def test_it_waits_on_the_home_page_until_it_is_answered(browse: Browse, wave: Wave) -> None:
    browser = browse(lena())
    home = browser.get("/")
    assert "Two questions, 20 seconds." in text_of(home)
    found = re.search(r'href="(/survey/invitation/[^"]+)"', home.text)
    assert found
    browser.post(found[1], data=send(browser.get(found[1])))
    assert "Two questions, 20 seconds." not in text_of(browser.get("/"))
    assert "Two questions, 20 seconds." in text_of(browse(jonas()).get("/"))
    assert browse(jonas()).get(found[1]).status_code == 404


def test_a_made_up_link_finds_nothing(browse: Browse, wave: Wave) -> None:
    assert browse(None).get("/survey/made-up").status_code == 404
    key = db.session.scalars(select(Invitation.id)).first()
    assert browse(None).get(f"/survey/invitation/{key}").status_code == 302


def test_results_show_means_counts_comments_and_the_same_csv(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    for person, company, comment in (
        (lena(), 10, "=Great"), (jonas(), 8, ""), (mia(), 3, "Slow"),
    ):  # fmt: skip
        key = db.session.scalars(select(Invitation.id).where(Invitation.user_id == person.id)).one()
        path = f"/survey/invitation/{key}"
        browser = browse(person)
        browser.post(path, data=send(browser.get(path), company=str(company), comment=comment))
    page = text_of(browse(anna()).get(f"/surveys/waves/{wave.id}"))
    assert "6.0 of 10" in page
    assert "2 of 2" in page
    assert "3 of 3" in page
    assert "“Slow” Mia Brandt, Brandt Pumpen" in page
    csv = browse(anna()).get(f"/surveys/waves/{wave.id}.csv").text
    assert "Brandt Pumpen,Gold,DACH,1 of 1,3.00,6.00" in csv
    db.session.rollback()
    summary = metrics.last_waves(db.session())[0]
    assert summary.company == 6.0
    assert metrics.distribution(db.session(), wave.id, "company")[8] == 1
