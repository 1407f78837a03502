"""`POST /t` when the database cannot serve: 503 soon, nothing half stored, accepted later."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from flask import Flask, current_app
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError
from werkzeug.test import Client, TestResponse

from portal import clock
from portal.db import db, new_id, write_connection
from tests import engines
from tests.factories import make_asset
from tests.people import lena
from tests.tracking.reports import BROWSER, ORIGIN, newly_refused, row, slot_now, stored, token_for

SENDERS = 12
Trouble = Callable[[Flask], AbstractContextManager[Flask]]


def reports() -> list[bytes]:
    """A long report of each of many people: it needs more room than a page has left."""
    asset, person, began = make_asset(), lena(), clock.now() - timedelta(minutes=20)
    tokens = [token_for(person, asset, subject=new_id(), at=began) for _n in range(SENDERS)]
    lines = [row(slot_now(back), page, active=1) for back in range(60) for page in range(1, 6)]
    return [msgspec.json.encode({"t": token, "s": lines}) for token in tokens]


def send_all(app: Flask, bodies: list[bytes]) -> list[tuple[float, TestResponse]]:
    """Send all reports at once; each answer with the seconds it took."""

    def send(body: bytes) -> tuple[float, TestResponse]:
        began = time.monotonic()
        headers = {"Origin": ORIGIN, "User-Agent": BROWSER}
        answer = Client(app.wsgi_app).post("/t", data=body, headers=headers)
        return time.monotonic() - began, answer

    db.session.rollback()
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


@contextmanager
def locked(app: Flask) -> Iterator[Flask]:
    """Another writer does not come to an end."""
    engine, inside, done = db.engine, threading.Event(), threading.Event()

    def hold() -> None:
        with write_connection(engine) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE load IN EXCLUSIVE MODE"))
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5)
    try:
        yield app
    finally:
        done.set()
        thread.join()


@contextmanager
def full(app: Flask) -> Iterator[Flask]:
    """The file may not grow; PostgreSQL is read-only, as services make it when its disk is full."""
    db.session.remove()
    if db.engine.dialect.name == "sqlite":
        # What is empty inside the file goes first.
        with closing(sqlite3.connect(str(db.engine.url.database))) as plain:
            plain.execute("VACUUM")
        event.listen(db.engine, "checkout", _let_it_not_grow)
    else:
        _alter_postgresql("SET default_transaction_read_only = on")
    db.engine.dispose()
    try:
        yield app
    finally:
        if db.engine.dialect.name == "sqlite":
            event.remove(db.engine, "checkout", _let_it_not_grow)
        else:
            _alter_postgresql("RESET default_transaction_read_only")
        db.engine.dispose()


def _let_it_not_grow(connection: Any, *_more: object) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def _alter_postgresql(what: str) -> None:
    with db.engine.connect().execution_options(portal_write=True) as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))
        connection.execute(text(f'ALTER DATABASE "{db.engine.url.database}" {what}'))
        connection.commit()


@contextmanager
def away(app: Flask) -> Iterator[Flask]:
    """The folder of the database is not mounted; the address of PostgreSQL does not answer."""
    data = app.config["SETTINGS"].data_dir
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"sqlite:///{data / 'gone' / 'portal.db'}"
        if db.engine.dialect.name == "postgresql":
            address = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/portal"
        # The same keys: this is the same portal.
        settings = engines.settings_for("", data, PORTAL_DATABASE_URL=address)
        with engines.opened(settings) as other:
            yield other


@contextmanager
def exhausted(app: Flask) -> Iterator[Flask]:
    """Others have every connection that a process may open."""
    given = app.config["SETTINGS"]
    settings = engines.settings_for(
        "", given.data_dir, PORTAL_DATABASE_URL=given.database_url, PORTAL_THREADS="6"
    )
    with engines.opened(settings) as other, ExitStack() as others:
        for _n in range(2 * settings.threads):
            others.enter_context(db.engine.connect())
        yield other


@pytest.mark.parametrize("trouble", [locked, full, away, exhausted])
def test_reports_that_cannot_be_stored_now_are_told_so_soon_and_taken_later(
    app: Flask, trouble: Trouble
) -> None:
    bodies = reports()
    with trouble(app) as troubled:
        answers = send_all(troubled, bodies)
    assert [answer.status_code for _seconds, answer in answers] == [503] * SENDERS
    assert {answer.headers["Retry-After"] for _seconds, answer in answers} == {"2"}
    assert max(seconds for seconds, _answer in answers) < 3.5
    assert stored() == {"load": 0, "slot": 0, "mark": 0}
    assert {answer.status_code for _seconds, answer in send_all(app, bodies)} == {200}
    assert stored()["load"] == SENDERS


def test_when_too_many_wait_the_others_are_told_at_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = current_app.extensions["portal_beacon"].committer
    monkeypatch.setattr(committer, "_room", 3)
    monkeypatch.setattr(committer, "_patience", 0.5)
    bodies = reports()
    with locked(app):
        answers = send_all(app, bodies)
    assert [answer.status_code for _seconds, answer in answers] == [503] * SENDERS
    assert sum(seconds < 0.4 for seconds, _answer in answers) == SENDERS - 3
    assert {answer.headers["Retry-After"] for _seconds, answer in answers} == {"2"}
    assert stored()["load"] == 0
    monkeypatch.undo()
    assert {answer.status_code for _seconds, answer in send_all(app, bodies)} == {200}


def test_what_was_refused_is_still_counted_when_there_is_a_connection_again(app: Flask) -> None:
    newly_refused()
    counters = current_app.extensions["portal_beacon"].refused
    counters.count("form", 3)
    with exhausted(app):
        db.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError):
            counters.write(db.engine)
    assert newly_refused()["form"] == 3


def test_a_page_for_which_there_is_no_connection_says_that_it_is_for_a_while(app: Flask) -> None:
    with exhausted(app) as other:
        db.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
        answers = [other.test_client().get(path) for path in ("/sign-in", "/readyz")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "The portal cannot answer now" in answers[0].text
