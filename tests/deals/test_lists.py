"""The lists of deals: every filter, sums by currency, files of exactly what is shown."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from portal import clock
from portal.accounts.models import Partner, User
from portal.db import db, new_id, write
from portal.deals import listing
from portal.deals.listing import Filters
from portal.deals.models import Deal
from tests.conftest import Browse
from tests.deals.test_deals import BERLIN, approve, deal, register
from tests.factories import make_family, make_partner
from tests.pages import text_of
from tests.people import anna, brandt, kuehn, lena, mia, otto

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)


def add(partner: Partner, **more: Any) -> dict[str, Any]:
    """The row of a deal, submitted."""
    return {
        "id": new_id(), "reference": uuid.uuid4().hex[:12], "partner_id": partner.id,
        "created_at": AT, "submitted_at": AT, "customer_name": "Hafen Emden",
        "status": "submitted", "amount_minor": 100_000, "currency": "EUR",
        "expected_close": date(2026, 12, 1), "deal_type": "new", "country": "DE", **more,
    }  # fmt: skip


def fill(*rows: dict[str, Any]) -> None:
    """Write deals down."""
    with write() as session:
        for row in rows:
            session.execute(insert(Deal), [row])


def csv_of(browse: Browse, person: User, path: str) -> list[dict[str, str]]:
    """A file as rows."""
    data = browse(person).get(path).data.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(data)))


def test_each_filter_finds_what_it_says(browse: Browse) -> None:
    pumps, manager = make_family(), otto()
    south = make_partner("Süd", tier="Silver", region="South", channel_manager_id=manager.id)
    fill(
        add(kuehn(), customer_name="Brauerei Löns", product_family_id=pumps.id),
        add(south, status="approved", stage="proposal", deal_type="upsell"),
        add(south, submitted_at=datetime(2026, 5, 2, 12, tzinfo=UTC), customer_name="Late"),
        add(kuehn(), status="draft", customer_name="Draft", submitted_at=None),
    )
    for query, names in (
        ("", {"Brauerei Löns", "Hafen Emden", "Late"}),
        ("q=LONS", {"Brauerei Löns"}),
        ("q=süd+emden", {"Hafen Emden"}),
        ("status=approved", {"Hafen Emden"}),
        ("stage=proposal", {"Hafen Emden"}),
        ("type=upsell", {"Hafen Emden"}),
        (f"partner={kuehn().id}", {"Brauerei Löns"}),
        ("tier=Silver", {"Hafen Emden", "Late"}),
        ("region=South", {"Hafen Emden", "Late"}),
        (f"family={pumps.id}", {"Brauerei Löns"}),
        (f"manager={manager.id}", {"Hafen Emden", "Late"}),
        ("since=2026-05-02", {"Late"}),
        ("until=2026-05-01", {"Brauerei Löns", "Hafen Emden"}),
        ("tier=Silver&status=submitted", {"Late"}),
        ("q=nothing", set()),
    ):
        shown = csv_of(browse, anna(), f"/deals.csv?{query}")
        assert {row["Customer"] for row in shown} == names, query
        page = text_of(browse(anna()).get(f"/deals/list?{query}"))
        for name in ("Brauerei Löns", "Hafen Emden", "Late"):
            assert (name in page) == (name in names), query


@pytest.mark.parametrize(
    "query", ["status=no", "stage=x", "type=?", "partner=1", "family=x", "manager=-", "since=soon",
              "until=2026-13-01", "since=0001-01-01"],
)  # fmt: skip
def test_a_filter_that_is_nonsense_is_refused_in_a_sentence(browse: Browse, query: str) -> None:
    for path in ("/deals/list", "/deals.csv", "/deals/board", "/deals/months"):
        if query.startswith(("status", "stage")) and path.endswith(("board", "months")):
            continue
        answer = browse(anna()).get(f"{path}?{query}")
        assert answer.status_code == 400
        assert "filter" in text_of(answer) or "day" in text_of(answer) or "year" in text_of(answer)


def test_a_partner_filters_their_own_deals_and_reads_of_no_other_partner(browse: Browse) -> None:
    fill(
        add(kuehn(), customer_name="Mine"),
        add(kuehn(), customer_name="Mine too", status="rejected"),
        add(brandt(), customer_name="Theirs"),
    )
    for path in ("/deals", f"/deals?partner={brandt().id}", "/deals?q=Theirs", "/deals?tier=Gold"):
        answer = browse(lena()).get(path)
        assert "Theirs<" not in answer.text
        assert "Brandt Pumpen" not in answer.text
    page = text_of(browse(lena()).get("/deals?status=rejected"))
    assert "1 deal" in page
    assert [row["Customer"] for row in csv_of(browse, lena(), "/deals.csv?status=rejected")] == [
        "Mine too"
    ]
    for path in ("/deals/list", "/deals/board", "/deals/months", "/deals/months.csv",
                 "/deals/wins", "/reports/charts/pipeline.json"):  # fmt: skip
        assert browse(mia()).get(path).status_code == 404


def test_currencies_are_never_added(browse: Browse) -> None:
    fill(
        add(kuehn()),
        add(kuehn(), currency="CHF", amount_minor=5_000),
        add(kuehn(), status="approved", stage="qualified"),
        add(kuehn(), status="closed", stage="won", won_amount_minor=70_000, won_currency="CHF"),
        add(kuehn(), expected_close=None),
        add(kuehn(), expected_close=date(2026, 10, 31)),
    )
    with clock.at(datetime(2026, 11, 25, 12, tzinfo=UTC)):
        manager = browse(anna())
        page = text_of(manager.get("/deals/list"))
        board = text_of(manager.get("/deals/board"))
        months = text_of(manager.get("/deals/months"))
        rows = csv_of(browse, anna(), "/deals/months.csv")
        chart: Any = manager.get("/reports/charts/pipeline.json").json
    assert "Together: CHF 750 · € 4 000" in page
    assert "Submitted 4 CHF 50 · € 3 000" in board
    assert "Qualified 1 € 1 000" in board
    assert "Before this month overdue 1 € 1 000 Dec 2026 3 CHF 50 · € 2 000" in months
    assert "No day given 1 € 1 000" in months
    assert rows == [
        {"Month": "overdue", "Deals": "1", "CHF": "", "EUR": "1000.00"},
        {"Month": "2026-12", "Deals": "3", "CHF": "50.00", "EUR": "2000.00"},
        {"Month": "", "Deals": "1", "CHF": "", "EUR": "1000.00"},
    ]
    assert chart["encoding"]["y"]["title"] == "EUR"
    assert chart["data"]["values"] == [{"month": "2026-12-01", "n": 2000.0}]


def test_an_empty_list_says_so_and_a_long_one_has_pages(browse: Browse) -> None:
    for path, words in (("/deals/list", "No deal fits."), ("/deals/months", "No open deal fits."),
                        ("/deals/board", "None."), ("/deals/wins", "No win waits")):  # fmt: skip
        assert words in text_of(browse(anna()).get(path))
    partner = kuehn()
    with write() as session:
        session.execute(insert(Deal), [add(partner, customer_name=f"C{n:04}") for n in range(1000)])
    page = text_of(browse(anna()).get("/deals/list?page=20"))
    assert "Page 20 of 20, 1 000 in all" in page
    assert "€ 1 000 000" in page
    assert "and 988 more" in text_of(browse(anna()).get("/deals/board"))
    assert len(csv_of(browse, lena(), "/deals.csv")) == 1000
    assert "1 000 deals" in text_of(browse(lena()).get("/deals"))


def test_the_board_holds_every_open_deal_once(browse: Browse) -> None:
    statuses: list[tuple[str, str | None]] = [
        ("submitted", None),
        ("in_review", None),
        ("returned", None),
    ]
    statuses += [("approved", stage) for stage in ("qualified", "proposal", "negotiation", "won")]
    over = [("closed", "won"), ("closed", "lost"), ("rejected", None), ("withdrawn", None)]
    fill(*(add(kuehn(), status=status, stage=stage) for status, stage in statuses + over))
    db.session.rollback()
    lines = listing.lines(db.session(), anna(), Filters())
    assert [len(column.lines) for column in listing.board(lines)] == [1] * 7
    assert sum(line.is_open for line in lines) == 6


def test_wins_are_confirmed_from_one_list_with_their_order_numbers(browse: Browse) -> None:
    keys = [register(browse, lena(), customer_name=name) for name in ("One", "Two")]
    for n, key in enumerate(keys):
        approve(browse, key)
        order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20",
                 "order_number": f" PO-{n} "}  # fmt: skip
        browse(lena()).post(f"/deals/{key}/won", data=order)
    page = browse(anna()).get("/deals/wins")
    assert 'value="PO-0"' in page.text
    confirmed = {"amount": "880", "currency": "EUR", "won_on": "2026-11-20",
                 "order_number": "4711", "then": "wins"}  # fmt: skip
    answer = browse(anna()).post(f"/deals/{keys[0]}/won", data=confirmed)
    assert answer.location == "/deals/wins"
    page = browse(anna()).get("/deals/wins")
    assert "One" not in text_of(page).split("Wins to confirm")[1]
    numbers = {row["Customer"]: row["Order number"] for row in csv_of(browse, anna(), "/deals.csv")}
    assert numbers == {"One": "4711", "Two": "PO-1"}
    assert "4711" in text_of(browse(lena()).get(f"/deals/{keys[0]}"))
    assert "One" in text_of(browse(anna()).get("/deals/list?q=4711"))
    exported = csv_of(browse, anna(), "/deals/export.csv")
    assert {row["order_number"] for row in exported} == {"4711", "PO-1"}


def test_a_win_confirmed_from_the_list_keeps_the_end_of_the_contract(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20"}
    ends = clock.local_day(clock.now(), BERLIN) + timedelta(days=100)
    browse(lena()).post(f"/deals/{key}/won", data={**order, "contract_ends": ends.isoformat()})
    page = browse(anna()).get("/deals/wins")
    # What the list shows is sent back as it is.
    sent = dict(re.findall(r'<input [^>]*name="(\w+)"[^>]*value="([^"]*)"', page.text))
    browse(anna()).post(f"/deals/{key}/won", data={**sent, "currency": "EUR"})
    assert (deal(key).status, deal(key).contract_ends) == ("closed", ends)
    assert "Register the renewal" in text_of(browse(lena()).get(f"/deals/{key}"))
