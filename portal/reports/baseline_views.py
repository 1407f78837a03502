"""Pages for the figures of the time before the portal."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import zone
from portal.db import db, write
from portal.deals.forms import CURRENCIES
from portal.formatting import count, sort_by_name
from portal.reports import baselines
from portal.reports.baselines import METRICS, BadFigure, Entry, Metric, Slot, Unit
from portal.reports.models import Baseline
from portal.reports.views import bp
from portal.tables import Column, Table, csv_response


@bp.get("/reports/baselines")
@vendor_only
def baseline_page() -> tuple[str, int]:
    """What is known of the time before, and a form for one month of it."""
    month = clock.add_months(_today().replace(day=1), -1)
    error = ""
    if request.args.get("month"):
        try:
            month = baselines.parse_month(request.args["month"], _today())
        except BadFigure as problem:
            error = str(problem)
    return _page(month, request.args.get("partner", ""), {"": error} if error else {})


@bp.post("/reports/baselines")
@vendor_only
def save_baselines() -> tuple[str, int] | BaseResponse:
    """Keep the figures of one month."""
    errors: dict[str, str] = {}
    month, partner = date.min, request.form.get("partner", "")
    try:
        month = baselines.parse_month(request.form.get("month", ""), _today())
    except BadFigure as problem:
        errors[""] = str(problem)
    names = {str(one.id) for one in accounts.partner_facts(db.session())}
    if partner and partner not in names:
        errors[""] = _("There is no such partner.")
    figures = _figures(month, partner, errors)
    if errors:
        return _page(month, partner, errors)
    entry = Entry(current_user().id)
    with write() as session:
        new, changed = baselines.enter(session, figures, entry)
    flash(count(new + changed, "%(num)s figure saved.", "%(num)s figures saved."))
    return redirect(
        url_for("reports.baseline_page", month=f"{month:%Y-%m}", partner=partner or None)
    )


def _figures(month: date, partner: str, errors: dict[str, str]) -> dict[Slot, int | None]:
    """What the form says; `errors` takes what is wrong with it."""
    found: dict[Slot, int | None] = {}
    code = request.form.get("currency", "")
    if code not in CURRENCIES:
        code = CURRENCIES[0]
    for metric, about in METRICS.items():
        try:
            hundredths = baselines.parse_figure(metric, request.form.get(metric, ""))
        except BadFigure as problem:
            errors[metric.value] = str(problem)
            continue
        key = uuid.UUID(partner) if partner and not errors else None
        currency = code if about.unit == Unit.money else ""
        found[Slot(metric.value, month, key, currency)] = hundredths
    return found


def _today() -> date:
    return clock.local_day(clock.now(), zone())


def _page(month: date, partner: str, errors: dict[str, str]) -> tuple[str, int]:
    versions = baselines.versions(db.session())
    known = baselines.current(versions)
    currency = request.values.get("currency") or _currency_of(known)
    page = render_template(
        "reports/baselines.html",
        month=request.form.get("month") or f"{month:%Y-%m}",
        month_name=f"{month:%B %Y}",
        partner=partner,
        partners=sort_by_name(accounts.partner_facts(db.session()), lambda one: one.name),
        metrics=METRICS,
        values=_values(known, month, partner, currency),
        currency=currency,
        currencies=CURRENCIES,
        errors=errors,
        table=_table(known.values()),
        earlier=[row for row in versions if row not in known.values()][:50],
        written=baselines.written,
    )
    return page, 400 if errors and request.method == "POST" else 200


def _currency_of(known: dict[Slot, Baseline]) -> str:
    return next((slot.currency for slot in known if slot.currency), CURRENCIES[0])


def _values(
    known: dict[Slot, Baseline], month: date, partner: str, currency: str
) -> dict[str, str]:
    """What the fields hold: what was typed, else what is known."""
    if request.method == "POST":
        return {metric.value: request.form.get(metric, "") for metric in Metric}
    found = {}
    for slot, row in known.items():
        same = slot.month == month and str(slot.partner_id or "") == partner
        if same and slot.currency in ("", currency):
            found[slot.metric] = f"{(row.hundredths or 0) / 100:.2f}".removesuffix(".00")
    return found


def _table(rows: Any) -> Table:
    """The figures that count, the latest month first."""
    order = list(Metric)
    shown = sorted(
        rows, key=lambda row: (row.month, -order.index(Metric(row.metric))), reverse=True
    )
    columns = [
        Column("month", _("Month")),
        Column("metric", _("Metric")),
        Column("value", _("Value"), "figure", about="baseline"),
        Column("partner", _("Partner")),
        Column("by", _("Entered by"), wide=True),
        Column("at", _("on"), "day", wide=True),
    ]
    return Table(
        "baselines",
        _("What is known"),
        columns,
        [
            {
                "month": f"{row.month:%b %Y}",
                "metric": str(METRICS[Metric(row.metric)].label),
                "value": baselines.written(row.metric, row.hundredths, row.currency),
                "partner": row.partner.name if row.partner else _("all together"),
                "by": _by(row),
                "at": clock.local_day(row.entered_at, zone()),
                "href": url_for(
                    "reports.baseline_page",
                    month=f"{row.month:%Y-%m}",
                    partner=row.partner_id,
                    currency=row.currency or None,
                ),
            }
            for row in shown
        ],
        _("Nothing was entered yet."),
    )


def _by(row: Baseline) -> str:
    who = row.entered_by.name if row.entered_by else _("the command")
    return _("%(who)s, from %(file)s", who=who, file=row.source) if row.source else who


@bp.get("/reports/baselines.csv")
@vendor_only
def baselines_csv() -> Response:
    """The figures that count, as a file that can be imported again."""
    known = baselines.current(baselines.versions(db.session()))
    rows = [
        {
            "month": f"{slot.month:%Y-%m}",
            "metric": slot.metric,
            "value": f"{(row.hundredths or 0) / 100:.2f}",
            "partner": row.partner.name if row.partner else "",
            "currency": slot.currency,
            "entered_by": _by(row),
            "entered_on": clock.local_day(row.entered_at, zone()),
        }
        for slot, row in sorted(known.items(), key=lambda item: (item[0].month, item[0].metric))
    ]
    names = ("month", "metric", "value", "partner", "currency", "entered_by", "entered_on")
    return csv_response(Table("baselines", "", [Column(name, name) for name in names], rows, ""))
