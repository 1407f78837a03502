"""Figures of the time before the portal from a file: a row for each month and metric."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping

from babel.numbers import list_currencies
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.service import zone
from portal.imports.kinds import (
    Choices,
    Kind,
    Outcome,
    RefusedRow,
    Source,
    all_or_nothing,
    register,
)
from portal.reports import baselines
from portal.reports.baselines import METRICS, BadFigure, Entry, Metric, Slot, Unit
from portal.sheets import Sheet, key_of

FIELDS: dict[str, tuple[str, ...]] = {
    "month": ("period", "date", "monat"),
    "metric": ("name", "figure", "kpi", "measure"),
    "value": ("amount", "number", "wert"),
    "partner": ("partner name",),
    "currency": ("currency code", "währung"),
}
LABELS = {
    "month": _l("Month, like 2026-03"),
    "metric": _l("Metric"),
    "value": _l("Value"),
    "partner": _l("Partner (empty: all together)"),
    "currency": _l("Currency, of revenue"),
}


def run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    """Keep the figures of a file."""
    mapping = KIND.mapping_for(sheet, choices.mapping)
    entry, currency = Entry(source.by_id, source.filename), choices.currency
    return all_or_nothing(
        lambda session: _write(session, sheet, mapping, currency, entry), source.dry_run
    )


def _write(
    session: Session, sheet: Sheet, mapping: Mapping[str, str], currency: str, entry: Entry
) -> Outcome:
    outcome, seen, figures = Outcome(), dict[Slot, int](), dict[Slot, int | None]()
    partners: dict[str, list[uuid.UUID]] = defaultdict(list)
    for one in accounts.partner_facts(session):
        partners[key_of(one.name) or one.name].append(one.id)
    for line in sheet.lines:
        try:
            slot, hundredths = _figure(sheet.values(line, mapping), partners, currency)
            if slot in seen:
                raise RefusedRow(_("Line %(n)s has the same month and metric.", n=seen[slot]))
        except (RefusedRow, BadFigure) as reason:
            outcome.refuse(line, str(reason))
            continue
        seen[slot], figures[slot] = line.number, hundredths
    outcome.created, outcome.updated = baselines.enter(session, figures, entry)
    outcome.unchanged = len(figures) - outcome.created - outcome.updated
    return outcome


def _figure(
    cells: Mapping[str, str], partners: Mapping[str, list[uuid.UUID]], currency: str
) -> tuple[Slot, int]:
    """What a row says. Raises RefusedRow or BadFigure."""
    for name in KIND.needed:
        if not cells.get(name):
            raise RefusedRow(_("%(name)s is missing.", name=name))
    metric = _metric(cells["metric"])
    month = baselines.parse_month(cells["month"], clock.local_day(clock.now(), zone()))
    hundredths = baselines.parse_figure(metric, cells["value"])
    if hundredths is None:
        raise RefusedRow(_("%(name)s is missing.", name="value"))
    code = ""
    if METRICS[metric].unit == Unit.money:
        code = (cells.get("currency") or currency or "EUR").upper()
        if code not in list_currencies():
            raise RefusedRow(_("%(code)s is no currency.", code=code))
    return Slot(metric.value, month, _partner(cells.get("partner", ""), partners), code), hundredths


def _metric(text: str) -> Metric:
    known = {key_of(metric.value): metric for metric in Metric}
    known |= {key_of(str(about.label)): metric for metric, about in METRICS.items()}
    if key_of(text) not in known:
        names = ", ".join(Metric)
        raise RefusedRow(_("%(text)s is no metric. Known are: %(names)s.", text=text, names=names))
    return known[key_of(text)]


def _partner(name: str, partners: Mapping[str, list[uuid.UUID]]) -> uuid.UUID | None:
    if not name:
        return None
    found = partners.get(key_of(name) or name, [])
    if len(found) > 1:
        raise RefusedRow(_("There are several partners called %(name)s.", name=name))
    if not found:
        raise RefusedRow(_("There is no partner %(name)s.", name=name))
    return found[0]


KIND = register(
    Kind(
        name="baselines",
        title=_l("Import figures of before"),
        about=_l(
            "A CSV or XLSX file with a row for each month and metric of the time before the portal."
        ),
        fields=FIELDS,
        labels=LABELS,
        needed=("month", "metric", "value"),
        run=run,
        asks=("currency",),
        export="reports.baselines_csv",
    )
)
