"""Two questions after a registration, both optional: which content helped, and whether the partner
would have pursued the deal without the portal."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.content import library, sharing
from portal.content.attention import subjects_of
from portal.db import write
from portal.deals import service
from portal.deals.models import Deal, Helped
from portal.errors import Refused
from portal.formatting import sort_key
from tracking import metrics

PURSUED = {"yes": _l("Yes"), "no": _l("No"), "unsure": _l("Not sure")}
RECENT = timedelta(days=90)


def chosen(session: Session, deal_id: uuid.UUID) -> set[uuid.UUID]:
    """The content that is said to have helped with a deal."""
    return set(session.scalars(select(Helped.asset_id).where(Helped.deal_id == deal_id)))


def titles(session: Session, deal_id: uuid.UUID) -> list[str]:
    """The same by title."""
    found = library.titles(session, chosen(session, deal_id))
    return sorted(found.values(), key=sort_key)


def choices(
    session: Session, user: User, deal: Deal, now: datetime
) -> list[tuple[uuid.UUID, str, bool]]:
    """Content that may have helped (key, title, chosen): what this partner shared, and what this
    person read, in the last 90 days; all they may see where that is nothing."""
    visible = {asset.id: asset.title for asset in library.find(session, user, library.Filters())}
    ticked = chosen(session, deal.id)
    used = _used(session, user, now - RECENT) & visible.keys()
    offered = (used or visible.keys()) | ticked
    names = {**library.titles(session, ticked), **visible}
    rows = [(key, names[key], key in ticked) for key in offered if key in names]
    return sorted(rows, key=lambda row: (not row[2], sort_key(row[1], row[0])))


def _used(session: Session, user: User, since: datetime) -> set[uuid.UUID]:
    assert user.partner_id is not None
    links = sharing.links_of(session, user.partner_id)
    shared = {item.asset_id for link in links if link.created_at >= since for item in link.items}
    return shared | metrics.assets_read(session, subjects_of(user), since)


def answer(
    user: User, deal_id: uuid.UUID, asset_ids: Collection[uuid.UUID], pursued: str, now: datetime
) -> None:
    """Keep both answers. Raises NotFound for content that this person cannot see, and Refused for a
    draft or another answer than those."""
    if pursued and pursued not in PURSUED:
        raise Refused(_("Choose one of the answers."))
    with write((Deal, deal_id)) as session:
        person = session.get_one(User, user.id)
        deal = service.get(session, person, deal_id)
        if not deal.is_registered:
            raise Refused(_("Submit the registration first."))
        before = chosen(session, deal_id)
        for key in set(asset_ids) - before:
            library.get_visible(session, person, key)
            session.add(Helped(deal_id=deal_id, asset_id=key, at=now))
        gone = before - set(asset_ids)
        session.execute(
            delete(Helped).where(Helped.deal_id == deal_id, Helped.asset_id.in_(list(gone)))
        )
        deal.pursued_anyway = pursued
