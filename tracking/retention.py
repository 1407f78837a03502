"""How days grow old: slots are folded, daily pseudonyms dropped, and raw rows removed in the end.

Context: a slot may be reported for 48 hours; after that nothing about its day changes any more.
Decision: two days after its end a day takes no more slots and is folded: what each load was
granted, page by page, replaces its slots, person by person in one transaction, so that at any
moment a day is exactly what is folded plus what is not yet. After the months of
`PORTAL_RETENTION_MONTHS` a day is sealed: its raw rows go, and with a person's last ones the tie to
their number; its own numbers stay and are final.
Consequences: folding changes no number, which `portal verify` shows; a sealed day cannot be
verified, and says so. Either step is taken up again where a kill has ended it.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.engine import Connection, Engine

from portal import clock
from portal.bulk import Raw, driver_rows, insert_all
from portal.db import in_parts, insert_once, new_id, write_connection
from portal.logs import log
from portal.pace import Pace, without_collecting
from tracking import snapshot
from tracking.days import (
    Attention,
    Day,
    SlotRow,
    add_attention,
    granted,
    key_of,
)
from tracking.dwell import SLOT_MS, Id, chain_until
from tracking.events import TOKEN_LIFE_MS
from tracking.models import (
    Download,
    Folded,
    Load,
    Mark,
    Reader,
    Removal,
    Search,
    Slot,
    SubjectKind,
    Watched,
)
from tracking.packing import pack_pages, unpack_pages
from tracking.sums import DayState

# Reports are taken for 48 hours; the rest is for clocks that differ and commits under way.
FOLD_AFTER = timedelta(hours=48, minutes=5)
# A token lives 24 hours, and its first report may come 48 hours after that.
DROP_AFTER = timedelta(hours=72, minutes=5)
_AT_ONCE = 20
_LOADS_AT_ONCE = 100
_NOT_FOLDED = and_(DayState.folded_at.is_(None), DayState.sealed_at.is_(None))
_NOT_EMPTIED = and_(DayState.folded_at.is_not(None), DayState.emptied_at.is_(None))


def age(engine: Engine, zone: ZoneInfo, now: datetime, months: int) -> int:
    """Job: fold, drop and seal what is old enough; returns how many days were moved on."""
    done = drop_pseudonyms(engine, zone, now)
    old = _due(engine, zone, now - FOLD_AFTER, _NOT_FOLDED)
    done += sum(fold(engine, day, zone) for day in old)
    if months:
        today = clock.local_day(now, zone)
        until = clock.day_start(clock.add_months(today, -months), zone)
        done += sum(seal(engine, day, zone) for day in _due(engine, zone, until, _NOT_EMPTIED))
    return done


def _due(engine: Engine, zone: ZoneInfo, until: datetime, condition: Any) -> list[date]:
    """Days that ended before `until`, are rebuilt and still have a step before them."""
    last = clock.local_day(until, zone)
    with engine.connect() as connection:
        marked = set(connection.scalars(select(Mark.day).distinct()))
        query = select(DayState.day).where(DayState.day < last, condition)
        days = list(connection.scalars(query.order_by(DayState.day)))
    if condition is _NOT_EMPTIED:
        # In the order of days: a view may come from the day before.
        days = [day for day in days if day < min(marked, default=last)]
    return [day for day in days if day not in marked]


# --- folding --------------------------------------------------------------------------------------


def fold(engine: Engine, day: date, zone: ZoneInfo) -> bool:
    """Replace the slots of a day by what they grant; every number stays as it is."""
    with write_connection(engine) as connection:
        _set(connection, day, closed_at=clock.now())
    with without_collecting():
        _fold(engine, snapshot.the_day(day, zone))
    with write_connection(engine) as connection:
        _set(connection, day, folded_at=clock.now())
    return True


def _fold(engine: Engine, day: Day) -> None:
    """Fold the slots of a day, so many persons at once as have not too many loads together."""
    with engine.connect() as connection:
        persons = list(_slots_by_person(connection, day).values())
    pace = Pace(engine, _LOADS_AT_ONCE)
    while persons:
        fresh: Attention = {}
        while persons and len(fresh) < pace.room:
            slots = persons.pop()
            fresh |= granted(slots, {slot[0]: 0 for slot in slots})
        with pace.write(len(fresh)) as connection:
            _replace_slots(connection, day, {key_of(raw): fresh[raw] for raw in fresh})


def _slots_by_person(connection: Connection, day: Day) -> dict[tuple[Any, ...], list[SlotRow]]:
    """The slots of a day by person; what a program did is kept apart from its person."""
    person, counts = (Raw(Load.subject), Load.machine), (Slot.active, Slot.reading, Slot.idle)
    query = (
        select(*person, Raw(Load.id), Slot.slot, Slot.page, *counts, Slot.glance)
        .join(Load, Load.id == Slot.load_id)
        .where(
            Load.issued_at >= day.start - TOKEN_LIFE_MS - SLOT_MS,
            Load.issued_at < day.end,
            Slot.slot >= day.slots.start,
            Slot.slot < day.slots.stop,
        )
    )
    found: dict[tuple[Any, ...], list[SlotRow]] = defaultdict(list)
    # As the driver gives them: there may be a million.
    for row in driver_rows(connection, query):
        found[row[:2]].append(row[2:])
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
    rows = ((day.day, load_id, pack_pages(pages)) for load_id, pages in attention.items())
    folded: Any = Folded.__table__
    insert_all(connection, folded, rows)
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
    span = snapshot.the_day(day, zone)
    with write_connection(engine) as connection:
        _set(connection, day, sealed_at=clock.now())
    with engine.connect() as connection:
        ended = _ended(connection, span)
    removal, removed, pace = new_id(), Counter[str](), Pace(engine, _LOADS_AT_ONCE)
    for some in pace.parts(ended):
        with pace.write(len(some)) as connection:
            removed += _remove_loads(connection, some)
            _keep_removal(connection, removal, "retention", removed)
    with write_connection(engine) as connection:
        start, end = clock.from_ms(span.start), clock.from_ms(span.end)
        old = (Download.granted_at >= start, Download.granted_at < end)
        removed["download"] += connection.execute(delete(Download).where(*old)).rowcount
        note_removal(connection, "retention", removed, removal)
        _set(connection, day, emptied_at=clock.now())
    return True


def _remove_loads(connection: Connection, load_ids: Sequence[uuid.UUID]) -> Counter[str]:
    """Remove some loads; a reader who has none left is a number that leads back to nobody."""
    removed: Counter[str] = Counter()
    readers = list(
        connection.scalars(
            select(Load.subject)
            .distinct()
            .where(Load.id.in_(load_ids), Load.subject_kind == SubjectKind.lasting)
        )
    )
    for model in (Search, Watched, Folded, Slot):
        gone = connection.execute(delete(model).where(model.load_id.in_(load_ids)))
        removed[model.__tablename__] += gone.rowcount
    removed["load"] += connection.execute(delete(Load).where(Load.id.in_(load_ids))).rowcount
    left = set(connection.scalars(select(Load.subject).where(Load.subject.in_(readers)).distinct()))
    for subject in sorted({*readers} - left):
        changed = update(Reader).where(Reader.subject == subject).values(subject=uuid.uuid4())
        connection.execute(changed)
    return removed


def _ended(connection: Connection, day: Day) -> list[uuid.UUID]:
    """The loads that end on `day` or before, with everything they are chained to."""
    kept: set[Id] = set()
    found: set[Id] = set()
    for chain in snapshot.chains_of(connection, day):
        (kept if chain_until(chain) >= day.end else found).update(load.id for load in chain)
    # Vendor's, machine's and area loads have no chains; each ends by itself.
    columns = (Raw(Load.id), Load.issued_at, Load.activated_at, Load.last_slot)
    query = select(*columns).where(
        Load.issued_at >= day.start - 2 * TOKEN_LIFE_MS, Load.issued_at < day.end
    )
    for load_id, issued, activated, last_slot in driver_rows(connection, query):
        last = max(issued, activated or 0, (last_slot + 1) * SLOT_MS - 1)
        if last < day.end and load_id not in kept:
            found.add(load_id)
    return [key_of(load_id) for load_id in sorted(found)]


def note_removal(
    connection: Connection, why: str, removed: Mapping[str, int], key: uuid.UUID | None = None
) -> None:
    """Write down what was removed, and say it in the log."""
    rows = _keep_removal(connection, key or new_id(), why, removed)
    if rows:
        log.info("rows removed", extra={"fields": {"why": why, **rows}})


def _keep_removal(
    connection: Connection, key: uuid.UUID, why: str, removed: Mapping[str, int]
) -> Mapping[str, int]:
    """Write down, in place of what was under `key`, what was removed so far; returns it."""
    rows = {name: n for name, n in sorted(removed.items()) if n}
    connection.execute(delete(Removal).where(Removal.id == key))
    if rows:
        values = {"id": key, "at": clock.now(), "why": why, "rows": rows}
        connection.execute(insert(Removal), [values])
    return rows
