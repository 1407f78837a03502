"""What both sides add to a deal: comments, files, and the answers to two questions."""

from __future__ import annotations

import uuid

from flask import Response, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as BaseResponse
from werkzeug.wsgi import wrap_file

from portal import clock
from portal.accounts.access import current_user, partners_only, signed_in
from portal.content.storage import storage
from portal.db import db
from portal.deals import files, helped, service, timeline
from portal.deals.views import bp, refused_page, written
from portal.errors import Busy, NotFound, Refused


def _shown(deal_id: uuid.UUID, part: str) -> BaseResponse:
    return redirect(url_for("deals.show", deal_id=deal_id, _anchor=part))


@bp.post("/deals/<uuid:deal_id>/comments")
@signed_in
def add_comment(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Say something to the other side."""
    user_id, text = current_user().id, request.form.get("text", "")
    deal = service.get(db.session(), current_user(), deal_id)
    kept = [] if deal.is_registered else written(text)
    try:
        timeline.comment(user_id, deal_id, text, clock.now())
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "", kept, comment=text)
    flash(_("Sent. The other side is told by mail."))
    return _shown(deal_id, "happened")


@bp.post("/deals/<uuid:deal_id>/files")
@signed_in
def add_deal_file(deal_id: uuid.UUID) -> BaseResponse:
    """Attach a file."""
    user_id = current_user().id
    service.get(db.session(), current_user(), deal_id)
    upload = request.files.get("file")
    db.session.rollback()
    try:
        if upload is None or not upload.filename:
            raise Refused(_("Choose a file first."))
        named = (upload.filename, upload.stream)
        files.attach(user_id, deal_id, storage(), named, clock.now())
        flash(_("Attached."))
    except Refused as refusal:
        flash(str(refusal), "bad")
    return _shown(deal_id, "files")


@bp.get("/deals/<uuid:deal_id>/files/<uuid:file_id>")
@signed_in
def deal_file(deal_id: uuid.UUID, file_id: uuid.UUID) -> Response:
    """A file of a deal, to be saved and never shown inside the portal's own origin."""
    found = files.get(db.session(), current_user(), deal_id, file_id)
    try:
        stream = storage().open(found.file_key)
    except FileNotFoundError:
        raise NotFound(_("There is no such file.")) from None
    body = wrap_file(request.environ, stream)
    response = Response(body, mimetype=found.media_type, direct_passthrough=True)
    response.content_length = found.size
    name = secure_filename(found.filename) or "file"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@bp.post("/deals/<uuid:deal_id>/files/<uuid:file_id>/remove")
@signed_in
def remove_deal_file(deal_id: uuid.UUID, file_id: uuid.UUID) -> BaseResponse:
    """Take a file away again."""
    user = current_user()
    files.get(db.session(), user, deal_id, file_id)
    files.take_away(user.id, deal_id, file_id, clock.now())
    flash(_("Taken away."))
    return _shown(deal_id, "files")


@bp.post("/deals/<uuid:deal_id>/helped")
@partners_only
def say_what_helped(deal_id: uuid.UUID) -> BaseResponse:
    """Which content helped, and whether the deal would have been pursued anyway."""
    user = current_user()
    service.get(db.session(), user, deal_id)
    try:
        keys = [uuid.UUID(text) for text in request.form.getlist("helped")]
    except ValueError:
        raise NotFound(_("There is no such content, or it is not for you.")) from None
    helped.answer(user, deal_id, keys, request.form.get("pursued", ""), clock.now())
    flash(_("Saved. Thank you: it shows which content is worth making."))
    return _shown(deal_id, "helped")
