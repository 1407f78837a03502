"""Bringing deals in from a file: upload, say what the columns mean, look, import."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal import clock, sheets
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import zone
from portal.content.storage import storage
from portal.db import db, new_id, write
from portal.deals import export, import_rows, importer
from portal.deals.import_rows import FIELDS, BadMapping, Options
from portal.deals.importer import Outcome
from portal.deals.models import ImportRun
from portal.deals.views import bp
from portal.deals.words import Order
from portal.errors import Gone, NotFound, PortalError
from portal.sheets import BadSheet, Sheet
from portal.tables import csv_response

PREVIEW_ROWS = 5
LABELS = {
    "external_id": _l("Key in the other system"),
    "partner": _l("Partner"),
    "customer": _l("Customer"),
    "domain": _l("Customer's web domain"),
    "country": _l("Country"),
    "product_family": _l("Product family"),
    "type": _l("Kind of deal"),
    "status": _l("Status"),
    "stage": _l("Stage"),
    "first_contact": _l("First contact"),
    "submitted": _l("Submitted"),
    "decided": _l("Decided"),
    "closed": _l("Won or lost"),
    "amount": _l("Amount, net"),
    "currency": _l("Currency"),
    "order_number": _l("Order number"),
}


@bp.route("/deals/import", methods=["GET", "POST"])
@vendor_only
def import_file() -> tuple[str, int] | BaseResponse:
    """Upload a file of deals."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        error = _("Choose a CSV or XLSX file first.") if request.method == "POST" else ""
        return _upload_page(error)
    user_id = current_user().id
    db.session.rollback()
    try:
        sheets.read(upload.stream.read())
    except BadSheet as error:
        return _upload_page(_(str(error)))
    upload.stream.seek(0)
    stored, run_id = storage().save(upload.stream), new_id()
    with write() as session:
        session.add(
            ImportRun(
                id=run_id,
                by_id=user_id,
                at=clock.now(),
                filename=upload.filename[:200],
                file_key=stored[0],
                options={},
                result={},
            )
        )
    return redirect(url_for("deals.import_run", run_id=run_id))


def _upload_page(error: str) -> tuple[str, int]:
    runs = select(ImportRun).order_by(ImportRun.at.desc()).limit(10)
    page = render_template(
        "deals/import.html", error=error, runs=list(db.session.scalars(runs)), labels=LABELS
    )
    return page, 400 if error else 200


def _run_and_sheet(run_id: uuid.UUID) -> tuple[ImportRun, Sheet]:
    found = db.session.get(ImportRun, run_id)
    if found is None:
        raise NotFound(_("There is no such import."))
    try:
        return found, sheets.read(storage().read(found.file_key))
    except FileNotFoundError:
        raise Gone(_("The file is kept for a day only. Please upload it again.")) from None


@bp.get("/deals/import/<uuid:run_id>")
@vendor_only
def import_run(run_id: uuid.UUID) -> tuple[str, int]:
    """What the columns mean, as far as their names say."""
    found, sheet = _run_and_sheet(run_id)
    return _run_page(found, sheet, dict(found.options), None)


@bp.post("/deals/import/<uuid:run_id>")
@vendor_only
def do_import(run_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Look what the file would do, or import it."""
    found, sheet = _run_and_sheet(run_id)
    filename, user_id, given = found.filename, current_user().id, _given()
    db.session.rollback()
    try:
        options = _options(sheet, given)
        parsed = import_rows.parse(sheet, options)
        goes_in = request.form.get("then") == "import"
        outcome = importer.run_import(
            parsed, options, filename=filename, by_id=user_id, dry_run=not goes_in
        )
    except PortalError as error:
        return _run_page(db.session.get_one(ImportRun, run_id), sheet, given, None, str(error))
    with write((ImportRun, run_id)) as session:
        kept = session.get_one(ImportRun, run_id)
        kept.options = given
        if goes_in:
            kept.imported_at, kept.result = clock.now(), outcome.counts
    if goes_in:
        flash(_("Imported. %(what)s", what=" ".join(outcome.explained())))
        return redirect(url_for("deals.import_run", run_id=run_id))
    return _run_page(db.session.get_one(ImportRun, run_id), sheet, given, outcome)


@bp.get("/deals/import/<uuid:run_id>/refused.csv")
@vendor_only
def import_refused(run_id: uuid.UUID) -> Response:
    """The rows that are refused, with line and reason, to be mended and uploaded again."""
    found, sheet = _run_and_sheet(run_id)
    filename, given = found.filename, dict(found.options)
    db.session.rollback()
    options = _options(sheet, given)
    outcome = importer.run_import(
        import_rows.parse(sheet, options), options, filename=filename, by_id=None, dry_run=True
    )
    text = sheets.refused_csv(sheet, outcome.refused)
    response = Response("\ufeff" + text, mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="refused.csv")
    return response


@bp.get("/deals/export.csv")
@vendor_only
def export_csv() -> Response:
    """All deals, as a file that can be imported again."""
    return csv_response(
        export.table(export.deals(db.session(), request.args.get("status", "")), zone())
    )


def _given() -> dict[str, Any]:
    """What the form says; fields that are not in it are found by the names of the columns."""
    columns = {
        name: request.form[f"map-{name}"] for name in FIELDS if f"map-{name}" in request.form
    }
    return {
        "mapping": columns,
        "create": request.form.get("create") == "y",
        "currency": request.form.get("currency", "")[:3].upper(),
        "dates": request.form.get("dates", ""),
    }


def _options(sheet: Sheet, given: dict[str, Any]) -> Options:
    order = given.get("dates") or None
    if order not in (None, *Order):
        raise BadMapping(_("Say whether dates have the day or the month first."))
    return Options(
        mapping=import_rows.mapping_for(sheet, given.get("mapping", {})),
        create=bool(given.get("create")),
        currency=given.get("currency") or Options.currency,
        order=Order(order) if order else None,
    )


def _run_page(
    run: ImportRun,
    sheet: Sheet,
    given: dict[str, Any],
    outcome: Outcome | None,
    error: str = "",
) -> tuple[str, int]:
    try:
        mapping = _options(sheet, given).mapping
    except PortalError as problem:
        chosen = given.get("mapping", {})
        mapping = {key: name for key, name in chosen.items() if name in sheet.columns and name}
        mapping = mapping or sheets.guess(sheet.columns, FIELDS)
        error = error or str(problem)
    shown = [sheet.values(line, mapping) for line in sheet.lines[:PREVIEW_ROWS]]
    page = render_template(
        "deals/import_run.html",
        run=run,
        columns=[column for column in sheet.columns if column],
        rows=len(sheet.lines),
        mapping=mapping,
        fields=FIELDS,
        labels=LABELS,
        preview=shown,
        given=given,
        outcome=outcome,
        error=error,
    )
    return page, 400 if error and request.method == "POST" else 200
