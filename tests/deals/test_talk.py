"""Comments for both sides, notes for the vendor alone, files for both."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, jobs
from portal.accounts.models import User
from portal.content.storage import storage
from portal.db import db, new_id
from portal.deals import files
from portal.deals.models import DealFile
from tests.conftest import Browse
from tests.deals.test_deals import register
from tests.mailbox import deliver, deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia, otto


def test_a_comment_is_read_by_both_sides_and_the_other_hears_of_it(
    app: Flask, browse: Browse
) -> None:
    anna()
    key = register(browse, lena())
    with mailbox(app) as box:
        deliver()
        box.letters.clear()
        for _press in range(2):
            browse(anna()).post(f"/deals/{key}/comments", data={"text": "Who decides <there>?"})
        deliver()
        assert [letter["To"] for letter in box.letters] == [lena().email]
        assert box.letters[0]["Subject"] == "Anna Keller wrote about Brandt & Söhne"
        assert "Who decides <there>?" in mail_text(box.letters[0])
        browse(jonas()).post(f"/deals/{key}/comments", data={"text": "Frau Brandt does."})
        # The vendor hears of it once a day.
        deliver()
        assert len(box.letters) == 1
        deliver_daily(1)
        assert "Jonas Weber of Kühn Technik wrote about" in mail_text(box.to(anna().email)[-1])
        assert "“Frau Brandt does.”" in mail_text(box.to(anna().email)[-1])
    for person in (lena(), otto()):
        page = text_of(browse(person).get(f"/deals/{key}"))
        assert "Anna Keller wrote" in page
        assert page.index("Frau Brandt does.") < page.index("Who decides <there>?")
    for text in ("", "   "):
        empty = browse(lena()).post(f"/deals/{key}/comments", data={"text": text})
        assert empty.status_code == 409
    assert browse(mia()).post(f"/deals/{key}/comments", data={"text": "x"}).status_code == 404


def test_a_comment_that_was_answered_is_in_no_mail_any_more(app: Flask, browse: Browse) -> None:
    anna()
    key = register(browse, lena())
    with mailbox(app) as box:
        deliver_daily(1)
        box.letters.clear()
        browse(lena()).post(f"/deals/{key}/comments", data={"text": "Any news?"})
        browse(otto()).post(f"/deals/{key}/comments", data={"text": "On Friday."})
        deliver_daily(2)
    assert not any("Any news?" in mail_text(letter) for letter in box.to(anna().email))


def test_people_find_what_they_wrote_and_attached_among_what_is_recorded(browse: Browse) -> None:
    key = register(browse, lena())
    browse(lena()).post(f"/deals/{key}/comments", data={"text": "Frau Brandt decides."})
    attach(browse, lena(), key, "offer.pdf", b"%PDF-1.7")
    page = text_of(browse(lena()).get("/account/recorded"))
    assert "Frau Brandt decides." in page
    assert "offer.pdf" in page
    assert "Moved a deal on Brandt & Söhne submitted the registration" in page
    others = text_of(browse(jonas()).get("/account/recorded"))
    assert "Frau Brandt decides." not in others
    assert "submitted the registration" not in others
    browse(otto()).post(f"/deals/{key}/notes", data={"text": "Their rival asked first."})
    browse(otto()).post(f"/deals/{key}/move/take_in_review")
    theirs = text_of(browse(otto()).get("/account/recorded"))
    assert "Noted about a deal Brandt & Söhne Their rival asked first." in theirs
    assert "rival" not in text_of(browse(lena()).get("/account/recorded"))


def test_nobody_is_written_to_about_a_draft(browse: Browse) -> None:
    key = new_id()
    draft = {"customer_name": "Later", "currency": "EUR"}
    browse(lena()).post(f"/deals/{key}/draft", data=draft)
    answer = browse(lena()).post(f"/deals/{key}/comments", data={"text": "Hello"})
    assert answer.status_code == 409
    assert "This was not submitted" in text_of(answer)


def test_internal_notes_reach_no_page_of_a_partner(browse: Browse) -> None:
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/notes", data={"text": "Rival Brandt Pumpen is there"})
    browse(anna()).post(f"/deals/{key}/comments", data={"text": "We are looking at it."})
    assert "Rival Brandt Pumpen" in browse(otto()).get(f"/deals/{key}").text
    for path in ("/", "/deals", "/deals.csv", f"/deals/{key}", "/account/recorded"):
        for person in (lena(), jonas()):
            assert "Rival Brandt Pumpen" not in browse(person).get(path).text, path


def attach(browse: Browse, person: User, key: uuid.UUID, name: str, data: bytes) -> Any:
    """`person` attaches a file to a deal; the page that they see next."""
    upload = {"file": (io.BytesIO(data), name)}
    return browse(person).post(f"/deals/{key}/files", data=upload, follow_redirects=True)


def attached(name: str) -> DealFile:
    """The file of this name as it is known now."""
    db.session.rollback()
    return db.session.scalars(select(DealFile).where(DealFile.filename == name)).one()


def test_a_file_is_fetched_by_both_sides_as_a_download_only(browse: Browse) -> None:
    key = register(browse, lena())
    assert "Attached." in text_of(attach(browse, lena(), key, "Anfrage Größe.pdf", b"%PDF-1.7 x"))
    path = f"/deals/{key}/files/{attached('Anfrage Größe.pdf').id}"
    for person in (jonas(), anna()):
        assert "Anfrage Größe.pdf" in text_of(browse(person).get(f"/deals/{key}"))
        answer = browse(person).get(path)
        assert answer.data == b"%PDF-1.7 x"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert browse(mia()).get(path).status_code == 404
    # A file of one deal is not to be had by the address of another.
    other = register(browse, mia())
    assert browse(mia()).get(path.replace(str(key), str(other))).status_code == 404


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("page.html", b"<script>", "Files of this kind are not accepted"),
        ("noname", b"x", "Files of this kind are not accepted"),
        ("empty.pdf", b"", "This file is empty"),
        ("large.txt", b"x" * 1025, "This file is larger than"),
        ("", b"", "Choose a file first"),
    ],
)
def test_a_file_that_cannot_be_kept_is_refused_in_a_sentence(
    browse: Browse, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, sentence: str
) -> None:
    monkeypatch.setattr(files, "LARGEST_BYTES", 1024)
    key = register(browse, lena())
    assert sentence in text_of(attach(browse, lena(), key, name, data))
    assert db.session.scalars(select(DealFile)).all() == []


def test_a_deal_holds_so_many_files(browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST", 1)
    key = register(browse, lena())
    attach(browse, lena(), key, "one.txt", b"1")
    assert "has 1 files already" in text_of(attach(browse, anna(), key, "two.txt", b"2"))


def test_a_file_is_taken_away_by_its_own_side_and_swept_when_nobody_has_it(
    browse: Browse,
) -> None:
    key = register(browse, lena())
    for name in ("kept.txt", "gone.txt"):
        attach(browse, lena(), key, name, name.encode())
    gone, kept = attached("gone.txt"), attached("kept.txt")
    path = f"/deals/{key}/files/{gone.id}"
    assert browse(anna()).post(f"{path}/remove").status_code == 409
    assert browse(mia()).post(f"{path}/remove").status_code == 404
    assert browse(jonas()).post(f"{path}/remove").status_code == 302
    assert browse(lena()).get(path).status_code == 404
    with clock.at(clock.now() + timedelta(days=2)):
        jobs.run_now("sweep_files")
    assert storage().exists(kept.file_key)
    assert not storage().exists(gone.file_key)
