"""Base rows of attention and deliberate acts, and the days derived from them.

Base rows carry the partner at that time and an audience; they are only ever added or merged by
`max`. Rollups (`Day...`) belong to `tracking.rollups` alone and can be thrown away.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Date, ForeignKey, Index, Integer, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Key, Milliseconds, UTCDateTime, new_id


class Audience(StrEnum):
    """For whom an act counts. Vendor acts are kept and excluded from every number."""

    partner = "partner"
    customer = "customer"
    vendor = "vendor"


class Load(Base):
    """One page load of a viewer, known from its first report. Times in milliseconds."""

    __tablename__ = "load"
    __table_args__ = (
        Index(
            "ix_load_customer",
            "partner_id",
            "issued_at",
            sqlite_where=text("audience = 'customer'"),
            postgresql_where=text("audience = 'customer'"),
        ),
        {"sqlite_with_rowid": False},
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    subject: Mapped[uuid.UUID] = mapped_column(Key)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    audience: Mapped[str] = mapped_column(String(10))
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"))
    version_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset_version.id"))
    share_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("share_link.id"), index=True)
    page_count: Mapped[int] = mapped_column(SmallInteger)
    issued_at: Mapped[int] = mapped_column(Milliseconds, index=True)
    activated_at: Mapped[int | None] = mapped_column(Milliseconds)
    # The last slot with attention, kept here so that views are found without reading slots.
    last_slot: Mapped[int] = mapped_column(Integer, default=0)


class Slot(Base):
    """Attention of one load to one page in 15 s of server time, in four disjoint buckets."""

    __tablename__ = "slot"
    __table_args__ = ({"sqlite_with_rowid": False},)

    load_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("load.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    page: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    active: Mapped[int] = mapped_column(SmallInteger)
    reading: Mapped[int] = mapped_column(SmallInteger)
    idle: Mapped[int] = mapped_column(SmallInteger)
    glance: Mapped[int] = mapped_column(SmallInteger)


class Mark(Base):
    """Base rows of `day` have changed since it was rebuilt."""

    __tablename__ = "mark"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Download(Base):
    """One grant of a file, however many range requests follow it."""

    __tablename__ = "download"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset_version.id"))
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    subject: Mapped[uuid.UUID] = mapped_column(Key)
    audience: Mapped[str] = mapped_column(String(10))
    share_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("share_link.id"), index=True)
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class LikeInterval(Base):
    """A user likes an asset from `liked_at` until they take it back."""

    __tablename__ = "like_interval"
    __table_args__ = (
        Index(
            "ix_like_interval_current",
            "user_id",
            "asset_id",
            unique=True,
            sqlite_where=text("unliked_at IS NULL"),
            postgresql_where=text("unliked_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    audience: Mapped[str] = mapped_column(String(10))
    liked_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    unliked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ShareEvent(Base):
    """A share link was made for an asset."""

    __tablename__ = "share_event"

    share_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("share_link.id"), primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    audience: Mapped[str] = mapped_column(String(10))
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class DayAsset(Base):
    """What a partner (or its customers) did with an asset on a local day."""

    __tablename__ = "day_asset"
    __table_args__ = (
        Index("ix_day_asset_partner", "partner_id", "day"),
        Index("ix_day_asset_asset", "asset_id", "day"),
    )

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    views: Mapped[int] = mapped_column(Integer)
    engaged_views: Mapped[int] = mapped_column(Integer)
    active: Mapped[int] = mapped_column(Milliseconds)
    reading: Mapped[int] = mapped_column(Milliseconds)
    idle: Mapped[int] = mapped_column(Milliseconds)
    glance: Mapped[int] = mapped_column(Milliseconds)
    overlap: Mapped[int] = mapped_column(Milliseconds)
    downloads: Mapped[int] = mapped_column(Integer)
    shares: Mapped[int] = mapped_column(Integer)
    likes: Mapped[int] = mapped_column(Integer)


class DayPage(Base):
    """The attention of `DayAsset` by page; `readers` are views with 2 s of dwell on the page."""

    __tablename__ = "day_page"
    __table_args__ = (Index("ix_day_page_asset", "asset_id", "day"),)

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    version_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    page: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    active: Mapped[int] = mapped_column(Milliseconds)
    reading: Mapped[int] = mapped_column(Milliseconds)
    idle: Mapped[int] = mapped_column(Milliseconds)
    glance: Mapped[int] = mapped_column(Milliseconds)
    overlap: Mapped[int] = mapped_column(Milliseconds)
    readers: Mapped[int] = mapped_column(Integer)


class DayDwell(Base):
    """How many views of an asset lasted this many whole seconds: medians come from here."""

    __tablename__ = "day_dwell"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    seconds: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    views: Mapped[int] = mapped_column(Integer)


class DayPeople(Base):
    """Who had a view counted that day: their 16-byte ids, sorted and joined."""

    __tablename__ = "day_people"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    people: Mapped[bytes] = mapped_column(LargeBinary)


class DayState(Base):
    """How far a day's rollups are. `generation` moves with every write of a rebuild, so that two
    rebuilds of one day cannot mix; `across` is a digest of its views that touch other days."""

    __tablename__ = "day_state"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    rebuilt_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    took_ms: Mapped[int] = mapped_column(Integer, default=0)
    across: Mapped[str] = mapped_column(String(64), default="")
