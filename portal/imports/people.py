"""People at partners from a file, each known by the e-mail address.

Nobody is written to: their invitations wait until an administrator releases them.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from babel import Locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Partner, Role, User
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
    "name": ("full name", "person", "contact", "contact name"),
    "email": ("e-mail", "mail", "e-mail address", "email address"),
    "role": ("rights", "access"),
    "partner": ("partner name", "company", "organisation", "organization", "account", "partner_id"),
    "language": ("locale", "sprache"),
}
LABELS = {
    "name": _l("Name"),
    "email": _l("E-mail address"),
    "role": _l("Role"),
    "partner": _l("Partner (name, or key in the other system)"),
    "language": _l("Language"),
}
_ROLES = {
    **dict.fromkeys(("", "partner", "partneruser", "user", "member", "sales"), Role.partner_user),
    **dict.fromkeys(("partneradmin", "admin", "teamadmin"), Role.partner_admin),
}
_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+")


@dataclass
class _There:
    """Who is here already, and which partners; `made` are those that were missing."""

    people: dict[str, User]
    partners: dict[str, set[uuid.UUID]]
    made: dict[str, Partner] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session) -> _There:
        """Everybody at once."""
        partners = defaultdict[str, set[uuid.UUID]](set)
        for partner in session.scalars(select(Partner)):
            for name in {_key(partner.name), _key(partner.external_id or partner.name)}:
                partners[name].add(partner.id)
        return cls({user.email: user for user in session.scalars(select(User))}, partners)

    def partner(self, name: str, create: bool) -> uuid.UUID:
        """The one partner that a row means; made when that is wanted. Raises RefusedRow."""
        found = self.partners.get(_key(name), set())
        if len(found) > 1:
            raise RefusedRow(_("There are several partners called %(name)s.", name=name))
        if found:
            return next(iter(found))
        if not create:
            raise RefusedRow(_("There is no partner %(name)s.", name=name))
        fresh = Partner(
            id=new_id(), name=name, tier="", region="", country="", languages=[],
            created_at=clock.now(),
        )  # fmt: skip
        self.partners[_key(name)] = {fresh.id}
        self.made[name] = fresh
        return fresh.id


def _key(name: str) -> str:
    return key_of(name) or name


def run(sheet: Sheet, choices: Choices, source: Source) -> Outcome:
    """Write the people of a file, their invitations held."""
    mapping = KIND.mapping_for(sheet, choices.mapping)
    create = choices.create
    return all_or_nothing(lambda session: _write(session, sheet, mapping, create), source.dry_run)


def _write(session: Session, sheet: Sheet, mapping: Mapping[str, str], create: bool) -> Outcome:
    outcome, there, seen = Outcome(), _There.read(session), dict[str, int]()
    fresh: list[User] = []
    for line in sheet.lines:
        try:
            values = _values(sheet.values(line, mapping), there, create, seen)
            user = there.people.get(values["email"])
            changed = _changed(user, values) if user else {}
        except RefusedRow as reason:
            outcome.refuse(line, str(reason))
            continue
        seen[values["email"]] = line.number
        if user is None:
            fresh.append(_fresh(values))
            outcome.created += 1
        elif changed:
            for name, value in changed.items():
                setattr(user, name, value)
            outcome.updated += 1
        else:
            outcome.unchanged += 1
    session.add_all(there.made.values())
    session.flush()
    session.add_all(fresh)
    if there.made:
        outcome.notes.append(_("New partners: %(names)s", names=few(there.made)))
    if fresh:
        outcome.notes.append(
            _("Nobody gets a mail yet: the invitations wait until an administrator releases them.")
        )
    return outcome


def _values(
    cells: Mapping[str, str], there: _There, create: bool, seen: Mapping[str, int]
) -> dict[str, Any]:
    """The columns that a row speaks of. Raises RefusedRow."""
    for name in KIND.needed:
        if not cells.get(name):
            raise RefusedRow(_("%(name)s is missing.", name=name))
    email = fitting("email", normalise_email(cells["email"]), 254)
    if not _ADDRESS.fullmatch(email):
        raise RefusedRow(_("This is no e-mail address: %(text)s", text=cells["email"]))
    if email in seen:
        raise RefusedRow(_("Line %(n)s has the same e-mail address.", n=seen[email]))
    role = key_of(cells.get("role", ""))
    if role in ("channelmanager", "administrator", "vendor"):
        raise RefusedRow(_("Invite people who work for us one by one, on the page People."))
    if role not in _ROLES:
        raise RefusedRow(_("“%(word)s” is no role. Use partner or admin.", word=cells["role"]))
    found: dict[str, Any] = {"email": email, "name": fitting("name", cells["name"], 200)}
    if role:
        found["role"] = _ROLES[role].value
    if language := cells.get("language", "").strip():
        found["locale"] = _locale(language)
    # Last, so that no partner is made for a row that is refused.
    found["partner_id"] = there.partner(fitting("partner", cells["partner"], 200), create)
    return found


def _locale(text: str) -> str:
    code = text[:2].lower()
    if len(text) not in (2, 5) or code not in Locale("en").languages:
        raise RefusedRow(_("language is a code of two letters, like de: %(text)s", text=text))
    return code


def _changed(user: User, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says anew of somebody who is here. Raises RefusedRow."""
    if user.partner_id != values["partner_id"]:
        raise RefusedRow(
            _("%(email)s belongs to another organisation here.", email=values["email"])
        )
    if user.deactivated_at is not None:
        raise RefusedRow(_("The access of %(email)s has ended here.", email=values["email"]))
    return {name: value for name, value in values.items() if getattr(user, name) != value}


def _fresh(values: Mapping[str, Any]) -> User:
    now = clock.now()
    usual = {"role": Role.partner_user.value, "locale": "en"}
    return User(id=new_id(), created_at=now, held_at=now, **{**usual, **values})


KIND = register(
    Kind(
        name="people",
        title=_l("Import people"),
        about=_l(
            "A CSV or XLSX file with a row for each person at a partner. Nobody gets a mail before "
            "an administrator releases the invitations."
        ),
        fields=FIELDS,
        labels=LABELS,
        needed=("name", "email", "partner"),
        run=run,
        create=_l("Make partners that are missing"),
    )
)
