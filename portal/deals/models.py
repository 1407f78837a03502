"""Customers, deals with their history and notes, policies and protections."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Partner, User
from portal.content.models import ProductFamily
from portal.db import Base, Key, UTCDateTime, new_id
from portal.deals.policy import Calendar, Terms


class Customer(Base):
    """An end customer as the vendor knows it; partners only state claims."""

    __tablename__ = "customer"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    name_key: Mapped[str] = mapped_column(String(400), index=True)
    domain: Mapped[str] = mapped_column(String(253), default="", index=True)
    country: Mapped[str] = mapped_column(String(2))
    postcode: Mapped[str] = mapped_column(String(20), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


# The move in the history of a deal that came from a file.
BY_IMPORT = "import"


class Policy(Base):
    """One version of the rules for registrations, in force from its first moment on; a deal keeps
    the version it was submitted under.

    `decision_hours` are business hours: `opens` and `closes` are minutes of the local day, Monday
    to Friday, without the public holidays of `holiday_country`. Orders of at least
    `two_person_minor` (in `two_person_currency`) need two approvers where the vendor has two.
    `benefits` says what an approval brings.
    """

    __tablename__ = "policy"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(unique=True)
    valid_from: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    decision_hours: Mapped[int]
    opens: Mapped[int]
    closes: Mapped[int]
    holiday_country: Mapped[str] = mapped_column(String(2))
    protection_days: Mapped[int]
    extension_days: Mapped[int]
    max_extensions: Mapped[int]
    max_resubmissions: Mapped[int]
    two_person_minor: Mapped[int | None] = mapped_column(BigInteger)
    two_person_currency: Mapped[str] = mapped_column(String(3), default="EUR")
    benefits: Mapped[str] = mapped_column(Text, default="")
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))

    created_by: Mapped[User | None] = relationship()

    @property
    def terms(self) -> Terms:
        """The rules as `portal.deals.policy` reckons with them."""
        return Terms(
            decision_hours=self.decision_hours,
            calendar=Calendar(self.opens, self.closes, self.holiday_country),
            protection_days=self.protection_days,
            extension_days=self.extension_days,
            max_extensions=self.max_extensions,
            max_resubmissions=self.max_resubmissions,
        )


class Deal(Base):
    """A registration: what the partner claims, what the vendor decided, how far it has come."""

    __tablename__ = "deal"
    __table_args__ = (
        Index("ix_deal_status_decision_due_at", "status", "decision_due_at"),
        Index("ix_deal_partner_id_status", "partner_id", "status"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    reference: Mapped[str] = mapped_column(String(12), unique=True)
    # Its key in the system that it was imported from; then nobody here has submitted it.
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    submitted_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    # The lead that it came of.
    lead_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("lead.id"), index=True)

    customer_name: Mapped[str] = mapped_column(String(200))
    domain: Mapped[str] = mapped_column(String(253), default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    postcode: Mapped[str] = mapped_column(String(20), default="")
    contact: Mapped[str] = mapped_column(String(200), default="")
    product_family_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("product_family.id"), index=True
    )
    deal_type: Mapped[str] = mapped_column(String(20), default="")
    expected_close: Mapped[date | None]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3), default="")
    first_contact: Mapped[date | None]

    status: Mapped[str] = mapped_column(String(20))
    stage: Mapped[str | None] = mapped_column(String(20))
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"), index=True)
    policy_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("policy.id"))
    submitted_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    decision_due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The first of two approvals, where the rules ask for two.
    first_approved_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    seen_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    won_amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    won_currency: Mapped[str | None] = mapped_column(String(3))
    won_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    won_confirmed_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    lost_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    loss_reason: Mapped[str | None] = mapped_column(String(20))
    extension_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revocation_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))

    policy: Mapped[Policy | None] = relationship()
    partner: Mapped[Partner] = relationship(foreign_keys=[partner_id])
    submitted_by: Mapped[User | None] = relationship(foreign_keys=[submitted_by_id])
    decided_by: Mapped[User | None] = relationship(foreign_keys=[decided_by_id])
    seen_by: Mapped[User | None] = relationship(foreign_keys=[seen_by_id])
    first_approved_by: Mapped[User | None] = relationship(foreign_keys=[first_approved_by_id])
    revocation_by: Mapped[User | None] = relationship(foreign_keys=[revocation_by_id])
    customer: Mapped[Customer | None] = relationship(foreign_keys=[customer_id])
    product_family: Mapped[ProductFamily | None] = relationship(foreign_keys=[product_family_id])


class DealHistory(Base):
    """One move of a deal, written once and never changed. Without an actor it was imported.

    `sentence` is the vendor's words to the partner, `note` the partner's words or what changed;
    `reason_code` is for the vendor alone.
    """

    __tablename__ = "deal_history"
    __table_args__ = (Index("ix_deal_history_deal_id_at", "deal_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    side: Mapped[str] = mapped_column(String(10))
    move: Mapped[str] = mapped_column(String(20))
    from_status: Mapped[str] = mapped_column(String(20))
    to_status: Mapped[str] = mapped_column(String(20))
    from_stage: Mapped[str | None] = mapped_column(String(20))
    to_stage: Mapped[str | None] = mapped_column(String(20))
    reason_code: Mapped[str | None] = mapped_column(String(30))
    sentence: Mapped[str] = mapped_column(Text, default="")
    note: Mapped[str] = mapped_column(Text, default="")

    actor: Mapped[User | None] = relationship()


class InternalNote(Base):
    """What the vendor writes about a deal for itself. No partner template reaches this table."""

    __tablename__ = "internal_note"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), index=True)
    author_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    text: Mapped[str] = mapped_column(Text)

    author: Mapped[User] = relationship()


class Protection(Base):
    """A customer reserved for one deal's partner and product family, from `starts_at` until before
    `ends_at`. It is valid by time alone."""

    __tablename__ = "protection"
    __table_args__ = (
        CheckConstraint("ends_at >= starts_at", name="ends_after_start"),
        Index("ix_protection_customer_family", "customer_id", "product_family_id", "ends_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"))
    product_family_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("product_family.id"))
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), index=True)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ends_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    deal: Mapped[Deal] = relationship()
    customer: Mapped[Customer] = relationship()


class ProtectionReminder(Base):
    """A reminder that was sent: at most one per protection and number of days before its end."""

    __tablename__ = "protection_reminder"
    __table_args__ = (UniqueConstraint("protection_id", "days_before"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    protection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("protection.id"))
    days_before: Mapped[int]
    sent_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ImportRun(Base):
    """A file of deals that somebody uploaded: what its columns mean, and what became of it.

    `result` counts rows by what was done with them; the file itself is kept until it is swept.
    """

    __tablename__ = "import_run"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    filename: Mapped[str] = mapped_column(String(200))
    file_key: Mapped[str] = mapped_column(String(200))
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    imported_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    result: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)


def _refuse(_mapper: Any, _connection: Any, row: DealHistory) -> None:
    raise TypeError(f"history is append-only: {row.id}")


event.listen(DealHistory, "before_update", _refuse)
event.listen(DealHistory, "before_delete", _refuse)
