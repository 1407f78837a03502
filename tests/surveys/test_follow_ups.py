"""Closing the loop: who is not satisfied is called, once, by the one who looks after them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.accounts.absences import set_absence
from portal.accounts.models import Partner, User
from portal.db import db, write
from portal.reports.records import erase_person
from surveys.follow_ups import due_day
from surveys.models import FollowUp, Response, Wave
from tests.conftest import Browse
from tests.factories import ZONE, make_asset
from tests.mailbox import deliver, deliver_daily, links_of, mailbox
from tests.mailbox import text_of as words_of
from tests.pages import text_of
from tests.people import ada, anna, jonas, kuehn, lena, mia, otto
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


def look_after_kuehn(manager: User | None) -> None:
    """Somebody else looks after Kühn Technik from now on, or nobody."""
    key, partner = manager.id if manager else None, kuehn().id
    with write() as session:
        session.get_one(Partner, partner).channel_manager_id = key


def is_mine(browse: Browse, person: User) -> bool:
    """Whether the follow-up with Kühn Technik is among a person's own."""
    return "Kühn Technik" in text_of(browse(person).get("/surveys/follow-ups"))


def test_an_open_follow_up_goes_where_its_partner_goes(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now()))
    answer(browse, link_to(app, LENA), 2, 2)
    assert is_mine(browse, anna())
    look_after_kuehn(otto())
    assert is_mine(browse, otto())
    assert not is_mine(browse, anna())
    # Otto leaves: until somebody else looks after the partner, every channel manager does.
    key = otto().id
    with write() as session:
        session.get_one(User, key).deactivated_at = clock.now()
    assert is_mine(browse, anna())
    assert "nobody looks after this partner" in text_of(browse(anna()).get("/surveys/follow-ups"))
    assert not is_mine(browse, ada())


def test_a_partner_without_a_manager_is_called_by_any_of_them_and_kept_by_who_closed_it(
    app: Flask, browse: Browse
) -> None:
    lena(), anna(), otto(), ada()
    ask(make_survey(clock.now()))
    answer(browse, link_to(app, LENA), 2, 2)
    with mailbox(app) as box:
        deliver_daily()
    assert {to for letter in box.letters for to in letter["To"].split(",")} == {
        "anna@nordwerk.example", "otto@nordwerk.example",
    }  # fmt: skip
    assert is_mine(browse, anna())
    assert is_mine(browse, otto())
    path = f"/surveys/follow-ups/{db.session.scalars(select(FollowUp.id)).one()}"
    for to in ("contacted", "closed"):
        browse(otto()).post(path, data={"to": to, "note": "Done"})
    look_after_kuehn(anna())
    closed = "/surveys/follow-ups?state=closed"
    assert "Kühn Technik" in text_of(browse(otto()).get(closed))
    assert "Kühn Technik" not in text_of(browse(anna()).get(closed))
    assert "With Otto Lang." in text_of(browse(anna()).get(path))


def test_the_deputy_sees_it_among_their_own_until_the_manager_is_back(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now()))
    answer(browse, link_to(app, LENA), 2, 2)
    today, away, deputy = clock.local_day(clock.now(), ZONE), anna().id, otto().id
    with write() as session:
        set_absence(session, session.get_one(User, away), today, today, deputy, today)
    assert is_mine(browse, otto())
    assert "Otto Lang, for Anna Keller" in text_of(browse(otto()).get("/surveys/follow-ups"))
    assert not is_mine(browse, anna())
    with clock.at(clock.now() + timedelta(days=2)):
        assert is_mine(browse, anna())
        assert not is_mine(browse, otto())


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


def test_days_are_those_of_the_portal_also_just_after_midnight(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    # 00:30 on 10 March in Berlin.
    night = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
    with clock.at(night):
        wave = ask(make_survey(night), night)
        answer(browse, link_to(app, LENA), 2, 2)
        key = db.session.scalars(select(FollowUp.id)).one()
        asset = make_asset()
        link = browse(lena()).post(f"/library/{asset.id}/share", data={"days": "30"}).location
        for path in (
            "/", "/surveys", f"/surveys/follow-ups/{key}", "/surveys/questionnaires",
            "/reports/satisfaction", f"/surveys/waves/{wave.id}", f"/library/{asset.id}",
        ):  # fmt: skip
            page = text_of(browse(anna()).get(path))
            assert "10 Mar 2026" in page, path
            assert not re.search(r"(?<!\d)9 Mar 2026", page), path
        shared = text_of(browse(lena()).get(link))
        chart = browse(anna()).get("/reports/satisfaction/trend/chart.json").text
    assert "Works until 9 Apr 2026." in shared
    assert "2026-03-10" in chart
    assert "2026-03-09" not in chart


def test_nobody_is_called_who_was_erased(app: Flask, browse: Browse, manager: None) -> None:
    lena(), mia()
    ask(make_survey(clock.now()))
    with mailbox(app) as box:
        deliver()
    hers, other = (links_of(box.to(it)[0])[10] for it in (LENA, "mia@brandt.example"))
    answer(browse, hers, 2, 2)
    answer(browse, other, 3, 3)
    answer(browse, other, 9, 9)
    assert sorted(states()) == [("low", "opened"), ("low", "withdrawn")]
    assert "Lena Kühn left no comment." in text_of(browse(anna()).get("/"))
    for person in (lena().id, mia().id):
        with write() as session:
            erase_person(session, person, clock.now())
    assert sorted(states()) == [("low", "closed"), ("low", "withdrawn")]
    assert "left no comment" not in text_of(browse(anna()).get("/"))
    closed = browse(anna()).get("/surveys/follow-ups?whose=all&state=closed")
    assert "Brandt" not in text_of(closed)


def test_a_follow_up_that_lost_its_person_names_nobody(
    app: Flask, browse: Browse, manager: None
) -> None:
    lena()
    ask(make_survey(clock.now()))
    answer(browse, link_to(app, LENA), 2, 2)
    with write() as session:
        session.execute(update(Response).values(invitation_id=None))
    assert "No comment was left." in text_of(browse(anna()).get("/"))
