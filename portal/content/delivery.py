"""Handing files out: conditional and range requests, and what of a granted file was really sent.

A grant is one download. The bytes that left the server are added to it when a response ends, so
that a download is known to have started, and to be complete when they are the whole file. What
the server asked to send next has left it; what it never came to ask after has not.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator

from flask import current_app, request
from sqlalchemy import select
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response
from werkzeug.wsgi import wrap_file

from portal.accounts.service import zone
from portal.content.models import AssetVersion
from portal.content.storage import storage
from portal.db import db, write
from portal.logs import log
from tracking import events
from tracking.events import Viewer
from tracking.intake import is_ahead, is_program
from tracking.models import Download

CHUNK = 256 * 1024


def grant(who: Viewer, version: AssetVersion, *, part: bool = False) -> uuid.UUID | None:
    """The download under which `who` fetches this file, or a part of it: a new one, or the one it
    goes on with. None when nothing is recorded of them any more."""
    asset_id, version_id, size = version.asset_id, version.id, version.size
    with write() as session:
        found = events.grant_download(session, who, asset_id, version_id, size, zone(), part=part)
        return None if found is None else found.id


def is_by_person() -> bool:
    """Whether this request is a person's: no program's, and none of a browser that fetches ahead.
    Others get the file, too, and are not counted."""
    return not (is_ahead(request.environ) or is_program(request.user_agent.string))


def is_granted(grant_id: uuid.UUID, share_id: uuid.UUID, version_id: uuid.UUID) -> bool:
    """Whether this is a grant of that file to whoever has that link."""
    query = select(Download.id).where(
        Download.id == grant_id, Download.share_id == share_id, Download.version_id == version_id
    )
    return db.session.scalar(query) is not None


def download(version: AssetVersion, granted: Callable[[bool], uuid.UUID | None] | None) -> Response:
    """The file, to be saved and never shown inside the portal's own origin.

    `granted` is asked, and told whether it is for a part, only when bytes are really to be sent to
    a person: not for the head of the file, and not for a file that has not changed. None: whoever
    fetches it is not measured.
    """
    response = _file(version)
    name = secure_filename(version.filename) or "file"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    is_sent = request.method != "HEAD" and response.status_code in (200, 206)
    if granted is not None and is_sent and is_by_person():
        download_id = granted(response.status_code == 206)
        if download_id is not None:
            _count(response, version.size, download_id)
    return response


def play(version: AssetVersion) -> Response:
    """A recording, in the parts that the player asks for. What was seen is said by the page."""
    return _file(version)


def _file(version: AssetVersion) -> Response:
    stream = storage().open(version.file_key)
    environ = dict(request.environ)
    if not _is_one_part(version.size):
        environ.pop("HTTP_RANGE", None)
    response = Response(
        wrap_file(environ, stream, CHUNK),
        mimetype=version.media_type,
        direct_passthrough=True,
    )
    response.set_etag(version.sha256)
    response.content_length = version.size
    try:
        return response.make_conditional(environ, accept_ranges=True, complete_length=version.size)
    except RequestedRangeNotSatisfiable:
        stream.close()
        raise


def _is_one_part(size: int) -> bool:
    """Whether one part of the file is asked for. What is no range, several, or more than all from
    the end gets the whole file, as RFC 9110 allows or wants."""
    asked = request.range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return False
    return asked.ranges[0][0] >= -size


def _count(response: Response, size: int, download_id: uuid.UUID) -> None:
    """Let the response say, when it ends, which bytes were sent."""
    start = 0
    if response.status_code == 206 and response.content_range.start is not None:
        start = response.content_range.start
    parts: Iterable[bytes] = response.response  # type: ignore[assignment]
    sent = [0]

    def counted() -> Iterator[bytes]:
        for part in parts:
            yield part
            # Only now: whoever went away meanwhile never asks for the next one.
            sent[0] += len(part)

    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def note() -> None:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
        if not sent[0] and size:
            return
        with app.app_context():
            try:
                with write((Download, download_id)) as session:
                    stop = start + max(sent[0], 0 if size else 1)
                    events.record_sent(session, download_id, start, stop, zone())
            except Exception:
                # The file is out; that its end was not noted makes it "not observed".
                log.exception("the end of a download could not be noted")

    response.response = counted()
    # Passed through directly, a response is not closed by Werkzeug, and would never say its end.
    response.direct_passthrough = False
    response.call_on_close(note)
