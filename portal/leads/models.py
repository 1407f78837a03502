"""Leads with their history, the offers of them to partners, what customers asked, and the rules."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Partner, User
from portal.content.models import ProductFamily
from portal.db import Base, Key, UTCDateTime, new_id

OPEN_OFFER = "open"


class Lead(Base):
    """A possible customer.

    `named_at` is when the vendor came to know who it is. A lead that a customer's question made
    belongs to the partner: until they accept it as sales-ready or register a deal of it, the
    vendor counts it and sees no name, address, company or word of it.
    """

    __tablename__ = "lead"
    __table_args__ = (
        Index("ix_lead_partner_id_stage", "partner_id", "stage"),
        Index("ix_lead_partner_id_email", "partner_id", "email"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    source: Mapped[str] = mapped_column(String(10))
    stage: Mapped[str] = mapped_column(String(15), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    named_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    company: Mapped[str] = mapped_column(String(200), default="")
    contact: Mapped[str] = mapped_column(String(200), default="")
    email: Mapped[str] = mapped_column(String(254), default="")
    phone: Mapped[str] = mapped_column(String(40), default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    region: Mapped[str] = mapped_column(String(40), default="")
    product_family_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("product_family.id"), index=True
    )
    note: Mapped[str] = mapped_column(Text, default="")
    share_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("share_link.id"), index=True)
    recipient_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("recipient.id"))

    partner: Mapped[Partner | None] = relationship()
    created_by: Mapped[User | None] = relationship()
    product_family: Mapped[ProductFamily | None] = relationship()


class LeadHistory(Base):
    """One move of a lead, written once and never changed. Without an actor a customer or the portal
    did it.

    A qualification says the score and the version of the rules that it rests on. `partner_id` is
    whose lead it was then, or whom the offer was for.
    """

    __tablename__ = "lead_history"
    __table_args__ = (
        Index("ix_lead_history_lead_id_at", "lead_id", "at"),
        Index("ix_lead_history_at", "at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lead.id"))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    side: Mapped[str] = mapped_column(String(10))
    move: Mapped[str] = mapped_column(String(20))
    from_stage: Mapped[str] = mapped_column(String(15))
    to_stage: Mapped[str] = mapped_column(String(15))
    reason_code: Mapped[str | None] = mapped_column(String(30))
    score: Mapped[int | None] = mapped_column(Integer)
    rules_version: Mapped[int | None] = mapped_column(Integer)

    actor: Mapped[User | None] = relationship()
    partner: Mapped[Partner | None] = relationship()


class LeadNote(Base):
    """A few words with a move. Apart from the history because they may name somebody, and whoever
    is named can have them erased."""

    __tablename__ = "lead_note"

    history_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lead_history.id"), primary_key=True)
    lead_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lead.id"), index=True)
    text: Mapped[str] = mapped_column(Text)


class LeadOffer(Base):
    """A lead of the vendor offered to one partner until `due_at`; at most one is open at a time.

    `state` is open, taken, declined, late, or withdrawn when the lead was given up meanwhile.
    """

    __tablename__ = "lead_offer"
    __table_args__ = (
        Index(
            "ix_lead_offer_open",
            "lead_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        UniqueConstraint("lead_id", "partner_id", "offered_at"),
        Index("ix_lead_offer_partner_id_state", "partner_id", "state"),
        Index("ix_lead_offer_state_due_at", "state", "due_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lead.id"))
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    state: Mapped[str] = mapped_column(String(10), default=OPEN_OFFER)
    offered_at: Mapped[datetime] = mapped_column(UTCDateTime)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    reason_code: Mapped[str | None] = mapped_column(String(30))

    partner: Mapped[Partner] = relationship()


class Enquiry(Base):
    """What a customer asked on the page of a link, and the sentence they agreed to, when."""

    __tablename__ = "enquiry"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lead.id"), index=True)
    share_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("share_link.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    question: Mapped[str] = mapped_column(Text, default="")
    consent: Mapped[str] = mapped_column(Text)


class LeadRules(Base):
    """One version of the rules for leads, in force until the next. `rules` holds the two lists of
    `portal.leads.rules`."""

    __tablename__ = "lead_rules"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    threshold: Mapped[int] = mapped_column(Integer)
    accept_hours: Mapped[int] = mapped_column(Integer)
    rules: Mapped[dict[str, Any]] = mapped_column(JSON)

    by: Mapped[User] = relationship()


def _refuse(_mapper: Any, _connection: Any, row: LeadHistory) -> None:
    raise TypeError(f"history is append-only: {row.id}")


event.listen(LeadHistory, "before_update", _refuse)
event.listen(LeadHistory, "before_delete", _refuse)
