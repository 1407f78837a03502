"""Files on a deal: stored as content is, fetched by both sides, only ever as a download."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import IO

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import User
from portal.content.storage import Storage
from portal.db import write
from portal.deals import service
from portal.deals.models import Deal, DealFile
from portal.errors import NotFound, Refused

MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".eml": "message/rfc822",
    ".zip": "application/zip",
}
LARGEST_BYTES = 20 * 1024 * 1024
MOST = 20


def of_deal(session: Session, deal_id: uuid.UUID) -> list[DealFile]:
    """The files of a deal, oldest first."""
    query = select(DealFile).where(DealFile.deal_id == deal_id, DealFile.removed_at.is_(None))
    query = query.options(joinedload(DealFile.by))
    return list(session.scalars(query.order_by(DealFile.at, DealFile.id)))


def attached_by(session: Session, user_id: uuid.UUID) -> list[DealFile]:
    """The files that one person has attached to deals, those taken away included."""
    return list(session.scalars(select(DealFile).where(DealFile.by_id == user_id)))


def get(session: Session, user: User, deal_id: uuid.UUID, file_id: uuid.UUID) -> DealFile:
    """A file of a deal that this person may see. Raises NotFound."""
    service.get(session, user, deal_id)
    query = select(DealFile).where(
        DealFile.id == file_id, DealFile.deal_id == deal_id, DealFile.removed_at.is_(None)
    )
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(_("There is no such file."))
    return found


def largest() -> int:
    """How many bytes a file may have."""
    accepted: int = current_app.config["SETTINGS"].max_upload_bytes
    return min(LARGEST_BYTES, accepted)


def media_type_of(filename: str, stream: IO[bytes]) -> str:
    """What an attached file is. Raises Refused when it may not be attached."""
    suffix = "." + filename.rsplit(".", 1)[-1].lower() if "." in filename else ""
    if suffix not in MEDIA_TYPES:
        kinds = ", ".join(sorted(key[1:] for key in MEDIA_TYPES))
        raise Refused(_("Files of this kind are not accepted. Use one of: %(kinds)s.", kinds=kinds))
    size = stream.seek(0, 2)
    stream.seek(0)
    if size > largest():
        raise Refused(
            _("This file is larger than %(n)s MB. Attach a smaller one.", n=largest() // 1024**2)
        )
    if not size:
        raise Refused(_("This file is empty. Choose another one."))
    return MEDIA_TYPES[suffix]


def attach(
    user_id: uuid.UUID,
    deal_id: uuid.UUID,
    store: Storage,
    upload: tuple[str, IO[bytes]],
    now: datetime,
) -> None:
    """Keep a file with a deal: the file first, then its row. Nothing slow inside the door."""
    filename, stream = upload
    media_type = media_type_of(filename, stream)
    file_key, size, _digest = store.save(stream, "." + filename.rsplit(".", 1)[-1].lower())
    with write((Deal, deal_id)) as session:
        person = session.get_one(User, user_id)
        service.get(session, person, deal_id)
        here = (DealFile.deal_id == deal_id, DealFile.removed_at.is_(None))
        if (session.scalar(select(func.count()).where(*here)) or 0) >= MOST:
            raise Refused(
                _("This deal has %(n)s files already. Take one away before adding more.", n=MOST)
            )
        session.add(
            DealFile(
                deal_id=deal_id,
                by_id=user_id,
                at=now,
                filename=filename[-200:],
                media_type=media_type,
                size=size,
                file_key=file_key,
            )
        )
        session.flush()


def take_away(user_id: uuid.UUID, deal_id: uuid.UUID, file_id: uuid.UUID, now: datetime) -> None:
    """Take a file away again, by the side that attached it; the sweep removes its bytes."""
    with write((DealFile, file_id)) as session:
        person = session.get_one(User, user_id)
        found = get(session, person, deal_id, file_id)
        if found.by.partner_id != person.partner_id:
            raise Refused(_("Only those who attached this file can take it away."))
        if session.get_one(Deal, deal_id).decided_at is not None:
            raise Refused(_("It was decided with this file at hand: it stays with the deal."))
        found.removed_at = now


def known_keys(session: Session) -> set[str]:
    """The files that are in use."""
    return set(session.scalars(select(DealFile.file_key).where(DealFile.removed_at.is_(None))))
