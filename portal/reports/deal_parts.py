"""The report on deals part by part: by partner, tier, region, family and month; why deals are lost;
where partners and customers stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.content import library
from portal.deals.reasons import LOSS_NAMES
from portal.deals.results import Results
from portal.formatting import count, sort_key
from portal.reports import outcomes
from portal.reports.outcomes import Outcomes
from portal.reports.overview import amounts
from portal.reports.stops import Step
from portal.tables import Column, Table


def partners(found: Outcomes) -> Table:
    """By partner, each with the page of it."""
    query = found.period.query
    rows = [
        _part(one.name, part, url_for("reports.partner", partner_id=one.id) + f"?{query}")
        for one, part in outcomes.by_partner(found)
    ]
    return _breakdown("results-partners", _("By partner"), _("Partner"), _best_first(rows))


def tiers(found: Outcomes) -> Table:
    """By the tier that partners have today."""
    rows, note = _by_word(found, "tier"), _("By what they have today.")
    return _breakdown("results-tiers", _("By tier"), _("Tier"), rows, note)


def regions(found: Outcomes) -> Table:
    """By the region that partners are in today."""
    rows, note = _by_word(found, "region"), _("By what they have today.")
    return _breakdown("results-regions", _("By region"), _("Region"), rows, note)


def _by_word(found: Outcomes, name: str) -> list[dict[str, Any]]:
    return _best_first(
        [
            _part(word or _("None"), part, _narrowed(found, **{name: word}) if word else "")
            for word, part in outcomes.by_word(found, name)
        ]
    )


def families(found: Outcomes) -> Table:
    """By product family."""
    rows = [
        _part(name or _("None"), part, _narrowed(found, family=str(key)) if key else "")
        for name, key, part in outcomes.by_family(found)
    ]
    label = _("Product family")
    return _breakdown("results-families", _("By product family"), label, _best_first(rows))


def months(found: Outcomes) -> Table:
    """By month, the latest first."""
    rows = []
    for month, part in reversed(outcomes.by_month(found)):
        days = replace(found.period, since=part.since, until=part.until, name="days")
        address = f"{url_for('reports.results')}?{days.query}{found.filters.query}"
        rows.append(_part(f"{month:%b %Y}", part, address))
    return _breakdown("results-months", _("By month"), _("Month"), rows)


def _narrowed(found: Outcomes, **chosen: str) -> str:
    filters = {**found.filters.chosen, **chosen}
    return f"{url_for('reports.results')}?{found.period.query}&{urlencode(filters)}"


def _part(name: str, part: Results, href: str) -> dict[str, Any]:
    closed, approved = part.close_rate_closed, part.approval_rate
    return {
        "name": name,
        "registrations": len(part.registrations),
        "approved": (approved.part, approved.whole),
        "won": (closed.part, closed.whole),
        "cycle_mean": days(part.cycle_mean),
        "open": len(part.open),
        "revenue": amounts(part.revenue) if part.revenue else "–",
        "href": href,
    }


def days(n: float | None) -> str:
    """A number of days; a dash where there is none."""
    return "–" if n is None else _("%(n)s days", n=f"{n:.1f}".removesuffix(".0"))


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["won"][0], sort_key(row["name"])))


def _breakdown(
    name: str, title: str, label: str, rows: Sequence[dict[str, Any]], note: str = ""
) -> Table:
    columns = [
        Column("name", label),
        Column("registrations", _("Registrations"), "number"),
        Column("approved", _("Approved of decided"), "of", wide=True, about="approval_rate"),
        Column("won", _("Won of closed"), "of", about="close_rate_closed"),
        Column("cycle_mean", _("Cycle, mean"), "figure", wide=True),
        Column("open", _("Open"), "number"),
        Column("revenue", _("Revenue"), "figure"),
    ]
    empty = _("No deal was open or closed in this period.")
    return Table(name, title, columns, rows, empty, note)


# --- where they stop ----------------------------------------------------------------------------


def losses(found: Outcomes) -> Table:
    n = len(found.results.lost)
    rows = [
        {"reason": str(LOSS_NAMES.get(code, _("None given"))), "losses": (lost, n)}
        for code, lost in found.results.losses.items()
    ]
    columns = [Column("reason", _("Reason")), Column("losses", _("Lost"), "of")]
    empty = _("No deal was lost in this period.")
    return Table("results-losses", _("Why deals were lost"), columns, rows, empty)


PARTNER_STEPS = {
    "": _l("Had access"),
    "signed_in": _l("Signed in"),
    "viewed": _l("Viewed content"),
    "shared": _l("Shared or downloaded"),
    "opened": _l("Opened by a customer"),
    "registered": _l("Registered a deal"),
    "approved": _l("Approved"),
    "won": _l("Won"),
}
CUSTOMER_STEPS = {
    "": _l("Link sent"),
    "opened": _l("Opened"),
    "read": _l("Read past half"),
    "asked": _l("Asked the partner"),
    "registered": _l("Registered"),
    "won": _l("Won"),
}


def partners_stop(found: Outcomes) -> Table:
    """How far partners came."""
    title, note = _("Where partners stop"), _notes(found, hidden_note(found))
    return _way(found.partner_steps, "results-partners-stop", title, PARTNER_STEPS, note)


def customers_stop(found: Outcomes) -> Table:
    """How far customers came."""
    title, note = _("Where customers stop"), _("by link that was made in the period")
    name, steps = "results-customers-stop", found.customer_steps
    return _way(steps, name, title, CUSTOMER_STEPS, _notes(found, note))


# So many pages are told, those of most links first.
MOST_PAGES = 20


def pages_stop(found: Outcomes) -> Table:
    """Up to which pages customers read who went no further than reading."""
    most = found.pages_stopped[:MOST_PAGES]
    titles = library.titles(found.session, {one.asset_id for one in most})
    rows = [
        {
            "title": titles[one.asset_id],
            "page": _("%(page)s of %(n)s", page=one.page, n=one.page_count)
            if one.page
            else _("opened, no page read"),
            "pages_stopped": (one.links, one.opened),
            "href": url_for("reports.asset", asset_id=one.asset_id) + f"?{found.period.query}",
        }
        for one in most
    ]
    columns = [
        Column("title", _("Content")),
        Column("page", _("Read up to page")),
        Column("pages_stopped", _("Stopped here"), "of"),
    ]
    title, note = _("Pages where customers stop"), _("by link whose customer did not ask or buy")
    if len(found.pages_stopped) > MOST_PAGES:
        note = _("%(note)s; the %(n)s pages with most", note=note, n=MOST_PAGES)
    empty = _("No link of this period was opened and left there.")
    return Table("results-pages-stop", title, columns, rows, empty, _notes(found, note))


def _notes(found: Outcomes, note: str) -> str:
    """`note`, and that links and reading are of every product family where one was chosen."""
    every = _("links and content of every product family") if found.filters.family else ""
    return "; ".join(part for part in (note, every) if part)


def hidden_note(found: Outcomes) -> str:
    """That the reading of some partners is not in a number."""
    if not found.unread:
        return ""
    return count(
        len(found.unread),
        "without what %(num)s partner with few people read",
        "without what %(num)s partners with few people read",
    )


def _way(
    found: Sequence[Step],
    name: str,
    title: str,
    names: dict[str, Any],
    note: str,
) -> Table:
    whole = found[0].reached
    rows = [
        {"step": str(names[one.name]), "came": (one.reached, whole), "stopped": one.stopped}
        for one in found
    ]
    columns = [
        Column("step", _("Step")),
        Column("came", _("Came this far"), "of"),
        Column("stopped", _("Stop here"), "number"),
    ]
    return Table(name, title, columns, rows if whole else [], _("Nobody was on the way."), note)


def choices(found: Outcomes) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer."""
    everyone = sorted(found.everyone, key=lambda one: sort_key(one.name, one.id))
    return {
        "tier": [(word, word) for word in sorted({one.tier for one in everyone} - {""})],
        "region": [(word, word) for word in sorted({one.region for one in everyone} - {""})],
        "partner": [(str(one.id), one.name) for one in everyone],
        "family": [(str(row.id), row.name) for row in library.families(found.session)],
    }
