"""Many reports, one commit: every request that is acknowledged has been stored.

Context: an fsync per report would bound the portal to a few hundred reports a second, and a
committer thread of its own spends more on hand-overs than on writing.
Decision: leader and follower. Each request adds its entry; when nobody leads it commits for all who
wait, then hands the lead to the first of those who came meanwhile. Each waits for its own entry and
not for a common lock: queueing for a lock made those whose report was long stored wait for the
commits of others (measured: batches of 2 instead of 15, two thirds of the throughput).
Consequences: an entry ends `committed`, `failed` or `refused`, never by being gone; a waiter that
gives up takes its entry back, or leaves one that is being committed unacknowledged, which is
harmless because the merge is idempotent. What one entry brought about is found by trying each
alone; when the database is locked, full or away everybody who waits is told so at once.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from portal import clock
from portal.bulk import BulkInsert
from portal.db import insert_for, new_id, write_connection
from portal.errors import Busy, PortalError
from tracking.dwell import Buckets
from tracking.events import Token
from tracking.models import Load, Mark, Search, Slot
from tracking.watching import NOTHING, Playing, merge_watched

WAIT_SECONDS = 2.0
# With so many reports under way a leader waits a moment, so that more of them share its commit,
# which costs nearly as much for one as for ten (PostgreSQL: `commit_delay`). Measured: a tenth to
# a quarter more reports a second.
SIBLINGS, DELAY_SECONDS = 4, 0.0005
BUCKETS = ("active", "reading", "idle", "glance")
_BUSY = "The portal is busy; the report is repeated by itself."
_TOMBSTONES = "SELECT subject FROM tombstone WHERE subject"
_CLOSED_DAYS = "SELECT day FROM day_state WHERE closed_at IS NOT NULL AND day"
_log = logging.getLogger(__name__)


class Unacceptable(PortalError):
    """The report names something that does not exist; repeating it cannot help."""


class _Erased(Exception):
    """Some subjects or links of a batch were erased: what is reported under them is dropped."""

    def __init__(self, keys: set[uuid.UUID]) -> None:
        self.keys = keys


class _Closed(Exception):
    """Some days of a batch take no slots any more, because they are folded."""

    def __init__(self, days: set[date]) -> None:
        self.days = days


@dataclass(eq=False)
class Entry:
    """One report on its way to the database. Moments in milliseconds."""

    token: Token
    activated_at: int | None
    slots: dict[tuple[int, int], Buckets]
    left_at: int | None = None
    machine: bool = False
    watched: Playing | None = None
    outcome: str | None = None
    # When its sender is told to come again, on the clock that only goes forward.
    until: float = 0.0
    # How many slots came after their day was folded.
    late: int = 0
    # Whether the lead has come to this entry, and a lock that is free when there is news for it.
    leads: bool = False
    news: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def last_slot(self) -> int:
        """The last slot with attention in this report, 0 without any."""
        return max((slot for (slot, _page) in self.slots), default=0)

    def leave_out(self, days: set[date], zone: ZoneInfo) -> None:
        """Report nothing about these days: what is folded would be added once more."""
        kept = {
            key: buckets
            for key, buckets in self.slots.items()
            if clock.day_of_slot(key[0], zone) not in days
        }
        self.late += len(self.slots) - len(kept)
        self.slots = kept


class Committer:
    """Stores entries of many threads in few transactions."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        zone: Callable[[], ZoneInfo],
        waiting: int,
        patience: float = WAIT_SECONDS,
    ) -> None:
        self._engine = engine
        self._zone = zone
        self._room = waiting
        self._patience = patience
        self._guard = threading.Lock()
        self._queue: list[Entry] = []
        self._led = False
        self._waiting = 0
        self._merge: Merge | None = None

    def store(self, entry: Entry) -> None:
        """Return when `entry` is durable. Raises Busy when it may be tried again, Unacceptable
        when it never will be stored."""
        entry.news.acquire()
        entry.until = time.monotonic() + self._patience
        with self._guard:
            if self._waiting >= self._room:
                raise Busy(_BUSY)
            self._waiting += 1
            self._queue.append(entry)
            entry.leads, self._led = not self._led, True
        try:
            if entry.leads or self._is_called_to_lead(entry):
                self._lead(entry)
        finally:
            with self._guard:
                self._waiting -= 1
        if entry.outcome == "refused":
            raise Unacceptable("The report names content that does not exist.")
        if entry.outcome != "committed":
            raise Busy(_BUSY)

    def _is_called_to_lead(self, entry: Entry) -> bool:
        """Wait for news: the outcome, or the lead. Without any in time the entry is taken back."""
        entry.news.acquire(timeout=self._patience)
        with self._guard:
            if not entry.leads and entry in self._queue:
                self._queue.remove(entry)
            return entry.leads

    def _lead(self, lead: Entry) -> None:
        batch = self._take()
        try:
            self._commit(batch, lead.until, joins=True)
        finally:
            with self._guard:
                self._led = bool(self._queue)
                if self._queue:
                    # The last to come has the most patience left.
                    self._queue[-1].leads = True
                    self._queue[-1].news.release()
            for entry in batch:
                if not entry.leads:
                    entry.news.release()

    def _commit(self, batch: list[Entry], until: float, *, joins: bool = False) -> None:
        """Bring every entry of `batch` to its end; `joins`: and those who come meanwhile."""
        try:
            self._write(batch, until, joins=joins)
        except Busy:
            self._give_up(batch)
        except _Erased as found:
            late = [entry for entry in batch if found.keys & {*entry.token.erased_by}]
            _settle(late, "refused")
            rest = [entry for entry in batch if entry.outcome is None]
            if rest:
                self._commit(rest, until)
        except _Closed as found:
            for entry in batch:
                entry.leave_out(found.days, self._zone())
            self._commit(batch, until)
        except Exception as error:
            _log.warning("%d reports could not be stored: %s", len(batch), type(error).__name__)
            refused = self._merge is not None and isinstance(error, self._merge.refusals)
            if not refused and (self._merge is None or isinstance(error, self._merge.outages)):
                self._give_up(batch)
            elif len(batch) == 1:
                _settle(batch, "refused" if refused else "failed")
            else:
                for entry in batch:
                    self._commit([entry], until)
        finally:
            # Whatever else happened (an interrupt): nobody is acknowledged by accident.
            _settle([entry for entry in batch if entry.outcome is None], "failed")

    def _give_up(self, batch: list[Entry]) -> None:
        """Nobody can be served now: those who came meanwhile need not find out one by one."""
        late = self._take()
        _settle(batch + late, "failed")
        for entry in late:
            entry.news.release()

    def _write(self, batch: list[Entry], until: float, *, joins: bool) -> None:
        engine = self._engine()
        if self._merge is None:
            self._merge = Merge(engine)
        zone = self._zone()
        if joins and self._waiting >= SIBLINGS:
            time.sleep(DELAY_SECONDS)
        with write_connection(engine, deadline=until - time.monotonic()) as connection:
            if joins:
                # Those who came while the door was shut need no commit of their own.
                batch += self._take()
            self._merge.apply(connection, self._merge.rows_of(batch, zone))
        _settle(batch, "committed")

    def _take(self) -> list[Entry]:
        with self._guard:
            taken, self._queue = self._queue, []
        return taken


def _settle(batch: Iterable[Entry], outcome: str) -> None:
    for entry in batch:
        entry.outcome = outcome


def days_of_slots(entry: Entry, zone: ZoneInfo) -> set[date]:
    """The local days on which this entry has attention."""
    return {clock.day_of_slot(slot, zone) for slot, _page in entry.slots}


def touched_days(entry: Entry, zone: ZoneInfo) -> set[date]:
    """The local days whose numbers this entry may change.

    An activation may replace a later one of the same load, hence all days of the load's life up to
    now; chains over midnight are the rebuild's business.
    """
    days = days_of_slots(entry, zone)
    if entry.left_at is not None:
        days.add(_day_of(entry.left_at, zone))
    token = entry.token
    if entry.machine:
        # All that this load ever said is out of the numbers now.
        days |= _days_from(token.issued_at, token.expires_at, zone)
    if entry.activated_at is not None:
        days.add(_day_of(entry.activated_at, zone))
        days |= _days_from(entry.activated_at, min(clock.now_ms(), token.expires_at), zone)
    return days or {_day_of(token.issued_at, zone)}


def _days_from(first: int, last: int, zone: ZoneInfo) -> set[date]:
    """Every local day between two moments: the 24 hours of a load may hold all of a shorter day."""
    days = range(_day_of(first, zone).toordinal(), _day_of(last, zone).toordinal() + 1)
    return set(map(date.fromordinal, days))


def _day_of(milliseconds: int, zone: ZoneInfo) -> date:
    return clock.day_of_slot(milliseconds // clock.SLOT_MS, zone)


class LoadRow(NamedTuple):
    """A row of `Load` in the order of its columns, keys as the driver takes them."""

    id: Any
    subject: Any
    subject_kind: int
    partner_id: Any
    audience: str
    area: str | None
    asset_id: Any
    version_id: Any
    share_id: Any
    page_count: int
    issued_at: int
    activated_at: int | None
    last_slot: int
    left_at: int | None
    machine: int
    device: int | None


class Rows(NamedTuple):
    """What one batch has to write, ready for the driver: values in the order of the columns."""

    loads: list[Any]
    slots: list[Any]
    marks: list[Any]
    erased_by: dict[Any, uuid.UUID]
    searches: list[Any]
    watched: dict[uuid.UUID, Playing]
    slot_days: dict[Any, date]


class Merge:
    """The upserts, compiled once per engine: `max(old, new)` per bucket.

    Commutative and idempotent: replays, reordering and two workers at once change nothing.
    """

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        self._native_keys = dialect.name == "postgresql"
        self._mark = BulkInsert(insert_for(dialect.name)(Mark.__table__), dialect)
        dbapi: Any = dialect.loaded_dbapi
        # What the driver raises when a row names content that does not exist.
        self.refusals = (dbapi.IntegrityError, dbapi.DataError, IntegrityError, DataError)
        # Other errors of the database are about nobody's report; errors of our own may be.
        self.outages = (dbapi.Error, SQLAlchemyError, OSError)
        self._load = BulkInsert(_load_upsert(dialect.name), dialect)
        self._slot = BulkInsert(_slot_upsert(dialect.name), dialect)
        search = insert_for(dialect.name)(Search.__table__).on_conflict_do_nothing()
        self._search = BulkInsert(search, dialect)

    def rows_of(self, batch: Sequence[Entry], zone: ZoneInfo) -> Rows:
        """The rows of `batch`, one per key, keys sorted, so that two workers never deadlock; and a
        mark for each day that it touches."""
        days = sorted(set().union(*(touched_days(entry, zone) for entry in batch)))
        slot_days = set().union(*(days_of_slots(entry, zone) for entry in batch))
        # By the bytes of their keys: these are hashed and compared faster than UUIDs are.
        loads: dict[bytes, LoadRow] = {}
        slots: dict[tuple[bytes, int, int], Buckets] = {}
        searches: dict[bytes, tuple[Any, ...]] = {}
        watched: dict[uuid.UUID, Playing] = {}
        for entry in batch:
            load_id = entry.token.load_id
            key = load_id.bytes
            if entry.watched is not None:
                watched[load_id] = entry.watched | watched.get(load_id, NOTHING)
            if entry.token.words and entry.activated_at is not None:
                searches[key] = _search_row(entry.token)
            row, known = self._load_row(entry), loads.get(key)
            loads[key] = row if known is None else _joined(known, row)
            for (slot, page), buckets in entry.slots.items():
                before = slots.get((key, slot, page))
                slots[key, slot, page] = (
                    buckets if before is None else tuple(map(max, before, buckets))  # type: ignore[assignment]
                )
        return Rows(
            [loads[key] for key in sorted(loads)],
            [
                (loads[key].id, slot, page, *slots[key, slot, page])
                for key, slot, page in sorted(slots)
            ],
            self._mark.ready((new_id(), day, clock.now()) for day in days),
            {self._key(key): key for entry in batch for key in entry.token.erased_by},
            self._search.ready(searches[key] for key in sorted(searches)),
            watched,
            {day if self._native_keys else day.isoformat(): day for day in slot_days},
        )

    def apply(self, connection: Connection, rows: Rows) -> None:
        """Merge `rows` into the base rows. Raises _Erased, _Closed."""
        # The driver's own cursors: this is the hottest path of the portal, and compiled already.
        raw: Any = connection.connection
        cursor, stones, folds = raw.cursor(), raw.cursor(), raw.cursor()
        # PostgreSQL takes all of it in one round trip.
        with raw.driver_connection.pipeline() if self._native_keys else nullcontext():
            self._load.write(cursor, rows.loads)
            # After the loads: an erasure that runs meanwhile waits for them, or they for it.
            self._ask(stones, _TOMBSTONES, list(rows.erased_by))
            self._ask(folds, _CLOSED_DAYS, list(rows.slot_days))
            self._slot.write(cursor, rows.slots)
            self._mark.write(cursor, rows.marks)
            self._search.write(cursor, rows.searches)
        erased = {rows.erased_by[row[0]] for row in stones.fetchall()}
        closed = {rows.slot_days[row[0]] for row in folds.fetchall()}
        for used in (cursor, stones, folds):
            used.close()
        if erased:
            raise _Erased(erased)
        if closed:
            raise _Closed(closed)
        for load_id in sorted(rows.watched):
            merge_watched(connection, load_id, rows.watched[load_id])

    def _ask(self, cursor: Any, question: str, keys: list[Any]) -> None:
        if self._native_keys:
            cursor.execute(f"{question} = ANY(%s)", (keys,))
        else:
            cursor.execute(f"{question} IN ({','.join('?' * len(keys))})", keys)

    def _load_row(self, entry: Entry) -> LoadRow:
        token = entry.token
        return LoadRow(
            self._key(token.load_id),
            self._key(token.subject),
            token.subject_kind,
            self._key(token.partner_id),
            token.audience,
            token.area,
            self._key(token.asset_id),
            self._key(token.version_id),
            self._key(token.share_id),
            token.page_count,
            token.issued_at,
            entry.activated_at,
            entry.last_slot,
            entry.left_at,
            int(entry.machine),
            token.device,
        )

    def _key(self, key: uuid.UUID | None) -> Any:
        return key if key is None or self._native_keys else key.bytes


def _search_row(token: Token) -> tuple[Any, ...]:
    at = clock.from_ms(token.issued_at)
    return token.load_id, token.partner_id, token.audience, token.words, token.results, at


def _joined(old: LoadRow, new: LoadRow) -> LoadRow:
    activated = [row.activated_at for row in (old, new) if row.activated_at is not None]
    left = [row.left_at for row in (old, new) if row.left_at is not None]
    return new._replace(
        activated_at=min(activated, default=None),
        last_slot=max(old.last_slot, new.last_slot),
        left_at=max(left, default=None),
        machine=max(old.machine, new.machine),
    )


def _load_upsert(dialect: str) -> Any:
    statement = insert_for(dialect)(Load.__table__)
    new = statement.excluded
    least, greatest = _extremes(dialect)
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "activated_at": func.coalesce(
                least(Load.activated_at, new.activated_at), Load.activated_at, new.activated_at
            ),
            "last_slot": greatest(Load.last_slot, new.last_slot),
            "left_at": func.coalesce(
                greatest(Load.left_at, new.left_at), Load.left_at, new.left_at
            ),
            "machine": greatest(Load.machine, new.machine),
        },
    )


def _slot_upsert(dialect: str) -> Any:
    statement = insert_for(dialect)(Slot.__table__)
    greatest = _extremes(dialect)[1]
    return statement.on_conflict_do_update(
        index_elements=["load_id", "slot", "page"],
        set_={name: greatest(getattr(Slot, name), statement.excluded[name]) for name in BUCKETS},
    )


def _extremes(dialect: str) -> tuple[Any, Any]:
    # Two arguments: on SQLite these are scalar functions, not aggregates.
    return (func.least, func.greatest) if dialect == "postgresql" else (func.min, func.max)
