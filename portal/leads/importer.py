"""Leads from a file: explained row by row, and written all together or not at all.

A row is known by its `external_id`: importing a file again changes nothing, and a mended file of
refused rows can follow. A row that names a partner is that partner's at once; the others are
offered to partners by the rules.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.models import User
from portal.content import library
from portal.countries import countries
from portal.db import in_parts, write
from portal.errors import PortalError
from portal.leads import service
from portal.leads.models import Lead
from portal.leads.stages import Source
from portal.sheets import Line, Sheet, guess, key_of

PATIENCE_S = 30.0
# Every field, with the names that other systems give it.
FIELDS: dict[str, tuple[str, ...]] = {
    "external_id": ("lead_id", "id", "lead number", "number"),
    "company": ("account", "company name", "organisation", "organization", "customer", "firma"),
    "contact": ("name", "contact name", "full name", "person", "ansprechpartner"),
    "email": ("email address", "mail", "e-mail-adresse"),
    "phone": ("telephone", "phone number", "telefon", "mobile"),
    "country": ("country code", "land"),
    "region": ("territory", "gebiet"),
    "product_family": ("product", "family", "product line", "produktfamilie"),
    "partner": ("reseller", "partner name", "assigned to"),
    "note": ("description", "comment", "notes", "bemerkung"),
}
_LENGTHS = {"external_id": 100, "company": 200, "contact": 200, "phone": 40, "region": 40}


class BadMapping(PortalError):
    """The columns of the file do not say what is needed."""


@dataclass
class Outcome:
    """What an import did, or would do."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)

    def explained(self) -> list[str]:
        """In sentences."""
        said = [
            ngettext("%(num)s lead is new.", "%(num)s leads are new.", self.created),
            ngettext("%(num)s lead changes.", "%(num)s leads change.", self.updated),
            ngettext("%(num)s was there already.", "%(num)s were there already.", self.unchanged),
            ngettext("%(num)s row is refused.", "%(num)s rows are refused.", len(self.refused)),
        ]
        reasons = Counter(reason for _line, reason in self.refused)
        said += [f"{n} × {reason}" for reason, n in reasons.most_common(20)]
        return [text for text in said if not text.startswith("0 ")]


def mapping_for(sheet: Sheet, given: Mapping[str, str]) -> dict[str, str]:
    """Which column holds which field: as given, else by the columns' names. Raises BadMapping."""
    columns = {key_of(column): column for column in reversed(sheet.columns) if column}
    chosen = {}
    for name, column in given.items():
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            raise BadMapping(
                _("%(name)s is no field. Known are: %(known)s.", name=name, known=known)
            )
        if column and key_of(column) not in columns:
            raise BadMapping(_("The file has no column %(name)s.", name=column))
        if column:
            chosen[name] = columns[key_of(column)]
    left = [column for column in sheet.columns if column not in chosen.values()]
    chosen |= guess(left, {name: FIELDS[name] for name in FIELDS if name not in given})
    for name in ("external_id", "company"):
        if name not in chosen:
            raise BadMapping(_("Say which column holds %(name)s.", name=name))
    return {name: chosen[name] for name in FIELDS if name in chosen}


class _NotMeant(Exception):
    """Takes a dry run back."""


def run_import(
    sheet: Sheet, mapping: Mapping[str, str], *, by_id: uuid.UUID | None, dry_run: bool = False
) -> Outcome:
    """Write what can be used, all of it in one transaction; with `dry_run`, take it back."""
    outcome = Outcome()
    try:
        with write(deadline=PATIENCE_S) as session:
            _run(session, sheet, mapping, outcome, by_id, clock.now())
            if dry_run:
                raise _NotMeant
    except _NotMeant:
        pass
    return outcome


def _run(
    session: Session,
    sheet: Sheet,
    mapping: Mapping[str, str],
    outcome: Outcome,
    by_id: uuid.UUID | None,
    now: datetime,
) -> None:
    user = session.get(User, by_id) if by_id else None
    rows = [(line, sheet.values(line, mapping)) for line in sheet.lines]
    there = _known(session, [cells["external_id"] for _line, cells in rows])
    reader, seen = _Reader(session), dict[str, int]()
    for line, cells in rows:
        key = cells["external_id"]
        if key in seen:
            text = _("Line %(n)s has the same external_id.", n=seen[key])
            outcome.refused.append((line, text))
            continue
        try:
            facts, partner_id = reader.facts(cells), reader.partner(cells.get("partner", ""))
        except PortalError as problem:
            outcome.refused.append((line, str(problem)))
            continue
        seen[key] = line.number
        if key not in there:
            _create(session, key, facts, partner_id, user, now)
            outcome.created += 1
        elif _update(session, there[key], facts, user, now):
            outcome.updated += 1
        else:
            outcome.unchanged += 1


def _known(session: Session, keys: list[str]) -> dict[str, Lead]:
    found = {}
    for some in in_parts(keys):
        for lead in session.scalars(select(Lead).where(Lead.external_id.in_(some))):
            found[lead.external_id or ""] = lead
    return found


def _create(
    session: Session,
    key: str,
    facts: Mapping[str, Any],
    partner_id: uuid.UUID | None,
    user: User | None,
    now: datetime,
) -> None:
    service.capture(
        session, Source.file, facts, now, user=user, partner_id=partner_id, external_id=key
    )


def _update(
    session: Session, lead: Lead, facts: Mapping[str, Any], user: User | None, now: datetime
) -> bool:
    """Where the file is silent, what is known stays; what a partner has taken or a customer had
    erased is not ours to change."""
    if lead.partner_id is not None or lead.erased_at is not None:
        return False
    changed = service.fill(lead, {name: value for name, value in facts.items() if value})
    if changed:
        side = service.side_of(user)
        service.write_history(session, lead, "import", lead.stage, side, now, user=user)
    return bool(changed)


class _Reader:
    """Understands the cells of a row. What cannot be used raises a PortalError with the reason."""

    def __init__(self, session: Session) -> None:
        self.countries = {code for code, _name in countries()}
        self.families = {key_of(row.name): row.id for row in library.families(session)}
        partners = accounts.partners(session)
        self.partners = {key_of(row.name): row.id for row in partners}
        self.regions = {key_of(row.region): row.region for row in partners if row.region}

    def facts(self, cells: Mapping[str, str]) -> dict[str, Any]:
        """What a row says of a lead."""
        for name in ("external_id", "company"):
            if not cells[name]:
                raise PortalError(_("%(name)s is missing.", name=name))
        for name, most in _LENGTHS.items():
            if len(cells.get(name, "")) > most:
                raise PortalError(_("%(name)s is longer than %(n)s characters.", name=name, n=most))
        return {
            "company": " ".join(cells["company"].split()),
            "contact": " ".join(cells.get("contact", "").split()),
            "email": self._email(cells.get("email", "")),
            "phone": cells.get("phone", ""),
            "country": self._country(cells.get("country", "")),
            "region": self._region(cells.get("region", "")),
            "product_family_id": self._family(cells.get("product_family", "")),
            "note": cells.get("note", "")[:2000],
        }

    def partner(self, name: str) -> uuid.UUID | None:
        """Whom the row is for."""
        if not name:
            return None
        found = self.partners.get(key_of(name))
        if found is None:
            raise PortalError(_("There is no partner %(name)s.", name=name))
        return found

    def _email(self, text: str) -> str:
        if not text:
            return ""
        try:
            validate_email(text, check_deliverability=False)
        except EmailNotValidError:
            raise PortalError(_("email is no address: %(text)s", text=text)) from None
        return text

    def _country(self, text: str) -> str:
        code = text.upper()
        if code and code not in self.countries:
            raise PortalError(_("country must be a code of two letters, like DE."))
        return code

    def _region(self, text: str) -> str:
        if text and key_of(text) not in self.regions:
            raise PortalError(_("There is no region %(name)s.", name=text))
        return self.regions[key_of(text)] if text else ""

    def _family(self, text: str) -> uuid.UUID | None:
        if text and key_of(text) not in self.families:
            raise PortalError(_("There is no product family %(name)s.", name=text))
        return self.families[key_of(text)] if text else None
