"""Where files lie: written under a temporary name, synced, renamed, and only then a row."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import IO, Any

import fsspec
from flask import current_app
from sqlalchemy import select

from portal.content.models import AssetVersion
from portal.db import db

CHUNK = 1024 * 1024
ORPHAN_AGE = timedelta(hours=24)


class Storage:
    """Files by key, in a local folder or wherever an fsspec URL points."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in self._fs.protocol or self._fs.protocol == "file"

    def path(self, key: str) -> str:
        """Where the file named `key` lies."""
        return f"{self._root}/{key}"

    def save(self, stream: IO[bytes], suffix: str = "") -> tuple[str, int, str]:
        """Keep what `stream` gives; returns (key, bytes, SHA-256)."""
        key = f"{uuid.uuid4().hex}{suffix}"
        digest, size = hashlib.sha256(), 0
        self._fs.makedirs(self._root, exist_ok=True)
        temporary = self.path(f".{key}.part") if self._local else self.path(key)
        with self._fs.open(temporary, "wb") as file:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            if self._local:
                os.fsync(file.fileno())
        if self._local:
            os.replace(temporary, self.path(key))
        return key, size, digest.hexdigest()

    def save_bytes(self, key: str, data: bytes) -> None:
        """Keep `data` under a key that can be derived again, as a page image."""
        path = self.path(key)
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}.part" if self._local else path
        with self._fs.open(temporary, "wb") as file:
            file.write(data)
        if self._local:
            os.replace(temporary, path)

    def read(self, key: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        data: bytes = self._fs.cat_file(self.path(key))
        return data

    def open(self, key: str) -> IO[bytes]:
        """The file, to be read from any place; whoever opens it closes it."""
        file: IO[bytes] = self._fs.open(self.path(key), "rb")
        return file

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return bool(self._fs.exists(self.path(key)))

    def remove(self, key: str) -> None:
        """Take a file or folder away; nothing happens when it is not there."""
        if self.exists(key):
            self._fs.rm(self.path(key), recursive=True)

    def listing(self) -> list[dict[str, Any]]:
        """Name and last change of everything at the top level."""
        if not self._fs.exists(self._root):
            return []
        entries: list[dict[str, Any]] = self._fs.ls(self._root, detail=True)
        return entries


def storage() -> Storage:
    """The file store of this installation."""
    store: Storage = current_app.extensions["portal_storage"]
    return store


def preview_key(file_key: str, page: int) -> str:
    """Where the image of a page lies."""
    return f"previews/{file_key.split('.')[0]}/{page}.webp"


def sweep_orphans(now: datetime, also_known: Collection[str] = ()) -> int:
    """Job: remove files that no row knows, a day after they were written. `also_known` are those
    that other areas keep; both they and `now` are as of the beginning, so that one who falls asleep
    in between takes nothing away that came meanwhile."""
    old = (now - ORPHAN_AGE).timestamp()
    known = {*db.session.scalars(select(AssetVersion.file_key)), *also_known}
    removed = 0
    for entry in storage().listing():
        name = str(entry["name"]).rsplit("/", 1)[-1]
        changed = entry.get("mtime") or entry.get("LastModified")
        stamp = changed.timestamp() if isinstance(changed, datetime) else changed
        if entry["type"] == "file" and name not in known and stamp and stamp < old:
            storage().remove(name)
            removed += 1
    return removed
