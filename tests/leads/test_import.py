"""Leads from a file: looked at first, written once, every refused row explained."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from portal import clock, jobs
from portal.db import db
from portal.leads import offers
from portal.leads.models import Lead
from tests.conftest import Browse
from tests.factories import make_family
from tests.leads.leads import write_down
from tests.mailbox import deliver, mailbox
from tests.pages import text_of
from tests.people import anna, jonas, kuehn, lena, mia
from tests.test_commands import command

FILE = """id,Account,Name,E-Mail,Country,Product,Reseller,Territory
L1,Hafen Emden,Ole Harms,OLE@hafen.example,de,Pumps,,DACH
L2,Zoo Ulm,,,AT,,Kühn Technik,
L3,,Nobody,,,,,
L4,Bad Mail AG,,no address,,,,
L5,Bad Country AG,,,Germany,,,
L6,Bad Product AG,,,,Trains,,
L7,Bad Partner AG,,,,,Nobody Ltd,
L8,Bad Region AG,,,,,,Mars
L1,Twice AG,,,,,,
"""
REASONS = (
    "company is missing.", "email is no address: no address", "country must be a code",
    "There is no product family Trains.", "There is no partner Nobody Ltd.",
    "There is no region Mars.", "Line 2 has the same external_id.",
)  # fmt: skip


def leads() -> dict[str, Lead]:
    """What is there, by key."""
    db.session.rollback()
    return {str(lead.external_id): lead for lead in db.session.query(Lead)}


def test_a_file_is_looked_at_imported_and_changes_nothing_again(app: Flask, browse: Browse) -> None:
    make_family()
    lena()
    manager = browse(anna())
    upload = {"file": (io.BytesIO(FILE.encode()), "leads.csv")}
    address = manager.post("/leads/import", data=upload).location
    page = manager.get(address)
    assert "Hafen Emden" in text_of(page)
    look = manager.post(address, data={"then": "look"})
    assert "2 are new." in text_of(look)
    for reason in REASONS:
        assert reason in text_of(look)
    assert leads() == {}
    refused = manager.get(f"{address}/refused.csv")
    assert refused.mimetype == "text/csv"
    assert "L5,Bad Country AG" in refused.text
    done = manager.post(address, data={"then": "import"}, follow_redirects=True)
    assert "Imported. 2 are new." in text_of(done)
    found = leads()
    assert sorted(found) == ["L1", "L2"]
    emden = found["L1"]
    assert (emden.email, emden.country, emden.region, emden.source) == (
        "ole@hafen.example", "DE", "DACH", "import",
    )  # fmt: skip
    assert emden.product_family_id is not None
    assert found["L2"].partner_id is None
    again = manager.post(address, data={"then": "look"})
    assert "2 were there already." in text_of(again)
    assert "new." not in text_of(again)


def test_a_lead_that_names_a_partner_is_offered_to_them_with_their_time_to_answer(
    app: Flask, browse: Browse
) -> None:
    jonas(), mia()
    text = "id,company,partner,region\nL2,Zoo Ulm,Kühn Technik,DACH\n"
    manager = browse(anna())
    with clock.at(clock.now()) as forward, mailbox(app) as box:
        for _twice in range(2):
            upload = {"file": (io.BytesIO(text.encode()), "leads.csv")}
            address = manager.post("/leads/import", data=upload).location
            manager.post(address, data={"then": "import"})
        forward(timedelta(minutes=6))
        deliver()
        assert [letter["To"] for letter in box.letters] == ["jonas@kuehn.example"]
        lead = leads()["L2"]
        (offer,) = offers.of_lead(db.session(), lead.id)
        assert (offer.partner_id, offer.state, lead.partner_id) == (kuehn().id, "open", None)
        assert offer.due_at - offer.offered_at == timedelta(hours=48)
        assert "Zoo Ulm" in text_of(browse(jonas()).get("/leads")).split("Offered to you")[1]
        assert "Zoo Ulm" not in text_of(browse(mia()).get("/leads"))
        # Not accepted in time, it goes to the next like every other.
        forward(timedelta(hours=48))
        jobs.run_now("offer_leads")
        assert [row.state for row in offers.of_lead(db.session(), lead.id)] == ["late", "open"]


def test_a_lead_is_not_offered_to_a_partner_without_people(app: Flask, browse: Browse) -> None:
    kuehn()
    upload = {"file": (io.BytesIO("id,company,partner\nA,Zoo,Kühn Technik\n".encode()), "l.csv")}
    address = browse(anna()).post("/leads/import", data=upload).location
    done = browse(anna()).post(address, data={"then": "look"})
    assert "Nobody of this partner has access" in text_of(done)


def test_a_later_file_changes_what_nobody_has_yet(app: Flask, browse: Browse) -> None:
    kuehn()
    manager = browse(anna())
    for text in ("A,Zoo,\nB,Hafen,1\n", "A,Zoo Ulm,2\nB,Hafen,\n"):
        upload = {"file": (io.BytesIO(f"id,company,phone\n{text}".encode()), "leads.csv")}
        manager.post(manager.post("/leads/import", data=upload).location, data={"then": "import"})
    found = leads()
    assert (found["A"].company, found["A"].phone, found["B"].phone) == ("Zoo Ulm", "2", "1")


def test_what_is_no_table_is_refused_with_a_sentence(browse: Browse) -> None:
    manager = browse(anna())
    assert manager.post("/leads/import").status_code == 400
    upload = {"file": (io.BytesIO(b"\x00\x01"), "x.csv")}
    assert "This is no table" in text_of(manager.post("/leads/import", data=upload))
    upload = {"file": (io.BytesIO(b"a,b\n1,2\n"), "x.csv")}
    address = manager.post("/leads/import", data=upload).location
    assert "Say which column holds external_id" in text_of(manager.get(address))
    answer = manager.post(address, data={"then": "import"})
    assert answer.status_code == 400
    assert manager.get("/leads/import/forged").status_code == 404
    assert browse(lena()).get(address).status_code == 404


def test_the_command_does_the_same(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_family()
    write_down(browse, lena())
    path, refused = tmp_path / "leads.csv", tmp_path / "refused.csv"
    path.write_text(FILE, encoding="utf-8")
    words = ("import", "leads", str(path), "company=Account", "--refused", str(refused))
    said = command(app, monkeypatch, *words, "--dry-run")
    assert "2 are new." in said
    assert "Nothing was written." in said
    assert list(leads()) == ["None"]
    assert "7 refused rows" in command(app, monkeypatch, *words)
    assert sorted(leads()) == ["L1", "L2", "None"]
    assert "Line 2 has the same external_id." in refused.read_text(encoding="utf-8")
