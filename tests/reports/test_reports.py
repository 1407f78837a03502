"""What the manager reads: filters, CSV, charts, and a link to the rows behind each number."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.db import db, write
from portal.reports import periods
from portal.tables import plain
from surveys import waves
from tests.conftest import Browse
from tests.deals.test_deals import approve, register
from tests.factories import ZONE, days_ago, make_asset, make_colleagues
from tests.pages import text_of
from tests.people import anna, brandt, jonas, kuehn, lena, mia
from tests.surveys.asking import set_up
from tests.tracking.test_rollups import read, rebuild

TODAY = date(2026, 3, 31)


def rows(answer: Any) -> list[dict[str, str]]:
    """A CSV answer as rows."""
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def reading_yesterday() -> Any:
    """Lena, Jonas and Mia read yesterday, Lena most."""
    asset = make_asset("Case study: waterworks")
    make_colleagues(kuehn())
    make_colleagues(brandt())
    noon = days_ago(1).astimezone(ZONE).replace(hour=12, minute=0, second=0)
    with clock.at(noon) as forward:
        for person, seconds in ((lena(), 60), (jonas(), 20), (mia(), 5)):
            read(person, asset, seconds)
            forward(timedelta(minutes=5))
    rebuild()
    return asset


def test_the_overview_says_what_happened_beside_the_period_before(
    app: Flask, browse: Browse
) -> None:
    reading_yesterday()
    page = text_of(browse(anna()).get("/?period=30d"))
    assert "Nothing needs you today." in page
    assert "Views 3 by partners 0 in the period before" in page
    assert "Dwell time 1 min 25 s" in page
    assert "as of" in page


def test_every_number_opens_onto_the_rows_behind_it(app: Flask, browse: Browse) -> None:
    asset = reading_yesterday()
    browser = browse(anna())
    page = browser.get("/reports/content?period=30d")
    assert "2 1 min 25 s" in text_of(page) or "Case study: waterworks 2 3" in text_of(page)
    link = re.search(rf'href="(/reports/content/{asset.id}\?[^"]+)"', page.text)
    assert link
    behind = text_of(browser.get(link[1].replace("&amp;", "&")))
    assert "Kühn Technik" in behind
    assert "1 min 20 s" in behind
    partner = text_of(browser.get(f"/reports/partners/{kuehn().id}?period=30d"))
    assert "Case study: waterworks" in partner


def test_csv_holds_exactly_what_the_page_shows(app: Flask, browse: Browse) -> None:
    asset = reading_yesterday()
    browser = browse(anna())
    for path, wanted in {
        "/reports/content.csv": ["3"],
        "/reports/partners.csv": ["2", "1"],
        f"/reports/content/{asset.id}/partners.csv": ["2", "1"],
        f"/reports/partners/{kuehn().id}/content.csv": ["2"],
    }.items():
        answer = browser.get(f"{path}?period=30d")
        assert answer.mimetype == "text/csv"
        assert [row["Views"] for row in rows(answer)] == wanted, path
    days = rows(browser.get("/reports/days.csv?period=30d"))
    assert len(days) == 30
    assert sum(int(row["Views"]) for row in days) == 3
    assert sum(float(row["Dwell time (s)"]) for row in days) == 85.0


def test_a_period_filters_half_open_days(app: Flask, browse: Browse) -> None:
    reading_yesterday()
    browser = browse(anna())
    yesterday = clock.local_day(clock.now(), ZONE) - timedelta(days=1)
    for first, last, views in (
        (yesterday, yesterday, 3),
        (yesterday + timedelta(days=1), yesterday + timedelta(days=1), 0),
        (yesterday - timedelta(days=5), yesterday - timedelta(days=1), 0),
    ):
        answer = browser.get(f"/reports/days.csv?from={first}&to={last}")
        assert sum(int(row["Views"]) for row in rows(answer)) == views


def test_a_period_that_makes_no_sense_is_refused_with_a_sentence(browse: Browse) -> None:
    for query in (
        "period=9y",
        "from=yesterday",
        "from=2026-03-02&to=2026-03-01",
        "from=0001-01-01",
    ):
        answer = browse(anna()).get(f"/?{query}")
        assert answer.status_code == 400, query
        assert len(text_of(answer)) > 20


@given(st.sampled_from(["30d", "3m", "12m", "24m"]), st.dates(date(2001, 1, 1), date(2090, 1, 1)))
def test_named_periods_end_today_and_the_one_before_touches_them(name: str, today: date) -> None:
    period = periods.parse({"period": name}, today)
    assert period.last == today
    assert period.since < period.until
    assert period.before().until == period.since


def test_charts_come_as_specifications_without_anything_from_elsewhere(
    app: Flask, browse: Browse
) -> None:
    reading_yesterday()
    browser = browse(anna())
    for name in ("engagement", "registrations", "satisfaction"):
        spec = browser.get(f"/reports/charts/{name}.json?period=3m").json
        assert spec is not None
        assert spec["data"]["values"] is not None
        assert "url" not in spec["data"]
    assert browser.get("/reports/charts/other.json").status_code == 404
    assert len(browser.get("/reports/vega.js").data) > 100_000


def test_reports_are_for_the_vendor(browse: Browse) -> None:
    asset = make_asset()
    for path in (
        "/reports/content", "/reports/content.csv", "/reports/charts/engagement.json",
        f"/reports/content/{asset.id}", f"/reports/partners/{kuehn().id}",
    ):  # fmt: skip
        assert browse(lena()).get(path).status_code == 404
        assert browse(None).get(path).status_code == 302


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert plain(text) == f"'{text}"
    assert plain("Brandt & Söhne") == "Brandt & Söhne"


def test_an_empty_portal_says_what_will_be_here(browse: Browse) -> None:
    page = text_of(browse(anna()).get("/"))
    assert "Nothing needs you today." in page
    assert "Nothing was read or shared in this period." in page
    assert "No survey has been sent yet." in page
    home = text_of(browse(lena()).get("/"))
    assert "No open deals." in home
    assert "Nothing yet. Share something" in home
    db.session.rollback()


def test_needs_are_decisions_then_low_scores_then_wins(app: Flask, browse: Browse) -> None:
    won = register(browse, lena(), customer_name="Won AG")
    approve(browse, won)
    order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20"}
    browse(lena()).post(f"/deals/{won}/won", data=order)
    register(browse, lena(), customer_name="Waiting AG")
    answer_with(app, browse, 3, "Waited nine days.")
    page = text_of(browse(anna()).get("/"))
    places = [page.index(words) for words in ("Waiting AG", "scored 3", "Won AG", "What happened")]
    assert places == sorted(places)
    assert "“Waited nine days.”" in page


def test_many_registrations_leave_room_for_a_low_score(app: Flask, browse: Browse) -> None:
    for n in range(6):
        register(browse, lena(), customer_name=f"Waiting {n} AG")
    assert text_of(browse(anna()).get("/")).count("Waiting") == 5
    answer_with(app, browse, 3, "Waited nine days.")
    page = text_of(browse(anna()).get("/"))
    assert page.count("Waiting") == 4
    assert "“Waited nine days.”" in page


def answer_with(app: Flask, browse: Browse, score: int, comment: str) -> None:
    """Lena answers a survey that is open."""
    now = clock.now()
    start = now.replace(tzinfo=None, microsecond=0)
    db.session.rollback()
    with write() as session:
        survey = set_up(session, start, now, zone=ZoneInfo("UTC"))
        waves.open_wave(session, survey, start, now)
    link = re.search(r'href="(/survey/invitation/[^"]+)"', browse(lena()).get("/").text)
    assert link
    data = {"company": str(score), "experience": "8", "comment": comment, "submission": "x"}
    assert browse(lena()).post(link[1], data=data).status_code == 200


def test_the_csv_of_deals_says_the_status_in_the_words_of_the_page(browse: Browse) -> None:
    register(browse, lena())
    page, file = (browse(anna()).get(f"/reports/deals{kind}?period=30d") for kind in ("", ".csv"))
    assert [(row["Status"], row["Deals"]) for row in rows(file)] == [("Submitted", "1")]
    assert "Submitted" in text_of(page)
