"""The report on deals."""

from __future__ import annotations

from collections import Counter
from functools import partial

from flask import Response, jsonify, request, url_for
from flask_babel import gettext as _

from portal import clock
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.deals import listing
from portal.errors import NotFound
from portal.reports import charts, pipeline
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


@bp.get("/reports/charts/pipeline.json")
@vendor_only
def pipeline_chart() -> Response:
    """Open deals by the month they are expected in, of the currency that most of them have."""
    found = listing.lines(db.session(), current_user(), listing.filters_of(request.args))
    open_lines = [line for line in found if line.is_open]
    most = Counter(line.value[1] for line in open_lines).most_common(1)
    currency = most[0][0] if most else ""
    months = [
        {"month": f"{row.month}-01", "n": row.totals.get(currency, 0) / 100}
        for row in listing.by_month(open_lines, clock.local_day(clock.now(), zone()))
        if row.month not in ("", listing.OVERDUE)
    ]
    return jsonify(charts.pipeline(months, currency))
