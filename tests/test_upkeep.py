"""What the database wants done now and then."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.engine import Connection

from portal.db import db, write_connection
from portal.upkeep import learn_sizes

IN_ORDER = "SELECT * FROM trade WHERE country = 'DE' ORDER BY number"


def plan(connection: Connection) -> str:
    """How the query is answered. It is asked first: explaining alone looks at no table, and would
    not notice that something has changed."""
    connection.exec_driver_sql(IN_ORDER).all()
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {IN_ORDER}").all()
    return " ".join(str(row[3]) for row in rows)


def test_sqlite_learns_which_index_helps_and_open_connections_notice(app: Flask) -> None:
    if db.engine.dialect.name != "sqlite":
        assert learn_sizes(db.engine) == 0  # it looks by itself
        return
    assert learn_sizes(db.engine) >= 0
    with write_connection(db.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE trade (country TEXT, number INTEGER)")
        connection.exec_driver_sql("CREATE INDEX by_number ON trade (number)")
        connection.exec_driver_sql("CREATE INDEX by_country ON trade (country)")
        rows = [("DE", number) for number in range(2000)]
        connection.exec_driver_sql("INSERT INTO trade VALUES (?, ?)", rows)
    try:
        with db.engine.connect() as reader:
            assert "by_country" in plan(reader)
            reader.rollback()
            assert learn_sizes(db.engine) >= 2
            assert "by_number" in plan(reader)
    finally:
        with write_connection(db.engine) as connection:
            connection.exec_driver_sql("DROP TABLE trade")
