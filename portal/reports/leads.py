"""Leads, MQLs and SQLs of a period: over all, and by partner."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts import service as accounts
from portal.deals import metrics as deals
from portal.formatting import sort_key
from portal.leads import metrics
from portal.leads.funnel import RIPE_DAYS, Funnel, LeadFacts
from portal.reports.periods import Period
from portal.tables import Column, Table


def lead_table(session: Session, period: Period) -> Table:
    """All partners first, then each; then the leads that nobody has yet."""
    zone = accounts.zone()
    found = metrics.funnel(session, period.since, period.until, zone)
    direct: Counter[uuid.UUID | None] = Counter(
        deals.approved_without_lead(session, period.since, period.until, zone)
    )
    groups: dict[uuid.UUID | None, list[LeadFacts]] = defaultdict(list)
    for lead in found.leads:
        groups[lead.partner_id].append(lead)
    names = {row.id: row.name for row in accounts.partner_facts(session)}
    rows = []
    for key in groups.keys() | direct.keys():
        row = _figures(found.of(groups.get(key, [])), direct[key])
        if any(row["all"]):
            href = url_for("reports.partner", partner_id=key) + f"?{period.query}" if key else ""
            name = names[key] if key else _("Nobody has them yet")
            rows.append({"name": name, "href": href, **row})
    rows.sort(key=lambda row: (-row["sql"], -row["mql"], sort_key(row["name"])))
    everybody = {"name": _("All partners"), **_figures(found, direct.total())}
    return Table(
        "leads",
        _("Leads"),
        [
            Column("name", _("Partner")),
            Column("new_leads", _("New"), "number"),
            Column("mql", _("Qualified (MQL)"), "number"),
            Column("sql", _("Sales-ready (SQL)"), "number"),
            Column("without_lead", _("of them without a lead"), "number", wide=True),
            Column("mql_to_sql", _("MQL to SQL in 90 days"), "of"),
            Column("maturing", _("Maturing"), "number", wide=True),
        ],
        [everybody, *rows] if rows else [],
        _("No lead came in, and none was qualified, in this period."),
        _("Leads that became MQL less than %(n)s days ago are maturing.", n=RIPE_DAYS),
    )


def _figures(found: Funnel, direct: int) -> dict[str, Any]:
    ripe = found.mql_to_sql
    figures = {
        "new_leads": len(found.new),
        "mql": len(found.mql),
        "sql": len(found.sql) + direct,
        "without_lead": direct,
        "maturing": len(found.maturing),
    }
    return {**figures, "mql_to_sql": (ripe.part, ripe.whole), "all": tuple(figures.values())}
