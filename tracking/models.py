"""Base rows of attention and deliberate acts.

They carry the partner at that time and an audience, and are only ever added or merged by `max`.
What is derived from them is in `tracking.sums` and can be thrown away.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import IntEnum, StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Key, Milliseconds, UTCDateTime, new_id


class Audience(StrEnum):
    """For whom an act counts. Vendor acts are kept and excluded from every number."""

    partner = "partner"
    customer = "customer"
    vendor = "vendor"


class SubjectKind(IntEnum):
    """How long a load's subject means the same person.

    `daily` is another one every day, and is `dropped` for a random one when the day is past;
    only `lasting` ones are counted as people.
    """

    lasting = 0
    daily = 1
    dropped = 2


class Load(Base):
    """One page load of a viewer or of a portal page, known from its first report.

    Content has an asset and a version; other pages of the portal have an area and neither. Its
    attention is in `Slot` rows, and 48 hours after a day in one `Folded` row. Times in
    milliseconds.
    """

    __tablename__ = "load"
    __table_args__ = (
        Index(
            "ix_load_customer",
            "partner_id",
            "issued_at",
            sqlite_where=text("audience = 'customer'"),
            postgresql_where=text("audience = 'customer'"),
        ),
        Index(
            "ix_load_share_id",
            "share_id",
            sqlite_where=text("share_id IS NOT NULL"),
            postgresql_where=text("share_id IS NOT NULL"),
        ),
        Index(
            "ix_load_daily",
            "subject",
            sqlite_where=text("subject_kind = 1"),
            postgresql_where=text("subject_kind = 1"),
        ),
        {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 90}},
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    # Indexed so that erasing a person does not make those who report meanwhile wait.
    subject: Mapped[uuid.UUID] = mapped_column(Key, index=True)
    subject_kind: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    audience: Mapped[str] = mapped_column(String(10))
    area: Mapped[str | None] = mapped_column(String(10))
    asset_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("asset.id"))
    version_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("asset_version.id"))
    share_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("share_link.id"))
    page_count: Mapped[int] = mapped_column(SmallInteger)
    issued_at: Mapped[int] = mapped_column(Milliseconds, index=True)
    activated_at: Mapped[int | None] = mapped_column(Milliseconds)
    # The last slot with attention, kept here so that views are found without reading slots.
    last_slot: Mapped[int] = mapped_column(Integer, default=0)
    # When the reader last left the page, as its last report says; without it the end is unknown.
    left_at: Mapped[int | None] = mapped_column(Milliseconds)
    # A program read this and not a person: kept, and excluded from every number.
    machine: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    # Tells the devices that opened one share link apart, and nothing else.
    device: Mapped[int | None] = mapped_column(Integer)


class Slot(Base):
    """Attention of one load to one page in 15 s of server time, in four disjoint buckets."""

    __tablename__ = "slot"
    # On PostgreSQL with room for a newer version of a row beside it: then no index changes.
    __table_args__ = ({"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 70}},)

    load_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("load.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    page: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    active: Mapped[int] = mapped_column(SmallInteger)
    reading: Mapped[int] = mapped_column(SmallInteger)
    idle: Mapped[int] = mapped_column(SmallInteger)
    glance: Mapped[int] = mapped_column(SmallInteger)


class Folded(Base):
    """What one load was granted on one past day, page by page; it replaces its slots.

    `pages` is what `tracking.packing.pack_pages` makes: page, active, reading, idle, glance,
    overlap.
    """

    __tablename__ = "folded"
    __table_args__ = ({"sqlite_with_rowid": False},)

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    load_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("load.id"), primary_key=True, index=True)
    pages: Mapped[bytes] = mapped_column(LargeBinary)


class Watched(Base):
    """Which seconds of a recording one load has played: a bit each, merged by OR.

    `played_ms` is the time it ran, repetitions included; `length` the seconds it has.
    """

    __tablename__ = "watched"

    load_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("load.id"), primary_key=True)
    seconds: Mapped[bytes] = mapped_column(LargeBinary)
    played_ms: Mapped[int] = mapped_column(Milliseconds)
    length: Mapped[int] = mapped_column(Integer)


class Search(Base):
    """Somebody of a partner looked for something in the library; `load_id` is the page of results,
    issued `at` this moment.

    Kept per organisation: the load's subject is another one every day, and then dropped.
    """

    __tablename__ = "library_search"

    load_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("load.id"), primary_key=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    audience: Mapped[str] = mapped_column(String(10))
    words: Mapped[str] = mapped_column(String(100))
    results: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class Mark(Base):
    """Base rows of `day` have changed since it was rebuilt."""

    __tablename__ = "mark"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Download(Base):
    """One grant of a file, however many range requests follow it.

    `ranges` is the union of the bytes that were sent (`tracking.ranges`); the download started
    with the first of them and is complete when they are the whole file.
    """

    __tablename__ = "download"
    __table_args__ = (Index("ix_download_again", "subject", "version_id", "granted_at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset_version.id"))
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    subject: Mapped[uuid.UUID] = mapped_column(Key)
    subject_kind: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    audience: Mapped[str] = mapped_column(String(10))
    share_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("share_link.id"), index=True)
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    size: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    ranges: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


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
    # Of one asset or one partner, the links of a period.
    __table_args__ = (
        Index("ix_share_event_asset_at", "asset_id", "at"),
        Index("ix_share_event_partner_at", "partner_id", "at"),
    )

    share_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("share_link.id"), primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))
    audience: Mapped[str] = mapped_column(String(10))
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class Reader(Base):
    """The number under which a person or a partner is counted in packed sets; `subject` is the
    person's subject or the partner's id. Erasure changes the subject, never the number."""

    __tablename__ = "reader"

    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    subject: Mapped[uuid.UUID] = mapped_column(Key, unique=True)


class Tombstone(Base):
    """A subject that was erased: whatever is reported under it later is dropped."""

    __tablename__ = "tombstone"

    subject: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Removal(Base):
    """What retention or an erasure has removed: `rows` counts by table."""

    __tablename__ = "removal"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    why: Mapped[str] = mapped_column(String(10))
    rows: Mapped[dict[str, int]] = mapped_column(JSON)


class Refusals(Base):
    """How many reports were not taken on a day (UTC), by reason; for the administrator."""

    __tablename__ = "refused_reports"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    reason: Mapped[str] = mapped_column(String(20), primary_key=True)
    n: Mapped[int] = mapped_column(Integer)
