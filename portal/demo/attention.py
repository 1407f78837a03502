"""What the demo's people and their customers read, downloaded, liked and shared in 24 months."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import PrivacyMode
from portal.content.models import Recipient, ShareItem, ShareLink
from portal.db import new_id
from portal.demo.cast import Cast, Organisation, Person
from portal.demo.contents import Library, Piece, is_for
from portal.demo.ids import key
from portal.demo.rows import put
from portal.security import Keys
from tracking.dwell import SLOT_MS
from tracking.events import subject_for
from tracking.models import (
    Audience,
    Download,
    LikeInterval,
    Load,
    Mark,
    Search,
    ShareEvent,
    Slot,
)

WEEKS = 104
# Views per person and week, before and after the new experience; and of these, what follows.
VIEWS_BEFORE, VIEWS_AFTER = 0.42, 0.68
DOWNLOADS, LIKES, SHARES = 0.16, 0.03, 0.14
OPENED = 0.6
CUSTOMERS = (
    "Stadtwerke Lingen",
    "Hafen Emden",
    "Klinikum Nord",
    "Molkerei Ammer",
    "Papier Weser",
    "Zoo Hannover",
    "Bäckerei Ohlsen",
    "Waterschap Vecht",
    "Sairaala Oulu",
    "Cantina Alba",
    "Brauerei Löns",
    "Chemie Rhein",
    "Wasserverband Ost",
    "Kühlhaus Bremen",
    "Hotel Alpin",
)


@dataclass
class Record:
    """Rows to write, by table."""

    loads: list[dict[str, Any]] = field(default_factory=list)
    slots: list[dict[str, Any]] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)
    likes: list[dict[str, Any]] = field(default_factory=list)
    recipients: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    shares: list[dict[str, Any]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    liked: set[tuple[uuid.UUID, uuid.UUID]] = field(default_factory=set)
    known: dict[tuple[uuid.UUID, str], uuid.UUID] = field(default_factory=dict)


@dataclass(frozen=True)
class _World:
    rng: random.Random
    now: datetime
    zone: ZoneInfo
    library: Library
    weights: list[float]


def build(
    rng: random.Random, now: datetime, zone: ZoneInfo, keys: Keys, cast: Cast, library: Library
) -> Record:
    """Two years of reading and sharing."""
    weights = [rng.lognormvariate(0, 0.8) for _piece in library.pieces]
    world, record = _World(rng, now, zone, library, weights), Record()
    for partner in cast.partners:
        for person in partner.people:
            # The usual privacy mode: one stable pseudonym per person.
            subject = subject_for(keys, person.id, PrivacyMode.pseudonymous, now.date())
            for week in range(WEEKS, 0, -1):
                _week(world, record, partner, person, subject, week)
    _lenas_week(world, record, cast, library)
    _portal_pages(world, record, cast)
    _deck_for_many(world, record, cast, library)
    return record


def _week(
    world: _World,
    record: Record,
    partner: Organisation,
    person: Person,
    subject: uuid.UUID,
    week: int,
) -> None:
    rng = world.rng
    monday = world.now - timedelta(weeks=week)
    rate = VIEWS_AFTER if monday.date() >= partner.rollout else VIEWS_BEFORE
    if partner.name.startswith("Van Dijk") and week < 7:
        rate *= 0.12
    for _view in range(_how_many(rng, rate * person.energy)):
        at = _at_work(world, monday)
        piece = _choose(world, partner, at)
        if at >= world.now or piece is None:
            continue
        _view_by_partner(world, record, partner, person, subject, piece, at)


def _how_many(rng: random.Random, rate: float) -> int:
    return int(rate) + (rng.random() < rate % 1)


def _at_work(world: _World, monday: datetime) -> datetime:
    day = (monday + timedelta(days=world.rng.randrange(7))).astimezone(world.zone).date()
    if day.weekday() > 4:
        day -= timedelta(days=2)
    hour = min(max(world.rng.gauss(12.5, 2.6), 7), 19)
    local = datetime.combine(day, time()) + timedelta(hours=hour)
    return clock.resolve_local(local, world.zone)


def _choose(world: _World, partner: Organisation, at: datetime) -> Piece | None:
    for _try in range(6):
        piece = world.rng.choices(world.library.pieces, world.weights)[0]
        if piece.row["published_at"] <= at and is_for(piece, partner.row):
            return piece
    return None


def _version_at(piece: Piece, language: str, at: datetime) -> dict[str, Any] | None:
    current = piece.version(language)
    if current["created_at"] <= at:
        return current
    older = [row for row in piece.earlier if row["created_at"] <= at]
    return older[0] if older else None


def _view_by_partner(
    world: _World,
    record: Record,
    partner: Organisation,
    person: Person,
    subject: uuid.UUID,
    piece: Piece,
    at: datetime,
) -> None:
    rng = world.rng
    version = _version_at(piece, partner.language, at)
    if version is None:
        return
    seconds = min(rng.lognormvariate(3.5, 0.9), 900)
    _load(world, record, at, version, seconds, piece.pages, subject, partner.id, Audience.partner)
    after = at + timedelta(seconds=seconds)
    if rng.random() < DOWNLOADS:
        record.downloads.append(
            {
                "id": key(rng, after),
                "asset_id": piece.id,
                "version_id": version["id"],
                "partner_id": partner.id,
                "subject": subject,
                "subject_kind": 0,
                "audience": Audience.partner.value,
                "share_id": None,
                "granted_at": after,
                **_fetched(rng, version["size"], after),
            }
        )
    if rng.random() < LIKES and (person.id, piece.id) not in record.liked:
        record.liked.add((person.id, piece.id))
        record.likes.append(
            {
                "id": key(rng, after),
                "user_id": person.id,
                "asset_id": piece.id,
                "partner_id": partner.id,
                "audience": Audience.partner.value,
                "liked_at": after,
                "unliked_at": None,
            }
        )
    if rng.random() < SHARES:
        share(world, record, partner, person, piece, after, rng.choice(CUSTOMERS))


def _fetched(rng: random.Random, size: int, at: datetime) -> dict[str, Any]:
    """How far a download came: nearly all are complete, some were broken off or never seen."""
    luck = rng.random()
    sent = size if luck < 0.93 else size // 3 if luck < 0.97 else 0
    return {
        "size": size,
        "ranges": f"0-{sent}" if sent else "",
        "started_at": at if sent else None,
        "completed_at": at if sent == size else None,
    }


def share(
    world: _World,
    record: Record,
    partner: Organisation,
    person: Person,
    piece: Piece,
    at: datetime,
    customer: str,
    opens: int | None = None,
) -> uuid.UUID:
    """A link, and how often its customer opened it (drawn, unless `opens` says so)."""
    rng = world.rng
    link_id = key(rng, at)
    recipient = record.known.get((partner.id, customer))
    if recipient is None:
        recipient = record.known[partner.id, customer] = key(rng, at)
        record.recipients.append(
            {"id": recipient, "partner_id": partner.id, "name": customer, "created_at": at}
        )
    version = _version_at(piece, partner.language, at)
    language = version["language"] if version else "en"
    record.links.append(
        {
            "id": link_id,
            "slug": f"{rng.getrandbits(144):036x}",
            "partner_id": partner.id,
            "user_id": person.id,
            "recipient_id": recipient,
            "allow_download": True,
            "created_at": at,
            "expires_at": at + timedelta(days=90),
            "revoked_at": None,
        }
    )
    record.items.append(
        {"share_id": link_id, "asset_id": piece.id, "language": language, "position": 0}
    )
    record.shares.append(
        {
            "share_id": link_id,
            "asset_id": piece.id,
            "partner_id": partner.id,
            "user_id": person.id,
            "audience": Audience.partner.value,
            "at": at,
        }
    )
    record.days.add(clock.local_day(at, world.zone))
    if opens is None:
        opens = rng.choice((1, 1, 1, 2, 3)) if rng.random() < OPENED else 0
    for _open in range(opens):
        _opened(world, record, partner, piece, link_id, at)
    return link_id


def _opened(
    world: _World,
    record: Record,
    partner: Organisation,
    piece: Piece,
    link_id: uuid.UUID,
    sent: datetime,
) -> None:
    rng = world.rng
    at = sent + timedelta(hours=rng.lognormvariate(2.2, 1.0))
    version = _version_at(piece, partner.language, at)
    if at >= world.now - timedelta(minutes=20) or version is None:
        return
    # The one deck that customers leave on its fourth page.
    last = 4 if piece.title.startswith("Deck: energy") and rng.random() < 0.9 else piece.pages
    seconds = min(rng.lognormvariate(3.6, 0.8), 700)
    _load(
        world, record, at, version, seconds, min(last, piece.pages), link_id, partner.id,
        Audience.customer, link_id,
    )  # fmt: skip


def _load(
    world: _World,
    record: Record,
    at: datetime,
    version: dict[str, Any],
    seconds: float,
    pages: int,
    subject: uuid.UUID,
    partner_id: uuid.UUID,
    audience: Audience,
    share_id: uuid.UUID | None = None,
) -> None:
    rng, issued = world.rng, clock.to_ms(at)
    load_id = key(rng, at)
    rows = list(_slots(rng, load_id, issued + 700, int(seconds * 1000), pages))
    # One in twenty browsers is closed without a word.
    left_at = None if rng.random() < 0.05 else issued + 700 + int(seconds * 1000)
    device = None if share_id is None else rng.choice((1, 1, 1, 1, 2))
    record.loads.append(
        {
            "id": load_id,
            "subject": subject if device is None else uuid.uuid5(subject, str(device)),
            "subject_kind": 0,
            "partner_id": partner_id,
            "audience": audience.value,
            "area": None,
            "asset_id": version["asset_id"],
            "version_id": version["id"],
            "share_id": share_id,
            "page_count": version["page_count"],
            "issued_at": issued,
            "activated_at": issued + 2700,
            "last_slot": max((row["slot"] for row in rows), default=0),
            "left_at": left_at,
            "machine": 0,
            "device": device,
        }
    )
    record.slots += rows
    # What follows a view (a download, a like) happens at its end.
    for moment in (issued, issued + int(seconds * 1000)):
        record.days.add(clock.local_day(clock.from_ms(moment), world.zone))


def _slots(
    rng: random.Random, load_id: uuid.UUID, start: int, length: int, pages: int
) -> Iterator[dict[str, Any]]:
    """Attention page by page: the first one longest, some pages skimmed."""
    shares = [rng.lognormvariate(0.4 if page == 0 else 0, 0.7) for page in range(pages)]
    reach = max(1, min(pages, round(pages * rng.triangular(0.2, 1.3, 0.8))))
    shares = shares[:reach]
    ends, total = [], 0.0
    for part in shares:
        total += part
        ends.append(total)
    edges = [start + int(length * end / total) for end in ends]
    at, page = start, 0
    found: dict[tuple[int, int], int] = {}
    while at < edges[-1]:
        slot = at // SLOT_MS
        until = min(edges[page], (slot + 1) * SLOT_MS)
        if until > at:
            found[slot, page + 1] = found.get((slot, page + 1), 0) + until - at
        at = max(at, until)
        if at >= edges[page]:
            page += 1
    for (slot, number), milliseconds in found.items():
        active = int(milliseconds * rng.uniform(0.2, 0.6))
        idle = int((milliseconds - active) * (rng.random() < 0.1) * 0.8)
        yield {
            "load_id": load_id,
            "slot": slot,
            "page": number,
            "active": active,
            "reading": milliseconds - active - idle,
            "idle": idle,
            "glance": 0,
        }


SEARCHES = ("pump service contract", "atex", "wartung kosten", "price list", "energy savings")


def _portal_pages(world: _World, record: Record, cast: Cast) -> None:
    """The last three months on the portal's own pages: time by area, and what was looked for; the
    ATEX certificate 14 times, in vain."""
    rng, vain = world.rng, 14
    for partner in cast.partners:
        for _visit in range(_how_many(rng, 6 * len(partner.people))):
            at = _at_work(world, world.now - timedelta(days=rng.randrange(2, 88)))
            area = rng.choices(("home", "library", "deals", "surveys"), (5, 6, 4, 1))[0]
            words, results = "", 0
            if area == "library" and rng.random() < 0.5:
                words, results = rng.choice(SEARCHES), rng.randrange(1, 9)
                if vain and rng.random() < 0.2:
                    words, results, vain = "atex certificate", 0, vain - 1
            if at < world.now:
                _portal_page(world, record, partner, at, area, words, results)


def _portal_page(
    world: _World,
    record: Record,
    partner: Organisation,
    at: datetime,
    area: str,
    words: str,
    results: int,
) -> None:
    rng, issued = world.rng, clock.to_ms(at)
    load_id, seconds = key(rng, at), min(rng.lognormvariate(2.6, 0.8), 200)
    rows = list(_slots(rng, load_id, issued + 700, int(seconds * 1000), 1))
    record.loads.append(
        {
            "id": load_id,
            # Of another day each time, and dropped long ago: nobody's.
            "subject": key(rng, at),
            "subject_kind": 2,
            "partner_id": partner.row["id"],
            "audience": Audience.partner.value,
            "area": area,
            "asset_id": None,
            "version_id": None,
            "share_id": None,
            "page_count": 1,
            "issued_at": issued,
            "activated_at": issued + 900,
            "last_slot": max((row["slot"] for row in rows), default=0),
            "left_at": issued + 700 + int(seconds * 1000),
            "machine": 0,
            "device": None,
        }
    )
    record.slots += rows
    for moment in (issued, issued + int(seconds * 1000)):
        record.days.add(clock.local_day(clock.from_ms(moment), world.zone))
    if words:
        record.searches.append(
            {
                "load_id": load_id,
                "partner_id": partner.row["id"],
                "audience": Audience.partner.value,
                "words": words,
                "results": results,
                "at": at,
            }
        )


def _lenas_week(world: _World, record: Record, cast: Cast, library: Library) -> None:
    """What Lena finds when she comes in: two customers have read what she sent."""
    partner = cast.partner("Kühn")
    lena = partner.people[0]
    for title, customer, hours in (
        ("Case study: waterworks", "Stadtwerke Lingen", 52),
        ("Service price list", "Hafen Emden", 75),
        ("Deck: energy savings", "Brauerei Löns", 28),
    ):
        at = world.now - timedelta(hours=hours)
        opens = 0 if customer.startswith("Brauerei") else 1
        share(world, record, partner, lena, library.piece(title), at, customer, opens)


def _deck_for_many(world: _World, record: Record, cast: Cast, library: Library) -> None:
    """Many partners sent the deck that customers leave on its fourth page: enough to see it."""
    rng, deck = world.rng, library.piece("Deck: energy savings")
    for partner in cast.partners:
        at = _at_work(world, world.now - timedelta(days=rng.randrange(10, 80)))
        share(world, record, partner, partner.people[0], deck, at, rng.choice(CUSTOMERS), 1)


def save(session: Session, record: Record) -> None:
    """Write it down, with the marks of every day it touches."""
    put(
        session,
        (Recipient, record.recipients),
        (ShareLink, record.links),
        (ShareItem, record.items),
        (ShareEvent, record.shares),
        (Load, record.loads),
        (Slot, record.slots),
        (Search, record.searches),
        (Download, record.downloads),
        (LikeInterval, record.likes),
    )
    now = clock.now()
    marks = [{"id": new_id(), "day": day, "at": now} for day in sorted(record.days)]
    session.execute(insert(Mark), marks)
