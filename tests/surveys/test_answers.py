"""Answering: without sign-in, once per person, by pressing Send and by nothing else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.db import db, write
from surveys import answer_views, metrics, results, waves
from surveys.models import Answer, Invitation, Response, Wave
from tests.conftest import Browse
from tests.mailbox import deliver, links_of, mailbox
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia
from tests.surveys.asking import MORE_QUESTIONS, ask, link_to, make_survey, send, set_up

LENA = "lena@kuehn.example"

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def wave(app: Flask) -> Wave:
    """A wave that opened a moment ago, for Lena, Jonas and Mia."""
    lena(), jonas(), mia(), anna()
    db.session.rollback()
    now = clock.now()
    start = now.astimezone(BERLIN).replace(tzinfo=None, microsecond=0)
    with write() as session:
        survey = set_up(session, start, now)
        return waves.open_wave(session, survey, start, now)


def mail_links(app: Flask) -> list[str]:
    """The links in the mail to Lena."""
    with mailbox(app) as box:
        deliver()
    return links_of(box.to("lena@kuehn.example")[0])


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
        assert answers() == {}


def test_what_was_written_too_late_can_be_copied(app: Flask, browse: Browse, wave: Wave) -> None:
    path = urlsplit(mail_links(app)[10]).path
    data = send(browse(None).get(path), comment="Two hours <of> work")
    with clock.at(wave.closes_at):
        late = browse(None).post(path, data=data)
    assert late.status_code == 410
    assert "This survey closed on" in text_of(late)
    assert "What you wrote was not sent." in text_of(late)
    assert re.search(r"<textarea[^>]*readonly>Two hours &lt;of&gt; work</textarea>", late.text)
    assert db.session.query(Response).count() == 0
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
    csv = browse(anna()).get(f"/surveys/waves/{wave.id}/partners.csv").text
    assert "Brandt Pumpen,Gold,DACH,1 of 1,3.00,6.00" in csv
    db.session.rollback()
    summary = metrics.last_waves(db.session())[0]
    assert summary.company == 6.0
    figure = results.load(db.session(), db.session.get_one(Wave, wave.id)).figure("company")
    assert figure is not None
    assert figure.distribution[8] == 1


def test_every_kind_of_question_is_kept_and_stands_there_again(app: Flask, browse: Browse) -> None:
    lena()
    ask(make_survey(clock.now(), questions=MORE_QUESTIONS))
    link = link_to(app, LENA)
    page = browse(None).get(link)
    texts = text_of(page)
    # The core first, then what is behind it, then the rest.
    order = ("working with Nordwerk", "with this portal", "What is behind it?", "our support?")
    places = [texts.index(words) for words in order]
    assert places == sorted(places)
    data = send(page, why="Slow", support="cannot_say", wish=["price", "tea"], comment="Thanks")
    partial = browse(None).post(link, data=data)
    assert partial.status_code == 400
    assert "still open: How do you reach us?" in text_of(partial)
    response = db.session.scalars(select(Response)).one()
    assert (response.complete, response.comment) == (False, "Thanks")
    # Another day, another browser: it goes on where it was left.
    page = browse(None).get(link)
    assert "You began to answer" in text_of(page)
    for chosen in ('value="8" checked', 'value="price" checked', 'value="tea" checked', ">Slow<"):
        assert chosen in page.text
    assert re.search(r'name="support"[^>]*value="cannot_say" checked', page.text)
    found = re.search(r'name="submission"[^>]*value="(\w+)"', page.text)
    assert found
    done = browse(None).post(link, data={"submission": found[1], "channel": "mail", "why": "Slow"})
    assert "Your answer is saved" in text_of(done)
    db.session.rollback()
    given = {row.question: row for row in db.session.scalars(select(Answer))}
    assert given["support"].value is None
    assert given["support"].missing == "cannot_say"
    assert given["channel"].choices == ["mail"]
    assert (given["company"].value, given["why"].text) == (8, "Slow")
    assert "wish" not in given
    assert db.session.scalars(select(Invitation.answered)).one() == "complete"


def test_what_no_page_of_ours_sends_is_refused_with_a_sentence(app: Flask, browse: Browse) -> None:
    lena()
    ask(make_survey(clock.now(), questions=MORE_QUESTIONS))
    link = link_to(app, LENA)
    good = send(browse(None).get(link), channel="phone")
    bad: list[tuple[dict[str, Any], str]] = [
        ({"wish": "gold"}, "Choose one of the answers"),
        ({"wish": ["price", "speed", "tea"]}, "Choose at most two"),
        ({"channel": ["phone", "mail"]}, "Choose one of the answers"),
        ({"company": "11"}, "Choose a number from 1 to 10"),
        ({"company": ["1", "2"]}, "Choose a number from 1 to 10"),
        ({"comment": "x" * 4001}, "at most 4000 characters"),
        ({"role": "admin"}, "does not ask"),
        ({"submission": "x" * 41}, "does not ask"),
    ]
    for change, words in bad:
        answer = browse(None).post(link, data={**good, **change})
        assert answer.status_code == 400, change
        assert words in text_of(answer), change
    assert browse(None).post(link, data={**good, "comment": "x" * 1_100_000}).status_code == 413
    assert browse(None).post(link, data={**good, "comment": "a\0b"}).status_code == 400
    assert browse(None).post(link, data=good).status_code == 200


def test_a_machine_that_answers_again_and_again_is_stopped(
    app: Flask, browse: Browse, wave: Wave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_views, "PER_LINK", 3)
    path = urlsplit(mail_links(app)[10]).path
    page = browse(None).get(path)
    codes = [browse(None).post(path, data=send(page, submission=f"a{n}")) for n in range(4)]
    assert [code.status_code for code in codes] == [200, 200, 200, 429]
    assert "what you filled in is still here" in text_of(codes[-1])
    with clock.at(clock.now() + timedelta(minutes=16)):
        assert browse(None).post(path, data=send(page, submission="b")).status_code == 200


def test_the_page_speaks_another_language_on_demand_but_only_an_offered_one(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    path = urlsplit(mail_links(app)[10]).path
    english, german = browse(None).get(f"{path}?company=7"), browse(None).get(f"{path}?lang=de")
    assert "company=7&amp;lang=de" in english.text
    assert "How satisfied are you" in text_of(english)
    assert "Wie zufrieden sind Sie" in text_of(german)
    assert 'lang="de"' in german.text
    for other in ("fi", "xx", "de'"):
        assert "How satisfied are you" in text_of(
            browse(None).get(path, query_string={"lang": other})
        )
    # What is sent from it comes back in it.
    data = {"submission": "a", "company": "4"}
    assert "Wie zufrieden sind Sie mit diesem Portal" in text_of(
        browse(None).post(f"{path}?lang=de", data=data)
    )


def test_a_screen_reader_hears_which_number_of_how_many_is_selected(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    page = browse(None).get(urlsplit(mail_links(app)[10]).path + "?experience=7").text
    groups = re.findall(r'<fieldset class="field scale" id="(\w+)".*?</fieldset>', page, re.S)
    assert groups == ["company", "experience"]
    label = re.search(r'<label for="experience-7">(.*?)</label>', page, re.S)
    assert label
    assert re.sub(r"<[^>]+>", "", label[1]) == "7 of 10"
    lowest = re.search(r'<label for="company-1">(.*?)</label>', page, re.S)
    assert lowest
    assert re.sub(r"<[^>]+>", "", lowest[1]) == "1 of 10, not at all satisfied"
    assert len(re.findall(r"<legend", page)) == 2
    assert re.search(r'type="radio" name="experience" id="experience-7" value="7" checked', page)


def test_the_banner_can_be_put_aside_and_a_survey_declined(
    app: Flask, browse: Browse, wave: Wave
) -> None:
    browser, words = browse(lena()), "Two questions, 20 seconds."
    home = browser.get("/")
    assert "(Europe/Berlin, UTC+" in text_of(home)
    found = re.search(r'action="(/survey/invitation/[^"]+/dismiss)"', home.text)
    assert found
    assert browser.get(found[1]).status_code == 405
    assert browse(jonas()).post(found[1]).status_code == 404
    browser.post(found[1])
    assert words not in text_of(browser.get("/"))
    assert words in text_of(browse(jonas()).get("/"))
    path = urlsplit(mail_links(app)[10]).path
    assert "Not this time" in text_of(browse(None).get(path))
    assert "will not be reminded" in text_of(browse(None).post(f"{path}/decline"))
    # Whoever changes their mind may answer all the same.
    assert browse(None).post(path, data=send(browse(None).get(path))).status_code == 200
    row = db.session.scalars(select(Invitation).where(Invitation.user_id == lena().id)).one()
    assert (row.answered, row.declined_at) == ("complete", None)


def test_two_answers_of_one_person_at_once_are_one(app: Flask, browse: Browse, wave: Wave) -> None:
    path = urlsplit(mail_links(app)[10]).path
    page = browse(None).get(path)
    posts = [send(page, submission=f"a{n}", company=str(n + 1)) for n in range(4)]
    browsers = [browse(None) for _post in posts]
    db.session.remove()
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda it, data: it.post(path, data=data).status_code, browsers, posts)
        )
    assert done == [200] * 4
    assert db.session.query(Response).count() == 1
    assert len(answers()) == 2
