"""The page of one asset: earlier files, links, downloads, and what is not there any more."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
from flask import Flask

from portal import clock
from portal.content import service
from portal.content.models import Asset
from portal.db import db, write
from tests.conftest import Browse
from tests.factories import make_asset, replace_file, version_of
from tests.pages import text_of
from tests.people import anna, lena, mia
from tests.reports.test_content_reports import shared_by_lena
from tests.reports.test_reports import rows
from tests.tracking.reports import post, post_body, row, slot_now, token_for
from tests.tracking.test_hardening import bits
from tests.tracking.test_rollups import rebuild

QUERY = "?period=30d"


def pages_read(asset: Asset, pages: int) -> None:
    """Lena reads so many pages, 3 s each."""
    lines = [row(slot_now() + page // 5, page, active=3_000) for page in range(1, pages + 1)]
    answer = post(token_for(lena(), asset), *lines, activated=clock.now_ms())
    assert answer.status_code == 200


def test_a_replaced_file_is_still_shown_as_it_was_read(app: Flask, browse: Browse) -> None:
    asset = make_asset(pages=8)
    old = version_of(asset)
    with clock.at(clock.now() - timedelta(days=2)) as forward:
        pages_read(asset, 7)
        new = replace_file(asset, pages=2)
        forward(timedelta(hours=1))
        pages_read(db.session.get_one(Asset, asset.id), 1)
    rebuild()
    browser, path = browse(anna()), f"/reports/content/{asset.id}"
    page = browser.get(f"{path}{QUERY}")
    # The file that was read most comes first, whichever is current.
    assert len(re.findall(r"<meter ", page.text)) == 8
    assert "en, version 1" in text_of(page)
    # Pages of two files are never said to be of one of them.
    assert "A view reads 4.0 pages (2 s and more on each); its versions have 2 to 8." in text_of(
        page
    )
    current = browser.get(f"{path}{QUERY}&version={new.id}")
    assert len(re.findall(r"<meter ", current.text)) == 2
    file = rows(browser.get(f"{path}/pages.csv{QUERY}&version={old.id}"))
    assert [line["Dwell time of partners (s)"] for line in file] == ["3.000"] * 7 + ["0.000"]
    assert {line["Version"] for line in file} == {"en, version 1"}
    assert re.search(rf"pages\.csv\?period=30d&amp;version={old.id}", page.text)


def test_what_is_retired_or_replaced_can_be_seen_by_the_vendor_only(
    app: Flask, browse: Browse
) -> None:
    asset, draft = make_asset(), make_asset("A draft", published=False)
    version, hidden = version_of(asset), version_of(draft)
    with write() as session:
        service.retire(session, session.get_one(Asset, asset.id), clock.now())
    image = f"/library/pages/{version.id}/1.webp"
    assert browse(anna()).get(image).status_code == 200
    assert browse(lena()).get(image).status_code == 404
    assert browse(anna()).get(f"/library/pages/{hidden.id}/1.webp").status_code == 404
    page = browse(anna()).get(f"/reports/content/{asset.id}{QUERY}")
    assert "not in the library any more" in text_of(page)
    assert f"/library/{asset.id}" not in page.text


def test_links_made_and_opened_are_counted_as_links(app: Flask, browse: Browse) -> None:
    asset = make_asset()
    slugs = [shared_by_lena(browse, asset)[1] for _n in range(3)]
    with clock.at(clock.now()) as forward:
        for _time in range(4):
            token = re.search(r'data-attention="([^"]+)"', browse(None).get(f"/s/{slugs[0]}").text)
            assert token
            post(token[1], row(slot_now(), active=900), activated=clock.now_ms())
            forward(timedelta(minutes=5))
        browse(None).post(f"/s/{slugs[1]}/{asset.id}/download")
        rebuild()
        page = text_of(browse(anna()).get(f"/reports/content/{asset.id}{QUERY}"))
        # Four opens of one link are one link that was opened; a program's GET opens none.
        assert (
            "Opened by customers 4 1 of 3 links made were opened; read for 4 s; 1 download" in page
        )
        other = text_of(browse(anna()).get(f"/reports/content/{make_asset('Another').id}{QUERY}"))
        assert "0 of 0 links made were opened" in other


def test_a_recording_is_counted_in_the_period_that_is_shown(app: Flask, browse: Browse) -> None:
    asset = make_asset("Training", content_type="video", pages=0)
    with write() as session:
        version = session.merge(version_of(asset))
        version.media_type, version.preview_state = "video/mp4", "none"
    day = clock.now() - timedelta(days=20)
    with clock.at(day) as forward:
        token = token_for(mia(), asset)
        forward(timedelta(seconds=20))
        body = {"t": token, "s": [], "v": {"b": bits(0, 1, 2), "p": 3000, "d": 10}}
        assert post_body(msgspec.json.encode(body)).status_code == 200
    path = f"/reports/content/{asset.id}"
    assert "Played in 1 loads" in text_of(browse(anna()).get(f"{path}{QUERY}"))
    until = (day - timedelta(days=1)).date()
    gone = browse(anna()).get(f"{path}?from={until - timedelta(days=9)}&to={until}")
    assert "Played in" not in text_of(gone)
