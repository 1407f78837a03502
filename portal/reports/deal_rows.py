"""The deals behind a number of the report on deals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.deals import metrics
from portal.deals.facts import CROSS_SELL, UPSELL, DealFacts
from portal.deals.wording import STATUS_NAMES, customer_of
from portal.formatting import money
from portal.reports.outcomes import Outcomes
from portal.tables import Column, Table

BEHIND: dict[str, Callable[[Outcomes], Iterable[DealFacts]]] = {
    "won": lambda found: found.results.won,
    "lost": lambda found: found.results.lost,
    "open": lambda found: found.results.open,
    "closed": lambda found: [*found.results.won, *found.results.lost],
    "qualified": lambda found: [
        deal
        for deal in found.results.deals
        if deal.qualified and found.period.since <= deal.qualified < found.period.until
    ],
    "without-lead": lambda found: found.direct,
    "begun": lambda found: found.results.begun,
    "registrations": lambda found: found.results.registrations,
    "decisions": lambda found: found.results.decisions,
    "undecided": lambda found: found.results.undecided,
    "withdrawn": lambda found: found.results.withdrawn,
    "registrations-won": lambda found: found.results.registered_won,
    "new-business": lambda found: [d for d in found.results.registrations if d.new_business],
    "upsell": lambda found: found.results.won_of_kind(UPSELL),
    "cross-sell": lambda found: found.results.won_of_kind(CROSS_SELL),
    "sourced": lambda found: [deal for deal in found.results.won if deal.sourced],
    "assisted": lambda found: [d for d in found.results.registrations if d.id in found.assisted],
    "assisted-won": lambda found: [deal for deal in found.results.won if deal.id in found.assisted],
    "shared": lambda found: [
        deal for deal in (*found.results.won, *found.results.lost) if deal.id in found.shared
    ],
}


TITLES = {
    "won": _l("Deals won"),
    "lost": _l("Deals lost"),
    "open": _l("Deals open at the end"),
    "closed": _l("Deals won and lost"),
    "qualified": _l("Deals that became qualified"),
    "without-lead": _l("Deals approved without a lead"),
    "begun": _l("Deals begun"),
    "registrations": _l("Registrations"),
    "decisions": _l("Registrations decided"),
    "undecided": _l("Registrations undecided at the end"),
    "withdrawn": _l("Registrations withdrawn before a decision"),
    "registrations-won": _l("Registrations of the period that were won"),
    "new-business": _l("New business"),
    "upsell": _l("Upsell deals won"),
    "cross-sell": _l("Cross-sell deals won"),
    "sourced": _l("Deals sourced by partners"),
    "assisted": _l("Content-assisted registrations"),
    "assisted-won": _l("Content-assisted deals won"),
    "shared": _l("Closed deals with content shared before"),
}


def behind(found: Outcomes, name: str) -> Table:
    """The deals that a number is made of, the newest first."""
    facts = {deal.id: deal for deal in BEHIND[name](found)}
    rows = []
    for deal in metrics.named(found.session, facts):
        one = facts[deal.id]
        rows.append(
            {
                "customer": customer_of(deal),
                "partner": deal.partner.name,
                "family": deal.product_family.name if deal.product_family else "",
                "status": str(STATUS_NAMES[deal.status]),
                "first_contact": one.first_contact,
                "submitted": one.submitted,
                "decided": one.decided,
                "closed": one.closed,
                "amount": money(*one.order) if one.order[0] is not None else "–",  # type: ignore[arg-type]
                "href": url_for("deals.show", deal_id=deal.id),
                "order": (one.closed or one.submitted or one.begun or date.min, str(deal.id)),
            }
        )
    rows.sort(key=lambda row: row["order"], reverse=True)  # type: ignore[arg-type, return-value]
    columns = [
        Column("customer", _("Customer")),
        Column("partner", _("Partner")),
        Column("family", _("Product family"), wide=True),
        Column("status", _("Status")),
        Column("first_contact", _("First contact"), "day", wide=True),
        Column("submitted", _("Submitted"), "day", wide=True),
        Column("decided", _("Decided"), "day", wide=True),
        Column("closed", _("Won or lost"), "day"),
        Column("amount", _("Value"), "figure", about="expected_value"),
    ]
    return Table(name, str(TITLES[name]), columns, rows, _("No deal is behind it."))


def link(found: Outcomes, name: str) -> str:
    address = url_for("reports.results_behind", name=name)
    return f"{address}?{found.period.query}{found.filters.query}"
