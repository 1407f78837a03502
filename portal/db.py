"""The database: its types, and the one door through which it is written.

Context: on SQLite a transaction that reads first and writes later fails at once when another
writer came between, whatever the timeout; `with_for_update` does nothing there; and its own
waiting is unfair. On PostgreSQL the rows decided on must be locked.
Decision: everything outside `write()` runs in read-only transactions, enforced by the engine
itself. `write()` takes a file lock with a deadline and begins IMMEDIATE on SQLite, and locks the
rows named on PostgreSQL. What is decided on is read inside it.
Consequences: a forgotten door fails in the first test; nothing slow may happen inside.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from flask import g, has_request_context, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    DateTime,
    Executable,
    LargeBinary,
    MetaData,
    Uuid,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator, TypeEngine
from uuid_utils.compat import uuid7

from portal.errors import N_, Busy

P = ParamSpec("P")
V = TypeVar("V")

WRITE_DEADLINE = 5.0
_BUSY = N_("The portal is busy. Nothing was changed; please try again in a moment.")
WRITE_OPTION, DEADLINE_OPTION = "portal_write", "portal_deadline"


class Base(DeclarativeBase):
    """What every table of the portal descends from."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False, "autoflush": True})
migrate = Migrate()


class Key(TypeDecorator[uuid.UUID]):
    """A UUID: native on PostgreSQL, 16 bytes on SQLite."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else LargeBinary(16))

    # Both directly and not in layers: they are called for millions of values.
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return None if dialect.name == "postgresql" else _bytes_of

    def result_processor(self, dialect: Dialect, _coltype: Any) -> Callable[[Any], Any] | None:
        return None if dialect.name == "postgresql" else _key_of


def _bytes_of(key: uuid.UUID | None) -> bytes | None:
    return None if key is None else key.bytes


# Reports read the same few thousand keys again and again: remembering is six times as fast.
@lru_cache(maxsize=16_384)
def _key_of(value: bytes | None) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(bytes=value)


class UTCDateTime(TypeDecorator[datetime]):
    """A moment. Naive values are refused; what comes back is always aware and in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    # Directly and not in layers, as with keys: reports read tens of thousands of moments.
    def result_processor(self, dialect: Dialect, _coltype: Any) -> Callable[[Any], Any] | None:
        return _in_utc if dialect.name == "postgresql" else _moment_of


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _moment_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


Milliseconds = BigInteger


def once_per_request(
    read: Callable[Concatenate[Session, P], V],
) -> Callable[Concatenate[Session, P], V]:
    """Many parts of one page ask for the same: while it is made, it is read once."""

    @wraps(read)
    def remembered(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> V:
        if not has_request_context() or request.method != "GET":
            return read(session, *args, **kwargs)
        known: dict[Any, V] = g.setdefault("read_once", {})
        key = (read, args, tuple(kwargs.items()))
        if key not in known:
            known[key] = read(session, *args, **kwargs)
        return known[key]

    return remembered


def plain_rows(session: Session, query: Executable) -> Sequence[Any]:
    """The rows of a query for columns, as they come: for thousands of them, what the ORM does with
    each took a third of the time."""
    return session.connection().execute(query).all()


def new_id() -> uuid.UUID:
    """A fresh UUIDv7 key: sorted by creation, without telling how many came before."""
    return uuid7()


def instrument(engine: Engine) -> None:
    """Teach `engine` the rules above: read-only by default, foreign keys on, WAL and FULL."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    else:
        event.listen(engine, "begin", _postgres_begin)


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    writing = options.get(WRITE_OPTION, False)
    # By the driver itself: every transaction begins here, and a statement costs 30 us otherwise.
    raw: Any = connection.connection.driver_connection
    raw.execute(f"PRAGMA query_only={'OFF' if writing else 'ON'}")
    if writing:
        # Our own writers wait for the file lock; this is for a stranger, as a tool for backups.
        raw.execute(f"PRAGMA busy_timeout={_milliseconds_left(options)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _postgres_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(WRITE_OPTION, False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_milliseconds_left(options)}")
    else:
        # A snapshot for reads, so that a report's tables agree with each other.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _milliseconds_left(options: Mapping[str, Any]) -> int:
    until = options.get(DEADLINE_OPTION)
    left = WRITE_DEADLINE if until is None else until - time.monotonic()
    return max(1, int(left * 1000))


def in_parts(values: Sequence[V], size: int = 500) -> Iterator[Sequence[V]]:
    """`values` a part at a time: a statement takes so many, and a transaction should be short."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert_for(dialect: str) -> Any:
    """The INSERT that knows ON CONFLICT, of the engine in use."""
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def insert_once(session: Session | Connection, model: type[Base]) -> Any:
    """An INSERT that leaves a row that is there already as it is, on both engines."""
    engine = session.get_bind() if isinstance(session, Session) else session.engine
    return insert_for(engine.dialect.name)(model).on_conflict_do_nothing()


def upsert_adding(connection: Connection, model: type[Base], column: str) -> Any:
    """An INSERT that adds to `column` of the row that is there already, on both engines."""
    statement = insert_for(connection.dialect.name)(model)
    table: Any = model.__table__
    return statement.on_conflict_do_update(
        index_elements=[key.name for key in table.primary_key],
        set_={column: table.c[column] + statement.excluded[column]},
    )


def hold(session: Session | Connection, key: uuid.UUID) -> None:
    """Until this transaction ends nobody else holds `key`, which need not be that of a row.

    For what must not be done twice at once while there is no row to lock yet. On SQLite whoever
    is inside the door is alone anyway.
    """
    engine = session.get_bind() if isinstance(session, Session) else session.engine
    if engine.dialect.name == "postgresql":
        number = int.from_bytes(key.bytes[8:], signed=True)
        session.execute(select(func.pg_advisory_xact_lock(number)))


class _FileLock:
    """One writer per SQLite file over all threads and processes, first come first served nearly."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()

    @contextmanager
    def held(self, until: float) -> Iterator[None]:
        if not self._threads.acquire(timeout=max(0.0, until - time.monotonic())):
            raise Busy(_BUSY)
        try:
            # Opened anew each time, so that no process ever holds the lock of its parent.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock_file(descriptor, until)
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()


_LONGEST_PAUSE = 0.002


def let_others_in(engine: Engine) -> None:
    """Between two of many writes: long enough for whoever waits at the door to look again.

    Without it they meet the door shut time after time: the longest wait was half a second. What was
    written goes from the log into the file meanwhile, which nobody waits for here; otherwise every
    tenth write would do it inside the door, for 30 ms.
    """
    if engine.dialect.name != "sqlite":
        return
    began = time.perf_counter()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
    time.sleep(max(0.0, _LONGEST_PAUSE * 1.25 - (time.perf_counter() - began)))


def _lock_file(descriptor: int, until: float) -> None:
    # Most writes take well under a millisecond: ask often at first, then less and less.
    pause = 0.00005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise Busy(_BUSY) from None
            time.sleep(pause)
            pause = min(pause * 1.2, _LONGEST_PAUSE)


_locks: dict[str, _FileLock] = {}
_locks_guard = threading.Lock()
_inside = threading.local()


@contextmanager
def _door(engine: Engine, until: float) -> Iterator[None]:
    if getattr(_inside, "write", False):
        raise RuntimeError("write() inside write(): one door, one transaction")
    _inside.write = True
    try:
        path = engine.url.database
        if engine.dialect.name != "sqlite" or not path or path == ":memory:":
            yield
            return
        with _locks_guard:
            lock = _locks.setdefault(path, _FileLock(path + ".lock"))
        with lock.held(until):
            yield
    except OperationalError as error:
        if any(sign in str(error.orig) for sign in ("locked", "lock timeout", "deadlock")):
            raise Busy(_BUSY) from error
        raise
    finally:
        _inside.write = False


@contextmanager
def write(
    *rows: tuple[type[Base], Any],
    deadline: float = WRITE_DEADLINE,
    holding: uuid.UUID | None = None,
) -> Iterator[Session]:
    """The door for views and jobs: one transaction that commits at its end.

    `rows` are (model, key) pairs to lock, taken in one order everywhere; `holding` is a key to
    `hold` before them. Whatever was read before is forgotten, so that decisions rest on what is
    read inside. Raises Busy after `deadline` seconds of waiting; an exception inside rolls
    everything back.
    """
    session: Session = db.session()
    session.rollback()
    until = time.monotonic() + deadline
    with _door(db.engine, until):
        try:
            session.connection(execution_options={WRITE_OPTION: True, DEADLINE_OPTION: until})
            if holding is not None:
                hold(session, holding)
            for model, key in sorted(rows, key=lambda row: (row[0].__name__, str(row[1]))):
                session.get(model, key, with_for_update=True, populate_existing=True)
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


@contextmanager
def write_connection(
    engine: Engine, deadline: float = WRITE_DEADLINE, *, keep_foreign_keys: bool = True
) -> Iterator[Connection]:
    """The same door for code that needs no session: a connection, committed at the end.

    Migrations ask for it without foreign keys, which SQLite can switch only outside a transaction.
    """
    until = time.monotonic() + deadline
    # The connection first: nobody shall wait for the lock of one who waits for a connection.
    with engine.connect() as plain, _door(engine, until):
        switch = engine.dialect.name == "sqlite" and not keep_foreign_keys
        raw = plain.connection.dbapi_connection
        if switch and raw is not None:
            raw.execute("PRAGMA foreign_keys=OFF")
        try:
            options = {WRITE_OPTION: True, DEADLINE_OPTION: until}
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection
        finally:
            if switch and raw is not None:
                raw.execute("PRAGMA foreign_keys=ON")
