"""The library for everyone who signs in, and the administrator's side of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as BaseResponse

from portal.accounts.access import admin_only, current_user, partners_only, public, signed_in
from portal.accounts.models import Partner, User
from portal.accounts.service import installation, zone
from portal.choices import options
from portal.clock import local_day, now, now_ms
from portal.content import library, service, sharing
from portal.content.forms import TYPE_NAMES, AssetForm, FileForm, ShareForm
from portal.content.models import Asset, AssetVersion, ContentType, PreviewState, ShareLink
from portal.content.storage import preview_key, storage
from portal.db import db, new_id, write
from portal.errors import NotFound, Refused
from portal.security import Keys
from tracking import events, metrics

bp = Blueprint("content", __name__)


def type_name(content_type: str) -> str:
    """A content type as people say it."""
    return str(TYPE_NAMES[ContentType(content_type)])


@bp.app_context_processor
def _names() -> dict[str, object]:
    return {"type_name": type_name}


# --- reading ------------------------------------------------------------------------------------


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
    version = library.pick_version(shown, request.args.get("language", ""), _preferred(user))
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


def _preferred(user: User) -> Iterable[str]:
    # What is shared goes to customers, so the partner's languages come before the reader's own.
    return [*(user.partner.languages if user.partner else []), user.locale]


def _keys() -> Keys:
    keys: Keys = current_app.extensions["portal_keys"]
    return keys


def _privacy_mode(partner: Partner | None) -> str:
    row = installation()
    assert row is not None
    return row.privacy_by_country.get(partner.country if partner else "", row.privacy_mode)


def viewer(user: User) -> events.Viewer:
    """The person signed in, as far as tracking may know them."""
    day = local_day(now(), zone())
    return events.viewer_for(_keys(), user, _privacy_mode(user.partner), day)


def _token_for(user: User, version: AssetVersion) -> str:
    who = viewer(user)
    return events.issue_token(
        _keys(),
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
    if request.method != "HEAD":
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


# --- sharing ------------------------------------------------------------------------------------


@bp.route("/library/<uuid:asset_id>/share", methods=["GET", "POST"])
@partners_only
def share(asset_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Make a link for a customer."""
    user = current_user()
    shown = library.get_visible(db.session(), user, asset_id)
    language = request.values.get("language", "")
    version = library.pick_version(shown, language, _preferred(user))
    assert version is not None
    form = ShareForm()
    others = [a for a in library.find(db.session(), user, library.Filters()) if a.id != asset_id]
    form.also.choices = options((str(a.id), a.title) for a in others)
    if not form.validate_on_submit():
        page = render_template("content/share.html", asset=shown, version=version, form=form)
        return page, 400 if form.errors else 200
    chosen = [shown, *(a for a in others if str(a.id) in (form.also.data or []))]
    wanted = [(a, library.pick_version(a, version.language, _preferred(user))) for a in chosen]
    link_id = _make_link(user, [(a.id, v.language) for a, v in wanted if v], form)
    return redirect(url_for("content.share_made", link_id=link_id))


def _make_link(user: User, wanted: list[tuple[uuid.UUID, str]], form: ShareForm) -> uuid.UUID:
    with write() as session:
        person = session.get_one(User, user.id)
        assets = [(library.get_visible(session, person, key), lang) for key, lang in wanted]
        link = sharing.make_link(
            session,
            person,
            assets,
            recipient=form.recipient.data or "",
            days=form.days.data,
            allow_download=form.allow_download.data,
            now=now(),
        )
        return link.id


@bp.get("/shares")
@partners_only
def shares() -> str:
    """My organisation's links and what customers did with them."""
    partner_id = current_user().partner_id
    assert partner_id is not None
    links = sharing.links_of(db.session(), partner_id)
    return render_template(
        "content/shares.html",
        links=links,
        opened=metrics.shares_opened(db.session(), [link.id for link in links]),
        now=now(),
    )


@bp.get("/shares/<uuid:link_id>")
@partners_only
def share_made(link_id: uuid.UUID) -> str:
    """One link: copy it, see that it was read, end it."""
    partner_id = current_user().partner_id
    assert partner_id is not None
    link = sharing.get_own(db.session(), partner_id, link_id)
    return render_template(
        "content/share_made.html",
        link=link,
        address=current_app.config["SETTINGS"].url + url_for("content.recipient", slug=link.slug),
        opens=[
            o
            for o in metrics.recent_opens(db.session(), partner_id, link.created_at, 200)
            if o.share_id == link.id
        ],
        now=now(),
    )


@bp.post("/shares/<uuid:link_id>/revoke")
@partners_only
def revoke_share(link_id: uuid.UUID) -> BaseResponse:
    """End a link at once."""
    partner_id = current_user().partner_id
    assert partner_id is not None
    with write((ShareLink, link_id)) as session:
        sharing.revoke(session, sharing.get_own(session, partner_id, link_id), now())
    flash(_("The link no longer works."))
    return redirect(url_for("content.share_made", link_id=link_id))


# --- the customer's side ------------------------------------------------------------------------


@bp.get("/s/<slug>")
@public
def recipient(slug: str) -> str | BaseResponse:
    """What a customer sees behind a link: the one document, or the list."""
    link = sharing.open_link(db.session(), slug, now())
    if len(link.items) == 1:
        return _recipient_page(link, link.items[0].asset_id)
    sender = db.session.get_one(User, link.user_id)
    return render_template("content/recipient_list.html", link=link, sender=sender)


@bp.get("/s/<slug>/<uuid:asset_id>")
@public
def recipient_asset(slug: str, asset_id: uuid.UUID) -> str:
    """One document of a link."""
    return _recipient_page(sharing.open_link(db.session(), slug, now()), asset_id)


def _recipient_page(link: ShareLink, asset_id: uuid.UUID) -> str:
    item = sharing.shared_item(link, asset_id)
    version = library.pick_version(item.asset, item.language, [])
    assert version is not None
    # Global Privacy Control says the same without a click.
    unmeasured = request.args.get("measure") == "0" or request.headers.get("Sec-GPC") == "1"
    token = events.issue_token(
        _keys(),
        # The link stands for the person it was made for: no cookie is set for customers.
        subject=link.id,
        partner_id=link.partner_id,
        audience="customer",
        asset_id=asset_id,
        version_id=version.id,
        page_count=version.page_count,
        share_id=link.id,
    )
    return render_template(
        "content/recipient.html",
        link=link,
        asset=item.asset,
        version=version,
        sender=db.session.get_one(User, link.user_id),
        token="" if unmeasured else token,
        unmeasured=unmeasured,
        now_ms=now_ms(),
    )


def _shared_version(slug: str, asset_id: uuid.UUID) -> tuple[ShareLink, AssetVersion]:
    link = sharing.open_link(db.session(), slug, now())
    item = sharing.shared_item(link, asset_id)
    version = library.pick_version(item.asset, item.language, [])
    assert version is not None
    return link, version


@bp.get("/s/<slug>/<uuid:asset_id>/<int:page>.webp")
@public
def recipient_page_image(slug: str, asset_id: uuid.UUID, page: int) -> Response:
    """One page for a customer."""
    return page_image_response(_shared_version(slug, asset_id)[1], page)


@bp.post("/s/<slug>/<uuid:asset_id>/download")
@public
def recipient_download(slug: str, asset_id: uuid.UUID) -> Response:
    """A customer downloads. A POST, so that no scanner's GET is counted as one."""
    link, version = _shared_version(slug, asset_id)
    if not link.allow_download:
        raise Refused(_("Downloading is not allowed for this link. Ask whoever sent it."))
    who = events.Viewer(
        subject=link.id, partner_id=link.partner_id, audience="customer", share_id=link.id
    )
    version_id = version.id
    with write() as session:
        events.record_download(session, who, asset_id, version_id, zone())
    return file_response(version)


# --- the administrator's side -------------------------------------------------------------------


@bp.route("/library/new", methods=["GET", "POST"])
@admin_only
def new_asset() -> tuple[str, int] | BaseResponse:
    """Add content: say what it is, then add its files."""
    form = _asset_form(None)
    if form.validate_on_submit():
        key = new_id()
        with write() as session:
            fresh = Asset(id=key, title="", content_type="page", created_at=now())
            service.describe(session, fresh, **_description(form))
        return redirect(url_for("content.edit_asset", asset_id=key))
    page = render_template("content/edit.html", form=form, asset=None)
    return page, 400 if form.errors else 200


@bp.route("/library/<uuid:asset_id>/edit", methods=["GET", "POST"])
@admin_only
def edit_asset(asset_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Change what an asset says, its files, and whether partners see it."""
    edited = service.get(db.session(), asset_id)
    form = _asset_form(edited)
    if form.validate_on_submit():
        with write((Asset, asset_id)) as session:
            service.describe(session, service.get(session, asset_id), **_description(form))
        flash(_("Saved."))
        return redirect(url_for("content.edit_asset", asset_id=asset_id))
    page = render_template("content/edit.html", form=form, asset=edited, file_form=FileForm())
    return page, 400 if form.errors else 200


def _asset_form(edited: Asset | None) -> AssetForm:
    form = AssetForm()
    if edited and not form.is_submitted():
        form.process(obj=edited)
        form.families.data = [str(family.id) for family in edited.families]
        form.tiers.data = [rule.value for rule in edited.audience if rule.kind == "tier"]
        form.regions.data = [rule.value for rule in edited.audience if rule.kind == "region"]
    form.families.choices = options((str(f.id), f.name) for f in library.families(db.session()))
    for field, column in ((form.tiers, Partner.tier), (form.regions, Partner.region)):
        values = sorted(db.session.scalars(select(column).distinct()))
        field.choices = options((value, value) for value in values)
    return form


def _description(form: AssetForm) -> dict[str, Any]:
    return {
        "title": form.title.data,
        "summary": form.summary.data or "",
        "content_type": form.content_type.data,
        "family_ids": [uuid.UUID(value) for value in form.families.data or []],
        "audience": [("tier", value) for value in form.tiers.data or []]
        + [("region", value) for value in form.regions.data or []],
    }


@bp.post("/library/<uuid:asset_id>/files")
@admin_only
def add_file(asset_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Upload a file in one language; it replaces the one that is there."""
    service.get(db.session(), asset_id)
    form, user_id = FileForm(), current_user().id
    db.session.rollback()
    if not form.validate_on_submit():
        flash(next(iter(form.errors.values()))[0], "bad")
        return redirect(url_for("content.edit_asset", asset_id=asset_id))
    upload = form.file.data
    media_type = service.media_type_of(upload.filename, upload.stream)
    suffix = "." + upload.filename.rsplit(".", 1)[-1].lower()
    stored = storage().save(upload.stream, suffix)
    with write((Asset, asset_id)) as session:
        service.add_version(
            session,
            service.get(session, asset_id),
            language=form.language.data,
            filename=upload.filename,
            media_type=media_type,
            stored=stored,
            created_by_id=user_id,
            now=now(),
        )
    flash(_("The file is here. Page images follow in a moment."))
    return redirect(url_for("content.edit_asset", asset_id=asset_id))


@bp.post("/library/<uuid:asset_id>/publish")
@admin_only
def publish(asset_id: uuid.UUID) -> BaseResponse:
    """Show it to its audience."""
    with write((Asset, asset_id)) as session:
        service.publish(session, service.get(session, asset_id), now())
    flash(_("Published."))
    return redirect(url_for("content.edit_asset", asset_id=asset_id))


@bp.post("/library/<uuid:asset_id>/retire")
@admin_only
def retire(asset_id: uuid.UUID) -> BaseResponse:
    """Take it out of the library."""
    with write((Asset, asset_id)) as session:
        service.retire(session, service.get(session, asset_id), now())
    flash(_("Retired. Its numbers stay."))
    return redirect(url_for("content.edit_asset", asset_id=asset_id))


@bp.post("/families")
@admin_only
def add_family() -> BaseResponse:
    """Add a product family."""
    name = " ".join(request.form.get("name", "").split())[:100]
    if not name:
        raise Refused(_("Enter the family's name."))
    with write() as session:
        service.add_family(session, name)
    flash(_("Added."))
    return redirect(url_for("content.new_asset"))
