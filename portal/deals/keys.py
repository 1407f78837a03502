"""The columns that companies are compared by, filled wherever a row is written.

New rows get them as defaults, also those written many at a time; changed rows when they are
flushed. Whoever updates without loading the rows takes `changed_keys` along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import event

from portal.deals import conflicts
from portal.deals.conflicts import Keys
from portal.formatting import sort_key

# A deal calls the customer's name otherwise.
_NAMES = ("customer_name", "name")


def _name_of(values: Mapping[str, Any]) -> str:
    return next((values[name] or "" for name in _NAMES if name in values), "")


def company_key_of(context: Any) -> str:
    """The key of the name in a row that is being written."""
    return conflicts.company_key(_name_of(context.get_current_parameters()))


def domain_key_of(context: Any) -> str:
    """The key of the domain in a row that is being written."""
    return conflicts.domain_key(context.get_current_parameters().get("domain") or "")


def tax_key_of(context: Any) -> str:
    """The key of the tax number in a row that is being written."""
    values = context.get_current_parameters()
    return conflicts.tax_key(values.get("tax_id") or "", values.get("country") or "")


def changed_keys(values: Mapping[str, Any]) -> dict[str, str]:
    """The key columns that follow from changed columns of a row."""
    found = {}
    if any(name in values for name in _NAMES):
        found["company_key"] = conflicts.company_key(_name_of(values))
    if "domain" in values:
        found["domain_key"] = conflicts.domain_key(values["domain"] or "")
    return found


def name_key(name: str) -> str:
    """One spelling of a customer's name, for finding the same one again."""
    return " ".join(sort_key(name)[0].split())


def keep_keys(model: type[Any]) -> None:
    """Let the keys of rows of `model` follow what is changed in them."""
    event.listen(model, "before_update", _refresh)


def _refresh(_mapper: Any, _connection: Any, row: Any) -> None:
    for name, value in changed_keys(vars(row)).items():
        if getattr(row, name) != value:
            setattr(row, name, value)
    row.tax_key = conflicts.tax_key(row.tax_id or "", row.country or "")


def keys_of(row: Any) -> Keys:
    """What a customer, a claim or a known account is compared by; also for a row of columns."""
    return Keys(
        company=row.company_key,
        domain=row.domain_key,
        tax_id=row.tax_key,
        country=row.country,
        postcode=conflicts.postcode_key(row.postcode),
    )
