"""The demo's library: 60 contents with real PDFs, each of them different."""

from __future__ import annotations

import io
import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fpdf import FPDF
from sqlalchemy import insert
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
from portal.demo import words
from portal.demo.ids import key

CONTENTS = 60
INK, ACCENT, SOFT = (30, 34, 38), (11, 93, 87), (225, 239, 237)


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
    _render(store, library)
    return library


def _render(store: Storage, library: Library) -> None:
    """Page images at once, so that nobody who tries the demo waits for the job."""
    rows = [row for p in library.pieces for row in [*p.versions.values(), *p.earlier]]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda row: previews.render(store, row["file_key"]), rows))
    for row in rows:
        row["preview_state"] = PreviewState.ready.value


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
    data = pdf(rng, piece.title, piece.family, language, piece.pages)
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
    versions = [row for p in pieces for row in [*p.versions.values(), *p.earlier]]
    session.execute(insert(AssetVersion), versions)
    session.execute(insert(AudienceRule), [rule for p in pieces for rule in p.audience])


def pdf(rng: random.Random, title: str, family: str, language: str, pages: int) -> bytes:
    """A document: a headline, a few sentences and a small chart or table on every page."""
    document = FPDF(format="A4")
    document.set_title(title)
    document.set_creation_date(datetime(2026, 1, 1))  # noqa: DTZ001 - no one reads it
    document.set_auto_page_break(False)
    texts = words.PAGES[language]
    for page in range(pages):
        document.add_page()
        heading, sentences = texts[page % len(texts)]
        values = {
            "title": title,
            "family": family,
            "a": rng.randint(8, 40),
            "b": rng.randint(3, 30),
        }
        if page == 0:
            _cover(document, title, family)
        _text(document, heading, [sentence.format(**values) for sentence in sentences], page == 0)
        (_bars if page % 2 else _rows)(document, rng, pages)
        document.set_text_color(120, 120, 120)
        document.set_font("Helvetica", size=9)
        document.text(20, 285, f"Nordwerk  -  {title}"[:90])
        document.text(182, 285, f"{page + 1} / {pages}")
    return bytes(document.output())


def _cover(document: FPDF, title: str, family: str) -> None:
    document.set_fill_color(*ACCENT)
    document.rect(0, 0, 210, 70, style="F")
    document.set_text_color(255, 255, 255)
    document.set_font("Helvetica", "B", 26)
    document.set_xy(20, 24)
    document.multi_cell(170, 12, title)
    document.set_font("Helvetica", size=13)
    document.text(20, 62, family)


def _text(document: FPDF, heading: str, sentences: list[str], cover: bool) -> None:
    document.set_text_color(*INK)
    document.set_font("Helvetica", "B", 20)
    document.set_xy(20, 85 if cover else 25)
    document.multi_cell(170, 10, heading)
    document.set_font("Helvetica", size=13)
    for sentence in sentences:
        document.set_x(20)
        document.multi_cell(170, 8, sentence)
        document.ln(3)


def _bars(document: FPDF, rng: random.Random, n: int) -> None:
    document.set_fill_color(*ACCENT)
    for index in range(max(4, n)):
        height = rng.randint(15, 90)
        document.rect(
            22 + index * 160 / max(4, n), 240 - height, 100 / max(4, n), height, style="F"
        )
    document.line(20, 240, 190, 240)


def _rows(document: FPDF, rng: random.Random, _n: int) -> None:
    document.set_font("Helvetica", size=12)
    document.set_fill_color(*SOFT)
    for index in range(7):
        if index % 2:
            document.rect(20, 150 + index * 12, 170, 12, style="F")
        document.text(24, 158 + index * 12, f"NP {rng.randint(100, 999)}-{rng.randint(10, 99)}")
        document.text(140, 158 + index * 12, f"{rng.randint(40, 2400)}.00 EUR")
