"""For every route with an object of one partner, somebody of another partner gets 404 and reads
nothing of it; a partner finds none of the vendor's pages."""

from __future__ import annotations

import re
import uuid

import pytest
from flask import Flask

from portal import clock
from portal.db import db, write
from surveys import waves
from surveys.models import FollowUp, Invitation
from tests.conftest import Browse
from tests.deals.test_deals import register
from tests.factories import make_asset, make_family, version_of
from tests.pages import text_of
from tests.people import jonas, kuehn, lena, mia
from tests.surveys.asking import set_up

SECRETS = ("Kühn", "Lena", "Jonas", "Geheimkunde", "Only for Kühn")


@pytest.fixture
def objects(app: Flask, browse: Browse) -> dict[str, uuid.UUID]:
    """One object of Kühn Technik for every kind of key that an address can hold."""
    jonas()
    asset = make_asset("Only for Kühn", audience=(("partner", str(kuehn().id)),))
    data = {"recipient": "Geheimkunde AG", "days": "90"}
    link = browse(lena()).post(f"/library/{asset.id}/share", data=data).location
    deal_id = register(browse, lena(), customer_name="Geheimkunde AG")
    lead = browse(lena()).post("/leads/new", data={"company": "Geheimkunde AG"}).location
    db.session.rollback()
    now = clock.now()
    with write() as session:
        survey = set_up(session, now.replace(tzinfo=None), now, open_days=14)
        wave = waves.open_wave(session, survey, now.replace(tzinfo=None), now)
    invitation = db.session.query(Invitation).filter_by(user_id=lena().id).one()
    path = f"/survey/invitation/{invitation.id}"
    answer = {"company": "1", "experience": "1", "submission": "a", "comment": "Geheimkunde AG"}
    assert browse(lena()).post(path, data=answer).status_code == 200
    follow_up = db.session.query(FollowUp).one()
    return {
        "asset_id": asset.id,
        "version_id": version_of(asset).id,
        "link_id": uuid.UUID(link.rsplit("/", 1)[1]),
        "deal_id": deal_id,
        "lead_id": uuid.UUID(lead.rsplit("/", 1)[1]),
        "user_id": lena().id,
        "partner_id": kuehn().id,
        "invitation_id": invitation.id,
        "survey_id": survey.id,
        "wave_id": wave.id,
        "follow_up_id": follow_up.id,
    }


def test_a_rival_gets_404_for_every_object_and_reads_nothing(
    app: Flask, browse: Browse, objects: dict[str, uuid.UUID]
) -> None:
    rival, asked = browse(mia()), 0
    for rule in app.url_map.iter_rules():
        needed = rule.arguments & set(objects)
        if not needed or rule.endpoint.startswith("content.recipient"):
            continue
        path = rule.rule
        for name, key in objects.items():
            path = path.replace(f"<uuid:{name}>", str(key))
        path = re.sub(r"<int:\w+>", "1", path).replace("<name>", "withdraw")
        for method in rule.methods or ():
            if method == "OPTIONS":
                continue
            asked += 1
            answer = rival.open(path, method=method, data={} if method == "POST" else None)
            assert answer.status_code == 404, f"{method} {path}"
            for secret in SECRETS:
                assert secret not in answer.text, f"{method} {path} shows {secret}"
    assert asked > 40


def test_a_rivals_own_pages_show_nothing_of_it(
    browse: Browse, objects: dict[str, uuid.UUID]
) -> None:
    rival = browse(mia())
    for path in (
        "/",
        "/library",
        "/deals",
        "/deals.csv",
        "/leads",
        "/leads.csv",
        "/shares",
        "/account",
        "/account/notices",
        "/deals/protections.ics",
    ):
        answer = rival.get(path)
        assert answer.status_code == 200
        for secret in SECRETS:
            assert secret not in answer.text, path
    for path in (
        "/surveys", "/surveys/follow-ups", "/people", "/jobs", "/reports/content",
        "/reports/vega.js", "/deals/import",
        "/reports/results", "/deals/export.csv", "/partners/import", "/people/import",
        "/people/held", "/baselines/import", "/reports/baselines", "/reports/results/behind/won",
        "/deals/customers", "/deals/accounts", "/accounts/import",
        "/deals/queue", "/account/absence",
        "/leads/rules", "/leads/import", "/reports/leads", "/reports/leads/leads.csv",
        "/reports/leads/behind/mql", "/reports/leads/behind/mql.csv", "/reports/rates",
        "/reports/rates.csv", "/rates/import",
    ):  # fmt: skip
        assert rival.get(path).status_code == 404


def test_a_partner_page_is_the_same_with_and_without_a_rivals_deal(browse: Browse) -> None:
    make_family()
    before = text_of(browse(mia()).get("/deals")), text_of(browse(mia()).get("/"))
    register(browse, lena())
    assert (text_of(browse(mia()).get("/deals")), text_of(browse(mia()).get("/"))) == before
