"""A deal from the claim to the confirmed win, seen from both sides."""

from __future__ import annotations

import csv
import io
import threading
import uuid
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.accounts.models import User
from portal.accounts.notices import Notice
from portal.db import db, write
from portal.deals import checks, metrics, reasons, record, reminders, service
from portal.deals.models import Customer, Deal, DealHistory, DealReminder, Policy, Protection
from portal.deals.record import Given
from portal.errors import Refused
from tests.conftest import Browse
from tests.factories import make_family
from tests.mailbox import deliver, deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")


def claim(**more: Any) -> dict[str, Any]:
    """A complete claim, as the form sends it."""
    return {
        "customer_name": "Brandt & Söhne",
        "domain": "brandt.example",
        "country": "DE",
        "postcode": "20095",
        "contact": "",
        "product_family": str(make_family().id),
        "deal_type": "new",
        "expected_close": "2027-03-01",
        "amount": "18 400",
        "currency": "EUR",
        "first_contact": "2026-11-01",
        "then": "submit",
        **more,
    }


def register(browse: Browse, person: User, **more: Any) -> uuid.UUID:
    """`person` registers a deal, and the check for conflicts is done; its key."""
    answer = browse(person).post("/deals/new", data=claim(**more))
    assert answer.status_code == 302, text_of(answer)
    look_for_conflicts()
    return uuid.UUID(answer.location.rsplit("/", 1)[1])


def look_for_conflicts() -> None:
    """Run the job until nothing waits any more."""
    db.session.rollback()
    while checks.run_waiting(clock.now()):
        pass


# A new customer, and why a rival does not matter.
APPROVAL = {"customer": "new", "confirmation": "They were first."}


def approve(browse: Browse, deal_id: uuid.UUID) -> Any:
    """Anna takes it in review and approves it for a new customer, rival or not."""
    look_for_conflicts()
    browse(anna()).post(f"/deals/{deal_id}/move/take_in_review")
    return browse(anna()).post(f"/deals/{deal_id}/approve", data=APPROVAL)


def deal(deal_id: uuid.UUID) -> Deal:
    """The deal as it is stored now."""
    db.session.rollback()
    return db.session.get_one(Deal, deal_id)


def test_a_deal_is_claimed_asked_about_approved_won_and_confirmed(
    app: Flask, browse: Browse
) -> None:
    key = register(browse, lena())
    page, path = browse(lena()), f"/deals/{key}"
    assert "Decision by" in text_of(page.get(path))
    manager = browse(anna())
    assert "Brandt & Söhne" in text_of(manager.get("/"))
    manager.post(f"{path}/move/take_in_review")
    assert "Seen by Anna Keller" in text_of(page.get(path))
    manager.post(f"{path}/ask", data={"sentence": "Who decides there?"})
    assert "Who decides there?" in text_of(page.get(path))
    assert deal(key).decision_due_at is None
    answered = page.post(f"{path}/edit", data=claim(contact="Frau Brandt", note="Frau Brandt."))
    assert answered.status_code == 302
    assert deal(key).status == "in_review"
    assert deal(key).decision_due_at is not None
    look_for_conflicts()
    manager.post(f"{path}/approve", data={"customer": "new"})
    assert "the customer is reserved for you until" in text_of(page.get(path))
    page.post(f"{path}/move/to_proposal")
    order = {"amount": "17.900,50", "currency": "EUR", "won_on": "2026-11-20"}
    page.post(f"{path}/won", data=order)
    assert (deal(key).status, deal(key).stage) == ("approved", "won")
    assert "The vendor confirms it" in text_of(page.get(path))
    manager.post(f"{path}/won", data={**order, "amount": "17 500"})
    assert (deal(key).status, deal(key).stage) == ("closed", "won")
    assert deal(key).won_amount_minor == 1_750_000
    moves = [row.move for row in record.history(db.session(), key)]
    assert moves == [
        "submit", "take_in_review", "ask", "edit", "resubmit", "approve", "to_proposal",
        "report_won", "confirm_win",
    ]  # fmt: skip


def test_both_sides_get_the_mails_they_need(app: Flask, browse: Browse) -> None:
    with mailbox(app) as box:
        anna()
        key = register(browse, lena())
        approve(browse, key)
        deliver()
        deliver_daily()
    # It was decided by the next morning: nothing is left to tell the manager.
    assert box.to(anna().email) == []
    told = box.to("lena@kuehn.example")[0]
    assert told["Subject"] == "Brandt & Söhne: approved"
    assert f"/deals/{key}" in mail_text(told)


def test_a_form_that_is_not_complete_keeps_everything_typed(browse: Browse) -> None:
    answer = browse(lena()).post(
        "/deals/new", data=claim(amount="a lot", country="", customer_name="Löwe <b>")
    )
    assert answer.status_code == 400
    assert "Write the amount in figures" in text_of(answer)
    assert "Please choose the customer's country." in text_of(answer)
    assert 'value="a lot"' in answer.text
    assert "Löwe &lt;b&gt;" in answer.text
    assert db.session.query(Deal).count() == 0


def test_a_draft_needs_only_a_name_and_stays_with_the_partner(browse: Browse) -> None:
    empty = dict.fromkeys(claim(), "")
    draft = {**empty, "customer_name": "Later GmbH", "then": "draft", "currency": "EUR"}
    answer = browse(lena()).post("/deals/new", data=draft)
    key = answer.location.rsplit("/", 1)[1]
    assert "Draft" in text_of(browse(jonas()).get(f"/deals/{key}"))
    assert browse(anna()).get(f"/deals/{key}").status_code == 404
    assert "Later GmbH" not in text_of(browse(anna()).get("/deals"))
    refused = browse(lena()).post(f"/deals/{key}/move/submit")
    assert refused.status_code == 409
    assert "Please choose" in text_of(refused)
    assert deal(uuid.UUID(key)).status == "draft"


def test_a_rejection_tells_the_partner_a_sentence_and_never_the_code(browse: Browse) -> None:
    sentences = set()
    for code in ("other_partner", "vendor_engaged", "existing_customer"):
        key = register(browse, lena(), customer_name=f"Customer {code[0]}")
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
        data = {"reason_code": code, "sentence": "Brandt Pumpen was first"}
        browse(anna()).post(f"/deals/{key}/reject", data=data)
        page = browse(lena()).get(f"/deals/{key}")
        assert code not in page.text
        assert "Brandt Pumpen" not in page.text
        assert reasons.SERVED in text_of(page)
        sentences.add(db.session.scalars(select(DealHistory.sentence).where(
            DealHistory.deal_id == key, DealHistory.move == "reject")).one())  # fmt: skip
    assert sentences == {reasons.SERVED}


def test_a_rejection_needs_a_reason_and_other_needs_words(browse: Browse) -> None:
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    for data in ({"reason_code": ""}, {"reason_code": "other", "sentence": " "}):
        answer = browse(anna()).post(f"/deals/{key}/reject", data=data)
        assert answer.status_code == 400
        assert "Please" in text_of(answer)
    assert deal(key).status == "in_review"


def test_notes_stay_with_the_vendor(browse: Browse) -> None:
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/notes", data={"text": "Check with Otto first"})
    assert "Check with Otto" in text_of(browse(otto()).get(f"/deals/{key}"))
    assert "Check with Otto" not in browse(lena()).get(f"/deals/{key}").text


def test_a_second_claim_on_a_reserved_customer_cannot_be_approved(browse: Browse) -> None:
    first, second = register(browse, lena()), register(browse, mia())
    assert approve(browse, first).status_code == 302
    refused = approve(browse, second)
    assert refused.status_code == 409
    assert deal(second).status == "in_review"
    assert db.session.query(Protection).count() == 1
    # And Mia reads nothing of it.
    page = browse(mia()).get(f"/deals/{second}")
    assert "Kühn" not in page.text
    assert "reserved" not in text_of(page)


def test_of_two_rival_approvals_at_the_same_moment_exactly_one_succeeds(
    app: Flask, browse: Browse
) -> None:
    keys = [register(browse, lena()), register(browse, mia())]
    managers = [anna().id, otto().id]
    for key in keys:
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
    family = deal(keys[0]).product_family_id
    db.session.remove()
    together, results = threading.Barrier(2), []

    def decide(deal_id: uuid.UUID, manager: uuid.UUID) -> None:
        from portal.content.models import ProductFamily

        with app.app_context():
            together.wait()
            try:
                with write((Deal, deal_id), (ProductFamily, family)) as session:
                    person = session.get_one(User, manager)
                    row = service.get(session, person, deal_id)
                    given = Given(new_customer=True, confirmation="Both asked.")
                    service.move(session, row, person, "approve", clock.now(), given)
                results.append("approved")
            except Refused:
                results.append("refused")
            db.session.remove()

    threads = [
        threading.Thread(target=decide, args=pair) for pair in zip(keys, managers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["approved", "refused"]
    assert db.session.query(Protection).count() == 1
    assert db.session.query(Customer).count() == 1


def test_a_lost_deal_ends_its_protection_and_frees_the_customer(browse: Browse) -> None:
    first, second = register(browse, lena()), register(browse, mia())
    approve(browse, first)
    browse(lena()).post(f"/deals/{first}/lost", data={"loss_reason": "price"})
    assert (deal(first).status, deal(first).stage) == ("closed", "lost")
    assert approve(browse, second).status_code == 302
    assert deal(second).status == "approved"


def test_history_cannot_be_changed(app: Flask, browse: Browse) -> None:
    register(browse, lena())
    row = db.session.scalars(select(DealHistory)).one()
    with pytest.raises(TypeError, match="append-only"), write() as session:
        session.get_one(DealHistory, row.id).sentence = "something else"
    with pytest.raises(TypeError, match="append-only"), write() as session:
        session.delete(session.get_one(DealHistory, row.id))


def test_moves_that_the_table_lacks_are_refused_with_a_sentence(browse: Browse) -> None:
    key = register(browse, lena())
    for person, name, status in (
        (lena(), "take_in_review", 409),
        (lena(), "to_proposal", 409),
        (lena(), "approve", 404),
        (anna(), "withdraw", 409),
        (anna(), "nonsense", 404),
    ):
        answer = browse(person).post(f"/deals/{key}/move/{name}")
        assert answer.status_code == status, name
        assert text_of(answer)
    assert deal(key).status == "submitted"


def test_a_protection_is_reminded_of_once_30_and_once_7_days_before(
    app: Flask, browse: Browse
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    ends = db.session.scalars(select(Protection)).one().ends_at
    told = []
    for days_before in (40, 30, 29, 8, 7, 7, 1, 0, -1):
        now = ends - timedelta(days=days_before)
        db.session.rollback()
        with clock.at(now):
            told.append(reminders.remind_protections(now))
    assert told == [0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert db.session.query(DealReminder).count() == 2
    rows = db.session.scalars(select(Notice).where(Notice.kind == "protection_ends"))
    assert len(rows.all()) == 2


def test_the_csv_is_what_the_page_shows(browse: Browse) -> None:
    register(browse, lena(), customer_name="=cmd|x", amount="1 000,50")
    register(browse, mia(), customer_name="Other")
    for person, names in ((anna(), {"'=cmd|x", "Other"}), (lena(), {"'=cmd|x"})):
        answer = browse(person).get("/deals.csv")
        rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
        assert {row["Customer"] for row in rows} == names
    assert {row["Expected order"] for row in rows} == {"1000.50"}


def test_reports_count_registrations_and_confirmed_wins_only(browse: Browse) -> None:
    one, two = register(browse, lena()), register(browse, lena(), customer_name="Two")
    approve(browse, one)
    order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20"}
    browse(lena()).post(f"/deals/{one}/won", data=order)
    since, until = clock.now() - timedelta(days=30), clock.now() + timedelta(days=1)
    db.session.rollback()
    assert metrics.won_by_month(db.session(), since, until, BERLIN) == []
    browse(anna()).post(f"/deals/{one}/won", data=order)
    db.session.rollback()
    won = metrics.won_by_month(db.session(), since, until, BERLIN)
    assert [(row.n, row.amount_minor) for row in won] == [(1, 90_000)]
    assert sum(r.n for r in metrics.registrations_by_month(db.session(), since, until, BERLIN)) == 2
    statuses = {row.status: row.n for row in metrics.by_status(db.session(), since, until)}
    assert statuses == {"submitted": 1, "closed": 1}
    assert deal(two).status == "submitted"


def test_an_order_from_before_the_first_contact_is_refused_on_page_and_list(
    browse: Browse,
) -> None:
    key = register(browse, lena(), first_contact="2026-11-10")
    approve(browse, key)
    early = {"amount": "900", "currency": "EUR", "won_on": "2026-11-09"}
    for person, more in ((lena(), {}), (anna(), {}), (anna(), {"then": "wins"})):
        refused = browse(person).post(f"/deals/{key}/won", data={**early, **more})
        assert refused.status_code == 409
        assert "before the first contact with the customer, 10 Nov 2026" in text_of(refused)
        assert 'value="2026-11-09"' in refused.text
    assert (deal(key).stage, deal(key).won_at) == ("qualified", None)
    browse(lena()).post(f"/deals/{key}/won", data={**early, "won_on": "2026-11-10"})
    assert deal(key).stage == "won"


def test_an_order_in_the_future_is_refused(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    order = {"amount": "900", "currency": "EUR", "won_on": "2099-01-01"}
    assert browse(lena()).post(f"/deals/{key}/won", data=order).status_code == 409
    bad = {"amount": "", "currency": "EUR", "won_on": ""}
    assert browse(lena()).post(f"/deals/{key}/won", data=bad).status_code == 400


def test_what_approval_brings_is_on_the_approved_deal_and_in_its_mail(
    app: Flask, browse: Browse
) -> None:
    with write() as session:
        session.execute(update(Policy).values(benefits="2 % more margin."))
    key = register(browse, lena())
    words = "What approval brings: 2 % more margin."
    assert words not in text_of(browse(lena()).get(f"/deals/{key}"))
    with mailbox(app) as box:
        approve(browse, key)
        deliver()
    assert words in text_of(browse(lena()).get(f"/deals/{key}"))
    assert any(words in mail_text(letter) for letter in box.to("lena@kuehn.example"))


def test_the_reviewer_reads_the_kind_by_all_orders_and_no_partner_does(browse: Browse) -> None:
    sold = register(browse, mia())
    approve(browse, sold)
    order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20"}
    browse(anna()).post(f"/deals/{sold}/won", data=order)
    other = str(make_family("Valves").id)
    key = register(browse, lena(), product_family=other, deal_type="")
    assert deal(key).deal_type == "new"
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    page = text_of(browse(anna()).get(f"/deals/{key}"))
    assert "Brandt & Söhne, DE (By all our orders: Cross-sell: another family)" in page
    for path in (f"/deals/{key}", "/deals/new", "/deals"):
        shown = text_of(browse(lena()).get(path))
        assert "By all our orders" not in shown
        assert "Proposed: Cross-sell" not in shown
