"""What every test may ask for: the application on both engines, and browsers signed in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, has_app_context
from flask.testing import FlaskClient

from portal.accounts.models import User
from portal.accounts.service import set_up, start_session
from portal.accounts.sessions import COOKIE
from portal.clock import now
from portal.db import db, write
from portal.deals.service import ensure_policy
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
