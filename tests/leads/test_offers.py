"""Leads of the vendor go to one partner at a time, who has to accept them in time."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, jobs
from portal.accounts.models import Partner, User
from portal.db import db, new_id, write
from portal.errors import Refused
from portal.leads import offers, service
from portal.leads.models import Lead, LeadOffer
from tests.conftest import Browse
from tests.leads.leads import lead_of, write_down
from tests.mailbox import deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import anna, brandt, jonas, kuehn, lena, mia

WHO = ("Ole", "Emden", "hafen.example")


@pytest.fixture
def cast(app: Flask) -> None:
    """Kühn Technik is asked first, being gold; then Brandt Pumpen, being silver."""
    people = jonas(), mia()
    with write() as session:
        session.get_one(Partner, brandt().id).tier = "Silver"
    assert all(people)


def states(lead_id: uuid.UUID) -> list[tuple[str, str]]:
    """Every offer of a lead: to whom, and how it ended."""
    db.session.rollback()
    return [(row.partner.name, row.state) for row in offers.of_lead(db.session(), lead_id)]


def test_an_offer_is_accepted_and_the_lead_is_theirs(
    app: Flask, browse: Browse, cast: None
) -> None:
    lead_id = write_down(browse, anna(), region="DACH")
    assert jobs.run_now("offer_leads") == 1
    assert jobs.run_now("offer_leads") == 0
    mine = browse(lena())
    assert "A lead is offered to you" in text_of(mine.get("/"))
    assert "Offered to you" in text_of(mine.get("/leads"))
    page = text_of(mine.get(f"/leads/{lead_id}"))
    assert "ole@hafen.example" in page
    assert "Then it goes to another partner" in page
    assert browse(mia()).get(f"/leads/{lead_id}").status_code == 404
    # Until it is theirs they can do nothing else with it.
    assert mine.post(f"/leads/{lead_id}/move/accept").status_code == 404
    assert mine.post(f"/leads/{lead_id}/erase", data={"sure": "1"}).status_code == 409
    assert mine.post(f"/leads/{lead_id}/move/take").status_code == 302
    assert lead_of(lead_id).partner_id == kuehn().id
    assert states(lead_id) == [("Kühn Technik", "taken")]
    assert "Hafen Emden" in text_of(mine.get("/leads"))
    assert "A lead is offered to you" not in text_of(mine.get("/"))
    assert mine.post(f"/leads/{lead_id}/move/take").status_code == 409


def test_who_declines_loses_sight_and_the_next_is_asked(
    app: Flask, browse: Browse, cast: None
) -> None:
    lead_id = write_down(browse, anna(), region="DACH")
    jobs.run_now("offer_leads")
    mine = browse(lena())
    assert mine.post(f"/leads/{lead_id}/give-up/decline").status_code == 400
    mine.post(f"/leads/{lead_id}/give-up/decline", data={"reason_code": "no_capacity"})
    gone = mine.get(f"/leads/{lead_id}")
    assert gone.status_code == 410
    assert "This offer has ended" in text_of(gone)
    for path in ("/", "/leads", "/leads.csv", f"/leads/{lead_id}", "/account/recorded"):
        assert not any(word in mine.get(path).text for word in WHO), path
    assert "Moved a lead on" in text_of(mine.get("/account/recorded"))
    jobs.run_now("offer_leads")
    assert states(lead_id) == [("Kühn Technik", "declined"), ("Brandt Pumpen", "open")]
    rival = text_of(browse(mia()).get(f"/leads/{lead_id}"))
    assert "Ole Harms" in rival
    # Nothing of whoever was asked before.
    for word in ("Kühn", "Lena", "declined"):
        assert word not in rival
    assert "Lena Kühn declined the offer: Kühn Technik" in text_of(
        browse(anna()).get(f"/leads/{lead_id}")
    )


def test_weeks_of_offers_nobody_answers_with_each_mail_once(
    app: Flask, browse: Browse, cast: None
) -> None:
    with clock.at(clock.now()) as forward, mailbox(app) as box:
        first, second = (write_down(browse, anna(), company=name) for name in ("A AG", "B AG"))
        for _watch in range(6 * 10):
            for _again in range(2):
                offers.offer_leads(clock.now())
                deliver()
            for lead_id in (first, second):
                assert [state for _name, state in states(lead_id)].count("open") <= 1
            forward(timedelta(hours=4))
        assert jobs.run_now("offer_leads") == 0
        late = [("Brandt Pumpen", "late"), ("Kühn Technik", "late")]
        assert sorted(states(first)) == sorted(states(second)) == late
        # One mail for both leads, to those who answer for the partner.
        assert sorted(str(letter["To"]) for letter in box.letters) == [
            "jonas@kuehn.example", "mia@brandt.example",
        ]  # fmt: skip
        text = mail_text(box.letters[0])
        assert box.letters[0]["Subject"] == "2 leads are offered to you"
        assert not any(word in text for word in (*WHO, "A AG", "B AG"))
        assert lead_of(first).partner_id is None
        assert browse(mia()).get(f"/leads/{first}").status_code == 410
    listed = text_of(browse(anna()).get("/leads?partner=none"))
    assert "A AG" in listed
    assert "B AG" in listed


def test_leads_that_nobody_takes_are_shown_to_the_vendor(browse: Browse, cast: None) -> None:
    with clock.at(clock.now()) as forward:
        lead_id = write_down(browse, anna(), company="A AG", region="DACH")
        silence = "the rules find no partner"
        for _partner in range(2):
            jobs.run_now("offer_leads")
            for path in ("/", "/leads"):
                page = text_of(browse(anna()).get(path))
                assert silence not in page
                assert "nobody takes" not in page
            forward(timedelta(hours=49))
        jobs.run_now("offer_leads")
        # The last one has not answered either.
        assert [state for _name, state in states(lead_id)] == ["late", "late"]
        other = write_down(browse, anna(), company="B AG", region="DACH")
        jobs.run_now("offer_leads")
        home, leads = browse(anna()).get("/"), browse(anna()).get("/leads")
        assert "1 lead that nobody takes" in text_of(home)
        assert "Nobody has 1 lead, and the rules find no partner for it" in text_of(leads)
        for shown in (home, leads):
            assert 'href="/leads?partner=left"' in shown.text
        for path in ("/leads?partner=left", "/leads.csv?partner=left", "/leads?partner=none"):
            listed = browse(anna()).get(path)
            assert "A AG" in listed.text
            assert ("B AG" in listed.text) == ("none" in path)
        # What partners see does not tell of it.
        assert "nobody" not in text_of(browse(mia()).get("/leads?partner=left")).lower()
        # Offered by hand, it waits for an answer again.
        browse(anna()).post(f"/leads/{lead_id}/offer", data={"partner": str(kuehn().id)})
        assert silence not in text_of(browse(anna()).get("/leads"))
        assert states(other)[0][1] == "open"


def test_an_offer_ends_by_time_even_when_no_job_runs(
    app: Flask, browse: Browse, cast: None
) -> None:
    lead_id = write_down(browse, anna(), partner=str(kuehn().id))
    with clock.at(clock.now() + timedelta(hours=48)):
        assert browse(lena()).get(f"/leads/{lead_id}").status_code == 410
        assert browse(lena()).post(f"/leads/{lead_id}/move/take").status_code == 410
        assert "A lead is offered" not in text_of(browse(lena()).get("/"))


def test_a_manager_offers_by_hand_one_at_a_time(app: Flask, browse: Browse, cast: None) -> None:
    lead_id = write_down(browse, anna(), partner=str(brandt().id))
    assert states(lead_id) == [("Brandt Pumpen", "open")]
    manager = browse(anna())
    again = manager.post(f"/leads/{lead_id}/offer", data={"partner": str(kuehn().id)})
    assert again.status_code == 409
    assert "offered to a partner already" in text_of(again)
    browse(mia()).post(f"/leads/{lead_id}/give-up/decline", data={"reason_code": "other"})
    assert manager.post(f"/leads/{lead_id}/offer", data={"partner": ""}).status_code == 302
    browse(lena()).post(f"/leads/{lead_id}/give-up/decline", data={"reason_code": "other"})
    nobody = manager.post(f"/leads/{lead_id}/offer", data={"partner": ""})
    assert nobody.status_code == 409
    assert "Choose one yourself" in text_of(nobody)
    for chosen, status in (("x", 404), (str(new_id()), 404), (str(brandt().id), 302)):
        answer = manager.post(f"/leads/{lead_id}/offer", data={"partner": chosen})
        assert answer.status_code == status
    # A lead that is given up is offered to nobody any more.
    manager.post(f"/leads/{lead_id}/give-up/disqualify", data={"reason_code": "duplicate"})
    assert states(lead_id)[-1] == ("Brandt Pumpen", "withdrawn")
    assert jobs.run_now("offer_leads") == 0


def test_accepting_at_the_moment_it_is_passed_on_has_one_outcome(
    app: Flask, browse: Browse, cast: None
) -> None:
    lead_id = write_down(browse, anna(), partner=str(kuehn().id))
    person_id = lena().id
    due = db.session.scalars(select(LeadOffer.due_at)).one()
    done: list[str] = []
    together = threading.Barrier(2)

    def take() -> None:
        with app.app_context(), app.test_request_context():
            together.wait()
            try:
                with write((Lead, lead_id)) as session:
                    lead, user = session.get_one(Lead, lead_id), session.get_one(User, person_id)
                    service.move(session, lead, user, "take", due - timedelta(seconds=1))
                done.append("taken")
            except Refused:
                done.append("refused")
            db.session.remove()

    def pass_on() -> None:
        with app.app_context(), app.test_request_context():
            together.wait()
            offers.offer_leads(due)
            db.session.remove()

    db.session.remove()
    threads = [threading.Thread(target=take), threading.Thread(target=pass_on)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = states(lead_id)
    if done == ["taken"]:
        assert found == [("Kühn Technik", "taken")]
        assert lead_of(lead_id).partner_id == kuehn().id
    else:
        assert found == [("Kühn Technik", "late"), ("Brandt Pumpen", "open")]
        assert lead_of(lead_id).partner_id is None
