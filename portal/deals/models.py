"""Customers, deals with their history and notes, policies and protections."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
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
    and_,
    event,
    or_,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Partner, User
from portal.content.models import ProductFamily
from portal.db import Base, Key, UTCDateTime, new_id
from portal.deals.keys import company_key_of, domain_key_of, keep_keys, tax_key_of
from portal.deals.policy import Calendar, Escalation, Terms


class Customer(Base):
    """An end customer as the vendor knows it; partners only state claims."""

    __tablename__ = "customer"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    name_key: Mapped[str] = mapped_column(String(400), index=True)
    domain: Mapped[str] = mapped_column(String(253), default="", index=True)
    tax_id: Mapped[str] = mapped_column(String(40), default="")
    country: Mapped[str] = mapped_column(String(2))
    postcode: Mapped[str] = mapped_column(String(20), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # What it is compared by with others.
    company_key: Mapped[str] = mapped_column(String(400), default=company_key_of, index=True)
    domain_key: Mapped[str] = mapped_column(String(253), default=domain_key_of, index=True)
    tax_key: Mapped[str] = mapped_column(String(42), default=tax_key_of, index=True)
    # The customer that this one turned out to be; everything of it has moved there.
    merged_into_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"), index=True)


# The move in the history of a deal that came from a file.
BY_IMPORT = "import"


class Policy(Base):
    """One version of the rules for registrations, in force from its first moment on; a deal keeps
    the version it was submitted under.

    `decision_hours` are business hours: `opens` and `closes` are minutes of the local day, Monday
    to Friday, without the public holidays of `holiday_country`. Orders of at least
    `two_person_minor` (in `two_person_currency`) need two approvers where the vendor has two.
    The vendor is reminded after `remind_percent` of the decision time and at its end; partners
    `remind_first_days` and `remind_last_days` before a protection ends, when they have said nothing
    for `stale_days`, and `renewal_days` before a contract ends.
    `benefits` says what an approval brings, `tier_benefits` the same to partners of some tiers.
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
    remind_percent: Mapped[int] = mapped_column(default=75)
    escalate_to: Mapped[str] = mapped_column(String(10), default=Escalation.everyone)
    remind_first_days: Mapped[int] = mapped_column(default=30)
    remind_last_days: Mapped[int] = mapped_column(default=7)
    stale_days: Mapped[int] = mapped_column(default=30)
    renewal_days: Mapped[int] = mapped_column(default=120)
    benefits: Mapped[str] = mapped_column(Text, default="")
    tier_benefits: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
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
            remind_percent=self.remind_percent,
            escalate_to=Escalation(self.escalate_to),
            protection_reminders=(self.remind_first_days, self.remind_last_days),
            stale_days=self.stale_days,
            renewal_days=self.renewal_days,
        )

    def benefits_for(self, tier: str) -> str:
        """What an approval brings a partner of this tier."""
        return self.tier_benefits.get(tier) or self.benefits


class Deal(Base):
    """A registration: what the partner claims, what the vendor decided, how far it has come.

    `version` counts how often the claim was written, so that two tabs do not overwrite each other
    unnoticed. `typed` keeps what was typed into a draft and cannot be read yet, by field.
    `pursued_anyway` is the partner's answer to whether they would have pursued it without the
    portal.
    """

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
    # Who at the vendor looks after it; while they are away, their deputy does.
    assignee_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    # The lead that it came of.
    lead_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("lead.id"), index=True)

    customer_name: Mapped[str] = mapped_column(String(200))
    domain: Mapped[str] = mapped_column(String(253), default="")
    tax_id: Mapped[str] = mapped_column(String(40), default="")
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
    version: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    typed: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)

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
    order_number: Mapped[str] = mapped_column(String(60), default="", server_default=text("''"))
    # The last day of what was sold, where it ends: then a renewal is proposed.
    contract_ends: Mapped[date | None] = mapped_column(index=True)
    lost_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    loss_reason: Mapped[str | None] = mapped_column(String(20))
    # When it was withdrawn, expired or revoked.
    left_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    extension_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revocation_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    # What the claim is compared by with others.
    company_key: Mapped[str] = mapped_column(String(400), default=company_key_of, index=True)
    domain_key: Mapped[str] = mapped_column(String(253), default=domain_key_of, index=True)
    tax_key: Mapped[str] = mapped_column(String(42), default=tax_key_of, index=True)
    pursued_anyway: Mapped[str] = mapped_column(String(10), default="", server_default=text("''"))

    @property
    def is_registered(self) -> bool:
        """Whether the vendor knows of it; the same as REGISTERED."""
        known = self.submitted_at is not None or self.external_id is not None
        return known and self.status != "draft"

    policy: Mapped[Policy | None] = relationship()
    partner: Mapped[Partner] = relationship(foreign_keys=[partner_id])
    submitted_by: Mapped[User | None] = relationship(foreign_keys=[submitted_by_id])
    assignee: Mapped[User | None] = relationship(foreign_keys=[assignee_id])
    decided_by: Mapped[User | None] = relationship(foreign_keys=[decided_by_id])
    seen_by: Mapped[User | None] = relationship(foreign_keys=[seen_by_id])
    first_approved_by: Mapped[User | None] = relationship(foreign_keys=[first_approved_by_id])
    revocation_by: Mapped[User | None] = relationship(foreign_keys=[revocation_by_id])
    customer: Mapped[Customer | None] = relationship(foreign_keys=[customer_id])
    product_family: Mapped[ProductFamily | None] = relationship(foreign_keys=[product_family_id])


# What the vendor knows of: a draft that was given up never was a registration.
REGISTERED = and_(
    Deal.status != "draft", or_(Deal.submitted_at.is_not(None), Deal.external_id.is_not(None))
)


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


class DealComment(Base):
    """What one side says to the other about a deal; both read it."""

    __tablename__ = "deal_comment"
    __table_args__ = (Index("ix_deal_comment_deal_id_at", "deal_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"))
    author_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    text: Mapped[str] = mapped_column(Text)

    author: Mapped[User] = relationship()


class DealFile(Base):
    """A file that one side attached to a deal; both may fetch it until it is taken away."""

    __tablename__ = "deal_file"
    __table_args__ = (Index("ix_deal_file_deal_id_at", "deal_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"))
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    filename: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    file_key: Mapped[str] = mapped_column(String(200))
    removed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    by: Mapped[User] = relationship()


class Helped(Base):
    """The partner says that this content helped with the deal."""

    __tablename__ = "deal_helped"

    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"), primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("asset.id"), primary_key=True, index=True
    )
    at: Mapped[datetime] = mapped_column(UTCDateTime)


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


class DealReminder(Base):
    """A reminder that has been dealt with: each step of a round comes at most once.

    `kind` is `decision` (a round for each time it was submitted, steps in per cent of its time),
    `protection` (a round for each extension, steps in days before its end), `stale` (steps are
    numbered) or `renewal` (the round is the day the contract ends). A step that was already
    overtaken by a later one when it was noticed, as after an outage, is kept without `sent_at`.
    """

    __tablename__ = "deal_reminder"
    __table_args__ = (UniqueConstraint("deal_id", "kind", "round", "step"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    deal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("deal.id"))
    kind: Mapped[str] = mapped_column(String(20))
    round: Mapped[int]
    step: Mapped[int]
    noted_at: Mapped[datetime] = mapped_column(UTCDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class KeptPromise(Base):
    """How soon the vendor decided in the twelve whole months before `month`, over all partners:
    what every partner is shown, summed up once a month. Median in business minutes."""

    __tablename__ = "kept_promise"

    month: Mapped[date] = mapped_column(primary_key=True)
    decisions: Mapped[int]
    partners: Mapped[int]
    in_time: Mapped[int]
    timed: Mapped[int]
    median_minutes: Mapped[int | None]

    @property
    def last_day(self) -> date:
        """The last day that the figures are of."""
        return self.month - timedelta(days=1)


def _refuse(_mapper: Any, _connection: Any, row: DealHistory) -> None:
    raise TypeError(f"history is append-only: {row.id}")


keep_keys(Customer)
keep_keys(Deal)
event.listen(DealHistory, "before_update", _refuse)
event.listen(DealHistory, "before_delete", _refuse)
