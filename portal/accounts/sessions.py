"""The cookie: who is asking, on every request."""

from __future__ import annotations

from flask import Flask, abort, current_app, g, has_request_context, request
from werkzeug.wrappers import Response

from portal.accounts.models import User, UserSession
from portal.accounts.service import (
    SEEN_EVERY,
    end_session,
    find_session,
    installation,
    start_session,
)
from portal.clock import now
from portal.db import db, write

COOKIE = "portal_session"
# Assets and probes need nobody, and must not cost a query.
UNPERSONAL = ("/static/", "/bootstrap/", "/healthz", "/readyz")


def init_app(app: Flask) -> None:
    """Load the person before each request and hand the cookie out after signing in."""

    @app.before_request
    def refuse_what_is_no_text() -> None:
        """PostgreSQL keeps no zero byte, and nobody types one."""
        if "\0" in request.path:
            abort(404)
        said = [*request.args.items(multi=True), *request.form.items(multi=True)]
        said += [(name, file.filename or "") for name, file in request.files.items(multi=True)]
        if any("\0" in text for pair in said for text in pair):
            abort(400)

    @app.before_request
    def load() -> None:
        g.user, g.user_session = None, None
        token = request.cookies.get(COOKIE)
        if not token or request.path.startswith(UNPERSONAL):
            return
        found = find_session(db.session(), token, now())
        if found is not None and now() - found.last_seen_at > SEEN_EVERY:
            found = _touch(token)
        if found is not None:
            g.user_session, g.user = found, found.user

    @app.context_processor
    def who() -> dict[str, object]:
        # Mails are rendered without a request.
        personal = not has_request_context() or not request.path.startswith(UNPERSONAL)
        row = installation() if personal else None
        return {"user": g.get("user"), "company": row.company if row else "Partner portal"}


def _touch(token: str) -> UserSession | None:
    with write() as session:
        found = find_session(session, token, now())
        if found is not None:
            found.last_seen_at = now()
    return found


def sign_in(user: User, response: Response) -> Response:
    """Start a session for `user` and set its cookie on `response`."""
    with write() as session:
        fresh = session.get_one(User, user.id)
        token = start_session(session, fresh, request.user_agent.string, now())
    set_cookie(token, response)
    return response


def set_cookie(token: str, response: Response) -> None:
    """Hand the session's token to the browser: HttpOnly, SameSite, Secure where https is used."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=30 * 24 * 3600,
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SETTINGS"].secure,
    )


def sign_out(response: Response) -> Response:
    """End this browser's session."""
    if g.user_session is not None:
        session_id = g.user_session.id
        with write() as session:
            end_session(session, session_id, now())
    response.delete_cookie(COOKIE)
    return response
