"""The vendor's known accounts: brought in from a file, matched as evidence, never seen outside."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.cli import portal
from portal.db import db
from portal.deals.customer_models import KnownAccount
from portal.deals.known_accounts import run
from portal.imports.kinds import Choices, Outcome, Source
from portal.sheets import BadMapping, read
from tests import engines
from tests.conftest import Browse
from tests.deals.test_checks import found_in
from tests.deals.test_deals import deal, look_for_conflicts, register
from tests.factories import ZONE, make_family
from tests.pages import text_of
from tests.people import anna, lena, mia

LIST = """Account number;Company;Website;VAT number;Country;ZIP;Family;Account owner
1;Brandt Söhne GmbH;https://brandt.example;DE123456789;de;20095;;Ida Boysen
2;Hafen Emden;;;DE;;Pumps;
3;;;;;;;
4;Löwe;;;Germany;;;
5;Löwe;;;DE;;Rockets;
1;Brandt again;;;;;;
"""


def bring_in(text: str, *, dry_run: bool = False) -> Outcome:
    """Import a list as the page and the command do."""
    db.session.rollback()
    return run(read(text.encode()), Choices(), Source("accounts.csv", dry_run=dry_run))


def accounts() -> dict[str, KnownAccount]:
    """Every known account by its key."""
    db.session.rollback()
    return {row.external_id: row for row in db.session.scalars(select(KnownAccount))}


@pytest.fixture
def words(app: Flask) -> Flask:
    """A portal with a family, inside a request, for the words."""
    make_family("Pumps")
    return app


def test_a_list_goes_in_and_every_refused_row_says_why(words: Flask) -> None:
    with words.test_request_context():
        assert bring_in(LIST, dry_run=True).counts["created"] == 2
        assert accounts() == {}
        outcome = bring_in(LIST)
    assert outcome.counts == {"created": 2, "updated": 0, "unchanged": 0, "refused": 4}
    assert {line.number: why for line, why in outcome.refused} == {
        4: "name is missing.",
        5: "country must be a code of two letters, like DE.",
        6: "There is no product family Rockets.",
        7: "Line 2 has the same external_id.",
    }
    brandt, emden = accounts()["1"], accounts()["2"]
    assert (brandt.owner, brandt.country, brandt.product_family_id) == ("Ida Boysen", "DE", None)
    assert (brandt.company_key, brandt.domain_key) == ("brandt soehne", "brandt.example")
    assert emden.product_family is not None


def test_the_same_list_again_changes_nothing_and_a_changed_row_one_account(words: Flask) -> None:
    with words.test_request_context():
        bring_in(LIST)
        assert bring_in(LIST).counts["unchanged"] == 2
        changed = bring_in("id,name,owner\n1,Brandt AG,Jan Visser\n")
    assert (changed.updated, changed.created) == (1, 0)
    row = accounts()["1"]
    # What the second file does not say stays.
    assert (row.name, row.owner, row.domain) == (
        "Brandt AG",
        "Jan Visser",
        "https://brandt.example",
    )
    assert row.company_key == "brandt"
    with words.test_request_context(), pytest.raises(BadMapping, match="external_id"):
        bring_in("name\nBrandt\n")


def test_the_first_contact_is_what_the_list_says_or_the_day_it_came(words: Flask) -> None:
    today = clock.local_day(clock.now(), ZONE)
    days = ["2025-03-31", "24 Dec 2025", "", "3/4/2025", "soon", f"{today + timedelta(days=1)}"]
    lines = "".join(f"{n},Company {n},{day}\n" for n, day in enumerate(days))
    with words.test_request_context():
        outcome = bring_in(f"id,name,customer since\n{lines}")
        assert [line.number for line, _why in outcome.refused] == [5, 6, 7]
        # A later list without a day leaves what is known.
        bring_in("id,name,customer since\n0,Company of old,\n")
    found = {key: row.first_contact for key, row in accounts().items()}
    assert found == {"0": date(2025, 3, 31), "1": date(2025, 12, 24), "2": today}


def test_a_known_account_is_evidence_with_its_owner_and_takes_a_reason(
    words: Flask, browse: Browse
) -> None:
    key = register(browse, lena())
    with words.test_request_context():
        bring_in(LIST)
    assert found_in(words, key).state == "waiting"
    look_for_conflicts()
    page = text_of(browse(anna()).get(f"/deals/{key}"))
    assert "Known account of Nordwerk, every product family; looked after by Ida Boysen" in page
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    refused = browse(anna()).post(f"/deals/{key}/approve", data={"customer": "new"})
    assert (refused.status_code, deal(key).status) == (409, "in_review")
    assert "Ida Boysen" not in browse(lena()).get(f"/deals/{key}").text


def test_an_account_of_another_family_is_shown_but_is_no_rival(
    words: Flask, browse: Browse
) -> None:
    with words.test_request_context():
        bring_in(LIST)
    parts = str(make_family("Spare parts").id)
    key = register(browse, lena(), customer_name="Hafen Emden", domain="", product_family=parts)
    seen = found_in(words, key)
    assert [(item.kind, item.is_rival) for item in seen.matches] == [("account", False)]
    assert not seen.needs_reason


def test_anna_brings_a_list_in_and_gets_the_refused_rows_back(words: Flask, browse: Browse) -> None:
    manager = browse(anna())
    assert "/accounts/import" in manager.get("/deals/accounts").text
    sent = {"file": (io.BytesIO(LIST.encode()), "accounts.csv")}
    run = manager.post("/accounts/import", data=sent).location
    assert "Brandt Söhne GmbH" in text_of(manager.get(run))
    looked = text_of(manager.post(run, data={"then": "look"}))
    assert "2 are new." in looked
    assert "There is no product family Rockets." in looked
    assert accounts() == {}
    done = text_of(manager.post(run, data={"then": "import"}, follow_redirects=True))
    assert "Imported." in done
    refused = manager.get(f"{run}/refused.csv").data.decode("utf-8-sig")
    assert [row["line"] for row in csv.DictReader(io.StringIO(refused))] == ["4", "5", "6", "7"]
    listed = text_of(manager.get("/deals/accounts?q=boysen"))
    assert "Brandt Söhne GmbH" in listed
    assert "Hafen Emden" not in listed
    assert manager.get(run.replace("accounts/import", "deals/import")).status_code == 404
    for path in ("/deals/accounts", run, f"{run}/refused.csv"):
        assert browse(mia()).get(path).status_code == 404


def test_the_command_says_what_it_would_do_and_does_it(tmp_path: Path) -> None:
    settings = engines.settings_for("sqlite", tmp_path / "data", migrated=True)
    file, refused = tmp_path / "accounts.csv", tmp_path / "refused.csv"
    file.write_text(LIST.replace("Pumps", ""), encoding="utf-8")
    environ = {"PORTAL_DATA_DIR": str(settings.data_dir), "PORTAL_URL": settings.url}
    for option, said in (("--dry-run", "Nothing was written."), (f"--refused={refused}", "4 ref")):
        answer = CliRunner().invoke(
            portal, ["import", "accounts", str(file), option], env=environ, catch_exceptions=False
        )
        assert answer.exit_code == 0, answer.output
        assert "2 are new." in answer.output
        assert said in answer.output
    assert refused.read_text().count("\n") == 5
