"""The report on leads: its parts, interval, the time before, and the leads behind each number."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.accounts.models import Partner, Role
from portal.content.models import ProductFamily
from portal.db import new_id, write
from portal.leads.models import Lead, LeadHistory
from portal.reports import leads, outcomes, pipeline
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, register
from tests.factories import ZONE, days_ago, make_family, make_user
from tests.leads.leads import write_down
from tests.pages import text_of
from tests.people import anna, brandt, kuehn, lena, mia
from tests.reports.test_deal_report import found, place, upload
from tests.reports.test_reports import rows


def make_leads(
    n: int, partner: Partner | None, mql: int | None, sql: int | None = None, **more: Any
) -> None:
    """Leads of a year's report that became MQL and SQL so many days ago."""
    named = more.pop("named", True)
    began = days_ago(max(mql or 0, 1) + 1)
    with write() as session:
        for number in range(n):
            lead = Lead(
                id=new_id(), partner_id=partner.id if partner else None, created_at=began,
                source="hand", stage="sql" if sql else "mql" if mql else "new",
                company=f"Firm {mql} {number}", named_at=began if named else None,
                **({"product_family_id": None} | more),
            )  # fmt: skip
            session.add(lead)
            session.flush()
            for at, before, to in ((mql, "new", "mql"), (sql, "mql", "sql")):
                if at is not None:
                    session.add(
                        LeadHistory(
                            id=new_id(), lead_id=lead.id, at=days_ago(at), side="portal",
                            partner_id=lead.partner_id, move="qualify", from_stage=before,
                            to_stage=to,
                        )
                    )  # fmt: skip


def table(browse: Browse, name: str, query: str = "period=12m") -> list[dict[str, str]]:
    """A table of the report as a file."""
    return rows(browse(anna()).get(f"/reports/leads/{name}.csv?{query}"))


def cast(browse: Browse) -> ProductFamily:
    """29 leads that are old enough, of which one came in time; three that mature; one new; and a
    deal without a lead."""
    family = make_family("Valves")
    place(kuehn(), "Gold", "DACH")
    place(brandt(), "Silver", "Nordics")
    make_leads(1, kuehn(), 200, 110, product_family_id=family.id)
    make_leads(1, kuehn(), 200, 109)
    make_leads(27, brandt(), 95)
    make_leads(2, kuehn(), 89)
    make_leads(1, kuehn(), 20, 10)
    make_leads(1, None, None)
    approve(browse, register(browse, lena()))
    return family


def test_the_parts_the_interval_and_the_leads_behind_agree(browse: Browse) -> None:
    family = cast(browse)
    lines = {row["What"]: row for row in table(browse, "lead-figures")}
    # One of 29 with the interval of Wilson, as worked out in the definitions.
    share = lines["MQL to SQL in 90 days"]
    assert (share["Value"], share["n"]) == ("3% · 1 of 29", "29")
    assert share["95 % interval"] == "1% to 17%"
    assert share["Note"] == "3 are maturing"
    assert lines["Qualified (MQL)"]["Value"] == "32"
    assert lines["Sales-ready (SQL), with deals approved without a lead"]["Value"] == "4"
    assert lines["New leads"]["Value"] == "33"
    tiers = {row["Tier"]: row for row in table(browse, "lead-tiers")}
    assert tiers["Gold"]["MQL to SQL in 90 days"] == "1 of 2"
    assert tiers["Silver"]["MQL to SQL in 90 days"] == "0 of 27"
    assert tiers["Silver"]["95 % interval"] == "0% to 12%"
    assert tiers["Nobody has them yet"]["New"] == "1"
    for name, label in (("lead-tiers", "Tier"), ("lead-regions", "Region"),
                        ("lead-families", "Product family"), ("lead-sources", "Source"),
                        ("lead-months", "Month")):  # fmt: skip
        part = table(browse, name)
        assert sum(int(row["Qualified (MQL)"]) for row in part) == 32, label
        assert sum(int(row["Sales-ready (SQL)"]) for row in part) == 4, label
    only = {row["What"]: row for row in table(browse, "lead-figures", "period=12m&region=Nordics")}
    assert only["Qualified (MQL)"]["Value"] == "27"
    of_family = table(browse, "lead-figures", f"period=12m&family={family.id}")
    assert {row["What"]: row["Value"] for row in of_family}["Qualified (MQL)"] == "1"
    manager = browse(anna())
    for name, n in (("new", 33), ("mql", 32), ("ripe", 29), ("maturing", 3)):
        assert len(rows(manager.get(f"/reports/leads/behind/leads-{name}.csv?period=12m"))) == n
        assert manager.get(f"/reports/leads/behind/{name}?period=12m").status_code == 200
    for name, n in (("without-lead", 1), ("qualified", 4)):
        assert len(rows(manager.get(f"/reports/results/behind/{name}.csv?period=12m"))) == n
    for path in ("behind/nothing", "nothing.csv", "behind/nothing.csv"):
        assert manager.get(f"/reports/leads/{path}").status_code == 404
    page = manager.get("/reports/leads?period=12m").text
    for href in ("leads/behind/ripe", "leads/behind/maturing", "results/behind/qualified"):
        assert f'href="/reports/{href}?period=12m"' in page


def test_programs_get_the_same_figures_with_n_interval_and_maturing(
    app: Flask, browse: Browse
) -> None:
    cast(browse)
    values = outcomes.as_json(found())
    assert (values["mql"], values["sql"], values["sql_without_lead"]) == (32, 4, 1)
    assert (values["mql_to_sql"], values["n"]["mql_to_sql"]) == (1 / 29, 29)
    low, high = values["intervals"]["mql_to_sql"]
    assert (round(low, 4), round(high, 4)) == (0.0061, 0.1718)
    assert values["mql_maturing"] == 3
    assert values["sql"] == values["sqls"]
    with app.test_request_context():
        plain = leads.as_json(found())
    assert plain["by"]["region"]["Nordics"]["mql_to_sql"] == (0, 27)
    assert plain["by"]["partner"]["All partners"]["maturing"] == 3
    assert json.loads(json.dumps(plain))["mql"] == 32


def test_the_time_before_stands_beside_the_leads(browse: Browse) -> None:
    kuehn()
    upload(browse, "month,metric,value\n2020-01,mqls,30\n2020-02,mqls,32\n2020-02,sqls,7")
    make_leads(2, kuehn(), 20)
    lines = {row["What"]: row["Note"] for row in table(browse, "lead-figures")}
    assert "before the portal: 31 a month (Jan 2020 to Feb 2020" in lines["Qualified (MQL)"]
    sql = lines["Sales-ready (SQL), with deals approved without a lead"]
    assert "before the portal: 7 a month" in sql
    # Two in twelve months are 0.17 in one, against 31.
    assert lines["Qualified (MQL)"].startswith("now 0.2 a month, -99%; before the portal")
    needs = "an interval needs 20 more leads old enough; 2 are maturing"
    assert lines["MQL to SQL in 90 days"] == needs


def test_who_asked_stays_the_partners_and_so_does_what_about(browse: Browse) -> None:
    family = make_family("Valves")
    make_leads(1, kuehn(), 20, named=False, product_family_id=family.id)
    manager = browse(anna())
    page = text_of(manager.get("/reports/leads/behind/mql?period=12m"))
    assert "A customer of Kühn Technik" in page
    assert "Firm" not in page
    assert [row["Product family"] for row in table(browse, "lead-families")] == [
        "None, or not told yet"
    ]
    some = text_of(manager.get(f"/reports/leads/behind/mql?period=12m&family={family.id}"))
    assert "No lead is behind it." in some


def test_no_partner_sees_the_report(browse: Browse) -> None:
    make_leads(1, kuehn(), 20)
    for person in (lena(), mia(), make_user("Pat", Role.partner_admin, brandt())):
        for path in ("", "/leads.csv", "/behind/mql", "/behind/mql.csv"):
            assert browse(person).get(f"/reports/leads{path}").status_code == 404


def registered_lead(browse: Browse, days: int, accept: bool = False) -> uuid.UUID:
    """Lena registers a deal of a lead so many days ago, after she accepted it or not."""
    with clock.at(days_ago(days + 1)):
        lead_id = write_down(browse, lena(), company=f"Firm {days}")
        if accept:
            browse(lena()).post(f"/leads/{lead_id}/move/accept")
    with clock.at(days_ago(days)):
        contact = clock.local_day(clock.now(), ZONE).isoformat()
        data = claim(customer_name=f"Firm {days}", first_contact=contact)
        answer = browse(lena()).post(f"/deals/new?lead={lead_id}", data=data)
        assert answer.status_code == 302, text_of(answer)
    return uuid.UUID(answer.location.rsplit("/", 1)[1])


def test_a_lead_is_sales_ready_when_it_is_accepted_or_its_deal_approved(browse: Browse) -> None:
    """Submitting a deal is the partner's word alone."""
    waiting, approved = registered_lead(browse, 40), registered_lead(browse, 30)
    registered_lead(browse, 20, accept=True)
    with clock.at(days_ago(10)):
        assert approve(browse, approved).status_code == 302

    def sqls(query: str = "period=12m") -> tuple[str, set[str]]:
        behind = rows(browse(anna()).get(f"/reports/results/behind/qualified.csv?{query}"))
        lines = {row["What"]: row["Value"] for row in table(browse, "lead-figures", query)}
        told = lines["Sales-ready (SQL), with deals approved without a lead"]
        return told, {row["Qualified since"] for row in behind}

    days = {n: clock.local_day(days_ago(n), ZONE).isoformat() for n in (21, 10, 0)}
    assert sqls() == ("2", {days[21], days[10]})
    # None on the days when they were submitted, or accepted only.
    assert sqls(f"from={days[21]}&to={days[21]}") == ("1", {days[21]})
    assert sqls(f"from={days[10]}&to={days[10]}") == ("1", {days[10]})
    assert len(found().results.qualified) == 2
    # No deal of a lead is one without.
    assert approve(browse, waiting).status_code == 302
    assert sqls() == ("3", set(days.values()))
    assert (len(found().results.qualified), len(found().direct)) == (3, 0)


@pytest.mark.parametrize(("least", "days"), [(31, 1), (32, 70), (33, None)])
def test_when_enough_leads_are_old_enough_is_said(
    browse: Browse, monkeypatch: pytest.MonkeyPatch, least: int, days: int | None
) -> None:
    """29 are; two will be tomorrow, one in 70 days; a fourth is not there yet."""
    cast(browse)
    monkeypatch.setattr(pipeline, "MIN_DEALS", least)
    note = {row["What"]: row["Note"] for row in table(browse, "lead-figures")}[
        "MQL to SQL in 90 days"
    ]
    if days is None:
        assert re.match(r"an interval needs 4 more leads old enough, about \d+ \w+ 20\d\d at", note)
    else:
        day = clock.local_day(clock.now(), ZONE) + timedelta(days=days)
        text = f"an interval needs {least - 29} more leads old enough: on {day.day} {day:%b %Y}; "
        assert note == f"{text}3 are maturing"
