"""Leads that people write down: seen by whom they concern, scored, and made into deals."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from typing import Any

from flask import Flask

from portal import clock, jobs
from portal.db import db
from portal.deals.models import Deal
from tests.conftest import Browse
from tests.content.test_sharing import share
from tests.deals.test_deals import approve, claim, register
from tests.factories import ZONE, make_family
from tests.leads.leads import lead_of, write_down
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia


def test_a_partner_writes_a_lead_down_and_the_vendor_sees_it(browse: Browse) -> None:
    lead_id = write_down(browse, lena(), phone="+49 4921 1", country="DE")
    for person in (lena(), jonas(), anna()):
        page = text_of(browse(person).get(f"/leads/{lead_id}"))
        assert "Hafen Emden" in page
        assert "ole@hafen.example" in page
        assert "Lena Kühn brought it in" in page
    assert "Hafen Emden" in text_of(browse(anna()).get("/leads?source=partner"))
    assert "No lead fits" in text_of(browse(anna()).get("/leads?source=hand"))
    assert "Entered by a partner" in browse(anna()).get("/leads.csv").text
    assert browse(mia()).get(f"/leads/{lead_id}").status_code == 404


def test_bad_input_is_said_and_nothing_is_lost(browse: Browse) -> None:
    answer = browse(lena()).post("/leads/new", data={"contact": "Ole", "email": "x"})
    assert answer.status_code == 400
    for words in ("Say which company it is.", "This is not an e-mail address", 'value="Ole"'):
        assert words in answer.text
    for path in ("/leads?partner=x&stage=x&source=x&page=x", "/leads?partner=none"):
        assert browse(anna()).get(path).status_code == 200
    for path in ("/leads/new?share=x", "/deals/new?lead=x"):
        assert browse(lena()).get(path).status_code == 404


def test_a_link_for_a_customer_becomes_a_lead_in_two_touches(browse: Browse) -> None:
    link = share(browse, lena())
    assert f"/leads/new?share={link.id}" in browse(lena()).get(f"/shares/{link.id}").text
    page = browse(lena()).get(f"/leads/new?share={link.id}")
    assert 'value="Stadtwerke Lingen"' in page.text
    answer = browse(lena()).post(
        f"/leads/new?share={link.id}", data={"company": "Stadtwerke Lingen"}
    )
    lead = lead_of(uuid.UUID(answer.location.rsplit("/", 1)[1]))
    assert (lead.share_id, lead.recipient_id) == (link.id, link.recipient_id)
    assert browse(mia()).get(f"/leads/new?share={link.id}").status_code == 404


def test_it_is_accepted_given_up_and_reopened(browse: Browse) -> None:
    lead_id = write_down(browse, lena())
    mine = browse(lena())
    assert mine.post(f"/leads/{lead_id}/move/accept").status_code == 302
    assert "Sales-ready" in text_of(mine.get(f"/leads/{lead_id}"))
    refused = mine.post(f"/leads/{lead_id}/move/accept")
    assert refused.status_code == 409
    assert "sales-ready already" in text_of(refused)
    without = mine.post(f"/leads/{lead_id}/give-up/disqualify", data={"note": "They said no"})
    assert without.status_code == 400
    assert "Please choose a reason." in text_of(without)
    assert "They said no" in without.text
    data = {"reason_code": "no_budget", "note": "They said no"}
    mine.post(f"/leads/{lead_id}/give-up/disqualify", data=data)
    shown = text_of(browse(anna()).get(f"/leads/{lead_id}"))
    assert "No budget “They said no”" in shown
    assert browse(anna()).post(f"/leads/{lead_id}/move/reopen").status_code == 302
    assert lead_of(lead_id).stage == "new"
    assert mine.post(f"/leads/{lead_id}/move/qualify").status_code == 404


def test_a_deal_is_prefilled_keeps_its_lead_and_converts_it(browse: Browse) -> None:
    family = make_family("Valves")
    with clock.at(clock.now() - timedelta(days=40)):
        came = clock.local_day(clock.now(), ZONE)
        lead_id = write_down(browse, lena(), country="AT", product_family=str(family.id))
    mine = browse(lena())
    page = mine.get(f"/deals/new?lead={lead_id}").text
    for words in ("Hafen Emden", "Ole Harms, ole@hafen.example", f'value="{came}"'):
        assert words in page
    assert 'selected value="AT"' in page
    assert f'selected value="{family.id}"' in page
    data = claim(customer_name="Hafen Emden", first_contact=str(clock.local_day(clock.now(), ZONE)))
    # A draft converts nothing.
    mine.post(f"/deals/new?lead={lead_id}", data={**data, "then": "draft"})
    assert lead_of(lead_id).stage == "new"
    draft = db.session.query(Deal).one()
    assert draft.lead_id == lead_id
    mine.post(f"/deals/{draft.id}/move/submit")
    lead = lead_of(lead_id)
    assert lead.stage == "converted"
    # The first contact is no later than the day the lead came in.
    assert db.session.get_one(Deal, draft.id).first_contact == came
    assert f'href="/leads/{lead_id}"' in mine.get(f"/deals/{draft.id}").text
    # A second deal of the same lead is fine, and changes the lead no more.
    assert mine.post(f"/deals/new?lead={lead_id}", data=data).status_code == 302
    assert browse(mia()).get(f"/deals/new?lead={lead_id}").status_code == 404
    assert browse(mia()).post(f"/deals/new?lead={lead_id}", data=data).status_code == 404


def test_a_lead_that_was_given_up_does_not_stop_its_deal(browse: Browse) -> None:
    lead_id = write_down(browse, lena())
    mine = browse(lena())
    mine.post(f"/leads/{lead_id}/give-up/disqualify", data={"reason_code": "no_need"})
    assert mine.post(f"/deals/new?lead={lead_id}", data=claim()).status_code == 302
    assert lead_of(lead_id).stage == "converted"


def test_who_it_is_can_be_changed_and_erased(browse: Browse) -> None:
    lead_id = write_down(browse, lena(), note="Ole wants pumps")
    mine = browse(lena())
    mine.post(f"/leads/{lead_id}/edit", data={"company": "Hafen Emden", "contact": "Ole Harms II"})
    assert "Ole Harms II" in text_of(mine.get(f"/leads/{lead_id}"))
    data = {"reason_code": "other", "note": "Ole is ill"}
    mine.post(f"/leads/{lead_id}/give-up/disqualify", data=data)
    assert mine.post(f"/leads/{lead_id}/erase").status_code == 409
    assert mine.post(f"/leads/{lead_id}/erase", data={"sure": "1"}).status_code == 302
    for person in (lena(), anna()):
        page = text_of(browse(person).get(f"/leads/{lead_id}"))
        assert "who this was is no longer known" in page
        assert "Ole" not in page
        assert "Emden" not in page
    assert mine.get(f"/leads/{lead_id}/edit").status_code == 409


def test_who_wrote_it_down_finds_it_in_what_is_recorded(browse: Browse) -> None:
    write_down(browse, lena())
    shown = text_of(browse(lena()).get("/account/recorded"))
    assert "Wrote down a lead Hafen Emden" in shown


# --- rules ----------------------------------------------------------------------------------------


def rules(**more: Any) -> dict[str, str]:
    """Rules as the form sends them: ten points for a company in Germany, to gold partners."""
    return {
        "version": "1",
        "threshold": "10",
        "accept_hours": "24",
        "scoring-0-what": "country",
        "scoring-0-value": "DE",
        "scoring-0-points": "10",
        "scoring-1-what": "",
        "assignment-0-use": "y",
        "assignment-0-region": "",
        "assignment-0-tier": "Gold",
        **more,
    }


def test_a_manager_sets_rules_and_every_version_is_kept(app: Flask, browse: Browse) -> None:
    lead_id = write_down(browse, lena(), country="DE")
    assert jobs.run_now("qualify_leads") == 0
    manager = browse(anna())
    assert manager.post("/leads/rules", data=rules()).status_code == 302
    page = text_of(manager.get("/leads/rules"))
    for words in ("Version 2 in force", "Anna Keller", "Version 1", "Country DE 10"):
        assert words in page
    shown = text_of(manager.get(f"/leads/{lead_id}"))
    assert "Score 10" in shown
    assert jobs.run_now("qualify_leads") == 1
    assert "score 10, rules version 2" in text_of(manager.get(f"/leads/{lead_id}"))
    # Whoever began with an older version is told.
    late = manager.post("/leads/rules", data=rules(threshold="99"))
    assert late.status_code == 409
    assert "changed the rules meanwhile" in text_of(late)


def test_rules_that_make_no_sense_are_refused_and_kept_on_the_page(browse: Browse) -> None:
    for wrong, sentence in (
        ({"threshold": "0"}, "between 1"),
        ({"scoring-0-points": ""}, "Say how many points it brings."),
        ({"scoring-0-points": "101"}, "between -100 and 100"),
        ({"scoring-0-half_life": "-1"}, "between 1"),
        ({"scoring-0-what": "company"}, "Only source, country, region"),
    ):
        answer = browse(anna()).post("/leads/rules", data=rules(**wrong))
        assert answer.status_code == 400, wrong
        assert sentence in text_of(answer)
        assert "Version 2" not in text_of(answer)
    assert browse(lena()).get("/leads/rules").status_code == 404


# --- numbers --------------------------------------------------------------------------------------


def figures(browse: Browse, query: str = "period=12m") -> dict[str, dict[str, str]]:
    """The report on leads, by partner."""
    text = browse(anna()).get(f"/reports/leads/leads.csv?{query}").text.lstrip("\ufeff")
    return {row["Partner"]: row for row in csv.DictReader(io.StringIO(text))}


def test_the_report_counts_each_stage_once_and_leaves_young_ones_out(
    app: Flask, browse: Browse
) -> None:
    start = clock.now() - timedelta(days=200)
    with clock.at(start) as forward:
        browse(anna()).post("/leads/rules", data=rules())
        in_time, late = (
            write_down(browse, lena(), country="DE", company=name)
            for name in ("Hafen Emden", "Werft Emden")
        )
        assert jobs.run_now("qualify_leads") == 2
        forward(timedelta(days=90))
        browse(lena()).post(f"/leads/{in_time}/move/accept")
        forward(timedelta(days=1))
        browse(lena()).post(f"/leads/{late}/move/accept")
        browse(lena()).post(f"/leads/{late}/give-up/disqualify", data={"reason_code": "other"})
        browse(lena()).post(f"/leads/{late}/move/reopen")
        jobs.run_now("qualify_leads")
        forward(timedelta(days=60))
        write_down(browse, mia(), country="DE", company="Zoo Ulm")
        jobs.run_now("qualify_leads")
    found = figures(browse)
    assert list(found) == ["All partners", "Kühn Technik", "Brandt Pumpen"]
    wanted = {"New": "3", "Qualified (MQL)": "3", "Sales-ready (SQL)": "2", "Maturing": "1"}
    everybody = found["All partners"]
    assert {key: everybody[key] for key in wanted} == wanted
    assert everybody["MQL to SQL in 90 days"] == "1 of 2"
    assert found["Brandt Pumpen"]["Maturing"] == "1"
    day = clock.local_day(start + timedelta(days=90), ZONE)
    narrow = figures(browse, f"from={day}&to={day}")
    assert narrow["All partners"]["Sales-ready (SQL)"] == "1"
    assert narrow["All partners"]["New"] == "0"


def test_a_deal_of_a_lead_and_one_without_are_both_sales_ready_once(
    app: Flask, browse: Browse
) -> None:
    lead_id = write_down(browse, lena())
    answer = browse(lena()).post(f"/deals/new?lead={lead_id}", data=claim())
    with_lead = uuid.UUID(answer.location.rsplit("/", 1)[1])
    without = register(browse, lena(), customer_name="Zoo Ulm")
    approve(browse, with_lead)
    approve(browse, without)
    found = figures(browse)["All partners"]
    assert (found["Sales-ready (SQL)"], found["of them without a lead"]) == ("2", "1")
