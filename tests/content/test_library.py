"""The library: who sees what, finding it, and how administrators change it."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select

from portal import clock
from portal.content import previews
from portal.content.models import Asset, AssetVersion, PreviewState
from portal.content.storage import preview_key, storage, sweep_orphans
from portal.db import db, write
from tests.conftest import Browse
from tests.factories import make_asset, make_family, make_pdf, make_user, version_of
from tests.pages import text_of
from tests.people import ada, anna, kuehn, lena, mia
from tracking.models import Download, Load


def test_a_search_finds_words_of_title_and_summary_without_accents_or_case(browse: Browse) -> None:
    make_asset("Wartung und Kosten", summary="Für Kläranlagen.")
    make_asset("Pumps", summary="Nothing else.")
    page = text_of(browse(lena()).get("/library?q=KLARANLAGEN kosten"))
    assert "Wartung und Kosten" in page
    assert "Nothing else." not in page


def test_filters_leave_what_fits(browse: Browse) -> None:
    pumps = make_family("Pumps")
    make_asset("German pump sheet", languages=("de",), families=(pumps,), content_type="datasheet")
    make_asset("English case", languages=("en",))
    browser = browse(lena())
    for query in ("type=datasheet", f"family={pumps.id}", "language=de"):
        page = text_of(browser.get(f"/library?{query}"))
        assert "German pump sheet" in page, query
        assert "English case" not in page, query


def test_nonsense_in_filters_finds_nothing_and_breaks_nothing(browse: Browse) -> None:
    make_asset()
    for query in ("type=x", "family=x", "language=xx", "q=" + "x" * 500):
        assert browse(lena()).get(f"/library?{query}").status_code == 200


def test_an_audience_needs_one_rule_of_every_kind(browse: Browse) -> None:
    make_asset("Only for them", audience=(("tier", "Gold"), ("region", "DACH")))
    make_asset("Not for them", audience=(("tier", "Gold"), ("region", "Nordics")))
    hidden = db.session.scalars(select(Asset).where(Asset.title == "Not for them")).one()
    page = text_of(browse(lena()).get("/library"))
    assert "Only for them" in page
    assert "Not for them" not in page
    for path in (f"/library/{hidden.id}", f"/library/{hidden.id}/share"):
        answer = browse(lena()).get(path)
        assert answer.status_code == 404
        assert "Not for them" not in text_of(answer)
    version = version_of(hidden)
    assert browse(lena()).get(f"/library/files/{version.id}").status_code == 404
    assert browse(lena()).get(f"/library/pages/{version.id}/1.webp").status_code == 404


def test_drafts_and_retired_content_are_for_administrators(browse: Browse) -> None:
    draft = make_asset("A draft", published=False)
    for person in (lena(), anna()):
        assert "A draft" not in text_of(browse(person).get("/library"))
        assert browse(person).get(f"/library/{draft.id}").status_code == 404
    assert "A draft" in text_of(browse(ada()).get("/library"))


def test_the_readers_language_is_shown_first_and_others_can_be_chosen(browse: Browse) -> None:
    asset = make_asset(languages=("de", "en"))
    browser = browse(lena())
    assert str(version_of(asset, "de").id) in browser.get(f"/library/{asset.id}").text
    english = browser.get(f"/library/{asset.id}?language=en").text
    assert str(version_of(asset, "en").id) in english


def test_reading_pages_counts_nothing_by_itself(browse: Browse) -> None:
    asset = make_asset()
    browser = browse(lena())
    for method in (browser.get, browser.head):
        assert method(f"/library/{asset.id}").status_code == 200
        assert method(f"/library/pages/{version_of(asset).id}/1.webp").status_code == 200
    assert db.session.query(Load).count() == 0


def test_browsers_are_told_not_to_keep_a_page_that_measures(browse: Browse) -> None:
    page = browse(lena()).get(f"/library/{make_asset().id}")
    assert "data-attention" in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_a_download_is_one_grant_and_looking_at_its_head_is_none(browse: Browse) -> None:
    version = version_of(make_asset())
    browser = browse(lena())
    assert browser.head(f"/library/files/{version.id}").status_code == 200
    browser.get(f"/library/files/{version.id}", headers={"Sec-Purpose": "prefetch"})
    assert db.session.query(Download).count() == 0
    answer = browser.get(f"/library/files/{version.id}")
    assert answer.data == b"%PDF-1.7 test"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    granted = db.session.scalars(select(Download)).one()
    assert granted.partner_id == kuehn().id
    # Pseudonymous is the usual mode: the row does not name the person.
    assert granted.subject != lena().id


def test_liking_twice_is_one_like_and_can_be_taken_back(browse: Browse) -> None:
    asset = make_asset()
    browser = browse(lena())
    for _time in range(2):
        browser.post(f"/library/{asset.id}/like", data={"liked": "1"})
    assert "Liked" in text_of(browser.get(f"/library/{asset.id}"))
    browser.post(f"/library/{asset.id}/like", data={"liked": "0"})
    assert "Liked" not in text_of(browser.get(f"/library/{asset.id}"))


def upload(browse: Browse, data: bytes, name: str) -> tuple[Asset, str]:
    """An administrator makes content and adds a file; returns it and what the page said."""
    browser = browse(ada())
    made = browser.post(
        "/library/new", data={"title": "Deck", "content_type": "presentation", "summary": ""}
    )
    path = made.location.removesuffix("/edit")
    page = browser.post(
        f"{path}/files",
        data={"language": "en", "file": (io.BytesIO(data), name)},
        content_type="multipart/form-data",
        follow_redirects=True,
    )
    return db.session.scalars(select(Asset)).one(), text_of(page)


def test_an_uploaded_pdf_is_rendered_published_replaced_and_retired(
    app: Flask, browse: Browse
) -> None:
    make_family("Pumps")
    asset, said = upload(browse, make_pdf(6), "deck.pdf")
    assert "Page images follow in a moment" in said
    assert "in a moment" in text_of(browse(ada()).get(f"/library/{asset.id}/edit"))
    db.session.rollback()
    assert previews.render_waiting() == 1
    assert previews.render_waiting() == 0
    version = version_of(asset)
    assert (version.page_count, version.preview_state) == (6, PreviewState.ready)
    browser = browse(ada())
    browser.post(f"/library/{asset.id}/publish")
    page = browse(lena()).get(f"/library/{asset.id}")
    assert "Page 1 of 6" in text_of(page)
    image = browse(lena()).get(f"/library/pages/{version.id}/6.webp")
    assert image.data[:4] == b"RIFF"
    assert browse(lena()).get(f"/library/pages/{version.id}/7.webp").status_code == 404
    browser.post(
        f"/library/{asset.id}/files",
        data={"language": "en", "file": (io.BytesIO(make_pdf(2)), "deck 2.pdf")},
        content_type="multipart/form-data",
    )
    assert version_of(asset).number == 2
    browser.post(f"/library/{asset.id}/retire")
    assert browse(lena()).get(f"/library/{asset.id}").status_code == 404


def test_many_files_are_drawn_at_once_quickly_and_one_that_is_broken_says_so(app: Flask) -> None:
    store = storage()
    keys = [store.save(io.BytesIO(make_pdf(pages)), ".pdf")[0] for pages in (2, 3)]
    assert previews.render(store, keys, previews.QUICK) == 5
    for key, page in ((keys[0], 2), (keys[1], 3)):
        with Image.open(io.BytesIO(store.read(preview_key(key, page)))) as image:
            assert (image.width, image.mode) == (previews.QUICK.width, "RGB")
    assert not store.exists(preview_key(keys[0], 3))
    broken = store.save(io.BytesIO(b"%PDF-1.7 and then nothing"), ".pdf")[0]
    with pytest.raises(previews.PreviewError):
        previews.render(store, [keys[0], broken])


def test_a_broken_pdf_fails_alone_and_says_why(app: Flask, browse: Browse) -> None:
    asset, _said = upload(browse, b"%PDF-1.7 and then nothing", "broken.pdf")
    db.session.rollback()
    assert previews.render_waiting() == 0
    assert version_of(asset).preview_state == PreviewState.failed
    assert "failed" in text_of(browse(ada()).get(f"/library/{asset.id}/edit"))


def test_files_that_are_not_what_they_say_are_refused(browse: Browse) -> None:
    for data, name, sentence in (
        (b"MZ", "virus.exe", "Files of this kind are not accepted"),
        (b"hello", "letter.pdf", "is not a PDF"),
        (b"", "empty.txt", "This file is empty"),
    ):
        db.session.rollback()
        with write() as session:
            for asset in session.scalars(select(Asset)):
                session.delete(asset)
        assert sentence in upload(browse, data, name)[1]


def test_other_files_have_a_page_that_offers_the_download(browse: Browse) -> None:
    asset, _said = upload(browse, b"PK zip", "parts.zip")
    browse(ada()).post(f"/library/{asset.id}/publish")
    assert "opens in its own program" in text_of(browse(lena()).get(f"/library/{asset.id}"))


def test_a_file_nobody_knows_is_swept_after_a_day(app: Flask) -> None:
    key = version_of(make_asset()).file_key
    orphan = storage().save(io.BytesIO(b"x"), ".txt")[0]
    assert sweep_orphans(clock.now()) >= 0
    assert storage().exists(orphan)
    with clock.at(clock.now() + timedelta(hours=25)):
        assert sweep_orphans(clock.now()) >= 1
    assert not storage().exists(orphan)
    assert storage().exists(key)


def test_only_administrators_change_the_library(browse: Browse) -> None:
    asset = make_asset()
    for person in (lena(), mia(), anna(), make_user()):
        browser = browse(person)
        assert browser.get("/library/new").status_code == 404
        for action in ("publish", "retire", "files", "edit"):
            assert browser.post(f"/library/{asset.id}/{action}").status_code == 404
    assert db.session.scalars(select(AssetVersion)).one().number == 1
