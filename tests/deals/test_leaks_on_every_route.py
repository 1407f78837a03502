"""Every route that a partner can reach, in a whole story of deals, leads and links: with a rival
after the same customers it gives the same answers, asks the database as much and sends the same
mails. A new route that the story does not take fails until it does."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask, url_for
from sqlalchemy import select

from portal import clock, jobs
from portal.accounts.models import User
from portal.content.models import ShareLink
from portal.db import db, new_id
from portal.deals import service
from portal.deals.models import Customer, Deal, DealFile
from portal.leads.models import Lead
from tests.conftest import Browse
from tests.deals.test_deals import APPROVAL, approve, claim, deal, look_for_conflicts, register
from tests.deals.test_leaks import DRAWN, NOON, Answer, ask, assert_the_same, cast, start_afresh
from tests.factories import make_asset, make_family, make_user
from tests.leads.leads import QUESTION, write_down
from tests.mailbox import Mailbox, deliver, deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.people import anna, brandt, kuehn, lena, otto

# The ways of a partner, by what their routes say they are for.
THEIRS = ("signed in", "partners", "partner admins and vendor")
# Routes that know nothing of deals, leads or customers; surveys have leak tests of their own.
ELSEWHERE = {
    "accounts.leave", "accounts.leave_everywhere", "accounts.deactivate", "accounts.invite_again",
    "content.like", "content.download", "content.page_image", "content.recording",
    "surveys.answer_signed_in", "surveys.dismiss", "surveys.mail_again",
}  # fmt: skip
FILTERS = (
    "?q=brandt", "?status=rejected", "?stage=proposal", "?type=new", "?silent=yes",
    "?since=2026-01-01", "?until=2027-01-01", "?page=2",
)  # fmt: skip
ORDER = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20", "contract_ends": "2027-01-31"}
SHARING = {"recipient": "Brandt & Söhne", "days": "90", "allow_download": "y"}


class Story:
    """What one partner does and is answered; which routes it took."""

    def __init__(self, browse: Browse, person: User, forward: Callable[[timedelta], None]) -> None:
        self.browse, self.browser, self.forward = browse, browse(person), forward
        self.seen: list[Answer] = []
        self.taken: set[tuple[str, str]] = set()

    def do(self, method: str, endpoint: str, query: str, data: Any, key: dict[str, Any]) -> Answer:
        """Take one route."""
        # Nothing happens at the same moment as something else: lists are by time.
        self.forward(timedelta(seconds=1))
        with self.browser.application.test_request_context():
            path = url_for(endpoint, **key) + query
        answer = ask(self.browser, method, path, data=data)
        self.taken.add((endpoint, method))
        self.seen.append(answer)
        return answer

    def get(self, endpoint: str, query: str = "", /, **key: Any) -> Answer:
        """Look at a page."""
        return self.do("GET", endpoint, query, None, key)

    def post(self, endpoint: str, query: str = "", /, data: Any = None, **key: Any) -> Answer:
        """Send a form."""
        return self.do("POST", endpoint, query, data or {}, key)

    def look(self, deal_id: uuid.UUID) -> None:
        """The pages that show one deal."""
        self.get("deals.show", deal_id=deal_id)
        self.get("deals.edit", deal_id=deal_id)
        self.get("deals.index")

    def look_everywhere(self, deal_id: uuid.UUID) -> None:
        """And all else that shows it."""
        self.look(deal_id)
        self.get("deals.protection_ics", deal_id=deal_id)
        for endpoint in ("deals.index_csv", "deals.protections_ics", "reports.home"):
            self.get(endpoint)

    def registers(self, name: str, family: str = "Pumps") -> uuid.UUID:
        """A registration, taken in review."""
        key, form = new_id(), claim(customer_name=name, product_family=str(make_family(family).id))
        self.post("deals.new", data={**form, "key": str(key)})
        self.look(key)
        look_for_conflicts()
        self.browse(anna()).post(f"/deals/{key}/move/take_in_review")
        self.look(key)
        return key


class Rival:
    """Lena, who is after the same customers, at every turn of the story; or nobody."""

    def __init__(self, browse: Browse, *, is_there: bool) -> None:
        self.browse, self.is_there = browse, is_there

    def comes_first(self, asset_id: uuid.UUID) -> None:
        """She has the customer reserved for one family, and claims it for the others; she has
        shared, been asked and written down leads."""
        if not self.is_there:
            return
        mine = self.browse(lena())
        families = {"product_family": str(make_family("Spare parts").id)}
        first = register(self.browse, lena(), **families)
        assert approve(self.browse, first).status_code == 302
        register(self.browse, lena())
        made = mine.post(f"/library/{asset_id}/share", data=SHARING)
        key = uuid.UUID(made.location.rsplit("/", 1)[1])
        link = db.session.get_one(ShareLink, key)
        self.browse(None).post(f"/s/{link.slug}/ask", data=QUESTION)
        write_down(self.browse, lena(), company="Brandt & Söhne", email=QUESTION["email"])
        mine.post("/deals/new", data=claim(then="draft"))

    def comes_again(self) -> None:
        """She registers it once more, and her claim is reviewed."""
        if self.is_there:
            key = register(self.browse, lena(), amount="7")
            self.browse(otto()).post(f"/deals/{key}/move/take_in_review")
            look_for_conflicts()

    def had_the_lead(self, lead_id: uuid.UUID) -> None:
        """What the vendor found was offered to her before, who declined."""
        if self.is_there:
            self.browse(anna()).post(f"/leads/{lead_id}/offer", data={"partner": kuehn().id})
            said = {"reason_code": "no_capacity", "note": "Ask somebody else."}
            self.browse(lena()).post(f"/leads/{lead_id}/give-up/decline", data=said)

    def is_merged(self, deal_id: uuid.UUID) -> None:
        """The vendor finds out that both have the same customer."""
        customer = db.session.get_one(Deal, deal_id).customer_id
        others = db.session.scalars(select(Customer.id).where(Customer.id != customer)).all()
        for other in others if self.is_there else ():
            path = f"/deals/customers/{other}/merge/{customer}"
            assert self.browse(anna()).post(path).status_code == 302


def leads_and_links(story: Story, rival: Rival, asset_id: uuid.UUID) -> uuid.UUID:
    """Content is shared, a customer asks, leads come in; the link that was made."""
    for endpoint, about in (
        ("content.index", {}), ("content.asset", {"asset_id": asset_id}),
        ("content.share", {"asset_id": asset_id}), ("deals.new", {}), ("leads.new", {}),
    ):  # fmt: skip
        story.get(endpoint, **about)
    story.post("content.share", data=SHARING, asset_id=asset_id)
    db.session.rollback()
    sent = select(ShareLink).where(ShareLink.partner_id == brandt().id)
    link = db.session.scalars(sent).one()
    asked = story.browse(None).post(f"/s/{link.slug}/ask", data=QUESTION)
    assert asked.status_code == 302
    story.get("content.shares")
    story.get("content.share_made", link_id=link.id)
    story.get("deals.new", f"?share={link.id}")
    story.get("leads.new", f"?share={link.id}")
    facts = {"company": "Brandt & Söhne", "email": QUESTION["email"], "country": "DE"}
    story.post("leads.new", data=facts)
    db.session.rollback()
    written = select(Lead.id).where(Lead.partner_id == brandt().id, Lead.source == "partner")
    own = db.session.scalars(written).one()
    story.post("leads.new", data={"company": ""})
    given = write_down(story.browse, anna(), company="Brandt & Söhne", email=QUESTION["email"])
    rival.had_the_lead(given)
    story.browse(anna()).post(f"/leads/{given}/offer", data={"partner": brandt().id})
    for key in (own, given):
        for query in ("", "?stage=new", "?source=vendor", f"?partner={kuehn().id}"):
            story.get("leads.index", query)
            story.get("leads.index_csv", query)
        story.get("leads.show", lead_id=key)
        story.post("leads.move", lead_id=key, name="take")
        story.get("leads.edit", lead_id=key)
        story.post("leads.edit", data={**facts, "note": "Again."}, lead_id=key)
        story.post("leads.move", lead_id=key, name="accept")
        story.get("leads.show", lead_id=key)
        story.get("deals.new", f"?lead={key}")
    story.post("leads.give_up", data={"reason_code": "no_need"}, lead_id=own, name="disqualify")
    story.post("leads.erase", data={"sure": "1"}, lead_id=own)
    story.get("leads.show", lead_id=own)
    return link.id


def a_draft(story: Story, link_id: uuid.UUID) -> None:
    """It saves itself, is overwritten and finished later."""
    key = new_id()
    for form in (claim(amount="a lot"), claim(), claim(version="0")):
        story.post("deals.save_draft", data=form, deal_id=key)
    story.post("deals.new", f"?share={link_id}", data=claim(then="draft", key=str(new_id())))
    story.get("deals.new", f"?share={link_id}")
    story.look(key)
    story.post("deals.edit", data=claim(amount="less"), deal_id=key)
    story.post("deals.add_comment", data={"text": "Hello?"}, deal_id=key)
    story.post("deals.edit", data=claim(then="draft"), deal_id=key)
    story.post("deals.move", deal_id=key, name="submit")
    story.post("deals.move", deal_id=key, name="withdraw")
    story.look(key)


def talk(story: Story, deal_id: uuid.UUID) -> None:
    """Words and files of both sides."""
    story.post("deals.add_comment", data={"text": "Frau Brandt decides."}, deal_id=deal_id)
    story.browse(anna()).post(f"/deals/{deal_id}/comments", data={"text": "Does she?"})
    upload = (io.BytesIO(b"%PDF-1.7"), "offer.pdf")
    story.post("deals.add_deal_file", data={"file": upload}, deal_id=deal_id)
    db.session.rollback()
    query = select(DealFile.id).where(DealFile.deal_id == deal_id)
    file_id = db.session.scalars(query).one()
    story.get("deals.deal_file", deal_id=deal_id, file_id=file_id)
    story.post("deals.remove_deal_file", deal_id=deal_id, file_id=file_id)
    story.look(deal_id)


def approved(story: Story, rival: Rival) -> uuid.UUID:
    """From the claim over a question to the order."""
    key = story.registers("Brandt Soehne GmbH")
    manager = story.browse(anna())
    manager.post(f"/deals/{key}/ask", data={"sentence": "Who decides?"})
    story.look(key)
    story.post("deals.edit", data=claim(customer_name="", note="Frau Brandt."), deal_id=key)
    story.post("deals.edit", data=claim(note="Frau Brandt."), deal_id=key)
    look_for_conflicts()
    talk(story, key)
    manager.post(f"/deals/{key}/notes", data={"text": "Lena was first." if rival.is_there else "?"})
    assert manager.post(f"/deals/{key}/approve", data=APPROVAL).status_code == 302
    rival.comes_again()
    rival.is_merged(key)
    story.look_everywhere(key)
    story.post("deals.move", deal_id=key, name="to_proposal")
    story.post("deals.say", data={"text": ""}, deal_id=key, name="ask_extension")
    story.post("deals.say", data={"text": "Budget."}, deal_id=key, name="ask_extension")
    story.look(key)
    assert manager.post(f"/deals/{key}/move/extend").status_code == 302
    story.look(key)
    story.post("deals.won", data={**ORDER, "won_on": "2099-01-01"}, deal_id=key)
    story.post("deals.won", data=ORDER, deal_id=key)
    manager.post(f"/deals/{key}/won", data={**ORDER, "order_number": "PO-1"})
    story.look_everywhere(key)
    story.get("deals.new", f"?renews={key}")
    story.post("deals.say_what_helped", data={"pursued": "yes"}, deal_id=key)
    return key


def rejected(story: Story) -> None:
    """Two claims that come to nothing."""
    key = story.registers("Brandt Söhne")
    story.browse(anna()).post(f"/deals/{key}/reject", data={"reason_code": "other_partner"})
    story.look_everywhere(key)
    story.post("deals.edit", data=claim(), deal_id=key)
    story.post("deals.move", deal_id=key, name="withdraw")
    story.post("deals.lost", data={"loss_reason": "price"}, deal_id=key)


def everything(
    browse: Browse, rival: Rival, box: Mailbox, forward: Callable[[timedelta], None]
) -> tuple[Story, list[str]]:
    """The whole story, and the mails that the partner got meanwhile and over half a year."""
    cast()
    admin = make_user("Bo Brandt", "partner_admin", brandt(), email="bo@brandt.example")
    asset = make_asset(families=(make_family(),))
    otto(), kuehn()
    rival.comes_first(asset.id)
    story = Story(browse, admin, forward)
    a_draft(story, leads_and_links(story, rival, asset.id))
    won = approved(story, rival)
    rejected(story)
    for query in (*FILTERS, f"?partner={kuehn().id}", f"?family={make_family().id}", "?status=x"):
        story.get("deals.index", query)
        story.get("deals.index_csv", query)
    story.get("content.index", "?q=brandt")
    for endpoint in (
        "accounts.account", "accounts.notice_choice", "accounts.people", "reports.recorded",
        "reports.recorded_csv", "reports.recorded_json", "content.shares",
    ):  # fmt: skip
        story.get(endpoint)
    link_id = db.session.scalars(select(ShareLink.id).where(ShareLink.user_id == admin.id)).one()
    story.post("content.revoke_share", link_id=link_id)
    story.post("accounts.account", data={"name": "Bo Brandt", "languages": "en"})
    story.post("accounts.people", data={"email": "not an address"})
    story.post("accounts.notice_choice")
    story.post("reports.erase_reading", data={"sure": "1"})
    assert (deal(won).status, deal(won).stage) == ("closed", "won")
    return story, mails_of_the_partner(box)


def mails_of_the_partner(box: Mailbox) -> list[str]:
    """Every mail to the partner, without what is drawn anew each time."""
    deliver()
    for days in (1, 2, 31, 60, 84, 120):
        with clock.at(NOON + timedelta(days=days)):
            for job in ("remind_protections", "warn_stale", "propose_renewals", "offer_leads"):
                jobs.run_now(job)
        deliver_daily(days)
    letters = [letter for letter in box.letters if letter["To"].endswith("@brandt.example")]
    drawn = ("message-id", "date", "content-type")
    return [
        DRAWN.sub("*", f"{[pair for pair in letter.items() if pair[0].lower() not in drawn]}\n")
        + DRAWN.sub("*", mail_text(letter))
        for letter in letters
    ]


def test_every_route_and_every_mail_is_the_same_with_and_without_a_rival(
    app: Flask, browse: Browse
) -> None:
    with mailbox(app) as box:
        with clock.at(NOON) as forward:
            story, mails = everything(browse, Rival(browse, is_there=False), box, forward)
        start_afresh(app)
        box.letters.clear()
        with clock.at(NOON) as forward:
            beside, their_mails = everything(browse, Rival(browse, is_there=True), box, forward)
    assert_the_same(story.seen, beside.seen)
    assert mails == their_mails
    assert len(mails) > 6
    reachable = {
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        for method in ("GET", "POST")
        if method in (rule.methods or ())
        and getattr(app.view_functions[rule.endpoint], "access", "") in THEIRS
        and rule.endpoint not in ELSEWHERE
    }
    assert reachable - story.taken == set()


def test_a_reference_tells_no_number(app: Flask) -> None:
    drawn = [service.new_reference() for _n in range(400)]
    assert len(set(drawn)) == 400
    assert drawn not in (sorted(drawn), sorted(drawn, reverse=True))
    # Every place of it is drawn: none stands still or counts up.
    assert min(len(set(letters)) for letters in zip(*drawn, strict=True)) > 20
