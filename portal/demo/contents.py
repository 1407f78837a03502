"""The demo's library: 60 contents with real PDFs, each of them different."""

from __future__ import annotations

import io
import os
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from portal.content import previews
from portal.content.models import (
    Asset,
    AssetVersion,
    AudienceRule,
    PreviewState,
    ProductFamily,
    asset_family,
)
from portal.content.storage import Storage
from portal.db import in_parts, write
from portal.demo import documents, words
from portal.demo.ids import key

CONTENTS = 60
# Files that one child process draws: to begin takes a child longer than to draw two pages.
FILES_PER_CHILD = 12


@dataclass
class Piece:
    """One content of the demo, with its versions by language."""

    row: dict[str, Any]
    family: str
    pages: int
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    audience: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> uuid.UUID:
        """Its key."""
        found: uuid.UUID = self.row["id"]
        return found

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.row["title"])

    def version(self, language: str) -> dict[str, Any]:
        """The version in a language, else in English."""
        return self.versions.get(language) or self.versions["en"]


@dataclass
class Library:
    """All contents, and the product families by name."""

    pieces: list[Piece]
    families: dict[str, uuid.UUID]

    def piece(self, title: str) -> Piece:
        """The content whose title begins like this."""
        return next(piece for piece in self.pieces if piece.title.startswith(title))


def build(rng: random.Random, now: datetime, store: Storage) -> Library:
    """Make the documents and keep their files."""
    began = now - timedelta(days=760)
    families = {name: key(rng, began) for name in words.FAMILIES}
    pieces = [_piece(rng, now, store, entry) for entry in words.contents(CONTENTS)]
    library = Library(pieces, families)
    _replace_price_list(rng, now, store, library)
    _address(rng, library)
    return library


@contextmanager
def drawing(store: Storage, library: Library) -> Iterator[None]:
    """Have the images of pages drawn while the rest is done, so that nobody who tries the demo
    waits for the job: it comes for what is not drawn by the end."""
    files = [row["file_key"] for row in _versions(library)]
    with ThreadPoolExecutor(os.cpu_count()) as children:
        drawn = [
            children.submit(previews.render, store, some, previews.QUICK)
            for some in in_parts(files, FILES_PER_CHILD)
        ]
        try:
            yield
        except BaseException:
            children.shutdown(cancel_futures=True)
            raise
    for one in drawn:
        one.result()
    with write() as session:
        session.execute(update(AssetVersion).values(preview_state=PreviewState.ready))


def _versions(library: Library) -> list[dict[str, Any]]:
    return [row for p in library.pieces for row in [*p.versions.values(), *p.earlier]]


def _piece(
    rng: random.Random,
    now: datetime,
    store: Storage,
    entry: tuple[str, str, str, int, str, int, str],
) -> Piece:
    title, kind, family, pages, languages, days, summary = entry
    published = now - timedelta(days=days, hours=rng.randrange(8))
    row = {
        "id": key(rng, published),
        "title": title,
        "summary": summary,
        "content_type": kind,
        "created_at": published - timedelta(days=2),
        "published_at": published,
        "retired_at": None,
    }
    piece = Piece(row, family, pages)
    for language in languages.split():
        piece.versions[language] = _version(rng, store, piece, language, published)
    return piece


def _version(
    rng: random.Random, store: Storage, piece: Piece, language: str, at: datetime, number: int = 1
) -> dict[str, Any]:
    kind = piece.row["content_type"]
    data = documents.pdf(rng, kind, piece.title, piece.family, language, piece.pages)
    file_key, size, sha256 = store.save(io.BytesIO(data), ".pdf")
    return {
        "id": key(rng, at),
        "asset_id": piece.id,
        "language": language,
        "number": number,
        "current": True,
        "filename": f"{piece.title.replace(':', '').replace('/', '-')} {language}.pdf",
        "media_type": "application/pdf",
        "size": size,
        "sha256": sha256,
        "file_key": file_key,
        "page_count": piece.pages,
        "preview_state": PreviewState.waiting.value,
        "preview_error": "",
        "created_at": at,
    }


def _replace_price_list(
    rng: random.Random, now: datetime, store: Storage, library: Library
) -> None:
    """The service price list has a new edition since three weeks."""
    piece = library.piece("Service price list")
    began = now - timedelta(days=380)
    piece.row["published_at"] = piece.row["created_at"] = began
    for language in ("en", "de"):
        old = _version(rng, store, piece, language, began)
        piece.earlier.append({**old, "current": False})
        piece.versions[language]["number"] = 2


def _address(rng: random.Random, library: Library) -> None:
    """A few contents are for some partners only."""
    for piece in library.pieces:
        rules = []
        if piece.row["content_type"] == "battlecard":
            rules = [("tier", "Platinum"), ("tier", "Gold")]
        if piece.title.startswith("Case study: winery"):
            rules = [("region", "South"), ("region", "DACH")]
        piece.audience = [
            {"id": key(rng, piece.row["created_at"]), "asset_id": piece.id, "kind": k, "value": v}
            for k, v in rules
        ]


def is_for(piece: Piece, partner: dict[str, Any]) -> bool:
    """Whether a partner may see it."""
    kinds = {rule["kind"] for rule in piece.audience}
    return all(
        any(r["kind"] == kind and r["value"] == partner[kind] for r in piece.audience)
        for kind in kinds
    )


def save(session: Session, library: Library) -> None:
    """Write the library down."""
    rows = [{"id": found, "name": name} for name, found in library.families.items()]
    session.execute(insert(ProductFamily), rows)
    pieces = library.pieces
    session.execute(insert(Asset), [piece.row for piece in pieces])
    links = [{"asset_id": p.id, "family_id": library.families[p.family]} for p in pieces]
    session.execute(insert(asset_family), links)
    session.execute(insert(AssetVersion), _versions(library))
    session.execute(insert(AudienceRule), [rule for p in pieces for rule in p.audience])
