"""Partner engagement: who is active, by what, and how much they do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import write
from surveys.models import Mode, Wave
from tests.conftest import Browse
from tests.deals.test_deals import claim, register
from tests.factories import ZONE, days_ago, make_partner, make_user
from tests.leads.leads import write_down
from tests.pages import text_of
from tests.people import anna, brandt, kuehn, lena, mia
from tests.reports.test_reports import answer_with, reading_yesterday, rows


def told(browse: Browse, query: str = "period=3m") -> dict[str, tuple[str, ...]]:
    """Together, content, deals, leads and surveys of every partner."""
    found = rows(browse(anna()).get(f"/reports/activity.csv?{query}"))
    areas = ("Together", "Content", "Deals", "Leads", "Surveys")
    return {row["Partner"]: tuple(row[name] for name in areas) for row in found}


def cards(browse: Browse) -> str:
    """The overview in words."""
    return text_of(browse(anna()).get("/?period=3m"))


def test_partners_are_active_by_what_they_do_and_not_by_signing_in(
    app: Flask, browse: Browse
) -> None:
    quiet = make_user("Quinn", partner=make_partner("Quiet"))
    for n in range(2):
        make_user(partner=make_partner(f"Other {n}"))
    lena(), mia()
    browse(quiet).get("/")
    assert "Active partners 0 of 5 in 30 days 0%, 95 % interval 0% to 43%" in cards(browse)
    # What was done before the 30 days, and drafts, count nothing.
    with clock.at(days_ago(31)):
        write_down(browse, mia())
    browse(mia()).post("/deals/new", data=claim(customer_name="Draft AG", then="draft"))
    assert set(told(browse).values()) == {("0",) * 5}
    register(browse, lena())
    write_down(browse, mia(), company="Werft")
    answer_with(app, browse, 3, "")
    reading_yesterday()
    found = told(browse)
    assert found == {
        kuehn().name: ("4", "2", "1", "0", "1"),
        brandt().name: ("1", "0", "0", "1", "0"),
        **dict.fromkeys(("Quiet", "Other 0", "Other 1"), ("0",) * 5),
    }
    # The numbers are those of the rows, and the rows are the partners.
    page = cards(browse)
    assert "Active partners 2 of 5 in 30 days 40%, 95 % interval 12% to 77%" in page
    assert "Activities per partner 1.0 in 30 days 5 activities of 5 partners" in page
    assert "2 of 5 partners active" in text_of(browse(anna()).get("/reports/activity?period=3m"))
    links = re.findall(r'href="(/reports/activity[^"]*)"', browse(anna()).get("/?period=3m").text)
    assert links == ["/reports/activity?period=3m"] * 2
    assert browse(lena()).get("/reports/activity").status_code == 404
    # A period that was over 25 days ago speaks of the 30 days before its end.
    before = clock.local_day(days_ago(25), ZONE)
    assert told(browse, f"from=2020-01-01&to={before}")[brandt().name][3] == "1"


@pytest.mark.parametrize("mode", [Mode.confidential, Mode.anonymous])
def test_who_answered_in_secret_is_not_active_by_it(app: Flask, browse: Browse, mode: str) -> None:
    lena()
    answer_with(app, browse, 3, "")
    assert told(browse)[kuehn().name][4] == "1"
    with write() as session:
        session.query(Wave).one().mode = mode
    assert told(browse)[kuehn().name][4] == "0"


def test_a_partner_counts_from_the_day_on_which_somebody_has_access(browse: Browse) -> None:
    today: Any = clock.now() - timedelta(days=1)
    make_user(partner=make_partner("New here"), joined_at=today)
    lena()
    assert told(browse).keys() == {kuehn().name}
    assert "0 of 1 in 30 days an interval needs 4 more partners" in cards(browse)
