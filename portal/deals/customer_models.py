"""What is known about who is who: known accounts, checks with their matches, merges, teaming."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import User
from portal.content.models import ProductFamily
from portal.db import Base, Key, UTCDateTime, new_id
from portal.deals.keys import company_key_of, domain_key_of, keep_keys, tax_key_of
from portal.deals.models import Customer, Deal


def _known_since(context: Any) -> date:
    moment: datetime = context.get_current_parameters()["imported_at"]
    return moment.date()


class KnownAccount(Base):
    """A company that the vendor serves or pursues itself, for one product family or for all; from
    a list of another system, known by `external_id`. `owner` is who looks after it there,
    `first_contact` the day since when; where nobody says so, the day it was first brought in."""

    __tablename__ = "known_account"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    external_id: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    domain: Mapped[str] = mapped_column(String(253), default="")
    tax_id: Mapped[str] = mapped_column(String(40), default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    postcode: Mapped[str] = mapped_column(String(20), default="")
    owner: Mapped[str] = mapped_column(String(200), default="")
    product_family_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("product_family.id"), index=True
    )
    first_contact: Mapped[date] = mapped_column(default=_known_since)
    imported_at: Mapped[datetime] = mapped_column(UTCDateTime)
    company_key: Mapped[str] = mapped_column(String(400), default=company_key_of, index=True)
    domain_key: Mapped[str] = mapped_column(String(253), default=domain_key_of, index=True)
    tax_key: Mapped[str] = mapped_column(String(42), default=tax_key_of, index=True)

    product_family: Mapped[ProductFamily | None] = relationship()


class ConflictCheck(Base):
    """Whether a registration was compared with everything else. No row: not yet.

    `state` is waiting, done or failed (with `error`); `keys_version` says by which rules.
    """

    __tablename__ = "conflict_check"

    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(10), index=True)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    error: Mapped[str] = mapped_column(String(500), default="")
    keys_version: Mapped[int]


class ConflictMatch(Base):
    """One company that the customer of a registration may be: as another registration names it, as
    the vendor knows it, or as a known account. `evidence` holds the keys that agree."""

    __tablename__ = "conflict_match"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), index=True)
    # deal: registered; protection: reserved for it; won; account; customer.
    kind: Mapped[str] = mapped_column(String(10))
    other_deal_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("deal.id"), index=True)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("known_account.id"), index=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"), index=True)
    band: Mapped[str] = mapped_column(String(10))
    score: Mapped[int]
    is_rival: Mapped[bool]
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(JSON)

    other_deal: Mapped[Deal | None] = relationship(foreign_keys=[other_deal_id])
    account: Mapped[KnownAccount | None] = relationship()
    customer: Mapped[Customer | None] = relationship()


class CustomerMerge(Base):
    """Two customers that became one: written once and never changed."""

    __tablename__ = "customer_merge"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    survivor_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    merged_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    deals: Mapped[int]
    protections: Mapped[int]

    merged: Mapped[Customer] = relationship(foreign_keys=[merged_id])
    by: Mapped[User] = relationship()


class Teaming(Base):
    """Two registrations whose partners work together on one customer and family, as a reviewer
    recorded it. `sentence` is what both partners read when the second is approved."""

    __tablename__ = "teaming"
    __table_args__ = (UniqueConstraint("deal_id", "other_deal_id"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"))
    other_deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), index=True)
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    sentence: Mapped[str] = mapped_column(Text)

    by: Mapped[User] = relationship()


def _refuse(_mapper: Any, _connection: Any, row: CustomerMerge | Teaming) -> None:
    raise TypeError(f"{row.__tablename__} is append-only: {row.id}")


keep_keys(KnownAccount)
for _model in (CustomerMerge, Teaming):
    event.listen(_model, "before_update", _refuse)
    event.listen(_model, "before_delete", _refuse)
