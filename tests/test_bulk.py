"""Rows that are written by the driver itself come back as they were, on both engines."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from portal.bulk import driver_rows, insert_all
from portal.db import db, new_id, write_connection
from tests.engines import migrated_app
from tracking.days import FIGURES
from tracking.models import Load
from tracking.sums import AssetSum, SearchSum

DAY = date(2026, 3, 10)
# PostgreSQL's text has no zero byte.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def test_words_with_quotes_braces_and_backslashes_come_back_as_they_were(app: Flask) -> None:
    table: Any = SearchSum.__table__
    kept = ['say "x"', "{a,b}", "back\\slash", "NULL", "", "Größe 'ß'", "null", ","]
    rows = [("day", DAY, words, 3, 1, b"\x80", None) for words in kept]
    with write_connection(db.engine) as connection:
        insert_all(connection, table, rows)
        found = connection.execute(select(table)).all()
    assert sorted(map(tuple, found)) == sorted(rows)


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS, unique=True, max_size=8), st.sampled_from(["sqlite", "postgresql"]))
def test_any_words_come_back(words: list[str], engine: str) -> None:
    table: Any = SearchSum.__table__
    rows = {("day", DAY, some, 1, 1, b"{}", DAY) for some in words}
    with migrated_app(engine).app_context(), write_connection(db.engine) as connection:
        connection.execute(delete(table))
        insert_all(connection, table, sorted(rows))
        assert {tuple(row) for row in connection.execute(select(table))} == rows
        connection.execute(delete(table))


def test_sets_and_large_numbers_come_back(app: Flask) -> None:
    table: Any = AssetSum.__table__
    values = {**dict.fromkeys(FIGURES, 7), "active": 2**40, "people": b"\x00{},\\", "partners": b""}
    values |= {"dwells": b"\x90", "grain": "day", "day": DAY, "audience": "partner"}
    values["asset_id"] = new_id()
    with write_connection(db.engine) as connection:
        insert_all(connection, table, [[values[column.name] for column in table.columns]])
        found = connection.execute(select(table)).mappings().one()
    assert dict(found) == values


def test_nothing_to_write_is_written_and_read(app: Flask) -> None:
    table: Any = SearchSum.__table__
    with write_connection(db.engine) as connection:
        insert_all(connection, table, [])
        assert list(driver_rows(connection, select(Load.id))) == []
