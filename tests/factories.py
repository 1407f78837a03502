"""Rows for tests, each with sensible values for all that the test does not care about."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Partner, Role, User
from portal.clock import now
from portal.content import service
from portal.content.models import Asset, AssetVersion, PreviewState, ProductFamily
from portal.content.storage import preview_key, storage
from portal.db import db, new_id, write
from portal.deals.keys import name_key
from portal.deals.models import Customer

_numbers = count(1)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def _add(row: Any) -> Any:
    with write() as session:
        session.add(row)
    return row


def make_partner(name: str = "", **more: Any) -> Partner:
    """A partner organisation."""
    values = {
        "name": name or f"Partner {next(_numbers)}",
        "tier": "Gold",
        "region": "DACH",
        "country": "DE",
        "languages": ["de"],
        "created_at": LONG_AGO,
    }
    row: Partner = _add(Partner(id=new_id(), **{**values, **more}))
    return row


def make_user(
    name: str = "", role: str = Role.partner_user, partner: Partner | None = None, **more: Any
) -> User:
    """A person who has joined; partner people get a partner of their own when none is given."""
    number = next(_numbers)
    if partner is None and role in (Role.partner_user, Role.partner_admin):
        partner = make_partner()
    values = {
        "name": name or f"Person {number}",
        "email": f"person{number}@example.com",
        "role": role,
        "partner_id": partner.id if partner else None,
        "created_at": LONG_AGO,
        "joined_at": LONG_AGO,
    }
    row: User = _add(User(id=new_id(), **{**values, **more}))
    return row


def make_colleagues(partner: Partner, n: int = 3) -> None:
    """More people of a partner, so that what it reads is not any one person's."""
    for _n in range(n):
        make_user(partner=partner)


def make_family(name: str = "Pumps") -> ProductFamily:
    """A product family."""
    with write() as session:
        return service.add_family(session, name)


def make_customer(name: str, country: str = "DE", **more: Any) -> Customer:
    """A customer as the vendor knows it."""
    values = {"name": name, "name_key": name_key(name), "country": country, "created_at": LONG_AGO}
    row: Customer = _add(Customer(id=new_id(), **{**values, **more}))
    return row


def make_pdf(pages: int = 5, words: str = "Pumps that last") -> bytes:
    """A small real PDF."""
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_font("Helvetica", size=20)
    for page in range(1, pages + 1):
        pdf.add_page()
        pdf.cell(text=f"{words}, page {page} of {pages}")
    return bytes(pdf.output())


def make_asset(
    title: str = "Case study: waterworks",
    *,
    pages: int = 5,
    published: bool = True,
    languages: tuple[str, ...] = ("en",),
    audience: tuple[tuple[str, str], ...] = (),
    families: tuple[ProductFamily, ...] = (),
    **more: Any,
) -> Asset:
    """A document in the library, its page images already there."""
    key = new_id()
    files = {
        language: storage().save(io.BytesIO(b"%PDF-1.7 test"), ".pdf") for language in languages
    }
    for stored in files.values():
        for page in range(1, pages + 1):
            storage().save_bytes(preview_key(stored[0], page), b"RIFF....WEBP")
    values = {"summary": "How it was done.", "content_type": "case_study", **more}
    with write() as session:
        asset = Asset(id=key, title=title, content_type=values["content_type"], created_at=now())
        service.describe(
            session,
            asset,
            title=title,
            summary=values["summary"],
            content_type=values["content_type"],
            family_ids=[family.id for family in families],
            audience=audience,
        )
        for language, stored in files.items():
            version = _version(session, asset, language, stored)
            version.page_count, version.preview_state = pages, PreviewState.ready
        if published:
            service.publish(session, asset, now())
    return db.session.get_one(Asset, key)


def replace_file(asset: Asset, *, pages: int, language: str = "en") -> AssetVersion:
    """Another file of an asset instead of the one in this language, its page images there."""
    stored = storage().save(io.BytesIO(b"%PDF-1.7 again"), ".pdf")
    for page in range(1, pages + 1):
        storage().save_bytes(preview_key(stored[0], page), b"RIFF....WEBP")
    with write() as session:
        version = _version(session, session.get_one(Asset, asset.id), language, stored)
        version.page_count, version.preview_state = pages, PreviewState.ready
    return version


def _version(
    session: Session, asset: Asset, language: str, stored: tuple[str, int, str]
) -> AssetVersion:
    return service.add_version(
        session,
        asset,
        language=language,
        filename=f"{asset.title}.pdf",
        media_type="application/pdf",
        stored=stored,
        created_by_id=None,
        now=now(),
    )


def version_of(asset: Asset, language: str = "en") -> AssetVersion:
    """The current version of an asset in a language."""
    fresh = db.session.get_one(Asset, asset.id)
    return next(v for v in fresh.current_versions if v.language == language)


# The clock of the portal in tests.
ZONE = ZoneInfo("Europe/Berlin")


def days_ago(n: int) -> datetime:
    """So many local days ago, as late on its day as it is now: in summer the offset is another."""
    local = clock.now().astimezone(ZONE).replace(tzinfo=None)
    return clock.resolve_local(local - timedelta(days=n), ZONE)
