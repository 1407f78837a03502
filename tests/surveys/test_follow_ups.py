"""Closing the loop: who is not satisfied is called, once, by the one who looks after them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.accounts.models import Partner
from portal.db import db, write
from surveys.follow_ups import due_day
from surveys.models import FollowUp, Wave
from tests.conftest import Browse
from tests.mailbox import deliver_daily, mailbox
from tests.mailbox import text_of as words_of
from tests.pages import text_of
from tests.people import anna, jonas, kuehn, lena, mia, otto
from tests.surveys.asking import MORE_QUESTIONS, ask, link_to, make_survey, send

LENA = "lena@kuehn.example"


@pytest.fixture
def manager(app: Flask) -> None:
    """Anna looks after Kühn Technik."""
    key, partner = anna().id, kuehn().id
    with write() as session:
        session.get_one(Partner, partner).channel_manager_id = key


def answer(browse: Browse, link: str, company: int, experience: int, comment: str = "") -> None:
    """Somebody answers from their mail."""
    page = browse(None).get(link)
    data = send(page, company=str(company), experience=str(experience), comment=comment)
    assert browse(None).post(link, data=data).status_code == 200


def states() -> list[tuple[str, str]]:
    """Reason and state of every follow-up."""
    db.session.rollback()
    return [(row.reason, row.state) for row in db.session.scalars(select(FollowUp))]


def test_a_low_score_is_followed_up_until_it_is_closed(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena(), mia()
    ask(make_survey(clock.now()))
    answer(browse, link_to(app, LENA), 9, 4, "Waited nine days.")
    assert states() == [("low", "opened")]
    with mailbox(app) as box:
        deliver_daily()
    assert "Kühn Technik scored 4: please call by" in words_of(box.to("anna@nordwerk.example")[0])
    mine = browse(anna())
    for page in (mine.get("/"), mine.get("/surveys/follow-ups")):
        assert "Kühn Technik" in text_of(page)
        assert "“Waited nine days.”" in text_of(page)
    assert "Kühn" not in text_of(browse(otto()).get("/surveys/follow-ups"))
    assert "Kühn" in text_of(browse(otto()).get("/surveys/follow-ups?whose=all"))
    path = f"/surveys/follow-ups/{db.session.scalars(select(FollowUp.id)).one()}"
    assert path in mine.get("/").text
    assert "Lena Kühn" in text_of(mine.get(path))
    refused = mine.post(path, data={"to": "contacted", "note": " "})
    assert refused.status_code == 400
    assert "Write a note" in text_of(refused)
    early = mine.post(path, data={"to": "closed", "note": "Kept <typed>"})
    assert early.status_code == 400
    assert "Kept &lt;typed&gt;" in early.text
    assert mine.post(path, data={"to": "contacted", "note": "She waits for a quote."}).location
    # Nobody is called twice for it, whatever they answer now.
    assert mine.post(path, data={"to": "contacted", "note": "Again"}).status_code == 400
    assert mine.post(path, data={"to": "closed", "note": "The quote is there."}).location
    assert "Kühn Technik closed" in text_of(mine.get("/surveys/follow-ups?state=closed"))
    shown = text_of(mine.get(path))
    assert shown.index("She waits for a quote.") < shown.index("The quote is there.")
    assert "scored" not in text_of(mine.get("/"))
    assert browse(lena()).get(path).status_code == 404


def test_the_list_of_surveys_leads_to_those_who_are_to_be_called(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now()))
    assert "Follow-ups Questionnaires" in text_of(browse(anna()).get("/surveys"))
    answer(browse, link_to(app, LENA), 9, 4)
    page = browse(anna()).get("/surveys")
    assert "Follow-ups (1)" in text_of(page)
    assert 'href="/surveys/follow-ups"' in page.text
    # Otto has none of his own, and is led to those of others.
    assert 'href="/surveys/follow-ups?whose=all"' in browse(otto()).get("/surveys").text


def test_whoever_calls_sees_all_that_was_answered(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now(), questions=MORE_QUESTIONS))
    link = link_to(app, LENA)
    told = {"why": "Drawings are late.", "support": "2", "channel": "phone"}
    browse(None).post(link, data=send(browse(None).get(link), experience="3", **told))
    mine = browse(anna())
    assert "“Drawings are late.”" in text_of(mine.get("/surveys/follow-ups"))
    page = text_of(mine.get(f"/surveys/follow-ups/{db.session.scalars(select(FollowUp.id)).one()}"))
    assert "How good is our support? 2 –" in page
    assert "What is behind it? “Drawings are late.”" in page


def test_a_later_answer_withdraws_it_while_nobody_has_called(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now()))
    link = link_to(app, LENA)
    answer(browse, link, 2, 2)
    answer(browse, link, 8, 8)
    assert states() == [("low", "withdrawn")]
    with mailbox(app) as box:
        deliver_daily()
    assert box.letters == []
    key = db.session.scalars(select(FollowUp.id)).one()
    assert browse(anna()).get(f"/surveys/follow-ups/{key}").status_code == 404
    answer(browse, link, 1, 8)
    assert states() == [("low", "opened")]
    browse(anna()).post(f"/surveys/follow-ups/{key}", data={"to": "contacted", "note": "Called"})
    answer(browse, link, 9, 9)
    assert states() == [("low", "contacted")]


@pytest.mark.parametrize(("before", "now", "reason"), [(9, 6, "fall"), (9, 7, None), (5, 8, None)])
def test_a_fall_of_three_points_opens_one_against_the_same_persons_last_answer(
    app: Flask, browse: Browse, manager: None, before: int, now: int, reason: str | None
) -> None:
    lena(), jonas()
    start = clock.now() - timedelta(days=30)
    survey = make_survey(start)
    with clock.at(start):
        ask(survey, start)
        answer(browse, link_to(app, LENA), before, 8)
    ask(survey)
    answer(browse, link_to(app, LENA), now, 8)
    assert states() == ([(reason, "opened")] if reason else [])
    # Of Jonas there is nothing to compare with.
    mine = browse(jonas())
    found = re.search(r'href="(/survey/invitation/[^"]+)"', mine.get("/").text)
    assert found
    mine.post(found[1], data=send(mine.get(found[1]), company="5", experience="5"))
    assert len(states()) == (reason is not None)


@pytest.mark.parametrize("mode", ["confidential", "anonymous"])
def test_nobody_is_followed_up_who_was_promised_that_nobody_sees_it(
    app: Flask, browse: Browse, manager: None, mode: str
) -> None:
    lena()
    ask(make_survey(clock.now(), mode=mode))
    answer(browse, link_to(app, LENA), 1, 1)
    assert states() == []
    assert "scored" not in text_of(browse(anna()).get("/"))


def test_it_is_due_after_five_working_days() -> None:
    assert due_day(date(2026, 11, 26)) == date(2026, 12, 3)
    assert due_day(date(2026, 11, 28)) == date(2026, 12, 4)


def test_what_was_done_is_read_by_those_who_are_asked_next(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    start = clock.now() - timedelta(days=30)
    survey = make_survey(start)
    wave = ask(survey, start)
    path = f"/surveys/waves/{wave.id}/said"
    assert browse(anna()).post(path, data={"said": "x" * 2001}).status_code == 409
    assert browse(lena()).post(path, data={"said": "Mine"}).status_code == 404
    assert browse(anna()).post(path, data={"said": "Quotes <now> take a day."}).status_code == 302
    assert db.session.scalars(select(Wave.said)).one() == "Quotes <now> take a day."
    ask(survey)
    page = browse(None).get(link_to(app, LENA))
    assert "You said, we did Quotes <now> take a day." in text_of(page)
    assert page.text.index("experience-10") < page.text.index("Quotes &lt;now&gt;")
