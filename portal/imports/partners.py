"""Partner organisations from a file. A row is known by its `external_id`, else by its name."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from babel import Locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import VENDOR_ROLES, Partner, User
from portal.accounts.service import normalise_email
from portal.db import new_id
from portal.imports.kinds import (
    Choices,
    Kind,
    Outcome,
    RefusedRow,
    Source,
    all_or_nothing,
    few,
    fitting,
    register,
)
from portal.sheets import Sheet, key_of

FIELDS: dict[str, tuple[str, ...]] = {
    "external_id": ("partner_id", "account id", "customer number", "id", "number"),
    "name": ("partner", "partner name", "company", "organisation", "organization", "account"),
    "tier": ("level", "partner level", "status"),
    "region": ("area", "territory"),
    "type": ("kind", "partner type"),
    "country": ("country code", "land"),
    "languages": ("language", "sprachen"),
    "manager": ("channel manager", "owner", "account manager", "partner manager"),
}
LABELS = {
    "external_id": _l("Key in the other system"),
    "name": _l("Name"),
    "tier": _l("Tier"),
    "region": _l("Region"),
    "type": _l("Type"),
    "country": _l("Country"),
    "languages": _l("Languages"),
    "manager": _l("Channel manager (name or e-mail address)"),
}
# The columns that a field fills, and how long a text it takes.
_TEXTS = {"tier": ("tier", 40), "region": ("region", 40), "type": ("kind", 40)}
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


@dataclass
class _There:
    """The partners that are here already, and who manages partners."""

    by_key: dict[str, Partner]
    by_name: dict[str, list[Partner]]
    managers: dict[str, list[User]]

    @classmethod
    def read(cls, session: Session) -> _There:
        """Everybody at once."""
        found = cls({}, {}, {})
        for partner in session.scalars(select(Partner)):
            found.add(partner)
        vendor = select(User).where(User.role.in_(VENDOR_ROLES), User.deactivated_at.is_(None))
        for user in session.scalars(vendor):
            for name in {user.email, _name_key(user.name)}:
                found.managers.setdefault(name, []).append(user)
        return found

    def add(self, partner: Partner) -> None:
        """Know one more."""
        if partner.external_id:
            self.by_key[partner.external_id] = partner
        same = self.by_name.setdefault(_name_key(partner.name), [])
        if partner not in same:
            same.append(partner)

    def words(self, column: str) -> set[str]:
        """What partners have in a column."""
        everyone = {id(one): one for some in self.by_name.values() for one in some}
        return {getattr(one, column) for one in everyone.values()} - {""}

    def partner(self, external_id: str, name: str) -> Partner | None:
        """The partner that a row means. Raises RefusedRow when that is not certain."""
        if external_id in self.by_key:
            return self.by_key[external_id]
        same = self.by_name.get(_name_key(name), [])
        if len(same) > 1:
            raise RefusedRow(_("There are several partners called %(name)s.", name=name))
        if same and external_id and same[0].external_id:
            raise RefusedRow(
                _(
                    "%(name)s is here already, with the key %(key)s.",
                    name=name,
                    key=same[0].external_id,
                )
            )
        return same[0] if same else None

    def manager(self, text: str) -> User:
        """The one person at the vendor of this name or address. Raises RefusedRow."""
        found = self.managers.get(normalise_email(text)) or self.managers.get(_name_key(text), [])
        if len(found) != 1:
            raise RefusedRow(_("Nobody with access is the channel manager %(name)s.", name=text))
        return found[0]


def _name_key(name: str) -> str:
    return key_of(name) or name


def run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    """Write the partners of a file; what a row does not say stays as it is."""
    mapping = KIND.mapping_for(sheet, choices.mapping)
    return all_or_nothing(lambda session: _write(session, sheet, mapping), source.dry_run)


def _write(session: Session, sheet: Sheet, mapping: Mapping[str, str]) -> Outcome:
    outcome, there, seen = Outcome(), _There.read(session), dict[uuid.UUID, int]()
    before = {name: there.words(column) for name, (column, _n) in _TEXTS.items()}
    for line in sheet.lines:
        try:
            values = _values(sheet.values(line, mapping), there)
            partner = there.partner(values.get("external_id", ""), values["name"])
            if partner is not None and partner.id in seen:
                raise RefusedRow(_("Line %(n)s is the same partner.", n=seen[partner.id]))
        except RefusedRow as reason:
            outcome.refuse(line, str(reason))
            continue
        if partner is None:
            partner = _fresh(values)
            session.add(partner)
            outcome.created += 1
        elif changed := {key: new for key, new in values.items() if getattr(partner, key) != new}:
            for key, new in changed.items():
                setattr(partner, key, new)
            outcome.updated += 1
        else:
            outcome.unchanged += 1
        there.add(partner)
        seen[partner.id] = line.number
    outcome.notes += [
        _("New as %(field)s: %(names)s", field=LABELS[name], names=few(fresh))
        for name, (column, _n) in _TEXTS.items()
        if (fresh := there.words(column) - before[name])
    ]
    return outcome


def _values(cells: Mapping[str, str], there: _There) -> dict[str, Any]:
    """The columns that a row speaks of. Raises RefusedRow."""
    if not cells.get("name"):
        raise RefusedRow(_("%(name)s is missing.", name="name"))
    found: dict[str, Any] = {"name": fitting("name", cells["name"], 200)}
    if external_id := cells.get("external_id", ""):
        found["external_id"] = fitting("external_id", external_id, 100)
    for field, (column, size) in _TEXTS.items():
        if text := cells.get(field, ""):
            found[column] = fitting(field, text, size)
    if country := cells.get("country", "").upper():
        if country not in _countries():
            raise RefusedRow(_("country must be a code of two letters, like DE."))
        found["country"] = country
    if languages := re.findall(r"[\w-]+", cells.get("languages", "")):
        found["languages"] = [_language(text) for text in languages]
    if manager := cells.get("manager", ""):
        found["channel_manager_id"] = there.manager(manager).id
    return found


def _language(text: str) -> str:
    code = text[:2].lower() + text[2:].upper()
    if not _LANGUAGE.fullmatch(code) or code[:2] not in Locale("en").languages:
        raise RefusedRow(_("languages are codes of two letters, like de, en: %(text)s", text=text))
    return code


@cache
def _countries() -> set[str]:
    return {str(code) for code in Locale("en").territories if len(str(code)) == 2}


def _fresh(values: Mapping[str, Any]) -> Partner:
    nothing = {"tier": "", "region": "", "country": "", "kind": "reseller", "languages": []}
    now = clock.now()
    return Partner(id=new_id(), created_at=now, **{**nothing, **values})


KIND = register(
    Kind(
        name="partners",
        title=_l("Import partners"),
        about=_l("A CSV or XLSX file with a row for each partner organisation."),
        fields=FIELDS,
        labels=LABELS,
        needed=("name",),
        run=run,
    )
)
