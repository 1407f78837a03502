"""How days grow old: slots are folded, daily pseudonyms dropped, and raw rows removed in the end.

Context: a slot may be reported for 48 hours; after that nothing about its day changes any more.
Decision: two days after its end a day is folded: what each load was granted, page by page, replaces
its slots, person by person in one transaction, so that at any moment a day is exactly what is
folded plus what is not yet. After the months of `PORTAL_RETENTION_MONTHS` a day is sealed: its raw
rows go, its numbers stay and are final.
Consequences: folding changes no number, which `portal verify` shows; a sealed day cannot be
verified, and says so.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection, Engine

from portal import clock
from portal.db import in_parts, insert_once, new_id, write_connection
from portal.logs import log
from tracking import rollups
from tracking.days import (
    Attention,
    Day,
    Owned,
    SlotRow,
    add_attention,
    granted,
    pack_pages,
    unpack_pages,
)
from tracking.dwell import SLOT_MS, chain_until, chains
from tracking.events import TOKEN_LIFE_MS
from tracking.models import (
    Download,
    Folded,
    Load,
    Mark,
    Removal,
    Search,
    Slot,
    SubjectKind,
    Watched,
)
from tracking.sums import DayState

# Reports are taken for 48 hours; the rest is for clocks that differ and commits under way.
FOLD_AFTER = timedelta(hours=48, minutes=5)
# A token lives 24 hours, and its first report may come 48 hours after that.
DROP_AFTER = timedelta(hours=72, minutes=5)
_AT_ONCE = 40


def age(engine: Engine, zone: ZoneInfo, now: datetime, months: int) -> int:
    """Job: fold, drop and seal what is old enough; returns how many days were moved on."""
    done = drop_pseudonyms(engine, zone, now)
    done += sum(fold(engine, day, zone) for day in _due(engine, zone, now - FOLD_AFTER, "folded"))
    if months:
        today = clock.local_day(now, zone)
        until = clock.day_start(clock.add_months(today, -months), zone)
        done += sum(seal(engine, day, zone) for day in _due(engine, zone, until, "sealed"))
    return done


def _due(engine: Engine, zone: ZoneInfo, until: datetime, step: str) -> list[date]:
    """Days that ended before `until`, are rebuilt and have not taken this step."""
    last = clock.local_day(until, zone)
    with engine.connect() as connection:
        marked = set(connection.scalars(select(Mark.day).distinct()))
        query = select(DayState.day).where(DayState.day < last, DayState.sealed_at.is_(None))
        if step == "folded":
            query = query.where(DayState.folded_at.is_(None))
        else:
            query = query.where(DayState.folded_at.is_not(None))
        days = list(connection.scalars(query.order_by(DayState.day)))
    if step == "sealed" and marked & set(days):
        # In the order of days: a view may come from the day before.
        days = [day for day in days if day < min(marked & set(days))]
    return [day for day in days if day not in marked]


# --- folding --------------------------------------------------------------------------------------


def fold(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    """Replace the slots of a day by what they grant; every number stays as it is."""
    span = rollups.the_day(day, zone)
    with engine.connect() as connection:
        persons = _slots_by_person(connection, span)
    for some in in_parts(list(persons.values()), _AT_ONCE):
        fresh: Attention = {}
        for loads, slots in some:
            fresh |= granted(slots, loads)
        with write_connection(engine) as connection:
            _replace_slots(connection, span, fresh)
    with write_connection(engine) as connection:
        _set(connection, day, folded_at=clock.now())
    return True


def _slots_by_person(
    connection: Connection, day: Day
) -> dict[tuple[uuid.UUID, bool], tuple[list[Owned], list[SlotRow]]]:
    """The slots of a day by person; what a program did is kept apart from its person."""
    columns = (Load.id, Load.subject, Load.machine, Slot.slot, Slot.page, Slot.active)
    query = (
        select(*columns, Slot.reading, Slot.idle, Slot.glance)
        .join(Load, Load.id == Slot.load_id)
        .where(
            Load.issued_at >= day.start - TOKEN_LIFE_MS - SLOT_MS,
            Load.issued_at < day.end,
            Slot.slot >= day.slots.start,
            Slot.slot < day.slots.stop,
        )
    )
    found: dict[tuple[uuid.UUID, bool], tuple[list[Owned], list[SlotRow]]] = {}
    places: dict[uuid.UUID, int] = {}
    for load_id, subject, machine, *slot in connection.execute(query):
        loads, slots = found.setdefault((subject, bool(machine)), ([], []))
        if load_id not in places:
            places[load_id] = len(loads)
            loads.append(Owned(load_id, subject))
        number, page, active, reading, idle, glance = slot
        slots.append((places[load_id], number, page, active, reading, idle, glance))
    return found


def _replace_slots(connection: Connection, day: Day, fresh: Attention) -> None:
    loads = list(fresh)
    # A day that was folded before, and of which slots came after all, keeps both.
    known = {
        row.load_id: unpack_pages(row.pages)
        for row in connection.execute(
            select(Folded.load_id, Folded.pages).where(
                Folded.day == day.day, Folded.load_id.in_(loads)
            )
        )
    }
    if known:
        old = (Folded.day == day.day, Folded.load_id.in_(list(known)))
        connection.execute(delete(Folded).where(*old))
    attention = dict(fresh)
    add_attention(attention, known)
    rows = [
        {"day": day.day, "load_id": load_id, "pages": pack_pages(pages)}
        for load_id, pages in attention.items()
    ]
    if rows:
        connection.execute(insert(Folded), rows)
    in_day = (Slot.slot >= day.slots.start, Slot.slot < day.slots.stop)
    connection.execute(delete(Slot).where(Slot.load_id.in_(loads), *in_day))


def _set(connection: Connection, day: date, **values: Any) -> None:
    fresh = {"day": day, "generation": 1, "took_ms": 0, "across": ""}
    connection.execute(insert_once(connection, DayState), fresh)
    connection.execute(update(DayState).where(DayState.day == day).values(**values))


# --- pseudonyms of a day --------------------------------------------------------------------------


def drop_pseudonyms(engine: Engine, zone: ZoneInfo, now: datetime) -> int:
    """Replace the daily pseudonyms of past days by random ones that nobody can compute again.

    All page loads of one pseudonym get the same, so that views and the cap stay as they are.
    """
    until = clock.day_start(clock.local_day(now - DROP_AFTER, zone), zone)
    old: dict[Any, Any] = {
        Load: (Load.subject_kind == SubjectKind.daily, Load.issued_at < clock.to_ms(until)),
        Download: (Download.subject_kind == SubjectKind.daily, Download.granted_at < until),
    }
    subjects: set[uuid.UUID] = set()
    with engine.connect() as connection:
        for model, conditions in old.items():
            subjects.update(connection.scalars(select(model.subject).where(*conditions).distinct()))
    for some in in_parts(sorted(subjects), _AT_ONCE):
        with write_connection(engine) as connection:
            for subject in some:
                fresh = {"subject": uuid.uuid4(), "subject_kind": SubjectKind.dropped.value}
                for model, conditions in old.items():
                    mine = (model.subject == subject, *conditions)
                    connection.execute(update(model).where(*mine).values(**fresh))
    return len(subjects)


# --- retention ------------------------------------------------------------------------------------


def seal(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    """Remove the raw rows of a day; its numbers stay. Says what was removed.

    Page loads whose view goes on after the day are left for the day on which it ends.
    """
    span = rollups.the_day(day, zone)
    with write_connection(engine) as connection:
        _set(connection, day, sealed_at=clock.now())
    with engine.connect() as connection:
        ended = _ended(connection, span)
    removed: Counter[str] = Counter()
    start, end = clock.from_ms(span.start), clock.from_ms(span.end)
    for some in in_parts(ended, 200):
        with write_connection(engine) as connection:
            for model in (Search, Watched, Folded, Slot):
                gone = connection.execute(delete(model).where(model.load_id.in_(some)))
                removed[model.__tablename__] += gone.rowcount
            removed["load"] += connection.execute(delete(Load).where(Load.id.in_(some))).rowcount
    with write_connection(engine) as connection:
        old = (Download.granted_at >= start, Download.granted_at < end)
        removed["download"] += connection.execute(delete(Download).where(*old)).rowcount
        note_removal(connection, "retention", removed)
    return True


def _ended(connection: Connection, day: Day) -> list[uuid.UUID]:
    """The loads that end on `day` or before, with everything they are chained to."""
    facts = rollups.chained_loads(connection, day)
    kept: set[uuid.UUID] = set()
    for chain in chains(facts):
        if chain_until(chain) >= day.end:
            kept |= {load.id for load in chain}
    # Vendor's, machine's and area loads have no chains; each ends by itself.
    columns = (Load.id, Load.issued_at, Load.activated_at, Load.last_slot)
    query = select(*columns).where(
        Load.issued_at >= day.start - 2 * TOKEN_LIFE_MS, Load.issued_at < day.end
    )
    found = []
    for load_id, issued, activated, last_slot in connection.execute(query):
        last = max(issued, activated or 0, (last_slot + 1) * SLOT_MS - 1)
        if last < day.end and load_id not in kept:
            found.append(load_id)
    return found


def note_removal(connection: Connection, why: str, removed: Mapping[str, int]) -> None:
    """Write down what was removed, and say it in the log."""
    rows = {name: n for name, n in sorted(removed.items()) if n}
    if not rows:
        return
    values = {"id": new_id(), "at": clock.now(), "why": why, "rows": rows}
    connection.execute(insert(Removal), [values])
    log.info("rows removed", extra={"fields": {"why": why, **rows}})
