"""Exchange rates from a file: a row for each currency and day."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal.imports.kinds import Choices, Kind, Outcome, Source, all_or_nothing, register
from portal.reports import rates
from portal.reports.baselines import Entry
from portal.reports.rates import BadRate, Slot
from portal.sheets import Sheet


def run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    """Keep the rates of a file."""
    mapping = KIND.mapping_for(sheet, choices.mapping)
    entry = Entry(source.by_id, source.filename)
    return all_or_nothing(lambda session: _write(session, sheet, mapping, entry), source.dry_run)


def _write(session: Session, sheet: Sheet, mapping: Mapping[str, str], entry: Entry) -> Outcome:
    outcome, target = Outcome(), rates.reporting_currency(session)
    seen, found = dict[Slot, int](), dict[Slot, Decimal | None]()
    for line in sheet.lines:
        cells = sheet.values(line, mapping)
        try:
            slot, rate = _rate(cells, target)
            if slot in seen:
                raise BadRate(_("Line %(n)s has the same currency and day.", n=seen[slot]))
        except BadRate as reason:
            outcome.refuse(line, str(reason))
            continue
        seen[slot], found[slot] = line.number, rate
    outcome.created, outcome.updated = rates.enter(session, found, target, entry)
    outcome.unchanged = len(found) - outcome.created - outcome.updated
    return outcome


def _rate(cells: Mapping[str, str], target: str) -> tuple[Slot, Decimal]:
    for name in KIND.needed:
        if not cells.get(name):
            raise BadRate(_("%(name)s is missing.", name=name))
    into = (cells.get("target") or target).strip().upper()
    if into != target:
        raise BadRate(_("This rate is to %(code)s; reports add up in another.", code=into))
    return rates.parse(cells["currency"], cells["day"], cells["rate"], target)


KIND = register(
    Kind(
        name="rates",
        title=_l("Import exchange rates"),
        about=_l(
            "A CSV or XLSX file with a row for each currency and day: what one unit of it is worth "
            "in the currency that reports add up in."
        ),
        fields={
            "currency": ("currency code", "code", "from", "währung"),
            "day": ("date", "valid from", "from day", "datum", "tag"),
            "rate": ("exchange rate", "value", "kurs"),
            "target": ("to", "reporting currency", "target currency"),
        },
        labels={
            "currency": _l("Currency, like USD"),
            "day": _l("Day from which it holds"),
            "rate": _l("Worth of one unit"),
            "target": _l("In which currency (empty: that of reports)"),
        },
        needed=("currency", "day", "rate"),
        run=run,
        export="reports.rates_csv",
        admin_only=True,
    )
)
