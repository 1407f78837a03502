"""The library for everyone who signs in: find, read, download, like."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from flask import (
    Blueprint,
    Response,
    has_request_context,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal.accounts.access import current_user, signed_in
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.clock import now, now_ms
from portal.content import attention, delivery, html, library
from portal.content.forms import TYPE_NAMES
from portal.content.models import Asset, AssetVersion, ContentType, PreviewState
from portal.content.storage import preview_key, storage
from portal.db import db, write
from portal.errors import NotFound
from tracking import events

bp = Blueprint("content", __name__)


def type_name(content_type: str) -> str:
    """A content type as people say it."""
    return str(TYPE_NAMES[ContentType(content_type)])


@bp.app_context_processor
def _names() -> dict[str, object]:
    return {"type_name": type_name}


@bp.app_context_processor
def _attention() -> dict[str, object]:
    # Mails are rendered without a request.
    return attention.page_attention() if has_request_context() else {}


@bp.get("/library")
@signed_in
def index() -> str:
    """The right piece in seconds."""
    user = current_user()
    filters = library.Filters(
        words=request.args.get("q", "")[:100],
        content_type=request.args.get("type", ""),
        family_id=request.args.get("family", ""),
        language=request.args.get("language", ""),
    )
    found = library.find(db.session(), user, filters)
    if filters.words.strip():
        attention.searched(filters.words, len(found))
    drafts = select(Asset).where((Asset.published_at.is_(None)) | (Asset.retired_at.is_not(None)))
    return render_template(
        "content/library.html",
        assets=found,
        present=library.content_types(db.session(), user),
        now=now(),
        filters=filters,
        types=TYPE_NAMES,
        families=library.families(db.session()),
        languages=library.languages(db.session()),
        unpublished=list(db.session.scalars(drafts)) if user.is_admin else [],
    )


@bp.get("/library/<uuid:asset_id>")
@signed_in
def asset(asset_id: uuid.UUID) -> str:
    """Read one asset: the viewer, and what can be done with it."""
    user = current_user()
    shown = library.get_visible(db.session(), user, asset_id)
    version = library.pick_version(
        shown, request.args.get("language", ""), preferred_languages(user)
    )
    assert version is not None
    return render_template(
        "content/asset.html",
        asset=shown,
        version=version,
        token=attention.content_token(attention.viewer(user), version),
        now_ms=now_ms(),
        audience=events.audience_of(user),
        liked=events.likes(db.session(), user.id, asset_id),
        sections=sections_of(version),
    )


def preferred_languages(user: User) -> Iterable[str]:
    """The languages in which a person wants content, the best first."""
    # What is shared goes to customers, so the partner's languages come before the reader's own.
    return [*(user.partner.languages if user.partner else []), user.locale]


def _visible_version(version_id: uuid.UUID) -> AssetVersion:
    version = db.session.get(AssetVersion, version_id)
    if version is None:
        raise NotFound(_("There is no such file."))
    user, published = current_user(), version.asset.published_at is not None
    # Reports show the vendor how content was read that is retired by now.
    if not (user.is_admin or (user.is_vendor and published)):
        library.get_visible(db.session(), user, version.asset_id)
    return version


def sections_of(version: AssetVersion) -> list[Markup]:
    """What an HTML page shows, section by section; nothing for other kinds."""
    if version.media_type != html.MEDIA_TYPE:
        return []
    return html.sections(storage().read(version.file_key))


def page_image_response(version: AssetVersion, page: int) -> Response:
    """The image of a page. It never changes, so browsers may keep it."""
    if version.preview_state != PreviewState.ready or not 1 <= page <= version.page_count:
        raise NotFound(_("There is no such page."))
    response = Response(storage().read(preview_key(version.file_key, page)), mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=604800, immutable"
    return response


@bp.get("/library/pages/<uuid:version_id>/<int:page>.webp")
@signed_in
def page_image(version_id: uuid.UUID, page: int) -> Response:
    """One page of a document as an image."""
    return page_image_response(_visible_version(version_id), page)


@bp.get("/library/files/<uuid:version_id>")
@signed_in
def download(version_id: uuid.UUID) -> BaseResponse:
    """Download a file; one grant is logged, in however many parts it is fetched."""
    version, who = _visible_version(version_id), attention.viewer(current_user())
    return delivery.download(version, lambda part: delivery.grant(who, version, part=part))


@bp.get("/library/recordings/<uuid:version_id>")
@signed_in
def recording(version_id: uuid.UUID) -> BaseResponse:
    """A recording, to be played in the viewer."""
    return delivery.play(_visible_version(version_id))


@bp.post("/library/<uuid:asset_id>/like")
@signed_in
def like(asset_id: uuid.UUID) -> BaseResponse:
    """Like, or take the like back."""
    user = current_user()
    library.get_visible(db.session(), user, asset_id)
    with write((User, user.id)) as session:
        person = session.get_one(User, user.id)
        if request.form.get("liked") == "1":
            events.like(session, person, asset_id, zone())
        else:
            events.unlike(session, person, asset_id, zone())
    return redirect(url_for("content.asset", asset_id=asset_id))
