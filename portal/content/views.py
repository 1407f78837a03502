"""The library for everyone who signs in: find, read, download, like."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as BaseResponse

from portal.accounts.access import current_user, signed_in
from portal.accounts.models import Partner, User
from portal.accounts.service import installation, zone
from portal.clock import local_day, now, now_ms
from portal.content import library
from portal.content.forms import TYPE_NAMES
from portal.content.models import Asset, AssetVersion, ContentType, PreviewState
from portal.content.storage import preview_key, storage
from portal.db import db, write
from portal.errors import NotFound
from portal.security import Keys
from tracking import events

bp = Blueprint("content", __name__)


def type_name(content_type: str) -> str:
    """A content type as people say it."""
    return str(TYPE_NAMES[ContentType(content_type)])


@bp.app_context_processor
def _names() -> dict[str, object]:
    return {"type_name": type_name}


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
        token=_token_for(user, version),
        now_ms=now_ms(),
        audience=events.audience_of(user),
        liked=events.likes(db.session(), user.id, asset_id),
    )


def preferred_languages(user: User) -> Iterable[str]:
    """The languages in which a person wants content, the best first."""
    # What is shared goes to customers, so the partner's languages come before the reader's own.
    return [*(user.partner.languages if user.partner else []), user.locale]


def keys() -> Keys:
    """The keys that sign tokens of attention."""
    found: Keys = current_app.extensions["portal_keys"]
    return found


def _privacy_mode(partner: Partner | None) -> str:
    row = installation()
    assert row is not None
    return row.privacy_by_country.get(partner.country if partner else "", row.privacy_mode)


def viewer(user: User) -> events.Viewer:
    """The person signed in, as far as tracking may know them."""
    day = local_day(now(), zone())
    return events.viewer_for(keys(), user, _privacy_mode(user.partner), day)


def _token_for(user: User, version: AssetVersion) -> str:
    who = viewer(user)
    return events.issue_token(
        keys(),
        subject=who.subject,
        partner_id=who.partner_id,
        audience=who.audience,
        asset_id=version.asset_id,
        version_id=version.id,
        page_count=version.page_count,
    )


def _visible_version(version_id: uuid.UUID) -> AssetVersion:
    version = db.session.get(AssetVersion, version_id)
    if version is None:
        raise NotFound(_("There is no such file."))
    if not current_user().is_admin:
        library.get_visible(db.session(), current_user(), version.asset_id)
    return version


def page_image_response(version: AssetVersion, page: int) -> Response:
    """The image of a page. It never changes, so browsers may keep it."""
    if version.preview_state != PreviewState.ready or not 1 <= page <= version.page_count:
        raise NotFound(_("There is no such page."))
    response = Response(storage().read(preview_key(version.file_key, page)), mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=604800, immutable"
    return response


def file_response(version: AssetVersion) -> Response:
    """The file, to be saved and never shown inside the portal's own origin."""
    response = Response(storage().chunks(version.file_key), mimetype=version.media_type)
    response.headers["Content-Length"] = str(version.size)
    name = secure_filename(version.filename) or "file"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@bp.get("/library/pages/<uuid:version_id>/<int:page>.webp")
@signed_in
def page_image(version_id: uuid.UUID, page: int) -> Response:
    """One page of a document as an image."""
    return page_image_response(_visible_version(version_id), page)


@bp.get("/library/files/<uuid:version_id>")
@signed_in
def download(version_id: uuid.UUID) -> Response:
    """Download a file; one grant is logged."""
    version, who = _visible_version(version_id), viewer(current_user())
    # A browser that fetches ahead, and whoever asks for the head only, has not downloaded it.
    ahead = request.headers.get("Sec-Purpose", "").startswith("prefetch")
    if request.method != "HEAD" and not ahead:
        asset_id = version.asset_id
        with write() as session:
            events.record_download(session, who, asset_id, version_id, zone())
    return file_response(version)


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
