"""The vendor's known accounts: a list from another system, brought in whole or not at all.

A row is known by its `external_id`: the same file again changes nothing, a changed row one account.
Where a file has no such column, what is known stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from portal.content.models import ProductFamily
from portal.db import in_parts, new_id, write
from portal.deals import checks, conflicts
from portal.deals.customer_models import KnownAccount
from portal.errors import PortalError
from portal.formatting import sort_key
from portal.sheets import Line, Sheet, guess, key_of

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
PATIENCE_S = 30.0


class BadMapping(PortalError):
    """The columns of the file do not say what is needed."""


@dataclass
class Outcome:
    """What an import of accounts did, or would do."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of it."""
        plain = {key: getattr(self, key) for key in ("created", "updated", "unchanged")}
        return {**plain, "refused": len(self.refused)}

    def explained(self) -> list[str]:
        """In sentences."""
        said = [
            ngettext("%(num)s account is new.", "%(num)s accounts are new.", self.created),
            ngettext("%(num)s account changes.", "%(num)s accounts change.", self.updated),
            ngettext("%(num)s was there already.", "%(num)s were there already.", self.unchanged),
            ngettext("%(num)s row is refused.", "%(num)s rows are refused.", len(self.refused)),
        ]
        said += [
            _("Line %(n)s: %(why)s", n=line.number, why=why) for line, why in self.refused[:20]
        ]
        return [text for text in said if not text.startswith("0 ")] or [_("The file has no rows.")]


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


def mapping_for(sheet: Sheet, given: Mapping[str, str]) -> dict[str, str]:
    """Which column holds which field: as given, else by the columns' names. Raises BadMapping."""
    columns = {key_of(column): column for column in reversed(sheet.columns) if column}
    chosen: dict[str, str] = {}
    for name, column in given.items():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            raise BadMapping(
                _("%(name)s is no field. Known are: %(known)s.", name=name, known=known)
            )
        if key_of(column) not in columns:
            raise BadMapping(_("The file has no column %(name)s.", name=column))
        chosen[name] = columns[key_of(column)]
    left = [column for column in sheet.columns if column not in chosen.values()]
    chosen |= guess(left, {name: FIELDS[name] for name in FIELDS if name not in given})
    for name in NEEDED:
        if name not in chosen:
            raise BadMapping(
                _(
                    "No column says %(name)s. Give one of the columns this name: %(known)s.",
                    name=name,
                    known=", ".join((name, *FIELDS[name])),
                )
            )
    return {name: chosen[name] for name in FIELDS if name in chosen}


@dataclass(frozen=True)
class _Reader:
    """Turns rows into the columns of accounts."""

    families: Mapping[str, uuid.UUID]
    seen: dict[str, int]

    def values(self, line: Line, cells: Mapping[str, str]) -> dict[str, Any] | str:
        """What a row says, or why it is refused."""
        for name in NEEDED:
            if not cells[name]:
                return _("%(name)s is missing.", name=name)
        for name, most in LENGTHS.items():
            if len(cells.get(name, "")) > most:
                return _("%(name)s is longer than %(n)s characters.", name=name, n=most)
        country = cells.get("country", "").upper()
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            return _("country must be a code of two letters, like DE.")
        family = cells.get("product_family", "")
        if family and (key_of(family) or family) not in self.families:
            return _("There is no product family %(name)s.", name=family)
        first = self.seen.setdefault(cells["external_id"], line.number)
        if first != line.number:
            return _("Line %(n)s has the same external_id.", n=first)
        found: dict[str, Any] = {name: cells[name] for name in LENGTHS if name in cells}
        found["name"] = " ".join(found["name"].split())
        if "country" in cells:
            found["country"] = country
        if "product_family" in cells:
            found["product_family_id"] = self.families.get(key_of(family) or family)
        return found


# --- writing ------------------------------------------------------------------------------------


class _NotMeant(Exception):
    """Takes a dry run back."""


def run_import(
    sheet: Sheet, mapping: Mapping[str, str], now: datetime, *, dry_run: bool = False
) -> Outcome:
    """Write every row that can be used, in one transaction; with `dry_run`, take it back."""
    outcome = Outcome()
    try:
        with write(deadline=PATIENCE_S, holding=checks.WHO_IS_WHO) as session:
            outcome = run(session, sheet, mapping, now)
            if dry_run:
                raise _NotMeant
    except _NotMeant:
        pass
    return outcome


def run(session: Session, sheet: Sheet, mapping: Mapping[str, str], now: datetime) -> Outcome:
    """The same in the transaction of `session`."""
    outcome, read = Outcome(), list[dict[str, Any]]()
    rows = session.scalars(select(ProductFamily))
    reader = _Reader({key_of(row.name) or row.name: row.id for row in rows}, {})
    for line in sheet.lines:
        values = reader.values(line, sheet.values(line, mapping))
        if isinstance(values, str):
            outcome.refused.append((line, values))
        else:
            read.append(values)
    there = _there(session, [values["external_id"] for values in read])
    for values in read:
        _write_one(session, there.get(values["external_id"]), values, now, outcome)
    session.flush()
    if outcome.created or outcome.updated:
        checks.all_wait(session)
    return outcome


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
        session.add(KnownAccount(id=new_id(), imported_at=now, **values))
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
