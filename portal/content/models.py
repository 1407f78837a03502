"""Content and who may see it; links made for customers."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.db import Base, Key, UTCDateTime, new_id


class ContentType(StrEnum):
    """The kinds of content partners know."""

    presentation = "presentation"
    datasheet = "datasheet"
    price_list = "price_list"
    case_study = "case_study"
    battlecard = "battlecard"
    manual = "manual"
    certificate = "certificate"
    video = "video"
    page = "page"
    social_post = "social_post"
    link = "link"


class PreviewState(StrEnum):
    """Where the page images of a file stand."""

    waiting = "waiting"
    rendering = "rendering"
    ready = "ready"
    failed = "failed"
    none = "none"


asset_family = Table(
    "asset_family",
    Base.metadata,
    Column("asset_id", Key, ForeignKey("asset.id"), primary_key=True),
    Column("family_id", Key, ForeignKey("product_family.id"), primary_key=True),
)


class ProductFamily(Base):
    """A family of the vendor's products."""

    __tablename__ = "product_family"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100), unique=True)


class Asset(Base):
    """One published piece of content, with a version per language."""

    __tablename__ = "asset"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    title: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str] = mapped_column(Text, default="")
    content_type: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    retired_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    families: Mapped[list[ProductFamily]] = relationship(secondary=asset_family)
    versions: Mapped[list[AssetVersion]] = relationship(
        back_populates="asset", order_by="AssetVersion.language, AssetVersion.number"
    )
    audience: Mapped[list[AudienceRule]] = relationship(cascade="all, delete-orphan")

    @property
    def current_versions(self) -> list[AssetVersion]:
        """The newest version in each language."""
        return [version for version in self.versions if version.current]

    @property
    def is_live(self) -> bool:
        """Published and not retired."""
        return self.published_at is not None and self.retired_at is None


class AssetVersion(Base):
    """The bytes of an asset in one language at one time."""

    __tablename__ = "asset_version"
    __table_args__ = (UniqueConstraint("asset_id", "language", "number"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    language: Mapped[str] = mapped_column(String(10))
    number: Mapped[int] = mapped_column(Integer)
    current: Mapped[bool] = mapped_column(Boolean, default=True)
    filename: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    file_key: Mapped[str] = mapped_column(String(200))
    page_count: Mapped[int] = mapped_column(Integer, default=0)
    preview_state: Mapped[str] = mapped_column(String(10), index=True)
    preview_error: Mapped[str] = mapped_column(String(300), default="")
    preview_claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"))

    asset: Mapped[Asset] = relationship(back_populates="versions")


class AudienceRule(Base):
    """One condition on who may see an asset; none at all means every partner.

    A partner must meet one rule of every kind that is present: tier Gold or Silver, and region
    DACH.
    """

    __tablename__ = "audience_rule"
    __table_args__ = (UniqueConstraint("asset_id", "kind", "value"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    value: Mapped[str] = mapped_column(String(60))


class Recipient(Base):
    """A customer's person as a partner wrote them down; belongs to that partner alone (rule 5)."""

    __tablename__ = "recipient"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ShareLink(Base):
    """A tracked link to one or more assets, made by a partner for a customer."""

    __tablename__ = "share_link"
    __table_args__ = (Index("ix_share_link_partner_created", "partner_id", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    recipient_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("recipient.id"))
    # What it was shared for; of a customer that is registered, all that was shared with them.
    deal_id: Mapped[uuid.UUID | None] = mapped_column(
        # A deal may come of a lead, and a lead of a link: one of the three is added last.
        ForeignKey("deal.id", use_alter=True),
        index=True,
    )
    allow_download: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # When it was first opened, once whoever made it has been told.
    opened_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    recipient: Mapped[Recipient | None] = relationship()
    items: Mapped[list[ShareItem]] = relationship(order_by="ShareItem.position")


class ShareItem(Base):
    """One asset of a share link, in the version the partner chose the language of."""

    __tablename__ = "share_item"

    share_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("share_link.id"), primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(10))
    position: Mapped[int] = mapped_column(Integer, default=0)

    asset: Mapped[Asset] = relationship()
