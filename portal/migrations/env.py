"""How migrations run: on the application's own engine, through the write door.

On SQLite a changed table is copied and the old one dropped; with foreign keys on that would delete
its children. So they are off while migrating, and checked at the end.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.operations import ops
from flask import current_app
from sqlalchemy.engine import Connection

from portal.db import Base, write_connection

config = context.config


def _no_empty_revision(_context: Any, _revision: Any, directives: list[Any]) -> None:
    if config.cmd_opts and getattr(config.cmd_opts, "autogenerate", False):
        script = directives[0]
        assert isinstance(script, ops.MigrationScript)
        if script.upgrade_ops is not None and script.upgrade_ops.is_empty():
            directives[:] = []


def _render_type(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    if kind == "type" and type(item).__module__ == "portal.db":
        autogen_context.imports.add("import portal.db")
        return f"portal.db.{type(item).__name__}()"
    return False


def run() -> None:
    """Bring the database to the revision asked for."""
    engine = current_app.extensions["migrate"].db.engine
    with write_connection(engine, deadline=60, keep_foreign_keys=False) as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            render_item=_render_type,
            process_revision_directives=_no_empty_revision,
        )
        context.run_migrations()
        _check_foreign_keys(connection)


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        raise RuntimeError(f"the migration would leave rows without a parent: {orphans[:5]}")


run()
