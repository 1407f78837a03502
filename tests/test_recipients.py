"""Whom a partner shares with is the partner's: the vendor meets no name, company, address or word
of a recipient on any page, in any file, report, mail or row waiting to be sent, before the partner
names the customer; and then only the customer that was named."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.accounts.models import Partner, User
from portal.cli import portal
from portal.content.first_opens import tell_first_opens
from portal.content.models import Recipient, ShareLink
from portal.db import db
from portal.deals.models import DealFile
from portal.mail import Outbox
from portal.reports import deal_rows, leads, pipeline, qualified_rows, wave_tables
from portal.reports.views import TABLES
from tests.conftest import Browse
from tests.content.test_sharing import share
from tests.deals.test_deals import claim, look_for_conflicts, register
from tests.deals.test_shared_with import read
from tests.factories import make_asset, version_of
from tests.leads.leads import QUESTION, ask, the_lead
from tests.mailbox import deliver, deliver_daily, mailbox
from tests.mailbox import text_of as mail_text
from tests.people import ada, anna, jonas, kuehn, lena
from tests.reports.test_reports import answer_with
from tests.tracking.test_rollups import rebuild

# Every name that a customer has here, each in a word that is nowhere else.
ASKED = ("Quxfrau", "quxmail", "quxquestion")
SHARED = ("Quxwerke", "Quxpublic", "Quxdeal")
MARKERS = (*ASKED, *SHARED)

NAMES = {
    "reports.table": TABLES,
    "reports.table_csv": TABLES,
    "reports.chart": ("engagement", "registrations", "satisfaction"),
    "reports.asset_table": ("days", "pages", "partners"),
    "reports.asset_csv": ("days", "pages", "partners"),
    "reports.partner_table": ("days", "content", "people", "areas"),
    "reports.partner_csv": ("days", "content", "people", "areas"),
    "reports.results_csv": pipeline.TABLES,
    "reports.results_behind": (*deal_rows.BEHIND, *qualified_rows.BEHIND, "won.EUR"),
    "reports.results_behind_csv": (*deal_rows.BEHIND, *qualified_rows.BEHIND, "won.EUR"),
    "reports.leads_csv": leads.TABLES,
    "surveys.wave_csv": ("comments", *wave_tables.TABLES),
    "reports.satisfaction_csv": ("trend", "change", "fell"),
    "reports.leads_behind": leads.BEHIND,
    "reports.leads_behind_csv": [f"leads-{name}" for name in leads.BEHIND],
}
# These pages are walked with these parameters of the query, too.
QUERIES = {
    "content.index": ("?q=qux", "?q=waterworks"),
    "deals.customer_list": ("?q=qux",),
    "deals.all_deals": ("?q=qux",),
    "leads.index": ("?source=share",),
    "reports.home": ("?period=30d", "?dwell=idle"),
}
# A file of each kind that can be brought in; its last row is refused.
IMPORTS = {
    "deals": "Id,Partner,Customer,Family,Stage\nA1,Kühn Technik,Open AG,Pumps,Won\nA2,No,,,",
    "leads": "Id,Company,Partner\nL1,Open AG,Kühn Technik\nL2,,No Partner",
    "partners": "Partner,Country\nKühn Technik,DE\n,XX",
    "people": "Name,E-Mail,Role,Partner\nLena,lena@kuehn.example,,Kühn Technik\nX,no,,No Partner",
    "accounts": "Account number,Company,Country\n1,Open AG,DE\n2,,",
    "baselines": "Month,Metric,Value\n2025-01,registrations,3\nx,nonsense,y",
    "rates": "Currency,Day,Rate\nUSD,2026-01-01,1.1\nnonsense,x,y",
}
# What is not the vendor's to open, by whom the route says it is for; and files of the house.
NOT_THEIRS = ("partners", "anyone")
STATIC = ("static", "bootstrap.static")


def paths(app: Flask, keys: dict[str, uuid.UUID]) -> Iterator[str]:
    """Every address that somebody of the vendor can GET, with real keys. A route with a parameter
    that is not known here fails: whoever adds it says what it shows."""
    for rule in app.url_map.iter_rules():
        access = getattr(app.view_functions[rule.endpoint], "access", "")
        if "GET" not in (rule.methods or ()) or rule.endpoint in STATIC or access in NOT_THEIRS:
            continue
        for kind in IMPORTS if "<kind>" in rule.rule else ("",):
            known = {**keys, "run_id": keys.get(f"run of {kind}", "")}
            path = re.sub(r"<uuid:(\w+)>", lambda found: str(known[found[1]]), rule.rule)  # noqa: B023
            path = path.replace("<int:page>", "1").replace("<kind>", kind)
            for name in NAMES[rule.endpoint] if "<name>" in path else ("",):
                full = path.replace("<name>", name)
                assert "<" not in full, f"{full}: what is there to be shown?"
                yield full
                yield from (full + query for query in QUERIES.get(rule.endpoint, ()))


def leaks(text: str, markers: tuple[str, ...] = MARKERS) -> list[str]:
    """The names of customers in a text."""
    return [marker for marker in markers if marker.lower() in text.lower()]


@pytest.fixture
def keys(app: Flask, browse: Browse) -> dict[str, uuid.UUID]:
    """Lena has shared with three customers; all have read it, and one asked. A deal of another
    customer is registered, with a file; everything else that has a page is there, too."""
    ada(), jonas()
    asset = make_asset("Waterworks again")
    deal_id = register(browse, lena(), customer_name="Open AG")
    other = register(browse, lena(), customer_name="Other AG", domain="")
    from tests.deals.test_deals import approve

    for key in (deal_id, other):
        approve(browse, key)
    links = [
        share(browse, lena(), "Quxwerke Lingen"),
        share(browse, lena(), "Quxpublic Müller", days="30"),
        share(browse, lena(), "Quxdeal GmbH", deal=str(deal_id)),
    ]
    for link in links:
        read(browse, link)
    words = {"name": "Ida Quxfrau", "email": "ida@quxmail.example", "question": "A quxquestion?"}
    ask(browse, links[0], **{**QUESTION, **words})
    from tests.deals.test_talk import attach

    attach(browse, lena(), deal_id, "offer.pdf", b"%PDF-1.7")
    answer_with(app, browse, 3, "Fine.")
    tell_first_opens(clock.now())
    rebuild()
    db.session.rollback()
    from portal.deals.models import Deal
    from surveys.models import FollowUp, Questionnaire, Survey, Wave

    def first(model: Any) -> uuid.UUID:
        """What is there of these, else nothing that is."""
        return db.session.scalars(select(model.id)).first() or uuid.uuid4()

    customers = [db.session.get_one(Deal, key).customer_id for key in (deal_id, other)]
    assert customers[0] is not None
    assert customers[1] is not None
    return {
        "asset_id": asset.id,
        "version_id": version_of(asset).id,
        "deal_id": deal_id,
        "lead_id": the_lead().id,
        "user_id": anna().id,
        "partner_id": kuehn().id,
        "customer_id": customers[0],
        "other_id": customers[1],
        "file_id": db.session.scalars(select(DealFile.id)).one(),
        "wave_id": first(Wave),
        "survey_id": first(Survey),
        "questionnaire_id": first(Questionnaire),
        "follow_up_id": first(FollowUp),
        **{f"run of {kind}": looked_at(browse, kind, text) for kind, text in IMPORTS.items()},
    }


def looked_at(browse: Browse, kind: str, text: str) -> uuid.UUID:
    """A run of an import: a file was uploaded, and looked at what it would do."""
    upload = {"file": (io.BytesIO(text.encode()), f"{kind}.csv")}
    path = browse(ada()).post(f"/{kind}/import", data=upload).location
    answer = browse(ada()).post(path, data={"then": "look"})
    assert answer.status_code == 200, kind
    assert browse(ada()).get(f"{path}/refused.csv").status_code == 200, kind
    return uuid.UUID(path.rsplit("/", 1)[1])


def seen_by(browse: Browse, app: Flask, person: User, keys: dict[str, uuid.UUID]) -> dict[str, str]:
    """All that one person of the vendor is shown, by address."""
    browser, found = browse(person), dict[str, str]()
    for path in paths(app, keys):
        answer = browser.get(path)
        assert answer.status_code < 500, path
        found[path] = answer.data.decode(errors="replace")
    return found


def test_no_page_file_report_or_mail_of_the_vendor_names_a_recipient(
    app: Flask, browse: Browse, keys: dict[str, uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = seen_by(browse, app, ada(), keys)
    assert len(shown) > 80
    assert {path: leaks(text) for path, text in shown.items() if leaks(text)} == {}
    assert any("Open AG" in text for text in shown.values())
    rows = db.session.scalars(select(Outbox)).all()
    assert [row.message for row in rows if leaks(json.dumps(row.params))] == []
    with mailbox(app) as box:
        deliver()
        for days in (1, 2, 31, 61, 84):
            deliver_daily(days)
    by_side: dict[bool, list[str]] = {True: [], False: []}
    vendor = {person.email for person in (ada(), anna())}
    for letter in box.letters:
        by_side[letter["To"] in vendor].append(f"{letter['Subject']} {mail_text(letter)}")
    assert leaks(" ".join(by_side[True])) == []
    # The partner's own people do read them.
    assert "Quxfrau" in " ".join(by_side[False])
    monkeypatch.setattr("portal.cli.create_app", lambda _settings: app)
    wanted = ["report", "deals", "--from", "2026-01-01", "--to", "2027-01-01", "--json"]
    done = CliRunner().invoke(portal, wanted)
    assert leaks(done.output) == []


def test_once_the_partner_accepts_the_lead_that_customer_alone_is_named(
    app: Flask, browse: Browse, keys: dict[str, uuid.UUID]
) -> None:
    browse(lena()).post(f"/leads/{keys['lead_id']}/move/accept")
    shown = seen_by(browse, app, anna(), keys)
    where = {path for path, text in shown.items() if leaks(text, ASKED)}
    assert {path.split("?")[0] for path in where} <= {
        "/leads", "/leads.csv", f"/leads/{keys['lead_id']}"
    }  # fmt: skip
    assert f"/leads/{keys['lead_id']}" in where
    # The recipients of the other links stay the partner's.
    assert [path for path, text in shown.items() if leaks(text, SHARED[1:])] == []
    assert db.session.query(Partner).count() >= 1


def test_once_a_deal_names_one_customer_that_one_is_seen_and_no_other(
    app: Flask, browse: Browse, keys: dict[str, uuid.UUID]
) -> None:
    query = select(ShareLink).join(Recipient).where(Recipient.name == "Quxwerke Lingen")
    link = db.session.scalars(query).one()
    form = claim(customer_name="Quxwerke Lingen", domain="", postcode="")
    answer = browse(lena()).post(f"/deals/new?share={link.id}", data=form)
    deal_id = uuid.UUID(answer.location.rsplit("/", 1)[1])
    look_for_conflicts()
    shown = seen_by(browse, app, anna(), {**keys, "deal_id": deal_id})
    assert "Quxwerke" in shown[f"/deals/{deal_id}"]
    assert "Quxwerke" in shown["/deals.csv"]
    # Who asked through that very link stays theirs, as do the other links.
    others = (*ASKED, *SHARED[1:])
    assert {path: leaks(text, others) for path, text in shown.items() if leaks(text, others)} == {}
    browse(anna()).post(f"/deals/{deal_id}/move/take_in_review")
    browse(anna()).post(f"/deals/{deal_id}/reject", data={"reason_code": "no_evidence"})
    draft = browse(lena()).post("/deals/new", data=claim(customer_name="Quxpublic", then="draft"))
    assert draft.status_code == 302
    shown = seen_by(browse, app, anna(), {**keys, "deal_id": deal_id})
    assert {path: leaks(text, others) for path, text in shown.items() if leaks(text, others)} == {}
