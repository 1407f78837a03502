"""Files that speak of what is here: orders, customers, reservations; and words to be explained."""

from __future__ import annotations

import io
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.accounts.models import User
from portal.cli import portal
from portal.db import db, write
from portal.deals import record, service
from portal.deals.models import Deal, DealHistory, Protection
from portal.deals.record import Given
from portal.errors import PortalError
from portal.sheets import read, refused_csv
from tests.conftest import Browse
from tests.deals.test_at_once import at_once
from tests.deals.test_deals import APPROVAL, approve, deal, look_for_conflicts, register
from tests.deals.test_import import SUBMITTED, bring_in, deals, reasons
from tests.factories import make_customer, make_family
from tests.live import SETUP
from tests.pages import text_of
from tests.people import anna, kuehn, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")
HEAD = (
    "external_id,reference,partner,customer,product_family,stage,closed,amount,currency,"
    "order_number"
)


def today() -> date:
    """The day in Berlin."""
    return clock.local_day(clock.now(), BERLIN)


def order(
    reference: str = "",
    number: str = "PO-7",
    amount: str = "17 500",
    *,
    day: date | None = None,
    key: str = "",
    partner: str = "Kühn Technik",
    stage: str = "Won",
) -> str:
    """A file with one order."""
    who = f"{partner},Brandt & Söhne,Pumps"
    return f"{HEAD}\n{key},{reference},{who},{stage},{day or today()},{amount},,{number}\n"


def approved_deal(browse: Browse) -> uuid.UUID:
    """A deal that Lena registered and Anna approved."""
    key = register(browse, lena())
    assert approve(browse, key).status_code == 302
    return key


def moves(key: uuid.UUID) -> list[str]:
    """The moves of a deal."""
    return [row.move for row in record.history(db.session(), key)]


@pytest.mark.parametrize("named", ["reference", "external_id", "customer"])
def test_an_order_of_a_file_confirms_the_win_of_a_deal_registered_here_once(
    app: Flask, browse: Browse, named: str
) -> None:
    key = approved_deal(browse)
    reference = deal(key).reference
    if named == "reference":
        browse(lena()).post(
            f"/deals/{key}/won", data={"amount": "17000", "currency": "EUR", "won_on": today()}
        )
    text = {
        "reference": order(reference.lower()), "external_id": order(key=reference),
        "customer": order(key="SAP-1"),
    }[named]  # fmt: skip
    with app.test_request_context():
        told = bring_in(text, by_id=otto().id, dry_run=True)
        assert f"1 order is confirmed: deal {reference}" in told.explained()
        assert deal(key).status == "approved"
        assert bring_in(text, by_id=otto().id).counts["updated"] == 1
        assert bring_in(text, by_id=otto().id).counts["unchanged"] == 1
        assert bring_in(text).counts["unchanged"] == 1
    won = deal(key)
    assert (won.status, won.stage, won.order_number) == ("closed", "won", "PO-7")
    assert (won.won_amount_minor, won.won_currency) == (1_750_000, "EUR")
    assert (won.won_confirmed_by_id, won.external_id) == (otto().id, None)
    assert moves(key).count("confirm_win") == 1
    assert db.session.query(Deal).count() == 1


def test_an_order_of_a_file_keeps_the_contract_that_the_partner_reported(
    app: Flask, browse: Browse
) -> None:
    key, ends = approved_deal(browse), today() + timedelta(days=365)
    reported = {"amount": "17000", "currency": "EUR", "won_on": today(), "contract_ends": ends}
    browse(lena()).post(f"/deals/{key}/won", data=reported)
    with app.test_request_context():
        assert bring_in(order(deal(key).reference)).counts["updated"] == 1
    assert (deal(key).status, deal(key).contract_ends) == ("closed", ends)


def test_a_file_that_names_the_end_of_the_contract_corrects_what_was_reported(
    app: Flask, browse: Browse
) -> None:
    key, ends = approved_deal(browse), today() + timedelta(days=365)
    reported = {"amount": "17000", "currency": "EUR", "won_on": today(), "contract_ends": ends}
    browse(lena()).post(f"/deals/{key}/won", data=reported)
    later = ends + timedelta(days=30)
    head, row = order(deal(key).reference).splitlines()
    with app.test_request_context():
        bring_in(f"{head},contract_ends\n{row},{later}\n")
    assert (deal(key).status, deal(key).contract_ends) == ("closed", later)


def test_an_order_of_a_file_from_before_the_first_contact_is_refused(
    app: Flask, browse: Browse
) -> None:
    first = today() - timedelta(days=9)
    key = register(browse, lena(), first_contact=first.isoformat())
    approve(browse, key)
    with app.test_request_context():
        told = bring_in(order(deal(key).reference, day=first - timedelta(days=1)))
        assert "before the first contact" in reasons(told)[2]
        assert bring_in(order(deal(key).reference, day=first)).counts["updated"] == 1
    assert deal(key).status == "closed"


def test_of_two_files_and_the_list_exactly_one_confirms_a_win(app: Flask, browse: Browse) -> None:
    key = approved_deal(browse)
    text, people = order(deal(key).reference), [anna().id, otto().id]
    given = Given(won_amount=1_750_000, won_currency="EUR", won_on=today(), order_number="PO-7")

    def by_file() -> None:
        with app.test_request_context():
            bring_in(text, by_id=people[0])

    def by_list() -> None:
        with write((Deal, key)) as session:
            person = session.get_one(User, people[1])
            row = session.get_one(Deal, key)
            service.move(session, row, person, "confirm_win", clock.now(), given)

    at_once(app, by_file, by_list, by_file)
    assert moves(key).count("confirm_win") == 1
    assert (deal(key).status, deal(key).stage) == ("closed", "won")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"number": ""}, "only with its order number"),
        ({"day": date(2100, 1, 1)}, "lies in the future"),
        ({"partner": "Brandt Pumpen"}, "another partner"),
        ({"stage": "Lost"}, "decided here"),
    ],
)
def test_an_order_that_breaks_a_rule_confirms_nothing(
    app: Flask, browse: Browse, more: dict[str, str], sentence: str
) -> None:
    key = approved_deal(browse)
    mia()
    with app.test_request_context():
        outcome = bring_in(order(deal(key).reference, **more))  # type: ignore[arg-type]
    assert sentence in reasons(outcome)[2]
    assert (deal(key).status, deal(key).stage, deal(key).won_at) == ("approved", "qualified", None)
    assert "confirm_win" not in moves(key)


def test_an_order_that_was_confirmed_otherwise_is_not_changed(app: Flask, browse: Browse) -> None:
    key = approved_deal(browse)
    reference = deal(key).reference
    made = {"amount": "17 500", "currency": "EUR", "won_on": str(today())}
    browse(anna()).post(f"/deals/{key}/won", data=made)
    with app.test_request_context():
        for text in (
            order(reference, amount="18 000"),
            order(reference, day=today() - timedelta(1)),
        ):
            outcome = bring_in(text)
            assert "confirmed here already, otherwise: €\u00a017\u202f500" in reasons(outcome)[2]
        # The number of the order was not known.
        assert bring_in(order(reference)).updated == 1
        assert bring_in(order(reference)).unchanged == 1
        assert "otherwise" in reasons(bring_in(order(reference, number="PO-8")))[2]
    assert deal(key).order_number == "PO-7"


def test_whoever_brought_a_registration_in_does_not_confirm_its_order(
    app: Flask, browse: Browse
) -> None:
    make_family("Pumps")
    kuehn()
    text = SUBMITTED.format("submitted").replace("Zoo", "Brandt & Söhne")
    with app.test_request_context():
        bring_in(text, by_id=otto().id)
    key = deals()["X1"].id
    look_for_conflicts()
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    assert browse(anna()).post(f"/deals/{key}/approve", data=APPROVAL).status_code == 302
    with app.test_request_context():
        outcome = bring_in(order(key="X1"), by_id=otto().id)
        assert "Nobody decides on their own registration" in reasons(outcome)[2]
        assert deal(key).status == "approved"
        assert bring_in(order(key="X1"), by_id=anna().id).updated == 1
    assert deal(key).status == "closed"


def test_an_order_that_could_be_of_two_deals_asks_for_the_reference(
    app: Flask, browse: Browse
) -> None:
    first, second = approved_deal(browse), register(browse, lena(), product_family=_pumps())
    with app.test_request_context(), write((Deal, second)) as session:
        session.get_one(Deal, second).status = "approved"
    with app.test_request_context():
        assert "Several deals here" in reasons(bring_in(order()))[2]
        early = bring_in(order(day=date(2020, 1, 1)))
        assert "external_id is missing, and no deal" in reasons(early)[2]
        both = order(deal(first).reference) + order(key="SAP-2").split("\n")[1]
        assert reasons(bring_in(both, dry_run=True))[3] == "Line 2 is about the same deal."


def _pumps() -> str:
    return str(db.session.scalars(select(Deal.product_family_id)).first())


# --- customers ------------------------------------------------------------------------------------

CLAIM = (
    "id,partner,customer,domain,vat,country,product,stage\n{},Kühn Technik,{},{},{},{},Pumps,New\n"
)


def test_customers_are_found_by_what_leaves_no_doubt_and_made_only_on_request(app: Flask) -> None:
    kuehn()
    make_family("Pumps")
    lion = make_customer("Löwe Pumpen GmbH", "DE", domain="loewe.example", tax_id="DE811907980")
    make_customer("Zoo", "DE")
    make_customer("Zoo", "AT")
    rows = [
        ("A", "Löwe Pumpen", "www.loewe.example", "", "DE"),
        ("B", "Lion Group", "", "811 907 980", "DE"),
        ("C", "löwe pumpen gmbh", "", "", "DE"),
        ("D", "Bär & Co", "", "", "DE"),
        ("E", "Zoo", "", "", ""),
    ]
    head, line = CLAIM.splitlines()
    text = "\n".join([head, *(line.format(*row) for row in rows)])
    with app.test_request_context():
        outcome = bring_in(text)
        assert {row.customer_id for row in deals().values()} == {lion.id}
        assert set(deals()) == {"A", "B", "C"}
        assert reasons(outcome)[5] == "There is no customer Bär & Co."
        assert "several customers like Zoo" in reasons(outcome)[6]
        assert outcome.customers == []
        assert bring_in(text, create=True).customers == ["Bär & Co"]
        assert bring_in(text, create=True).counts["unchanged"] == 4


# --- reservations ---------------------------------------------------------------------------------


def reserved(key: str, customer: str, since: str, until: str, stage: str = "New") -> str:
    """A row of a deal with what is reserved for it."""
    return f"{key},Kühn Technik,{customer},Pumps,{stage},{since},{until}\n"


RESERVED = "id,partner,customer,product,stage,protected_from,protected_until\n"


def test_a_file_reserves_what_nobody_else_has(app: Flask, browse: Browse) -> None:
    kuehn()
    make_family("Pumps")
    text = RESERVED + "".join([
        reserved("A", "Zoo", "2026-01-01", "2026-03-31"),
        reserved("B", "Zoo", "2026-03-31", "2026-05-01"),
        reserved("C", "Zoo", "2026-04-01", "2026-05-01"),
        reserved("D", "", "2026-01-01", "2026-03-31"),
        reserved("E", "Zoo", "2026-01-01", "2026-03-31", "rejected"),
        reserved("F", "Zoo", "2026-09-01", "2026-08-01"),
        reserved("G", "Zoo", "2026-09-01", ""),
        reserved("H", "Zoo", "soon", "2026-08-01"),
    ])  # fmt: skip
    with app.test_request_context():
        outcome = bring_in(text, create=True)
        assert set(deals()) == {"A", "C"}
        found = reasons(outcome)
        for line, part in {
            3: "already reserved for this product family until 31 Mar 2026", 5: "unknown customer",
            6: "Only a deal that was approved", 7: "ends before it begins",
            8: "both protected_from and", 9: "protected_from is no day: soon",
        }.items():  # fmt: skip
            assert part in found[line], line
        assert bring_in(text, create=True).unchanged == 2
        # Longer, and then lost: what was reserved is free.
        longer = RESERVED + reserved("C", "Zoo", "2026-04-01", "2090-05-01")
        assert bring_in(longer).updated == 1
    assert _ends("C").year == 2090
    assert clock.local_day(_ends("A"), BERLIN) == date(2026, 4, 1)
    with app.test_request_context():
        moved = RESERVED + reserved("C", "Löwe", "2026-04-01", "2090-05-01")
        assert (
            "its customer and product family do not change"
            in reasons(bring_in(moved, create=True))[2]
        )
        lost = (
            "id,partner,customer,product,stage,closed\nC,Kühn Technik,Zoo,Pumps,Lost,2026-06-01\n"
        )
        assert bring_in(lost).updated == 1
    assert _ends("C") <= clock.now()


def _ends(key: str) -> datetime:
    query = select(Protection.ends_at).join(Deal).where(Deal.external_id == key)
    db.session.rollback()
    return db.session.scalars(query).one()


def test_what_is_reserved_here_is_decided_here(app: Flask, browse: Browse) -> None:
    key = approved_deal(browse)
    name = deal(key).reference
    row = "Brandt Pumpen,Brandt & Söhne,DE,Pumps,New,2026-01-01,2090-03-31\n"
    head = "id,partner,customer,country,product,stage,protected_from,protected_until\n"
    mia()
    with app.test_request_context():
        rival = bring_in(f"{head}R,{row}")
        assert f"for deal {name}" in reasons(rival)[2]
        own = bring_in(f"{head}{name},{row.replace('Brandt Pumpen', 'Kühn Technik')}")
        assert "reserved is decided here" in reasons(own)[2]
    assert db.session.query(Protection).count() == 1


# --- words ----------------------------------------------------------------------------------------

ODD = (
    "id,partner,stage,type,loss reason,closed,value\n"
    "W1,Kühn Technik,Closed/Win!,Neu,,2026-02-01,5\n"
    "W2,Kühn Technik,Deal dead,New,Too dear,2026-02-01,\n"
    "W3,Kühn Technik,Open,New,,,\n"
)


def test_words_that_are_not_understood_are_explained_on_the_page(browse: Browse) -> None:
    kuehn()
    manager = browse(anna())
    path = manager.post(
        "/deals/import", data={"file": (io.BytesIO(ODD.encode()), "odd.csv")}
    ).location
    page = manager.get(path)
    assert "Stage: “Closed/Win!” (1 row)" in text_of(page)
    assert "Why it was lost: “Too dear” (1 row)" in text_of(page)
    assert "“Open”" not in text_of(page)
    meant = {
        "word-stage:Closed/Win!": "won", "word-stage:Deal dead": "lost", "word-type:Neu": "new",
        "word-loss_reason:Too dear": "price",
    }  # fmt: skip
    looked = manager.post(path, data={"then": "look", **meant})
    assert "3 deals are new." in text_of(looked)
    assert '<option value="price" selected>' in looked.text
    nonsense = manager.post(path, data={"then": "look", "word-stage:Deal dead": "sunny"})
    assert nonsense.status_code == 400
    assert "“sunny” is no status or stage" in text_of(nonsense)
    assert manager.post(path, data={"then": "look", "word-mood:x": "won"}).status_code == 400
    manager.post(path, data={"then": "import", **meant})
    found = deals()
    assert (found["W1"].stage, found["W1"].deal_type) == ("won", "new")
    assert (found["W2"].stage, found["W2"].loss_reason) == ("lost", "price")


def test_words_are_explained_to_the_command(tmp_path: Path) -> None:
    runner = CliRunner(env={"PORTAL_DATA_DIR": str(tmp_path / "data")})
    assert runner.invoke(portal, SETUP).exit_code == 0
    file = tmp_path / "odd.csv"
    file.write_text(ODD, encoding="utf-8")
    words = ["import", "deals", str(file), "--create", "--map-stage", "closed win=won"]
    words += ["--map-stage", "Deal dead=lost", "--map-type", "Neu=new"]
    told = runner.invoke(portal, words).output
    assert "2 deals are new." in told
    assert "“Too dear” is no reason of loss" in told
    told = runner.invoke(portal, [*words, "--map-loss", "Too dear=price"]).output
    assert "1 deal is new." in told
    assert "2 were there already." in told
    wrong = runner.invoke(portal, [*words, "--map-loss", "Too dear=dear"])
    assert "“dear” is no reason of loss" in str(wrong.exception)


# --- refused rows ---------------------------------------------------------------------------------


def test_the_refused_rows_are_read_and_nothing_is_run_for_them(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    kuehn()
    manager = browse(anna())
    file = (io.BytesIO(ODD.encode()), "odd.csv")
    path = manager.post("/deals/import", data={"file": file}).location
    assert manager.get(f"{path}/refused.csv").status_code == 404
    manager.post(path, data={"then": "import"})
    n = db.session.query(DealHistory).count()
    kind = "portal.deals.import_views.importer.run_import"
    monkeypatch.setattr(kind, lambda *_args, **_more: pytest.fail("it ran"))
    text = manager.get(f"{path}/refused.csv").text
    assert [line.split(",")[0] for line in text.splitlines()] == ["\ufeffline", "2", "3"]
    assert db.session.query(DealHistory).count() == n
    assert browse(lena()).get(f"{path}/refused.csv").status_code == 404
    assert "1 new, 0 changed, 2 refused" in text_of(manager.get(path))


def test_what_was_made_harmless_for_spreadsheets_is_read_as_it_was(app: Flask) -> None:
    odd = ["=1+1", "'=1+1", "''-x", "'quoted'", "+49 30", "plain"]
    sheet = read(("a\n" + "\n".join(f'"{cell}"' for cell in odd)).encode())
    sent = refused_csv(sheet, [(line, "") for line in sheet.lines])
    again = read(sent.encode())
    found = [again.values(line, {"a": "a"})["a"] for line in again.lines]
    read_once = [sheet.values(line, {"a": "a"})["a"] for line in sheet.lines]
    assert again.lines[0].cells[2] == "'=1+1"
    assert found == odd
    assert read_once == ["=1+1", "=1+1", "'-x", "'quoted'", "+49 30", "plain"]


def test_an_unknown_currency_for_silent_files_is_refused_at_once(app: Flask) -> None:
    with app.test_request_context(), pytest.raises(PortalError, match="XYZ is no currency"):
        bring_in(ODD, currency="XYZ")
