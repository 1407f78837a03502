"""Reports of attention, as browsers send them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec
from flask import current_app
from sqlalchemy import select
from werkzeug.test import Client, TestResponse

from portal import clock
from portal.accounts.models import Partner, User
from portal.content.models import Asset
from portal.db import db
from tests.factories import version_of
from tracking import events
from tracking.dwell import SLOT_MS
from tracking.models import Load, Mark, Refusals, Slot

ORIGIN = "http://127.0.0.1:8000"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


def token_for(
    person: User,
    asset: Asset,
    *,
    at: datetime | None = None,
    partner: Partner | None = None,
    audience: str = "partner",
    share_id: uuid.UUID | None = None,
    subject: uuid.UUID | None = None,
) -> str:
    """The token of one page load of `person`."""
    version = version_of(asset)
    return events.issue_token(
        current_app.extensions["portal_keys"],
        events.Viewer(
            subject=subject or person.id,
            partner_id=partner.id if partner else person.partner_id,
            audience=audience,
            share_id=share_id,
        ),
        asset_id=asset.id,
        version_id=version.id,
        page_count=version.page_count,
        at=at,
    )


def slot_now(back: int = 0) -> int:
    """The slot of this moment, or one before."""
    return clock.now_ms() // SLOT_MS - back


def row(slot: int, page: int = 1, **buckets: int) -> list[int]:
    """One line of a report; milliseconds by bucket."""
    names = ("active", "reading", "idle", "glance")
    assert set(buckets) <= set(names)
    return [slot, page, *(buckets.get(name, 0) for name in names)]


def post(token: str, *rows: list[int], activated: int | None = None, **more: Any) -> TestResponse:
    """Send a report to the running application."""
    body: dict[str, Any] = {"t": token, "s": list(rows)}
    if activated is not None:
        body["a"] = activated
    return post_body(msgspec.json.encode(body), **more)


def post_body(
    body: bytes, origin: str | None = ORIGIN, agent: str = BROWSER, **environ: str
) -> TestResponse:
    """Send anything to the endpoint."""
    db.session.rollback()
    client = Client(current_app.wsgi_app)
    headers = {"User-Agent": agent} | ({} if origin is None else {"Origin": origin})
    return client.post("/t", data=body, headers=headers, environ_overrides=environ)


def stored() -> dict[str, int]:
    """How many rows there are."""
    db.session.rollback()
    return {model.__tablename__: db.session.query(model).count() for model in (Load, Slot, Mark)}


def refusals() -> dict[str, int]:
    """How many reports were refused, by reason, as far as it is written down."""
    db.session.rollback()
    return {row.reason: row.n for row in db.session.scalars(select(Refusals))}


def newly_refused() -> dict[str, int]:
    """How many more were refused, by reason, since this was asked last."""
    before = refusals()
    current_app.extensions["portal_beacon"].refused.write(db.engine)
    return {reason: n - before.get(reason, 0) for reason, n in refusals().items()}
