"""The import of deals, as its page and its command offer it; and the export that goes in again."""

from __future__ import annotations

from flask import Response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.accounts.access import vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.deals import export, import_rows, importer
from portal.deals.import_rows import FIELDS, Options
from portal.deals.views import bp
from portal.deals.words import Order
from portal.imports.kinds import Choices, Kind, Outcome, Source, register
from portal.sheets import BadMapping, Sheet
from portal.tables import csv_response

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


def _run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    options = _options(sheet, choices)
    parsed = import_rows.parse(sheet, options)
    return importer.run_import(
        parsed, options, filename=source.filename, by_id=source.by_id, dry_run=source.dry_run
    )


def _options(sheet: Sheet, choices: Choices) -> Options:
    if choices.dates and choices.dates not in set(Order):
        raise BadMapping(_("Say whether dates have the day or the month first."))
    return Options(
        mapping=import_rows.mapping_for(sheet, choices.mapping),
        create=choices.create,
        currency=choices.currency or Options.currency,
        order=Order(choices.dates) if choices.dates else None,
        words=choices.words,
    )


KIND = register(
    Kind(
        name="deals",
        title=_l("Import deals"),
        about=_l("A CSV or XLSX file with a row for each deal, as your CRM exports it."),
        fields=FIELDS,
        labels=LABELS,
        run=_run,
        asks=("currency", "dates"),
        create=_l("Make partners and product families that are missing"),
        export="deals.export_csv",
        mapping=import_rows.mapping_for,
    )
)


@bp.get("/deals/export.csv")
@vendor_only
def export_csv() -> Response:
    """All deals, as a file that can be imported again."""
    found = export.deals(db.session(), request.args.get("status", ""))
    return csv_response(export.table(found, zone()))
