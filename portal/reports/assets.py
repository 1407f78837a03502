"""What the page of one asset says: how it is read, page by page, and how far that is known."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock, formatting
from portal.accounts.service import zone
from portal.content.models import Asset, AssetVersion
from portal.formatting import duration
from portal.reports.content import Spread, spreads
from portal.reports.engagement import scope_of, splits
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import metrics
from tracking.dwell import SLOT_MS
from tracking.metrics import Engagement, PageAttention, Recording

# --- page by page ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """How the pages of one version were read, by partners and by customers.

    `versions` are all that can be shown: the current ones, and earlier ones that were read in the
    period.
    """

    version: AssetVersion
    versions: Sequence[AssetVersion]
    pages: Sequence[tuple[int, PageAttention, PageAttention]]
    most: int


def strip(
    session: Session, period: Period, asset: Asset, wanted: uuid.UUID | None = None
) -> Strip | None:
    """The attention strip of the version wanted, else of the one that was read most; None where
    there is no file at all, or no reading is shown."""
    if not splits(session, period, asset_id=asset.id):
        return None
    scope = scope_of(period, asset_id=asset.id)
    read = metrics.dwell_by_version(session, scope)
    versions = [v for v in asset.versions if v.current or v.id in read]
    if not versions:
        return None
    fitting = [v for v in versions if v.id == wanted] or versions
    version = max(fitting, key=lambda v: read.get(v.id, 0))
    by_partners, by_customers = (
        {page.page: page for page in metrics.pages(session, scope, version.id, audience)}
        for audience in (metrics.PARTNER, metrics.CUSTOMER)
    )
    last = max(version.page_count, *by_partners, *by_customers, 1)
    pages = []
    for number in range(1, last + 1):
        nothing = PageAttention(number, 0, 0)
        pages.append((number, by_partners.get(number, nothing), by_customers.get(number, nothing)))
    most = max((one.dwell + two.dwell for _number, one, two in pages), default=0)
    return Strip(version, versions, pages, most)


def name_of(version: AssetVersion) -> str:
    """A version of an asset in few words: `de`, and `de, version 1` when it was replaced."""
    if version.current:
        return version.language
    return _("%(language)s, version %(n)s", language=version.language, n=version.number)


def page_table(shown: Strip | None) -> Table:
    """The attention strip as a table."""
    version = name_of(shown.version) if shown else ""
    rows = [
        {
            "version": version,
            "page": number,
            "readers": partners.readers,
            "dwell": partners.dwell,
            "customer_readers": customers.readers,
            "customer_dwell": customers.dwell,
        }
        for number, partners, customers in (shown.pages if shown else ())
    ]
    return Table(
        "pages",
        _("Pages"),
        [
            Column("version", _("Version")),
            Column("page", _("Page"), "number"),
            Column("readers", _("Views of it by partners"), "number"),
            Column("dwell", _("Dwell time of partners"), "duration"),
            Column("customer_readers", _("Views of it by customers"), "number"),
            Column("customer_dwell", _("Dwell time of customers"), "duration"),
        ],
        rows,
        _("There is no file, or no reading is shown."),
        _("Views with 2 s and more on the page."),
    )


# --- the numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AssetFacts:
    """What an asset's page says before its tables.

    `reading` says whether that is shown. `links` are those made in the period: how many were
    opened, and how many there are.
    """

    reading: bool
    total: Engagement
    people: int
    partners: int
    median: int | None
    links: tuple[int, int]
    spread: Spread | None
    # Pages with 2 s of dwell and more, per view; and how many the versions have, least and most.
    pages_read: float | None
    page_counts: tuple[int, int]
    # How its recordings were played, in a sentence.
    played: str

    @property
    def unknown_ends(self) -> int:
        """Views and opens whose last report has not arrived."""
        total = self.total
        return total.views + total.opens - total.ended_views - total.opens_ended

    @property
    def longest_tail(self) -> int:
        """The most that may be missing of each of them, in milliseconds, while there is a network:
        reports come every 15 seconds."""
        return SLOT_MS

    @property
    def not_observed(self) -> int:
        """Downloads of which the portal has not seen a byte leave."""
        return self.total.downloads - self.total.downloads_started


def asset_facts(session: Session, period: Period, asset: Asset) -> AssetFacts:
    """The numbers of one asset in a period."""
    scope = scope_of(period, asset_id=asset.id)
    total = metrics.total(session, scope)
    readership = metrics.readerships(session, scope, [asset.id]).get(asset.id, metrics.NO_READERS)
    read = metrics.dwell_by_version(session, scope)
    counts = [v.page_count for v in asset.versions if v.id in read] or [0]
    through = None
    if total.views + total.opens and max(counts) > 1:
        readers = sum(page.readers for page in metrics.pages(session, scope))
        through = readers / (total.views + total.opens)
    return AssetFacts(
        reading=splits(session, period, asset_id=asset.id),
        total=total,
        people=metrics.people(session, scope),
        partners=readership.partners,
        median=readership.median,
        links=metrics.links_opened(session, scope, zone()),
        spread=spreads(session, [asset]).get(asset.id),
        pages_read=through,
        page_counts=(min(counts), max(counts)),
        played=_played(session, period, asset),
    )


def _played(session: Session, period: Period, asset: Asset) -> str:
    """How the recordings of an asset were played; nothing where there are none, or nobody did."""
    if not any(version.media_type.startswith(("video/", "audio/")) for version in asset.versions):
        return ""
    since, until = clock.day_start(period.since, zone()), clock.day_start(period.until, zone())
    seen = metrics.recording(session, asset.id, since, until)
    sentences = [] if seen is None else [_played_sentence(seen)]
    raw = metrics.raw_since(session)
    if raw is not None and raw > period.since:
        sentences.append(
            _("How recordings were played is known since %(day)s.", day=formatting.day(raw))
        )
    return " ".join(sentences)


def _played_sentence(seen: Recording) -> str:
    return _(
        "Played in %(n)s loads, %(done)s of them nearly to the end: on average %(time)s of it "
        "(%(share)s %%) was seen, and it ran for %(played)s in all.",
        n=formatting.number(seen.loads),
        done=formatting.number(seen.completed),
        time=duration(round(seen.seconds * 1000)),
        share=round(seen.completion * 100),
        played=duration(seen.played_ms),
    )
