"""The report on leads."""

from __future__ import annotations

from flask import Response, request
from flask_babel import gettext as _

from portal import paging
from portal.accounts.access import current_user, vendor_only
from portal.errors import NotFound
from portal.reports import leads
from portal.reports.deal_views import found_asked, results_page
from portal.reports.outcomes import Outcomes
from portal.reports.views import bp
from portal.tables import Table, csv_response


@bp.get("/reports/leads")
@vendor_only
def lead_report() -> str:
    """What became of leads in a period: new, MQL, SQL, and which parts they are of."""
    found = found_asked()
    tables = [make(found) for make in leads.TABLES.values()]
    return results_page(found, tables, _("Leads"), "reports.leads_csv")


@bp.get("/reports/leads/<name>.csv")
@vendor_only
def leads_csv(name: str) -> Response:
    """One of its tables as a file."""
    if name not in leads.TABLES:
        raise NotFound(_("There is no such report."))
    return csv_response(leads.TABLES[name](found_asked()))


@bp.get("/reports/leads/behind/<name>")
@vendor_only
def leads_behind(name: str) -> str:
    """The leads that a number is made of, a page at a time."""
    found = found_asked()
    table = _behind(found, name)
    page = paging.page_of(table.rows, request.args)
    shown = table.part((page.number - 1) * paging.SIZE, page.number * paging.SIZE)
    return results_page(found, [shown], table.title, "reports.leads_behind_csv", page=page)


@bp.get("/reports/leads/behind/<name>.csv")
@vendor_only
def leads_behind_csv(name: str) -> Response:
    """The same as a file, all of them."""
    return csv_response(_behind(found_asked(), name.removeprefix("leads-")))


def _behind(found: Outcomes, name: str) -> Table:
    if name not in leads.BEHIND:
        raise NotFound(_("There is no such report."))
    return leads.behind(found, name, current_user())
