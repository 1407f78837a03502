"""The reports on content, on an asset and on a partner, and what the privacy mode lets them say."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from flask import Flask, current_app
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal import clock, formatting
from portal.accounts.models import Installation, PrivacyMode, User
from portal.content import html, library
from portal.content.models import Asset
from portal.db import db, new_id, write
from portal.reports.content import Spread, spreads, state_of
from tests.conftest import Browse
from tests.deals.test_deals import register
from tests.factories import (
    days_ago,
    make_asset,
    make_colleagues,
    make_partner,
    make_user,
    version_of,
)
from tests.pages import text_of
from tests.people import ada, anna, brandt, jonas, kuehn, lena, mia
from tests.reports.test_reports import reading_yesterday, rows
from tests.tracking.reports import post, post_body, row, slot_now, token_for
from tests.tracking.test_hardening import area_token, bits
from tests.tracking.test_rollups import read, rebuild
from tracking import events, retention
from tracking.models import Download
from tracking.sums import DayState

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_page_of_an_asset_says_who_reads_what_and_how_sure_it_is(
    app: Flask, browse: Browse
) -> None:
    asset = reading_yesterday()
    page = text_of(browse(anna()).get(f"/reports/content/{asset.id}?period=30d"))
    assert "Views 3 by partners 2 partners, 3 people" in page
    assert "Dwell time 1 min 25 s at least 1 min 25 s, at most 1 min 25 s" in page
    assert "median 20 s a view" in page
    assert "Measured to the end: 0 of 3 views and opens." in page
    assert "Of each of the others at most the last 15 s are missing" in page
    assert "A view reads 1.0 of 5 pages" in page
    assert "Half of the 2 partners it is for had opened it after 0 days" in page
    assert "Kühn Technik" in page
    strip = browse(anna()).get(f"/reports/content/{asset.id}?period=30d").text
    assert len(re.findall(r"<meter ", strip)) == 5
    assert 'aria-label="Page 1: 1 min 25 s"' in strip


def test_what_counts_as_dwell_can_be_chosen_on_the_page(app: Flask, browse: Browse) -> None:
    asset, at = make_asset(), clock.now() - timedelta(days=1)
    make_colleagues(kuehn())
    with clock.at(at.replace(hour=11)):
        token = token_of(lena(), asset)
        spent = row(slot_now(), active=4_000, reading=3_000, idle=6_000)
        assert post(token, spent, activated=clock.now_ms()).status_code == 200
    rebuild()
    for rule, said in (("active", "4 s"), ("reading", "7 s"), ("idle", "13 s")):
        for path in (f"/reports/content/{asset.id}", f"/reports/partners/{kuehn().id}", "/"):
            page = text_of(browse(anna()).get(f"{path}?period=30d&dwell={rule}"))
            assert f"Dwell time {said}" in page
        found = rows(browse(anna()).get(f"/reports/content.csv?period=30d&dwell={rule}"))
        assert found[0]["Dwell time (s)"] == f"{int(said[:-2])}.000"
    assert browse(anna()).get("/?dwell=nonsense").status_code == 400


def token_of(person: User, asset: Asset) -> str:
    """A page load as the portal itself makes it for this person."""
    keys = current_app.extensions["portal_keys"]
    day = clock.local_day(clock.now(), BERLIN)
    viewer = events.viewer_for(keys, person, db.session.get_one(Installation, 1).privacy_mode, day)
    version = version_of(asset)
    return events.issue_token(
        keys, viewer, asset_id=asset.id, version_id=version.id, page_count=version.page_count
    )


def test_the_content_report_says_what_to_make_fix_and_retire(app: Flask, browse: Browse) -> None:
    with clock.at(days_ago(200)):
        stale, _fresh = make_asset("Old flyer"), make_asset("Read yesterday")
        read(lena(), stale, 20)
    with clock.at(clock.now() - timedelta(days=1)):
        read(lena(), _fresh, 20)
        now = clock.now_ms()
        for _time in range(3):
            post(area_token("atex certificate"), row(slot_now(), active=900), activated=now)
        post(area_token("flyer", 1), row(slot_now(), active=900), activated=now)
    rebuild()
    page = text_of(browse(anna()).get("/reports/make-fix-retire?period=30d"))
    assert "“atex certificate” was looked for 3 times without result." in page
    assert "1 piece was not viewed in 90 days." in page
    assert "Read yesterday" in page
    found = rows(browse(anna()).get("/reports/stale.csv"))
    assert [(line["Content"], line["Days without a view"]) for line in found] == [
        ("Old flyer", "200")
    ]
    searched = rows(browse(anna()).get("/reports/searches.csv?period=30d"))
    assert [line["Looked for"] for line in searched] == ["atex certificate"]


def test_what_nobody_viewed_is_listed_after_two_weeks_and_the_rest_after_ninety_days(
    app: Flask, browse: Browse
) -> None:
    for title, age in (("Fresh", 13), ("Unseen", 14), ("Read long ago", 300), ("Read lately", 300)):
        with clock.at(days_ago(age)):
            make_asset(title)
    named = {asset.title: asset for asset in db.session.scalars(select(Asset))}
    for title, ago in (("Read long ago", 90), ("Read lately", 89)):
        with clock.at(days_ago(ago)):
            read(lena(), named[title], 3)
    rebuild()
    found = rows(browse(anna()).get("/reports/stale.csv"))
    assert [(line["Content"], line["Last viewed"] == "") for line in found] == [
        ("Unseen", True),
        ("Read long ago", False),
    ]
    page = text_of(browse(anna()).get("/reports/make-fix-retire"))
    assert "1 piece was not viewed in 90 days. 1 piece was never viewed." in page


def test_the_page_on_which_readers_leave_is_named(app: Flask, browse: Browse) -> None:
    deck, long = make_asset("Deck", pages=5), make_asset("Long read", pages=5)
    with clock.at(clock.now() - timedelta(days=1)):
        for asset, stays in ((deck, {1: 12, 2: 11, 3: 11, 4: 3}), (long, {1: 14, 2: 12, 3: 9})):
            for view in range(14):
                token = token_for(lena(), asset, subject=new_id())
                seen = [row(slot_now(), n, active=2_000) for n, v in stays.items() if view < v]
                assert post(token, *seen, activated=clock.now_ms()).status_code == 200
    rebuild()
    manager = browse(anna())
    shown = manager.get("/reports/make-fix-retire?period=30d")
    assert (
        "partners leave “Deck” on page 3 : 11 views read it, 3 read the page after it."
        in text_of(shown)
    )
    link = re.search(r'href="([^"]+)">\s*partners leave', shown.text)
    assert link
    assert "Where they look" in text_of(manager.get(link[1].replace("&amp;", "&")))
    with write() as session:
        session.get_one(Asset, deck.id).retired_at = clock.now()
    shown = manager.get("/reports/make-fix-retire?period=30d")
    assert "partners leave “Long read” on page 2 : 12 views read it, 9" in text_of(shown)


def test_a_search_for_a_customer_of_the_partner_is_counted_and_not_shown(
    app: Flask, browse: Browse
) -> None:
    shared_by_lena(browse, make_asset())
    register(browse, lena(), customer_name="Brandt & Söhne GmbH")
    sought = {
        "stadtwerke": 9, "stadtwerke datasheet": 4, "preise brandt soehne": 5, "rare": 2,
        "ATEX certificate": 14, "gmbh": 3,
    }  # fmt: skip
    with clock.at(clock.now() - timedelta(days=1)):
        for words, times in sought.items():
            for _time in range(times):
                token = area_token(words)
                post(token, row(slot_now(), active=900), activated=clock.now_ms())
        # For Mia it is no customer, but one search may be for one.
        post(search_of(mia(), "stadtwerke"), row(slot_now(), active=900), activated=clock.now_ms())
    rebuild()
    manager = browse(anna())
    found = rows(manager.get("/reports/searches.csv?period=30d"))
    assert [(line["Looked for"], line["Without result"]) for line in found] == [
        ("atex certificate", "14"),
        ("gmbh", "3"),
        ("Other searches", "21"),
    ]
    for path in ("/reports/make-fix-retire", "/reports/searches"):
        page = text_of(manager.get(f"{path}?period=30d"))
        assert "atex certificate" in page
        assert not re.search("stadtwerke|brandt", page, re.IGNORECASE)
    with clock.at(clock.now() - timedelta(days=1)):
        for _time in range(2):
            token = search_of(mia(), "stadtwerke")
            post(token, row(slot_now(), active=900), activated=clock.now_ms())
    rebuild()
    found = rows(manager.get("/reports/searches.csv?period=30d"))
    assert ("stadtwerke", "3", "1") in [tuple(line.values())[:3] for line in found]


def search_of(person: User, words: str) -> str:
    """A page of results of this person, without any."""
    keys = current_app.extensions["portal_keys"]
    viewer = events.area_viewer(keys, person, clock.local_day(clock.now(), BERLIN))
    return events.issue_area_token(keys, viewer, "library", words=words, results=0)


def test_time_in_the_portal_is_shown_by_area_of_all_and_of_one_partner(
    app: Flask, browse: Browse
) -> None:
    make_colleagues(kuehn())
    with clock.at(clock.now() - timedelta(days=1)):
        post(area_token(area="deals"), row(slot_now(), active=9_000), activated=clock.now_ms())
    rebuild()
    assert "Deals 1 9 s" in text_of(browse(anna()).get("/reports/areas?period=30d"))
    page = text_of(browse(anna()).get(f"/reports/partners/{kuehn().id}?period=30d"))
    assert "Deals 1 9 s" in page
    other = text_of(browse(anna()).get(f"/reports/partners/{brandt().id}?period=30d"))
    assert "No time in the portal in this period." in other


def test_only_partners_pages_carry_a_token_and_none_with_privacy_control(browse: Browse) -> None:
    assert "data-attention" in browse(lena()).get("/library").text
    assert "data-attention" not in browse(lena()).get("/account").text
    assert "data-attention" not in browse(anna()).get("/library").text
    quiet = browse(lena()).get("/library", headers={"Sec-GPC": "1"})
    assert "data-attention" not in quiet.text


# --- time to market -------------------------------------------------------------------------------


def test_time_to_market_is_when_half_of_the_addressed_partners_had_opened_it(app: Flask) -> None:
    published = datetime(2026, 3, 20, 23, 30, tzinfo=UTC)
    with clock.at(published):
        gold = make_asset("For gold", audience=(("tier", "Gold"),))
        silver, nobody = make_asset("For silver", audience=(("tier", "Silver"),)), make_asset("New")
    sellers = [make_user(partner=make_partner(tier="Gold")) for _n in range(5)]
    outsider = make_user(partner=make_partner(tier="Silver"))
    for seller, after in ((outsider, 0), (sellers[0], 9), (sellers[1], 2), (sellers[2], 30)):
        with clock.at(published + timedelta(days=after, hours=2)):
            read(seller, gold, 3)
    rebuild()
    found = spreads(db.session(), [gold, silver, nobody])
    # Published after midnight in Berlin: on the 21st.
    assert found[gold.id] == Spread(addressed=5, opened=3, days=30)
    assert found[silver.id] == Spread(addressed=1, opened=0, days=None)
    assert found[nobody.id] == Spread(addressed=6, opened=0, days=None)
    with clock.at(published + timedelta(days=31)):
        read(sellers[3], gold, 3)
    rebuild()
    assert spreads(db.session(), [gold])[gold.id] == Spread(addressed=5, opened=4, days=30)


def test_those_who_are_not_addressed_do_not_hasten_it(app: Flask) -> None:
    asset = make_asset(audience=(("tier", "Gold"),))
    gold, silver = make_partner(tier="Gold"), make_partner(tier="Silver")
    rules = library.audiences(db.session(), [asset.id])[asset.id]
    assert library.is_addressed(rules, gold)
    assert not library.is_addressed(rules, silver)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 400))
def test_a_partner_is_new_active_at_risk_or_inactive(now: int, before: int, days: int) -> None:
    state = state_of(now, before, days)
    assert (state == "new") == (days < 90)
    if days >= 90:
        assert (state == "inactive") == (now == 0)
        assert state != "at_risk" or now * 2 < before


# --- privacy --------------------------------------------------------------------------------------


def set_mode(mode: str, **by_country: str) -> None:
    """The privacy mode, before anything was read."""
    with write() as session:
        installation = session.get_one(Installation, 1)
        installation.privacy_mode, installation.privacy_by_country = mode, by_country


@pytest.mark.parametrize("mode", list(PrivacyMode))
def test_people_are_named_only_in_the_mode_that_says_so(
    app: Flask, browse: Browse, mode: PrivacyMode
) -> None:
    set_mode(mode)
    make_colleagues(kuehn())
    asset = make_asset()
    with clock.at(clock.now() - timedelta(days=1)):
        for person in (lena(), jonas()):
            token = token_of(person, asset)
            post(token, row(slot_now(), active=9_000), activated=clock.now_ms())
    rebuild()
    manager = browse(anna())
    path = f"/reports/partners/{kuehn().id}"
    page = text_of(manager.get(f"{path}?period=30d"))
    names = mode == PrivacyMode.person
    assert ("Lena Kühn" in page) == names
    assert manager.get(f"{path}/people?period=30d").status_code == (200 if names else 404)
    assert manager.get(f"{path}/people.csv?period=30d").status_code == (200 if names else 404)
    if mode == PrivacyMode.organisation:
        assert "is not counted in this privacy mode" in page
    else:
        assert "2 of 5 people with access read something." in page
    for report in ("/reports/content", "/reports/partners", f"/reports/content/{asset.id}", "/"):
        for suffix in ("", ".csv") if report.count("/") == 2 else ("",):
            assert "Lena Kühn" not in manager.get(f"{report}{suffix}?period=30d").text


def test_a_country_can_be_stricter_than_the_rest(app: Flask, browse: Browse) -> None:
    set_mode(PrivacyMode.person, DE=PrivacyMode.organisation)
    assert kuehn().country == "DE"
    path = f"/reports/partners/{kuehn().id}/people"
    assert browse(anna()).get(path).status_code == 404


def test_everyone_sees_what_is_recorded_about_them_and_can_take_it_along(
    app: Flask, browse: Browse
) -> None:
    asset = make_asset()
    browser = browse(lena())
    version = version_of(asset)
    for person in (lena(), mia()):
        with clock.at(clock.now() - timedelta(minutes=5)):
            token = token_of(person, asset)
            post(token, row(slot_now(), 3, active=9_000), activated=clock.now_ms())
    browser.get(f"/library/files/{version.id}")
    for liked in ("1", "0"):
        browser.post(f"/library/{asset.id}/like", data={"liked": liked})
    page = text_of(browser.get("/account/recorded"))
    assert "Your reading is kept under a pseudonym. Nordwerk sees what your organisation" in page
    assert "Read Case study: waterworks 9 s, page 3" in page
    assert "Downloaded Case study: waterworks" in page
    taken = browser.get("/account/recorded.json").json
    assert taken is not None
    assert taken["account"]["email"] == "lena@kuehn.example"
    by_kind = {record["kind"]: record for record in taken["records"]}
    assert sorted(by_kind) == ["download", "like", "reading", "session"]
    read, liked_until = by_kind["reading"], by_kind["like"]["until"]
    assert (read["dwell_ms"], read["idle_ms"], read["pages"]) == (9_000, 0, [3])
    assert "detail" not in read
    assert liked_until >= by_kind["like"]["at"]
    assert by_kind["download"]["until"] >= by_kind["download"]["at"]
    table = {line["kind"]: line for line in rows(browser.get("/account/recorded.csv"))}
    assert len(table) == 4
    assert (table["reading"]["dwell_ms"], table["reading"]["pages"]) == ("9000", "3")
    assert table["like"]["until"] == liked_until


def test_erasing_takes_the_person_out_and_leaves_the_numbers(app: Flask, browse: Browse) -> None:
    asset = make_asset()
    make_colleagues(kuehn())
    with clock.at(clock.now() - timedelta(minutes=5)):
        token = token_of(lena(), asset)
        post(token, row(slot_now(), 3, active=9_000), activated=clock.now_ms())
    rebuild()
    browser = browse(lena())
    assert browser.post("/account/recorded/erase").status_code == 409
    answer = browser.post("/account/recorded/erase", data={"sure": "1"}, follow_redirects=True)
    assert "1 records are no longer tied to you." in text_of(answer)
    assert "Case study: waterworks" not in text_of(answer)
    # A page that was open before cannot bring it back; a new one is kept under another name.
    assert post(token, row(slot_now(), 4, active=2_000)).status_code == 400
    fresh = token_of(db.session.get_one(User, lena().id), asset)
    again = post(fresh, row(slot_now(), 4, active=2_000), activated=clock.now_ms())
    assert again.status_code == 200
    rebuild()
    page = text_of(browse(anna()).get(f"/reports/partners/{kuehn().id}?period=30d"))
    assert "Dwell time 11 s" in page


def test_a_person_who_is_erased_is_a_former_user(app: Flask, browse: Browse) -> None:
    person = lena()
    assert browse(ada()).post(f"/people/{person.id}/erase").status_code == 409
    browse(ada()).post(f"/people/{person.id}/deactivate")
    assert browse(anna()).post(f"/people/{person.id}/erase").status_code == 404
    browse(ada()).post(f"/people/{person.id}/erase")
    erased = db.session.get_one(User, person.id)
    db.session.refresh(erased)
    assert erased.name == "Former user of Kühn Technik"
    assert "lena" not in erased.email
    assert (erased.phone, erased.password_hash) == (None, None)
    assert "Lena" not in text_of(browse(ada()).get("/people"))


def test_whatever_the_mode_was_a_persons_reading_is_found_and_erased(
    app: Flask, browse: Browse
) -> None:
    with clock.at(clock.now() - timedelta(minutes=5)) as forward:
        for mode in PrivacyMode:
            set_mode(mode)
            token = token_of(lena(), make_asset(f"In mode {mode}"))
            post(token, row(slot_now(), active=9_000), activated=clock.now_ms())
            forward(timedelta(minutes=1))
    browser = browse(lena())
    page = text_of(browser.get("/account/recorded"))
    assert all(f"In mode {mode}" in page for mode in PrivacyMode)
    answer = browser.post("/account/recorded/erase", data={"sure": "1"}, follow_redirects=True)
    assert "3 records are no longer tied to you." in text_of(answer)


def shared_by_lena(browse: Browse, asset: Asset) -> tuple[str, str]:
    """A link that Lena made: her own page of it, and the secret part of its address."""
    data = {"recipient": "Stadtwerke", "days": "90", "allow_download": "y"}
    mine = browse(lena()).post(f"/library/{asset.id}/share", data=data).location
    address = re.search(r"/s/([\w-]+)", browse(lena()).get(mine).text)
    assert address
    return mine, address[1]


def test_a_customer_sees_what_is_recorded_and_can_stop_it(app: Flask, browse: Browse) -> None:
    asset = make_asset()
    mine, slug = shared_by_lena(browse, asset)
    stranger = browse(None)
    token = re.search(r'data-attention="([^"]+)"', stranger.get(f"/s/{slug}").text)
    assert token
    sent = post(token[1], row(slot_now(), 2, active=9_000), activated=clock.now_ms())
    assert sent.status_code == 200
    page = text_of(stranger.get(f"/s/{slug}/recorded"))
    assert "Read Case study: waterworks 9 s, page 2" in page
    assert "9 s" in text_of(browse(lena()).get(mine))
    stranger.post(f"/s/{slug}/recorded/erase")
    assert "This link is not measured any more." in text_of(stranger.get(f"/s/{slug}/recorded"))
    assert "data-attention" not in stranger.get(f"/s/{slug}").text
    assert stranger.post(f"/s/{slug}/{asset.id}/download").data == b"%PDF-1.7 test"
    assert db.session.query(Download).count() == 0
    assert post(token[1], row(slot_now(), 2, active=9_500)).status_code == 400
    assert "Nobody has opened it yet" in text_of(browse(lena()).get(mine))


def test_a_customer_can_take_it_along_and_erase_it_when_the_link_has_ended(
    app: Flask, browse: Browse
) -> None:
    asset = make_asset()
    mine, slug = shared_by_lena(browse, asset)
    for agent, number in (("Laptop", 2), ("Phone", 4)):
        shown = browse(None).get(f"/s/{slug}", headers={"User-Agent": agent}).text
        token = re.search(r'data-attention="([^"]+)"', shown)
        assert token
        spent = row(slot_now(), number, active=4_000, idle=2_000, glance=1_000)
        body = {
            "t": token[1],
            "s": [spent],
            "a": clock.now_ms(),
            "v": {"b": "Aw==", "p": 99, "d": 9},
        }
        assert post_body(msgspec.json.encode(body)).status_code == 200
    phone = {"User-Agent": "Phone"}
    browse(None).post(f"/s/{slug}/{asset.id}/download", headers=phone, follow_redirects=True)
    browse(lena()).post(f"{mine}/revoke")
    stranger = browse(None)
    assert stranger.get(f"/s/{slug}").status_code == 410
    page = text_of(stranger.get(f"/s/{slug}/recorded"))
    assert "about everyone who opened this link" in page
    assert "3 records" in page
    assert "Back to the document" not in page
    taken = stranger.get(f"/s/{slug}/recorded.json").json
    assert taken is not None
    found = [(one["kind"], one["device"], one.get("pages")) for one in taken["records"]]
    assert sorted(found, key=str) == [
        ("download", 2, None), ("reading", 1, [2]), ("reading", 2, [4]),
    ]  # fmt: skip
    read = next(one for one in taken["records"] if one["kind"] == "reading")
    figures = ("dwell_ms", "idle_ms", "glance_ms", "seconds_seen")
    assert [read[name] for name in figures] == [4_000, 2_000, 1_000, 2]
    table = rows(stranger.get(f"/s/{slug}/recorded.csv"))
    assert sorted(line["device"] for line in table) == ["1", "2", "2"]
    stranger.post(f"/s/{slug}/recorded/erase")
    assert stranger.get(f"/s/{slug}/recorded.json").json == {"records": []}
    assert stranger.get(f"/s/{slug}x/recorded.json").status_code == 404


def test_whoever_reads_without_being_measured_downloads_without_it_too(
    app: Flask, browse: Browse
) -> None:
    asset = make_asset()
    _mine, slug = shared_by_lena(browse, asset)
    stranger, path = browse(None), f"/s/{slug}/{asset.id}/download"
    assert f"{path}?measure=0" in stranger.get(f"/s/{slug}?measure=0").text
    assert stranger.post(f"{path}?measure=0").data == b"%PDF-1.7 test"
    assert stranger.post(path, headers={"Sec-GPC": "1"}).data == b"%PDF-1.7 test"
    assert db.session.query(Download).count() == 0
    assert stranger.post(path).status_code == 303
    assert db.session.query(Download).count() == 1


def test_a_second_device_of_a_link_is_said_to_be_another(app: Flask, browse: Browse) -> None:
    asset = make_asset()
    mine, slug = shared_by_lena(browse, asset)
    with clock.at(clock.now()) as forward:
        for agent, is_other in (("Laptop", False), ("Phone", True)):
            shown = browse(None).get(f"/s/{slug}", headers={"User-Agent": agent}).text
            token = re.search(r'data-attention="([^"]+)"', shown)
            assert token
            post(token[1], row(slot_now(), active=900), activated=clock.now_ms())
            assert ("other device" in text_of(browse(lena()).get(mine))) == is_other
            forward(timedelta(minutes=5))


# --- HTML pages and recordings --------------------------------------------------------------------


def test_an_html_page_is_cleaned_and_cut_at_its_headings() -> None:
    page = b"<p>Hello</p><h1 onclick='x()'>One</h1><script>alert(1)</script><p>a</p><h2>Two</h2>b"
    found = html.sections(page + b"<img src=x onerror=alert(1)><a href='javascript:x'>c</a>")
    assert [str(part)[:12] for part in found] == ["<p>Hello</p>", "<h2>One</h2>", "<h3>Two</h3>"]
    text = "".join(map(str, found))
    assert "alert" not in text
    assert "javascript" not in text
    assert "onclick" not in text


def test_an_uploaded_html_page_is_shown_by_section(app: Flask, browse: Browse) -> None:
    asset = make_asset("Guide", content_type="page")
    upload: dict[str, Any] = {
        "language": "en",
        "file": (io.BytesIO(b"<h1>One</h1><p>a</p><h2>Two</h2><p>b</p>"), "guide.html"),
    }
    answer = browse(ada()).post(
        f"/library/{asset.id}/files", data=upload, content_type="multipart/form-data"
    )
    assert answer.status_code == 302
    shown = browse(lena()).get(f"/library/{asset.id}").text
    assert shown.count("<section data-page=") == 2
    db.session.expire_all()
    assert version_of(asset).page_count == 2


def test_a_recording_is_played_in_parts_and_is_no_download(app: Flask, browse: Browse) -> None:
    asset = make_asset("Training", content_type="video", pages=0)
    with write() as session:
        version = session.merge(version_of(asset))
        version.media_type, version.preview_state = "video/mp4", "none"
    browser = browse(lena())
    assert "<video controls" in browser.get(f"/library/{asset.id}").text
    part = browser.get(f"/library/recordings/{version.id}", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, b"%PDF")
    assert "attachment" not in part.headers.get("Content-Disposition", "")
    assert rows(browse(anna()).get("/reports/content.csv?period=30d")) == []


def test_the_page_of_a_recording_says_how_it_was_played_and_since_when_that_is_known(
    app: Flask, browse: Browse
) -> None:
    asset = make_asset("Training", content_type="video", languages=("en", "de"))
    with write() as session:
        for language in ("en", "de"):
            session.merge(version_of(asset, language)).media_type = "video/mp4"
    at = clock.now().replace(hour=11) - timedelta(days=2)
    for language, seconds, days in (("en", 10, 0), ("de", 5, 0), ("en", 10, -40)):
        with clock.at(at + timedelta(days=days)) as forward:
            token = play_of(lena(), asset, language)
            forward(timedelta(seconds=40))
            played = bits(*range(seconds))
            body = {"t": token, "s": [], "v": {"b": played, "p": 12_000, "d": 10}}
            assert post_body(msgspec.json.encode(body)).status_code == 200
    path = f"/reports/content/{asset.id}?period=30d"
    page = text_of(browse(anna()).get(path))
    assert "Played in 2 loads, 1 of them nearly to the end: on average 8 s of it (75 %)" in page
    assert "it ran for 24 s in all." in page
    assert "known since" not in page
    sealed = clock.local_day(clock.now(), BERLIN) - timedelta(days=20)
    with write() as session:
        state = {"generation": 1, "took_ms": 1, "across": "", "sealed_at": clock.now()}
        session.add(DayState(day=sealed, **state))
    since = formatting.day(sealed + timedelta(days=1))
    assert f"How recordings were played is known since {since}." in text_of(
        browse(anna()).get(path)
    )


def play_of(person: User, asset: Asset, language: str) -> str:
    """A page load of a recording in one language."""
    version = version_of(asset, language)
    viewer = events.Viewer(person.id, person.partner_id, "partner")
    keys = current_app.extensions["portal_keys"]
    return events.issue_token(keys, viewer, asset_id=asset.id, version_id=version.id, page_count=1)


def test_opens_of_days_long_past_are_still_there_when_folded(app: Flask, browse: Browse) -> None:
    asset = make_asset()
    at = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
    with clock.at(at):
        read(lena(), asset, 40)
        rebuild()
    retention.fold(db.engine, date(2026, 3, 10), BERLIN)
    found = rows(browse(anna()).get("/reports/content.csv?from=2026-03-01&to=2026-03-31"))
    assert found[0]["Dwell time (s)"] == "40.000"
