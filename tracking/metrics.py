"""Numbers of engagement. All read the days of `tracking.rollups`; only the partner's own view of
its links reads base rows, because it must be there within seconds."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from portal import clock
from tracking import rollups
from tracking.days import joined_people
from tracking.dwell import LoadFacts, chains, first_activated
from tracking.models import Audience, DayAsset, DayDwell, DayPage, DayPeople, Load, Slot

PARTNER, CUSTOMER = Audience.partner.value, Audience.customer.value


@dataclass(frozen=True)
class Engagement:
    """What happened in a period. Attention in milliseconds, after the cap per person.

    `views` and attention are the partners' own; `opens` are views by customers through links.
    """

    views: int = 0
    engaged_views: int = 0
    active: int = 0
    reading: int = 0
    idle: int = 0
    downloads: int = 0
    shares: int = 0
    likes: int = 0
    opens: int = 0
    customer_dwell: int = 0
    customer_downloads: int = 0

    @property
    def dwell(self) -> int:
        """Dwell time: active and reading."""
        return self.active + self.reading

    @property
    def dwell_at_most(self) -> int:
        """The upper bound: idle counted too."""
        return self.dwell + self.idle

    @property
    def activities(self) -> int:
        """Content activities: downloads, shares, opens of own shares, views of 10 s and more."""
        return self.downloads + self.shares + self.opens + self.engaged_views

    def __bool__(self) -> bool:
        return any((self.views, self.downloads, self.shares, self.likes, self.opens, self.dwell))


_SUMS = (
    "views",
    "engaged_views",
    "active",
    "reading",
    "idle",
    "downloads",
    "shares",
    "likes",
)
NOTHING = Engagement()


@dataclass(frozen=True)
class Scope:
    """Half-open days `[since, until)` and, where asked for, one partner, one asset, or a set of
    partners that filters leave over."""

    since: date
    until: date
    partner_ids: frozenset[uuid.UUID] | None = None
    asset_id: uuid.UUID | None = None

    def conditions(
        self, model: type[DayAsset] | type[DayPage] | type[DayPeople]
    ) -> list[ColumnElement[bool]]:
        """The conditions on the rows of `model`."""
        found: list[ColumnElement[bool]] = [model.day >= self.since, model.day < self.until]
        if self.partner_ids is not None:
            found.append(model.partner_id.in_(self.partner_ids))
        if self.asset_id is not None:
            found.append(model.asset_id == self.asset_id)
        return found


def _grouped(session: Session, scope: Scope, *keys: Any) -> dict[tuple[Any, ...], Engagement]:
    sums = [func.sum(getattr(DayAsset, name)) for name in _SUMS]
    query = select(DayAsset.audience, *keys, *sums)
    query = query.where(*scope.conditions(DayAsset)).group_by(DayAsset.audience, *keys)
    found: dict[tuple[Any, ...], Engagement] = defaultdict(Engagement)
    for audience, *row in session.execute(query):
        key = tuple(row[: len(keys)])
        values = dict(zip(_SUMS, map(int, row[len(keys) :]), strict=True))
        found[key] = _with(found[key], audience, values)
    return found


def _with(before: Engagement, audience: str, values: dict[str, int]) -> Engagement:
    if audience == CUSTOMER:
        return replace(
            before,
            opens=before.opens + values["views"],
            customer_dwell=before.customer_dwell + values["active"] + values["reading"],
            customer_downloads=before.customer_downloads + values["downloads"],
        )
    return replace(before, **{name: getattr(before, name) + values[name] for name in _SUMS})


def total(session: Session, scope: Scope) -> Engagement:
    """Everything in a period."""
    return _grouped(session, scope).get((), NOTHING)


def by_asset(session: Session, scope: Scope) -> dict[uuid.UUID, Engagement]:
    """Per asset; assets without anything are left out."""
    return {key[0]: row for key, row in _grouped(session, scope, DayAsset.asset_id).items()}


def by_partner(session: Session, scope: Scope) -> dict[uuid.UUID, Engagement]:
    """Per partner; partners without anything are left out."""
    return {key[0]: row for key, row in _grouped(session, scope, DayAsset.partner_id).items()}


def by_day(session: Session, scope: Scope) -> dict[date, Engagement]:
    """Per local day; days without anything are left out."""
    return {key[0]: row for key, row in _grouped(session, scope, DayAsset.day).items()}


def partners_of_assets(session: Session, scope: Scope) -> dict[uuid.UUID, int]:
    """How many partners viewed each asset."""
    query = (
        select(DayAsset.asset_id, func.count(DayAsset.partner_id.distinct()))
        .where(*scope.conditions(DayAsset), DayAsset.audience == PARTNER, DayAsset.views > 0)
        .group_by(DayAsset.asset_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def median_dwell(session: Session, scope: Scope) -> dict[uuid.UUID, int]:
    """The median dwell of the partners' views per asset, in whole seconds.

    From the histogram per day; with an even number of views the lower middle one.
    """
    query = (
        select(DayDwell.asset_id, DayDwell.seconds, func.sum(DayDwell.views))
        .where(
            DayDwell.day >= scope.since, DayDwell.day < scope.until, DayDwell.audience == PARTNER
        )
        .group_by(DayDwell.asset_id, DayDwell.seconds)
        .order_by(DayDwell.asset_id, DayDwell.seconds)
    )
    bars: dict[uuid.UUID, list[tuple[int, int]]] = defaultdict(list)
    for asset_id, seconds, views in session.execute(query):
        bars[asset_id].append((seconds, int(views)))
    return {asset_id: median_of(histogram) for asset_id, histogram in bars.items()}


def median_of(histogram: Sequence[tuple[int, int]]) -> int:
    """The lower median of values given as (value, how often), sorted by value."""
    half = (sum(n for _value, n in histogram) + 1) // 2
    for value, n in histogram:
        half -= n
        if half <= 0:
            return value
    raise ValueError("a median needs at least one value")


def people(session: Session, scope: Scope) -> int:
    """How many different people of partners had a view."""
    query = select(DayPeople.people).where(
        *scope.conditions(DayPeople), DayPeople.audience == PARTNER
    )
    return len(joined_people(session.scalars(query))) // 16


@dataclass(frozen=True)
class PageAttention:
    """How a page of a document was read: views with 2 s on it, and dwell in milliseconds."""

    page: int
    readers: int
    dwell: int


def pages(session: Session, scope: Scope, version_id: uuid.UUID) -> list[PageAttention]:
    """The attention strip of one version, partners and customers together."""
    query = (
        select(
            DayPage.page,
            func.sum(DayPage.readers),
            func.sum(DayPage.active) + func.sum(DayPage.reading),
        )
        .where(*scope.conditions(DayPage), DayPage.version_id == version_id)
        .group_by(DayPage.page)
        .order_by(DayPage.page)
    )
    return [PageAttention(row[0], int(row[1]), int(row[2])) for row in session.execute(query)]


def as_of(session: Session) -> datetime | None:
    """When the newest numbers were computed."""
    return rollups.as_of(session)


# --- a partner's own links, from base rows ------------------------------------------------------


@dataclass(frozen=True)
class Open:
    """A customer read a document behind a link. `page` is the furthest one with attention."""

    share_id: uuid.UUID
    asset_id: uuid.UUID
    at: datetime
    dwell: int
    page: int
    page_count: int


def recent_opens(
    session: Session,
    partner_id: uuid.UUID,
    since: datetime,
    limit: int,
    share_id: uuid.UUID | None = None,
) -> list[Open]:
    """The latest opens of a partner's links, or of one of them, newest first.

    From base rows, so seconds after reading.
    """
    query = (
        select(Load)
        .where(
            Load.partner_id == partner_id,
            Load.audience == CUSTOMER,
            Load.issued_at >= clock.to_ms(since),
            true() if share_id is None else Load.share_id == share_id,
        )
        .order_by(Load.issued_at.desc())
        .limit(limit * 5)
    )
    rows = {load.id: load for load in session.scalars(query)}
    seen = _attention(session, rows)
    opens = []
    for chain in chains(_facts(load) for load in rows.values()):
        first = first_activated(chain)
        share_id = rows[chain[0].id].share_id
        if first is None or first.activated_at is None or share_id is None:
            continue
        parts = [seen[load.id] for load in chain if load.id in seen]
        opens.append(
            Open(
                share_id=share_id,
                asset_id=first.asset_id,
                at=clock.from_ms(first.activated_at),
                dwell=sum(dwell for dwell, _page in parts),
                page=max((page for _dwell, page in parts), default=1),
                page_count=rows[first.id].page_count,
            )
        )
    return sorted(opens, key=lambda found: found.at, reverse=True)[:limit]


def _facts(load: Load) -> LoadFacts:
    assert load.partner_id is not None
    return LoadFacts(
        load.id,
        load.subject,
        load.partner_id,
        load.audience,
        load.asset_id,
        load.version_id,
        load.issued_at,
        load.activated_at,
        load.last_slot,
    )


def _attention(session: Session, load_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[int, int]]:
    query = (
        select(Slot.load_id, func.sum(Slot.active) + func.sum(Slot.reading), func.max(Slot.page))
        .where(Slot.load_id.in_(list(load_ids)))
        .group_by(Slot.load_id)
    )
    return {row[0]: (int(row[1]), row[2]) for row in session.execute(query)}


def shares_opened(session: Session, share_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many loads of each link were really looked at; links nobody opened are left out."""
    query = (
        select(Load.share_id, func.count())
        .where(
            Load.share_id.in_(list(share_ids)),
            Load.audience == CUSTOMER,
            Load.activated_at.is_not(None),
        )
        .group_by(Load.share_id)
    )
    return {row[0]: row[1] for row in session.execute(query) if row[0] is not None}
