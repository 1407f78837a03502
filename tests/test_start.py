"""The first things anyone notices."""

from __future__ import annotations

from flask import Flask

from tests.conftest import Browse
from tests.factories import make_asset
from tests.pages import text_of
from tests.people import ada, anna, jonas, lena


def test_a_stranger_is_sent_to_the_sign_in_page(browse: Browse) -> None:
    answer = browse(None).get("/deals")
    assert answer.status_code == 302
    assert answer.location == "/sign-in?next=/deals"


def test_everybody_finds_their_pages(app: Flask, browse: Browse) -> None:
    make_asset()
    for person, paths in {
        lena: ["/", "/library", "/deals", "/deals/new", "/shares", "/account"],
        jonas: ["/people"],
        anna: [
            "/",
            "/library",
            "/deals",
            "/surveys",
            "/surveys/new",
            "/people",
            "/reports/content",
        ],
        ada: ["/jobs", "/library/new", "/reports/partners.csv", "/reports/vega.js"],
    }.items():
        browser = browse(person())
        for path in paths:
            assert browser.get(path).status_code == 200, path


def test_health_is_told_without_signing_in(browse: Browse) -> None:
    assert browse(None).get("/healthz").json == {"status": "ok"}
    assert browse(None).get("/readyz").status_code == 200


def test_an_unknown_page_says_so_in_the_portals_own_words(browse: Browse) -> None:
    answer = browse(lena()).get("/nothing-here")
    assert answer.status_code == 404
    assert "There is no such page" in text_of(answer)
