"""What every test may ask for: the application on both engines, and browsers signed in."""

from __future__ import annotations

import contextvars
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, has_app_context
from flask.testing import FlaskClient

from portal import clock, demo
from portal.accounts.models import User
from portal.accounts.service import set_up, start_session
from portal.accounts.sessions import COOKIE
from portal.clock import now
from portal.db import db, write
from portal.deals.policy_versions import ensure_policy
from tests import engines
from tests.factories import LONG_AGO
from tests.pages import check_page

Browse = Callable[[User | None], FlaskClient]


class Browser(FlaskClient):
    """A client whose requests see only what is committed, and whose pages keep the house rules."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        if not has_app_context():
            # Following a redirect, we are inside already.
            return super().open(*args, **kwargs)
        db.session.rollback()
        # An empty context: the request must not find the test's own application context.
        response = contextvars.Context().run(super().open, *args, buffered=True, **kwargs)
        db.session.rollback()
        check_page(response)
        return response


@pytest.fixture(scope="session", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    engines.close()


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The data folder of a portal with the demo company on SQLite, filled once. Copy it."""
    folder = engines.folder() / "demo_company"
    with engines.opened(engines.settings_for("sqlite", folder, migrated=True)):
        with clock.at(now().replace(microsecond=0)):
            demo.fill()
        db.session.remove()
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end. (Groups are
    begun before all others anyway.)"""
    if config.getoption("loadgroup", default=False):
        items.sort(key=lambda item: item.get_closest_marker("takes_long") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where tests that share something slow would not share it: pytest-xdist and
    pytest have fallen out over groups before, without a word, and everything took twice as long."""
    # What is loaded by now stays: it is not looked through for garbage again and again.
    gc.collect()
    gc.freeze()
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError("This pytest does not keep groups of tests together.")


@pytest.fixture(params=engines.ENGINES)
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The portal of Nordwerk in Berlin, set up a moment ago, with nobody in it."""
    application = engines.migrated_app(request.param)
    application.test_client_class = Browser
    application.config.update(WTF_CSRF_ENABLED=False, PREFERRED_URL_SCHEME="http")
    with application.app_context():
        engines.empty(application)
        with write() as session:
            set_up(
                session, company="Nordwerk", timezone="Europe/Berlin", privacy_mode="pseudonymous"
            )
            ensure_policy(session, LONG_AGO)
        yield application
        db.session.remove()


@pytest.fixture
def browse(app: Flask) -> Browse:
    """`browse(lena())` is a browser with Lena signed in, `browse(None)` one of a stranger."""

    def browser(user: User | None) -> FlaskClient:
        client = app.test_client()
        if user is not None:
            with write() as session:
                token = start_session(session, session.get_one(User, user.id), "test", now())
            client.set_cookie(COOKIE, token)
        return client

    return browser
