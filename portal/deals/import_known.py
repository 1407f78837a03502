"""Whom and what a file of deals names: partners, product families and customers that are here, and
those that are made on the way when that is wanted."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import Partner
from portal.content.models import ProductFamily
from portal.db import new_id
from portal.deals import conflicts
from portal.deals.conflicts import Band, Keys
from portal.deals.import_rows import Row
from portal.deals.keys import keys_of, name_key
from portal.deals.models import Customer
from portal.imports.kinds import RefusedRow
from portal.sheets import key_of


@dataclass(frozen=True)
class _Entry:
    """A customer as it can be found: one that was merged leads to who is left."""

    id: uuid.UUID
    name_key: str
    keys: Keys


class Customers:
    """Customers, found as an approval finds them: by name and country, or by keys that leave no
    doubt (tax number, web domain, name without legal form)."""

    def __init__(self, rows: Iterable[Customer]) -> None:
        self._by_key: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        self._known: dict[tuple[str, ...], uuid.UUID] = {}
        for row in rows:
            self._add(_Entry(row.merged_into_id or row.id, row.name_key, keys_of(row)))

    def _add(self, entry: _Entry) -> None:
        self._by_key["name", entry.name_key].append(entry)
        for name in ("company", "domain", "tax_id"):
            if value := getattr(entry.keys, name):
                self._by_key[name, value].append(entry)

    def add(self, key: uuid.UUID, row: Row) -> None:
        """Know one more, as a row describes it."""
        self._add(_Entry(key, name_key(customer_name(row)), _keys(row)))

    def find(self, row: Row) -> uuid.UUID | None:
        """The one customer that a row means, or nobody. Raises RefusedRow when it may be two."""
        said = (customer_name(row), row.domain, row.tax_id, row.country, row.postcode)
        if said not in self._known and (found := self._find(row)):
            self._known[said] = found
        return self._known.get(said)

    def _find(self, row: Row) -> uuid.UUID | None:
        mine, name = _keys(row), name_key(customer_name(row))
        same_name = self._by_key.get(("name", name), [])
        alike = [one for one in same_name if row.country == one.keys.country]
        if not alike and not row.country:
            alike = same_name
        if not alike:
            alike = [one for one in self._sharing(mine) if _is_same(mine, one.keys)]
        elif len({one.id for one in alike}) > 1:
            alike = [one for one in alike if _is_same(mine, one.keys)] or alike
        found = {one.id for one in alike}
        if len(found) > 1:
            raise RefusedRow(
                _(
                    "There are several customers like %(name)s. Give its country, VAT number or "
                    "the name that it has here.",
                    name=customer_name(row),
                )
            )
        return next(iter(found), None)

    def _sharing(self, mine: Keys) -> list[_Entry]:
        names = ("tax_id", "domain", "company")
        return [one for name in names for one in self._by_key.get((name, getattr(mine, name)), [])]


def customer_name(row: Row) -> str:
    """What the customer of a row is called here."""
    return row.known_customer or row.customer


def _keys(row: Row) -> Keys:
    return conflicts.keys_of(customer_name(row), row.domain, row.tax_id, row.country, row.postcode)


def _is_same(mine: Keys, theirs: Keys) -> bool:
    match = conflicts.compare(mine, theirs)
    return match is not None and match.band == Band.same


class Known:
    """What is there by name. `made` tells whoever asks what was made on the way."""

    def __init__(
        self, session: Session, create: bool, made: Callable[[str, str], None], now: datetime
    ) -> None:
        self.session, self.create, self.made, self.now = session, create, made, now
        partners = session.scalars(select(Partner))
        self.partners = {key_of(row.name) or row.name: row.id for row in partners}
        families = session.scalars(select(ProductFamily))
        self.families = {key_of(row.name) or row.name: (row.id, row.name) for row in families}
        self.customers = Customers(session.scalars(select(Customer).order_by(Customer.id)))

    # --- finding --------------------------------------------------------------------------------

    def partner(self, row: Row) -> uuid.UUID | None:
        """The partner of a row, where it is here."""
        return self.partners.get(key_of(row.partner) or row.partner)

    def family(self, row: Row) -> tuple[uuid.UUID, str] | None:
        """The product family of a row, however it is spaced, with its name."""
        return self.families.get(key_of(row.family) or row.family)

    def refuse_missing(self, row: Row, is_linked: bool) -> None:
        """Raise RefusedRow where a row names what is not here and must not be made. `is_linked`:
        its customer has to be one of ours."""
        if self.create:
            return
        if self.partner(row) is None:
            raise RefusedRow(_("There is no partner %(name)s.", name=row.partner))
        if row.family and self.family(row) is None:
            raise RefusedRow(_("There is no product family %(name)s.", name=row.family))
        if is_linked and row.customer and self.customers.find(row) is None:
            raise RefusedRow(_("There is no customer %(name)s.", name=customer_name(row)))

    # --- making ---------------------------------------------------------------------------------

    def partner_for(self, row: Row) -> uuid.UUID:
        """The partner of a row; made where it is missing."""
        key = key_of(row.partner) or row.partner
        if key not in self.partners:
            fresh = Partner(
                id=new_id(), name=row.partner, tier="", region="", country="", created_at=self.now
            )
            self.session.add(fresh)
            self.partners[key] = fresh.id
            self.made("partners", row.partner)
        return self.partners[key]

    def family_for(self, row: Row) -> uuid.UUID:
        """The product family of a row; made where it is missing."""
        key = key_of(row.family) or row.family
        if key not in self.families:
            fresh = ProductFamily(id=new_id(), name=row.family)
            self.session.add(fresh)
            self.families[key] = (fresh.id, row.family)
            self.made("families", row.family)
        return self.families[key][0]

    def customer_for(self, row: Row) -> uuid.UUID:
        """The customer of a row; made where it is missing."""
        found = self.customers.find(row)
        if found is None:
            name = customer_name(row)
            fresh = Customer(
                id=new_id(),
                name=name,
                name_key=name_key(name),
                domain=row.domain,
                tax_id=row.tax_id,
                country=row.country,
                postcode=row.postcode,
                created_at=self.now,
            )
            self.session.add(fresh)
            self.customers.add(fresh.id, row)
            self.made("customers", name)
            found = fresh.id
        return found
