"""Error pages in the portal's own layout, and the two questions a monitor asks."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, g, jsonify, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError, SQLAlchemyError, TimeoutError
from werkzeug.exceptions import HTTPException

from portal.accounts.access import public
from portal.db import db
from portal.errors import PortalError, TooMany
from portal.health import degraded, migrations_are_current
from portal.logs import log

bp = Blueprint("pages", __name__)


def sentences(status: int) -> tuple[str, str]:
    """What happened and what to do, for an HTTP status."""
    texts = {
        400: (_("That did not work"), _("The request was not understood. Go back and try again.")),
        403: (_("Not allowed"), _("You may not do this. Ask your administrator if you should.")),
        404: (_("Not found"), _("There is no such page, or it is not for you.")),
        405: (_("That did not work"), _("The page cannot be used in this way.")),
        409: (_("Not possible now"), _("This cannot be done in the present state.")),
        410: (_("No longer there"), _("This has ended. Ask whoever gave you the link.")),
        413: (_("Too large"), _("The file is larger than this portal accepts.")),
        429: (_("Too many attempts"), _("Please wait a while and try again.")),
        503: (_("Busy"), _("The portal cannot answer now. Please try again in a moment.")),
    }
    fallback = (_("Something broke"), _("The fault is ours and has been logged. Try again."))
    return texts.get(status, fallback)


def _page(status: int, sentence: str = "", headers: dict[str, str] | None = None) -> Response:
    title, usual = sentences(status)
    g.setdefault("user", None)
    body = render_template("errors/error.html", title=title, sentence=sentence or usual)
    return Response(body, status, headers)


def init_app(app: Flask) -> None:
    """Register the error pages and the health routes."""
    app.register_blueprint(bp)

    @app.errorhandler(PortalError)
    def refused(error: PortalError) -> Response:
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
        # Sentences of pure modules are only marked; here they are translated.
        return _page(error.status, _(str(error)), headers)

    @app.errorhandler(CSRFError)
    def stale_form(_error: CSRFError) -> Response:
        return _page(400, _("This form is too old. Go back, reload the page and send it again."))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if error.code is not None and error.code < 400:
            return Response(error.get_response())  # type: ignore[arg-type]
        return _page(error.code or 500)

    @app.errorhandler(OperationalError)
    @app.errorhandler(TimeoutError)
    def database_away(error: SQLAlchemyError) -> Response:
        log.error("database", exc_info=error)
        g.installation = None  # the page would ask for the company's name
        return _page(503)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        log.error("broken", exc_info=error, extra={"fields": {"method": request.method}})
        return _page(500)


@bp.get("/healthz")
@public
def healthz() -> Response:
    """Whether this process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
def readyz() -> tuple[Response, int]:
    """Whether the portal can serve: database and migrations; what else is wrong is `degraded`."""
    try:
        ready = migrations_are_current(db.session.connection())
    except (OperationalError, TimeoutError):
        return jsonify(status="unavailable", reason="database"), 503
    if not ready:
        return jsonify(status="unavailable", reason="migrations"), 503
    troubles: list[Any] = degraded(db.session())
    return jsonify(status="degraded" if troubles else "ok", degraded=troubles), 200
