"""What happened in a period, of everyone, a partner or an asset: read from the rollups alone."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from portal.db import in_parts, once_per_request, plain_rows
from tracking import rollups
from tracking.days import EVERYONE
from tracking.dwell import DWELL_BUCKETS, IdleRule
from tracking.models import Audience
from tracking.packing import count_of
from tracking.spans import Scope, rows_within, sums_within
from tracking.sums import (
    AssetSum,
    Grain,
    PairSum,
    PartnerSum,
)

PARTNER, CUSTOMER = Audience.partner.value, Audience.customer.value


class Engagement(NamedTuple):
    """What happened in a period. Attention in milliseconds, after the cap per person.

    `views` and attention are the partners' own; `opens` are views by customers through links.
    `rule` says which attention is dwell. A report makes thousands: the fields up to `likes` stand
    as in `_SUMS`, so that one is made of a row as it comes.
    """

    views: int = 0
    engaged_views: int = 0
    ended_views: int = 0
    active: int = 0
    reading: int = 0
    idle: int = 0
    downloads: int = 0
    downloads_started: int = 0
    downloads_completed: int = 0
    shares: int = 0
    likes: int = 0
    opens: int = 0
    opens_ended: int = 0
    customer_dwell: int = 0
    customer_downloads: int = 0
    rule: IdleRule = IdleRule.reading

    @property
    def dwell(self) -> int:
        """Dwell time by the rule: usually active and reading."""
        return sum(getattr(self, name) for name in DWELL_BUCKETS[self.rule])

    @property
    def dwell_at_least(self) -> int:
        """The lower bound: with input in the last 5 seconds."""
        return self.active

    @property
    def dwell_at_most(self) -> int:
        """The upper bound: idle counted too."""
        return self.active + self.reading + self.idle

    @property
    def on_purpose(self) -> int:
        """Content activities that are no reading: downloads, shares, opens of own shares."""
        return self.downloads + self.shares + self.opens

    @property
    def activities(self) -> int:
        """Content activities: downloads, shares, opens of own shares, views of 10 s and more."""
        return self.on_purpose + self.engaged_views

    def __bool__(self) -> bool:
        """Whether anything happened at all."""
        return any((self.views, self.downloads, self.shares, self.likes, self.opens, self.dwell))


_SUMS = (
    "views",
    "engaged_views",
    "ended_views",
    "active",
    "reading",
    "idle",
    "downloads",
    "downloads_started",
    "downloads_completed",
    "shares",
    "likes",
)
# What follows them in an Engagement.
_NO_OPENS = (0, 0, 0, 0)
NOTHING = Engagement()


def _source(scope: Scope, key: str | None = None) -> tuple[Any, list[Any]]:
    """The table that answers with the fewest rows, and the conditions on it besides the days."""
    by_asset, by_partner = key == "asset_id", key == "partner_id"
    if (scope.asset_id or by_asset) and (scope.partner_id or by_partner):
        model: Any = PairSum
    elif scope.asset_id or by_asset:
        model = AssetSum
    else:
        model = PartnerSum
    where: list[Any] = []
    if scope.asset_id:
        where.append(model.asset_id == scope.asset_id)
    if scope.partner_id:
        where.append(model.partner_id == scope.partner_id)
    elif model is PartnerSum:
        where.append(
            PartnerSum.partner_id != EVERYONE if by_partner else PartnerSum.partner_id == EVERYONE
        )
    return model, where


def _grouped(
    session: Session,
    scope: Scope,
    key: str | None = None,
    only: Collection[uuid.UUID] | None = None,
) -> dict[Any, Engagement]:
    model, where = _source(scope, key)
    if only is not None and key is not None:
        where.append(getattr(model, key).in_(list(only)))
    figures = [getattr(model, name) for name in _SUMS]
    keys = [model.audience] if key is None else [model.audience, getattr(model, key)]
    rows: Iterable[Any] = sums_within(session, scope, model, keys, figures, *where)
    if key is None:
        rows = ((audience, None, *sums) for audience, *sums in rows)
    return _merged(rows, scope.rule)


def _merged(rows: Iterable[Any], rule: IdleRule) -> dict[Any, Engagement]:
    """Engagement by key, of rows `(audience, key, *_SUMS)`: at most one for each audience."""
    found: dict[Any, Engagement] = {}
    customers: dict[Any, Engagement] = {}
    for audience, key, *sums in rows:
        of = Engagement._make((*sums, *_NO_OPENS, rule))
        (customers if audience == CUSTOMER else found)[key] = of
    nothing = Engagement(rule=rule)
    for key, theirs in customers.items():
        found[key] = found.get(key, nothing)._replace(
            opens=theirs.views,
            opens_ended=theirs.ended_views,
            customer_dwell=theirs.dwell,
            customer_downloads=theirs.downloads,
        )
    return found


def total(session: Session, scope: Scope) -> Engagement:
    """Everything in a period."""
    return _grouped(session, scope).get(None, Engagement(rule=scope.rule))


@once_per_request
def by_asset(session: Session, scope: Scope) -> dict[uuid.UUID, Engagement]:
    """Per asset; assets without anything are left out."""
    return _grouped(session, scope, "asset_id")


def by_partner(
    session: Session, scope: Scope, only: Collection[uuid.UUID] | None = None
) -> dict[uuid.UUID, Engagement]:
    """Per partner, of all or `only` of some; partners without anything are left out."""
    return _grouped(session, scope, "partner_id", only)


def activities_by_partner(session: Session, scope: Scope) -> dict[uuid.UUID, tuple[int, int]]:
    """`Engagement.activities` of every partner that did something, and how many of them are
    reading; at a third of the cost of all its figures: what a ranking of thousands needs."""
    model, where = _source(scope, "partner_id")
    own = model.downloads + model.shares + model.engaged_views
    is_customer = model.audience == CUSTOMER
    counted = case((is_customer, model.views), else_=own).label("counted")
    read = case((is_customer, 0), else_=model.engaged_views).label("read")
    rows = sums_within(session, scope, model, (model.partner_id,), (counted, read), *where)
    return {key: (n, of_them) for key, n, of_them in rows}


def readers_in_month(
    session: Session, month: date, partner_ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of some partners whose people read anything in a month, given by its first day."""
    query = select(PartnerSum.partner_id).where(
        PartnerSum.grain == Grain.month,
        PartnerSum.day == month,
        PartnerSum.partner_id.in_(list(partner_ids)),
        PartnerSum.audience == PARTNER,
        or_(PartnerSum.views > 0, PartnerSum.active + PartnerSum.reading + PartnerSum.idle > 0),
    )
    return set(session.scalars(query))


class ActiveDay(NamedTuple):
    """A day on which a partner had a content activity with an asset; `on_purpose`: one other than
    by reading."""

    partner_id: uuid.UUID
    asset_id: uuid.UUID
    day: date
    on_purpose: bool


def active_days(
    session: Session, since: date, until: date, partner_ids: Collection[uuid.UUID]
) -> list[ActiveDay]:
    """On which days of `[since, until)` some partners had content activities, and with what:
    downloads, shares, opens of own shares, views of 10 s and more. A day of a partner and an asset
    may come twice."""
    done = case(
        (PairSum.audience == CUSTOMER, PairSum.views), else_=PairSum.downloads + PairSum.shares
    )
    read = case((PairSum.audience == CUSTOMER, 0), else_=PairSum.engaged_views)
    found: list[ActiveDay] = []
    for some in in_parts(list(partner_ids)):
        query = select(PairSum.partner_id, PairSum.asset_id, PairSum.day, done).where(
            PairSum.day >= since,
            PairSum.day < until,
            PairSum.partner_id.in_(some),
            done + read > 0,
        )
        found += [
            ActiveDay(partner_id, asset_id, day, n > 0)
            for partner_id, asset_id, day, n in plain_rows(session, query)
        ]
    return found


def by_day(session: Session, scope: Scope) -> dict[date, Engagement]:
    """Per local day; days without anything are left out."""
    model, where = _source(scope)
    where = [*where, scope.within(model)]
    if hasattr(model, "grain"):
        where.append(model.grain == Grain.day)
    sums = [func.sum(getattr(model, name)) for name in _SUMS]
    keys = (model.audience, model.day)
    rows = plain_rows(session, select(*keys, *sums).where(*where).group_by(*keys))
    return _merged(((audience, day, *map(int, some)) for audience, day, *some in rows), scope.rule)


def people(session: Session, scope: Scope) -> int:
    """How many different people of partners had a view; those of one day only are not counted."""
    if scope.asset_id and scope.partner_id:
        raise ValueError("people are counted for a partner or for an asset")
    model, where = _source(scope)
    own = (*where, model.audience == PARTNER)
    return count_of(row[0] for row in rows_within(session, scope, model, (model.people,), *own))


def as_of(session: Session) -> datetime | None:
    """Up to which moment the numbers are complete."""
    return rollups.as_of(session)
