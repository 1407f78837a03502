"""Deals from files: all that can be used, or nothing; and the same file again changes nothing."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from flask import Flask, current_app
from openpyxl import Workbook
from sqlalchemy import func, select

from portal import cli, clock
from portal.accounts.models import Partner
from portal.cli import portal, report_deals
from portal.db import db
from portal.deals import import_rows, importer, metrics
from portal.deals.importer import Outcome
from portal.deals.models import Customer, Deal, DealHistory, Protection
from portal.errors import PortalError
from portal.imports.kinds import Choices, Source, kind_called
from portal.sheets import BadSheet, read, refused_csv
from tests.conftest import Browse
from tests.deals.test_deals import APPROVAL, look_for_conflicts, register
from tests.factories import make_customer, make_family
from tests.pages import text_of
from tests.people import anna, kuehn, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")
CRM = Path(__file__).parents[3] / "shared/data/crm/sales_pipeline.csv"

SMALL = """Opportunity ID;Partner;Account;Product;Stage;Engage Date;Close Date;Value
A1;Kühn Technik;Hafen Emden;Pumps;Closed Won;1.2.2026;3.3.2026;12.400,50
A2;Kühn Technik;Hafen Emden;Pumps;Lost;5.2.2026;1.3.2026;
A3;Kühn Technik;;Pumps;Engaging;20.2.2026;;900
A4;Kühn Technik;Löwe & Co;pumps;Prospecting;;;
"""


def bring_in(
    text: str | bytes, *, dry_run: bool = False, by_id: uuid.UUID | None = None, **more: Any
) -> Outcome:
    """Import a file as the page and the command do."""
    db.session.rollback()
    data = text.encode() if isinstance(text, str) else text
    sheet = read(data)
    mapping = import_rows.mapping_for(sheet, more.pop("mapping", {}))
    options = import_rows.Options(mapping, **more)
    parsed = import_rows.parse(sheet, options)
    return importer.run_import(parsed, options, filename="x.csv", by_id=by_id, dry_run=dry_run)


def deals() -> dict[str, Deal]:
    """Every imported deal by its key."""
    db.session.rollback()
    return {row.external_id or "": row for row in db.session.scalars(select(Deal))}


def reasons(outcome: Outcome) -> dict[int, str]:
    """Why which line is refused."""
    return {line.number: reason for line, reason in outcome.refused}


@pytest.fixture
def portal_with_kuehn(app: Flask) -> Flask:
    """Kühn Technik and a family of pumps are known."""
    kuehn()
    make_family("Pumps")
    return app


def test_a_file_as_another_system_writes_it_goes_in(portal_with_kuehn: Flask) -> None:
    with portal_with_kuehn.test_request_context():
        outcome = bring_in(SMALL, create=True)
    assert outcome.counts == {
        "created": 4, "updated": 0, "unchanged": 0, "refused": 0, "partners": 0, "families": 0,
        "customers": 2,
    }  # fmt: skip
    found = deals()
    won, lost, going_on, new = (found[key] for key in ("A1", "A2", "A3", "A4"))
    assert (won.status, won.stage, won.won_amount_minor) == ("closed", "won", 1_240_050)
    assert won.won_at is not None
    assert clock.local_day(won.won_at, BERLIN) == date(2026, 3, 3)
    assert won.first_contact == date(2026, 2, 1)
    assert (lost.stage, lost.loss_reason) == ("lost", "imported")
    assert (going_on.status, going_on.stage, going_on.customer_id) == ("approved", "proposal", None)
    assert new.stage == "qualified"
    assert won.customer_id == lost.customer_id is not None
    # Nobody here submitted them, and nothing is reserved by them.
    assert db.session.query(Protection).count() == 0
    history = db.session.scalars(select(DealHistory)).all()
    assert {(row.move, row.actor_id) for row in history} == {("import", None)}
    assert len(history) == 4


def test_the_same_file_again_changes_nothing_and_a_changed_row_one_deal(
    portal_with_kuehn: Flask,
) -> None:
    with portal_with_kuehn.test_request_context():
        bring_in(SMALL, create=True)
        assert bring_in(SMALL, create=True).counts["unchanged"] == 4
        again = bring_in(
            SMALL.replace("Engaging;20.2.2026;;900", "Won;20.2.2026;9.3.2026;950"), create=True
        )
    assert (again.updated, again.unchanged, again.created) == (1, 3, 0)
    won = deals()["A3"]
    assert (won.status, won.stage, won.won_amount_minor) == ("closed", "won", 95_000)
    moves = db.session.scalars(select(DealHistory).where(DealHistory.deal_id == won.id)).all()
    assert [(row.from_stage, row.to_stage) for row in sorted(moves, key=lambda row: row.at)] == [
        ("proposal", "proposal"),
        ("proposal", "won"),
    ]


def test_a_deal_that_was_said_to_be_lost_and_then_won_has_ended_once(
    portal_with_kuehn: Flask,
) -> None:
    with portal_with_kuehn.test_request_context():
        bring_in(SMALL, create=True)
        assert bring_in(
            SMALL.replace("Lost;5.2.2026;1.3.2026;", "Won;5.2.2026;9.3.2026;70"), create=True
        ).updated
    won = deals()["A2"]
    assert (won.stage, won.won_amount_minor, won.lost_at, won.loss_reason) == (
        "won",
        7000,
        None,
        None,
    )
    found = metrics.results(db.session(), date(2026, 1, 1), date(2026, 6, 1), BERLIN)
    assert (len(found.won), len(found.lost)) == (2, 0)


def test_a_deal_does_not_end_before_it_began_whichever_file_says_so(
    portal_with_kuehn: Flask, browse: Browse
) -> None:
    head = "external_id;partner;customer;product_family;stage;first_contact;closed;amount\n"
    who = "Kühn Technik;Hafen Emden;Pumps"
    ahead = clock.local_day(clock.now(), BERLIN) + timedelta(days=2)
    with portal_with_kuehn.test_request_context():
        bring_in(
            f"{head}A1;{who};Won;;2026-03-03;900\nA2;{who};Engaging;{ahead};;800\n", create=True
        )
        # The first contact comes later, in a file that says the same end.
        told = bring_in(f"{head}A1;{who};Won;2026-03-04;2026-03-03;900\n")
        assert told.counts["refused"] == 1
        told = bring_in(f"{head}A1;{who};Won;2026-03-03;2026-03-03;900\n")
        assert told.counts["updated"] == 1
        told = bring_in(f"{head}A1;{who};Won;;2026-03-02;900\n")
        assert reasons(told) == {2: "It closed before the first contact."}
    assert deals()["A1"].first_contact == date(2026, 3, 3)
    # Nor on the page, where it is lost on the day that somebody says so.
    key = deals()["A2"].id
    refused = browse(lena()).post(f"/deals/{key}/lost", data={"loss_reason": "price"})
    assert "is still to come" in text_of(refused)
    assert deals()["A2"].stage == "proposal"


def test_order_numbers_come_with_the_wins_of_a_file(portal_with_kuehn: Flask) -> None:
    lines = SMALL.splitlines()
    numbers = ["PO number", "4711", "of-a-lost-one", "", ""]
    text = "\n".join(";".join(pair) for pair in zip(lines, numbers, strict=True))
    with portal_with_kuehn.test_request_context():
        bring_in(text, create=True)
        assert bring_in(SMALL, create=True).counts["unchanged"] == 4
    assert {key: deal.order_number for key, deal in deals().items()} == {
        "A1": "4711", "A2": "", "A3": "", "A4": "",
    }  # fmt: skip


def test_a_dry_run_says_the_same_and_writes_nothing(app: Flask) -> None:
    with app.test_request_context():
        told = bring_in(SMALL, create=True, dry_run=True)
        assert deals() == {}
        assert db.session.query(Partner).count() == db.session.query(Customer).count() == 0
        done = bring_in(SMALL, create=True)
    assert told.explained() == done.explained()
    assert done.partners == ["Kühn Technik"]
    assert "1 new product family: Pumps" in done.explained()


def test_every_row_that_cannot_be_used_is_refused_with_its_line_and_reason(
    portal_with_kuehn: Flask,
) -> None:
    rows = [
        "id,partner,customer,product,stage,first_contact,closed,amount,currency,country,type",
        ",Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,DE,new",
        "B1,Nobody,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,DE,new",
        "B2,Kühn Technik,C,Valves,Won,2026-01-01,2026-02-01,5,EUR,DE,new",
        "B3,Kühn Technik,C,Pumps,Sunny,2026-01-01,2026-02-01,5,EUR,DE,new",
        "B4,Kühn Technik,C,Pumps,Won,2026-01-01,,5,EUR,DE,new",
        "B5,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,,EUR,DE,new",
        "B6,Kühn Technik,C,Pumps,Won,2026-03-01,2026-02-01,5,EUR,DE,new",
        "B7,Kühn Technik,C,Pumps,Won,soon,2026-02-01,5,EUR,DE,new",
        "B8,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,much,EUR,DE,new",
        "B9,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,XYZ,DE,new",
        "B10,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,Germany,new",
        "B11,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,DE,magic",
        "B12,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,DE,cross-sell",
        "",
        "B12,Kühn Technik,C,Pumps,Won,2026-01-01,2026-02-01,5,EUR,DE,new",
    ]
    make_customer("C", "DE")
    with portal_with_kuehn.test_request_context():
        outcome = bring_in("\n".join(rows))
    assert outcome.created == 1
    assert set(deals()) == {"B12"}
    found = reasons(outcome)
    assert set(found) == {*range(2, 14), 16} - {14}
    for line, part in {
        2: "external_id is missing", 3: "no partner Nobody", 4: "no product family Valves",
        5: "Sunny", 6: "needs the day", 7: "needs its amount", 8: "before the first contact",
        9: "no day: soon", 10: "no amount: much", 11: "XYZ", 12: "two letters", 13: "magic",
        16: "Line 14 has the same",
    }.items():  # fmt: skip
        assert part in found[line], line
    sheet = read("\n".join(rows).encode())
    told = list(csv.DictReader(io.StringIO(refused_csv(sheet, outcome.refused))))
    assert [row["line"] for row in told] == [str(line) for line in sorted(found)]
    assert told[1]["partner"] == "Nobody"


def test_a_name_that_is_spelled_in_another_way_is_matched_and_said(
    portal_with_kuehn: Flask,
) -> None:
    make_family("GTX Pro")
    text = (
        "id,partner,product,stage\nA,kühn technik,GTXPro,Prospecting\nB,KÜHN-TECHNIK,GTXPro,New\n"
    )
    with portal_with_kuehn.test_request_context():
        outcome = bring_in(text)
    assert (outcome.created, outcome.partners, outcome.families) == (2, [], [])
    assert "“GTXPro” is read as “GTX Pro” in 2 rows." in outcome.explained()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "Say which column holds external_id"),
        ("id,partner\n1,2\n", "Say which column holds status or stage"),
        ("id,partner,stage,created\n1,K,Won,1/2/2026\n", "Say what comes first"),
        ("id,partner,stage,created\n1,K,Won,13/2/2026\n2,K,Won,2/13/2026\n", "Say which is meant"),
    ],
)
def test_a_file_that_cannot_be_read_for_certain_is_refused_whole(
    app: Flask, text: str, sentence: str
) -> None:
    with app.test_request_context(), pytest.raises(PortalError, match=sentence):
        bring_in(text)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\x00\x01\x02", "no table"),
        (b"PK\x03\x04nonsense", "cannot be read"),
        (b'a,b\n"1,2\n', "broken"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(BadSheet, match=sentence):
        read(data)


def test_spreadsheets_and_other_alphabets_are_read(portal_with_kuehn: Flask) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "partner", "stage", "close_date", "close_value"])
    sheet.append([17, "Kühn Technik", "Won", datetime(2026, 3, 3, 15, 0), 12400.5])  # noqa: DTZ001
    out = io.BytesIO()
    book.save(out)
    with portal_with_kuehn.test_request_context():
        assert bring_in(out.getvalue()).created == 1
        latin = "id;partner;stage\n18;Kühn Technik;New\n".encode("cp1252")
        assert bring_in(latin).created == 1
        wide = "id\tpartner\tstage\n19\tKühn Technik\tNew\n".encode("utf-16")
        assert bring_in(wide).created == 1
    assert deals()["17"].won_amount_minor == 1_240_050


def test_a_failure_in_the_middle_leaves_nothing(
    portal_with_kuehn: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(importer, "_write", fail)
    with portal_with_kuehn.test_request_context(), pytest.raises(OSError, match="full"):
        bring_in(SMALL, create=True)
    assert deals() == {}
    assert db.session.query(Customer).count() == 0


# --- in the browser -------------------------------------------------------------------------------


def test_a_manager_uploads_looks_and_imports(browse: Browse) -> None:
    kuehn()
    make_family("Pumps")
    manager = browse(anna())
    assert "Choose a CSV or XLSX file first." in text_of(manager.post("/deals/import"))
    file = (io.BytesIO(SMALL.replace("Lost", "Sunny").encode()), "deals.csv")
    path = manager.post("/deals/import", data={"file": file}).location
    page = text_of(manager.get(path))
    assert "Hafen Emden" in page
    assert "Opportunity ID" in page
    looked = manager.post(path, data={"then": "look", "currency": "EUR", "create": "y"})
    assert "3 deals are new." in text_of(looked)
    assert "“Sunny” is no status or stage" in text_of(looked)
    assert deals() == {}
    done = manager.post(
        path, data={"then": "import", "currency": "CHF", "create": "y"}, follow_redirects=True
    )
    assert "Imported" in text_of(done)
    assert {row.currency for row in deals().values()} == {"CHF"}
    refused = manager.get(f"{path}/refused.csv").text
    assert "3,“Sunny” is no status" in refused
    assert "deals.csv" in text_of(manager.get("/deals/import"))
    # Imported deals are on every page that shows deals.
    for key in deals().values():
        assert manager.get(f"/deals/{key.id}").status_code == 200
        assert browse(lena()).get(f"/deals/{key.id}").status_code == 200
    assert "Customer unknown" in text_of(browse(lena()).get("/deals"))
    assert "Hafen Emden" not in text_of(browse(mia()).get("/deals"))


def test_a_column_that_is_not_there_keeps_what_was_chosen(browse: Browse) -> None:
    manager = browse(anna())
    file = (io.BytesIO(b"number,who,how\n1,K,Won\n"), "deals.csv")
    path = manager.post("/deals/import", data={"file": file}).location
    answer = manager.post(
        path, data={"then": "look", "map-external_id": "number", "map-partner": ""}
    )
    assert answer.status_code == 400
    assert "Say which column holds partner" in text_of(answer)
    assert "<option selected>number</option>" in answer.text
    bad = manager.post(path, data={"then": "look", "map-partner": "nonsense"})
    assert "The file has no column nonsense." in text_of(bad)


def test_what_is_exported_goes_in_again_unchanged(browse: Browse) -> None:
    kuehn()
    make_family("Pumps")
    manager = browse(anna())
    register(browse, lena(), customer_name="Stadtwerke")
    bring_in_app(browse)
    text = manager.get("/deals/export.csv").text
    header = text.lstrip("\ufeff").splitlines()[0]
    assert header == ",".join(import_rows.FIELDS)
    outcome = bring_in(text)
    assert outcome.refused == []
    assert (outcome.created, outcome.updated, outcome.unchanged) == (0, 0, 5)


def bring_in_app(browse: Browse) -> None:
    """The small file, through the page."""
    manager = browse(anna())
    file = (io.BytesIO(SMALL.encode()), "deals.csv")
    path = manager.post("/deals/import", data={"file": file}).location
    manager.post(path, data={"then": "import", "create": "y"})


# --- the real pipeline ----------------------------------------------------------------------------


def told_to_programs(since: date, until: date) -> dict[str, Any]:
    """What the command says to programs, in a context of its own."""
    days = ["--from", since.isoformat(), "--to", until.isoformat()]
    with current_app.app_context():
        answer = CliRunner().invoke(report_deals, [*days, "--json"])
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.output)
    return found


def test_the_real_pipeline_goes_in_and_its_numbers_are_those_of_the_file(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_app", lambda _settings: app)
    if not CRM.exists():
        pytest.skip(f"the real pipeline is not at {CRM}")
    rows = list(csv.DictReader(io.StringIO(CRM.read_text(encoding="utf-8"))))
    with app.test_request_context():
        outcome = bring_in(CRM.read_bytes(), create=True, currency="USD")
    assert outcome.refused == []
    assert outcome.counts == {
        "created": 8800, "updated": 0, "unchanged": 0, "refused": 0, "partners": 30,
        "families": 7, "customers": 85,
    }  # fmt: skip
    assert outcome.unknown_customers == 1425
    unknown = select(func.count()).where(Deal.customer_id.is_(None))
    assert db.session.scalar(unknown) == sum(not row["account"] for row in rows)
    since, until = date(2016, 10, 1), date(2018, 1, 1)
    found, (expected, n) = told_to_programs(since, until), by_hand(rows, until)
    assert found["revenue"] == expected.pop("revenue")
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert {key: found["n"][key] for key in n} == n
    # A quarter, and one partner and product of it.
    since, until = date(2017, 4, 1), date(2017, 7, 1)
    quarter = metrics.results(db.session(), since, until, BERLIN)
    won = [
        row
        for row in rows
        if row["deal_stage"] == "Won" and since <= day(row["close_date"]) < until
    ]
    assert len(quarter.won) == len(won)
    partners = {row.id: row.name for row in db.session.scalars(select(Partner))}
    by_partner = Counter(partners[deal.partner_id] for deal in quarter.won)
    assert by_partner == Counter(row["sales_agent"] for row in won)
    with app.test_request_context():
        the_parts_of_the_real_pipeline_are_those_of_the_file(rows, won, since, until)


def the_parts_of_the_real_pipeline_are_those_of_the_file(
    rows: list[dict[str, str]], won: list[dict[str, str]], since: date, until: date
) -> None:
    """The offices of the sales teams as regions, their managers as tiers: counted by hand."""
    teams = CRM.with_name("sales_teams.csv")
    columns = {"name": "sales_agent", "tier": "manager", "region": "regional_office"}
    told = kind_called("partners").run(
        read(teams.read_bytes()), Choices(mapping=columns), Source(teams.name)
    )
    assert (told.created, told.updated, told.refused) == (5, 30, [])
    agents = {
        row["sales_agent"]: row
        for row in csv.DictReader(io.StringIO(teams.read_text(encoding="utf-8")))
    }
    found = told_to_programs(since, until)
    lost = [
        row
        for row in rows
        if row["deal_stage"] == "Lost" and since <= day(row["close_date"]) < until
    ]

    parts_of: dict[str, Callable[[dict[str, str]], str]] = {
        "partner": lambda row: row["sales_agent"],
        "tier": lambda row: agents[row["sales_agent"]]["manager"],
        "region": lambda row: agents[row["sales_agent"]]["regional_office"],
        "family": lambda row: row["product"],
        "month": lambda row: f"{day(row['close_date']):%Y-%m}",
    }
    for name, part_of in parts_of.items():
        n_won, n_lost = Counter(map(part_of, won)), Counter(map(part_of, lost))
        money: Counter[str] = Counter()
        for row in won:
            money[part_of(row)] += int(row["close_value"])
        parts = found["by"][name]
        assert {key: part["won"] for key, part in parts.items() if part["won"]} == n_won, name
        assert {key: part["lost"] for key, part in parts.items() if part["lost"]} == n_lost, name
        for key, part in parts.items():
            assert part["revenue"] == ({"USD": f"{money[key]}.00"} if money[key] else {}), name
    best = sorted(Counter(row["sales_agent"] for row in won))
    money = Counter()
    for row in won:
        money[row["sales_agent"]] += int(row["close_value"])
    dollars = found["revenue_by_currency"]["USD"]
    top = sorted(money.values(), reverse=True)[: -(-len(best) // 5)]
    assert dollars["top_fifth_share"] == pytest.approx(sum(top) / sum(money.values()))
    assert Decimal(dollars["partner_median"]) == Decimal(median(money.values()))
    assert Decimal(dollars["order_median"]) == Decimal(median(int(r["close_value"]) for r in won))
    assert (dollars["sourced"], dollars["sourced_not_known"]) == ("0.00", dollars["total"])
    more_business_with_customers_is_that_of_the_file(found, rows, (won, lost), since)


def more_business_with_customers_is_that_of_the_file(
    found: dict[str, Any],
    rows: list[dict[str, str]],
    closed: tuple[list[dict[str, str]], list[dict[str, str]]],
    since: date,
) -> None:
    """Cross-sell: a product that the account had not bought before the deal was begun, of accounts
    that had bought something; upsell: a larger order than the last one of the same product."""
    bought: dict[str, list[tuple[date, str, int]]] = defaultdict(list)
    for row in rows:
        if row["deal_stage"] == "Won" and row["account"]:
            order = (day(row["close_date"]), row["product"], int(row["close_value"]))
            bought[row["account"]].append(order)
    owners = {account for account, orders in bought.items() if min(orders)[0] < since}

    def kinds(row: dict[str, str]) -> set[str]:
        """What a deal may be: of two orders on one day the file does not say which was the last."""
        begun = day(row["engage_date"])
        own = [order for order in bought[row["account"]] if order[0] < begun]
        same = [order for order in own if order[1] == row["product"]]
        if not same:
            return {"cross_sell" if own else "new"}
        last = max(order[0] for order in same)
        return {
            "upsell" if int(row["close_value"]) > value else "renewal"
            for on, _product, value in same
            if on == last
        }

    won, lost = ([(row["account"], kinds(row)) for row in some if row["account"]]
                 for some in closed)  # fmt: skip
    # Nobody loses more than was bought before: a lost deal has no amount in the file.
    assert all("upsell" not in known for _account, known in lost)
    for key in ("cross_sell", "upsell"):
        sure = [account for account, known in won if known == {key}]
        may_be = [account for account, known in won if key in known]
        assert found["n"][f"{key}_rate"] == len(owners)
        grown = found[f"{key}_rate"] * len(owners)
        assert len(owners & set(sure)) <= round(grown) <= len(owners & set(may_be)), key
        n_lost = sum(key in known for _account, known in lost)
        n_won = found["n"][f"{key}_conversion"] - n_lost
        assert 0 < len(sure) <= n_won <= len(may_be) < len(sure) * 1.1, key
        assert found[f"{key}_conversion"] == pytest.approx(n_won / (n_won + n_lost)), key


def day(text: str) -> date:
    """A day of the file: M/D/YYYY."""
    month, of_month, year = map(int, text.split("/"))
    return date(year, month, of_month)


def by_hand(rows: list[dict[str, str]], until: date) -> tuple[dict[str, Any], dict[str, int]]:
    """The figures of the file, each with its n, without any of the portal's code."""
    won = [row for row in rows if row["deal_stage"] == "Won"]
    lost = [row for row in rows if row["deal_stage"] == "Lost"]
    cycles = [(day(row["close_date"]) - day(row["engage_date"])).days for row in won]
    # Kaplan-Meier and Aalen-Johansen by their definitions: day by day, who was still there, who
    # was won, and who was won or lost.
    begun = [row for row in rows if row["engage_date"]]
    lasted = [
        (((day(row["close_date"]) if row["close_date"] else until) - day(row["engage_date"])).days,
         row["deal_stage"])
        for row in begun
    ]  # fmt: skip
    share, half, still, won_by = 1.0, None, 1.0, [0.0]
    for days in range(max(90, *cycles) + 1):
        there = sum(length >= days for length, _stage in lasted)
        wins = lasted.count((days, "Won"))
        share *= 1 - wins / there
        if share <= 0.5 and half is None:
            half = days
        won_by.append(won_by[-1] + still * wins / there)
        still *= 1 - (wins + lasted.count((days, "Lost"))) / there
    figures = {
        "won": 4238,
        "lost": 2473,
        "open": len(rows) - len(won) - len(lost),
        "revenue": {"USD": f"{sum(int(row['close_value']) for row in won)}.00"},
        "close_rate_closed": len(won) / (len(won) + len(lost)),
        # Nobody wrote down when these deals were decided: they count from their first contact.
        "close_rate_within_180_days": sum(days <= 180 for days in cycles) / len(begun),
        "close_rate": len(won) / len(begun),
        "cycle_days_mean": fmean(cycles),
        "cycle_days_median": half,
        **{f"won_by_day_{days}": won_by[days + 1] for days in (30, 60, 90)},
        # The file tells of no registration and no decision: a rate of none is no rate.
        "registrations": 0,
        "approval_rate": None,
        "undecided": 0,
        # No account had bought anything before.
        "upsell_rate": None,
        "cross_sell_rate": None,
    }
    n = {
        "won": len(won),
        "lost": len(lost),
        "open": len(rows) - len(won) - len(lost),
        "revenue": len(won),
        "close_rate_closed": len(won) + len(lost),
        "close_rate_within_180_days": len(begun),
        "close_rate": len(begun),
        "cycle_days_mean": len(won),
        "cycle_days_median": len(begun),
        "won_by_day_90": len(begun),
        "registrations": 0,
        "approval_rate": 0,
        "upsell_rate": 0,
    }
    return figures, n


def test_the_commands_import_and_report(tmp_path: Path) -> None:
    environ = {"PORTAL_DATA_DIR": str(tmp_path / "data")}
    runner = CliRunner(env=environ)
    said = runner.invoke(portal, [
        "setup", "--company", "N", "--timezone", "Europe/Berlin", "--admin-name", "Ada Berg",
        "--admin-email", "ada@n.example", "--smtp-url", "", "--mail-from", "portal@n.example",
        "--privacy-mode", "person", "--admin-password", "ada-password",
    ])  # fmt: skip
    assert said.exit_code == 0, said.output
    file, refused = tmp_path / "x.csv", tmp_path / "refused.csv"
    file.write_text(SMALL + "A5;;X;Pumps;Won;;;\n", encoding="utf-8")
    words = ["import", "deals", str(file), "--map", "customer=Account", "amount=Value"]
    told = runner.invoke(portal, [*words, "--create", "--dry-run"])
    assert "4 deals are new." in told.output
    assert "Nothing was written." in told.output
    done = runner.invoke(
        portal, [*words, "--create", "--currency", "CHF", "--refused", str(refused)]
    )
    assert done.exit_code == 0, done.output
    assert "partner is missing" in refused.read_text(encoding="utf-8")
    days = ["--from", "2026-01-01", "--to", "2026-04-01"]
    found = json.loads(runner.invoke(portal, ["report", "deals", *days, "--json"]).output)
    assert (found["won"], found["lost"], found["open"]) == (1, 1, 2)
    assert found["revenue"] == {"CHF": "12400.50"}
    assert (found["close_rate_closed"], found["n"]["close_rate_closed"]) == (0.5, 2)
    assert found["cycle_days_mean"] == (date(2026, 3, 3) - date(2026, 2, 1)) / timedelta(days=1)
    assert (found["upsell_rate"], found["n"]["upsell_rate"]) == (None, 0)
    assert found["losses"] == {"imported": 1}
    assert found["by"]["partner"]["Kühn Technik"]["won"] == 1
    assert found["revenue_by_currency"]["CHF"]["order_median"] == "12400.50"
    some = runner.invoke(portal, ["report", "deals", *days, "--tier", "Gold", "--json"]).output
    assert json.loads(some)["won"] == 0
    assert "won" in runner.invoke(portal, ["report", "deals", *days]).output
    nobody = runner.invoke(portal, ["report", "deals", *days, "--partner", "Nobody"])
    assert "There are 0 partners" in nobody.output
    wrong = runner.invoke(portal, ["import", "deals", str(file), "--map", "nonsense=Account"])
    assert wrong.exit_code != 0
    assert "is no field" in str(wrong.exception) + wrong.output


SUBMITTED = "id,partner,customer,country,product_family,status\nX1,Kühn Technik,Zoo,DE,Pumps,{}\n"


def test_what_was_decided_here_is_not_overturned_by_the_same_file(
    portal_with_kuehn: Flask, browse: Browse
) -> None:
    with portal_with_kuehn.test_request_context():
        bring_in(SUBMITTED.format("submitted"), by_id=otto().id, create=True)
    key = deals()["X1"].id
    look_for_conflicts()
    path = f"/deals/{key}"
    browse(anna()).post(f"{path}/move/take_in_review")
    assert browse(anna()).post(f"{path}/approve", data=APPROVAL).status_code == 302
    with portal_with_kuehn.test_request_context():
        outcome = bring_in(SUBMITTED.format("rejected"), by_id=otto().id, create=True)
    assert [why for _line, why in outcome.refused] == [
        "This deal was registered here: its status is decided here, too."
    ]
    assert deals()["X1"].status == "approved"


def test_whoever_brought_a_registration_in_does_not_decide_on_it(
    portal_with_kuehn: Flask, browse: Browse
) -> None:
    with portal_with_kuehn.test_request_context():
        bring_in(SUBMITTED.format("submitted"), by_id=anna().id, create=True)
    path = f"/deals/{deals()['X1'].id}"
    look_for_conflicts()
    assert browse(anna()).post(f"{path}/move/take_in_review").status_code == 409
    assert browse(otto()).post(f"{path}/move/take_in_review").status_code == 302
