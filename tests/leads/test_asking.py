"""A customer who asks becomes a lead of the partner; nobody else does, and the vendor does not
learn who it is before the partner registers them."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

from flask import Flask
from sqlalchemy import func, select

from portal import clock, jobs
from portal.content.models import ShareLink
from portal.db import db
from portal.leads.models import Enquiry, Lead
from portal.mail import Outbox
from tests.conftest import Browse
from tests.content.test_sharing import attention_token, share
from tests.deals.test_deals import claim
from tests.leads.leads import QUESTION, ask, lead_of, the_lead
from tests.mailbox import deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import ada, anna, jonas, lena, mia
from tests.tracking.reports import post, row, slot_now

NAMES = ("Ida", "Frank", "stadtwerke.example", "Stadtwerke", "shaft four")


def n_leads() -> int:
    """How many leads there are."""
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Lead)) or 0


def test_who_only_looks_is_no_lead(browse: Browse) -> None:
    link = share(browse, lena())
    customer = browse(None)
    page = customer.get(f"/s/{link.slug}")
    assert f'href="/s/{link.slug}/ask"' in page.text
    post(attention_token(page.text), row(slot_now(), 1, active=9000), activated=clock.now_ms() + 1)
    assert customer.get(f"/s/{link.slug}/ask").status_code == 200
    assert customer.head(f"/s/{link.slug}/ask").status_code == 200
    assert customer.get(f"/s/{link.slug}/ask", query_string=QUESTION).status_code == 200
    assert n_leads() == 0


def test_a_question_reaches_the_partner_at_once(app: Flask, browse: Browse) -> None:
    link = share(browse, lena())
    with mailbox(app) as box:
        assert ask(browse, link).location == f"/s/{link.slug}"
        deliver()
        letters = box.to("lena@kuehn.example")
        assert len(box.letters) == len(letters) == 1
    lead = the_lead()
    assert "Ida Frank has a question for you" in letters[0]["Subject"]
    assert "Does it fit shaft four?" in mail_text(letters[0])
    assert f"/leads/{lead.id}" in mail_text(letters[0])
    home = browse(lena()).get("/")
    assert "Ida Frank has a question" in text_of(home)
    page = text_of(browse(lena()).get(f"/leads/{lead.id}"))
    for words in ("ida@stadtwerke.example", "Does it fit shaft four?", "Stadtwerke Lingen"):
        assert words in page
    assert "I agree that Kühn Technik uses my name and address" in page
    kept = db.session.query(Enquiry).one()
    assert "gives them to Nordwerk" in kept.consent
    # The sentence was on the page, word for word.
    assert kept.consent in text_of(browse(None).get(f"/s/{link.slug}/ask"))
    assert (lead.source, lead.stage, lead.share_id) == ("share", "new", link.id)


def test_pressing_again_is_one_lead_and_one_mail(browse: Browse) -> None:
    link = share(browse, lena())
    for _time in range(3):
        ask(browse, link)
    assert n_leads() == 1
    assert db.session.query(Outbox).filter_by(message="lead_asked").count() == 1
    ask(browse, link, question="And what does it cost?", email="ida@stadtwerke.example ")
    ask(browse, link, email="other@stadtwerke.example")
    assert n_leads() == 2
    assert db.session.query(Enquiry).count() == 3
    assert db.session.query(Outbox).filter_by(message="lead_asked").count() == 3


def test_pressing_twice_at_the_same_moment_is_one_lead(app: Flask, browse: Browse) -> None:
    link = share(browse, lena())
    address, together = f"/s/{link.slug}/ask", threading.Barrier(3)
    db.session.remove()

    def press() -> None:
        together.wait()
        app.test_client().post(address, data=QUESTION)

    threads = [threading.Thread(target=press) for _n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert n_leads() == 1
    assert db.session.query(Outbox).filter_by(message="lead_asked").count() == 1


def test_what_is_missing_is_said_and_nothing_typed_is_lost(browse: Browse) -> None:
    link = share(browse, lena())
    for missing, sentence in (
        ({"name": ""}, "Please give your name."),
        ({"email": ""}, "Please give an address"),
        ({"email": "ida"}, "This is not an e-mail address."),
        ({"consent": ""}, "Please agree"),
    ):
        answer = ask(browse, link, **missing)
        assert answer.status_code == 400
        assert sentence in text_of(answer)
        assert "Does it fit shaft four?" in text_of(answer)
    assert n_leads() == 0
    browse(lena()).post(f"/shares/{link.id}/revoke")
    assert ask(browse, link).status_code == 410
    assert n_leads() == 0


def test_a_flood_of_questions_is_stopped(browse: Browse) -> None:
    link = share(browse, lena())
    answers = [ask(browse, link, email=f"x{n}@spam.example").status_code for n in range(12)]
    assert answers == [302] * 10 + [429] * 2
    assert n_leads() == 10


def test_the_vendor_counts_the_lead_and_learns_no_name_before_it_is_registered(
    app: Flask, browse: Browse
) -> None:
    jonas()
    link = share(browse, lena())
    ask(browse, link)
    lead = the_lead()
    browse(lena()).post(
        f"/leads/{lead.id}/edit", data={"company": "Stadtwerke Lingen", "contact": "Ida Frank"}
    )
    manager, admin = browse(anna()), browse(ada())
    paths = [
        "/", "/leads", "/leads?source=share", "/leads.csv", f"/leads/{lead.id}", "/reports/leads",
        "/reports/leads/leads.csv",
    ]  # fmt: skip
    for browser, more in ((manager, []), (admin, ["/jobs"])):
        for path in [*paths, *more]:
            answer = browser.get(path)
            assert answer.status_code == 200, path
            for name in NAMES:
                assert name not in answer.text, f"{path} shows {name}"
    assert "A customer of Kühn Technik" in text_of(manager.get("/leads"))
    assert "1" in manager.get("/reports/leads/leads.csv").text
    # What the vendor cannot see it cannot move, change or erase.
    for path in ("move/accept", "give-up/disqualify", "offer", "erase", "edit"):
        data = {"reason_code": "other", "sure": "1", "company": "X"}
        assert manager.post(f"/leads/{lead.id}/{path}", data=data).status_code == 409, path
    rows = db.session.query(Outbox).all()
    assert all(name not in repr(row.params) for row in rows for name in NAMES)
    assert browse(lena()).post(f"/leads/{lead.id}/move/accept").status_code == 302
    assert "Stadtwerke Lingen" in text_of(manager.get(f"/leads/{lead.id}"))


def test_a_deal_of_it_names_the_customer_too(browse: Browse) -> None:
    link = share(browse, lena())
    ask(browse, link)
    lead = the_lead()
    draft = claim(customer_name="Stadtwerke Lingen", then="draft")
    browse(lena()).post(f"/deals/new?lead={lead.id}", data=draft)
    assert lead_of(lead.id).named_at is None
    browse(lena()).post(f"/deals/new?lead={lead.id}", data={**draft, "then": "submit"})
    assert lead_of(lead.id).stage == "converted"
    assert "Ida Frank" in text_of(browse(anna()).get(f"/leads/{lead.id}"))


def test_a_deal_of_it_shows_what_the_customer_read(browse: Browse) -> None:
    link = share(browse, lena(), recipient="")
    with clock.at(clock.now() - timedelta(minutes=5)):
        token = attention_token(browse(None).get(f"/s/{link.slug}").text)
    post(token, row(slot_now(1), 3, active=4000), activated=clock.now_ms() + 1)
    ask(browse, link)
    # Asked again through another link: one lead, both links of the deal.
    again = share(browse, lena(), recipient="")
    ask(browse, again, question="And shaft five?")
    other = share(browse, lena(), recipient="")
    lead, sent = the_lead(), claim(customer_name="Stadtwerke Lingen")
    made = browse(lena()).post(f"/deals/new?lead={lead.id}", data=sent).location
    for person in (lena(), anna()):
        page = text_of(browse(person).get(made))
        assert "What the customer read" in page
        assert "once 4 s 3 of 5" in page
    deal_id = uuid.UUID(made.rsplit("/", 1)[1])
    db.session.rollback()
    found = {key: db.session.get_one(ShareLink, key).deal_id for key in (link.id, again.id)}
    assert found == {link.id: deal_id, again.id: deal_id}
    assert db.session.get_one(ShareLink, other.id).deal_id is None
    # Where customers stop: two of the three links led to a registration.
    stops = browse(anna()).get("/reports/results/results-customers-stop.csv?period=12m").text
    assert "2 of 3" in next(line for line in stops.splitlines() if "egistered" in line)
    # A link stays with the deal it belongs to; a second deal of the lead takes none away.
    second = browse(lena()).post(
        f"/deals/new?lead={lead.id}", data=claim(customer_name="Stadtwerke Lingen, harbour")
    )
    assert second.status_code == 302
    db.session.rollback()
    assert db.session.get_one(ShareLink, link.id).deal_id == deal_id


def test_no_other_partner_sees_it(browse: Browse) -> None:
    link = share(browse, lena())
    before = text_of(browse(mia()).get("/")), text_of(browse(mia()).get("/leads"))
    ask(browse, link)
    assert (text_of(browse(mia()).get("/")), text_of(browse(mia()).get("/leads"))) == before
    assert browse(mia()).get(f"/leads/{the_lead().id}").status_code == 404


def test_reading_and_asking_qualify_it_once(app: Flask, browse: Browse) -> None:
    link = share(browse, lena())
    with clock.at(clock.now() - timedelta(minutes=5)):
        token = attention_token(browse(None).get(f"/s/{link.slug}").text)
    slots = [row(slot_now(n), 1, active=15_000) for n in range(1, 17)]
    assert post(token, *slots, activated=clock.now_ms() + 1).status_code == 200
    assert jobs.run_now("qualify_leads") == 0
    ask(browse, link)
    assert jobs.run_now("qualify_leads") == 1
    assert jobs.run_now("qualify_leads") == 0
    browse(None).post(
        f"/s/{link.slug}/{link.items[0].asset_id}/download",
        headers={"User-Agent": "Mozilla/5.0 (X11) Firefox/130.0"},
    )
    shown = text_of(browse(lena()).get(f"/leads/{the_lead().id}"))
    # Asked 30, opened 5, four minutes of reading 8, the company 10; then a download 10.
    assert "The portal qualified it by its score" in shown
    assert "score 53, rules version 1" in shown
    assert "Score 63" in shown
    with clock.at(clock.now() + timedelta(days=30)):
        assert "Score 42" in text_of(browse(lena()).get(f"/leads/{the_lead().id}"))
    assert the_lead().stage == "mql"


def test_the_page_of_what_is_recorded_shows_the_question_and_erases_it(browse: Browse) -> None:
    link = share(browse, lena())
    ask(browse, link)
    customer = browse(None)
    shown = text_of(customer.get(f"/s/{link.slug}/recorded"))
    assert "Asked a question Name, address and question I agree that Kühn Technik" in shown
    # Others may hold the link: it does not say who asked.
    assert "Ida" not in shown
    assert "I agree" in customer.get(f"/s/{link.slug}/recorded.json").text
    customer.post(f"/s/{link.slug}/recorded/erase")
    assert "Asked a question" not in text_of(customer.get(f"/s/{link.slug}/recorded"))
    page = text_of(browse(lena()).get(f"/leads/{the_lead().id}"))
    assert "who this was is no longer known" in page
    for name in NAMES:
        assert name not in page
    for waiting in db.session.query(Outbox).filter_by(message="lead_asked"):
        assert waiting.params.keys() == {"enquiry"}
    assert "1 lead" in text_of(browse(ada()).get("/jobs"))
