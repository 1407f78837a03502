"""Questionnaires on their pages: nothing typed is lost, and nothing ends comparability unsaid."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.clock import now
from portal.db import db, write
from surveys import definitions
from surveys.models import Questionnaire
from surveys.questions import Questions
from tests.conftest import Browse
from tests.pages import text_of
from tests.people import anna, lena

INPUT = re.compile(r"<input\b[^>]*>")
AREA = re.compile(r'<textarea\b[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', re.S)
CHOSEN = re.compile(r'<select\b[^>]*name="([^"]+)"[^>]*>(.*?)</select>', re.S)


def fields(page: Any) -> dict[str, Any]:
    """What a browser would send of the form on a page: all that is in it."""
    found: dict[str, Any] = {}
    html = page.text.split('<form class="form"')[1]
    for tag in INPUT.findall(html):
        values: dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if values.get("type") != "checkbox" or " checked" in tag:
            found.setdefault(values["name"], []).append(unescape(values.get("value", "")))
    for name, text in AREA.findall(html):
        found[name] = unescape(text)
    for name, inner in CHOSEN.findall(html):
        offered = re.findall(r'value="([^"]*)"( selected)?', inner)
        found[name] = next((value for value, chosen in offered if chosen), offered[0][0])
    return found


class Page:
    """The page of a questionnaire, pressed on as a person does, without script."""

    def __init__(self, browser: FlaskClient, path: str) -> None:
        self.browser, self.path = browser, path
        self.answer = browser.get(path)

    def press(self, then: str, **typed: Any) -> Any:
        """Type into fields (`__` for a colon), then press a button."""
        words = {name.replace("__", ":"): value for name, value in typed.items()}
        data = {**fields(self.answer), **words, "then": then}
        self.answer = self.browser.post(self.path, data=data)
        return self.answer

    def keys(self) -> list[str]:
        """The keys of the questions besides the core ones."""
        found: list[str] = fields(self.answer).get("question", [])
        return found


@pytest.fixture
def first(browse: Browse) -> Questionnaire:
    """The standard questionnaire, written down."""
    with write() as session:
        return definitions.standard(session, now())


@pytest.fixture
def page(browse: Browse, first: Questionnaire) -> Page:
    """Where Anna makes a new version of it."""
    return Page(browse(anna()), f"/surveys/questionnaires/{first.id}/next")


def newest() -> Questionnaire:
    """The version with the highest number."""
    db.session.rollback()
    db.session.expire_all()
    return definitions.versions(db.session())[0]


FRENCH = {
    "text__company__fr": "Êtes-vous satisfait de {company} ?",
    "text__experience__fr": "Et de ce portail ?",
    "low__fr": "pas du tout", "high__fr": "tout à fait",
}  # fmt: skip


def test_an_added_language_stays_comparable_and_the_page_says_so(
    page: Page, first: Questionnaire
) -> None:
    page.press("speak", new_language="fr")
    half = page.press("save", text__company__fr=FRENCH["text__company__fr"])
    assert half.status_code == 400
    assert "Question 2 has no words in French." in text_of(half)
    assert "Say what 1 and 10 mean in French." in text_of(half)
    said = text_of(page.press("show", **FRENCH))
    assert "Adds French. Waves stay comparable with those of version 1." in said
    assert page.press("save").status_code == 302
    assert newest().core_hash == first.core_hash
    assert newest().body["questions"][0]["texts"]["fr"] == "Êtes-vous satisfait de {company} ?"
    listed = text_of(page.browser.get("/surveys/questionnaires"))
    assert "English, French, German" in listed or "English, German, French" in listed
    assert "version 1" in listed


def test_core_words_stay_unless_they_are_changed_knowingly(
    page: Page, first: Questionnaire
) -> None:
    page.press("show", text__company__en="Are you happy?")
    assert fields(page.answer)["text:company:en"] == (
        "How satisfied are you with working with {company}?"
    )
    page.press("words")
    warned = page.press("save", text__company__en="Are you happy?")
    assert "Changes the words of the question about the company in English." in text_of(warned)
    assert "Not comparable with earlier waves" in text_of(warned)
    assert db.session.query(Questionnaire).count() == 1
    assert page.press("save").status_code == 302
    assert newest().core_hash != first.core_hash
    assert newest().body["questions"][0]["texts"]["en"] == "Are you happy?"


def test_what_was_accepted_is_not_what_was_changed_after_it(page: Page) -> None:
    page.press("words")
    page.press("save", text__company__en="Are you happy?")
    again = page.press("save", text__company__en="Are you very happy?")
    assert again.status_code == 400
    assert db.session.query(Questionnaire).count() == 1


def test_questions_of_every_kind_are_added_and_what_was_typed_stays(
    page: Page, first: Questionnaire
) -> None:
    page.press("driver:margin", name="With reasons")
    page.press("follow:margin")
    page.press("add:choice")
    choice = page.keys()[-1]
    options = fields(page.answer)[f"option:{choice}"]
    typed = {f"text:{choice}:en": "How do you reach us?", f"pick:{choice}": "2"}
    typed |= {f"text:{choice}.{it}:en": f"Way {n}" for n, it in enumerate(options)}
    page.press(f"option:{choice}", **typed)
    assert len(fields(page.answer)[f"option:{choice}"]) == 3
    refused = page.press("save")
    assert "An option of question 5 has no English words." in text_of(refused)
    page.press(f"drop:{choice}:{fields(page.answer)[f'option:{choice}'][-1]}")
    page.press(f"up:{choice}")
    assert page.press("save").status_code == 302
    row = newest()
    questions = Questions.parse(row.body)
    assert row.name == "With reasons"
    assert questions.keys[2:4] == (choice, "margin")
    assert questions.questions[4].after == "margin"
    assert questions.get("margin").driver
    assert questions.get("margin").texts["de"].startswith("Wie zufrieden sind Sie mit der Marge")
    assert (questions.get(choice).pick, len(questions.get(choice).options)) == (2, 2)
    assert row.core_hash == first.core_hash
    shown = page.browser.get(f"/surveys/questionnaires/{row.id}?language=de")
    assert "Marge, die Sie mit Nordwerk erzielen" in text_of(shown)
    assert "up to two" in text_of(shown)


def test_a_question_goes_with_its_follow_up(page: Page) -> None:
    page.press("driver:support")
    page.press("follow:support")
    assert len(page.keys()) == 2
    page.press("remove:support")
    assert page.keys() == []


def test_there_is_an_end_to_questions(page: Page) -> None:
    for _n in range(12):
        page.press("add:text")
    many = text_of(page.press("save"))
    assert "Ask 12 questions at most." in many
    assert page.press("speak", new_language="klingon").status_code == 200
    assert page.press("nonsense:x").status_code == 200
    assert db.session.query(Questionnaire).count() == 1


def test_a_version_can_be_changed_until_it_is_used(page: Page, first: Questionnaire) -> None:
    page.press("driver:training")
    page.press("save")
    second = newest()
    path = f"/surveys/questionnaires/{second.id}/edit"
    editing = Page(page.browser, path)
    editing.press("remove:training")
    editing.press("save", name="Short")
    assert newest().number == second.number
    assert (newest().name, len(newest().body["questions"])) == ("Short", 2)
    first_path = f"/surveys/questionnaires/{first.id}/edit"
    late = Page(page.browser, first_path)
    assert late.answer.status_code == 409
    assert late.press("save", name="Typed for long").status_code == 409
    assert "stays as it is. Save what you typed as a new one." in text_of(late.answer)
    assert fields(late.answer)["name"] == ["Typed for long"]
    assert f"{first.id}/next" in late.answer.text
    assert "stays as it is" in text_of(page.browser.get(f"/surveys/questionnaires/{first.id}"))
    rows = db.session.scalars(select(Questionnaire.body).order_by(Questionnaire.number)).all()
    assert rows[0] == definitions.STANDARD


def test_the_first_survey_can_ask_about_drivers(app: Flask, browse: Browse) -> None:
    browser = browse(anna())
    assert 'href="/surveys/questionnaires"' in browser.get("/surveys/new").text
    listed = browser.get("/surveys/questionnaires").text
    assert 'action="/surveys/questionnaires/standard"' in listed
    started = browser.post("/surveys/questionnaires/standard").location
    # A second press, or a colleague's, writes no second one.
    assert browser.post("/surveys/questionnaires/standard").location == started
    page = Page(browser, started)
    page.press("driver:margin")
    made = page.press("save", name="With margin").location
    assert made.startswith("/surveys/questionnaires/")
    offered = browser.get("/surveys/new").text
    assert "With margin, version 2" in text_of(browser.get("/surveys/new"))
    assert made.rsplit("/", 1)[1] in offered
    first, second = db.session.scalars(select(Questionnaire).order_by(Questionnaire.number))
    assert first.body == definitions.STANDARD
    assert second.core_hash == first.core_hash
    assert browse(lena()).post("/surveys/questionnaires/standard").status_code == 404
