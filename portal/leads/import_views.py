"""Bringing leads in from a file: upload, say what the columns mean, look, import."""

from __future__ import annotations

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from portal import sheets
from portal.accounts.access import current_user, vendor_only
from portal.content.storage import storage
from portal.db import db
from portal.errors import Gone, NotFound, PortalError
from portal.leads import importer
from portal.leads.importer import FIELDS, Outcome
from portal.leads.views import bp
from portal.sheets import BadSheet, Sheet

PREVIEW_ROWS = 5
_PURPOSE = "leads from a file"
LABELS = {
    "external_id": _l("Key in the other system"),
    "company": _l("Company"),
    "contact": _l("Contact"),
    "email": _l("E-mail address"),
    "phone": _l("Telephone"),
    "country": _l("Country"),
    "region": _l("Region"),
    "product_family": _l("Product family"),
    "partner": _l("Partner that has it"),
    "note": _l("What it is about"),
}


@bp.route("/leads/import", methods=["GET", "POST"])
@vendor_only
def import_file() -> tuple[str, int] | BaseResponse:
    """Upload a file of leads."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        error = _("Choose a CSV or XLSX file first.") if request.method == "POST" else ""
        return _upload_page(error)
    db.session.rollback()
    try:
        sheets.read(upload.stream.read())
    except BadSheet as problem:
        return _upload_page(_(str(problem)))
    upload.stream.seek(0)
    file_key = storage().save(upload.stream)[0]
    keys = current_app.extensions["portal_keys"]
    token = keys.sign([file_key, upload.filename[:200]], _PURPOSE)
    return redirect(url_for("leads.import_run", token=token))


def _upload_page(error: str) -> tuple[str, int]:
    page = render_template("leads/import.html", error=error, labels=LABELS)
    return page, 400 if error else 200


def _sheet(token: str) -> tuple[str, Sheet]:
    """The file that was uploaded: its name and its rows."""
    try:
        kept = current_app.extensions["portal_keys"].unsign(token, _PURPOSE)
    except ValueError:
        raise NotFound(_("There is no such import.")) from None
    file_key, filename = kept
    try:
        return filename, sheets.read(storage().read(file_key))
    except FileNotFoundError:
        raise Gone(_("The file is kept for a day only. Please upload it again.")) from None


@bp.get("/leads/import/<token>")
@vendor_only
def import_run(token: str) -> tuple[str, int]:
    """What the columns mean, as far as their names say."""
    filename, sheet = _sheet(token)
    return _run_page(filename, sheet, {}, None)


@bp.post("/leads/import/<token>")
@vendor_only
def do_import(token: str) -> tuple[str, int] | BaseResponse:
    """Look what the file would do, fetch what is refused, or import it."""
    filename, sheet = _sheet(token)
    user_id, then = current_user().id, request.form.get("then", "")
    given = {name: request.form[f"map-{name}"] for name in FIELDS if f"map-{name}" in request.form}
    db.session.rollback()
    try:
        mapping = importer.mapping_for(sheet, given)
        outcome = importer.run_import(sheet, mapping, by_id=user_id, dry_run=then != "import")
    except PortalError as error:
        return _run_page(filename, sheet, given, None, str(error))
    if then == "refused":
        response = Response("\ufeff" + sheets.refused_csv(sheet, outcome.refused))
        response.mimetype = "text/csv"
        response.headers.set("Content-Disposition", "attachment", filename="refused.csv")
        return response
    if then == "import":
        flash(_("Imported. %(what)s", what=" ".join(outcome.explained())))
        return redirect(url_for("leads.index"))
    return _run_page(filename, sheet, given, outcome)


def _run_page(
    filename: str, sheet: Sheet, given: dict[str, str], outcome: Outcome | None, error: str = ""
) -> tuple[str, int]:
    try:
        mapping = importer.mapping_for(sheet, given)
    except PortalError as problem:
        mapping = {key: name for key, name in given.items() if name in sheet.columns and name}
        mapping = mapping or sheets.guess(sheet.columns, FIELDS)
        error = error or str(problem)
    page = render_template(
        "leads/import_run.html",
        filename=filename,
        columns=[column for column in sheet.columns if column],
        rows=len(sheet.lines),
        mapping=mapping,
        fields=FIELDS,
        labels=LABELS,
        preview=[sheet.values(line, mapping) for line in sheet.lines[:PREVIEW_ROWS]],
        outcome=outcome,
        error=error,
    )
    return page, 400 if error and request.method == "POST" else 200
