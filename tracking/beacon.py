"""`POST /t`: reports of attention from browsers, durable when answered with 200.

A small WSGI application of its own, because it needs neither session nor template. A report is
checked completely before the database is touched; 4xx means "drop it", 429 and 503 "try again".
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.engine import Engine

from portal import clock
from portal.errors import PortalError
from portal.security import Keys
from tracking.committer import Committer, Entry
from tracking.dwell import SLOT_MS, Buckets
from tracking.events import MAX_PAGES, Token, read_token
from tracking.intake import RateLimit, RefusalCounts, is_program
from tracking.watching import MAX_SECONDS, Playing, is_possible

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/t"
MAX_BYTES, MAX_DIGITS = 64 * 1024, 10
MAX_AGE_MS = 48 * 3600 * 1000
SLOTS_AHEAD = 2
_log = logging.getLogger(__name__)

_Time = Annotated[int, msgspec.Meta(ge=0, le=2**45)]
_SlotNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Page = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGES)]
_Ms = Annotated[int, msgspec.Meta(ge=0, le=SLOT_MS)]
_Row = tuple[_SlotNumber, _Page, _Ms, _Ms, _Ms, _Ms]


class Played(msgspec.Struct, forbid_unknown_fields=True):
    """A recording: its seconds that ran as a bitmap (base64), how long it ran, its length."""

    b: Annotated[str, msgspec.Meta(max_length=4000)]
    p: _Time
    d: Annotated[int, msgspec.Meta(ge=0, le=MAX_SECONDS)]


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser posts: the token, cumulative slots, the moment of activation, the moment the
    reader left, whether a program says that it is one, and what was played."""

    t: Annotated[str, msgspec.Meta(max_length=2000)]
    s: Annotated[list[_Row], msgspec.Meta(max_length=4000)]
    a: _Time | None = None
    left: _Time | None = msgspec.field(default=None, name="l")
    m: bool = False
    v: Played | None = None


_decode = msgspec.json.Decoder(Report, strict=True).decode


class BadReport(PortalError):
    """The report is not one that our script makes."""


class TooLarge(BadReport):
    """The report is longer than any our script makes."""

    status = 413


class TooMany(PortalError):
    """This person reports more often than our script does."""

    status = 429


class Foreign(BadReport):
    """The report comes from another site's page or carries no token of ours."""

    status = 403


class Beacon:
    """The endpoint. `engine` and `zone` are asked for late, after a worker has started."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        keys: Keys,
        allowed_origin: str,
        threads: int,
        zone: Callable[[], ZoneInfo],
    ) -> None:
        self.committer = Committer(engine, zone, waiting=max(1, threads // 2))
        self.refused = RefusalCounts()
        self._engine = engine
        self._limit = RateLimit()
        self._origin = allowed_origin

        @lru_cache(maxsize=4096)
        def known(text: str) -> Token:
            return read_token(keys, text)

        self._read_token = known

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] != "POST":
            return _answer(
                start_response, 405, {"error": "Reports are posted."}, [("Allow", "POST")]
            )
        try:
            skipped = self._take(environ)
        except PortalError as error:
            self.refused.count(_REASON_OF.get(error.status, "form"))
            return _answer(start_response, error.status, {"error": str(error)})
        except Exception:
            self.refused.count("failed")
            _log.exception("a report could not be stored")
            return _answer(start_response, 503, {"error": "Please try again."})
        if skipped:
            self.refused.count("stale", skipped)
        return _answer(start_response, 200, {"now": clock.now_ms(), "skipped": skipped})

    def _take(self, environ: WSGIEnvironment) -> int:
        self._check_origin(environ)
        report = _parse(_body(environ))
        try:
            token = self._read_token(report.t)
        except ValueError:
            raise Foreign("This token was not made here.") from None
        if not self._limit.allows(token.subject):
            raise TooMany("Too many reports at once; they are repeated by themselves.")
        entry, skipped = accept(token, report, clock.now_ms())
        if is_program(environ.get("HTTP_USER_AGENT", "")):
            entry.machine = True
        if entry.slots or entry.activated_at is not None or entry.watched is not None:
            self.committer.store(entry)
        return skipped + entry.late

    def write_refusals(self, main: threading.Thread, every: float = 60.0) -> None:
        """Write down what was refused every so many seconds, and once more when `main` has ended.

        Not for a daemon: the process has to wait for the last writing.
        """
        while main.is_alive():
            main.join(every)
            try:
                self.refused.write(self._engine())
            except Exception as error:  # the database may be busy or away for a while
                _log.warning("refused reports could not be counted: %s", type(error).__name__)

    def _check_origin(self, environ: WSGIEnvironment) -> None:
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.lower() != self._origin:
            raise Foreign("Reports are taken from this portal's own pages only.")
        if origin is None and environ.get("HTTP_SEC_FETCH_SITE") == "cross-site":
            raise Foreign("Reports are taken from this portal's own pages only.")


def _body(environ: WSGIEnvironment) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise BadReport("The length of the report is not a number.")
    if len(length) > MAX_DIGITS or int(length or 0) > MAX_BYTES:
        raise TooLarge("The report is too long.")
    body: bytes = environ["wsgi.input"].read(int(length) if length else MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise TooLarge("The report is too long.")
    return body


def _parse(body: bytes) -> Report:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadReport(f"The report has another form: {error}") from None


def accept(token: Token, report: Report, now_ms: int) -> tuple[Entry, int]:
    """The part of a well-formed report that counts, and the number of rows too old to count.

    Raises BadReport for what an honest browser never says: time outside the life of the page,
    pages the document lacks, more than 15 s in a slot.
    """
    ahead = now_ms // SLOT_MS + SLOTS_AHEAD
    first, last = token.issued_at // SLOT_MS, token.expires_at // SLOT_MS
    oldest = (now_ms - MAX_AGE_MS) // SLOT_MS
    pages = max(1, token.page_count)
    slots: dict[tuple[int, int], Buckets] = {}
    filled: dict[int, int] = {}
    skipped = 0
    for slot, page, *buckets in report.s:
        if slot < oldest:
            skipped += 1
            continue
        if slot > ahead or not first <= slot <= last:
            raise BadReport("A slot lies outside the life of this page.")
        if page > pages or (slot, page) in slots:
            raise BadReport("A page is not in this document, or comes twice in a slot.")
        filled[slot] = filled.get(slot, 0) + sum(buckets)
        if filled[slot] > SLOT_MS:
            raise BadReport("A slot has 15 seconds.")
        if any(buckets):
            slots[slot, page] = (buckets[0], buckets[1], buckets[2], buckets[3])
    entry = Entry(token, _activation(token, report.a, bool(slots), now_ms), slots)
    # A tab that is closed after the life of its token has been left at its end.
    left = None if report.left is None else min(report.left, token.expires_at - 1)
    entry.left_at = _moment(token, left, now_ms)
    entry.machine = report.m
    entry.watched = _playing(token, report.v, now_ms)
    return entry, skipped


def _activation(token: Token, at: int | None, is_read: bool, now_ms: int) -> int | None:
    """When the page was first looked at; `is_read`: the report has attention that counts."""
    earliest = now_ms - MAX_AGE_MS
    if at is not None and at < earliest and is_read:
        # Activated too long ago and read since: a view, from the first moment that is taken.
        at = min(earliest, token.expires_at)
    if at is not None and token.expires_at < at <= now_ms + SLOTS_AHEAD * SLOT_MS:
        # A tab that is touched only after the life of its token has not been looked at.
        return None
    return _moment(token, at, now_ms)


def _playing(token: Token, played: Played | None, now_ms: int) -> Playing | None:
    if played is None or token.expires_at < now_ms - MAX_AGE_MS:
        return None
    try:
        seconds = int.from_bytes(base64.b64decode(played.b, validate=True), "little")
    except ValueError:
        raise BadReport("What was played is not a bitmap.") from None
    playing = Playing(seconds, played.p, played.d)
    if token.version_id is None or not is_possible(playing, now_ms - token.issued_at):
        raise BadReport("More was played than this page had time for.")
    return playing


def _moment(token: Token, moment: int | None, now_ms: int) -> int | None:
    if moment is None or moment < now_ms - MAX_AGE_MS:
        return None
    if not token.issued_at <= moment <= min(token.expires_at, now_ms + SLOTS_AHEAD * SLOT_MS):
        raise BadReport("A moment lies outside the life of this page.")
    return moment


# What the administrator reads about a report that was not taken.
_REASON_OF = {403: "token", 413: "size", 429: "rate", 503: "busy"}
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def _answer(
    start_response: StartResponse,
    status: int,
    value: dict[str, Any],
    extra: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    body = msgspec.json.encode(value)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *extra,
    ]
    if status in (429, 503):
        headers.append(("Retry-After", "2"))
    start_response(f"{status} {_REASONS[status]}", headers)
    return [body]


def mount(app: WSGIApplication, beacon: Beacon) -> WSGIApplication:
    """`app` with the endpoint beside it, at `/t`."""

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == PATH:
            return beacon(environ, start_response)
        return app(environ, start_response)

    return dispatch
