"""Pages for exchange rates: everybody at the vendor reads them, an administrator enters them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal

from babel.numbers import list_currencies
from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock, paging
from portal.accounts.access import admin_only, current_user, vendor_only
from portal.accounts.models import Role
from portal.accounts.service import zone
from portal.db import db, write
from portal.formatting import count
from portal.reports import rates
from portal.reports.baselines import Entry
from portal.reports.conversion import LIMIT
from portal.reports.models import ExchangeRate
from portal.reports.rates import BadRate, Slot
from portal.reports.views import bp
from portal.tables import Column, Table, csv_response


@bp.get("/reports/rates")
@vendor_only
def rate_page() -> str:
    """The rates that count, how they came, and forms for more."""
    return _page([])


@bp.post("/reports/rates")
@admin_only
def add_rate() -> tuple[str, int] | BaseResponse:
    """Enter one rate, or correct the one of that day."""
    target = rates.reporting_currency(db.session())
    form = request.form
    try:
        slot, rate = rates.parse(
            form.get("currency", ""), form.get("day", ""), form.get("rate", ""), target
        )
    except BadRate as problem:
        return _page([str(problem)]), 400
    return _keep({slot: rate}, target)


@bp.post("/reports/rates/paste")
@admin_only
def paste_rates() -> tuple[str, int] | BaseResponse:
    """Enter many rates, a line for each; all of them or none."""
    target = rates.reporting_currency(db.session())
    found, errors = rates.parse_lines(request.form.get("lines", ""), target)
    if errors:
        return _page([*errors[:20], _("Nothing was saved. Mend the lines and save again.")]), 400
    return _keep(found, target)


def _keep(found: Mapping[Slot, Decimal | None], target: str) -> BaseResponse:
    entry = Entry(current_user().id)
    with write() as session:
        new, changed = rates.enter(session, found, target, entry)
    if new or not changed:
        flash(count(new, "%(num)s rate is new.", "%(num)s rates are new."))
    if changed:
        flash(count(changed, "%(num)s rate is corrected.", "%(num)s rates are corrected."))
    return redirect(url_for("reports.rate_page"))


@bp.post("/reports/rates/<uuid:rate_id>/delete")
@admin_only
def delete_rate(rate_id: uuid.UUID) -> BaseResponse:
    """Take a rate back; that it was there stays to be seen."""
    target, entry = rates.reporting_currency(db.session()), Entry(current_user().id)
    with write() as session:
        gone = rates.taken_back(session, rate_id, target)
        rates.enter(session, gone, target, entry)
    flash(_("The rate is deleted.") if gone else _("This rate was changed or deleted meanwhile."))
    return redirect(url_for("reports.rate_page"))


@bp.post("/reports/rates/currency")
@admin_only
def choose_currency() -> tuple[str, int] | BaseResponse:
    """Let reports add up in another currency."""
    code = request.form.get("reporting", "")
    try:
        with write() as session:
            rates.choose_currency(session, code)
    except BadRate as problem:
        return _page([str(problem)]), 400
    flash(_("Reports add up in %(code)s. They need rates to it.", code=code.strip().upper()))
    return redirect(url_for("reports.rate_page"))


def _page(errors: list[str]) -> str:
    session, user = db.session(), current_user()
    target = rates.reporting_currency(session)
    versions = rates.versions(session, target)
    known = rates.current(versions)
    shown = sorted(known.values(), key=lambda row: row.currency)
    shown.sort(key=lambda row: row.day, reverse=True)
    return render_template(
        "reports/rates.html",
        target=target,
        limit=LIMIT.days,
        page=paging.page_of(shown, request.args),
        earlier=[row for row in versions if row not in known.values()][:50],
        may_enter=user.role == Role.admin,
        errors=errors,
        today=clock.local_day(clock.now(), zone()),
        currencies=sorted(list_currencies()),
        rate_of=lambda row: rates.written(rates.rate_of(row)),
        given=request.values,
    )


@bp.get("/reports/rates.csv")
@vendor_only
def rates_csv() -> Response:
    """The rates that count, as a file that can be imported again."""
    target = rates.reporting_currency(db.session())
    known = rates.current(rates.versions(db.session(), target))
    rows = [
        {
            "currency": slot.currency,
            "day": slot.day,
            "rate": rates.written(rates.rate_of(row)),
            "target": target,
            "entered_by": _by(row),
            "entered_on": clock.local_day(row.entered_at, zone()),
        }
        for slot, row in sorted(known.items(), key=lambda item: item[0])
    ]
    names = ("currency", "day", "rate", "target", "entered_by", "entered_on")
    return csv_response(Table("rates", "", [Column(name, name) for name in names], rows, ""))


def _by(row: ExchangeRate) -> str:
    return row.entered_by.name if row.entered_by else _("the command")
