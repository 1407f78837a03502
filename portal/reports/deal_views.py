"""The report on deals."""

from __future__ import annotations

from functools import partial

from flask import Response, url_for
from flask_babel import gettext as _

from portal.accounts.access import vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.errors import NotFound
from portal.reports import pipeline
from portal.reports.views import bp, period_asked, table_page
from portal.tables import csv_response


@bp.get("/reports/results")
@vendor_only
def results() -> str:
    """What became of deals in a period: close rate, cycle, revenue, registrations."""
    period = period_asked()
    tables = pipeline.tables(db.session(), period, zone())
    return table_page(tables, period, _("Deals"), partial(url_for, "reports.results_csv"))


@bp.get("/reports/results/<name>.csv")
@vendor_only
def results_csv(name: str) -> Response:
    """One of its tables as a file."""
    for table in pipeline.tables(db.session(), period_asked(), zone()):
        if table.name == name:
            return csv_response(table)
    raise NotFound(_("There is no such report."))
