"""Whoever made a link hears when a customer opens it for the first time, bundled by the hour."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import notices
from portal.accounts.models import User
from portal.accounts.notices import Line, Notice, describes
from portal.content import sharing
from portal.content.models import ShareLink
from portal.db import db, write
from tracking import metrics

# Whoever had a page open when the link ended may report it until then.
AFTER_END = timedelta(days=2)


def tell_first_opens(now: datetime) -> int:
    """Job: write down which links were opened for the first time; returns how many. Run twice it
    does nothing more."""
    session = db.session()
    unopened = select(ShareLink.id).where(
        ShareLink.opened_at.is_(None), ShareLink.expires_at > now - AFTER_END
    )
    found = metrics.first_opened(session, unopened)
    session.rollback()
    return sum(_tell(link_id, at, now) for link_id, at in sorted(found.items()))


def _tell(link_id: uuid.UUID, at: datetime, now: datetime) -> bool:
    with write((ShareLink, link_id)) as session:
        link = session.get_one(ShareLink, link_id)
        if link.opened_at is not None:
            return False
        link.opened_at = at
        maker = session.get_one(User, link.user_id)
        if maker.deactivated_at is None:
            notices.notify(session, maker.id, "first_open", link.id, now)
    return True


@describes(
    "first_open", _l("Opened for the first time"), side="partner", hourly=True, path="/shares"
)
def _lines(session: Session, user: User, rows: Sequence[Notice]) -> list[Line]:
    """A line for each link of the reader's own organisation."""
    if user.partner_id is None:
        return []
    keys = list(dict.fromkeys(row.subject_id for row in rows))
    links = sharing.links_by_id(session, user.partner_id, keys)
    return [Line(_sentence(links[key]), f"/shares/{key}") for key in keys if key in links]


def _sentence(link: ShareLink) -> str:
    return _(
        "%(customer)s opened %(titles)s.",
        customer=link.recipient.name if link.recipient else _("A customer"),
        titles=", ".join(f"\u201c{item.asset.title}\u201d" for item in link.items),
    )
