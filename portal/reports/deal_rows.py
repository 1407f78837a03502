"""The deals behind a number of the report on deals: all that it counts, as many as its n. Of a
share, a column says which of them are the part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

from portal.deals import metrics
from portal.deals.facts import CROSS_SELL, UPSELL, DealFacts
from portal.deals.results import decided_by_promise
from portal.deals.wording import STATUS_NAMES, customer_of
from portal.errors import NotFound
from portal.formatting import money
from portal.reports.outcomes import Outcomes
from portal.tables import Column, Table

Deals = Callable[[Outcomes], Iterable[DealFacts]]


class Behind(NamedTuple):
    """What a list is called and of which deals it is; of a share, those that are the `part` and
    what it says of them."""

    title: LazyString
    deals: Deals
    mark: LazyString | str = ""
    part: Deals = lambda _found: ()


def _won_of(deals: Deals) -> Deals:
    return lambda found: [deal for deal in deals(found) if deal.won_confirmed]


def _assisted_of(deals: Deals) -> Deals:
    return lambda found: [deal for deal in deals(found) if deal.id in found.assisted]


def _won(found: Outcomes) -> Iterable[DealFacts]:
    return found.results.won


def _closed(found: Outcomes) -> Iterable[DealFacts]:
    return found.results.closed


def _registered(found: Outcomes) -> Iterable[DealFacts]:
    return found.results.registrations


def _registered_closed(found: Outcomes) -> Iterable[DealFacts]:
    return found.results.registered_closed


def _closed_of(*kinds: str) -> Deals:
    return lambda found: found.results.closed_of_kind(*kinds)


def _customers(found: Outcomes) -> Iterable[DealFacts]:
    return found.results.existing_customers.values()


def _grown(kind: str) -> Deals:
    """The last wins before the period of the customers that a win of it has brought further."""

    def those(found: Outcomes) -> Iterable[DealFacts]:
        known = found.results.existing_customers
        return [known[key] for key in found.results.grown(kind)]

    return those


def _unconverted(found: Outcomes) -> Iterable[DealFacts]:
    counted = {deal.id for deal in found.converted.counted}
    return [deal for deal in found.results.won if deal.id not in counted]


_IS_WON, _BOTH = _l("Won"), (UPSELL, CROSS_SELL)

BEHIND: dict[str, Behind] = {
    "won": Behind(_l("Deals won"), _won),
    "won-timed": Behind(
        _l("Deals won of which the first contact is known"),
        lambda found: [deal for deal in found.results.won if deal.first_contact],
    ),
    "lost": Behind(_l("Deals lost"), lambda found: found.results.lost),
    "open": Behind(_l("Deals open at the end"), lambda found: found.results.open),
    "closed": Behind(_l("Deals won and lost"), _closed, _IS_WON, _won_of(_closed)),
    "without-lead": Behind(_l("Deals approved without a lead"), lambda found: found.direct),
    "begun": Behind(_l("Deals begun"), lambda found: found.results.begun),
    "registrations": Behind(_l("Registrations"), _registered),
    "decisions": Behind(
        _l("Registrations decided"),
        lambda found: found.results.decisions,
        _l("Approved"),
        lambda found: found.results.approved,
    ),
    "promised": Behind(
        _l("Registrations decided that had a time to be decided by"),
        lambda found: found.results.promised,
        _l("In time"),
        lambda found: filter(decided_by_promise, found.results.promised),
    ),
    "measured": Behind(
        _l("Registrations decided, and undecided at the end, whose time is measured"),
        lambda found: found.results.measured,
        _l("Decided"),
        lambda found: found.results.decisions,
    ),
    "undecided": Behind(
        _l("Registrations undecided at the end"), lambda found: found.results.undecided
    ),
    "withdrawn": Behind(
        _l("Registrations withdrawn before a decision"), lambda found: found.results.withdrawn
    ),
    "registrations-closed": Behind(
        _l("Registrations of the period that were won or lost"),
        _registered_closed,
        _IS_WON,
        _won_of(_registered_closed),
    ),
    "registrations-won": Behind(
        _l("Registrations of the period that were won"),
        lambda found: [deal for deal in found.results.registered_won if deal.first_contact],
    ),
    "new-business": Behind(
        _l("Registrations, and which are new business"),
        _registered,
        _l("New business"),
        lambda found: [deal for deal in _registered(found) if deal.new_business],
    ),
    "upsell": Behind(
        _l("Existing customers, by their last order before the period"),
        _customers,
        _l("Upsell in it"),
        _grown(UPSELL),
    ),
    "cross-sell": Behind(
        _l("Existing customers, by their last order before the period"),
        _customers,
        _l("Cross-sell in it"),
        _grown(CROSS_SELL),
    ),
    "closed-upsell": Behind(
        _l("Upsell deals won and lost"), _closed_of(UPSELL), _IS_WON, _won_of(_closed_of(UPSELL))
    ),
    "closed-cross-sell": Behind(
        _l("Cross-sell deals won and lost"),
        _closed_of(CROSS_SELL),
        _IS_WON,
        _won_of(_closed_of(CROSS_SELL)),
    ),
    "closed-growth": Behind(
        _l("Upsell and cross-sell deals won and lost"),
        _closed_of(*_BOTH),
        _IS_WON,
        _won_of(_closed_of(*_BOTH)),
    ),
    "converted": Behind(
        _l("Deals won whose order is converted"), lambda found: found.converted.counted
    ),
    "without-rate": Behind(
        _l("Deals won, and which are without a rate"), _won, _l("Without a rate"), _unconverted
    ),
    "sourced": Behind(
        _l("Deals won, and which are sourced by partners"),
        _won,
        _l("Sourced"),
        lambda found: [deal for deal in found.results.won if deal.sourced],
    ),
    "assisted": Behind(
        _l("Registrations, and which are content-assisted"),
        _registered,
        _l("Content-assisted"),
        _assisted_of(_registered),
    ),
    "assisted-won": Behind(
        _l("Deals won, and which are content-assisted"),
        _won,
        _l("Content-assisted"),
        _assisted_of(_won),
    ),
    "shared": Behind(
        _l("Deals won and lost, and to whose customers content was sent before"),
        _closed,
        _l("Content sent before"),
        lambda found: [deal for deal in found.results.closed if deal.id in found.shared],
    ),
}


def behind(found: Outcomes, name: str) -> Table:
    """The deals that a number is made of, the newest first; of `won.CHF` those in that currency.
    Raises NotFound."""
    plain, dot, code = name.partition(".")
    if plain not in BEHIND or (code and not (len(code) == 3 and code.isalpha())):
        raise NotFound(_("There is no such report."))
    this = BEHIND[plain]
    facts = {one.id: one for one in this.deals(found) if not dot or code == (one.currency or "")}
    part = {one.id for one in this.part(found)}
    rows = _rows(found, facts, part)
    rows.sort(key=lambda row: row["order"], reverse=True)
    columns = [
        Column("customer", _("Customer")),
        Column("partner", _("Partner")),
        Column("family", _("Product family"), wide=True),
        Column("status", _("Status")),
        *([Column("part", str(this.mark))] if this.mark else []),
        Column("first_contact", _("First contact"), "day", wide=True),
        Column("submitted", _("Submitted"), "day", wide=True),
        Column("decided", _("Decided"), "day", wide=True),
        Column("closed", _("Won or lost"), "day"),
        Column("amount", _("Value"), "figure", about="expected_value"),
    ]
    return Table(name, str(this.title), columns, rows, _("No deal is behind it."))


def _rows(
    found: Outcomes, facts: dict[UUID, DealFacts], part: Collection[UUID]
) -> list[dict[str, Any]]:
    rows = []
    for deal in metrics.named(found.session, facts):
        one = facts[deal.id]
        rows.append(
            {
                "customer": customer_of(deal),
                "partner": deal.partner.name,
                "family": deal.product_family.name if deal.product_family else "",
                "status": str(STATUS_NAMES[deal.status]),
                "part": _("yes") if deal.id in part else _("no"),
                "first_contact": one.first_contact,
                "submitted": one.submitted,
                "decided": one.decided,
                "closed": one.closed,
                "amount": money(*one.order) if one.order[0] is not None else "–",  # type: ignore[arg-type]
                "href": url_for("deals.show", deal_id=deal.id),
                "order": (one.closed or one.submitted or one.begun or date.min, str(deal.id)),
            }
        )
    return rows


def link(found: Outcomes, name: str) -> str:
    address = url_for("reports.results_behind", name=name)
    return f"{address}?{found.period.query}{found.filters.query}"
