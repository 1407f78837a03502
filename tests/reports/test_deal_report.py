"""The report on deals: filters, parts, the rows behind a number, content before a deal, where they
stop, and the time before the portal."""

from __future__ import annotations

import io
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.accounts.models import Partner
from portal.accounts.service import zone
from portal.content.models import ShareLink
from portal.db import db, new_id, write
from portal.deals.customer_models import KnownAccount
from portal.reports import definitions, outcomes, pipeline
from portal.reports.baselines import Metric
from portal.reports.filters import Filters
from portal.reports.models import Baseline
from portal.reports.periods import Period
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, register
from tests.deals.test_known_accounts import bring_in
from tests.factories import (
    ZONE,
    days_ago,
    make_asset,
    make_colleagues,
    make_family,
    make_partner,
    make_user,
)
from tests.leads.leads import write_down
from tests.pages import text_of
from tests.people import anna, brandt, jonas, kuehn, lena, mia, otto
from tests.reports.test_reports import rows
from tests.tracking import reports
from tests.tracking.test_rollups import read, rebuild

YEAR = timedelta(days=365)


def found(**filters: Any) -> outcomes.Outcomes:
    """What became of the deals of the last year."""
    db.session.rollback()
    today = clock.local_day(clock.now(), zone())
    period = Period(today - YEAR, today + timedelta(days=1), "days")
    return outcomes.found(db.session(), period, zone(), Filters(**filters))


def figures(browse: Browse, table: str, query: str = "period=12m") -> dict[str, dict[str, str]]:
    """The rows of a table of figures, by what they are called."""
    answer = browse(anna()).get(f"/reports/results/{table}.csv?{query}")
    return {row["What"]: row for row in rows(answer)}


def win(browse: Browse, key: uuid.UUID, amount: str = "900", currency: str = "EUR") -> None:
    """The deal is approved, won, and the win confirmed."""
    approve(browse, key)
    order = {
        "amount": amount,
        "currency": currency,
        "won_on": clock.local_day(clock.now(), ZONE).isoformat(),
    }
    for person in (lena(), anna()):
        browse(person).post(f"/deals/{key}/won", data=order)


def place(partner: Partner, tier: str, region: str) -> None:
    """Give a partner today's tier and region."""
    with write((Partner, partner.id)) as session:
        row = session.get_one(Partner, partner.id)
        row.tier, row.region = tier, region


def test_filters_parts_and_the_rows_behind_agree(browse: Browse) -> None:
    place(kuehn(), "Gold", "DACH")
    place(brandt(), "Silver", "Nordics")
    won = register(browse, lena(), customer_name="Won AG")
    win(browse, won)
    register(browse, lena(), customer_name="Waiting AG")
    register(browse, mia(), customer_name="Rival AG")
    manager = browse(anna())
    for query, names in {
        "": {"Won AG", "Waiting AG", "Rival AG"},
        "&tier=Gold": {"Won AG", "Waiting AG"},
        "&region=Nordics": {"Rival AG"},
        f"&partner={brandt().id}": {"Rival AG"},
        "&tier=Gold&region=Nordics": set(),
    }.items():
        registered = figures(browse, "results-registrations", f"period=3m{query}")["Registrations"]
        behind = rows(manager.get(f"/reports/results/behind/registrations.csv?period=3m{query}"))
        assert {row["Customer"] for row in behind} == names
        assert int(registered["Value"]) == int(registered["n"]) == len(names)
    page = manager.get("/reports/results?period=3m&tier=Gold")
    assert '<option value="Gold" selected>' in page.text
    assert "2 registrations. Half are decided within 0 business hours, 1 of 1" in text_of(page)
    assert "1 won and 0 lost, 0 still open. Revenue € 900." in text_of(page).replace("\xa0", " ")
    # Periods, files and rows keep what was chosen.
    assert 'href="?period=12m&amp;tier=Gold"' in page.text
    assert "/reports/results/results-months.csv?period=3m&amp;tier=Gold" in page.text
    links = re.findall(r'href="(/reports/results/behind/[^"]+)"', page.text)
    assert len(set(links)) > 20
    for link in set(links):
        assert "tier=Gold" in link
        assert manager.get(link.replace("&amp;", "&")).status_code == 200
    assert "Won AG" in text_of(manager.get("/reports/results/behind/won?period=3m"))
    tiers = rows(manager.get("/reports/results/results-tiers.csv?period=3m"))
    assert {row["Tier"]: row["Registrations"] for row in tiers} == {"Gold": "2", "Silver": "1"}
    for path in ("results/behind/nonsense", "results?partner=nonsense", "results/nonsense.csv"):
        assert manager.get(f"/reports/{path}").status_code == 404
    for path in ("/reports/results", "/reports/results/behind/won", "/reports/baselines"):
        assert browse(lena()).get(path).status_code == 404
        assert browse(lena()).get(f"{path}.csv").status_code == 404


def test_every_figure_has_its_definition_its_n_and_the_part_adds_up(
    app: Flask, browse: Browse
) -> None:
    for currency in ("EUR", "CHF"):
        win(browse, register(browse, lena(), customer_name=currency), "1 200", currency)
    known = {one.anchor for one in definitions.every()}
    with app.test_request_context():
        here = found()
        for name, make in pipeline.TABLES.items():
            table = make(here)
            assert table.name == name
            assert {column.anchor for column in table.columns if column.anchor} <= known
            for row in table.rows:
                assert row.get("about", "n") in known
        values = outcomes.as_json(here)
    assert set(values["n"]) <= values.keys()
    shares = {key for key, value in values.items() if isinstance(value, float)}
    assert shares <= values["n"].keys()
    for name, parts in values["by"].items():
        for key in ("won", "lost", "registrations"):
            assert sum(part[key] for part in parts.values()) == values[key], (name, key)
    assert values["revenue"] == {"CHF": "1200.00", "EUR": "1200.00"}
    # Nobody here knew these customers before: the partner brought them.
    assert values["revenue_by_currency"]["EUR"]["sourced"] == "1200.00"
    money = figures(browse, "results-revenue")
    assert money["Revenue in EUR"]["Value"] == "€\xa01\u202f200"
    assert "needs 4 more partners" in money["Median of the partners that won"]["Note"]


def test_a_customer_is_sourced_until_the_vendor_has_a_contact_of_its_own(
    app: Flask, browse: Browse
) -> None:
    write_down(
        browse, anna(), email="ole@werft.example", company="Werft GmbH", contact="Ole", country="DE"
    )
    names = ("Hafen", "Brandt", "Werft GmbH")
    keys = [register(browse, lena(), customer_name=name, domain="") for name in names]
    with app.test_request_context():
        db.session.rollback()
        bring_in("id,name,country,since\n1,Brandt,DE,2026-03-05\n2,Hafen,DE,\n")
    for key in keys:
        assert approve(browse, key).status_code == 302
    facts = {one.id: one for one in found().results.deals}
    # Brandt was known long before, Hafen since the day of its approval, the yard by a lead.
    assert [facts[key].sourced for key in keys] == [False, False, False]
    # Had the list said that Hafen was first contacted on a later day, the partner was there before.
    with write() as session:
        row = session.query(KnownAccount).filter_by(external_id="2").one()
        row.first_contact = clock.local_day(clock.now(), ZONE) + timedelta(days=1)
    assert {one.id: one for one in found().results.deals}[keys[0]].sourced is True


def test_a_customer_of_another_partner_is_sourced_and_not_new_to_its_own(browse: Browse) -> None:
    win(browse, register(browse, lena(), customer_name="Hafen"))
    valves = str(make_family("Valves").id)
    second = register(
        browse, lena(), customer_name="Hafen", deal_type="upsell", product_family=valves
    )
    customer = found().results.won[0].customer_id
    browse(otto()).post(f"/deals/{second}/move/take_in_review")
    answer = browse(otto()).post(f"/deals/{second}/approve", data={"customer": str(customer)})
    assert answer.status_code == 302, text_of(answer)
    facts = {one.id: one for one in found().results.deals}
    assert (facts[second].sourced, facts[second].new_business) == (True, False)
    assert facts[second].kind == "upsell"


def test_content_before_a_registration_counts_by_family_without_what_few_read(
    app: Flask, browse: Browse
) -> None:
    pumps, valves = make_family("Pumps"), make_family("Valves")
    asset = make_asset("About pumps", families=(pumps,))
    make_colleagues(kuehn(), 3)
    # As many lonely readers as it takes for nobody else's reading to be withheld with theirs.
    lonely, *others = (make_user(partner=make_partner(f"Lonely {n}")) for n in range(3))
    with clock.at(clock.now() - timedelta(days=3)):
        for person in (lena(), lonely, *others):
            read(person, asset, 12)
    rebuild()
    keys = {}
    for person, family in ((lena(), pumps), (lena(), valves), (lonely, pumps)):
        answer = browse(person).post("/deals/new", data=claim(product_family=str(family.id)))
        keys[person.name, family.name] = uuid.UUID(answer.location.rsplit("/", 1)[1])
    with app.test_request_context():
        assert found().assisted == {keys[lena().name, "Pumps"]}
        assert "without what 3 partners with few people read" in text_of(
            browse(anna()).get("/reports/results?period=12m")
        )
    # What somebody who is alone did on purpose counts: it is no reading.
    with clock.at(clock.now() - timedelta(days=3)):
        browse(lonely).post(f"/library/{asset.id}/share", data={"recipient": "X", "days": "90"})
    rebuild()
    with app.test_request_context():
        assert found().assisted == {keys[lena().name, "Pumps"], keys[lonely.name, "Pumps"]}


def test_content_shared_with_the_customer_before_closing_names_nobody(browse: Browse) -> None:
    asset = make_asset()
    data = {"recipient": "Hafen Emden", "days": "90"}
    browse(lena()).post(f"/library/{asset.id}/share", data=data)
    browse(mia()).post(f"/library/{asset.id}/share", data={**data, "recipient": "Stadtwerke"})
    for customer in ("HAFEN EMDEN", "Stadtwerke"):
        win(browse, register(browse, lena(), customer_name=customer))
    row = figures(browse, "results-registrations")[
        "Content shared with this customer before closing"
    ]
    # The link to Stadtwerke is another partner's.
    assert row["Value"] == "50% · 1 of 2"
    stops = browse(anna()).get("/reports/results/results-customers-stop.csv?period=12m").text
    assert "Link sent,2 of 2,1" in stops
    assert "Won,1 of 2,1" in stops
    assert "Emden" not in stops


def test_the_page_up_to_which_customers_read_is_told_by_link_and_names_nobody(
    app: Flask, browse: Browse
) -> None:
    asset = make_asset("About pumps")
    links = []
    for name in ("Hafen Emden", "Stadtwerke", "Werft", "Nobody"):
        data = {"recipient": name, "days": "90"}
        links.append(browse(lena()).post(f"/library/{asset.id}/share", data=data).location)
    shares = {link.recipient.name: link for link in db.session.query(ShareLink) if link.recipient}
    # Emden reads pages 1 and 2 and leafs through 4; the others read up to page 4, and page 1.
    for name, pages in {
        "Hafen Emden": {1: 5000, 2: 2000, 4: 1999}, "Stadtwerke": {4: 9000}, "Werft": {1: 100},
    }.items():  # fmt: skip
        token = reports.token_for(
            lena(), asset, audience="customer", share_id=shares[name].id, subject=new_id()
        )
        lines = [reports.row(reports.slot_now(), page, active=ms) for page, ms in pages.items()]
        assert reports.post(token, *lines, activated=clock.now_ms()).status_code == 200
    # Who goes on to buy does not stop reading.
    register(browse, lena(), customer_name="Stadtwerke")
    path = "/reports/results/results-pages-stop.csv?period=12m"
    told = rows(browse(anna()).get(path))
    assert {row["Read up to page"]: row["Stopped here"] for row in told} == {
        "2 of 5": "1 of 2", "opened, no page read": "1 of 2",
    }  # fmt: skip
    page = browse(anna()).get("/reports/results?period=12m").text
    for name in shares:
        assert name not in browse(anna()).get(path).text
        assert name == "Stadtwerke" or name not in page
    assert rows(browse(anna()).get(f"{path}&partner={brandt().id}")) == []


def test_where_partners_stop_is_the_last_step_that_each_has_taken(
    app: Flask, browse: Browse
) -> None:
    jonas()
    register(browse, lena())
    browse(mia()).get("/")
    make_user(partner=make_partner("Never here"))
    table = rows(browse(anna()).get("/reports/results/results-partners-stop.csv?period=12m"))
    stops = {row["Step"]: (row["Came this far"], row["Stop here"]) for row in table}
    assert stops["Had access"] == ("3 of 3", "1")
    assert stops["Signed in"] == ("2 of 3", "1")
    assert stops["Registered a deal"] == ("1 of 3", "1")
    assert sum(int(n) for _came, n in stops.values()) == 3


def test_a_month_of_the_report_leads_to_its_days(browse: Browse) -> None:
    register(browse, lena())
    page = browse(anna()).get("/reports/results?period=3m&tier=Gold")
    months = re.findall(r'<a href="(/reports/results\?from=[^"]+)">\w{3} \d{4}</a>', page.text)
    assert len(months) in (3, 4)
    assert all("tier=Gold" in month for month in months)
    assert "1 registration." in text_of(browse(anna()).get(months[0].replace("&amp;", "&")))


def test_drafts_left_alone_for_two_weeks_are_counted_and_not_shown(browse: Browse) -> None:
    with clock.at(clock.now() - timedelta(days=20)):
        browse(lena()).post("/deals/new", data=claim(customer_name="Secret AG", then="draft"))
    browse(lena()).post("/deals/new", data=claim(customer_name="Fresh AG", then="draft"))
    assert figures(browse, "results-registrations")["Drafts abandoned"]["Value"] == "1"
    other = f"period=12m&family={make_family('Other').id}"
    assert figures(browse, "results-registrations", other)["Drafts abandoned"]["Value"] == "0"
    assert "Secret AG" not in text_of(browse(anna()).get("/reports/results?period=12m"))


# --- the time before the portal -----------------------------------------------------------------


MONTHS = """Month;Metric;Value;Partner;Currency
2020-01;registrations;30;;
02/2020;registrations;32;;
Mar 2020;Deal registrations;31;;
2020-03;revenue;12.400,50;;CHF
2020-03;cycle_days;87,5;;
2020-03;satisfaction_company;7,5;;
2020-03;content_activities;45;;
2020-03;mqls;12;Kühn Technik;
2020-03;mqls;8;Brandt Pumpen;
"""


def upload(browse: Browse, text: str, then: str = "import") -> Any:
    """Upload figures of before."""
    manager = browse(anna())
    file = (io.BytesIO(text.encode()), "before.csv")
    path = manager.post("/baselines/import", data={"file": file}).location
    return path, manager.post(path, data={"then": then}, follow_redirects=True)


def test_figures_of_before_are_imported_and_stand_beside_the_reports(browse: Browse) -> None:
    kuehn(), brandt()
    assert "9 are new." in text_of(upload(browse, MONTHS)[1])
    assert "9 were there already." in text_of(upload(browse, MONTHS)[1])
    register(browse, lena())
    note = figures(browse, "results-registrations")["Registrations"]["Note"]
    assert "before the portal: 31 a month (Jan 2020 to Mar 2020, entered by Anna Keller" in note
    cycle = figures(browse, "results")["Deal cycle, mean of the wins"]["Note"]
    assert "before the portal: 87.5 days (Mar 2020" in cycle
    money = figures(browse, "results-revenue")["Revenue"]["Note"]
    assert "before the portal: CHF\xa012\u202f400.50 a month" in money
    overview = text_of(browse(anna()).get("/"))
    assert "0 in the period before; before the portal: 31 a month" in overview
    assert "1 to 10; Company, before the portal: 7.5." in overview
    assert "All together before the portal: 45 a month (Mar 2020, entered by" in overview
    # Of some deals only nothing of before is known.
    some = figures(browse, "results-registrations", "period=12m&tier=Gold")["Registrations"]
    assert "before" not in some["Note"]
    out = browse(anna()).get("/reports/baselines.csv").text
    assert '2020-03,mqls,8.00,Brandt Pumpen,,"Anna Keller, from before.csv"' in out
    again = upload(browse, out.lstrip("\ufeff"), "look")[1]
    assert "9 were there already." in text_of(again)


def test_every_figure_of_before_that_can_be_entered_is_read_back(browse: Browse) -> None:
    kuehn()
    values = {metric: str(number) for number, metric in enumerate(Metric, 11)}
    values |= {Metric.satisfaction_company: "7.1", Metric.satisfaction_experience: "7.2"}
    lines = [f"2020-03,{metric},{value},CHF" for metric, value in values.items()]
    lines = [line if "revenue" in line else line.removesuffix("CHF") for line in lines]
    upload(browse, "\n".join(["month,metric,value,currency", *lines]))
    pages = " ".join(
        text_of(browse(anna()).get(path))
        for path in ("/", "/reports/results?period=12m", "/reports/leads?period=12m")
    )
    for metric, value in values.items():
        assert re.search(rf"before the portal: \D{{0,5}}{value}\b", pages), metric


def test_rows_of_before_that_cannot_be_used_are_refused(browse: Browse) -> None:
    text = "\n".join([
        "month,metric,value,partner,currency",
        "2020-13,registrations,3,,", "2090-01,registrations,3,,", "2020-01,happiness,3,,",
        "2020-01,registrations,3.5,,", "2020-01,registrations,many,,", "2020-01,registrations,,,",
        "2020-01,satisfaction_company,11,,", "2020-01,revenue,5,,XYZ",
        "2020-01,registrations,5,Nobody,", "2020-01,close_rate,45%,,", "2020-01,close_rate,46,,",
    ])  # fmt: skip
    path, answer = upload(browse, text)
    assert "1 is new." in text_of(answer)
    refused = rows(browse(anna()).get(f"{path}/refused.csv"))
    for row, part in zip(
        refused,
        ("written like 2020-03", "not over yet", "is no metric. Known are: upsell_rate",
         "whole numbers", "no number: many", "value is missing", "between 1 and 10", "no currency",
         "no partner Nobody", "Line 11 has the same"),
        strict=True,
    ):  # fmt: skip
        assert part.replace("2020-03", "2026-03") in row["reason"], row


def test_a_manager_enters_a_month_and_earlier_versions_stay(browse: Browse) -> None:
    manager = browse(anna())
    first = {"month": "2020-05", "registrations": "31", "revenue": "5 000", "currency": "EUR"}
    assert "2 figures saved." in text_of(
        manager.post("/reports/baselines", data=first, follow_redirects=True)
    )
    assert 'value="31"' in manager.get("/reports/baselines?month=2020-05").text
    second = {**first, "registrations": "33", "revenue": ""}
    browse(otto()).post("/reports/baselines", data=second)
    page = text_of(manager.get("/reports/baselines"))
    assert "May 2020 Deal registrations 33 all together Otto Lang" in page
    assert "May 2020, Deal registrations: 31 Anna Keller" in page
    assert "taken back" in page
    assert db.session.query(Baseline).count() == 4
    bad = {**first, "registrations": "lots", "satisfaction_company": "7,5"}
    answer = manager.post("/reports/baselines", data=bad)
    assert answer.status_code == 400
    assert "This is no number: lots" in text_of(answer)
    assert 'value="7,5"' in answer.text
    for month in ("2090-01", "soon"):
        assert manager.post("/reports/baselines", data={"month": month}).status_code == 400
    db.session.rollback()
    assert db.session.query(Baseline).count() == 4


@pytest.mark.parametrize("missing", [20, 3])
def test_what_an_interval_needs_is_said_with_about_when(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    monkeypatch.setattr(pipeline, "MIN_DEALS", missing + 1)
    win(browse, register(browse, lena()))
    note = figures(browse, "results", "period=30d")[
        "Close rate: won of won and lost, by the day of closing"
    ]["Note"]
    until = clock.local_day(clock.now(), zone()) + timedelta(days=1 + missing * 30)
    assert f"an interval needs {missing} more closed deals, about {until.day} " in note


@pytest.mark.parametrize("missing", [1, 2])
def test_what_ripens_is_there_on_a_day_that_is_certain_or_about_when(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """One deal is qualified and one customer won: the second comes in 30 days, at this pace."""
    monkeypatch.setattr(pipeline, "MIN_DEALS", missing)
    win(browse, register(browse, lena()))
    today = clock.local_day(clock.now(), zone())

    def said(days: int, text: str) -> str:
        later = today + timedelta(days=days)
        return text.format(f"{later.day} {later:%b %Y}")

    qualified = figures(browse, "results", "period=30d")[
        "Close rate: won within 180 days of becoming qualified"
    ]["Note"]
    customers = figures(browse, "results-growth", "period=30d")[
        "Existing customers with an upsell"
    ]["Note"]
    if missing == 1:
        assert said(181, "1 more deal old enough: on {}; 1 is maturing") in qualified
        assert said(1, "1 more customer: in periods from {} on") in customers
    else:
        assert said(31 + 181, "2 more deals old enough, about {} at this pace") in qualified
        assert said(31 + 1, "2 more customers: in periods from about {} on") in customers
    # Before that day it is not told, on it it is.
    for days, n in ((180, 0), (181, 1)):
        with clock.at(days_ago(-days)):
            period = f"from={today}&to={today}"
            line = figures(browse, "results", period)[
                "Close rate: won within 180 days of becoming qualified"
            ]
        assert int(line["n"]) == n
