"""Orders of several currencies added up by the rate of the day of winning."""

from __future__ import annotations

import io
import re
import uuid
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from portal import clock
from portal.accounts.models import Role, User
from portal.db import db
from portal.reports import conversion, outcomes
from portal.reports.models import ExchangeRate
from tests.conftest import Browse
from tests.deals.test_deals import register
from tests.factories import ZONE, make_user
from tests.pages import text_of
from tests.people import anna, brandt, kuehn, lena
from tests.reports.test_deal_report import figures, found, win
from tests.reports.test_reports import rows

DAY = date(2026, 3, 10)


def ada() -> User:
    """The administrator."""
    known: User | None = db.session.query(User).filter_by(email="ada@nordwerk.example").first()
    return known or make_user("Ada Voss", Role.admin, email="ada@nordwerk.example")


def order(minor: int | None, currency: str | None, won: date = DAY) -> Any:
    """A deal that was won."""
    return SimpleNamespace(amount_minor=minor, currency=currency, won=won)


def today() -> date:
    """The day it is in the reports."""
    return clock.local_day(clock.now(), ZONE)


def test_worked_answers_of_conversion() -> None:
    known = {
        "USD": [(date(2026, 1, 31), Decimal("0.5")), (date(2026, 3, 10), Decimal("0.9241"))],
        "CHF": [(date(2026, 2, 7), Decimal("1.005"))],
    }
    # 1 000.00 + 1 000.01 x 0.9241 = 1 924.109241; 10.00 x 1.005 thrice = 30.15.
    wins = [order(100_000, "EUR"), order(100_001, "USD"), *[order(1_000, "CHF")] * 3]
    here = conversion.converted(wins, known, "EUR")
    assert (here.total, here.orders, here.unmeasured) == (195_426, 5, 0)
    # Half cents stay until the end: 3 x 0.005 is 0.015, and not 3 x 0.01.
    small = conversion.converted([order(1, "USD")] * 3, {"USD": [(DAY, Decimal("0.5"))]}, "EUR")
    assert small.total == 2
    # The 31st day after is in time, the next one is not; before the first there is none.
    usd, first = known["USD"], date(2026, 1, 31)
    assert conversion.rate_on(usd, first + timedelta(days=31)) == Decimal("0.5")
    assert conversion.rate_on(usd, first + timedelta(days=32)) is None
    assert conversion.rate_on(usd, date(2026, 3, 10)) == Decimal("0.9241")
    assert conversion.rate_on(usd, date(2026, 1, 30)) is None
    lacking = [order(5, "SEK"), order(5, "SEK"), order(None, "EUR"), order(None, None)]
    none = conversion.converted([order(7, "EUR"), *lacking], known, "EUR")
    assert (none.total, none.orders, none.unmeasured) == (7, 1, 4)
    assert none.missing == {"SEK": 2, "": 2}


def enter(browse: Browse, **form: str) -> Any:
    """The administrator enters a rate."""
    return browse(ada()).post("/reports/rates", data=form, follow_redirects=True)


def test_revenue_is_converted_beside_the_currencies_and_says_what_is_lacking(
    browse: Browse,
) -> None:
    for name, amount, code in (("One AG", "100", "EUR"), ("Two AG", "200", "CHF"),
                               ("Three AG", "50.01", "USD")):  # fmt: skip
        win(browse, register(browse, lena(), customer_name=name), amount, code)
    before = figures(browse, "results-revenue")
    line = before["Revenue in all, converted to EUR"]
    assert (line["Value"], line["n"]) == ("€\xa0100", "1")
    assert line["Note"] == "1 of 3 won deals converted; 2 without a rate (CHF: 1; USD: 1)"
    assert before["Won deals without a rate"]["Value"] == "2"
    assert 'href="/reports/rates"' in browse(anna()).get("/reports/results?period=12m").text
    day = today().isoformat()
    page = text_of(enter(browse, currency="chf", day=day, rate="1,05"))
    assert "1 rate is new." in page
    values = outcomes.as_json(found())
    assert values["revenue_converted"] == {
        "currency": "EUR", "amount": "310.00", "n": 2, "unmeasured": 1, "missing": {"USD": 1},
    }  # fmt: skip
    assert values["n"]["revenue_converted"] == 2
    old = (today() - timedelta(days=32)).isoformat()
    enter(browse, currency="USD", day=old, rate="0.5")
    assert found().converted.unmeasured == 1
    enter(browse, currency="USD", day=day, rate="0.9")
    # 100 + 210 + 45.009
    assert found().converted.total == 35_501
    enter(browse, currency="USD", day=day, rate="0.91")
    assert found().converted.total == 35_551
    admin = browse(ada())
    usd = next(iter(db.session.query(ExchangeRate).filter_by(rate_e8=91_000_000))).id
    gone = text_of(admin.post(f"/reports/rates/{usd}/delete", follow_redirects=True))
    assert "The rate is deleted." in gone
    assert re.search(r"USD, \d+ \w+ \d+: 0.91 Ada Voss", gone)
    assert found().converted.unmeasured == 1
    again = admin.post(f"/reports/rates/{usd}/delete", follow_redirects=True)
    assert "changed or deleted meanwhile" in text_of(again)
    # Another currency needs rates of its own.
    admin.post("/reports/rates/currency", data={"reporting": "CHF"})
    here = found().converted
    assert (here.currency, here.total, here.missing) == ("CHF", 20_000, {"EUR": 1, "USD": 1})


def test_rates_that_cannot_be_used_are_refused_and_stay_in_the_form(browse: Browse) -> None:
    good = {"currency": "USD", "day": today().isoformat(), "rate": "0.9241"}
    for bad, said in (
        ({"currency": "XQZ"}, "XQZ is no currency"), ({"currency": "eur"}, "needs no rate"),
        ({"day": "soon"}, "written like 2026-03-31: soon"), ({"day": ""}, "A day is written"),
        ({"day": (today() + timedelta(days=1)).isoformat()}, "still to come"),
        ({"rate": "lots"}, "written like 0.9241: lots"), ({"rate": "-1"}, "written like"),
        ({"rate": "NaN"}, "written like"), ({"rate": "1.234,5"}, "written like"),
        ({"rate": "0"}, "more than 0"), ({"rate": "1000001"}, "at most 1 000 000"),
        ({"rate": "0.123456789"}, "at most 8 decimals"),
    ):  # fmt: skip
        form = {**good, **bad}
        answer = browse(ada()).post("/reports/rates", data=form)
        assert answer.status_code == 400
        assert said in text_of(answer), bad
        assert f'value="{form["rate"]}"' in answer.text
    admin = browse(ada())
    lines = "USD 2026-03-31 0.9\nCHF\t31.3.2026\t1,05\n\nSEK; 2026-03-31; x\nUSD 2026-03-31 1\nhm"
    answer = admin.post("/reports/rates/paste", data={"lines": lines})
    assert answer.status_code == 400
    for said in (
        "Line 4: A rate is written",
        "Line 5: This currency and day were",
        "Line 6: A line",
    ):
        assert said in text_of(answer)
    assert "SEK; 2026-03-31; x" in answer.text
    assert admin.post("/reports/rates/paste", data={"lines": " "}).status_code == 400
    assert admin.post("/reports/rates/currency", data={"reporting": "??"}).status_code == 400
    assert db.session.query(ExchangeRate).count() == 0
    lines = "USD 2026-03-31 0.9\nCHF\t31.3.2026\t1,05\nSEK;2026-03-31;0,09\nGBP,2026-03-31,1.15"
    answer = admin.post("/reports/rates/paste", data={"lines": lines}, follow_redirects=True)
    assert "4 rates are new." in text_of(answer)
    assert "CHF,2026-03-31,1.05,EUR,Ada Voss" in admin.get("/reports/rates.csv").text


def upload(browse: Browse, text: str) -> tuple[str, Any]:
    """The administrator uploads rates."""
    admin = browse(ada())
    file = (io.BytesIO(text.encode()), "rates.csv")
    path = admin.post("/rates/import", data={"file": file}).location
    return path, admin.post(path, data={"then": "import"}, follow_redirects=True)


def test_rates_are_imported_and_refused_rows_come_back_with_their_reason(browse: Browse) -> None:
    text = "date,code,rate\n2026-03-31,USD,0.9\n2026-03-31,usd,1\n2026-02-30,CHF,1\n31.3.2026,CHF,"
    path, answer = upload(browse, text)
    assert "1 is new." in text_of(answer)
    refused = rows(browse(ada()).get(f"{path}/refused.csv"))
    reasons = [row["reason"] for row in refused]
    assert [r.split(":")[0] for r in reasons] == [
        "Line 2 has the same currency and day.", "A day is written like 2026-03-31",
        "rate is missing.",
    ]  # fmt: skip
    out = browse(ada()).get("/reports/rates.csv").text.lstrip("\ufeff")
    assert "1 was there already." in text_of(upload(browse, out)[1])
    assert "This rate is to USD" in text_of(
        upload(browse, "currency,day,rate,to\nCHF,2026-03-31,1,USD")[1]
    )


@pytest.mark.usefixtures("app")
def test_only_administrators_enter_rates_and_partners_never_see_them(browse: Browse) -> None:
    kuehn(), brandt()
    key = uuid.uuid4()
    writes = ("/reports/rates", "/reports/rates/paste", "/reports/rates/currency",
              f"/reports/rates/{key}/delete", "/rates/import")  # fmt: skip
    for person in (anna(), lena()):
        for path in writes:
            form = {
                "currency": "USD",
                "day": "2026-03-31",
                "rate": "1",
                "lines": "USD 2026-03-31 1",
            }
            assert browse(person).post(path, data=form).status_code == 404, path
        assert browse(person).get("/rates/import").status_code == 404
    for path in ("/reports/rates", "/reports/rates.csv"):
        assert browse(lena()).get(path).status_code == 404
        assert browse(anna()).get(path).status_code == 200
    page = browse(anna()).get("/reports/rates").text
    assert 'action="/reports/rates' not in page
    assert db.session.query(ExchangeRate).count() == 0
