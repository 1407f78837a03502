"""What counts as activity: the token of a page load, and acts done on purpose.

Every act inserts the mark of its day, in the same transaction.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import PrivacyMode, User
from portal.db import hold, new_id
from portal.security import Keys
from tracking import ranges
from tracking.models import (
    Audience,
    Download,
    LikeInterval,
    Mark,
    ShareEvent,
    SubjectKind,
    Tombstone,
)

TOKEN_LIFE_MS = 24 * 3600 * 1000
MAX_PAGES = 10_000
MAX_WORDS = 100
# A grant that is still incomplete is joined by another try for so long, by a part of it for longer.
RETRY, RESUME = timedelta(hours=1), timedelta(hours=24)
_PURPOSE = "attention"


class Token(NamedTuple):
    """What a page load may report about: fixed and signed when the page was rendered.

    Either content (`asset_id`, `version_id`) or an `area` of the portal; `words` and `results` are
    those of a search in the library.
    """

    load_id: uuid.UUID
    subject: uuid.UUID
    subject_kind: int
    partner_id: uuid.UUID | None
    audience: str
    asset_id: uuid.UUID | None
    version_id: uuid.UUID | None
    page_count: int
    share_id: uuid.UUID | None
    issued_at: int
    area: str | None = None
    device: int | None = None
    words: str = ""
    results: int = 0

    @property
    def expires_at(self) -> int:
        """From this moment on, attention is not accepted any more."""
        return self.issued_at + TOKEN_LIFE_MS

    @property
    def erased_by(self) -> tuple[uuid.UUID, ...]:
        """The keys whose erasure drops what this page load reports: its reader's, its link's."""
        return (self.subject,) if self.share_id is None else (self.subject, self.share_id)


@dataclass(frozen=True)
class Viewer:
    """Who looks, as far as tracking may know. `device` tells those of one share link apart."""

    subject: uuid.UUID
    partner_id: uuid.UUID | None
    audience: str
    share_id: uuid.UUID | None = None
    subject_kind: int = SubjectKind.lasting
    device: int | None = None


def issue_token(
    keys: Keys,
    viewer: Viewer,
    *,
    asset_id: uuid.UUID,
    version_id: uuid.UUID,
    page_count: int,
    at: datetime | None = None,
) -> str:
    """The signed token of one fresh load of a piece of content. Nothing is counted by making it."""
    if not 0 <= page_count <= MAX_PAGES:
        raise ValueError(f"a document has 0 to {MAX_PAGES} pages, not {page_count}")
    return _sign(keys, viewer, at, asset_id, version_id, page_count)


def issue_area_token(
    keys: Keys,
    viewer: Viewer,
    area: str,
    *,
    words: str = "",
    results: int = 0,
    at: datetime | None = None,
) -> str:
    """The signed token of one load of a portal page; with `words`, of the results of a search."""
    return _sign(keys, viewer, at, None, None, 1, area, normal_words(words), results)


def normal_words(words: str) -> str:
    """What somebody looked for, so that the same search is the same text."""
    return " ".join(words.casefold().split())[:MAX_WORDS]


def _sign(
    keys: Keys,
    viewer: Viewer,
    at: datetime | None,
    asset_id: uuid.UUID | None,
    version_id: uuid.UUID | None,
    pages: int,
    area: str | None = None,
    words: str = "",
    results: int = 0,
) -> str:
    ids = [new_id(), viewer.subject, viewer.partner_id, asset_id, version_id, viewer.share_id]
    issued_at = clock.to_ms(at or clock.now())
    plain = [Audience(viewer.audience).value, pages, issued_at, int(viewer.subject_kind)]
    more = [area, viewer.device, words, results]
    return keys.sign([*map(_pack, ids), *plain, *more], _PURPOSE)


def read_token(keys: Keys, text: str) -> Token:
    """What the token was made for. Raises ValueError for anything this installation did not sign.

    A token stays readable after its life: reports of what happened during it may arrive later.
    """
    value: Any = keys.unsign(text, _PURPOSE)
    try:
        load, subject, partner, asset, version, share, *plain = value
        audience, pages, issued, kind, area, device, words, results = plain
        return Token(
            load_id=_unpack(load),
            subject=_unpack(subject),
            subject_kind=SubjectKind(kind).value,
            partner_id=_unpack(partner) if partner else None,
            audience=Audience(audience).value,
            asset_id=_unpack(asset) if asset else None,
            version_id=_unpack(version) if version else None,
            page_count=int(pages),
            share_id=_unpack(share) if share else None,
            issued_at=int(issued),
            area=area,
            device=device,
            words=str(words),
            results=int(results),
        )
    except (TypeError, ValueError) as error:
        raise ValueError("the token is of another form") from error


def _pack(key: uuid.UUID | None) -> str:
    return "" if key is None else base64.urlsafe_b64encode(key.bytes)[:22].decode()


def _unpack(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=base64.urlsafe_b64decode(text + "=="))


def subject_for(
    keys: Keys, user_id: uuid.UUID, mode: str, day: date, erasures: int = 0
) -> uuid.UUID:
    """The id under which a person's reading is kept; another one after each erasure.

    In mode `organisation` it holds for one day only. In mode `person` it can be led back to the
    person by the portal, which then shows names; in the others nothing does.
    """
    if mode == PrivacyMode.organisation:
        return keys.pseudonym("reader", user_id, erasures, day.isoformat())
    parts = (user_id, erasures) if erasures else (user_id,)
    return keys.pseudonym("reader" if mode == PrivacyMode.pseudonymous else "person", *parts)


def subject_kind(mode: str) -> int:
    """How long a subject of this privacy mode means the same person."""
    kind = SubjectKind.daily if mode == PrivacyMode.organisation else SubjectKind.lasting
    return kind.value


def viewer_for(keys: Keys, user: User, mode: str, day: date) -> Viewer:
    """A signed-in person as a viewer, under the privacy mode of their partner's country."""
    return Viewer(
        subject=subject_for(keys, user.id, mode, day, user.erasures),
        partner_id=user.partner_id,
        audience=audience_of(user),
        subject_kind=subject_kind(mode),
    )


def area_subject(keys: Keys, user: User, day: date) -> uuid.UUID:
    """The id under which a person's time on the portal's own pages is kept for one day."""
    return keys.pseudonym("area", user.id, user.erasures, day.isoformat())


def area_viewer(keys: Keys, user: User, day: date) -> Viewer:
    """The same person on other pages of the portal: kept per organisation, whatever the mode."""
    return Viewer(
        subject=area_subject(keys, user, day),
        partner_id=user.partner_id,
        audience=audience_of(user),
        subject_kind=SubjectKind.daily.value,
    )


def device_of(keys: Keys, share_id: uuid.UUID, description: str) -> int:
    """A number that tells the devices of one link apart; of another link it says nothing."""
    return keys.pseudonym("device", share_id, description).int % 2**31


def customer(
    keys: Keys, share_id: uuid.UUID, partner_id: uuid.UUID | None, description: str
) -> Viewer:
    """Whoever opened a link of a partner, on one device, which `description` tells from others.

    A device of a link is a person: its views, its 15 s in a slot and its reports are its own, as
    many as read behind one link. Two devices of one make and language cannot be told apart. What
    is recorded is shown and erased by the link, never by this subject.
    """
    device = device_of(keys, share_id, description)
    return Viewer(
        subject=keys.pseudonym("customer", share_id, device),
        partner_id=partner_id,
        audience=Audience.customer.value,
        share_id=share_id,
        device=device,
    )


def audience_of(user: User) -> str:
    """Vendor people's acts are kept apart, so that they never count as a partner's."""
    return (Audience.vendor if user.is_vendor else Audience.partner).value


def mark_day(session: Session, moment: datetime, zone: ZoneInfo) -> None:
    """Say that base rows of the local day of `moment` changed."""
    session.add(Mark(id=new_id(), day=clock.local_day(moment, zone), at=clock.now()))


def is_erased(session: Session, *keys: uuid.UUID | None) -> bool:
    """Whether nothing is taken any more under one of these subjects or links."""
    found = select(Tombstone.subject).where(Tombstone.subject.in_([key for key in keys if key]))
    return session.scalar(found.limit(1)) is not None


def grant_download(
    session: Session,
    viewer: Viewer,
    asset_id: uuid.UUID,
    version_id: uuid.UUID,
    size: int,
    zone: ZoneInfo,
    *,
    part: bool = False,
) -> Download | None:
    """The grant under which `viewer` fetches a file of `size` bytes; None when they were erased.

    However it is fetched, it is one download: a request for a `part` belongs to the last grant,
    and so does another try while that is incomplete.
    """
    # Parts are asked for side by side: all but the first must find its grant. An erasure waits
    # for this, or is seen.
    hold(session, viewer.share_id or viewer.subject)
    if is_erased(session, viewer.share_id, viewer.subject):
        return None
    now = clock.now()
    query = select(Download).where(
        Download.subject == viewer.subject,
        Download.version_id == version_id,
        Download.granted_at >= now - (RESUME if part else RETRY),
    )
    last = session.scalars(query.order_by(Download.granted_at.desc()).limit(1)).one_or_none()
    if last is not None and (part or last.completed_at is None):
        return last
    granted = Download(
        id=new_id(),
        asset_id=asset_id,
        version_id=version_id,
        partner_id=viewer.partner_id,
        subject=viewer.subject,
        subject_kind=viewer.subject_kind,
        audience=viewer.audience,
        share_id=viewer.share_id,
        granted_at=now,
        size=size,
    )
    session.add(granted)
    mark_day(session, now, zone)
    session.flush()
    return granted


def record_sent(
    session: Session, download_id: uuid.UUID, start: int, stop: int, zone: ZoneInfo
) -> None:
    """The bytes `[start, stop)` of a granted file were sent. Lock the grant before."""
    download = session.get(Download, download_id)
    if download is None or stop <= start:
        return
    sent = ranges.union(ranges.parse(download.ranges), (start, stop))
    download.ranges = ranges.text_of(sent)
    download.started_at = download.started_at or clock.now()
    if download.completed_at is None and ranges.covers(sent, download.size):
        download.completed_at = clock.now()
    mark_day(session, download.granted_at, zone)
    session.flush()


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
    """`user` takes a like back. That it was given stays true, unless it was on the same day. False
    when there was none."""
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


def current_likes(session: Session, asset_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many people of partners like each of these assets now; without those nobody likes."""
    query = (
        select(LikeInterval.asset_id, func.count())
        .where(
            LikeInterval.asset_id.in_(list(asset_ids)),
            LikeInterval.unliked_at.is_(None),
            LikeInterval.partner_id.is_not(None),
            LikeInterval.audience != Audience.vendor.value,
        )
        .group_by(LikeInterval.asset_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def likes(session: Session, user_id: uuid.UUID, asset_id: uuid.UUID) -> bool:
    """Whether a person likes the asset now."""
    found = select(LikeInterval.id).where(
        LikeInterval.user_id == user_id,
        LikeInterval.asset_id == asset_id,
        LikeInterval.unliked_at.is_(None),
    )
    return session.scalar(found) is not None
