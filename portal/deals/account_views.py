"""The vendor's known accounts: the list, and bringing one in from a file."""

from __future__ import annotations

import uuid

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from portal import clock, sheets
from portal.accounts.access import current_user, vendor_only
from portal.content.storage import storage
from portal.db import db, new_id, write
from portal.deals import known_accounts as accounts
from portal.deals.models import ImportRun
from portal.deals.views import bp
from portal.errors import Gone, NotFound, PortalError
from portal.paging import page_of
from portal.sheets import Sheet

KIND = "accounts"
LABELS = {
    "external_id": _l("Key in the other system"),
    "name": _l("Name"),
    "domain": _l("Web domain"),
    "tax_id": _l("VAT number"),
    "country": _l("Country"),
    "postcode": _l("Postcode"),
    "product_family": _l("Product family; empty: every one"),
    "owner": _l("Who looks after it"),
}


@bp.route("/deals/accounts", methods=["GET", "POST"])
@vendor_only
def known_accounts() -> tuple[str, int] | BaseResponse:
    """The list; a file uploaded here is looked at first."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        error = _("Choose a CSV or XLSX file first.") if request.method == "POST" else ""
        return _list_page(error)
    user_id, name = current_user().id, upload.filename[:200]
    db.session.rollback()
    try:
        accounts.mapping_for(sheets.read(upload.stream.read()), {})
    except PortalError as error:
        return _list_page(_(str(error)))
    upload.stream.seek(0)
    stored, run_id = storage().save(upload.stream), new_id()
    with write() as session:
        session.add(
            ImportRun(
                id=run_id,
                kind=KIND,
                by_id=user_id,
                at=clock.now(),
                filename=name,
                file_key=stored[0],
                options={},
                result={},
            )
        )
    return redirect(url_for("deals.import_accounts", run_id=run_id))


def _list_page(error: str) -> tuple[str, int]:
    text = request.args.get("q", "")[:200]
    page = page_of(accounts.search(db.session(), text), request.args)
    shown = render_template(
        "deals/accounts.html", page=page, q=text, error=error, labels=list(LABELS.values())
    )
    return shown, 400 if error else 200


def _run_and_sheet(run_id: uuid.UUID) -> tuple[ImportRun, Sheet]:
    found = db.session.get(ImportRun, run_id)
    if found is None or found.kind != KIND:
        raise NotFound(_("There is no such import."))
    try:
        return found, sheets.read(storage().read(found.file_key))
    except FileNotFoundError:
        raise Gone(_("The file is kept for a day only. Please upload it again.")) from None


@bp.get("/deals/accounts/import/<uuid:run_id>")
@vendor_only
def import_accounts(run_id: uuid.UUID) -> str:
    """What the columns mean, and the first rows."""
    run, sheet = _run_and_sheet(run_id)
    return _run_page(run, sheet, None)


@bp.post("/deals/accounts/import/<uuid:run_id>")
@vendor_only
def do_import_accounts(run_id: uuid.UUID) -> str | BaseResponse:
    """Look what the file would do, or import it."""
    _run, sheet = _run_and_sheet(run_id)
    db.session.rollback()
    goes_in, now = request.form.get("then") == "import", clock.now()
    mapping = accounts.mapping_for(sheet, {})
    outcome = accounts.run_import(sheet, mapping, now, dry_run=not goes_in)
    if not goes_in:
        return _run_page(db.session.get_one(ImportRun, run_id), sheet, outcome)
    with write((ImportRun, run_id)) as session:
        kept = session.get_one(ImportRun, run_id)
        kept.imported_at, kept.result = now, outcome.counts
    flash(_("Imported. %(what)s", what=" ".join(outcome.explained())))
    if outcome.refused:
        return redirect(url_for("deals.import_accounts", run_id=run_id))
    return redirect(url_for("deals.known_accounts"))


@bp.get("/deals/accounts/import/<uuid:run_id>/refused.csv")
@vendor_only
def refused_accounts(run_id: uuid.UUID) -> Response:
    """The rows that are refused, with line and reason, to be mended and uploaded again."""
    _run, sheet = _run_and_sheet(run_id)
    db.session.rollback()
    mapping = accounts.mapping_for(sheet, {})
    outcome = accounts.run_import(sheet, mapping, clock.now(), dry_run=True)
    text = sheets.refused_csv(sheet, outcome.refused)
    response = Response("\ufeff" + text, mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="refused.csv")
    return response


def _run_page(run: ImportRun, sheet: Sheet, outcome: accounts.Outcome | None) -> str:
    mapping = accounts.mapping_for(sheet, {})
    return render_template(
        "deals/accounts_run.html",
        run=run,
        rows=len(sheet.lines),
        mapping=mapping,
        labels=LABELS,
        preview=[sheet.values(line, mapping) for line in sheet.lines[:5]],
        outcome=outcome,
    )
