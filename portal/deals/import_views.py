"""The import of deals, as its page and its command offer it; and the export that goes in again."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

from portal.accounts.access import vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.deals import export, import_rows, importer
from portal.deals.forms import TYPE_NAMES
from portal.deals.import_rows import FIELDS, Options
from portal.deals.pipeline import Stage, Status
from portal.deals.reasons import LOSS_NAMES
from portal.deals.views import bp
from portal.deals.wording import STAGE_NAMES, STATUS_NAMES
from portal.deals.words import WON_REPORTED, Order
from portal.imports.kinds import Choices, Kind, Outcome, Source, Words, register
from portal.sheets import BadMapping, Sheet
from portal.tables import csv_response

# So many words that are not understood are asked about at once.
MOST_WORDS = 40
LABELS = {
    "external_id": _l("Key in the other system"),
    "reference": _l("Our reference"),
    "partner": _l("Partner"),
    "customer": _l("Customer"),
    "known_customer": _l("Customer as we know it"),
    "domain": _l("Customer's web domain"),
    "tax_id": _l("Customer's VAT number"),
    "country": _l("Country"),
    "postcode": _l("Postcode"),
    "contact": _l("Contact at the customer"),
    "product_family": _l("Product family"),
    "type": _l("Kind of deal"),
    "status": _l("Status"),
    "stage": _l("Stage"),
    "first_contact": _l("First contact"),
    "submitted": _l("Submitted"),
    "decided": _l("Decided"),
    "closed": _l("Won or lost"),
    "expected_close": _l("Expected on"),
    "amount": _l("Amount, net"),
    "currency": _l("Currency"),
    "won_amount": _l("Order, net, where it is another amount"),
    "won_currency": _l("Currency of the order"),
    "order_number": _l("Order number"),
    "contract_ends": _l("Contract ends"),
    "loss_reason": _l("Why it was lost"),
    "protected_from": _l("Reserved from"),
    "protected_until": _l("Reserved until"),
}
# What a word of a file may mean.
_STAGES = {
    **{stage.value: STAGE_NAMES[stage] for stage in Stage},
    WON_REPORTED: _l("Reported as won, not confirmed"),
    **{
        status.value: STATUS_NAMES[status]
        for status in Status
        if status not in (Status.draft, Status.closed)
    },
}
_MEANINGS: dict[str, Mapping[str, LazyString]] = {
    "stage": _STAGES,
    "type": TYPE_NAMES,
    "loss_reason": LOSS_NAMES,
}


def _unknown(sheet: Sheet, mapping: Mapping[str, str]) -> list[Words]:
    found = import_rows.unknown_words(sheet, mapping)
    return [
        Words(name, dict(words.most_common(MOST_WORDS)), _MEANINGS[name])
        for name, words in found.items()
    ]


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
        about=_l(
            "A CSV or XLSX file with a row for each deal, as your CRM exports it. What was "
            "registered here stays as it is, but for one thing: a row with an order number "
            "confirms that a deal was won."
        ),
        fields=FIELDS,
        labels=LABELS,
        run=_run,
        asks=("currency", "dates"),
        create=_l("Make partners, product families and customers that are missing"),
        export="deals.export_csv",
        mapping=import_rows.mapping_for,
        unknown=_unknown,
    )
)


@bp.get("/deals/export.csv")
@vendor_only
def export_csv() -> Response:
    """All deals, as a file that can be imported again."""
    found = export.deals(db.session(), request.args.get("status", ""))
    return csv_response(export.table(db.session(), found, zone()))
