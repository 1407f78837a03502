"""Conflicts are found by a job, shown as evidence to reviewers, and never pass unseen."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from portal import clock
from portal.accounts.models import User
from portal.accounts.notices import send_notices
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import checks, conflicts, record
from portal.deals.customer_models import ConflictCheck, ConflictMatch
from portal.deals.evidence import Evidence, evidence
from portal.deals.models import Deal, Protection
from tests.conftest import Browse
from tests.deals.test_deals import (
    APPROVAL,
    approve,
    claim,
    deal,
    look_for_conflicts,
    register,
)
from tests.deals.test_import import SMALL, bring_in
from tests.factories import make_family
from tests.mailbox import deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import anna, lena, mia, otto

RIVAL = {
    "customer_name": "Brandt Soehne GmbH",
    "domain": "https://www.brandt.example/kontakt",
    "postcode": "20457",
}


def found(deal_id: uuid.UUID) -> Evidence:
    """The evidence of a deal as it is stored now."""
    row = deal(deal_id)
    with_request = evidence(db.session(), [row])
    db.session.rollback()
    return with_request[deal_id]


def post_claim(browse: Browse, person: User, **more: Any) -> uuid.UUID:
    """`person` registers a deal that nothing has looked at yet; its key."""
    answer = browse(person).post("/deals/new", data=claim(**more))
    return uuid.UUID(answer.location.rsplit("/", 1)[1])


def in_review(browse: Browse, deal_id: uuid.UUID) -> str:
    """Anna takes it in review; the address of its page."""
    browse(anna()).post(f"/deals/{deal_id}/move/take_in_review")
    return f"/deals/{deal_id}"


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Every statement that is sent to the database meanwhile."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith(("PRAGMA", "SET ", "BEGIN")):
            said.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


# --- finding --------------------------------------------------------------------------------------


def test_anna_finds_the_rival_with_its_evidence_beside_the_claim(browse: Browse) -> None:
    mine, rival = register(browse, lena()), register(browse, mia(), **RIVAL)
    look_for_conflicts()
    page = text_of(browse(anna()).get(f"/deals/{mine}"))
    assert "Brandt Soehne GmbH the same company" in page
    assert "Registered by Brandt Pumpen, Pumps, on" in page
    assert "name: brandt soehne · web domain: brandt.example · country: DE" in page
    assert "Brandt & Söhne the same company" in text_of(browse(anna()).get(f"/deals/{rival}"))
    for person, key in ((lena(), mine), (mia(), rival)):
        page = text_of(browse(person).get(f"/deals/{key}"))
        assert "Who else" not in page
        assert "the same company" not in page


def test_whoever_came_first_is_checked_again_when_a_rival_comes_and_it_ends(
    app: Flask, browse: Browse
) -> None:
    first = register(browse, lena())
    assert found_in(app, first).rivals == []
    second = post_claim(browse, mia(), **RIVAL)
    db.session.rollback()
    assert [checks.run_waiting(clock.now()) for _n in range(3)] == [1, 1, 0]
    assert [item.deal_id for item in found_in(app, first).rivals] == [second]
    assert [item.deal_id for item in found_in(app, second).rivals] == [first]


def found_in(app: Flask, deal_id: uuid.UUID) -> Evidence:
    """The evidence, with the words of a page."""
    with app.test_request_context():
        return found(deal_id)


def test_a_changed_claim_is_compared_again(app: Flask, browse: Browse) -> None:
    mine, rival = register(browse, lena()), register(browse, mia(), **RIVAL)
    path = in_review(browse, mine)
    browse(anna()).post(f"{path}/ask", data={"sentence": "Which company?"})
    other = claim(customer_name="Hafen Emden", domain="hafen-emden.example", postcode="26723")
    browse(lena()).post(f"{path}/edit", data=other)
    assert found_in(app, mine).state == "waiting"
    look_for_conflicts()
    assert found_in(app, mine).state == "done"
    # While it is with the partner, too: a rival must not be kept waiting.
    browse(anna()).post(f"{path}/ask", data={"sentence": "Sure?"})
    browse(lena()).post(f"{path}/edit", data={**other, "contact": "Frau Ahrens", "then": "draft"})
    assert found_in(app, mine).state == "waiting"
    look_for_conflicts()
    assert found_in(app, mine).matches == found_in(app, rival).matches == []


def test_another_family_and_the_same_partner_are_no_rivals(app: Flask, browse: Browse) -> None:
    mine = register(browse, lena())
    register(browse, lena(), amount="1")
    register(browse, mia(), product_family=str(make_family("Spare parts").id))
    look_for_conflicts()
    seen = found_in(app, mine)
    assert len(seen.matches) == 2
    assert seen.rivals == []
    assert not seen.needs_reason
    assert "the same partner, Kühn Technik" in " ".join(item.says for item in seen.matches)


def test_what_is_over_is_no_rival(app: Flask, browse: Browse) -> None:
    mine, rival = register(browse, lena()), register(browse, mia(), **RIVAL)
    look_for_conflicts()
    assert found_in(app, mine).needs_reason
    browse(mia()).post(f"/deals/{rival}/move/withdraw")
    assert not found_in(app, mine).needs_reason
    in_review(browse, mine)
    browse(anna()).post(f"/deals/{mine}/approve", data={"customer": "new"})
    assert deal(mine).status == "approved"


def test_the_evidence_of_many_takes_as_many_queries_as_of_one(app: Flask, browse: Browse) -> None:
    keys = [register(browse, person, amount=str(n)) for n in range(3) for person in (lena(), mia())]
    look_for_conflicts()
    counts = []
    for some_keys in (keys[:1], keys):
        db.session.rollback()
        some = [db.session.get_one(Deal, key) for key in some_keys]
        with app.test_request_context(), counted_queries() as said:
            assert len(evidence(db.session(), some)) == len(some)
        counts.append(len(said))
        db.session.rollback()
    assert counts[0] == counts[1] <= 6


def test_imported_deals_are_compared_with_what_waits(app: Flask, browse: Browse) -> None:
    kept = register(browse, lena(), customer_name="Löwe", domain="")
    mia()
    with app.test_request_context():
        bring_in(SMALL.replace("Kühn Technik", "Brandt Pumpen"), create=True)
    assert found_in(app, kept).state == "waiting"
    look_for_conflicts()
    assert [item.name for item in found_in(app, kept).rivals] == ["Löwe & Co"]


def test_a_customer_in_nearly_the_same_spelling_can_be_chosen(browse: Browse) -> None:
    first = register(browse, lena(), customer_name="Hafen Emden", domain="")
    approve(browse, first)
    parts = str(make_family("Spare parts").id)
    second = register(browse, mia(), customer_name="Haven Emden", domain="", product_family=parts)
    page = browse(anna()).get(in_review(browse, second))
    assert "Hafen Emden, DE" in text_of(page)
    assert str(deal(first).customer_id) in page.text


def test_a_check_by_older_rules_is_done_again(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = register(browse, lena())
    assert checks.run_waiting(clock.now()) == 0
    monkeypatch.setattr(checks, "KEYS_VERSION", conflicts.KEYS_VERSION + 1)
    assert found_in(app, key).state == "waiting"
    assert checks.run_waiting(clock.now()) == 1
    assert found_in(app, key).state == "done"


# --- approving ------------------------------------------------------------------------------------


def test_nothing_is_approved_before_the_check_has_finished(browse: Browse) -> None:
    key = post_claim(browse, lena())
    path = in_review(browse, key)
    assert "has not finished" in text_of(browse(anna()).get(path))
    refused = browse(anna()).post(f"{path}/approve", data=APPROVAL)
    assert refused.status_code == 409
    assert "The check for conflicts has not finished" in text_of(refused)
    assert "They were first." in refused.text
    browse(anna()).post(f"{path}/check")
    browse(anna()).post(f"{path}/approve", data=APPROVAL)
    assert deal(key).status == "approved"


def test_a_check_that_failed_blocks_approval_and_can_be_run_by_hand(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = register(browse, mia(), **RIVAL)
    key = post_claim(browse, lena())

    def fails(*_keys: Any) -> None:
        raise RuntimeError("no luck")

    with monkeypatch.context() as broken:
        broken.setattr(conflicts, "compare", fails)
        db.session.rollback()
        assert checks.run_waiting(clock.now()) == 0
        assert found_in(app, key).state == "failed"
        path = in_review(browse, key)
        page = text_of(browse(anna()).get(path))
        assert "The check for conflicts failed" in page
        assert "no luck" in page
        refused = text_of(browse(anna()).post(f"{path}/approve", data=APPROVAL))
        assert "Please run it again" in refused
        assert deal(key).status == "in_review"
    db.session.rollback()
    assert checks.run_waiting(clock.now()) == 0
    assert "Checked." in text_of(browse(anna()).post(f"{path}/check", follow_redirects=True))
    assert [item.deal_id for item in found_in(app, key).rivals] == [rival]
    # It is tried again by itself, later.
    look_for_conflicts()
    with write() as session:
        session.get_one(ConflictCheck, key).state = checks.FAILED
    later = clock.now() + checks.RETRY + timedelta(seconds=1)
    assert checks.run_waiting(later) == 1


def test_a_rival_that_came_since_the_check_stops_the_approval(browse: Browse) -> None:
    key = register(browse, lena())
    path = in_review(browse, key)
    post_claim(browse, mia(), **RIVAL)
    refused = browse(anna()).post(f"{path}/approve", data=APPROVAL)
    assert refused.status_code == 409
    assert "came since the check" in text_of(refused)
    assert deal(key).status == "in_review"
    look_for_conflicts()
    browse(anna()).post(f"{path}/approve", data=APPROVAL)
    assert deal(key).status == "approved"


def test_approving_beside_a_sure_rival_takes_a_reason_that_only_the_vendor_reads(
    browse: Browse,
) -> None:
    key = register(browse, lena())
    register(browse, mia(), **RIVAL)
    look_for_conflicts()
    path = in_review(browse, key)
    refused = browse(anna()).post(f"{path}/approve", data={"customer": "new"})
    assert (refused.status_code, deal(key).status) == (409, "in_review")
    assert "Somebody else is with this customer" in text_of(refused)
    why = {"customer": "new", "confirmation": "Kühn showed the request of Frau Brandt."}
    assert browse(anna()).post(f"{path}/approve", data=why).status_code == 302
    assert [row.move for row in record.history(db.session(), key)][-2:] == [
        "confirm_match",
        "approve",
    ]
    assert "Frau Brandt" in text_of(browse(anna()).get(path))
    page = text_of(browse(lena()).get(path))
    assert "Frau Brandt" not in page
    assert "somebody else" not in page


def test_the_second_of_two_rivals_reads_that_the_customer_is_reserved(browse: Browse) -> None:
    first, second = register(browse, lena()), register(browse, mia(), **RIVAL)
    assert approve(browse, first).status_code == 302
    look_for_conflicts()
    path = in_review(browse, second)
    page = text_of(browse(anna()).get(path))
    assert "Reserved for Kühn Technik, Pumps, until" in page
    customer = str(deal(first).customer_id)
    answer = browse(anna()).post(f"{path}/approve", data={**APPROVAL, "customer": customer})
    assert "already reserved" in text_of(answer)
    assert db.session.query(Protection).count() == 1


# --- working together -----------------------------------------------------------------------------


def test_partners_who_work_together_share_a_customer_and_read_only_the_sentence(
    browse: Browse,
) -> None:
    otto()
    first, second = register(browse, lena()), register(browse, mia(), **RIVAL)
    approve(browse, first)
    look_for_conflicts()
    path = in_review(browse, second)
    assert "They work together" in text_of(browse(anna()).get(path))
    nothing = browse(anna()).post(f"{path}/team/{first}", data={"text": " "})
    assert "Please write a sentence" in text_of(nothing)
    said = {"text": "You deliver, the other one maintains."}
    assert browse(anna()).post(f"{path}/team/{first}", data=said).status_code == 302
    assert browse(anna()).post(f"{path}/team/{first}", data=said).status_code == 409
    # Nobody outside reads of it before the second is approved.
    for person, key in ((lena(), first), (mia(), second)):
        assert "maintains" not in text_of(browse(person).get(f"/deals/{key}"))
    customer = str(deal(first).customer_id)
    browse(anna()).post(f"{path}/approve", data={**APPROVAL, "customer": customer})
    assert deal(second).status == "approved"
    assert db.session.query(Protection).count() == 2
    for person, key, other in ((lena(), first, "Brandt Pumpen"), (mia(), second, "Kühn Technik")):
        page = text_of(browse(person).get(f"/deals/{key}"))
        assert "You share this customer with another partner by agreement." in page
        assert "You deliver, the other one maintains." in page
        assert other not in page
    # Both can be extended although they overlap.
    browse(lena()).post(f"/deals/{first}/say/ask_extension", data={"text": "Budget."})
    assert browse(otto()).post(f"/deals/{first}/move/extend").status_code == 302


def test_who_shares_is_told_in_the_daily_mail_without_a_name(app: Flask, browse: Browse) -> None:
    first, second = register(browse, lena()), register(browse, mia(), **RIVAL)
    approve(browse, first)
    look_for_conflicts()
    path = in_review(browse, second)
    browse(anna()).post(f"{path}/team/{first}", data={"text": "You deliver."})
    with mailbox(app) as box:
        customer = str(deal(first).customer_id)
        browse(anna()).post(f"{path}/approve", data={**APPROVAL, "customer": customer})
        with clock.at((clock.now() + timedelta(days=2)).replace(hour=12)):
            send_notices(clock.now())
            deliver()
    letters = [mail_text(letter) for letter in box.to("lena@kuehn.example")]
    shared = [text for text in letters if "You share the customer Brandt & Söhne" in text]
    assert len(shared) == 1
    assert "You deliver." in shared[0]
    assert "Mia" not in shared[0]
    assert "Brandt Pumpen" not in shared[0]


def test_working_together_needs_two_partners_and_one_family(browse: Browse) -> None:
    first = register(browse, lena())
    approve(browse, first)
    own = register(browse, lena(), amount="1")
    other = register(browse, mia(), product_family=str(make_family("Spare parts").id))
    for key, words in ((own, "of the same partner"), (other, "the same product family")):
        in_review(browse, key)
        answer = browse(anna()).post(f"/deals/{key}/team/{first}", data={"text": "Both."})
        assert answer.status_code == 409
        assert words in text_of(answer)
    assert browse(mia()).post(f"/deals/{other}/team/{first}").status_code == 404
    assert browse(mia()).post(f"/deals/{other}/check").status_code == 404


def test_matches_of_a_deal_are_kept_once_however_often_it_is_checked(
    app: Flask, browse: Browse
) -> None:
    mine = register(browse, lena())
    register(browse, mia(), **RIVAL)
    look_for_conflicts()
    for _n in range(2):
        assert checks.run_one(mine, clock.now())
    rows = db.session.scalars(select(ConflictMatch).where(ConflictMatch.deal_id == mine)).all()
    assert len(rows) == 1
    db.session.rollback()
    assert checks.run_waiting(clock.now()) == 0
    assert db.session.query(ProductFamily).count() == 1
