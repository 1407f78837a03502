"""Handing files out: conditional and range requests, and what of a granted file was really sent.

A grant is one download. The bytes that left the server are added to it when a response ends, so
that a download is known to have started, and to be complete when they are the whole file.
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
from tracking.models import Download

CHUNK = 256 * 1024


def grant(who: Viewer, version: AssetVersion) -> uuid.UUID:
    """The download under which `who` fetches this file: a new one, or the one it goes on with."""
    asset_id, version_id, size = version.asset_id, version.id, version.size
    part = request.range is not None
    with write() as session:
        return events.grant_download(session, who, asset_id, version_id, size, zone(), part=part).id


def is_granted(grant_id: uuid.UUID, subject: uuid.UUID, version_id: uuid.UUID) -> bool:
    """Whether this is a grant of that file to that customer."""
    query = select(Download.id).where(
        Download.id == grant_id, Download.subject == subject, Download.version_id == version_id
    )
    return db.session.scalar(query) is not None


def download(version: AssetVersion, granted: Callable[[], uuid.UUID] | None) -> Response:
    """The file, to be saved and never shown inside the portal's own origin.

    `granted` is asked only when bytes are really to be sent: not for the head of the file, not by
    a browser that fetches ahead, and not for a file that has not changed. None: whoever
    fetches it is not measured.
    """
    response = _file(version)
    name = secure_filename(version.filename) or "file"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    ahead = request.headers.get("Sec-Purpose", "").startswith("prefetch")
    if granted is None:
        return response
    if request.method != "HEAD" and not ahead and response.status_code in (200, 206):
        _count(response, version.size, granted())
    return response


def play(version: AssetVersion) -> Response:
    """A recording, in the parts that the player asks for. What was seen is said by the page."""
    return _file(version)


def _file(version: AssetVersion) -> Response:
    stream = storage().open(version.file_key)
    response = Response(
        wrap_file(request.environ, stream, CHUNK),
        mimetype=version.media_type,
        direct_passthrough=True,
    )
    response.set_etag(version.sha256)
    response.content_length = version.size
    try:
        return response.make_conditional(
            request.environ, accept_ranges=True, complete_length=version.size
        )
    except RequestedRangeNotSatisfiable:
        stream.close()
        raise


def _count(response: Response, size: int, download_id: uuid.UUID) -> None:
    """Let the response say, when it ends, which bytes were sent."""
    start = 0
    if response.status_code == 206 and response.content_range.start is not None:
        start = response.content_range.start
    parts: Iterable[bytes] = response.response  # type: ignore[assignment]
    sent = [0]

    def counted() -> Iterator[bytes]:
        for part in parts:
            sent[0] += len(part)
            yield part

    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def note() -> None:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
        if not sent[0] and size:
            return
        with app.app_context():
            try:
                with write() as session:
                    stop = start + max(sent[0], 0 if size else 1)
                    events.record_sent(session, download_id, start, stop, zone())
            except Exception:
                # The file is out; that its end was not noted makes it "not observed".
                log.exception("the end of a download could not be noted")

    response.response = counted()
    # Passed through directly, a response is not closed by Werkzeug, and would never say its end.
    response.direct_passthrough = False
    response.call_on_close(note)
