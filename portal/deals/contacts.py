"""When the vendor first had contact with customers, and so which deals partners have sourced.

A contact of the vendor is a known account, from its first contact on, or a lead that the vendor
entered or imported. What partners registered, won or asked is none: a customer that another partner
brought is still one that partners have brought.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.db import plain_rows
from portal.deals import conflicts
from portal.deals.conflicts import Band, Keys
from portal.deals.customer_models import KnownAccount
from portal.deals.keys import keys_of
from portal.deals.models import Customer, Deal
from portal.leads import metrics as leads

_KEYS = ("company_key", "domain_key", "tax_key", "country", "postcode")


class Contact(NamedTuple):
    """A company that the vendor knows, and since when."""

    keys: Keys
    since: date


def first_contacts(session: Session, zone: ZoneInfo) -> dict[uuid.UUID, date]:
    """The day of the vendor's first contact with each customer of a deal that it ever had one
    with."""
    known = index([*_accounts(session), *_leads(session, zone)])
    if not known:
        return {}
    columns = [getattr(Customer, name) for name in _KEYS]
    of_deals = select(Deal.customer_id).where(Deal.customer_id.is_not(None))
    query = select(Customer.id, *columns).where(Customer.id.in_(of_deals))
    found = {row.id: first_of(keys_of(row), known) for row in plain_rows(session, query)}
    return {key: day for key, day in found.items() if day is not None}


def _accounts(session: Session) -> list[Contact]:
    columns = [getattr(KnownAccount, name) for name in _KEYS]
    rows = plain_rows(session, select(KnownAccount.first_contact, *columns))
    return [Contact(keys_of(row), row.first_contact) for row in rows]


def _leads(session: Session, zone: ZoneInfo) -> list[Contact]:
    return [
        Contact(conflicts.keys_of(lead.company, lead.email, country=lead.country), lead.created)
        for lead in leads.of_vendor(session, zone)
    ]


# Contacts by the name and value of a key.
Index = dict[tuple[str, str], list[Contact]]


def index(contacts: Iterable[Contact]) -> Index:
    """Contacts by each of the keys without which two companies are never surely the same."""
    found: Index = defaultdict(list)
    for one in contacts:
        for key in _sure(one.keys):
            found[key].append(one)
    return found


def _sure(keys: Keys) -> list[tuple[str, str]]:
    pairs = [("company", keys.company), ("domain", keys.domain), ("tax_id", keys.tax_id)]
    return [(name, value) for name, value in pairs if value]


def first_of(keys: Keys, known: Index) -> date | None:
    """The day of the first contact with the company of these keys, of those that are surely it."""
    near = (one for key in _sure(keys) for one in known.get(key, ()))
    days = (one.since for one in near if _is_same(keys, one.keys))
    return min(days, default=None)


def _is_same(mine: Keys, theirs: Keys) -> bool:
    match = conflicts.compare(mine, theirs)
    return match is not None and match.band == Band.same


def sourced(approved: date | None, is_known: bool, contact: date | None) -> bool | None:
    """Whether a deal was approved before the day of the vendor's first contact with its customer;
    None while it is not approved here or its customer is not known."""
    if approved is None or not is_known:
        return None
    return contact is None or approved < contact
