"""The vendor's known accounts: a list from another system, brought in whole or not at all.

A row is known by its `external_id`: the same file again changes nothing, a changed row one account.
Where a file has no such column, what is known stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.service import zone
from portal.content.models import ProductFamily
from portal.db import in_parts, new_id
from portal.deals import checks, conflicts
from portal.deals.customer_models import KnownAccount
from portal.deals.words import Order, Unclear, is_ambiguous, order_of, parse_day
from portal.formatting import sort_key
from portal.imports.kinds import (
    Choices,
    Kind,
    Outcome,
    RefusedRow,
    Source,
    all_or_nothing,
    fitting,
    register,
)
from portal.sheets import Line, Sheet, key_of

# Every field, with the names that other systems give it.
FIELDS: dict[str, tuple[str, ...]] = {
    "external_id": ("account_id", "account number", "customer number", "id", "number"),
    "name": ("account", "account name", "company", "customer", "customer name", "firma"),
    "domain": ("website", "web domain", "url", "e-mail", "email"),
    "tax_id": ("vat", "vat number", "vat id", "tax number", "ust-idnr", "ustid"),
    "country": ("country code", "land"),
    "postcode": ("zip", "zip code", "postal code", "plz"),
    "product_family": ("product", "family", "product line", "produktfamilie"),
    "owner": ("account owner", "account manager", "seller", "sales rep", "sales_agent"),
    "first_contact": ("first contact date", "customer since", "since", "created", "created date"),
}
NEEDED = ("external_id", "name")
LENGTHS = {
    "external_id": 100,
    "name": 200,
    "domain": 253,
    "tax_id": 40,
    "postcode": 20,
    "owner": 200,
}
LABELS = {
    "external_id": _l("Key in the other system"),
    "name": _l("Name"),
    "domain": _l("Web domain"),
    "tax_id": _l("VAT number"),
    "country": _l("Country"),
    "postcode": _l("Postcode"),
    "product_family": _l("Product family; empty: every one"),
    "owner": _l("Who looks after it"),
    "first_contact": _l("First contact; empty: the day of the import"),
}


# --- reading ------------------------------------------------------------------------------------


def search(session: Session, text: str) -> list[KnownAccount]:
    """Known accounts whose name, domain, number or owner holds `text`, by name."""
    query = select(KnownAccount).options(joinedload(KnownAccount.product_family))
    if text.strip():
        plain = text.strip()
        columns = (KnownAccount.name, KnownAccount.domain, KnownAccount.external_id)
        tests = [column.icontains(plain, autoescape=True) for column in columns]
        tests.append(KnownAccount.owner.icontains(plain, autoescape=True))
        key = conflicts.company_key(text)
        if key:
            tests.append(KnownAccount.company_key.contains(key, autoescape=True))
        query = query.where(or_(*tests))
    return sorted(session.scalars(query), key=lambda row: sort_key(row.name, row.id))


@dataclass(frozen=True)
class _Reader:
    """Turns rows into the columns of accounts."""

    families: Mapping[str, uuid.UUID]
    seen: dict[str, int]
    order: Order | None
    today: date

    def values(self, line: Line, cells: Mapping[str, str]) -> dict[str, Any]:
        """What a row says. Raises RefusedRow."""
        for name in NEEDED:
            if not cells[name]:
                raise RefusedRow(_("%(name)s is missing.", name=name))
        found: dict[str, Any] = {
            name: fitting(name, cells[name], most)
            for name, most in LENGTHS.items()
            if name in cells
        }
        country = cells.get("country", "").upper()
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise RefusedRow(_("country must be a code of two letters, like DE."))
        family = cells.get("product_family", "")
        if family and (key_of(family) or family) not in self.families:
            raise RefusedRow(_("There is no product family %(name)s.", name=family))
        first = self.seen.setdefault(cells["external_id"], line.number)
        if first != line.number:
            raise RefusedRow(_("Line %(n)s has the same external_id.", n=first))
        if "country" in cells:
            found["country"] = country
        if "product_family" in cells:
            found["product_family_id"] = self.families.get(key_of(family) or family)
        if cells.get("first_contact"):
            found["first_contact"] = self._day(cells["first_contact"])
        return found

    def _day(self, text: str) -> date:
        try:
            day = None if self.order is None and is_ambiguous(text) else parse_day(text, self.order)
        except ValueError:
            day = None
        if day is None:
            raise RefusedRow(_("first_contact is no day for certain: write it like 2026-03-31."))
        if day > self.today:
            raise RefusedRow(_("first_contact lies in the future."))
        return day


# --- writing ------------------------------------------------------------------------------------


def run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    """Write the accounts of a file; what a row does not say stays as it is."""
    mapping, now = KIND.mapping_for(sheet, choices.mapping), clock.now()
    return all_or_nothing(
        lambda session: _write(session, sheet, mapping, now), source.dry_run, checks.WHO_IS_WHO
    )


def _write(session: Session, sheet: Sheet, mapping: Mapping[str, str], now: datetime) -> Outcome:
    outcome, read = Outcome(), list[dict[str, Any]]()
    rows = session.scalars(select(ProductFamily))
    values_of = [(line, sheet.values(line, mapping)) for line in sheet.lines]
    reader = _Reader(
        {key_of(row.name) or row.name: row.id for row in rows},
        {},
        _order(cells.get("first_contact", "") for _line, cells in values_of),
        clock.local_day(now, zone()),
    )
    for line, cells in values_of:
        try:
            read.append(reader.values(line, cells))
        except RefusedRow as reason:
            outcome.refuse(line, str(reason))
    there = _there(session, [values["external_id"] for values in read])
    for values in read:
        _write_one(session, there.get(values["external_id"]), values, now, outcome)
    session.flush()
    if outcome.created or outcome.updated:
        checks.all_wait(session)
    return outcome


def _order(days: Iterable[str]) -> Order | None:
    """Whether days in figures have the day or the month first; None where that is not certain."""
    try:
        return order_of(days)
    except Unclear:
        return None


def _there(session: Session, keys: Sequence[str]) -> dict[str, KnownAccount]:
    found: dict[str, KnownAccount] = {}
    for some in in_parts(keys):
        query = select(KnownAccount).where(KnownAccount.external_id.in_(some))
        found |= {row.external_id: row for row in session.scalars(query)}
    return found


def _write_one(
    session: Session,
    known: KnownAccount | None,
    values: Mapping[str, Any],
    now: datetime,
    outcome: Outcome,
) -> None:
    if known is None:
        day = {"first_contact": clock.local_day(now, zone())}
        session.add(KnownAccount(id=new_id(), imported_at=now, **{**day, **values}))
        outcome.created += 1
        return
    changed = {name: value for name, value in values.items() if getattr(known, name) != value}
    for name, value in changed.items():
        setattr(known, name, value)
    if changed:
        known.imported_at = now
        outcome.updated += 1
    else:
        outcome.unchanged += 1


KIND = register(
    Kind(
        name="accounts",
        title=_l("Import known accounts"),
        about=_l("A CSV or XLSX file with a row for each customer that we serve already."),
        fields=FIELDS,
        labels=LABELS,
        needed=NEEDED,
        run=run,
    )
)
