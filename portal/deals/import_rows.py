"""What a file of deals says, row by row: columns mapped to fields, words and dates understood.

Nothing here knows the database. A row that cannot be used is refused with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import TypeVar

from babel.numbers import list_currencies
from flask_babel import gettext as _

from portal.deals.forms import TYPE_NAMES
from portal.deals.money import parse_amount
from portal.deals.pipeline import Stage
from portal.deals.reasons import IMPORTED, LOSS_NAMES
from portal.deals.words import (
    CLOSED,
    COURSES,
    Course,
    Order,
    Unclear,
    course_of,
    is_ambiguous,
    order_of,
    parse_day,
    parse_moment,
    word_key,
)
from portal.imports.kinds import RefusedRow, fitting
from portal.sheets import BadMapping, Line, Sheet, mapping_of

T = TypeVar("T")

DAYS = ("first_contact", "submitted", "decided", "closed")
LATER_DAYS = ("expected_close", "contract_ends")
PROTECTED = ("protected_from", "protected_until")
# Every field, with the names that other systems give it.
FIELDS: dict[str, tuple[str, ...]] = {
    "external_id": ("opportunity_id", "deal_id", "id", "deal number", "number"),
    "reference": ("our reference", "portal reference", "registration number"),
    "partner": ("sales_agent", "reseller", "partner name", "partner account", "distributor"),
    "customer": ("account", "account name", "company", "customer name", "end customer", "kunde"),
    "known_customer": ("customer record", "known as"),
    "domain": ("website", "web domain", "customer domain", "url"),
    "tax_id": ("vat", "vat number", "vat id", "tax number", "ust-idnr", "ustid"),
    "country": ("country code", "land"),
    "postcode": ("zip", "zip code", "postal code", "plz"),
    "contact": ("contact name", "contact person", "ansprechpartner"),
    "product_family": ("product", "family", "product line", "produktfamilie"),
    "type": ("kind", "deal type", "opportunity type", "kind of deal"),
    "status": ("registration status", "approval status"),
    "stage": ("deal_stage", "sales stage", "phase"),
    "first_contact": ("engage_date", "first contact date", "created date", "created", "opened"),
    "submitted": ("submitted date", "registered", "registration date"),
    "decided": ("decision date", "approved date", "approved", "decided date"),
    "closed": ("close_date", "closed date", "won date", "order date"),
    "expected_close": ("expected close date", "expected order date", "expected on"),
    "amount": ("close_value", "value", "deal value", "expected order", "order"),
    "currency": ("currency code", "währung"),
    "won_amount": ("order amount", "order value", "won value", "auftragswert"),
    "won_currency": ("order currency",),
    "order_number": ("order no", "po number", "purchase order", "bestellnummer"),
    "contract_ends": ("contract end", "contract end date", "vertragsende"),
    "loss_reason": ("lost reason", "reason lost", "closed lost reason", "verlustgrund"),
    "protected_from": ("protection from", "protection start", "reserved from"),
    "protected_until": ("protection until", "protection end", "reserved until"),
}
# How long a text may be.
LENGTHS = {
    "external_id": 100, "reference": 100, "partner": 200, "customer": 200, "known_customer": 200,
    "domain": 253, "tax_id": 40, "country": 60, "postcode": 20, "contact": 200,
    "product_family": 100, "order_number": 60,
}  # fmt: skip
_TYPES = {
    **{word_key(name): name for name in TYPE_NAMES},
    "": "", "new business": "new", "upsell more of what they have": "upsell", "up sell": "upsell",
    "cross sell another family": "cross_sell", "verlängerung": "renewal", "neugeschäft": "new",
}  # fmt: skip
_LOSSES = {
    **{word_key(name): name for name in LOSS_NAMES},
    "": IMPORTED, "too expensive": "price", "preis": "price", "competition": "competitor",
    "lost to competitor": "competitor", "a competitor s product": "competitor",
    "wettbewerb": "competitor", "budget": "no_budget", "kein budget": "no_budget",
    "delayed": "postponed", "verschoben": "postponed", "no answer": "no_response",
    "the customer stopped answering": "no_response", "sonstiges": "other",
}  # fmt: skip
# What is understood in the columns that hold one of a few words.
KNOWN_WORDS: dict[str, Mapping[str, object]] = {
    "stage": COURSES, "type": _TYPES, "loss_reason": _LOSSES,
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How a file is to be read: which column holds which field, what to do where it is silent.

    `words` say what further words of `stage` (and status), `type` and `loss_reason` mean.
    """

    mapping: Mapping[str, str]
    create: bool = False
    currency: str = "EUR"
    order: Order | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One deal as the file states it. `currency` is empty where it names none; `protected` are the
    beginning and the end of a reservation: a moment, or a day that belongs to it."""

    line: Line
    external_id: str
    reference: str
    partner: str
    customer: str
    known_customer: str
    domain: str
    tax_id: str
    country: str
    postcode: str
    contact: str
    family: str
    deal_type: str
    course: Course
    days: Mapping[str, date | None]
    later: Mapping[str, date | None]
    amount: int | None
    currency: str
    won_amount: int | None
    won_currency: str
    order_number: str
    loss_reason: str
    protected: tuple[date | datetime, date | datetime] | None

    @property
    def key(self) -> str:
        """What the deal is called elsewhere, or else what it is called here."""
        return self.external_id or self.reference

    @property
    def is_won(self) -> bool:
        """Whether the file says that it was won, confirmed or not."""
        return self.course.stage == Stage.won


@dataclass
class Parsed:
    """What a file says, and the rows that cannot be used, each with its reason."""

    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[Line, str]] = field(default_factory=list)


def mapping_for(sheet: Sheet, given: Mapping[str, str]) -> dict[str, str]:
    """Which column holds which field; something must name the deal, and one of status and stage is
    needed. Raises BadMapping."""
    chosen = mapping_of(sheet, FIELDS, (), given)
    is_named = {"external_id", "reference"} & chosen.keys()
    if not is_named and not {"customer", "product_family", "order_number"} <= chosen.keys():
        raise BadMapping(_("Say which column holds external_id or reference."))
    if "partner" not in chosen:
        raise BadMapping(_("Say which column holds %(name)s.", name="partner"))
    if "status" not in chosen and "stage" not in chosen:
        raise BadMapping(_("Say which column holds status or stage."))
    return chosen


def parse(sheet: Sheet, options: Options) -> Parsed:
    """Read every row. Raises BadMapping when nothing could be read for certain."""
    if options.currency not in _currencies():
        raise BadMapping(_("%(code)s is no currency.", code=options.currency))
    values = [(line, sheet.values(line, options.mapping)) for line in sheet.lines]
    reader = _Reader(options, _understood(options.words), _order(values, options))
    found, seen = Parsed(), dict[str, int]()
    for line, cells in values:
        try:
            row = reader.read(line, cells)
            if row.key and row.key in seen:
                raise RefusedRow(_("Line %(n)s has the same external_id.", n=seen[row.key]))
        except RefusedRow as reason:
            found.refused.append((line, str(reason)))
            continue
        seen[row.key] = line.number
        found.rows.append(row)
    return found


@cache
def _currencies() -> set[str]:
    return set(list_currencies())


def _understood(words: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The meanings of further words by field and `word_key`. Raises BadMapping."""
    found = {}
    for name, meanings in words.items():
        if name not in KNOWN_WORDS:
            raise BadMapping(_("%(name)s is no field with words to explain.", name=name))
        for meaning in meanings.values():
            if word_key(meaning) not in KNOWN_WORDS[name]:
                raise BadMapping(_no_word(name, meaning))
        found[name] = {word_key(word): word_key(known) for word, known in meanings.items()}
    return found


def _no_word(name: str, word: str) -> str:
    if name == "type":
        return _("“%(word)s” is no kind of deal.", word=word)
    if name == "loss_reason":
        return _("“%(word)s” is no reason of loss that is known here.", word=word)
    return _("“%(word)s” is no status or stage that is known here.", word=word)


def unknown_words(sheet: Sheet, mapping: Mapping[str, str]) -> dict[str, Counter[str]]:
    """The words of a file that are not understood, by field, and in how many rows each stands."""
    found: dict[str, Counter[str]] = {name: Counter() for name in KNOWN_WORDS}
    for line in sheet.lines:
        cells = sheet.values(line, mapping)
        status, stage = cells.get("status", ""), cells.get("stage", "")
        sale = () if word_key(status) == CLOSED and stage else (status,)
        texts = {"stage": (*sale, stage), **{key: (cells.get(key, ""),) for key in _OTHERS}}
        for name, some in texts.items():
            found[name].update(
                word for word in set(some) if word and word_key(word) not in KNOWN_WORDS[name]
            )
    return {name: words for name, words in found.items() if words}


_OTHERS = ("type", "loss_reason")


def _order(values: Sequence[tuple[Line, dict[str, str]]], options: Options) -> Order | None:
    names = (*DAYS, *LATER_DAYS, *PROTECTED)
    days = [cells.get(name, "") for _line, cells in values for name in names]
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
    """Understands the cells of a row. Raises RefusedRow."""

    options: Options
    words: Mapping[str, Mapping[str, str]]
    order: Order | None

    def read(self, line: Line, cells: Mapping[str, str]) -> Row:
        """One row."""
        if not cells["partner"]:
            raise RefusedRow(_("%(name)s is missing.", name="partner"))
        text = {name: fitting(name, cells.get(name, ""), n) for name, n in LENGTHS.items()}
        course = self._course(cells)
        is_lost = course.stage == Stage.lost
        row = Row(
            line=line,
            external_id=text["external_id"],
            reference=text["reference"],
            partner=text["partner"],
            customer=text["customer"],
            known_customer=text["known_customer"],
            domain=text["domain"].lower(),
            tax_id=text["tax_id"],
            country=text["country"].upper(),
            postcode=text["postcode"],
            contact=text["contact"],
            family=text["product_family"],
            deal_type=str(self._word("type", cells)),
            course=course,
            days=self._days(cells, DAYS),
            later=self._days(cells, LATER_DAYS),
            amount=self._amount("amount", cells),
            currency=self._currency("currency", cells),
            won_amount=self._amount("won_amount", cells),
            won_currency=self._currency("won_currency", cells),
            order_number=text["order_number"],
            loss_reason=str(self._word("loss_reason", cells)) if is_lost else "",
            protected=self._protected(cells),
        )
        _complete(row)
        return row

    def _course(self, cells: Mapping[str, str]) -> Course:
        status, stage = cells.get("status", ""), cells.get("stage", "")
        course = course_of(status, stage, self.words.get("stage"))
        if course is None:
            raise RefusedRow(_no_word("stage", f"{status} {stage}".strip()))
        return course

    def _word(self, name: str, cells: Mapping[str, str]) -> object:
        word, known = word_key(cells.get(name, "")), KNOWN_WORDS[name]
        word = self.words.get(name, {}).get(word, word)
        if word not in known:
            raise RefusedRow(_no_word(name, cells[name]))
        return known[word]

    def _days(self, cells: Mapping[str, str], names: Iterable[str]) -> dict[str, date | None]:
        return {name: self._time(name, cells, parse_day) for name in names}

    def _time(
        self,
        name: str,
        cells: Mapping[str, str],
        parse: Callable[[str, Order | None], T | None],
    ) -> T | None:
        try:
            return parse(cells.get(name, ""), self.order)
        except (ValueError, OverflowError):
            raise RefusedRow(
                _("%(name)s is no day: %(text)s", name=name, text=cells[name])
            ) from None

    def _amount(self, name: str, cells: Mapping[str, str]) -> int | None:
        try:
            return parse_amount(cells.get(name, ""))
        except ValueError:
            raise RefusedRow(
                _("%(name)s is no amount: %(text)s", name=name, text=cells[name])
            ) from None

    def _currency(self, name: str, cells: Mapping[str, str]) -> str:
        code = (cells.get(name) or "").upper()
        if code and code not in _currencies():
            raise RefusedRow(_("%(code)s is no currency.", code=code))
        return code

    def _protected(
        self, cells: Mapping[str, str]
    ) -> tuple[date | datetime, date | datetime] | None:
        since, until = (self._time(name, cells, parse_moment) for name in PROTECTED)
        if since is None and until is None:
            return None
        if since is None or until is None:
            raise RefusedRow(_("A reservation needs both protected_from and protected_until."))
        return since, until


def _complete(row: Row) -> None:
    """See that what a row says goes together. Raises RefusedRow."""
    is_ordered = row.is_won and row.customer and row.family and row.order_number
    if not row.key and not is_ordered:
        raise RefusedRow(_("%(name)s is missing.", name="external_id"))
    if row.country and not (len(row.country) == 2 and row.country.isalpha()):
        raise RefusedRow(_("country must be a code of two letters, like DE."))
    _complete_end(row)
    if row.protected is None:
        return
    if row.course.stage is None:
        raise RefusedRow(_("Only a deal that was approved can be reserved."))
    if not row.customer:
        raise RefusedRow(_("A deal of an unknown customer is never reserved."))
    if not row.family:
        raise RefusedRow(_("A reservation needs its product family."))


def _complete_end(row: Row) -> None:
    """See that a deal that has ended says how."""
    if row.is_won and row.amount is None and row.won_amount is None:
        raise RefusedRow(_("A deal that was won needs its amount."))
    first, closed = row.days["first_contact"], row.days["closed"]
    if row.course.stage not in (Stage.won, Stage.lost):
        return
    if closed is None:
        raise RefusedRow(_("A deal that was won or lost needs the day it closed."))
    if first is not None and closed < first:
        raise RefusedRow(_("It closed before the first contact."))
    ends = row.later["contract_ends"]
    if row.is_won and ends is not None and ends <= closed:
        raise RefusedRow(_("A contract ends after the day of the order."))
