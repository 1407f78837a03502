"""Every report, chart and file is there, says the number it is for, and where it is defined."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.formatting import clock_time
from portal.reports import definitions
from portal.reports.views import TABLES
from tests.conftest import Browse
from tests.deals.test_deals import approve, register
from tests.factories import ZONE, days_ago, make_asset, make_colleagues
from tests.pages import text_of
from tests.people import anna, kuehn, lena
from tests.reports.test_content_reports import token_of
from tests.reports.test_reports import answer_with, reading_yesterday, rows
from tests.tracking.reports import post, row, slot_now
from tests.tracking.test_hardening import BERLIN, area_token
from tests.tracking.test_rollups import read, rebuild

RULES = ("active", "reading", "idle")


def busy(app: Flask, browse: Browse) -> Any:
    """Something of everything: reading, searches, a deal that was won, a survey."""
    asset = reading_yesterday()
    with clock.at(clock.now() - timedelta(days=1)):
        for _time in range(3):
            post(area_token("atex"), row(slot_now(), active=900), activated=clock.now_ms())
    with clock.at(days_ago(120)):
        make_asset("Old flyer")
    rebuild()
    won = register(browse, lena(), customer_name="Won AG")
    approve(browse, won)
    order = {
        "amount": "900",
        "currency": "EUR",
        "won_on": clock.local_day(clock.now(), ZONE).isoformat(),
    }
    for person in (lena(), anna()):
        browse(person).post(f"/deals/{won}/won", data=order)
    answer_with(app, browse, 3, "Waited nine days.")
    return asset


def test_every_report_has_a_page_a_file_and_its_number(app: Flask, browse: Browse) -> None:
    asset = busy(app, browse)
    manager = browse(anna())
    this_month = f"{clock.local_day(clock.now(), ZONE):%b %Y}"
    wanted: dict[str, dict[str, str]] = {
        "content": {"Content": "Case study: waterworks", "Views": "3", "Partners": "2"},
        "partners": {"Partner": "Kühn Technik", "Views": "2", "Activities": "2"},
        "activity": {"Partner": "Kühn Technik", "Together": "5", "Content": "2", "Deals": "2"},
        "searches": {"Looked for": "atex", "Without result": "3", "Partners": "1"},
        "market": {"Partners that opened it": "2 of 2", "Days until half had": "0"},
        "days": {"Views": "0"},
        "stale": {"Content": "Old flyer", "Days without a view": "120"},
        "areas": {"Area": "Library", "Page views": "3", "Time (s)": "2.700"},
        "deals": {"Status": "Closed", "Deals": "1"},
        "won": {"Month": this_month, "Deals won": "1", "Revenue": "€\xa0900"},
        "satisfaction": {"Company": "3.00", "Partners": "1 of 2"},
    }
    assert wanted.keys() == TABLES.keys()
    for name, values in wanted.items():
        found = rows(manager.get(f"/reports/{name}.csv?period=3m"))
        assert {key: found[0][key] for key in values} == values, name
        page = manager.get(f"/reports/{name}?period=3m")
        first = next(iter(values.values()))
        assert first.removesuffix(".00") in text_of(page), name
        assert f'href="/reports/{name}.csv?period=3m"' in page.text
        assert manager.get(f"/reports/{name}?period=3m&page=99").status_code == 404
    weeks = manager.get(f"/reports/content/{asset.id}/chart.json?period=12m").json
    assert weeks is not None
    today = clock.local_day(clock.now(), BERLIN)
    # Of a week that is not over there is no point yet.
    whole = (today - timedelta(days=1)).isocalendar()[:2] != today.isocalendar()[:2]
    counted = sum(value["n"] for value in weeks["data"]["values"])
    assert counted == (3 if whole or today.weekday() == 6 else 0)
    for name, n in (("registrations", 1), ("satisfaction", 3)):
        chart = manager.get(f"/reports/charts/{name}.json?period=3m").json
        assert chart is not None
        assert n in [value["n"] for value in chart["data"]["values"]]


def test_what_the_overview_shows_can_be_opened_in_full(app: Flask, browse: Browse) -> None:
    busy(app, browse)
    with clock.at(clock.now() - timedelta(days=1)):
        for number in range(9):
            read(lena(), make_asset(f"Piece {number}"), 12)
    rebuild()
    manager = browse(anna())
    page = manager.get("/?period=30d").text
    cards = re.findall(
        r'class="panel metric">.*?#([\w-]+)">([^<]+)</a></span><a class="fig" href="([^"]+)"', page
    )
    behind = {
        "views": "Case study: waterworks 2 3", "dwell": "1 min 25 s", "downloads": "Piece 8",
        "shares": "Kühn Technik", "opens": "Kühn Technik", "likes": "Piece 0",
        "registrations": "Closed 1", "revenue": "€ 900",
        "active_rate": "1 of 2 partners active", "depth": "Kühn Technik",
    }  # fmt: skip
    assert [about for about, _name, _href in cards] == list(behind)
    for about, _name, href in cards:
        shown = text_of(manager.get(href.replace("&amp;", "&"))).replace("\xa0", " ")
        assert behind[about] in shown, about
    short = manager.get("/reports/make-fix-retire?period=30d").text
    links = re.findall(r'href="([^"]+)">All', page) + re.findall(r'href="([^"]+)">All', short)
    assert {"/reports/content?period=30d", "/reports/partners?period=30d"} <= set(links)
    for href in links:
        assert manager.get(href).status_code == 200
    assert all(f"Piece {n}" in text_of(manager.get(links[0])) for n in range(9))
    assert len(rows(manager.get("/reports/content.csv?period=30d"))) == 10


def test_long_reports_come_a_page_at_a_time(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.paging.SIZE", 2)
    with clock.at(clock.now() - timedelta(days=1)):
        for number in range(5):
            read(lena(), make_asset(f"Piece {number}"), 3 + number)
    rebuild()
    for name in ("content", "market"):
        seen = []
        for number in (1, 2, 3):
            page = text_of(browse(anna()).get(f"/reports/{name}?period=30d&page={number}"))
            assert f"Page {number} of 3, 5 in all" in page
            seen += re.findall(r"Piece \d", page)
        assert sorted(seen) == [f"Piece {number}" for number in range(5)]


def test_every_number_leads_to_its_definition(app: Flask, browse: Browse) -> None:
    asset = busy(app, browse)
    manager = browse(anna())
    page = manager.get("/reports/definitions")
    known = set(re.findall(r'<div id="([\w-]+)">', page.text))
    assert known == {one.anchor for one in definitions.every()}
    assert len(known) == len(list(definitions.every()))
    wave = re.search(r'href="(/surveys/waves/[^"]+)"', manager.get("/surveys").text)
    assert wave
    paths = [
        "/", "/reports/make-fix-retire", "/reports/results", "/reports/leads", wave[1],
        f"/reports/content/{asset.id}",
        f"/reports/partners/{kuehn().id}", *(f"/reports/{name}" for name in TABLES),
        f"/reports/content/{asset.id}/partners", f"/reports/partners/{kuehn().id}/content",
    ]  # fmt: skip
    for path in paths:
        shown = manager.get(path).text
        linked = set(re.findall(r'href="/reports/definitions#([\w-]+)"', shown))
        assert linked, path
        assert linked <= known, path
        # A heading of figures without a link is a number that nobody can look up.
        assert re.findall(r'<th class="num" scope="col">(?!<a class="term")', shown) == [], path
    people = f"/reports/partners/{kuehn().id}"
    for path in ("/", wave[1], f"/reports/content/{asset.id}", people):
        cards = re.findall(r'class="panel metric">(.{30,60})', manager.get(path).text)
        assert all('<span class="name"><a class="term"' in card for card in cards), path


def test_definitions_are_sentences_with_a_unit_and_a_version() -> None:
    for one in definitions.every():
        assert one.text.endswith("."), one.anchor
        assert one.unit, one.anchor
        assert one.version >= 1, one.anchor


# --- the rule for dwell time ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_each_figure_follows_the_chosen_rule_or_says_that_it_does_not(
    app: Flask, browse: Browse, rule: str
) -> None:
    asset = make_asset()
    make_colleagues(kuehn())
    with clock.at(clock.now().replace(hour=11) - timedelta(days=1)):
        token = token_of(lena(), asset)
        spent = [row(slot_now(back), active=4_000, reading=1_000, idle=9_000) for back in (0, -1)]
        assert post(token, *spent, activated=clock.now_ms()).status_code == 200
        post(area_token(), row(slot_now(), active=900), activated=clock.now_ms())
    rebuild()
    manager, query = browse(anna()), f"period=30d&dwell={rule}"
    said = {"active": "8 s", "reading": "10 s", "idle": "28 s"}[rule]
    words = {"active": "in use only", "reading": "reading", "idle": "also idle"}[rule]
    overview = text_of(manager.get(f"/?{query}"))
    assert f"Dwell time {said} {words}" in overview
    tail = "" if rule == "reading" else ", by the usual rule"
    ranking = rows(manager.get(f"/reports/content.csv?{query}"))[0]
    assert ranking["Dwell time (s)"] == f"{int(said[:-2])}.000"
    assert ranking[f"Median dwell{tail} (s)"] == "10.000"
    partners = rows(manager.get(f"/reports/partners.csv?{query}"))[0]
    assert partners[f"Activities{tail}"] == "1"
    assert partners["Dwell time (s)"] == ranking["Dwell time (s)"]
    page = manager.get(f"/reports/content/{asset.id}?{query}")
    assert f'aria-label="Page 1: {said}"' in page.text
    assert f"{said} 1 view customers" in text_of(page)
    assert ("are by the usual rule" in text_of(page)) == (rule != "reading")
    # Two dates keep the rule.
    hidden = f'<input type="hidden" name="dwell" value="{rule}">'
    assert (hidden in page.text) == (rule != "reading")


def test_a_moment_of_another_day_says_which() -> None:
    now = clock.now()
    assert re.fullmatch(r"\d\d:\d\d", clock_time(now, now, BERLIN))
    assert re.fullmatch(
        r"\d+ \w+ \d{4}, \d\d:\d\d", clock_time(now - timedelta(days=1), now, BERLIN)
    )
