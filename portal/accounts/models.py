"""Partners, people, their sessions and one-time tokens; and the installation itself."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import JSON, Boolean, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.db import Base, Key, UTCDateTime, new_id


class Role(StrEnum):
    """What a person may do; every user has exactly one."""

    partner_user = "partner_user"
    partner_admin = "partner_admin"
    channel_manager = "channel_manager"
    admin = "admin"


PARTNER_ROLES = frozenset({Role.partner_user, Role.partner_admin})
VENDOR_ROLES = frozenset({Role.channel_manager, Role.admin})


class PrivacyMode(StrEnum):
    """How far reading is tied to a person (DESIGN 6.10)."""

    organisation = "organisation"
    pseudonymous = "pseudonymous"
    person = "person"


class Installation(Base):
    """One row: what was fixed when the portal was set up."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    company: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64))
    privacy_mode: Mapped[str] = mapped_column(String(20))
    privacy_by_country: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    demo: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Partner(Base):
    """A partner organisation: a reseller or distributor of the vendor."""

    __tablename__ = "partner"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    # Its key in the system that it was imported from.
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    tier: Mapped[str] = mapped_column(String(40))
    region: Mapped[str] = mapped_column(String(40))
    country: Mapped[str] = mapped_column(String(2))
    kind: Mapped[str] = mapped_column(String(40), default="reseller")
    languages: Mapped[list[str]] = mapped_column(JSON, default=list)
    channel_manager_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("user.id", use_alter=True), index=True
    )
    joined_on: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    channel_manager: Mapped[User | None] = relationship(foreign_keys=[channel_manager_id])


class User(Base):
    """A person with one role; partner roles belong to a partner, vendor roles to none."""

    __tablename__ = "user"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"), index=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    phone: Mapped[str | None] = mapped_column(String(40))
    locale: Mapped[str] = mapped_column(String(10), default="en")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    joined_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deactivated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Imported, and not let in yet: the invitation waits for an administrator.
    held_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    # How often what was recorded about this person's reading was erased: it is kept under another
    # pseudonym each time.
    erasures: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))

    partner: Mapped[Partner | None] = relationship(foreign_keys=[partner_id])

    @property
    def is_vendor(self) -> bool:
        """Whether this person works for the vendor."""
        return self.role in VENDOR_ROLES

    @property
    def is_admin(self) -> bool:
        """Whether this person administers the portal."""
        return self.role == Role.admin


class UserSession(Base):
    """One signed-in browser. The cookie holds the token, this row its hash."""

    __tablename__ = "user_session"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    user_agent: Mapped[str] = mapped_column(String(200), default="")

    user: Mapped[User] = relationship()


class OneTimeToken(Base):
    """A secret sent to a person, kept as a hash, good for one purpose and one use."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index("ix_one_time_token_user_purpose", "user_id", "purpose"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), index=True)
    purpose: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Attempt(Base):
    """One attempt that is throttled: `key` is a hash of the address or the network address."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_key_at", "key", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
