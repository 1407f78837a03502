"""Changing the library: add, replace, address, publish, retire."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO

from flask_babel import gettext as _
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.content import html
from portal.content.models import (
    Asset,
    AssetVersion,
    AudienceRule,
    PreviewState,
    ProductFamily,
)
from portal.content.previews import RENDERABLE
from portal.errors import NotFound, Refused

# What a browser may be told a file is; anything else is handed out as plain bytes.
MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".html": html.MEDIA_TYPE,
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
    ".txt": "text/plain",
}


def media_type_of(filename: str, stream: IO[bytes]) -> str:
    """What an uploaded file is, by its name and, for PDF, its first bytes. Raises Refused."""
    suffix = "." + filename.rsplit(".", 1)[-1].lower() if "." in filename else ""
    if suffix not in MEDIA_TYPES:
        kinds = ", ".join(sorted(key[1:] for key in MEDIA_TYPES))
        raise Refused(_("Files of this kind are not accepted. Use one of: %(kinds)s.", kinds=kinds))
    head = stream.read(1024)
    stream.seek(0)
    if suffix == ".pdf" and b"%PDF-" not in head:
        raise Refused(_("This file is named .pdf but is not a PDF. Export it again and retry."))
    if suffix == ".html" and len(stream.read(html.MAX_BYTES + 1)) > html.MAX_BYTES:
        raise Refused(_("An HTML page may have 1 MB. Upload a longer document as a PDF."))
    stream.seek(0)
    if not head:
        raise Refused(_("This file is empty. Choose another one."))
    return MEDIA_TYPES[suffix]


def get(session: Session, asset_id: uuid.UUID) -> Asset:
    """Any asset, drafts and retired ones included, for administrators. Raises NotFound."""
    asset = session.get(Asset, asset_id)
    if asset is None:
        raise NotFound(_("There is no such content."))
    return asset


def describe(
    session: Session,
    asset: Asset,
    *,
    title: str,
    summary: str,
    content_type: str,
    family_ids: Iterable[uuid.UUID],
    audience: Sequence[tuple[str, str]],
) -> Asset:
    """Set what an asset says about itself and which partners it is for."""
    asset.title, asset.summary, asset.content_type = title.strip(), summary.strip(), content_type
    session.add(asset)
    chosen = select(ProductFamily).where(ProductFamily.id.in_(list(family_ids)))
    asset.families = list(session.scalars(chosen))
    kept = {(rule.kind, rule.value): rule for rule in asset.audience}
    asset.audience = [
        kept.get(rule) or AudienceRule(kind=rule[0], value=rule[1])
        for rule in dict.fromkeys(audience)
    ]
    session.flush()
    return asset


def add_version(
    session: Session,
    asset: Asset,
    *,
    language: str,
    filename: str,
    media_type: str,
    stored: tuple[str, int, str],
    created_by_id: uuid.UUID | None,
    now: datetime,
    page_count: int = 0,
) -> AssetVersion:
    """Add a file that is already in the store; it replaces the one in the same language."""
    file_key, size, sha256 = stored
    same = (AssetVersion.asset_id == asset.id, AssetVersion.language == language)
    number = (session.scalar(select(func.max(AssetVersion.number)).where(*same)) or 0) + 1
    session.execute(update(AssetVersion).where(*same).values(current=False))
    version = AssetVersion(
        asset_id=asset.id,
        language=language,
        number=number,
        filename=filename[-200:],
        media_type=media_type,
        size=size,
        sha256=sha256,
        file_key=file_key,
        page_count=page_count,
        preview_state=PreviewState.waiting if media_type == RENDERABLE else PreviewState.none,
        created_at=now,
        created_by_id=created_by_id,
    )
    session.add(version)
    session.flush()
    return version


def publish(session: Session, asset: Asset, now: datetime) -> None:
    """Show the asset to its audience. Refused while it has no file."""
    if not session.scalar(select(func.count()).where(AssetVersion.asset_id == asset.id)):
        raise Refused(_("Add a file before publishing."))
    asset.published_at, asset.retired_at = asset.published_at or now, None
    session.flush()


def retire(session: Session, asset: Asset, now: datetime) -> None:
    """Take the asset out of the library; its numbers and its history stay."""
    if asset.published_at is None:
        raise Refused(_("Only published content can be retired."))
    asset.retired_at = asset.retired_at or now
    session.flush()


def add_family(session: Session, name: str) -> ProductFamily:
    """Add a product family, or give the one of that name."""
    known = session.scalars(select(ProductFamily).where(ProductFamily.name == name)).one_or_none()
    if known is None:
        known = ProductFamily(name=name)
        session.add(known)
        session.flush()
    return known
