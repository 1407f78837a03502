"""What counts as activity: the token of a page load, and acts done on purpose.

Every act inserts the mark of its day, in the same transaction.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import PrivacyMode, User
from portal.db import new_id
from portal.security import Keys
from tracking.models import Audience, Download, LikeInterval, Mark, ShareEvent

TOKEN_LIFE_MS = 24 * 3600 * 1000
MAX_PAGES = 10_000
_PURPOSE = "attention"


class Token(NamedTuple):
    """What a page load may report about: fixed and signed when the page was rendered."""

    load_id: uuid.UUID
    subject: uuid.UUID
    partner_id: uuid.UUID | None
    audience: str
    asset_id: uuid.UUID
    version_id: uuid.UUID
    page_count: int
    share_id: uuid.UUID | None
    issued_at: int

    @property
    def expires_at(self) -> int:
        """From this moment on, attention is not accepted any more."""
        return self.issued_at + TOKEN_LIFE_MS


def issue_token(
    keys: Keys,
    *,
    subject: uuid.UUID,
    partner_id: uuid.UUID | None,
    audience: str,
    asset_id: uuid.UUID,
    version_id: uuid.UUID,
    page_count: int,
    share_id: uuid.UUID | None = None,
    at: datetime | None = None,
) -> str:
    """The signed token of one fresh page load. Nothing is counted by making it."""
    if not 0 <= page_count <= MAX_PAGES:
        raise ValueError(f"a document has 0 to {MAX_PAGES} pages, not {page_count}")
    issued_at = clock.to_ms(at or clock.now())
    ids = [new_id(), subject, partner_id, asset_id, version_id, share_id]
    packed = [_pack(key) for key in ids]
    return keys.sign([*packed, Audience(audience).value, page_count, issued_at], _PURPOSE)


def read_token(keys: Keys, text: str) -> Token:
    """What `issue_token` was given. Raises ValueError for anything this installation did not sign.

    A token stays readable after its life: reports of what happened during it may arrive later.
    """
    value: Any = keys.unsign(text, _PURPOSE)
    try:
        load, subject, partner, asset, version, share, audience, pages, issued = value
        return Token(
            load_id=_unpack(load),
            subject=_unpack(subject),
            partner_id=_unpack(partner) if partner else None,
            audience=Audience(audience).value,
            asset_id=_unpack(asset),
            version_id=_unpack(version),
            page_count=int(pages),
            share_id=_unpack(share) if share else None,
            issued_at=int(issued),
        )
    except (TypeError, ValueError) as error:
        raise ValueError("the token is of another form") from error


def _pack(key: uuid.UUID | None) -> str:
    return "" if key is None else base64.urlsafe_b64encode(key.bytes)[:22].decode()


def _unpack(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=base64.urlsafe_b64decode(text + "=="))


def subject_for(keys: Keys, user_id: uuid.UUID, mode: str, day: date) -> uuid.UUID:
    """The id under which reading is kept: the person's own, a pseudonym, or one for this day."""
    if mode == PrivacyMode.person:
        return user_id
    if mode == PrivacyMode.pseudonymous:
        return keys.pseudonym("reader", user_id)
    return keys.pseudonym("reader", user_id, day.isoformat())


@dataclass(frozen=True)
class Viewer:
    """Who looks, as far as tracking may know; `user_id` only where the privacy mode says so."""

    subject: uuid.UUID
    partner_id: uuid.UUID | None
    audience: str
    user_id: uuid.UUID | None = None
    share_id: uuid.UUID | None = None


def viewer_for(keys: Keys, user: User, mode: str, day: date) -> Viewer:
    """A signed-in person as a viewer, under the privacy mode of their partner's country."""
    return Viewer(
        subject=subject_for(keys, user.id, mode, day),
        partner_id=user.partner_id,
        audience=audience_of(user),
        user_id=user.id if mode == PrivacyMode.person else None,
    )


def audience_of(user: User) -> str:
    """Vendor people's acts are kept apart, so that they never count as a partner's."""
    return (Audience.vendor if user.is_vendor else Audience.partner).value


def mark_day(session: Session, moment: datetime, zone: ZoneInfo) -> None:
    """Say that base rows of the local day of `moment` changed."""
    session.add(Mark(id=new_id(), day=clock.local_day(moment, zone), at=clock.now()))


def record_download(
    session: Session, viewer: Viewer, asset_id: uuid.UUID, version_id: uuid.UUID, zone: ZoneInfo
) -> Download:
    """A file was granted to `viewer`: one download, however it is fetched afterwards."""
    granted = Download(
        id=new_id(),
        asset_id=asset_id,
        version_id=version_id,
        partner_id=viewer.partner_id,
        user_id=viewer.user_id,
        subject=viewer.subject,
        audience=viewer.audience,
        share_id=viewer.share_id,
        granted_at=clock.now(),
    )
    session.add(granted)
    mark_day(session, granted.granted_at, zone)
    session.flush()
    return granted


def record_share(
    session: Session,
    user: User,
    share_id: uuid.UUID,
    asset_ids: list[uuid.UUID],
    zone: ZoneInfo,
    partner_id: uuid.UUID | None = None,
) -> None:
    """`user` made a share link for these assets; flush the link itself before."""
    at = clock.now()
    for asset_id in dict.fromkeys(asset_ids):
        session.add(
            ShareEvent(
                share_id=share_id,
                asset_id=asset_id,
                partner_id=partner_id or user.partner_id,
                user_id=user.id,
                audience=audience_of(user),
                at=at,
            )
        )
    mark_day(session, at, zone)
    session.flush()


def like(session: Session, user: User, asset_id: uuid.UUID, zone: ZoneInfo) -> bool:
    """`user` likes the asset from now on; False when they did already."""
    if _current_like(session, user, asset_id):
        return False
    at = clock.now()
    session.add(
        LikeInterval(
            id=new_id(),
            user_id=user.id,
            asset_id=asset_id,
            partner_id=user.partner_id,
            audience=audience_of(user),
            liked_at=at,
        )
    )
    mark_day(session, at, zone)
    session.flush()
    return True


def unlike(session: Session, user: User, asset_id: uuid.UUID, zone: ZoneInfo) -> bool:
    """`user` takes a like back; that it was given stays true. False when there was none."""
    current = _current_like(session, user, asset_id)
    if current is None:
        return False
    current.unliked_at = clock.now()
    mark_day(session, current.liked_at, zone)
    session.flush()
    return True


def _current_like(session: Session, user: User, asset_id: uuid.UUID) -> LikeInterval | None:
    return session.scalars(
        select(LikeInterval).where(
            LikeInterval.user_id == user.id,
            LikeInterval.asset_id == asset_id,
            LikeInterval.unliked_at.is_(None),
        )
    ).one_or_none()


def likes(session: Session, user_id: uuid.UUID, asset_id: uuid.UUID) -> bool:
    """Whether a person likes the asset now."""
    found = select(LikeInterval.id).where(
        LikeInterval.user_id == user_id,
        LikeInterval.asset_id == asset_id,
        LikeInterval.unliked_at.is_(None),
    )
    return session.scalar(found) is not None
