"""Whom a survey asks: the conditions of its audience, as they are kept with it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from portal.accounts.models import PARTNER_ROLES, Partner, User
from portal.accounts.service import has_access
from surveys.models import Invitation


@dataclass(frozen=True)
class Audience:
    """Which people of partners; where nothing is chosen, all. `never_asked` are people whom no
    survey has asked yet."""

    tiers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    partners: tuple[uuid.UUID, ...] = ()
    never_asked: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Audience:
        """As it is kept with a survey."""
        return cls(
            tiers=tuple(kept.get("tiers") or ()),
            regions=tuple(kept.get("regions") or ()),
            roles=tuple(kept.get("roles") or ()),
            partners=tuple(map(uuid.UUID, kept.get("partners") or ())),
            never_asked=bool(kept.get("never_asked")),
        )

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept; nothing where everyone is asked."""
        rows = {
            "tiers": list(self.tiers),
            "regions": list(self.regions),
            "roles": list(self.roles),
            "partners": [str(key) for key in self.partners],
            "never_asked": self.never_asked,
        }
        return {name: value for name, value in rows.items() if value}


def people(audience: Audience, *, include_held: bool = False) -> Select[User, Partner]:
    """The people of an audience with their partners; with `include_held` also those whose
    invitation to the portal waits for an administrator."""
    may_come = (User.deactivated_at.is_(None),) if include_held else has_access()
    query = select(User, Partner).join(Partner, Partner.id == User.partner_id)
    query = query.where(User.role.in_(PARTNER_ROLES), *may_come, *_conditions(audience))
    return query.order_by(User.created_at, User.id)


def _conditions(audience: Audience) -> list[ColumnElement[bool]]:
    chosen = (
        (Partner.tier, audience.tiers),
        (Partner.region, audience.regions),
        (User.role, audience.roles),
        (Partner.id, audience.partners),
    )
    found: list[ColumnElement[bool]] = [column.in_(values) for column, values in chosen if values]
    if audience.never_asked:
        found.append(~select(Invitation.id).where(Invitation.user_id == User.id).exists())
    return found


def size(session: Session, audience: Audience, *, include_held: bool = False) -> tuple[int, int]:
    """How many people of how many partners belong to it today."""
    query = people(audience, include_held=include_held).order_by(None)
    counted = query.with_only_columns(func.count(User.id), func.count(Partner.id.distinct()))
    n_people, n_partners = session.execute(counted).one()
    return n_people, n_partners
