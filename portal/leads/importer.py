"""Leads from a file: explained row by row, and written all together or not at all.

A row is known by its `external_id`: importing a file again changes nothing, and a mended file of
refused rows can follow. A row that names a partner is offered to that partner first, with the usual
time to accept it; the others are offered to partners by the rules.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.models import User
from portal.content import library
from portal.countries import countries
from portal.db import in_parts
from portal.imports.kinds import (
    Choices,
    Kind,
    Outcome,
    RefusedRow,
    all_or_nothing,
    fitting,
    register,
)
from portal.imports.kinds import Source as Brought
from portal.leads import offers, service
from portal.leads.models import Lead
from portal.leads.stages import Source
from portal.sheets import Sheet, key_of

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


LABELS = {
    "external_id": _l("Key in the other system"),
    "company": _l("Company"),
    "contact": _l("Contact"),
    "email": _l("E-mail address"),
    "phone": _l("Telephone"),
    "country": _l("Country"),
    "region": _l("Region"),
    "product_family": _l("Product family"),
    "partner": _l("Partner to offer it to"),
    "note": _l("What it is about"),
}


def run(sheet: Sheet, choices: Choices, source: Brought) -> Outcome:
    """Write the leads of a file; where it is silent, what is known stays."""
    mapping = KIND.mapping_for(sheet, choices.mapping)
    return all_or_nothing(
        lambda session: _write(session, sheet, mapping, source.by_id, clock.now()), source.dry_run
    )


def _write(
    session: Session,
    sheet: Sheet,
    mapping: Mapping[str, str],
    by_id: uuid.UUID | None,
    now: datetime,
) -> Outcome:
    outcome, user = Outcome(), session.get(User, by_id) if by_id else None
    rows = [(line, sheet.values(line, mapping)) for line in sheet.lines]
    there = _known(session, [cells["external_id"] for _line, cells in rows])
    reader, seen = _Reader(session), dict[str, int]()
    for line, cells in rows:
        key = cells["external_id"]
        if key in seen:
            outcome.refuse(line, _("Line %(n)s has the same external_id.", n=seen[key]))
            continue
        try:
            facts, partner_id = reader.facts(cells), reader.partner(cells.get("partner", ""))
            if key not in there and partner_id is not None:
                reader.refuse_unless_answered(partner_id)
        except RefusedRow as reason:
            outcome.refuse(line, str(reason))
            continue
        seen[key] = line.number
        if key not in there:
            _create(session, key, facts, partner_id, user, now)
            outcome.created += 1
        elif _update(session, there[key], facts, user, now):
            outcome.updated += 1
        else:
            outcome.unchanged += 1
    return outcome


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
    lead = service.capture(session, Source.file, facts, now, user=user, external_id=key)
    if partner_id is not None:
        offers.offer(session, lead, partner_id, now, user)


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
    """Understands the cells of a row. Raises RefusedRow."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.there: dict[uuid.UUID, bool] = {}
        self.countries = {code for code, _name in countries()}
        self.families = {key_of(row.name): row.id for row in library.families(session)}
        partners = accounts.partners(session)
        self.partners = {key_of(row.name): row.id for row in partners}
        self.regions = {key_of(row.region): row.region for row in partners if row.region}

    def facts(self, cells: Mapping[str, str]) -> dict[str, Any]:
        """What a row says of a lead."""
        for name in ("external_id", "company"):
            if not cells[name]:
                raise RefusedRow(_("%(name)s is missing.", name=name))
        text = {name: fitting(name, cells.get(name, ""), n) for name, n in _LENGTHS.items()}
        return {
            "company": text["company"],
            "contact": text["contact"],
            "email": self._email(cells.get("email", "")),
            "phone": text["phone"],
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
            raise RefusedRow(_("There is no partner %(name)s.", name=name))
        return found

    def refuse_unless_answered(self, partner_id: uuid.UUID) -> None:
        """Raise RefusedRow where nobody of a partner could accept a lead."""
        if partner_id not in self.there:
            self.there[partner_id] = bool(accounts.people_of(self.session, partner_id))
        if not self.there[partner_id]:
            raise RefusedRow(_(offers.NOBODY_THERE))

    def _email(self, text: str) -> str:
        if not text:
            return ""
        try:
            validate_email(text, check_deliverability=False)
        except EmailNotValidError:
            raise RefusedRow(_("email is no address: %(text)s", text=text)) from None
        return text

    def _country(self, text: str) -> str:
        code = text.upper()
        if code and code not in self.countries:
            raise RefusedRow(_("country must be a code of two letters, like DE."))
        return code

    def _region(self, text: str) -> str:
        if text and key_of(text) not in self.regions:
            raise RefusedRow(_("There is no region %(name)s.", name=text))
        return self.regions[key_of(text)] if text else ""

    def _family(self, text: str) -> uuid.UUID | None:
        if text and key_of(text) not in self.families:
            raise RefusedRow(_("There is no product family %(name)s.", name=text))
        return self.families[key_of(text)] if text else None


KIND = register(
    Kind(
        name="leads",
        title=_l("Import leads"),
        about=_l("A CSV or XLSX file with a row for each lead."),
        fields=FIELDS,
        labels=LABELS,
        needed=("external_id", "company"),
        run=run,
    )
)
