"""Bringing a file in: upload, say what the columns mean, look, import. The same for every kind."""

from __future__ import annotations

import io
import uuid
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal import clock, sheets
from portal.accounts.access import current_user, vendor_only
from portal.accounts.models import Role
from portal.content.storage import storage
from portal.db import db, new_id, write
from portal.errors import Gone, NotFound, PortalError
from portal.imports.kinds import Choices, Kind, Outcome, Source, kind_called
from portal.imports.models import ImportRun
from portal.sheets import BadSheet, Sheet

bp = Blueprint("imports", __name__)
PREVIEW_ROWS = 5


@bp.route("/<kind>/import", methods=["GET", "POST"])
@vendor_only
def upload(kind: str) -> tuple[str, int] | BaseResponse:
    """Upload a file."""
    known = _kind(kind)
    file = request.files.get("file")
    if file is None or not file.filename:
        error = _("Choose a CSV or XLSX file first.") if request.method == "POST" else ""
        return _upload_page(known, error)
    user_id = current_user().id
    db.session.rollback()
    try:
        sheets.read(file.stream.read())
    except BadSheet as error:
        return _upload_page(known, _(str(error)))
    file.stream.seek(0)
    stored, run_id = storage().save(file.stream), new_id()
    with write() as session:
        session.add(
            ImportRun(
                id=run_id,
                kind=kind,
                by_id=user_id,
                at=clock.now(),
                filename=file.filename[:200],
                file_key=stored[0],
                options={},
                result={},
            )
        )
    return redirect(url_for("imports.run", kind=kind, run_id=run_id))


def _kind(name: str) -> Kind:
    """The kind of this name, when this person may bring it in. Raises NotFound."""
    kind = kind_called(name)
    if kind.admin_only and current_user().role != Role.admin:
        raise NotFound(_("There is no such import."))
    return kind


def _upload_page(kind: Kind, error: str) -> tuple[str, int]:
    runs = select(ImportRun).where(ImportRun.kind == kind.name).order_by(ImportRun.at.desc())
    page = render_template(
        "imports/upload.html", kind=kind, error=error, runs=list(db.session.scalars(runs.limit(10)))
    )
    return page, 400 if error else 200


def _run_of(kind: str, run_id: uuid.UUID) -> ImportRun:
    _kind(kind)
    found = db.session.get(ImportRun, run_id)
    if found is None or found.kind != kind:
        raise NotFound(_("There is no such import."))
    return found


def _run_and_sheet(kind: str, run_id: uuid.UUID) -> tuple[Kind, ImportRun, Sheet]:
    found = _run_of(kind, run_id)
    return kind_called(kind), found, sheets.read(_kept(found.file_key))


def _kept(key: str) -> bytes:
    try:
        return storage().read(key)
    except FileNotFoundError:
        raise Gone(_("The file is kept for a day only. Please upload it again.")) from None


@bp.get("/<kind>/import/<uuid:run_id>")
@vendor_only
def run(kind: str, run_id: uuid.UUID) -> tuple[str, int]:
    """What the columns mean, as far as their names say."""
    known, found, sheet = _run_and_sheet(kind, run_id)
    return _run_page(known, found, sheet, dict(found.options), None)


@bp.post("/<kind>/import/<uuid:run_id>")
@vendor_only
def do_run(kind: str, run_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Look what the file would do, or import it."""
    known, found, sheet = _run_and_sheet(kind, run_id)
    given, goes_in = _given(known), request.form.get("then") == "import"
    source = _source(found, dry_run=not goes_in)
    db.session.rollback()
    try:
        outcome = known.run(sheet, _choices(given), source)
    except PortalError as error:
        return _run_page(
            known, db.session.get_one(ImportRun, run_id), sheet, given, None, str(error)
        )
    refused_rows = sheets.refused_csv(sheet, outcome.refused).encode("utf-8-sig")
    refused_key = storage().save(io.BytesIO(refused_rows))[0]
    with write((ImportRun, run_id)) as session:
        kept = session.get_one(ImportRun, run_id)
        kept.options = given
        if goes_in:
            kept.imported_at = clock.now()
            kept.result = {**outcome.counts, "reasons": outcome.reasons()}
        kept.result = {**kept.result, "refused_key": refused_key}
    if goes_in:
        flash(
            _("Imported. %(what)s", what=" ".join(outcome.told())),
            "warn" if outcome.refused else "message",
        )
        return redirect(url_for("imports.run", kind=kind, run_id=run_id))
    return _run_page(known, db.session.get_one(ImportRun, run_id), sheet, given, outcome)


@bp.get("/<kind>/import/<uuid:run_id>/refused.csv")
@vendor_only
def refused(kind: str, run_id: uuid.UUID) -> Response:
    """The rows that are refused, with line and reason, to be mended and uploaded again."""
    found = _run_of(kind, run_id)
    if "refused_key" not in found.result:
        raise NotFound(_("Look first what the file would do: then it says what is refused."))
    response = Response(_kept(found.result["refused_key"]), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="refused.csv")
    return response


def _source(found: ImportRun, dry_run: bool) -> Source:
    user = current_user()
    return Source(found.filename, user.id, Role(user.role), dry_run)


def _given(kind: Kind) -> dict[str, Any]:
    """What the form says; fields that are not in it are found by the names of the columns."""
    columns = {
        name: request.form[f"map-{name}"] for name in kind.fields if f"map-{name}" in request.form
    }
    return {
        "mapping": columns,
        "create": request.form.get("create") == "y",
        "currency": request.form.get("currency", "")[:3].upper(),
        "dates": request.form.get("dates", ""),
        "words": _words(),
    }


def _words() -> dict[str, dict[str, str]]:
    """What the form says of words: fields are called `word-stage:Closed/Won`."""
    found: dict[str, dict[str, str]] = {}
    for name, meaning in request.form.items():
        if name.startswith("word-") and ":" in name and meaning:
            field, word = name.removeprefix("word-").split(":", 1)
            found.setdefault(field, {})[word] = meaning
    return found


def _choices(given: dict[str, Any]) -> Choices:
    return Choices(
        mapping=given.get("mapping", {}),
        create=bool(given.get("create")),
        currency=given.get("currency", ""),
        dates=given.get("dates", ""),
        words=given.get("words", {}),
    )


def _run_page(
    kind: Kind,
    found: ImportRun,
    sheet: Sheet,
    given: dict[str, Any],
    outcome: Outcome | None,
    error: str = "",
) -> tuple[str, int]:
    try:
        mapping = kind.mapping_for(sheet, given.get("mapping", {}))
    except PortalError as problem:
        chosen = given.get("mapping", {})
        mapping = {key: name for key, name in chosen.items() if name in sheet.columns and name}
        mapping = mapping or sheets.guess(sheet.columns, kind.fields)
        error = error or str(problem)
    shown = [sheet.values(line, mapping) for line in sheet.lines[:PREVIEW_ROWS]]
    page = render_template(
        "imports/run.html",
        kind=kind,
        run=found,
        columns=[column for column in sheet.columns if column],
        # What the file says comes first; what it does not say is folded away.
        told=[name for name in kind.fields if name in mapping or name in kind.needed],
        ignored=[name for name in sheet.columns if name and name not in mapping.values()],
        rows=len(sheet.lines),
        mapping=mapping,
        preview=shown,
        unknown=kind.unknown(sheet, mapping) if kind.unknown else [],
        given=given,
        outcome=outcome,
        error=error,
    )
    return page, 400 if error and request.method == "POST" else 200
