"""What needs a second pair of eyes, or more time: two approvals, revocation by two, extensions."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.accounts.models import Partner, User
from portal.accounts.notices import Notice
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import service
from portal.deals.models import Deal, Protection
from portal.deals.record import Given
from portal.errors import PortalError
from tests.conftest import Browse
from tests.deals.test_at_once import at_once
from tests.deals.test_deals import approve, claim, deal, look_for_conflicts, register
from tests.deals.test_policy import set_rules
from tests.mailbox import deliver, deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import ada, anna, jonas, kuehn, lena, mia, otto


def protection(deal_id: uuid.UUID) -> Protection:
    """The protection of a deal as it is stored now."""
    db.session.rollback()
    return db.session.scalars(select(Protection).where(Protection.deal_id == deal_id)).one()


# --- two approvals --------------------------------------------------------------------------------


def test_a_large_deal_needs_two_approvals_of_two_people(browse: Browse) -> None:
    otto()
    set_rules(browse, two_person="10 000")
    key = register(browse, lena(), amount="10 000")
    first = approve(browse, key)
    assert first.status_code == 302
    assert deal(key).status == "in_review"
    again = browse(anna()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert "Two people have to do this" in text_of(again)
    assert "approved it first" in text_of(browse(otto()).get(f"/deals/{key}"))
    # What the vendor settles among its own people is not the partner's.
    assert "approved" not in text_of(browse(lena()).get(f"/deals/{key}")).lower()
    browse(otto()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert deal(key).status == "approved"
    assert protection(key).customer_id == deal(key).customer_id


def test_an_amount_in_another_currency_takes_two_whatever_it_is(browse: Browse) -> None:
    otto()
    set_rules(browse, two_person="10 000")
    key = register(browse, lena(), amount="100", currency="CHF")
    approve(browse, key)
    assert deal(key).status == "in_review"


def test_a_changed_claim_is_approved_afresh(browse: Browse) -> None:
    otto()
    set_rules(browse, two_person="10 000", max_resubmissions="1")
    key = register(browse, lena(), amount="10 000")
    approve(browse, key)
    browse(otto()).post(f"/deals/{key}/ask", data={"sentence": "Who?"})
    browse(lena()).post(f"/deals/{key}/edit", data=claim(amount="90 000"))
    assert deal(key).first_approved_by_id is None
    look_for_conflicts()
    browse(otto()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert deal(key).status == "in_review"


def test_a_small_deal_and_a_vendor_of_one_need_one_approval(browse: Browse) -> None:
    set_rules(browse, two_person="10 000")
    small = register(browse, lena(), amount="9 999")
    approve(browse, small)
    assert deal(small).status == "approved"


def test_a_partner_is_asked_as_often_as_the_rules_allow(browse: Browse) -> None:
    set_rules(browse, max_resubmissions="1")
    key, manager = register(browse, lena()), browse(anna())
    manager.post(f"/deals/{key}/move/take_in_review")
    manager.post(f"/deals/{key}/ask", data={"sentence": "Who?"})
    browse(lena()).post(f"/deals/{key}/edit", data=claim())
    page = text_of(manager.get(f"/deals/{key}"))
    assert "asked as often as the rules allow" in page
    refused = manager.post(f"/deals/{key}/ask", data={"sentence": "Again?"})
    assert (refused.status_code, deal(key).status) == (409, "in_review")


# --- revocation -----------------------------------------------------------------------------------


def test_an_approval_is_withdrawn_by_two_people_and_the_customer_is_free(
    app: Flask, browse: Browse
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    said = {"text": "The tender was opened to everyone."}
    with mailbox(app) as box:
        browse(anna()).post(f"/deals/{key}/say/propose_revocation", data=said)
        assert "tender" not in text_of(browse(lena()).get(f"/deals/{key}"))
        assert "Two people" in text_of(browse(anna()).post(f"/deals/{key}/move/revoke"))
        browse(otto()).post(f"/deals/{key}/move/revoke")
        deliver()
    assert deal(key).status == "revoked"
    assert protection(key).ends_at <= clock.now()
    page = text_of(browse(lena()).get(f"/deals/{key}"))
    assert "Approval withdrawn, " in page
    assert "The tender was opened to everyone." in page
    letters = [mail_text(letter) for letter in box.to("lena@kuehn.example")]
    assert any("approval of your registration" in text for text in letters)


def test_a_proposal_can_be_dropped_and_made_again(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    said = {"text": "Why not."}
    browse(anna()).post(f"/deals/{key}/say/propose_revocation", data=said)
    twice = browse(otto()).post(f"/deals/{key}/say/propose_revocation", data=said)
    assert twice.status_code == 409
    browse(anna()).post(f"/deals/{key}/move/drop_revocation")
    refused = browse(otto()).post(f"/deals/{key}/move/revoke")
    assert "Nobody has proposed" in text_of(refused)
    assert browse(lena()).post(f"/deals/{key}/move/revoke").status_code == 409


# --- finding what waits ---------------------------------------------------------------------------


def told(kind: str) -> list[uuid.UUID]:
    """Who has a notice of this kind."""
    db.session.rollback()
    return sorted(db.session.scalars(select(Notice.user_id).where(Notice.kind == kind)))


def links_to(page: Any, key: uuid.UUID, words: str) -> bool:
    """Whether a page says something, and leads to the deal of which it says it."""
    return words in text_of(page) and f'href="/deals/{key}"' in page.text


def test_the_second_approver_finds_what_waits_for_them(app: Flask, browse: Browse) -> None:
    otto(), jonas()
    set_rules(browse, two_person="10 000")
    key = register(browse, lena(), amount="10 000")
    for path in ("/", "/deals", "/deals/queue?whose=all"):
        assert "first approval" not in text_of(browse(otto()).get(path)).lower()
    approve(browse, key)
    assert links_to(browse(otto()).get("/"), key, "First approval by Anna Keller.")
    for path in ("/deals", "/deals/queue?whose=all"):
        assert links_to(browse(otto()).get(path), key, "first approval by Anna Keller"), path
    # Who approved first has done their part; the partner learns nothing of it.
    assert f'href="/deals/{key}"' not in browse(anna()).get("/").text
    assert told("second_approval") == [otto().id]
    with mailbox(app) as box:
        deliver_daily(1)
    letters = [mail_text(letter) for letter in box.to(otto().email)]
    assert any("Anna Keller approved it first" in text for text in letters)
    others = [letter["To"] for letter in box.letters if "approved it first" in mail_text(letter)]
    assert others == [otto().email]


def test_a_large_deal_of_the_manager_who_approved_first_is_the_others_to_decide(
    browse: Browse,
) -> None:
    otto(), ada()
    set_rules(browse, two_person="10 000")
    look_after, partner_id = anna().id, kuehn().id
    with write() as session:
        session.get_one(Partner, partner_id).channel_manager_id = look_after
    key = register(browse, lena(), amount="10 000")
    # More than fit on the page they start on, and all sooner.
    for n in range(5):
        register(browse, mia(), customer_name=f"C{n}", domain="")
        with write() as session:
            session.execute(
                update(Deal)
                .where(Deal.customer_name == f"C{n}")
                .values(decision_due_at=clock.now() + timedelta(hours=1))
            )
    assert deal(key).assignee_id == look_after
    assert f'href="/deals/{key}"' not in browse(otto()).get("/").text
    approve(browse, key)
    assert told("second_approval") == sorted([otto().id, ada().id])
    assert f'href="/deals/{key}"' in browse(otto()).get("/").text


def test_the_second_person_finds_what_is_proposed_to_be_withdrawn(
    app: Flask, browse: Browse
) -> None:
    otto()
    key = register(browse, lena())
    approve(browse, key)
    assert "Proposed to withdraw" not in text_of(browse(otto()).get("/deals"))
    browse(anna()).post(f"/deals/{key}/say/propose_revocation", data={"text": "Open to all."})
    assert links_to(browse(otto()).get("/"), key, "Anna Keller proposes to withdraw")
    assert links_to(browse(otto()).get("/deals"), key, "Proposed to withdraw")
    # Nobody does it alone.
    assert "proposes to withdraw" not in text_of(browse(anna()).get("/"))
    assert told("revocation_proposed") == [otto().id]
    with mailbox(app) as box:
        deliver_daily(1)
    assert any("“Open to all.”" in mail_text(letter) for letter in box.to(otto().email))
    assert not any("withdraw" in mail_text(letter) for letter in box.to("lena@kuehn.example"))
    browse(otto()).post(f"/deals/{key}/move/revoke")
    assert "Proposed to withdraw" not in text_of(browse(otto()).get("/deals"))


def test_whoever_decides_finds_who_asks_for_more_time(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    # However much there is to decide.
    for n in range(5):
        register(browse, mia(), customer_name=f"C{n}", domain="")
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget in May."})
    assert links_to(browse(anna()).get("/"), key, "Kühn Technik asks to extend")
    assert links_to(browse(anna()).get("/deals"), key, "Asks for more time")
    browse(anna()).post(f"/deals/{key}/move/extend")
    for path in ("/", "/deals"):
        assert "more time" not in text_of(browse(anna()).get(path)), path


# --- extensions -----------------------------------------------------------------------------------


def test_a_partner_asks_for_more_time_and_gets_it(app: Flask, browse: Browse) -> None:
    anna()
    key = register(browse, lena())
    approve(browse, key)
    ends = protection(key).ends_at
    with mailbox(app) as box:
        asked = browse(lena()).post(
            f"/deals/{key}/say/ask_extension", data={"text": "Budget in May."}
        )
        assert asked.status_code == 302
        assert "Budget in May." in text_of(browse(anna()).get(f"/deals/{key}"))
        assert "You asked for an extension" in text_of(browse(lena()).get(f"/deals/{key}"))
        deliver_daily(1)
        browse(anna()).post(f"/deals/{key}/move/extend")
        deliver_daily(2)
    assert timedelta(days=59) < protection(key).ends_at - ends < timedelta(days=61)
    assert any("asks to extend" in mail_text(letter) for letter in box.to(anna().email))
    assert any("is extended" in mail_text(letter) for letter in box.to("lena@kuehn.example"))
    # The rules allow one.
    again = browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "More."})
    assert "as often as the rules allow" in text_of(again)


def test_an_extension_that_is_refused_says_why_and_can_be_asked_for_again(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    nothing = browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": " "})
    assert "Please say why." in text_of(nothing)
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    browse(anna()).post(f"/deals/{key}/say/refuse_extension", data={"text": "No news since March."})
    assert "No news since March." in text_of(browse(lena()).get(f"/deals/{key}"))
    asked = browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "There is."})
    assert asked.status_code == 302


def test_what_has_ended_is_not_extended(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    with clock.at(protection(key).ends_at):
        refused = browse(anna()).post(f"/deals/{key}/move/extend")
        assert "has ended" in text_of(refused)
        assert browse(anna()).post(f"/deals/{key}/move/expire").status_code == 302
    assert deal(key).status == "expired"


@pytest.mark.parametrize("_round", range(3))
def test_of_extending_and_withdrawing_at_the_same_moment_one_succeeds(
    app: Flask, browse: Browse, _round: int
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    browse(anna()).post(f"/deals/{key}/say/propose_revocation", data={"text": "Reasons."})
    family = deal(key).product_family_id
    people = {"extend": anna().id, "revoke": otto().id, "lose": lena().id}
    db.session.rollback()
    start, done = threading.Barrier(len(people)), dict[str, str]()

    def act(name: str, given: Given) -> None:
        with app.app_context():
            start.wait()
            try:
                with write((Deal, key), (ProductFamily, family)) as session:
                    person = session.get_one(User, people[name])
                    service.move(session, service.get(session, person, key), person, name,
                                 clock.now(), given)  # fmt: skip
                done[name] = "done"
            except PortalError as refusal:
                done[name] = str(refusal)
            db.session.remove()

    given: dict[str, Any] = {
        "extend": Given(),
        "revoke": Given(),
        "lose": Given(loss_reason="price"),
    }
    threads = [threading.Thread(target=act, args=[name, given[name]]) for name in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = deal(key).status
    assert ended in ("revoked", "closed")
    # One of the two ends it; the extension came before or was refused.
    assert [done["revoke"], done["lose"]].count("done") == 1
    assert protection(key).ends_at <= clock.now()


@pytest.mark.parametrize(("moment", "first"), [(-1, "extend"), (0, "expire"), (1, "expire")])
def test_of_extending_and_expiring_at_the_same_moment_one_succeeds(
    app: Flask, browse: Browse, moment: int, first: str
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    ends, family, person_id = protection(key).ends_at, deal(key).product_family_id, anna().id
    # The same now for both, just before, at and just after the end.
    now = ends + timedelta(microseconds=moment)

    def act(name: str) -> None:
        with write((Deal, key), (ProductFamily, family)) as session:
            person = session.get_one(User, person_id)
            service.move(session, service.get(session, person, key), person, name, now)

    said = at_once(app, lambda: act("extend"), lambda: act("expire"))
    assert [words == "done" for words in said] == [first == "extend", first == "expire"]
    is_extended = protection(key).ends_at > ends
    assert (deal(key).status, is_extended) == (
        ("approved", True) if first == "extend" else ("expired", False)
    )
