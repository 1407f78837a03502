"""Which content to make, fix and retire: searches in vain, how far it is read, what is stale."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts import service as accounts
from portal.content import library
from portal.content.models import Asset
from portal.formatting import sort_key
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import metrics
from tracking.metrics import Scope

STALE = timedelta(days=90)
AREA_NAMES = ("home", "library", "deals", "surveys")


# --- the ranking's tables -----------------------------------------------------------------------


def stale_table(session: Session, today: date) -> Table:
    """What is in the library and was not viewed for 90 days, by partners or customers; the
    longest first, what was never viewed before that."""
    recent = Scope(today - STALE + timedelta(days=1), today + timedelta(days=1))
    fresh = {key for key, of in metrics.by_asset(session, recent).items() if of.views or of.opens}
    quiet = [asset for asset in library.live(session) if asset.id not in fresh]
    last = metrics.last_views(session, [asset.id for asset in quiet])
    rows = []
    for asset in quiet:
        published = asset.published_at.date() if asset.published_at else today
        if published > today - STALE:
            continue
        viewed = last.get(asset.id)
        rows.append(
            {
                "content": asset.title,
                "viewed": viewed,
                "published": published,
                "days": (today - (viewed or published)).days,
                "href": url_for("reports.asset", asset_id=asset.id),
            }
        )
    rows.sort(key=lambda row: (row["viewed"] is not None, -row["days"], sort_key(row["content"])))  # type: ignore[operator, arg-type]
    return Table(
        "stale",
        _("Not viewed in 90 days"),
        [
            Column("content", _("Content")),
            Column("viewed", _("Last viewed"), "day"),
            Column("published", _("Published"), "day", wide=True),
            Column("days", _("Days without a view"), "number"),
        ],
        rows,
        _("Everything in the library was viewed in the last 90 days."),
        _("By partners and their customers. Retire it, or tell partners about it."),
    )


def search_table(session: Session, period: Period) -> Table:
    """What partners looked for in the library and did not find."""
    rows = [
        {
            "words": found.words,
            "in_vain": found.in_vain,
            "searches": found.searches,
            "partners": found.partners,
            "last": found.last,
            "href": url_for("content.index", q=found.words),
        }
        for found in metrics.searches(session, scope_of(period))
    ]
    return Table(
        "searches",
        _("Searched without result"),
        [
            Column("words", _("Looked for")),
            Column("in_vain", _("Without result"), "number"),
            Column("searches", _("Searches"), "number", wide=True),
            Column("partners", _("Partners"), "number"),
            Column("last", _("Last"), "day"),
        ],
        rows,
        _("Every search found something, or nobody searched."),
        _("Searches of which a person saw the result page."),
    )


@dataclass(frozen=True)
class Spread:
    """How far an asset has come: `opened` of `addressed` partners; `days` until half of them, None
    while it is not half yet."""

    addressed: int
    opened: int
    days: int | None


def spread(published: date, addressed: set[uuid.UUID], first: dict[uuid.UUID, date]) -> Spread:
    """Time to market: days from publishing until half of the addressed partners have opened it
    (METRICS). Views before publishing do not count as earlier than it."""
    days = sorted(max(0, (day - published).days) for key, day in first.items() if key in addressed)
    half = -(-len(addressed) // 2)
    reached = days[half - 1] if addressed and len(days) >= half else None
    return Spread(len(addressed), len(days), reached)


def spreads(session: Session, assets: Sequence[Asset]) -> dict[uuid.UUID, Spread]:
    """How far each of these assets has come."""
    partners = accounts.partner_facts(session)
    first = metrics.first_views(session, [asset.id for asset in assets])
    # Many assets are for the same partners: each audience is looked at once.
    addressed = {
        rules: {partner.id for partner in partners if library.is_addressed(rules, partner)}
        for rules in {library.audience_of(asset) for asset in assets}
    }
    return {
        asset.id: spread(
            asset.published_at.date(),
            addressed[library.audience_of(asset)],
            first.get(asset.id, {}),
        )
        for asset in assets
        if asset.published_at is not None
    }


def market_table(session: Session, period: Period, limit: int | None = None) -> Table:
    """How long what was published in the period took to reach half of its partners."""
    published = [
        asset
        for asset in library.live(session)
        if asset.published_at and period.since <= asset.published_at.date() < period.until
    ]
    published.sort(key=lambda asset: (asset.published_at, asset.id), reverse=True)
    assets = published[:limit]
    found = spreads(session, assets)
    rows = [
        {
            "content": asset.title,
            "published": asset.published_at.date() if asset.published_at else None,
            "opened": (found[asset.id].opened, found[asset.id].addressed),
            "days": found[asset.id].days,
            "href": url_for("reports.asset", asset_id=asset.id) + f"?{period.query}",
        }
        for asset in assets
    ]
    return Table(
        "market",
        _("Time to market"),
        [
            Column("content", _("Content")),
            Column("published", _("Published"), "day"),
            Column("opened", _("Partners that opened it"), "of"),
            Column("days", _("Days until half had"), "number"),
        ],
        rows,
        _("Nothing was published in this period."),
        _("Of the partners it is addressed to; a dash: not half of them yet."),
        left_out=len(published) - len(assets),
    )


def area_table(session: Session, period: Period, partner_id: uuid.UUID | None = None) -> Table:
    """Page views and time in the portal by area."""
    found = metrics.areas(session, scope_of(period, partner_id))
    names = {
        "home": _("Home"),
        "library": _("Library"),
        "deals": _("Deals"),
        "surveys": _("Surveys"),
    }
    rows = [
        {"area": names[area], "views": found[area].views, "time": found[area].time}
        for area in AREA_NAMES
        if area in found
    ]
    return Table(
        "areas",
        _("Time in the portal"),
        [
            Column("area", _("Area")),
            Column("views", _("Page views"), "number"),
            Column("time", _("Time"), "duration"),
        ],
        rows,
        _("No time in the portal in this period."),
        _("Effort, not engagement: less is often better. Kept per organisation only."),
    )


# --- one partner ----------------------------------------------------------------------------------


def state_of(now: int, before: int, known_days: int) -> str:
    """Whether a partner is new, active, at risk (less than half of what it did in the 90 days
    before) or inactive; from its content activities in the last 90 days and the 90 before."""
    if known_days < STALE.days:
        return "new"
    if now == 0:
        return "inactive"
    if before >= 4 and now * 2 < before:
        return "at_risk"
    return "active"
