"""What is recorded about one person or one link: the rows themselves, for those they are about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal import clock
from portal.db import in_parts
from tracking.metrics import attention_of_loads
from tracking.models import Download, LikeInterval, Load, Search, ShareEvent


@dataclass(frozen=True)
class Record:
    """One thing that was recorded; `kind` is reading, portal, search, download, like or share.

    `what` is an asset, or the area or words; `dwell` in milliseconds; `pages` with attention.
    """

    kind: str
    at: datetime
    asset_id: uuid.UUID | None = None
    what: str = ""
    dwell: int | None = None
    pages: Sequence[int] = ()


def of_person(session: Session, user_id: uuid.UUID, subjects: Sequence[uuid.UUID]) -> list[Record]:
    """Everything about a person: under their pseudonyms, and what they did on purpose."""
    found = _loads(session, Load.subject.in_(subjects))
    found += _downloads(session, Download.subject.in_(subjects))
    likes = select(LikeInterval).where(LikeInterval.user_id == user_id)
    found += [Record("like", row.liked_at, row.asset_id) for row in session.scalars(likes)]
    shares = select(ShareEvent).where(ShareEvent.user_id == user_id)
    found += [Record("share", row.at, row.asset_id) for row in session.scalars(shares)]
    return sorted(found, key=lambda record: record.at, reverse=True)


def of_link(session: Session, share_id: uuid.UUID) -> list[Record]:
    """Everything about those who opened a link."""
    found = _loads(session, Load.share_id == share_id)
    found += _downloads(session, Download.share_id == share_id)
    return sorted(found, key=lambda record: record.at, reverse=True)


def _loads(session: Session, condition: ColumnElement[bool]) -> list[Record]:
    rows = {load.id: load for load in session.scalars(select(Load).where(condition))}
    attention = attention_of_loads(session, rows)
    words = {
        row.load_id: row.words
        for some in in_parts(list(rows))
        for row in session.scalars(select(Search).where(Search.load_id.in_(some)))
    }
    found = []
    for load in rows.values():
        pages = attention.get(load.id, {})
        found.append(
            Record(
                "search" if load.id in words else "portal" if load.area else "reading",
                clock.from_ms(load.issued_at),
                load.asset_id,
                words.get(load.id, load.area or ""),
                sum(counts[0] + counts[1] for counts in pages.values()),
                sorted(pages) if load.asset_id else (),
            )
        )
    return found


def _downloads(session: Session, condition: ColumnElement[bool]) -> list[Record]:
    rows = session.scalars(select(Download).where(condition))
    return [Record("download", row.granted_at, row.asset_id) for row in rows]
