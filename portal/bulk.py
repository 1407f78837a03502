"""Many rows at once, by the driver itself.

Context: taking reports and rebuilding days write thousands of rows at a time; SQLAlchemy looks at
every value of each, which took a third of both.
Decision: the statement is compiled once, and the driver is given values by position, in the order
of the table's columns: row by row on SQLite, as one list for each column on PostgreSQL, where a
statement for each row costs twice as much.
Consequences: values must be as the driver takes them, which `ready` sees to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import ARRAY, Executable, Table, bindparam, cast, func, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

_AT_ONCE = 1000


class BulkInsert:
    """An INSERT, with or without ON CONFLICT, of all columns of its table."""

    def __init__(self, statement: Any, dialect: Any) -> None:
        self._by_column = dialect.name == "postgresql"
        self._text = (
            _by_column(statement, dialect)
            if self._by_column
            else str(statement.compile(dialect=dialect))
        )
        types = [column.type.dialect_impl(dialect) for column in statement.table.columns]
        processors = [of_type.bind_processor(dialect) for of_type in types]
        self._converters = [(place, fit) for place, fit in enumerate(processors) if fit]

    def ready(self, rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """`rows` of plain values, as the driver takes them."""
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        if columns:
            for place, fit in self._converters:
                columns[place] = map(fit, columns[place])
        return list(zip(*columns, strict=True))

    def write(self, cursor: Any, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows`, which are ready, by a cursor of the driver."""
        if not rows:
            return
        if self._by_column:
            cursor.execute(self._text, [_list_of(column) for column in zip(*rows, strict=True)])
        else:
            cursor.executemany(self._text, rows)


@lru_cache(maxsize=64)
def _plain(table: Table, dialect: Any) -> BulkInsert:
    return BulkInsert(insert(table), dialect)


def insert_all(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of values, each in the order of the table's columns."""
    plain = _plain(table, connection.dialect)
    cursor: Any = connection.connection.cursor()
    try:
        plain.write(cursor, plain.ready(rows))
    finally:
        cursor.close()


def driver_rows(
    connection: Connection, query: Executable, asked: Mapping[str, Any] | None = None
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query as the driver gives them, a few at a time: moments are left as they are,
    and so are keys, if they are not asked for as `Raw`."""
    return chain.from_iterable(_parts_of(connection.execute(query, asked)))


def _parts_of(result: Any) -> Iterator[list[tuple[Any, ...]]]:
    while some := result.cursor.fetchmany(_AT_ONCE):
        yield some
    result.close()


class Raw(FunctionElement[Any]):
    """A key as the 16 bytes that it is, on both engines: a UUID takes as long to make as a row to
    read, and is compared and looked up in Python. Both sort alike."""

    type = NullType()
    inherit_cache = True


@compiles(Raw)
def _as_it_is(element: Raw, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(Raw, "postgresql")
def _sent(element: Raw, compiler: Any, **options: Any) -> str:
    return f"uuid_send({compiler.process(element.clauses, **options)})"


def _by_column(statement: Any, dialect: Any) -> str:
    columns = statement.table.columns
    lists = (cast(bindparam(c.name), ARRAY(c.type.dialect_impl(dialect))) for c in columns)
    rows = func.unnest(*lists).table_valued(*columns.keys()).render_derived()
    by_position = type(dialect)(paramstyle="format")
    return str(statement.from_select(columns.keys(), select(rows)).compile(dialect=by_position))


def _list_of(values: tuple[Any, ...]) -> Any:
    """A column of values as PostgreSQL reads it. Most are left to the driver, which quotes them;
    keys and numbers it would look through for quotes one by one."""
    some = next((value for value in values if value is not None), None)
    if isinstance(some, (int, uuid.UUID)):
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
    return list(values)
