"""What is recorded about one person or one link: the rows themselves, for those they are about."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal import clock
from portal.db import in_parts
from tracking.metrics import attention_of_loads, devices_of_links
from tracking.models import Download, LikeInterval, Load, Search, ShareEvent, Watched
from tracking.watching import Playing

_NOTHING = (0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Record:
    """One thing that was recorded; `kind` is reading, portal, search, download, like or share.

    `what` is an asset, or the area or words. Attention in milliseconds: `dwell`, `idle`, `glance`;
    `pages` with any; `seconds` of a recording that were seen. `device` is that of a link: 1 the
    first that opened it. `until`: when a like was taken back, or a download complete.
    """

    kind: str
    at: datetime
    asset_id: uuid.UUID | None = None
    what: str = ""
    dwell: int | None = None
    idle: int | None = None
    glance: int | None = None
    pages: Sequence[int] = ()
    seconds: int | None = None
    device: int | None = None
    until: datetime | None = None


def of_person(session: Session, user_id: uuid.UUID, subjects: Sequence[uuid.UUID]) -> list[Record]:
    """Everything about a person: under their pseudonyms, and what they did on purpose."""
    found = _loads(session, Load.subject.in_(subjects), {})
    found += _downloads(session, Download.subject.in_(subjects), {})
    likes = select(LikeInterval).where(LikeInterval.user_id == user_id)
    found += [
        Record("like", row.liked_at, row.asset_id, until=row.unliked_at)
        for row in session.scalars(likes)
    ]
    shares = select(ShareEvent).where(ShareEvent.user_id == user_id)
    found += [Record("share", row.at, row.asset_id) for row in session.scalars(shares)]
    return sorted(found, key=lambda record: record.at, reverse=True)


def of_link(session: Session, share_id: uuid.UUID) -> list[Record]:
    """Everything about everyone who opened a link."""
    numbers = devices_of_links(session, [share_id])
    found = _loads(session, Load.share_id == share_id, numbers)
    readers = select(Load.subject, Load.device).where(Load.share_id == share_id).distinct()
    devices = {row[0]: numbers.get((share_id, row[1])) for row in session.execute(readers)}
    found += _downloads(session, Download.share_id == share_id, devices)
    return sorted(found, key=lambda record: record.at, reverse=True)


def _loads(
    session: Session,
    condition: ColumnElement[bool],
    devices: Mapping[tuple[uuid.UUID, int | None], int],
) -> list[Record]:
    rows = {load.id: load for load in session.scalars(select(Load).where(condition))}
    attention = attention_of_loads(session, rows)
    words = {
        row.load_id: row.words
        for some in in_parts(list(rows))
        for row in session.scalars(select(Search).where(Search.load_id.in_(some)))
    }
    played = {
        row.load_id: Playing.of_row(row).unique_seconds
        for some in in_parts(list(rows))
        for row in session.scalars(select(Watched).where(Watched.load_id.in_(some)))
    }
    found = []
    for load in rows.values():
        pages = attention.get(load.id, {})
        active, reading, idle, glance, _overlap = map(
            sum, zip(_NOTHING, *pages.values(), strict=True)
        )
        found.append(
            Record(
                "search" if load.id in words else "portal" if load.area else "reading",
                clock.from_ms(load.issued_at),
                load.asset_id,
                words.get(load.id, load.area or ""),
                active + reading,
                idle,
                glance,
                sorted(pages) if load.asset_id else (),
                played.get(load.id),
                devices.get((load.share_id, load.device)) if load.share_id else None,
            )
        )
    return found


def _downloads(
    session: Session,
    condition: ColumnElement[bool],
    devices: Mapping[uuid.UUID, int | None],
) -> list[Record]:
    return [
        Record(
            "download",
            row.granted_at,
            row.asset_id,
            device=devices.get(row.subject),
            until=row.completed_at,
        )
        for row in session.scalars(select(Download).where(condition))
    ]
