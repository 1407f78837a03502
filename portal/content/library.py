"""What is in the library for whom: the one place that knows who may see which content."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlalchemy.orm import Session, selectinload

from portal.accounts.models import Partner, User
from portal.accounts.service import PartnerFacts
from portal.content.models import Asset, AssetVersion, AudienceRule, ProductFamily, asset_family
from portal.db import once_per_request, plain_rows
from portal.errors import NotFound
from portal.formatting import sort_key


@dataclass(frozen=True)
class Filters:
    """What a person looks for in the library; empty means everything."""

    words: str = ""
    content_type: str = ""
    family_id: str = ""
    language: str = ""


_LIVE = and_(Asset.published_at.is_not(None), Asset.retired_at.is_(None))


def _audience_values(partner: Partner | PartnerFacts) -> dict[str, str]:
    """What the rules of an audience compare, by their kind."""
    return {"tier": partner.tier, "region": partner.region, "partner": str(partner.id)}


def visible_to(user: User) -> list[ColumnElement[bool]]:
    """The conditions on an asset for `user` to see it. The vendor sees all that is not a draft."""
    if user.is_vendor or user.partner is None:
        return [_LIVE]
    return [_LIVE, addressed_to(user.partner)]


def addressed_to(partner: Partner) -> ColumnElement[bool]:
    """Whether an asset's audience includes `partner`: one rule of every kind present fits."""

    def fits(kind: str, value: str) -> ColumnElement[bool]:
        of_kind = and_(AudienceRule.asset_id == Asset.id, AudienceRule.kind == kind)
        return or_(~exists().where(of_kind), exists().where(of_kind, AudienceRule.value == value))

    return and_(*(fits(kind, value) for kind, value in _audience_values(partner).items()))


def is_addressed(rules: Collection[tuple[str, str]], partner: Partner | PartnerFacts) -> bool:
    """The same question as `addressed_to`, for an audience that is at hand as (kind, value)."""
    if not rules:
        return True
    values = _audience_values(partner)
    return all((kind, values[kind]) in rules for kind in {kind for kind, _value in rules})


# To name more keys than that in a query takes longer than to read what else there is.
_MANY = 100


def _among(column: Any, asset_ids: Collection[uuid.UUID]) -> ColumnElement[bool]:
    """The rows of some assets; of many, all rows: whoever asks leaves out the others."""
    few: ColumnElement[bool] = column.in_(list(asset_ids))
    return few if len(asset_ids) <= _MANY else true()


def audiences(
    session: Session, asset_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, frozenset[tuple[str, str]]]:
    """The rules as (kind, value) of those of some assets that are not for every partner; many
    assets have the same."""
    query = select(AudienceRule.asset_id, AudienceRule.kind, AudienceRule.value)
    found: dict[uuid.UUID, set[tuple[str, str]]] = defaultdict(set)
    for asset_id, kind, value in plain_rows(
        session, query.where(_among(AudienceRule.asset_id, asset_ids))
    ):
        found[asset_id].add((kind, value))
    wanted = found.keys() & set(asset_ids)
    return {key: frozenset(found[key]) for key in wanted}


class AssetFacts(NamedTuple):
    """What reports say of an asset that was published. They read hundreds at once."""

    id: uuid.UUID
    title: str
    published_at: datetime


@once_per_request
def live(session: Session) -> list[AssetFacts]:
    """Everything that is in the library now, in few words."""
    query = select(Asset.id, Asset.title, Asset.published_at).where(_LIVE)
    return [AssetFacts._make(row) for row in plain_rows(session, query)]


def find(session: Session, user: User, filters: Filters, limit: int | None = None) -> list[Asset]:
    """The assets `user` may see that fit, newest first."""
    query = (
        select(Asset)
        .where(*visible_to(user))
        .options(selectinload(Asset.versions), selectinload(Asset.families))
        .order_by(Asset.published_at.desc(), Asset.id.desc())
    )
    if filters.content_type:
        query = query.where(Asset.content_type == filters.content_type)
    if family_id := _uuid(filters.family_id):
        query = query.where(Asset.families.any(ProductFamily.id == family_id))
    if filters.language:
        query = query.where(
            Asset.versions.any(
                and_(AssetVersion.language == filters.language, AssetVersion.current)
            )
        )
    words = [sort_key(word)[0] for word in filters.words.split()]
    if not words:
        return list(session.scalars(query.limit(limit)))
    # In Python, because the engines disagree on case and accents.
    texts = (
        (asset, sort_key(f"{asset.title} {asset.summary}")[0]) for asset in session.scalars(query)
    )
    return [asset for asset, text in texts if all(word in text for word in words)][:limit]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None


def get_visible(session: Session, user: User, asset_id: uuid.UUID) -> Asset:
    """The asset, or NotFound whether it does not exist or is not for `user`."""
    query = (
        select(Asset)
        .where(Asset.id == asset_id, *visible_to(user))
        .options(selectinload(Asset.versions), selectinload(Asset.families))
    )
    asset = session.scalars(query).one_or_none()
    if asset is None:
        raise NotFound(_("There is no such content, or it is not for you."))
    return asset


def pick_version(asset: Asset, wanted: str, preferred: Iterable[str]) -> AssetVersion | None:
    """The current version in the language wanted, else the reader's, else English, else any."""
    by_language = {version.language: version for version in asset.current_versions}
    for language in (wanted, *preferred, "en"):
        if language in by_language:
            return by_language[language]
    return next(iter(by_language.values()), None)


def content_types(session: Session, user: User) -> set[str]:
    """The content types of which there is something for `user`."""
    return set(session.scalars(select(Asset.content_type).where(*visible_to(user)).distinct()))


def languages(session: Session) -> list[str]:
    """Every language in which something is published."""
    query = select(AssetVersion.language).join(Asset).where(AssetVersion.current, _LIVE).distinct()
    return sorted(session.scalars(query))


def families(session: Session) -> list[ProductFamily]:
    """Every product family, by name."""
    rows = session.scalars(select(ProductFamily))
    return sorted(rows, key=lambda family: sort_key(family.name, family.id))


def families_of_assets(session: Session) -> dict[uuid.UUID, set[uuid.UUID]]:
    """The product families of every asset; assets without any are left out."""
    found: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    for asset_id, family_id in session.execute(select(asset_family)):
        found[asset_id].add(family_id)
    return found


def newest(session: Session, user: User, limit: int) -> list[Asset]:
    """The latest content for `user`."""
    return find(session, user, Filters(), limit)


def titles(session: Session, asset_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """What the assets behind ids are called, for reports, retired ones included."""
    query = select(Asset.id, Asset.title).where(_among(Asset.id, asset_ids))
    found: dict[uuid.UUID, str] = dict(plain_rows(session, query))
    return {key: found[key] for key in found.keys() & set(asset_ids)}


def current_versions(session: Session, asset_ids: Iterable[uuid.UUID]) -> list[AssetVersion]:
    """What of some assets is in the library now, in every language."""
    wanted = AssetVersion.asset_id.in_(list(asset_ids))
    query = select(AssetVersion).join(Asset).where(wanted, AssetVersion.current, _LIVE)
    return list(session.scalars(query))


def known(session: Session, asset_id: uuid.UUID) -> Asset:
    """The asset, retired or not, for reports. Raises NotFound."""
    found = session.get(Asset, asset_id)
    if found is None:
        raise NotFound(_("There is no such content."))
    return found
