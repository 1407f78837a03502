"""What became sales qualified, row by row: leads that sales accepted or of which a deal was
approved, and deals approved without a lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.accounts.models import User
from portal.deals import metrics
from portal.deals.results import HORIZON_DAYS, Sql, won_in_time
from portal.deals.wording import customer_of
from portal.leads import service
from portal.reports.outcomes import Outcomes
from portal.tables import Column, Table

BEHIND: dict[str, Callable[[Outcomes], Sequence[Sql]]] = {
    "qualified": lambda found: found.results.qualified,
    "ripe": lambda found: found.results.ripe,
}
TITLES = {
    "qualified": _l("Leads and deals that became qualified"),
    "ripe": _l("Leads and deals that became qualified, at least 180 days ago"),
}


def behind(found: Outcomes, name: str, user: User) -> Table:
    """The leads and deals that a number is made of, the newest first, as far as this person may
    see them."""
    here = BEHIND[name](found)
    of_leads = {one.lead_id: one for one in here if one.lead_id}
    of_deals = {one.deal_id: one for one in here if one.deal_id and not one.lead_id}
    rows = []
    for lead in service.with_keys(found.session, of_leads):
        seen = service.sight(user, lead)
        named = (seen.title, seen.partner, _("Lead"), url_for("leads.show", lead_id=lead.id))
        rows.append(_row(of_leads[lead.id], *named))
    for deal in metrics.named(found.session, of_deals):
        href = url_for("deals.show", deal_id=deal.id)
        rows.append(_row(of_deals[deal.id], customer_of(deal), deal.partner.name, _("Deal"), href))
    rows.sort(key=lambda row: (row["since"], row["href"]), reverse=True)
    columns = [
        Column("customer", _("Customer")),
        Column("partner", _("Partner")),
        Column("kind", _("Kind")),
        Column("since", _("Qualified since"), "day"),
        Column("won", _("Won"), "day"),
        Column("part", _("Won within %(n)s days", n=HORIZON_DAYS)),
    ]
    empty = _("No lead and no deal is behind it.")
    return Table(name, str(TITLES[name]), columns, rows, empty)


def _row(one: Sql, customer: str, partner: str, kind: str, href: str) -> dict[str, Any]:
    return {
        "customer": customer,
        "partner": partner,
        "kind": kind,
        "since": one.day,
        "won": one.won,
        "part": _("yes") if won_in_time(one) else _("no"),
        "href": href,
    }
