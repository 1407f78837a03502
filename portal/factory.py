"""How the application is put together: the only module that knows every area."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy
from flask import Flask, current_app, request
from flask_babel import Babel
from flask_bootstrap import Bootstrap5
from flask_compress import Compress
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

import tracking.models
from portal import formatting, job_views, pages, tables
from portal.accounts import absence_views, held_views, notice_views, sessions
from portal.accounts import views as accounts
from portal.accounts.access import signed_in_user
from portal.accounts.service import installation, zone
from portal.clock import now
from portal.config import Settings
from portal.content import edit_views, share_views
from portal.content import views as content
from portal.content.storage import Storage
from portal.db import db, instrument, migrate
from portal.deals import (
    account_views,
    calendar_views,
    customer_views,
    form_views,
    import_views,
    list_views,
    queue_views,
    rule_views,
    talk_views,
)
from portal.deals import views as deals
from portal.imports import partners, people
from portal.imports import views as imports
from portal.leads import ask_views
from portal.leads import importer as lead_importer
from portal.leads import rule_views as lead_rule_views
from portal.leads import views as leads
from portal.logs import log_requests
from portal.reports import (
    baseline_import,
    baseline_views,
    deal_views,
    engagement_views,
    lead_views,
    rate_import,
    rate_views,
    record_views,
    rollout_views,
    satisfaction_views,
    wave_views,
)
from portal.reports import views as reports
from portal.security import Keys
from surveys import answer_views, follow_up_views, questionnaire_views
from surveys import views as surveys
from tracking import beacon

PACKAGE = Path(__file__).parent
csrf = CSRFProtect()

# Everything comes from this server; charts draw SVG and need no style attribute of ours.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}


# A server that is away is noticed in seconds, and one that came back is taken up again.
_POSTGRESQL = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 2}}


def build(settings: Settings, *, testing: bool = False) -> Flask:
    """The application, with its database, pages, headers and the attention endpoint."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = Flask("portal", template_folder=str(_templates()), static_folder="static")
    keys = Keys.load(settings.data_dir)
    app.config.update(
        SETTINGS=settings,
        TESTING=testing,
        SECRET_KEY=keys.all[0],
        SECRET_KEY_FALLBACKS=keys.all[1:],
        SESSION_COOKIE_NAME="portal_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            # Fewer than threads: most wait for a commit or a file, and PostgreSQL's are dear.
            "pool_size": min(settings.threads, 16),
            "max_overflow": min(settings.threads, 16),
            "pool_timeout": 2,
            **(_POSTGRESQL if settings.database_url.startswith("postgresql") else {}),
        },
        MAX_CONTENT_LENGTH=settings.max_upload_bytes,
        MAX_FORM_MEMORY_SIZE=1024 * 1024,
        SEND_FILE_MAX_AGE_DEFAULT=31_536_000,
        WTF_CSRF_TIME_LIMIT=None,
        BOOTSTRAP_SERVE_LOCAL=True,
        # Pages carry form tokens and are never compressed (BREACH); styles and scripts are.
        COMPRESS_MIMETYPES=[
            "text/css",
            "text/javascript",
            "application/javascript",
            "image/svg+xml",
        ],
        COMPRESS_ALGORITHM=["br", "gzip"],
        # Files are streams: there zstd makes more bytes of a script, and gzip is not to be had.
        COMPRESS_ALGORITHM_STREAMING=["br", "deflate"],
        COMPRESS_BR_LEVEL=5,
        BABEL_TRANSLATION_DIRECTORIES=str(PACKAGE / "translations"),
    )
    app.extensions["portal_keys"] = keys
    app.extensions["portal_storage"] = Storage(settings.files_url)
    _connect_database(app)
    app.before_request(_limit_forms)
    csrf.init_app(app)
    # Mail programs unsubscribe without our token; the view asks everybody else for it.
    csrf.exempt(answer_views.unsubscribe)
    Bootstrap5(app)
    Compress(app)
    Babel(app, locale_selector=_locale, timezone_selector=lambda: str(zone()))  # type: ignore[no-untyped-call]
    app.jinja_env.filters.update(formatting.FILTERS)
    app.jinja_env.filters["day_of"] = lambda value: formatting.day_of(value, zone())
    app.jinja_env.filters["moment"] = lambda value: formatting.moment(value, zone())
    app.jinja_env.filters["clock_time"] = lambda value: formatting.clock_time(value, now(), zone())
    app.jinja_env.filters["soon"] = lambda value: formatting.soon(value, now(), zone())
    app.jinja_env.filters["ago"] = lambda value: formatting.ago(value, now(), zone())
    app.jinja_env.globals["count"] = formatting.count
    app.jinja_env.globals["table_cell"] = tables.cell
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    log_requests(app)
    sessions.init_app(app)
    pages.init_app(app)
    for area in (accounts, content, imports, leads, deals, surveys, reports, job_views):
        app.register_blueprint(area.bp)
    app.after_request(_harden)
    _mount_beacon(app, settings, keys)
    return app


def _templates() -> Path:
    packaged = PACKAGE / "templates"
    return packaged if packaged.is_dir() else PACKAGE.parent / "templates"


def _connect_database(app: Flask) -> None:
    db.init_app(app)
    migrate.init_app(app, db, directory=str(PACKAGE / "migrations"))
    with app.app_context():
        instrument(db.engine)
        sqlalchemy.orm.configure_mappers()


def _mount_beacon(app: Flask, settings: Settings, keys: Keys) -> None:
    with app.app_context():
        engine = db.engine
    endpoint = beacon.Beacon(lambda: engine, keys, settings.url, settings.threads, _zone_of(app))
    app.extensions["portal_beacon"] = endpoint
    app.wsgi_app = beacon.mount(app.wsgi_app, endpoint)  # type: ignore[method-assign, assignment]
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]


def _zone_of(app: Flask) -> Callable[[], ZoneInfo]:
    known: list[ZoneInfo] = []

    def zone_once() -> ZoneInfo:
        # Fixed at setup, so a worker asks once; before setup there is nothing to report about.
        if not known:
            with app.app_context():
                if installation() is None:
                    return zone()
                known.append(zone())
        return known[0]

    return zone_once


def _limit_forms() -> None:
    """The parser limits the fields of forms with files; one without is read at once, as a whole."""
    if request.mimetype == "application/x-www-form-urlencoded":
        request.max_content_length = current_app.config["MAX_FORM_MEMORY_SIZE"]


def _harden(response):  # type: ignore[no-untyped-def]
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith(("/static/", "/bootstrap/")):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _locale() -> str:
    user = signed_in_user()
    return user.locale if user else "en"


# Imported for what they bring along: routes, and tables of the metadata.
_ = (
    absence_views,
    account_views,
    answer_views,
    ask_views,
    baseline_import,
    baseline_views,
    calendar_views,
    customer_views,
    deal_views,
    edit_views,
    engagement_views,
    follow_up_views,
    form_views,
    held_views,
    import_views,
    lead_importer,
    lead_rule_views,
    lead_views,
    list_views,
    notice_views,
    partners,
    people,
    questionnaire_views,
    queue_views,
    rate_import,
    rate_views,
    record_views,
    rollout_views,
    satisfaction_views,
    wave_views,
    rule_views,
    share_views,
    talk_views,
    tracking.models,
)
