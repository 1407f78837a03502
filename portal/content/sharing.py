"""Links that partners make for their customers. Recipients belong to the partner (rule 5)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content.models import Asset, Recipient, ShareItem, ShareLink
from portal.db import plain_rows
from portal.errors import Gone, NotFound
from portal.formatting import sort_key
from tracking import events

# Deals lie above content: they register what a partner may make links for, by key and name.
Offer = Callable[[Session, User], list[tuple[uuid.UUID, str]]]
_offers: list[Offer] = []

DEFAULT_DAYS = 90
LIFE_CHOICES = (7, 30, 90, 365)


def offers_deals(function: Offer) -> Offer:
    """Register what says for which deals a person may make links."""
    _offers.append(function)
    return function


def deals_for(session: Session, user: User) -> dict[uuid.UUID, str]:
    """The deals that `user` may make links for, by name."""
    return {key: name for offer in _offers for key, name in offer(session, user)}


def make_link(
    session: Session,
    user: User,
    assets: list[tuple[Asset, str]],
    *,
    recipient: str,
    days: int,
    allow_download: bool,
    now: datetime,
    deal_id: uuid.UUID | None = None,
) -> ShareLink:
    """A new link to `assets` (each with a language), good for `days` days.

    It belongs to the deal that is named, or to the open one that the same recipient's links do.
    """
    assert user.partner_id is not None
    recipient_id = _recipient(session, user.partner_id, recipient, now)
    deals = deals_for(session, user)
    if deal_id is not None and deal_id not in deals:
        raise NotFound(_("There is no such deal."))
    link = ShareLink(
        slug=secrets.token_urlsafe(18),
        partner_id=user.partner_id,
        user_id=user.id,
        recipient_id=recipient_id,
        deal_id=deal_id or _deal_of(session, recipient_id, deals),
        allow_download=allow_download,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(link)
    session.flush()
    for position, (asset, language) in enumerate(assets):
        session.add(
            ShareItem(share_id=link.id, asset_id=asset.id, language=language, position=position)
        )
    session.flush()
    events.record_share(session, user, link.id, [asset.id for asset, _language in assets], zone())
    return link


def _recipient(
    session: Session, partner_id: uuid.UUID, name: str, now: datetime
) -> uuid.UUID | None:
    name = " ".join(name.split())
    if not name:
        return None
    known = session.scalars(select(Recipient).where(Recipient.partner_id == partner_id))
    for recipient in known:
        if sort_key(recipient.name)[0] == sort_key(name)[0]:
            return recipient.id
    fresh = Recipient(partner_id=partner_id, name=name, created_at=now)
    session.add(fresh)
    session.flush()
    return fresh.id


def _deal_of(
    session: Session, recipient_id: uuid.UUID | None, deals: Collection[uuid.UUID]
) -> uuid.UUID | None:
    newest = (
        select(ShareLink.deal_id)
        .where(ShareLink.recipient_id == recipient_id, ShareLink.deal_id.in_(list(deals)))
        .order_by(ShareLink.created_at.desc())
    )
    return session.scalars(newest).first() if recipient_id and deals else None


def links_of_deal(session: Session, deal_id: uuid.UUID) -> list[ShareLink]:
    """What was shared for a deal, newest first. The vendor is shown none of whom it was for."""
    query = select(ShareLink).where(ShareLink.deal_id == deal_id).options(*_WITH_ITEMS)
    return list(session.scalars(query.order_by(ShareLink.created_at.desc())))


def adopt(session: Session, deal_id: uuid.UUID) -> None:
    """Whatever else was shared with the recipients of a deal's links belongs to it, too, unless it
    belongs to another."""
    recipients = select(ShareLink.recipient_id).where(
        ShareLink.deal_id == deal_id, ShareLink.recipient_id.is_not(None)
    )
    others = (ShareLink.recipient_id.in_(recipients), ShareLink.deal_id.is_(None))
    session.execute(
        update(ShareLink)
        .where(*others)
        .values(deal_id=deal_id)
        .execution_options(synchronize_session=False)
    )


def recipient_names(session: Session) -> list[tuple[uuid.UUID, str]]:
    """Whom partners have written down as recipients: never to be shown to anybody else."""
    query = select(Recipient.partner_id, Recipient.name)
    return [(row[0], row[1]) for row in session.execute(query)]


class Made(NamedTuple):
    """A link that a partner made, for whom and for which deal, where that was said."""

    id: uuid.UUID
    partner_id: uuid.UUID
    recipient: str | None
    at: datetime
    deal_id: uuid.UUID | None = None


def links_made(session: Session, since: datetime | None, until: datetime) -> list[Made]:
    """The links made in a period, or until a moment. Whom they are for may be counted with, and is
    never to be shown to anybody else."""
    query = (
        select(
            ShareLink.id,
            ShareLink.partner_id,
            Recipient.name,
            ShareLink.created_at,
            ShareLink.deal_id,
        )
        .outerjoin(Recipient, Recipient.id == ShareLink.recipient_id)
        .where(ShareLink.created_at < until)
    )
    if since is not None:
        query = query.where(ShareLink.created_at >= since)
    return [Made._make(row) for row in plain_rows(session, query)]


_WITH_ITEMS = (joinedload(ShareLink.recipient), selectinload(ShareLink.items))


def links_of(session: Session, partner_id: uuid.UUID, limit: int = 200) -> list[ShareLink]:
    """A partner's links, newest first."""
    query = select(ShareLink).where(ShareLink.partner_id == partner_id).options(*_WITH_ITEMS)
    return list(session.scalars(query.order_by(ShareLink.created_at.desc()).limit(limit)))


def links_by_id(
    session: Session, partner_id: uuid.UUID, link_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, ShareLink]:
    """Some of a partner's links, with whom they are for."""
    query = select(ShareLink).where(
        ShareLink.partner_id == partner_id, ShareLink.id.in_(list(link_ids))
    )
    found = session.scalars(query.options(joinedload(ShareLink.recipient)))
    return {link.id: link for link in found}


def get_own(session: Session, partner_id: uuid.UUID, link_id: uuid.UUID) -> ShareLink:
    """A partner's link. Raises NotFound, also for another partner's."""
    query = select(ShareLink).where(ShareLink.id == link_id, ShareLink.partner_id == partner_id)
    link = session.scalars(query.options(*_WITH_ITEMS)).one_or_none()
    if link is None:
        raise NotFound(_("There is no such link."))
    return link


def find_link(session: Session, slug: str) -> ShareLink:
    """The link with this address, whether it still works or not. Raises NotFound."""
    query = select(ShareLink).where(ShareLink.slug == slug).options(*_WITH_ITEMS)
    link = session.scalars(query).one_or_none()
    if link is None:
        raise NotFound(_("This link does not exist. Please check it with whoever sent it."))
    return link


def open_link(session: Session, slug: str, now: datetime) -> ShareLink:
    """The link a customer followed. Raises NotFound, or Gone when it expired or was revoked."""
    link = find_link(session, slug)
    if link.revoked_at is not None or link.expires_at <= now:
        raise Gone(_("This link has ended. Please ask whoever sent it for a new one."))
    return link


def revoke(session: Session, link: ShareLink, now: datetime) -> None:
    """End a link at once; what it measured stays."""
    link.revoked_at = link.revoked_at or now
    session.flush()


def shared_item(link: ShareLink, asset_id: uuid.UUID) -> ShareItem:
    """One asset of a link, while it is still in the library. Raises NotFound or Gone."""
    item = next((item for item in link.items if item.asset_id == asset_id), None)
    if item is None:
        raise NotFound(_("This link does not contain that document."))
    if not item.asset.is_live:
        raise Gone(_("This document has been withdrawn. Please ask whoever sent the link."))
    return item
