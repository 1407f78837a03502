"""The report on leads: MQLs and SQLs of a period, their parts, and the leads behind each number."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.models import User
from portal.content import library
from portal.deals.facts import DealFacts
from portal.estimates import Share
from portal.formatting import count, number, sort_key
from portal.leads import service
from portal.leads.funnel import RIPE_DAYS, Funnel, LeadFacts
from portal.leads.wording import SOURCE_NAMES, STAGE_NAMES
from portal.reports import baselines, deal_rows, outcomes, pipeline
from portal.reports.baselines import Metric
from portal.reports.filters import Filters
from portal.reports.outcomes import Outcomes
from portal.reports.periods import Period
from portal.tables import Column, Table

# A month as long as the mean one: periods of any length are set against figures by month.
MONTH_DAYS = 365.25 / 12
K = TypeVar("K", bound=Hashable)

# --- figures ------------------------------------------------------------------------------------


def figures(found: Outcomes) -> Table:
    """Each number with its interval, what is missing for one, and the time before the portal."""
    here, direct, ripe = found.funnel, len(found.direct), found.funnel.mql_to_sql
    missing = pipeline.MIN_DEALS - ripe.whole
    needs = ""
    if missing > 0:
        needs = count(
            missing,
            "an interval needs %(num)s more lead old enough",
            "an interval needs %(num)s more leads old enough",
        )
        became = [lead.mql for lead in here.maturing if lead.mql]
        ripe_after = timedelta(days=RIPE_DAYS)
        when = pipeline.due(found, missing, len(here.mql), became, ripe_after)
        needs = pipeline.with_day(needs, when)
    young = len(here.maturing)
    maturing = count(young, "%(num)s is maturing", "%(num)s are maturing") if young else ""
    rows = [
        _row("new_leads", _("New leads"), len(here.new), href=link(found, "new")),
        _row(
            "mql", _("Qualified (MQL)"), len(here.mql), _before(found, Metric.mqls, len(here.mql)),
            href=link(found, "mql"),
        ),
        _row(
            "sql", _("Sales-ready (SQL), with deals approved without a lead"),
            len(here.sql) + direct, _before(found, Metric.sqls, len(here.sql) + direct),
            href=deal_rows.link(found, "qualified"),
        ),
        _row(
            "without_lead", _("of them deals approved without a lead"), direct,
            href=deal_rows.link(found, "without-lead"),
        ),
        pipeline.row(
            "mql_to_sql", _("MQL to SQL in 90 days"), _share(ripe), ripe.whole,
            "; ".join(part for part in (needs, maturing) if part),
            href=link(found, "ripe"), interval=_interval(ripe),
        ),
        _row("maturing", _("Maturing"), young, href=link(found, "maturing")),
    ]  # fmt: skip
    note = _("Leads that became MQL less than %(n)s days ago are maturing.", n=RIPE_DAYS)
    return pipeline.figures("lead-figures", _("What became of leads"), rows, note)


def _row(about: str, what: str, n: int, note: str = "", *, href: str) -> dict[str, Any]:
    return pipeline.row(about, what, number(n), n, note, href=href)


def _before(found: Outcomes, metric: Metric, n: int) -> str:
    """What was stored of the time before, and the change against it; months are made equal."""
    text = pipeline.before_portal(found, metric)
    known = baselines.before(found.before_portal, metric, found.period.since) if text else []
    if not known or not known[0].mean:
        return text
    now = n * MONTH_DAYS / (found.period.until - found.period.since).days
    change = f"{now / (known[0].mean / 100) - 1:+.0%}"
    return _(
        "now %(n)s a month, %(change)s; %(before)s", n=f"{now:.1f}", change=change, before=text
    )


def _share(share: Share) -> str:
    text = _("%(part)s of %(whole)s", part=number(share.part), whole=number(share.whole))
    return text if share.value is None else f"{share.value:.0%} · {text}"


def _interval(share: Share) -> str:
    if share.whole < pipeline.MIN_DEALS or share.interval is None:
        return ""
    low, high = share.interval
    return _("%(low)s to %(high)s", low=f"{low:.0%}", high=f"{high:.0%}")


# --- parts --------------------------------------------------------------------------------------


def lead_table(session: Session, period: Period) -> Table:
    """All partners first, then each; then the leads that nobody has yet."""
    return partners(outcomes.found(session, period, accounts.zone(), Filters()))


def partners(found: Outcomes) -> Table:
    """By the partner that has the leads today."""
    names = {one.id: one.name for one in found.everyone}

    def named(key: uuid.UUID | None) -> tuple[str, str]:
        if key is None:
            return _("Nobody has them yet"), ""
        return names[key], url_for("reports.partner", partner_id=key) + f"?{found.period.query}"

    rows = _parts(found, lambda one: one.partner_id, lambda deal: deal.partner_id, named)
    if rows:
        everybody = {"name": _("All partners"), **_figures(found.funnel, len(found.direct))}
        rows = [everybody, *rows]
    return _table("leads", _("By partner"), _("Partner"), rows)


def tiers(found: Outcomes) -> Table:
    """By the tier that partners have today."""
    return _table("lead-tiers", _("By tier"), _("Tier"), _by_word(found, "tier"))


def regions(found: Outcomes) -> Table:
    """By the region that partners are in today."""
    return _table("lead-regions", _("By region"), _("Region"), _by_word(found, "region"))


def _by_word(found: Outcomes, name: str) -> list[dict[str, Any]]:
    words: dict[uuid.UUID | None, str] = {one.id: getattr(one, name) for one in found.everyone}

    def named(word: str | None) -> tuple[str, str]:
        if word is None:
            return _("Nobody has them yet"), ""
        return word or _("None"), _narrowed(found, **{name: word}) if word else ""

    return _parts(
        found, lambda one: words.get(one.partner_id), lambda deal: words[deal.partner_id], named
    )


def families(found: Outcomes) -> Table:
    """By product family; it stays the partner's alone of those that are not named yet."""
    names = {row.id: row.name for row in library.families(found.session)}

    def named(key: uuid.UUID | None) -> tuple[str, str]:
        if key is None:
            return _("None, or not told yet"), ""
        return names[key], _narrowed(found, family=str(key))

    rows = _parts(found, lambda one: one.family_id, lambda deal: deal.family_id, named)
    return _table("lead-families", _("By product family"), _("Product family"), rows)


def sources(found: Outcomes) -> Table:
    """By how they came in."""

    def named(key: str | None) -> tuple[str, str]:
        return (_("Deals without a lead") if key is None else str(SOURCE_NAMES[key])), ""

    rows = _parts(found, lambda one: one.source, lambda _deal: None, named)
    return _table("lead-sources", _("By source"), _("Source"), rows)


def months(found: Outcomes) -> Table:
    """By month, the latest first."""
    rows, month = [], found.period.since.replace(day=1)
    while month < found.period.until:
        following = clock.add_months(month, 1)
        since, until = max(month, found.period.since), min(following, found.period.until)
        part = replace(found.funnel, since=since, until=until)
        direct = sum(since <= deal.qualified < until for deal in found.direct if deal.qualified)
        days = replace(found.period, since=since, until=until, name="days")
        href = f"{url_for('reports.lead_report')}?{days.query}{found.filters.query}"
        rows.append({"name": f"{month:%b %Y}", "href": href, **_figures(part, direct)})
        month = following
    rows = rows if any(any(row["all"]) for row in rows) else []
    return _table("lead-months", _("By month"), _("Month"), rows[::-1])


def _narrowed(found: Outcomes, **chosen: str) -> str:
    filters = {**found.filters.chosen, **chosen}
    return f"{url_for('reports.lead_report')}?{found.period.query}&{urlencode(filters)}"


def _parts(
    found: Outcomes,
    of_lead: Callable[[LeadFacts], K],
    of_deal: Callable[[DealFacts], K],
    named: Callable[[K], tuple[str, str]],
) -> list[dict[str, Any]]:
    """A row for each part that has anything in the period, those with the most SQLs first."""
    groups: dict[K, list[LeadFacts]] = defaultdict(list)
    direct: dict[K, int] = defaultdict(int)
    for lead in found.funnel.leads:
        groups[of_lead(lead)].append(lead)
    for deal in found.direct:
        direct[of_deal(deal)] += 1
    rows = []
    for key in groups.keys() | direct.keys():
        row = _figures(found.funnel.of(groups.get(key, [])), direct.get(key, 0))
        if any(row["all"]):
            name, href = named(key)
            rows.append({"name": name, "href": href, **row})
    return sorted(rows, key=lambda row: (-row["sql"], -row["mql"], sort_key(row["name"])))


def _figures(found: Funnel, direct: int) -> dict[str, Any]:
    ripe = found.mql_to_sql
    figures = {
        "new_leads": len(found.new),
        "mql": len(found.mql),
        "sql": len(found.sql) + direct,
        "without_lead": direct,
        "maturing": len(found.maturing),
    }
    return {
        **figures,
        "mql_to_sql": (ripe.part, ripe.whole),
        "interval": _interval(ripe),
        "all": tuple(figures.values()),
    }


def _table(name: str, title: str, label: str, rows: Sequence[dict[str, Any]]) -> Table:
    columns = [
        Column("name", label),
        Column("new_leads", _("New"), "number"),
        Column("mql", _("Qualified (MQL)"), "number"),
        Column("sql", _("Sales-ready (SQL)"), "number"),
        Column("without_lead", _("of them without a lead"), "number", wide=True),
        Column("mql_to_sql", _("MQL to SQL in 90 days"), "of"),
        Column("interval", _("95 % interval"), "figure", wide=True),
        Column("maturing", _("Maturing"), "number", wide=True),
    ]
    empty = _("No lead came in, and none was qualified, in this period.")
    note = _("Leads that became MQL less than %(n)s days ago are maturing.", n=RIPE_DAYS)
    return Table(name, title, columns, rows, empty, note)


# Every table of the page, in its order.
TABLES: dict[str, Callable[[Outcomes], Table]] = {
    "lead-figures": figures,
    "leads": partners,
    "lead-tiers": tiers,
    "lead-regions": regions,
    "lead-families": families,
    "lead-sources": sources,
    "lead-months": months,
}

# --- the leads behind a number ------------------------------------------------------------------

BEHIND: dict[str, Callable[[Funnel], Iterable[LeadFacts]]] = {
    "new": lambda found: found.new,
    "mql": lambda found: found.mql,
    "ripe": lambda found: found.ripe,
    "maturing": lambda found: found.maturing,
}
TITLES = {
    "new": _l("New leads"),
    "mql": _l("Leads that became MQL"),
    "ripe": _l("Leads that became MQL, at least 90 days ago"),
    "maturing": _l("Leads that are maturing"),
}


def behind(found: Outcomes, name: str, user: User) -> Table:
    """The leads that a number is made of, the newest first, as far as this person may see them."""
    facts = {lead.id: lead for lead in BEHIND[name](found.funnel)}
    rows = []
    for lead in service.with_keys(found.session, facts):
        one, seen = facts[lead.id], service.sight(user, lead)
        rows.append(
            {
                "lead": seen.title,
                "partner": seen.partner,
                "source": str(SOURCE_NAMES[seen.source]),
                "stage": str(STAGE_NAMES[seen.stage]),
                "created": one.created,
                "became_mql": one.mql,
                "became_sql": one.sql,
                "href": url_for("leads.show", lead_id=lead.id),
                "order": (one.sql or one.mql or one.created or date.min, str(lead.id)),
            }
        )
    rows.sort(key=lambda row: row["order"], reverse=True)  # type: ignore[arg-type, return-value]
    columns = [
        Column("lead", _("Lead")),
        Column("partner", _("Partner")),
        Column("source", _("Source"), wide=True),
        Column("stage", _("Stage")),
        Column("created", _("Came in"), "day", wide=True),
        Column("became_mql", _("MQL since"), "day"),
        Column("became_sql", _("SQL since"), "day"),
    ]
    return Table(f"leads-{name}", str(TITLES[name]), columns, rows, _("No lead is behind it."))


def link(found: Outcomes, name: str) -> str:
    """The page with the leads behind a number."""
    address = url_for("reports.leads_behind", name=name)
    return f"{address}?{found.period.query}{found.filters.query}"


# --- for programs -------------------------------------------------------------------------------


def as_json(found: Outcomes) -> dict[str, Any]:
    """All figures of leads as plain values, each with its n; the parts as on the page."""
    keys = ("new_leads", "mql", "sql", "without_lead", "mql_to_sql", "maturing")
    parts = {"partner": partners, "tier": tiers, "region": regions, "family": families,
             "source": sources, "month": months}  # fmt: skip
    values = outcomes.lead_figures(found.funnel, len(found.direct))
    values["n"]["new_leads"] = len(found.funnel.new)
    return {
        "from": found.period.since.isoformat(),
        "to": found.period.until.isoformat(),
        "new_leads": len(found.funnel.new),
        **values,
        "by": {
            name: {row["name"]: {key: row[key] for key in keys} for row in make(found).rows}
            for name, make in parts.items()
        },
    }
