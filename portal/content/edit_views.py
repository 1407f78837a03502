"""The administrator's side of the library: add, describe, upload, publish, retire."""

from __future__ import annotations

import uuid
from typing import Any

from flask import (
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal.accounts.access import admin_only, current_user
from portal.accounts.models import Partner
from portal.choices import options
from portal.clock import now
from portal.content import html, library, service
from portal.content.forms import AssetForm, FileForm
from portal.content.models import Asset
from portal.content.previews import RENDERABLE
from portal.content.storage import storage
from portal.content.views import bp
from portal.db import db, new_id, write
from portal.errors import Refused


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
    pages = 0
    if media_type == html.MEDIA_TYPE:
        pages = len(html.sections(storage().read(stored[0])))
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
            page_count=pages,
        )
    is_pdf = media_type == RENDERABLE
    flash(
        _("The file is here. Page images follow in a moment.") if is_pdf else _("The file is here.")
    )
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
