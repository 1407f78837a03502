"""What is read from base rows: a partner's own links, which must be there within seconds; and,
where the privacy mode names people, what each of them viewed.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Select, case, exists, func, select, true
from sqlalchemy.orm import Session

from portal import clock
from portal.db import in_parts, plain_rows
from tracking.days import (
    Attention,
    SlotRow,
    add_attention,
    granted,
)
from tracking.dwell import LoadFacts, chains, first_activated
from tracking.engagement import CUSTOMER, PARTNER
from tracking.events import TOKEN_LIFE_MS
from tracking.models import Download, Folded, Load, ShareEvent, Slot, Tombstone
from tracking.packing import unpack_pages
from tracking.spans import Scope


def people_of(
    session: Session, scope: Scope, subjects: Mapping[uuid.UUID, uuid.UUID], zone: Any
) -> dict[uuid.UUID, int]:
    """Views by person of one partner, where the privacy mode names them: subject to user id.

    Counted on the day of activation, like all views. From base rows, for at most the days that are
    not sealed.
    """
    start = clock.to_ms(clock.day_start(scope.since, zone))
    end = clock.to_ms(clock.day_start(scope.until, zone))
    query = select(Load).where(
        Load.partner_id == scope.partner_id,
        Load.audience == PARTNER,
        Load.subject.in_(list(subjects)),
        Load.asset_id.is_not(None),
        Load.machine == 0,
        # A view may have begun, or been opened without being looked at, on the day before.
        Load.issued_at >= start - 2 * TOKEN_LIFE_MS,
        Load.issued_at < end,
    )
    found: dict[uuid.UUID, int] = defaultdict(int)
    for chain in chains(_facts(load) for load in session.scalars(query)):
        first = first_activated(chain)
        if first is not None and start <= (first.activated_at or 0) < end:
            found[subjects[chain[0].subject]] += 1
    return found


def erased_since(
    session: Session, subjects: Iterable[uuid.UUID], moment: datetime
) -> set[uuid.UUID]:
    """Those of some subjects that were erased at a moment or later."""
    query = select(Tombstone.subject).where(
        Tombstone.subject.in_(list(subjects)), Tombstone.at >= moment
    )
    return set(session.scalars(query))


@dataclass(frozen=True)
class Open:
    """A customer read a document behind a link. `page` is the furthest one with attention;
    `device` 1 is the first that opened this link, a higher one another of it."""

    share_id: uuid.UUID
    asset_id: uuid.UUID
    at: datetime
    dwell: int
    page: int
    page_count: int
    device: int = 1


def recent_opens(
    session: Session,
    partner_id: uuid.UUID,
    since: datetime,
    limit: int,
    share_id: uuid.UUID | None = None,
) -> list[Open]:
    """The latest opens of a partner's links, or of one of them, newest first.

    From base rows, so seconds after reading.
    """
    query = (
        select(Load)
        .where(
            Load.partner_id == partner_id,
            Load.audience == CUSTOMER,
            Load.machine == 0,
            Load.issued_at >= clock.to_ms(since),
            true() if share_id is None else Load.share_id == share_id,
        )
        .order_by(Load.issued_at.desc())
        .limit(limit * 5)
    )
    return _opens(session, session.scalars(query))[:limit]


def opens_of_links(session: Session, share_ids: Iterable[uuid.UUID]) -> list[Open]:
    """Every open of some links of which rows are kept, newest first."""
    found: list[Open] = []
    for some in in_parts(sorted(set(share_ids))):
        query = select(Load).where(
            Load.share_id.in_(some), Load.audience == CUSTOMER, Load.machine == 0
        )
        found += _opens(session, session.scalars(query))
    return sorted(found, key=lambda one: one.at, reverse=True)


def downloads_of_links(
    session: Session, share_ids: Iterable[uuid.UUID]
) -> list[tuple[uuid.UUID, datetime]]:
    """Every download by customers through some links: which link, and when."""
    found: list[tuple[uuid.UUID, datetime]] = []
    for some in in_parts(sorted(set(share_ids))):
        query = select(Download.share_id, Download.granted_at).where(Download.share_id.in_(some))
        found += [(row[0], row[1]) for row in session.execute(query) if row[0] is not None]
    return found


def assets_read(
    session: Session, subjects: Collection[uuid.UUID], since: datetime
) -> set[uuid.UUID]:
    """What some subjects of partners have viewed since a moment, as far as it is known by whom."""
    query = select(Load.asset_id).where(
        Load.subject.in_(list(subjects)),
        Load.audience == PARTNER,
        Load.asset_id.is_not(None),
        Load.activated_at.is_not(None),
        Load.machine == 0,
        Load.issued_at >= clock.to_ms(since),
    )
    return {key for key in session.scalars(query.distinct()) if key is not None}


def _opens(session: Session, loads: Iterable[Load]) -> list[Open]:
    rows = {load.id: load for load in loads}
    seen = attention_of_loads(session, rows)
    devices = devices_of_links(session, {load.share_id for load in rows.values() if load.share_id})
    opens = []
    for chain in chains(_facts(load) for load in rows.values()):
        first = first_activated(chain)
        share_id = rows[chain[0].id].share_id
        if first is None or first.activated_at is None or share_id is None:
            continue
        parts = [seen[load.id] for load in chain if load.id in seen]
        counts = [count for pages in parts for count in pages.values()]
        opens.append(
            Open(
                share_id=share_id,
                asset_id=first.asset_id,
                at=clock.from_ms(first.activated_at),
                dwell=sum(active + reading for active, reading, *_rest in counts),
                page=max((max(pages) for pages in parts), default=1),
                page_count=rows[first.id].page_count,
                device=devices.get((share_id, rows[first.id].device), 1),
            )
        )
    return sorted(opens, key=lambda found: found.at, reverse=True)


def devices_of_links(
    session: Session, share_ids: Iterable[uuid.UUID]
) -> dict[tuple[uuid.UUID, int | None], int]:
    """Which device of its link each is: 1 for the first that opened it."""
    query = (
        select(Load.share_id, Load.device, func.min(Load.issued_at))
        .where(
            Load.share_id.in_(list(share_ids)),
            Load.device.is_not(None),
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        .group_by(Load.share_id, Load.device)
        .order_by(func.min(Load.issued_at))
    )
    found: dict[tuple[uuid.UUID, int | None], int] = {}
    counts: dict[uuid.UUID, int] = defaultdict(int)
    for share_id, device, _at in session.execute(query):
        if share_id is not None:
            counts[share_id] += 1
            found[share_id, device] = counts[share_id]
    return found


def _facts(load: Load) -> LoadFacts:
    assert load.partner_id is not None
    assert load.asset_id is not None
    assert load.version_id is not None
    return LoadFacts(
        load.id,
        load.subject,
        load.partner_id,
        load.audience,
        load.asset_id,
        load.version_id,
        load.issued_at,
        load.activated_at,
        load.last_slot,
        load.left_at,
    )


def attention_of_loads(
    session: Session, load_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, dict[int, list[int]]]:
    """What counts of some loads, by page and bucket: what is folded, and what their slots say after
    the cap per person, as the rollups have it."""
    wanted, found = list(load_ids), defaultdict[uuid.UUID, dict[int, list[int]]](dict)
    for some in in_parts(wanted):
        add_attention(found, _granted_of(session, some))
        folded = select(Folded.load_id, Folded.pages).where(Folded.load_id.in_(some))
        for load_id, packed in session.execute(folded):
            add_attention(found, {load_id: unpack_pages(packed)})
    return found


def _granted_of(session: Session, load_ids: Sequence[uuid.UUID]) -> Attention:
    """What the slots of some loads grant, beside all that their persons have in the same time."""
    bounds = select(func.min(Slot.slot), func.max(Slot.slot)).where(Slot.load_id.in_(load_ids))
    first, last = session.execute(bounds).one()
    if not first:
        return {}
    columns = (Slot.page, Slot.active, Slot.reading, Slot.idle, Slot.glance)
    query = (
        select(Load.machine, Load.subject, Slot.load_id, Slot.slot, *columns)
        .join(Load, Load.id == Slot.load_id)
        .where(
            Load.subject.in_(select(Load.subject).where(Load.id.in_(load_ids))),
            Load.last_slot >= first,
            Slot.slot >= first,
            Slot.slot <= last,
        )
    )
    # What a program did is kept apart from its person.
    person_of: dict[uuid.UUID, tuple[uuid.UUID, int]] = {}
    rows: list[SlotRow] = []
    for machine, subject, load_id, *counts in session.execute(query):
        person_of[load_id] = subject, machine
        slot, page, active, reading, idle, glance = counts
        rows.append((load_id, slot, page, active, reading, idle, glance))
    both = granted(rows, person_of)
    return {key: both[key] for key in both.keys() & set(load_ids)}


def links_opened(session: Session, scope: Scope, zone: ZoneInfo) -> tuple[int, int]:
    """Of the links that partners made in the period, how many a person has opened since, and how
    many there are: "opened by 3 of 5".

    Of one asset, those with it, opened when that document was. A link made on the last day may yet
    be opened, so the share of young links grows. From base rows: when those of an open are removed
    by retention or its reader has erased them, its link is one that nobody is known to have opened.
    Every link is looked at: cheap for an asset or a partner, and for all of them over some weeks.
    """
    start, end = clock.day_start(scope.since, zone), clock.day_start(scope.until, zone)
    made = (
        select(ShareEvent.share_id)
        .distinct()
        .where(
            ShareEvent.at >= start,
            ShareEvent.at < end,
            ShareEvent.audience == PARTNER,
            true() if scope.asset_id is None else ShareEvent.asset_id == scope.asset_id,
            true() if scope.partner_id is None else ShareEvent.partner_id == scope.partner_id,
        )
        .subquery()
    )
    opened = exists().where(
        Load.share_id == made.c.share_id,
        Load.activated_at.is_not(None),
        Load.machine == 0,
        true() if scope.asset_id is None else Load.asset_id == scope.asset_id,
    )
    found = session.execute(select(func.count(case((opened, 1))), func.count()).select_from(made))
    n_opened, n_made = found.one()
    return n_opened, n_made


def shares_opened(session: Session, share_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many loads of each link were really looked at; links nobody opened are left out."""
    query = (
        select(Load.share_id, func.count())
        .where(
            Load.share_id.in_(list(share_ids)),
            Load.audience == CUSTOMER,
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        .group_by(Load.share_id)
    )
    return {row[0]: row[1] for row in session.execute(query) if row[0] is not None}


def first_opened(session: Session, share_ids: Select[Any]) -> dict[uuid.UUID, datetime]:
    """When those links that `share_ids` finds were first opened; links nobody opened are left
    out."""
    query = (
        select(Load.share_id, func.min(Load.activated_at))
        .where(
            Load.share_id.in_(share_ids),
            Load.audience == CUSTOMER,
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        .group_by(Load.share_id)
    )
    return {
        row[0]: clock.from_ms(row[1])
        for row in session.execute(query)
        if row[0] is not None and row[1] is not None
    }


# A page counts as read from so much dwell on.
READ_MS = 2000


class ReadUpTo(NamedTuple):
    """How far the visitors of a link have read one of its documents: the furthest page that was
    read for 2 s, 0 when none was, of so many."""

    share_id: uuid.UUID
    asset_id: uuid.UUID
    page: int
    page_count: int

    @property
    def is_past_half(self) -> bool:
        """Whether a page past the middle was read; of a single page, that page."""
        return self.page * 2 > self.page_count


def links_read_up_to(session: Session, share_ids: Iterable[uuid.UUID]) -> list[ReadUpTo]:
    """How far every document that was opened through some links was read. From base rows: what is
    removed by retention is not known any more."""
    loads: dict[uuid.UUID, Any] = {}
    columns = (Load.id, Load.share_id, Load.asset_id, Load.page_count)
    for some in in_parts(list(share_ids)):
        query = select(*columns).where(
            Load.share_id.in_(some),
            Load.audience == CUSTOMER,
            Load.activated_at.is_not(None),
            Load.machine == 0,
        )
        loads |= {row.id: row for row in plain_rows(session, query)}
    seen = attention_of_loads(session, loads)
    found: dict[tuple[uuid.UUID, uuid.UUID], ReadUpTo] = {}
    for key, load in loads.items():
        read = ReadUpTo(
            load.share_id, load.asset_id, _read_up_to(seen.get(key, {})), load.page_count
        )
        of_both = found.setdefault((load.share_id, load.asset_id), read)
        if read.page > of_both.page:
            found[load.share_id, load.asset_id] = read
    return list(found.values())


def _read_up_to(pages: Mapping[int, Sequence[int]]) -> int:
    read = (
        page for page, (active, reading, *_rest) in pages.items() if active + reading >= READ_MS
    )
    return max(read, default=0)
