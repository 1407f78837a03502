"""The report on deals."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _

from portal import clock, paging
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.deals import listing
from portal.errors import NotFound
from portal.reports import (
    charts,
    deal_parts,
    deal_rows,
    filters,
    outcomes,
    pipeline,
    qualified_rows,
)
from portal.reports.outcomes import Outcomes
from portal.reports.views import bp, period_asked
from portal.tables import Table, csv_response
from tracking import metrics as tracking


def found_asked() -> Outcomes:
    """What became of the deals and leads that the address asks for."""
    return outcomes.found(db.session(), period_asked(), zone(), filters.parse(request.args))


def results_page(found: Outcomes, tables: list[Table], title: str, csv: str, **more: Any) -> str:
    """Tables of some deals or leads, with what was chosen and what else can be."""
    return render_template(
        "reports/results.html",
        tables=tables,
        page_title=title,
        csv_of=lambda name: url_for(csv, name=name),
        period=found.period,
        filters=found.filters,
        choices=deal_parts.choices(found),
        as_of=tracking.as_of(db.session()),
        **more,
    )


@bp.get("/reports/results")
@vendor_only
def results() -> str:
    """What became of deals in a period: close rate, cycle, revenue, registrations."""
    found = found_asked()
    said = pipeline.sentences(found)
    tables = [make(found) for make in pipeline.TABLES.values()]
    return results_page(found, tables, _("Deals"), "reports.results_csv", sentences=said)


@bp.get("/reports/results/<name>.csv")
@vendor_only
def results_csv(name: str) -> Response:
    """One of its tables as a file."""
    if name not in pipeline.TABLES:
        raise NotFound(_("There is no such report."))
    return csv_response(pipeline.TABLES[name](found_asked()))


@bp.get("/reports/results/behind/<name>")
@vendor_only
def results_behind(name: str) -> str:
    """The deals that a number is made of, a page at a time."""
    found = found_asked()
    table = _behind(found, name)
    page = paging.page_of(table.rows, request.args)
    shown = table.part((page.number - 1) * paging.SIZE, page.number * paging.SIZE)
    return results_page(found, [shown], table.title, "reports.results_behind_csv", page=page)


@bp.get("/reports/results/behind/<name>.csv")
@vendor_only
def results_behind_csv(name: str) -> Response:
    """The same as a file, all of them."""
    return csv_response(_behind(found_asked(), name))


def _behind(found: Outcomes, name: str) -> Table:
    if name in qualified_rows.BEHIND:
        return qualified_rows.behind(found, name, current_user())
    return deal_rows.behind(found, name)


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
