"""What a database wants done now and then.

Context: SQLite chooses its indexes by how rows are spread over them, and knows that only if it is
told to look; without it a page over twelve months took up to three times as long. It looks at every
row unless limited, which on ten million views took half a minute inside the door. And connections
that are open go on with what was known when they were opened, unless the schema has changed.
Decision: a sample of each index, once a day, and the table of the findings made anew, which all
connections notice.
"""

from __future__ import annotations

from sqlalchemy.engine import Engine

from portal.db import write_connection

# Rows of each index that are looked at: more than an index has of one partner or asset, or all
# indexes look the same to it. With all rows some pages were slower than with none.
SAMPLE = 5000


def learn_sizes(engine: Engine) -> int:
    """Let SQLite see how many rows there are and how they are spread; returns for how many tables
    and indexes it knows. PostgreSQL does it by itself: 0."""
    if engine.dialect.name != "sqlite":
        return 0
    with write_connection(engine) as connection:
        connection.exec_driver_sql(f"PRAGMA analysis_limit={SAMPLE}")
        connection.exec_driver_sql("DROP TABLE IF EXISTS sqlite_stat1")
        connection.exec_driver_sql("ANALYZE")
        found: int = connection.exec_driver_sql("SELECT count(*) FROM sqlite_stat1").scalar_one()
        return found
