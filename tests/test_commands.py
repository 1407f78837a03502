"""Commands of the portal, on the databases of the tests."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import text, update

from portal import clock
from portal.accounts.service import zone
from portal.cli import portal
from portal.db import db, write_connection
from tests.factories import make_asset
from tests.live import free_port
from tests.people import lena
from tests.tracking.reports import post, row, slot_now, token_for
from tracking import metrics, rollups
from tracking.metrics import Scope
from tracking.sums import DayState, PartnerSum


def command(app: Flask, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Run a command on the database of `app`; returns what it printed."""
    settings = app.config["SETTINGS"]
    monkeypatch.setattr("portal.cli.create_app", lambda _settings: app)
    environ = {"PORTAL_DATA_DIR": str(settings.data_dir), "PORTAL_PORT": str(free_port())}
    db.session.remove()
    done = CliRunner().invoke(portal, words, env=environ)
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.output


# --- serve and run --------------------------------------------------------------------------------


class NoScheduler:
    """Stands in for the scheduler's process."""

    def __init__(self, *_command: object) -> None:
        pass

    def terminate(self) -> None:
        pass

    def wait(self, timeout: float = 0) -> int:
        return 0


def open_files() -> list[str]:
    """The names of all files that this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(entry))
    return found


def open_connections() -> list[str]:
    """What this process holds of the database, just before anybody asks it again."""
    kept = [f"pool {db.engine.pool.status()}"] if db.engine.pool.checkedin() else []  # type: ignore[attr-defined]
    if db.engine.dialect.name == "sqlite":
        return kept + [name for name in open_files() if str(db.engine.url.database) in name]
    mine = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with db.engine.connect() as connection:
        return kept + list(connection.scalars(text(f"SELECT query {mine}")))


@pytest.mark.parametrize("name", ["serve", "run"])
def test_no_connection_to_the_database_is_carried_over_into_a_worker(
    app: Flask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[list[str]] = []

    def start_workers(_server: Any) -> None:
        with app.app_context():
            seen.append(open_connections())

    monkeypatch.setattr("granian.Granian.serve", start_workers)
    monkeypatch.setattr("portal.server.subprocess.Popen", NoScheduler)
    with write_connection(db.engine):
        pass
    command(app, monkeypatch, name)
    assert seen == [[]]


# --- rebuild --------------------------------------------------------------------------------------


def views_on(day: date) -> int:
    """The views that a report prints for `day`."""
    db.session.rollback()
    return metrics.total(db.session(), Scope(day, day + timedelta(days=1))).views


def test_rebuild_computes_the_days_from_one_to_another_again_and_no_others(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, days = make_asset(), [date(2026, 3, n) for n in (10, 11, 12, 13)]
    for day in days:
        with clock.at(datetime(2026, 3, day.day, 12, 0, tzinfo=UTC)):
            token = token_for(lena(), asset)
            post(token, row(slot_now(), active=9_000), activated=clock.now_ms())
    rollups.rebuild_marked(db.engine, zone(), at_once=True)
    with write_connection(db.engine) as connection:
        # Every day is wrong now; the first one's raw rows are said to be gone.
        connection.execute(update(PartnerSum).values(views=7))
        connection.execute(
            update(DayState).where(DayState.day == days[0]).values(sealed_at=clock.now())
        )
    printed = command(app, monkeypatch, "rebuild", "--from", "2026-03-10", "--to", "2026-03-12")
    assert "1 days up to 2026-03-10 are sealed" in printed
    assert "2 days rebuilt" in printed
    assert [views_on(day) for day in days] == [7, 1, 1, 7]
    assert "1 days rebuilt" in command(app, monkeypatch, "rebuild", "--from", "2026-03-13")
    assert [views_on(day) for day in days] == [7, 1, 1, 1]
