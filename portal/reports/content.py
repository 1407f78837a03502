"""Which content to make, fix and retire: searches in vain, how far it is read, what is stale."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.service import zone
from portal.content import library
from portal.content.library import AssetFacts
from portal.content.models import Asset
from portal.formatting import sort_key
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import metrics
from tracking.metrics import Scope

STALE, UNSEEN = timedelta(days=90), timedelta(days=14)
# Where readers leave is looked for in so many of the most read, on pages with so many readers and
# more, when such a share and more of them do not go on.
MOST_READ, MANY_READERS, MANY_LOST = 20, 10, 0.25
AREA_NAMES = ("home", "library", "deals", "surveys")


# --- the ranking's tables -----------------------------------------------------------------------


def stale_table(session: Session, today: date) -> Table:
    """What is in the library and was not viewed for 90 days, by partners or customers, or never in
    the 14 days and more since it was published; what was never viewed first, then the longest."""
    assets = library.live(session)
    last = metrics.last_views(session, [asset.id for asset in assets])
    where, rows = zone(), []
    for asset in assets:
        viewed, published = last.get(asset.id), published_on(asset, where) or today
        days = (today - (viewed or published)).days
        if days < (STALE if viewed else UNSEEN).days:
            continue
        rows.append(
            {
                "content": asset.title,
                "viewed": viewed,
                "published": published,
                "stale_days": days,
                "href": url_for("reports.asset", asset_id=asset.id),
            }
        )
    rows.sort(
        key=lambda row: (row["viewed"] is not None, -row["stale_days"], sort_key(row["content"]))  # type: ignore[operator, arg-type]
    )
    return Table(
        "stale",
        _("Not viewed"),
        [
            Column("content", _("Content")),
            Column("viewed", _("Last viewed"), "day"),
            Column("published", _("Published"), "day", wide=True),
            Column("stale_days", _("Days without a view"), "number"),
        ],
        rows,
        _("Everything in the library was viewed in the last 90 days."),
        _("For 90 days, or never in the 14 days and more since it was published."),
    )


@dataclass(frozen=True)
class Spread:
    """How far an asset has come: `opened` of `addressed` partners; `days` until half of them, None
    while it is not half yet."""

    addressed: int
    opened: int
    days: int | None


def spreads(session: Session, assets: Sequence[Asset | AssetFacts]) -> dict[uuid.UUID, Spread]:
    """Time to market: how many of the addressed partners have opened each of these assets, and
    after how many days half of them had (METRICS). Views before publishing count as on its day."""
    partners = accounts.partner_facts(session)
    # Many assets are for the same partners: each audience is looked at once.
    found = library.audiences(session, [asset.id for asset in assets])
    rules = {asset.id: found.get(asset.id, frozenset()) for asset in assets}
    audiences = {
        some: frozenset(p.id for p in partners if library.is_addressed(some, p))
        for some in set(rules.values())
    }
    addressed = {asset.id: audiences[rules[asset.id]] for asset in assets}
    reached, where = metrics.reach(session, addressed), zone()
    return {
        asset.id: Spread(
            len(addressed[asset.id]),
            reached[asset.id].opened,
            _days_between(asset, reached[asset.id].half, where),
        )
        for asset in assets
        if asset.published_at is not None
    }


def published_on(asset: Asset | AssetFacts, where: ZoneInfo) -> date | None:
    """The local day on which an asset came into the library."""
    return clock.local_day(asset.published_at, where) if asset.published_at else None


def _days_between(asset: Asset | AssetFacts, half: date | None, where: ZoneInfo) -> int | None:
    published = published_on(asset, where)
    return max(0, (half - published).days) if half and published else None


def market_table(
    session: Session, period: Period, first: int = 0, limit: int | None = None
) -> Table:
    """How long what was published in the period took to reach half of its partners."""
    where = zone()
    published = [
        asset
        for asset in library.live(session)
        if (since := published_on(asset, where)) and period.since <= since < period.until
    ]
    published.sort(key=lambda asset: (asset.published_at, asset.id), reverse=True)
    assets = published[first:limit]
    found = spreads(session, assets)
    rows = [
        {
            "content": asset.title,
            "published": published_on(asset, where),
            "reached": (found[asset.id].opened, found[asset.id].addressed),
            "market_days": found[asset.id].days,
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
            Column("reached", _("Partners that opened it"), "of"),
            Column("market_days", _("Days until half had"), "number"),
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
            Column("views", _("Page views"), "number", about="area_views"),
            Column("time", _("Time"), "duration", about="area_time"),
        ],
        rows,
        _("No time in the portal in this period."),
        _("Effort, not engagement: less is often better. Kept per organisation only."),
    )


# --- where readers leave --------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaving:
    """The page on which readers of an asset leave: of `readers` views that read it, the next page
    has `stayed`."""

    title: str
    by_customers: bool
    page: int
    readers: int
    stayed: int
    href: str

    @property
    def lost(self) -> float:
        """The share that did not go on."""
        return 1 - self.stayed / self.readers


def leaving(session: Session, period: Period) -> Leaving | None:
    """The steepest drop from one page to the next, in what is read most; None where no page that
    is read often loses many. To miss only the last page is not to leave: it is often an imprint."""
    scope = scope_of(period)
    most_read = _most_read(session, scope)
    readers = _readers(session, scope, most_read)
    titles = library.titles(session, most_read)
    drops = [
        Leaving(
            title=titles[asset_id],
            by_customers=audience == metrics.CUSTOMER,
            page=page,
            readers=n,
            stayed=of_pages[page + 1],
            href=url_for("reports.asset", asset_id=asset_id) + f"?{period.query}",
        )
        for (asset_id, audience), of_pages in readers.items()
        for page, n in of_pages.items()
        if n >= MANY_READERS and page < max(of_pages) - 1
    ]
    steepest = max(drops, key=lambda drop: (drop.lost, drop.readers), default=None)
    return steepest if steepest and steepest.lost >= MANY_LOST else None


def _most_read(session: Session, scope: Scope) -> list[uuid.UUID]:
    """What has the most views, by partners and customers together."""
    views = {key: of.views + of.opens for key, of in metrics.by_asset(session, scope).items()}
    return sorted((key for key in views if views[key]), key=lambda key: (-views[key], key))[
        :MOST_READ
    ]


def _readers(
    session: Session, scope: Scope, asset_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, str], dict[int, int]]:
    """Readers of every page of what is in the library now, by asset and audience, all languages."""
    found = metrics.readers_by_page(session, scope, asset_ids)
    total: dict[tuple[uuid.UUID, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for version in library.current_versions(session, asset_ids):
        for audience in (metrics.CUSTOMER, metrics.PARTNER):
            of_pages = found.get((version.id, audience), {})
            for page in range(1, version.page_count + 1):
                total[version.asset_id, audience][page] += of_pages.get(page, 0)
    return total


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
