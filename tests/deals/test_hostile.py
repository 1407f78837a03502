"""Somebody who means harm sends forms and files of deals, leads and imports: nothing moves that is
not theirs to move, nothing breaks, and nothing reaches a spreadsheet, a header or a mail as more
than text."""

from __future__ import annotations

import csv
import io
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from openpyxl import Workbook
from sqlalchemy import func, select

from portal import clock, sheets
from portal.accounts.models import Role, User
from portal.content.storage import storage
from portal.db import db, write
from portal.deals import files
from portal.deals.models import Deal, DealFile
from portal.leads.models import Lead
from portal.sheets import BadSheet, read
from tests.conftest import Browse
from tests.content.test_sharing import share
from tests.deals.test_deals import approve, claim, deal, register
from tests.deals.test_talk import attach
from tests.factories import make_family
from tests.leads.leads import QUESTION, lead_of, write_down
from tests.mailbox import deliver, deliver_daily, mailbox
from tests.pages import text_of
from tests.people import ada, anna, brandt, jonas, kuehn, lena, mia

# --- fields that no form has ----------------------------------------------------------------------


def stored(row: Any) -> dict[str, Any]:
    """Every column of a row as it is now."""
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def test_fields_that_no_form_has_change_nothing(browse: Browse) -> None:
    key = register(browse, lena(), then="draft")
    before = stored(deal(key))
    wished = {name: "approved" for name in before if name not in {*claim(), "tax_id"}} | {
        "id": str(uuid.uuid4()), "partner_id": str(brandt().id), "status": "approved",
        "stage": "won", "customer_id": str(uuid.uuid4()), "won_amount_minor": "1",
        "decided_at": "2026-01-01", "decision_due_at": "2099-01-01", "policy_id": "1",
        "submitted_by_id": str(mia().id), "assignee_id": str(lena().id), "reference": "AAAAAAAA",
        "first_approved_by_id": str(anna().id), "lead_id": str(uuid.uuid4()),
    }  # fmt: skip
    sent = {**claim(then="draft", contact="Frau Brandt"), **wished}
    assert browse(lena()).post(f"/deals/{key}/edit", data=sent).status_code == 302
    after = stored(deal(key))
    assert {name for name in before if before[name] != after[name]} == {"contact", "version"}


def test_a_partner_cannot_say_whose_lead_it_is_or_how_far(browse: Browse) -> None:
    wished = {
        "partner": str(brandt().id), "partner_id": str(brandt().id), "stage": "converted",
        "source": "import", "named_at": "", "region": "APAC", "share_id": str(uuid.uuid4()),
        "recipient_id": str(uuid.uuid4()), "created_at": "2001-01-01",
    }  # fmt: skip
    key = write_down(browse, lena(), **wished)
    before = stored(lead_of(key))
    assert (before["partner_id"], before["stage"], before["source"], before["region"]) == (
        kuehn().id, "new", "partner", "",
    )  # fmt: skip
    sent = {"company": "Hafen", "contact": "Ole Harms", "email": "ole@hafen.example", **wished}
    assert browse(lena()).post(f"/leads/{key}/edit", data=sent).status_code == 302
    after = stored(lead_of(key))
    assert {name for name in before if before[name] != after[name]} == {"company"}


# --- things of somebody else ----------------------------------------------------------------------


def test_keys_of_a_rival_in_any_parameter_are_not_found(browse: Browse) -> None:
    theirs, link = register(browse, mia()), share(browse, mia())
    lead_id = write_down(browse, mia())
    attach(browse, mia(), theirs, "offer.pdf", b"%PDF-1.7")
    file_id = db.session.scalars(select(DealFile.id)).one()
    own = register(browse, lena(), customer_name="Own AG", domain="")
    mine, n = browse(lena()), db.session.scalar(select(func.count()).select_from(Deal))
    for source in (f"share={link.id}", f"lead={lead_id}", f"renews={theirs}"):
        assert mine.get(f"/deals/new?{source}").status_code == 404, source
        for path in ("/deals/new", f"/deals/{uuid.uuid4()}/draft"):
            answer = mine.post(f"{path}?{source}", data=claim(then="draft"))
            # What is typed anew is a deal of one's own, tied to nothing of theirs.
            assert answer.status_code in (302, 200, 404), source
    rows = db.session.scalars(select(Deal).where(Deal.partner_id == kuehn().id)).all()
    assert all(row.lead_id is None for row in rows)
    assert db.session.get_one(type(link), link.id).deal_id is None
    assert mine.get(f"/leads/new?share={link.id}").status_code == 404
    # Their key for a deal of one's own, and their file under one's own deal.
    assert mine.post("/deals/new", data=claim(key=str(theirs))).status_code == 404
    assert mine.post(f"/deals/{theirs}/draft", data=claim()).status_code == 404
    assert mine.get(f"/deals/{own}/files/{file_id}").status_code == 404
    assert mine.post(f"/deals/{own}/files/{file_id}/remove").status_code == 404
    assert deal(theirs).partner_id == brandt().id
    assert n is not None


def test_who_is_no_reviewer_any_more_decides_nothing(browse: Browse) -> None:
    key = register(browse, lena())
    page = browse(anna())
    page.post(f"/deals/{key}/move/take_in_review")
    for role, partner_id in ((Role.partner_user, kuehn().id), (Role.partner_admin, brandt().id)):
        with write() as session:
            person = session.get_one(User, anna().id)
            person.role, person.partner_id = role, partner_id
        # The same browser, signed in before.
        for path in ("approve", "reject", "ask", "notes", "check"):
            assert page.post(f"/deals/{key}/{path}", data={"customer": "new"}).status_code == 404
    assert page.get(f"/deals/{key}").status_code == 404
    assert deal(key).status == "in_review"


def test_pressing_twice_makes_one_lead_and_one_note(browse: Browse) -> None:
    keys = {write_down(browse, lena()) for _press in range(3)}
    assert len(keys) == 1
    assert write_down(browse, lena(), company="Another") not in keys
    assert write_down(browse, jonas()) not in keys
    with clock.at(datetime.now(UTC).replace(year=2099)):
        assert write_down(browse, lena()) not in keys


# --- texts ----------------------------------------------------------------------------------------

FORMULA = "=cmd|' /C calc'!A0"
FORMULAS = (FORMULA, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1")


def test_no_export_holds_a_formula(browse: Browse) -> None:
    for number, text in enumerate(FORMULAS):
        key = register(
            browse, lena(), customer_name=text, contact=text, domain=f"d{number}.example"
        )
        approve(browse, key)
        order = {"amount": "9", "currency": "EUR", "won_on": "2026-11-20", "order_number": text}
        browse(lena()).post(f"/deals/{key}/won", data=order)
        write_down(browse, lena(), company=text, contact=text, phone=text)
    for person, paths in (
        (lena(), ("/deals.csv", "/leads.csv", "/account/recorded.csv")),
        (anna(), (
            "/deals.csv", "/leads.csv", "/deals/export.csv", "/deals/months.csv",
            "/reports/results/behind/won.csv", "/reports/leads/leads.csv",
        )),
    ):  # fmt: skip
        for path in paths:
            answer = browse(person).get(path)
            assert answer.status_code == 200, path
            for row in csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))):
                for cell in row:
                    # What starts so and is no number is a formula to some spreadsheet.
                    is_number = cell.removeprefix("-").replace(".", "").isdecimal()
                    assert is_number or not cell.lstrip(" ").startswith(tuple("=+-@\t\r")), path


HOSTILE = "<script>alert(1)</script>\r\nBcc: thief@evil.example\u202e{{ 7 * 7 }} %(x)s %s"


def test_hostile_names_stay_text_on_pages_and_in_mails(app: Flask, browse: Browse) -> None:
    anna()
    key = register(browse, lena(), customer_name=HOSTILE, contact=HOSTILE)
    lead_id = write_down(browse, anna(), company=HOSTILE, contact=HOSTILE, region="DACH")
    browse(anna()).post(f"/leads/{lead_id}/offer", data={"partner": kuehn().id})
    link = share(browse, lena(), HOSTILE)
    browse(None).post(
        f"/s/{link.slug}/ask", data={**QUESTION, "name": HOSTILE, "question": HOSTILE}
    )
    with mailbox(app) as box:
        for person in (anna(), lena()):
            browse(person).post(f"/deals/{key}/comments", data={"text": HOSTILE})
        approve(browse, key)
        deliver()
        deliver_daily()
        letters = box.letters
    assert len(letters) >= 4
    for letter in letters:
        assert letter["Bcc"] is None
        assert letter["To"].endswith((".example", "@nordwerk.example"))
        html = letter.get_body(("html",))
        assert html is None or "<script" not in html.get_content()
        assert "49" not in str(letter["Subject"])
    for person in (anna(), lena()):
        for path in (f"/deals/{key}", "/deals", "/deals.csv", f"/leads/{lead_id}", "/leads", "/"):
            answer = browse(person).get(path)
            assert answer.status_code == 200
            if answer.mimetype == "text/html":
                assert "<script>alert" not in answer.text, path
                assert "{{ 7 * 7 }}" in answer.text or path in ("/", "/leads", "/deals")


@pytest.mark.parametrize(
    "name",
    [
        "x\r\nSet-Cookie: a=b.pdf",
        '"; filename="evil.exe".pdf',
        "../../etc/passwd.pdf",
        "ä" * 300 + ".pdf",
        "<script>alert(1)</script>.pdf",
    ],
)
def test_hostile_names_of_files_stay_names(browse: Browse, name: str) -> None:
    key, who = register(browse, lena()), lena().id
    db.session.rollback()
    files.attach(who, key, storage(), (name, io.BytesIO(b"%PDF-1.7")), clock.now())
    page = browse(anna()).get(f"/deals/{key}").text
    assert "<script>alert" not in page
    path = page.split(f"/deals/{key}/files/", 1)[1].split('"', 1)[0]
    answer = browse(anna()).get(f"/deals/{key}/files/{path}")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    said = answer.headers["Content-Disposition"]
    assert said.startswith("attachment; filename=")
    assert not {"/", "\r", "\n"} & set(said)
    assert said.count("filename=") == 1
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_letter_that_no_database_takes_is_bad_input(browse: Browse) -> None:
    nul, link = "a\0b", share(browse, lena())
    key, lead_id = register(browse, lena()), write_down(browse, lena())
    for person, path, data in (
        (lena(), "/deals/new", claim(customer_name=nul)),
        (lena(), f"/deals/{uuid.uuid4()}/draft", claim(contact=nul)),
        (lena(), f"/deals/{key}/comments", {"text": nul}),
        (anna(), f"/deals/{key}/notes", {"text": nul}),
        (lena(), "/leads/new", {"company": nul}),
        (lena(), f"/leads/{lead_id}/edit", {"company": nul}),
        (None, f"/s/{link.slug}/ask", {**QUESTION, "question": nul}),
        (anna(), f"/deals/{key}/files", {"file": (io.BytesIO(b"x"), "a\0.pdf")}),
        (ada(), "/deals/import", {"file": (io.BytesIO(b"a;b\n1;2"), "a\0.csv")}),
    ):
        assert browse(person).post(path, data=data).status_code == 400, path
    for path in ("/deals?q=a%00b", "/deals.csv?q=%00", "/library?q=%00", "/leads?stage=%00"):
        assert browse(lena()).get(path).status_code == 400, path
    for path in ("/deals/customers?q=%00", "/deals/accounts?q=%00", "/deals/list?q=%00"):
        assert browse(anna()).get(path).status_code == 400, path


# --- files ----------------------------------------------------------------------------------------


def packed(sheet: str, **more: str) -> bytes:
    """A spreadsheet whose first sheet is what it says."""
    plain, out = io.BytesIO(), io.BytesIO()
    book = Workbook()
    book.active.append(["Partner", "Customer"])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, sheet if name == "xl/worksheets/sheet1.xml" else more.get(name, data)
            )
    return out.getvalue()


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}'
END = "</sheetData></worksheet>"


def far_away(rows: int) -> bytes:
    """Few bytes that say: every row has 16 384 cells."""
    row = '<row r="{0}"><c r="XFD{0}" t="inlineStr"><is><t>x</t></is></c></row>'
    return packed(SHEET.format("".join(row.format(n) for n in range(1, rows + 1))) + END)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "haha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 50}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
    + "]>"
)
CELL = '<row r="1"><c {}><v>{}</v></c></row>'
TEXT_CELL = '<row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row>'


# Made only when they are read: what is zipped holds the second of its making.
HOSTILE_FILES: dict[str, Callable[[], bytes]] = {
    "wide": lambda: far_away(2000),
    "laughs": lambda: packed(LAUGHS + SHEET.format(TEXT_CELL.format("&h;")) + END),
    "broken": lambda: packed(SHEET.format("<row><c>")),
    "no letter": lambda: packed(SHEET.format(TEXT_CELL.format("&#0;")) + END),
    "no number": lambda: packed(SHEET.format(CELL.format('r="A1"', "1e999999x")) + END),
    "no place": lambda: packed(SHEET.format(CELL.format('r="??"', "1")) + END),
    "no string": lambda: packed(SHEET.format(CELL.format('r="A1" t="s"', "99")) + END),
    "no zip": lambda: b"PK\x03\x04" + b"\0" * 200,
    "wide text": lambda: b"Partner" + b"," * 3000 + b"\nx",
    "long cell": lambda: b"Partner,Customer\n" + b"x" * 200_000 + b",y",
    "zeros": lambda: b"\0" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(BadSheet) as refusal:
        read(HOSTILE_FILES[name]())
    assert str(refusal.value).endswith((".", "?"))


def test_a_file_that_unpacks_to_too_much_or_is_too_large_is_not_read(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_UNPACKED", 100_000)
    bomb = packed(SHEET.format(TEXT_CELL.format("a" * 1_000_000)) + END)
    assert len(bomb) < 20_000
    monkeypatch.setattr(sheets, "MAX_BYTES", 30_000)
    for data, words in ((bomb, "too large when it is unpacked"), (b"a,b\n" * 9000, "larger than")):
        for kind in ("deals", "leads", "accounts", "partners", "people", "baselines", "rates"):
            upload = {"file": (io.BytesIO(data), "x.xlsx")}
            answer = browse(ada()).post(f"/{kind}/import", data=upload)
            assert answer.status_code == 400
            assert words in text_of(answer)
    assert db.session.scalar(select(func.count()).select_from(Lead)) == 0


def test_rows_of_a_file_that_are_given_back_hold_no_formula(browse: Browse) -> None:
    make_family()
    text = f'Id,Partner,Customer,Product,Stage\n"{FORMULA}",@none,+x,-y,=z\n'
    upload = {"file": (io.BytesIO(text.encode()), "<script>x.csv")}
    path = browse(anna()).post("/deals/import", data=upload).location
    page = browse(anna()).post(path, data={"then": "look"})
    assert "<script>x" not in page.text
    for row in csv.reader(io.StringIO(browse(anna()).get(f"{path}/refused.csv").text)):
        assert not any(cell.startswith(tuple("=+-@")) for cell in row)
