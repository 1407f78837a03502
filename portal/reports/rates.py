"""Exchange rates that an administrator enters, and the currency that reports add up in."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from babel.numbers import list_currencies
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.service import zone
from portal.db import new_id
from portal.deals.words import parse_day
from portal.errors import PortalError
from portal.formatting import day as day_text
from portal.reports.baselines import Entry
from portal.reports.conversion import Rates
from portal.reports.models import ExchangeRate, ReportSettings

USUAL = "EUR"
PLACES = 8
LARGEST = Decimal(1_000_000)


class BadRate(PortalError):
    """What was entered is no exchange rate."""


class Slot(NamedTuple):
    """What a rate is about. One rate of a slot counts: the latest that was entered."""

    currency: str
    day: date


# --- the currency of reports --------------------------------------------------------------------


def reporting_currency(session: Session) -> str:
    """The currency that reports add up in."""
    row = session.get(ReportSettings, 1)
    return row.currency if row else USUAL


def choose_currency(session: Session, code: str) -> None:
    """Let reports add up in another currency. Rates to the one before are kept for its return."""
    code = _known(code)
    row = session.get(ReportSettings, 1)
    if row is None:
        session.add(ReportSettings(id=1, currency=code))
    else:
        row.currency = code
    session.flush()


# --- what people write --------------------------------------------------------------------------


def _known(text: str) -> str:
    code = text.strip().upper()
    if code not in list_currencies():
        raise BadRate(_("%(code)s is no currency. Write its three letters, like USD.", code=code))
    return code


def parse_rate(text: str) -> Decimal:
    """A rate as people write it, with a point or a comma. Raises BadRate with a sentence."""
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,7}(?:[.,][0-9]{1,20})?", text):
        raise BadRate(_("A rate is written like 0.9241: %(text)s", text=text))
    rate = Decimal(text.replace(",", "."))
    if rate != round(rate, PLACES):
        raise BadRate(_("A rate has at most %(n)s decimals: %(text)s", n=PLACES, text=text))
    if not 0 < rate <= LARGEST:
        raise BadRate(_("A rate is more than 0 and at most 1 000 000: %(text)s", text=text))
    return rate


def parse(code: str, day: str, rate: str, target: str) -> tuple[Slot, Decimal]:
    """One rate to `target` as people write it. Raises BadRate with a sentence."""
    currency = _known(code)
    if currency == target:
        raise BadRate(_("Reports add up in %(code)s already; it needs no rate.", code=target))
    try:
        found = parse_day(day, None)
    except ValueError:
        found = None
    if found is None or found.year < 1990:
        raise BadRate(_("A day is written like 2026-03-31: %(text)s", text=day))
    if found > clock.local_day(clock.now(), zone()):
        raise BadRate(_("This day is still to come: %(day)s", day=day_text(found)))
    return Slot(currency, found), parse_rate(rate)


def parse_lines(text: str, target: str) -> tuple[dict[Slot, Decimal | None], list[str]]:
    """Rates as people paste them, a line for each: currency, day, rate. And what is wrong, line by
    line."""
    found, errors = dict[Slot, Decimal | None](), []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = _cells(line)
        try:
            if cells is None:
                raise BadRate(_("A line has a currency, a day and a rate: USD 2026-03-31 0.9241"))
            slot, rate = parse(*cells, target)
            if slot in found:
                raise BadRate(_("This currency and day were named before."))
            found[slot] = rate
        except BadRate as problem:
            errors.append(_("Line %(n)s: %(why)s", n=number, why=str(problem)))
    if not found and not errors:
        errors.append(_("Paste at least one line: USD 2026-03-31 0.9241"))
    return found, errors


def _cells(line: str) -> tuple[str, str, str] | None:
    """The three parts of a line: apart by tabs or semicolons, else by commas or spaces."""
    for mark in (r"\s*[\t;]\s*", r"\s*,\s+|,(?=\S+,)|(?<=-[0-9]{2}),", r"\s+"):
        cells = re.split(mark, line.strip())
        if len(cells) == 3:
            return cells[0], cells[1], cells[2]
    return None


# --- kept ---------------------------------------------------------------------------------------


def versions(session: Session, target: str) -> list[ExchangeRate]:
    """Every rate to `target` that was ever entered, the latest entered first."""
    query = select(ExchangeRate).where(ExchangeRate.target == target)
    query = query.options(joinedload(ExchangeRate.entered_by))
    return list(
        session.scalars(query.order_by(ExchangeRate.entered_at.desc(), ExchangeRate.id.desc()))
    )


def current(rows: Iterable[ExchangeRate]) -> dict[Slot, ExchangeRate]:
    """The rates that count, of all `versions`."""
    found: dict[Slot, ExchangeRate] = {}
    for row in rows:
        found.setdefault(Slot(row.currency, row.day), row)
    return {slot: row for slot, row in found.items() if row.rate_e8 is not None}


def rate_of(row: ExchangeRate) -> Decimal:
    """The rate of a row that has one."""
    assert row.rate_e8 is not None
    return Decimal(row.rate_e8).scaleb(-PLACES)


def written(rate: Decimal) -> str:
    """A rate without idle noughts."""
    text = f"{rate:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def known(session: Session, target: str) -> Rates:
    """The rates to `target` by currency, in the order of days."""
    found: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    for slot, row in sorted(current(versions(session, target)).items(), key=lambda item: item[0]):
        found[slot.currency].append((slot.day, rate_of(row)))
    return found


def enter(
    session: Session, figures: Mapping[Slot, Decimal | None], target: str, entry: Entry
) -> tuple[int, int]:
    """Keep rates to `target`; None takes one back. Returns how many are new and how many have
    changed; what is there already is left as it is."""
    before, new, changed = current(versions(session, target)), 0, 0
    for slot, rate in figures.items():
        one = before.get(slot)
        if (rate_of(one) if one else None) == rate:
            continue
        new, changed = new + (one is None), changed + (one is not None)
        session.add(
            ExchangeRate(
                id=new_id(),
                currency=slot.currency,
                target=target,
                day=slot.day,
                rate_e8=None if rate is None else int(rate.scaleb(PLACES)),
                entered_at=clock.now(),
                entered_by_id=entry.by_id,
                source=entry.source[:200],
            )
        )
    session.flush()
    return new, changed


def taken_back(session: Session, key: uuid.UUID, target: str) -> dict[Slot, Decimal | None]:
    """What takes the rate of a row back, when it still counts; nothing otherwise."""
    rows = current(versions(session, target))
    return {slot: None for slot, row in rows.items() if row.id == key}
