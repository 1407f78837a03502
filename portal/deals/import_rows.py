"""What a file of deals says, row by row: columns mapped to fields, words and dates understood.

Nothing here knows the database. A row that cannot be used is refused with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from babel.numbers import list_currencies
from flask_babel import gettext as _

from portal.deals.forms import TYPE_NAMES
from portal.deals.money import parse_amount
from portal.deals.pipeline import Stage, Status
from portal.deals.words import (
    COURSES,
    Course,
    Order,
    Unclear,
    course_of,
    is_ambiguous,
    order_of,
    parse_day,
    word_key,
)
from portal.sheets import BadMapping, Line, Sheet, mapping_of

DAYS = ("first_contact", "submitted", "decided", "closed")
# Every field, with the names that other systems give it.
FIELDS: dict[str, tuple[str, ...]] = {
    "external_id": ("reference", "opportunity_id", "deal_id", "id", "deal number", "number"),
    "partner": ("sales_agent", "reseller", "partner name", "partner account", "distributor"),
    "customer": ("account", "account name", "company", "customer name", "end customer", "kunde"),
    "domain": ("website", "web domain", "customer domain", "url"),
    "country": ("country code", "land"),
    "product_family": ("product", "family", "product line", "produktfamilie"),
    "type": ("kind", "deal type", "opportunity type", "kind of deal"),
    "status": ("registration status", "approval status"),
    "stage": ("deal_stage", "sales stage", "phase"),
    "first_contact": ("engage_date", "first contact date", "created date", "created", "opened"),
    "submitted": ("submitted date", "registered", "registration date"),
    "decided": ("decision date", "approved date", "approved", "decided date"),
    "closed": ("close_date", "closed date", "won date", "order date"),
    "amount": ("close_value", "value", "deal value", "expected order", "order"),
    "currency": ("currency code", "währung"),
    "order_number": ("order no", "po number", "purchase order", "bestellnummer"),
}
NEEDED = ("external_id", "partner")
_TYPES = {**dict.fromkeys(("", *TYPE_NAMES)), "new business": "new", "cross sell": "cross_sell"}


@dataclass(frozen=True)
class Options:
    """How a file is to be read: which column holds which field, what to do where it is silent."""

    mapping: Mapping[str, str]
    create: bool = False
    currency: str = "EUR"
    order: Order | None = None
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One deal as the file states it."""

    line: Line
    external_id: str
    partner: str
    customer: str
    domain: str
    country: str
    family: str
    deal_type: str
    course: Course
    days: Mapping[str, date | None]
    amount: int | None
    currency: str
    order_number: str = ""


@dataclass
class Parsed:
    """What a file says, and the rows that cannot be used, each with its reason."""

    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[Line, str]] = field(default_factory=list)


def mapping_for(sheet: Sheet, given: Mapping[str, str]) -> dict[str, str]:
    """Which column holds which field; one of status and stage is needed. Raises BadMapping."""
    chosen = mapping_of(sheet, FIELDS, NEEDED, given)
    if "status" not in chosen and "stage" not in chosen:
        raise BadMapping(_("Say which column holds status or stage."))
    return chosen


def parse(sheet: Sheet, options: Options) -> Parsed:
    """Read every row. Raises BadMapping when nothing could be read for certain."""
    values = [(line, sheet.values(line, options.mapping)) for line in sheet.lines]
    words = {word_key(word): known for word, known in options.words.items()}
    for known in words.values():
        if word_key(known) not in COURSES:
            raise BadMapping(_("%(word)s is no stage that is known here.", word=known))
    reader = _Reader(options, words, _order(values, options))
    found, seen = Parsed(), dict[str, int]()
    for line, cells in values:
        row = reader.read(line, cells)
        if isinstance(row, str):
            found.refused.append((line, row))
        elif row.external_id in seen:
            text = _("Line %(n)s has the same external_id.", n=seen[row.external_id])
            found.refused.append((line, text))
        else:
            seen[row.external_id] = line.number
            found.rows.append(row)
    return found


def _order(values: Sequence[tuple[Line, dict[str, str]]], options: Options) -> Order | None:
    days = [cells.get(name, "") for _line, cells in values for name in DAYS]
    if options.order is not None:
        return options.order
    try:
        order = order_of(days)
    except Unclear:
        raise BadMapping(
            _("Some dates have the day first and some the month. Say which is meant.")
        ) from None
    if order is None and any(map(is_ambiguous, days)):
        raise BadMapping(_("Dates like 3/4/2026 could mean two days. Say what comes first."))
    return order


@dataclass(frozen=True)
class _Reader:
    options: Options
    words: Mapping[str, str]
    order: Order | None

    @cached_property
    def currencies(self) -> set[str]:
        return set(list_currencies())

    def read(self, line: Line, cells: Mapping[str, str]) -> Row | str:
        """One row, or why it is refused."""
        for name in NEEDED:
            if not cells[name]:
                return _("%(name)s is missing.", name=name)
        if len(cells["external_id"]) > 100:
            return _("external_id is longer than 100 characters.")
        status, stage = cells.get("status", ""), cells.get("stage", "")
        course = course_of(status, stage, self.words)
        if course is None:
            return _(
                "“%(word)s” is no status or stage that is known here.",
                word=f"{status} {stage}".strip(),
            )
        days: dict[str, date | None] = {}
        for name in DAYS:
            try:
                days[name] = parse_day(cells.get(name, ""), self.order)
            except (ValueError, OverflowError):
                return _("%(name)s is no day: %(text)s", name=name, text=cells[name])
        try:
            amount = parse_amount(cells.get("amount", ""))
        except ValueError:
            return _("amount is no amount: %(text)s", text=cells["amount"])
        currency = (cells.get("currency") or self.options.currency).upper()
        if currency not in self.currencies:
            return _("%(code)s is no currency.", code=currency)
        kind = word_key(cells.get("type", ""))
        if kind not in _TYPES and kind.replace(" ", "_") not in TYPE_NAMES:
            return _("“%(word)s” is no kind of deal.", word=cells["type"])
        return self._complete(
            Row(
                line=line,
                external_id=cells["external_id"],
                partner=" ".join(cells["partner"].split())[:200],
                customer=" ".join(cells.get("customer", "").split())[:200],
                domain=cells.get("domain", "").lower()[:253],
                country=cells.get("country", "").upper(),
                family=" ".join(cells.get("product_family", "").split())[:100],
                deal_type=_TYPES.get(kind) or kind.replace(" ", "_"),
                course=course,
                days=days,
                amount=amount,
                currency=currency,
                order_number=" ".join(cells.get("order_number", "").split())[:60],
            )
        )

    def _complete(self, row: Row) -> Row | str:
        """The row, if what it says goes together."""
        if row.country and not (len(row.country) == 2 and row.country.isalpha()):
            return _("country must be a code of two letters, like DE.")
        if row.course.stage == Stage.won and row.amount is None:
            return _("A deal that was won needs its amount.")
        is_closed = row.course.status == Status.closed
        if is_closed and row.days["closed"] is None:
            return _("A deal that was won or lost needs the day it closed.")
        first, closed = row.days["first_contact"], row.days["closed"]
        if is_closed and first is not None and closed is not None and closed < first:
            return _("It closed before the first contact.")
        return row
