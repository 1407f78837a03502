"""Tables of deals: what became of them, over all and by partner and family."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts import service as accounts
from portal.content import library
from portal.deals import metrics
from portal.deals.results import CYCLE_DAYS, DealFacts, Results
from portal.estimates import Share, median, reached
from portal.formatting import number, sort_key
from portal.reports.overview import amounts
from portal.reports.periods import Period
from portal.tables import Column, Table

# A rate has an interval from so many deals on; below, the page says what is missing.
MIN_DEALS = 20


def tables(session: Session, period: Period, zone: ZoneInfo) -> list[Table]:
    """All tables of the page."""
    found = metrics.results(session, period.since, period.until, zone)
    partners = {row.id: row.name for row in accounts.partner_facts(session)}
    families = {row.id: row.name for row in library.families(session)}
    return [
        _figures(found),
        _by(
            "results-partners",
            _("By partner"),
            _("Partner"),
            found,
            lambda deal: deal.partner_id,
            partners,
            lambda key: url_for("reports.partner", partner_id=key) + f"?{period.query}",
        ),
        _by(
            "results-families",
            _("By product family"),
            _("Product family"),
            found,
            lambda deal: deal.family_id,
            families,
        ),
    ]


def _figures(found: Results) -> Table:
    cycles, lasted = len(found.cycle_days), len(found.durations)
    rows = [
        _row("won_deals", _("Won, confirmed by us"), number(len(found.won)), len(found.won)),
        _row("lost", _("Lost"), number(len(found.lost)), len(found.lost)),
        _row(
            "open",
            _("Open at the end"),
            number(len(found.open)),
            len(found.open),
            _("%(n)s of them without any day", n=number(found.open_without_day))
            if found.open_without_day
            else "",
        ),
        _row("revenue", _("Revenue"), amounts(found.revenue), len(found.won)),
        _share(
            "close_rate_closed",
            _("Close rate: won of won and lost, by the day of closing"),
            found.close_rate_closed,
        ),
        _share(
            "close_rate_cohort",
            _("Close rate: won within 180 days of becoming qualified"),
            found.close_rate_cohort,
        ),
        _row(
            "close_rate",
            _("Close rate: won in the period to qualified in it"),
            "–" if found.close_rate_headline is None else f"{found.close_rate_headline:.0%}",
            len(found.qualified),
            _("can exceed 100 % when older deals close"),
        ),
        _row("cycle_mean", _("Deal cycle, mean of the wins"), _days(found.cycle_mean), cycles),
        _row(
            "cycle_median",
            _("Deal cycle, median, open ones counted"),
            _days(found.cycle_median),
            lasted,
            "" if found.cycle_median is not None else _("fewer than half are won yet"),
        ),
        *(
            _row(
                "won_by_day",
                _("Won by day %(n)s of the deals begun", n=days),
                "–" if (share := found.won_by(days)) is None else f"{share:.0%}",
                lasted,
            )
            for days in CYCLE_DAYS
        ),
        _row(
            "registrations",
            _("Registrations"),
            number(len(found.registrations)),
            len(found.registrations),
            _(
                "of %(n)s partners",
                n=number(len({deal.partner_id for deal in found.registrations})),
            ),
        ),
        _share(
            "approval_rate", _("Approval rate, by the day of the decision"), found.approval_rate
        ),
        _share("decided_in_time", _("Decided in time"), found.decided_in_time),
        _row(
            "decision_hours",
            _("Time to decide, median, waiting ones counted"),
            _hours(median(found.decision_hours)),
            len(found.decision_hours),
            _("business hours; the slowest tenth took %(n)s and more", n=_hours(slowest))
            if (slowest := reached(found.decision_hours, 0.9)) is not None
            else _("business hours"),
        ),
    ]
    columns = [
        Column("what", _("What")),
        Column("value", _("Value"), "figure", about="results"),
        Column("interval", _("95 % interval"), "figure"),
        Column("n", _("n"), "number"),
        Column("note", _("Note"), wide=True),
    ]
    return Table("results", _("What became of deals"), columns, rows, "")


def _row(
    anchor: str, what: str, value: str, n: int, note: str = "", interval: str = ""
) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "interval": interval,
        "n": n,
        "note": note,
        "href": url_for("reports.definition_page") + f"#{anchor}",
    }


def _days(days: float | None) -> str:
    return "–" if days is None else _("%(n)s days", n=f"{days:.1f}".removesuffix(".0"))


def _hours(hours: float | None) -> str:
    return "–" if hours is None else _("%(n)s h", n=f"{hours:.1f}")


def _share(anchor: str, what: str, share: Share) -> dict[str, Any]:
    value = _("%(part)s of %(whole)s", part=number(share.part), whole=number(share.whole))
    if share.whole and share.value is not None:
        value = f"{share.value:.0%} · {value}"
    interval, note = "", ""
    if share.whole >= MIN_DEALS and share.interval:
        low, high = share.interval
        interval = _("%(low)s to %(high)s", low=f"{low:.0%}", high=f"{high:.0%}")
    else:
        note = _("an interval needs %(n)s more deals", n=MIN_DEALS - share.whole)
    return _row(anchor, what, value, share.whole, note, interval)


def _by(
    name: str,
    title: str,
    label: str,
    found: Results,
    key_of: Callable[[DealFacts], uuid.UUID | None],
    names: dict[uuid.UUID, str],
    href: Callable[[uuid.UUID], str] | None = None,
) -> Table:
    groups: dict[uuid.UUID | None, list[DealFacts]] = defaultdict(list)
    for deal in found.deals:
        groups[key_of(deal)].append(deal)
    rows = []
    for key, deals in groups.items():
        here = found.of(deals)
        closed = here.close_rate_closed
        if not (closed.whole or here.registrations or here.open):
            continue
        rows.append(
            {
                "name": names.get(key, _("None")) if key else _("None"),
                "registrations": len(here.registrations),
                "won": (closed.part, closed.whole),
                "open": len(here.open),
                "revenue": amounts(here.revenue) if here.revenue else "–",
                "href": href(key) if href and key in names and key else "",
            }
        )
    rows.sort(key=lambda row: (-row["won"][0], sort_key(row["name"])))  # type: ignore[index, arg-type]
    columns = [
        Column("name", label),
        Column("registrations", _("Registrations"), "number"),
        Column("won", _("Won of closed"), "of", about="close_rate_closed"),
        Column("open", _("Open"), "number"),
        Column("revenue", _("Revenue"), "figure"),
    ]
    return Table(name, title, columns, rows, _("No deal was open or closed in this period."))
