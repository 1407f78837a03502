"""Page images of documents, rendered in a child process: PDFs are hostile and PDFium is not
thread-safe, so a crash or a bomb costs a child and not the portal."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import or_, select

from portal.clock import now as clock_now
from portal.content.models import AssetVersion, PreviewState
from portal.content.storage import Storage, preview_key, storage
from portal.db import db, write
from portal.errors import N_

TIMEOUT = 120
LEASE = timedelta(minutes=5)
LONGEST_RUN_S = 120
RENDERABLE = "application/pdf"


class Quality(NamedTuple):
    """How wide images are, in pixels, and how hard to try to make their files small (0 to 6)."""

    width: int
    effort: int


USUAL = Quality(1240, 2)
# A third of the time, for many documents at once: not as sharp, and a third more bytes per pixel.
QUICK = Quality(1000, 0)


def render_waiting(limit: int = 20) -> int:
    """Job: render the page images of files that wait for them; returns how many are done."""
    now = clock_now()
    lapsed = (AssetVersion.preview_state == PreviewState.rendering) & (
        AssetVersion.preview_claimed_until < now
    )
    waiting = AssetVersion.preview_state == PreviewState.waiting
    keys = db.session.scalars(
        select(AssetVersion.id)
        .where(or_(waiting, lapsed))
        .order_by(AssetVersion.id.desc())
        .limit(limit)
    ).all()
    until = time.monotonic() + LONGEST_RUN_S
    return sum(_render_one(key) for key in keys if time.monotonic() < until)


def _render_one(version_id: uuid.UUID) -> bool:
    claim = _claim(version_id)
    if claim is None:
        return False
    file_key, until = claim
    try:
        pages, state, error = render(storage(), [file_key]), PreviewState.ready, ""
    except PreviewError as problem:
        pages, state, error = 0, PreviewState.failed, str(problem)
    with write((AssetVersion, version_id)) as session:
        version = session.get_one(AssetVersion, version_id)
        if version.preview_claimed_until != until:
            return False  # another took over while this one was slow
        version.page_count = pages or version.page_count
        version.preview_state, version.preview_error = state, error[:300]
        version.preview_claimed_until = None
    return state == PreviewState.ready


def _claim(version_id: uuid.UUID) -> tuple[str, datetime] | None:
    now = clock_now()
    with write((AssetVersion, version_id)) as session:
        version = session.get_one(AssetVersion, version_id)
        claimed = version.preview_claimed_until
        if version.preview_state not in (PreviewState.waiting, PreviewState.rendering):
            return None
        if claimed is not None and claimed > now:
            return None
        version.preview_state = PreviewState.rendering
        version.preview_claimed_until = now + LEASE
        return version.file_key, version.preview_claimed_until


class PreviewError(Exception):
    """The file could not be turned into page images; the text says why."""


def render(store: Storage, file_keys: Sequence[str], quality: Quality = USUAL) -> int:
    """Make the page images of files in one child process; returns the number of pages.

    A file from outside goes alone. Raises PreviewError when one is no PDF that can be shown.
    """
    with tempfile.TemporaryDirectory(prefix="portal-preview-") as name:
        folder = Path(name)
        for number, file_key in enumerate(file_keys):
            (folder / f"{number}.pdf").write_bytes(store.read(file_key))
        command = [sys.executable, "-m", "portal.content.render", name, *map(str, quality)]
        try:
            child = subprocess.run(  # noqa: S603 - our own module, no shell
                command, capture_output=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PreviewError(N_("Rendering took too long.")) from error
        if child.returncode != 0:
            raise PreviewError(
                _last_line(child.stderr) or N_("The file could not be read as a PDF.")
            )
        pages: dict[str, int] = json.loads(child.stdout)
        for number, file_key in enumerate(file_keys):
            for page in range(1, pages[str(number)] + 1):
                image = (folder / f"{number}-{page}.webp").read_bytes()
                store.save_bytes(preview_key(file_key, page), image)
    return sum(pages.values())


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
