"""Partners and people from files: known again, explained row by row, and nobody written to until
an administrator says so."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from portal import clock, mail
from portal.accounts import service
from portal.accounts.models import Partner, User
from portal.cli import portal
from portal.db import db, write
from portal.errors import PortalError
from portal.imports.kinds import Choices, Outcome, Source, kind_called
from portal.sheets import read, refused_csv
from surveys import waves
from surveys.models import Invitation
from tests.conftest import Browse
from tests.mailbox import deliver, links_of, mailbox
from tests.pages import text_of
from tests.people import ada, anna, kuehn, lena, mia
from tests.surveys.asking import set_up

PARTNERS = """Partner ID;Partner;Level;Region;Type;Country;Languages;Channel manager
K1;Kühn Technik;Gold;DACH;Reseller;de;de, en;anna@nordwerk.example
H2;Hansa Pumpen;Silver;DACH;Distributor;DE;de;Anna Keller
V3;Vesi Oy;Silver;Nordics;;FI;fi;
"""
PEOPLE = """Name,E-Mail,Role,Partner,Language
Lena Kühn,LENA@kuehn.example,Partner,Kühn Technik,de
Jonas Weber,jonas@kuehn.example,Partner admin,Kühn Technik,de
Aino Vesi,aino@vesi.example,,Vesi Oy,fi
"""


def bring_in(kind: str, text: str, *, dry_run: bool = False, **more: Any) -> Outcome:
    """Import a file as the page and the command do."""
    db.session.rollback()
    choices = Choices(more.pop("mapping", {}), **more)
    return kind_called(kind).run(read(text.encode()), choices, Source("x.csv", dry_run=dry_run))


def partners() -> dict[str, Partner]:
    """Every partner by name."""
    db.session.rollback()
    return {row.name: row for row in db.session.scalars(select(Partner))}


def people() -> dict[str, User]:
    """Everybody by address."""
    db.session.rollback()
    return {row.email: row for row in db.session.scalars(select(User))}


def reasons(outcome: Outcome) -> dict[int, str]:
    """Why which line is refused."""
    return {line.number: reason for line, reason in outcome.refused}


@pytest.fixture
def talking(app: Flask) -> Any:
    """The portal, with a language to answer in."""
    with app.test_request_context():
        yield app


def test_partners_are_made_once_and_brought_up_to_date(talking: Flask) -> None:
    anna()
    known = kuehn()
    outcome = bring_in("partners", PARTNERS)
    # Kühn Technik was here under its name; now it has its key, type and manager.
    assert (outcome.created, outcome.updated, outcome.refused) == (2, 1, [])
    assert "New as Tier: Silver" in outcome.explained()
    found = partners()
    assert found["Kühn Technik"].id == known.id
    assert found["Kühn Technik"].channel_manager_id == anna().id
    hansa, vesi = found["Hansa Pumpen"], found["Vesi Oy"]
    assert (hansa.external_id, hansa.tier, hansa.kind) == ("H2", "Silver", "Distributor")
    assert (vesi.country, vesi.languages, vesi.kind) == ("FI", ["fi"], "reseller")
    assert bring_in("partners", PARTNERS).counts == {
        "created": 0, "updated": 0, "unchanged": 3, "refused": 0,
    }  # fmt: skip
    # People may name their partner by its key.
    by_key = "name,email,partner\nHanna,hanna@hansa.example,H2\n"
    assert bring_in("people", by_key).created == 1
    assert people()["hanna@hansa.example"].partner_id == hansa.id
    # By its key it is the same partner under another name, and what is not said stays.
    renamed = bring_in("partners", "id,name,tier\nH2,Hansa Pumpen GmbH,\n")
    assert (renamed.created, renamed.updated) == (0, 1)
    assert partners()["Hansa Pumpen GmbH"].tier == "Silver"


def test_rows_of_partners_that_cannot_be_used_are_refused_with_line_and_reason(
    talking: Flask,
) -> None:
    anna()
    bring_in("partners", PARTNERS)
    rows = [
        "id,name,country,languages,manager,tier",
        "X1,,DE,de,,Gold",
        "X2,Löwe,Germany,de,,Gold",
        "X3,Löwe,DE,german,,Gold",
        "X4,Löwe,DE,de,Nobody,Gold",
        "X5,vesi oy,FI,fi,,Gold",
        f"X6,Löwe,DE,de,,{'G' * 41}",
        "X7,Löwe,DE,de,,Gold",
        "X7,Löwe,DE,de,,Gold",
    ]
    outcome = bring_in("partners", "\n".join(rows))
    assert outcome.created == 1
    found = reasons(outcome)
    for line, part in {
        2: "name is missing", 3: "two letters", 4: "german", 5: "Nobody", 6: "with the key V3",
        7: "longer than 40", 9: "Line 8 is the same partner",
    }.items():  # fmt: skip
        assert part in found.pop(line), line
    assert found == {}
    told = refused_csv(read("\n".join(rows).encode()), outcome.refused)
    assert "5,Nobody with access is the channel manager Nobody.,X4,Löwe" in told


def test_people_are_known_by_their_address_and_their_invitations_wait(
    app: Flask, browse: Browse
) -> None:
    kuehn()
    with app.test_request_context():
        assert "There is no partner Vesi Oy." in reasons(bring_in("people", PEOPLE))[4]
        told = bring_in("people", PEOPLE, create=True, dry_run=True)
        assert "Vesi Oy" not in partners()
        done = bring_in("people", PEOPLE, create=True)
        assert told.explained() == done.explained()
        assert bring_in("people", PEOPLE, create=True).unchanged == 3
    assert "New partners: Vesi Oy" in done.explained()
    found = people()
    assert {user.role for user in found.values()} == {"partner_user", "partner_admin"}
    assert found["aino@vesi.example"].locale == "fi"
    assert db.session.query(mail.Outbox).count() == 0
    # Until they are let in, nobody of them can have a code sent.
    browse(None).post("/sign-in", data={"email": "aino@vesi.example", "way": "code"})
    assert db.session.query(mail.Outbox).count() == 0


def test_rows_of_people_that_cannot_be_used_are_refused_with_line_and_reason(
    talking: Flask,
) -> None:
    lena(), mia(), anna()
    with write() as session:
        session.get_one(User, mia().id).deactivated_at = clock.now()
    rows = [
        "name,email,role,partner,language",
        "A,,Partner,Kühn Technik,de",
        "A,no address,Partner,Kühn Technik,de",
        "A,a@x.example,Emperor,Kühn Technik,de",
        "A,a@x.example,Administrator,Kühn Technik,de",
        "A,a@x.example,Partner,Kühn Technik,german",
        "Lena Kühn,lena@kuehn.example,Partner,Brandt Pumpen,de",
        "Mia Brandt,mia@brandt.example,Partner,Brandt Pumpen,de",
        "Anna,anna@nordwerk.example,Partner,Kühn Technik,de",
        "A,a@x.example,Partner,Kühn Technik,de",
        "B,A@x.example,Partner,Kühn Technik,de",
        "C,c@x.example,Emperor,Never Made,de",
    ]
    outcome = bring_in("people", "\n".join(rows), create=True)
    assert outcome.created == 1
    found = reasons(outcome)
    for line, part in {
        2: "email is missing", 3: "no e-mail address", 4: "Emperor", 5: "one by one", 6: "german",
        7: "another organisation", 8: "has ended", 9: "another organisation", 11: "Line 10",
        12: "Emperor",
    }.items():  # fmt: skip
        assert part in found.pop(line), line
    assert found == {}
    assert "Never Made" not in partners()


def test_nothing_is_half_imported(talking: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("portal.imports.people._fresh", fail)
    with pytest.raises(OSError, match="full"):
        bring_in("people", PEOPLE, create=True)
    assert partners() == {}
    with pytest.raises(PortalError, match="Say which column holds email"):
        bring_in("people", "name,partner\nA,B\n")


def test_an_administrator_releases_invitations_and_each_is_sent_once(
    app: Flask, browse: Browse
) -> None:
    kuehn()
    with app.test_request_context():
        bring_in("people", PEOPLE, create=True)
    aino = people()["aino@vesi.example"]
    manager, admin = browse(anna()), browse(ada())
    assert "3 invitations wait since an import. An administrator" in text_of(manager.get("/people"))
    assert manager.post(f"/people/{aino.id}/invite").status_code == 409
    assert manager.get("/people/held").status_code == 404
    assert manager.post("/people/held", data={"then": "all"}).status_code == 404
    assert "Tick whom" in text_of(admin.post("/people/held", data={"then": "ticked"}))
    page = text_of(admin.get("/people/held?q=vesi"))
    assert "3 wait" in page
    assert "Aino Vesi" in page
    assert "Jonas Weber" not in page
    with mailbox(app) as box:
        admin.post("/people/held", data={"then": "ticked", "person": str(aino.id)})
        assert "2 wait" in text_of(admin.get("/people/held"))
        everyone = {"then": "all", "person": str(aino.id)}
        admin.post("/people/held", data=everyone)
        assert admin.post("/people/held", data=everyone).status_code == 409
        deliver()
        assert sorted(letter["To"] for letter in box.letters) == [
            "aino@vesi.example", "jonas@kuehn.example", "lena@kuehn.example",
        ]  # fmt: skip
        link = next(path for path in links_of(box.letters[0]) if path.startswith("/welcome/"))
    assert browse(None).get(link).status_code == 200
    assert "No invitation waits." in text_of(admin.get("/people/held"))


def test_two_administrators_at_once_send_no_invitation_twice(app: Flask) -> None:
    kuehn()
    with app.test_request_context():
        bring_in("people", PEOPLE, create=True)
    ids, by_id = [user.id for user in people().values()], ada().id
    released: list[int] = []

    def let_go() -> None:
        with app.app_context(), write() as session:
            released.append(service.release(session, ids, session.get_one(User, by_id)))

    both = [threading.Thread(target=let_go) for _n in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(released) == [0, 3]
    db.session.rollback()
    assert db.session.query(mail.Outbox).count() == 3


def test_who_waits_is_asked_nothing_by_surveys(app: Flask) -> None:
    lena()
    with app.test_request_context():
        bring_in("people", PEOPLE, create=True)
    now = clock.now()
    with write() as session:
        start = now.replace(tzinfo=None)
        survey = set_up(session, start, now, open_days=14)
        waves.open_wave(session, survey, start, now)
    assert [row.user_id for row in db.session.query(Invitation)] == [lena().id]


def test_a_manager_uploads_partners_and_people_like_deals(browse: Browse) -> None:
    manager = browse(anna())
    for kind, text, label in (
        ("partners", PARTNERS, "3 are new."),
        ("people", PEOPLE.replace("aino@", "aino"), "2 are new."),
    ):
        assert "Choose a CSV or XLSX file first." in text_of(manager.post(f"/{kind}/import"))
        file = (io.BytesIO(text.encode()), f"{kind}.csv")
        path = manager.post(f"/{kind}/import", data={"file": file}).location
        assert "Kühn Technik" in text_of(manager.get(path))
        assert label in text_of(manager.post(path, data={"then": "look"}))
        done = manager.post(path, data={"then": "import"}, follow_redirects=True)
        assert "Imported" in text_of(done)
        # A run belongs to its kind.
        assert manager.get(path.replace(kind, "deals")).status_code == 404
    refused = manager.get(f"{path}/refused.csv").text
    assert "4,This is no e-mail address: ainovesi.example" in refused
    assert "people.csv" not in text_of(manager.get("/partners/import"))
    assert manager.get("/nonsense/import").status_code == 404
    for route in ("/partners/import", "/people/import", "/people/held", path):
        assert browse(lena()).get(route).status_code == 404


def test_the_commands_import_partners_and_people(tmp_path: Path) -> None:
    runner = CliRunner(env={"PORTAL_DATA_DIR": str(tmp_path / "data")})
    said = runner.invoke(portal, [
        "setup", "--company", "N", "--timezone", "Europe/Berlin", "--admin-name", "Anna Keller",
        "--admin-email", "anna@nordwerk.example", "--smtp-url", "", "--mail-from",
        "portal@n.example", "--privacy-mode", "person", "--admin-password", "ada-password",
    ])  # fmt: skip
    assert said.exit_code == 0, said.output
    for kind, text in (("partners", PARTNERS), ("people", PEOPLE.replace("E-Mail", "Reach"))):
        (tmp_path / kind).write_text(text, encoding="utf-8")
    words = ["import", "partners", str(tmp_path / "partners")]
    dry = runner.invoke(portal, [*words, "--dry-run"]).output
    assert "3 are new." in dry
    assert "Nothing was written." in dry
    assert "3 are new." in runner.invoke(portal, words).output
    assert "3 were there already." in runner.invoke(portal, words).output
    refused = tmp_path / "refused.csv"
    words = ["import", "people", str(tmp_path / "people"), "--refused", str(refused)]
    assert "Say which column holds email" in str(runner.invoke(portal, words).exception)
    done = runner.invoke(portal, [*words, "--map", "email=Reach"]).output
    assert "3 are new." in done
    assert "the invitations wait" in done
    assert refused.read_text(encoding="utf-8").startswith("line,reason,Name")
    before = tmp_path / "before.csv"
    before.write_text("month,metric,value\n2020-01,revenue,500\n2020-01,mood,3\n")
    told = runner.invoke(portal, ["import", "baselines", str(before), "--currency", "chf"]).output
    assert "1 is new." in told
    assert "mood is no metric" in told
