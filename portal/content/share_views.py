"""Links for customers: the partner who makes them, and the customer who reads."""

from __future__ import annotations

import uuid

from flask import (
    Response,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal.accounts.access import current_user, partners_only, public, signed_in_user
from portal.accounts.models import User
from portal.choices import options
from portal.clock import now, now_ms
from portal.content import attention, delivery, library, sharing
from portal.content.forms import ShareForm
from portal.content.models import AssetVersion, ShareLink
from portal.content.views import (
    bp,
    page_image_response,
    preferred_languages,
    sections_of,
)
from portal.db import db, write
from portal.errors import NotFound, Refused
from tracking import events, metrics


@bp.route("/library/<uuid:asset_id>/share", methods=["GET", "POST"])
@partners_only
def share(asset_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Make a link for a customer."""
    user = current_user()
    shown = library.get_visible(db.session(), user, asset_id)
    language = request.values.get("language", "")
    version = library.pick_version(shown, language, preferred_languages(user))
    assert version is not None
    form = ShareForm()
    others = [a for a in library.find(db.session(), user, library.Filters()) if a.id != asset_id]
    deals = sharing.deals_for(db.session(), user)
    form.deal.choices = options(
        [("", _("None")), *((str(key), name) for key, name in deals.items())]
    )
    if not form.is_submitted():
        form.deal.data = request.args.get("deal", "")
    form.also.choices = options((str(a.id), a.title) for a in others)
    if not form.validate_on_submit():
        page = render_template("content/share.html", asset=shown, version=version, form=form)
        return page, 400 if form.errors else 200
    chosen = [shown, *(a for a in others if str(a.id) in (form.also.data or []))]
    wanted = [
        (a, library.pick_version(a, version.language, preferred_languages(user))) for a in chosen
    ]
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
            deal_id=uuid.UUID(form.deal.data) if form.deal.data else None,
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
        opens=metrics.recent_opens(db.session(), partner_id, link.created_at, 200, link.id),
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
    return render_template(
        "content/recipient_list.html",
        link=link,
        sender=sender,
        unmeasured=_is_unmeasured(link),
        is_customer=_is_customer(link),
    )


@bp.get("/s/<slug>/<uuid:asset_id>")
@public
def recipient_asset(slug: str, asset_id: uuid.UUID) -> str:
    """One document of a link."""
    return _recipient_page(sharing.open_link(db.session(), slug, now()), asset_id)


def _recipient_page(link: ShareLink, asset_id: uuid.UUID) -> str:
    item = sharing.shared_item(link, asset_id)
    version = library.pick_version(item.asset, item.language, [])
    assert version is not None
    unmeasured = _is_unmeasured(link)
    return render_template(
        "content/recipient.html",
        link=link,
        asset=item.asset,
        version=version,
        sender=db.session.get_one(User, link.user_id),
        token="" if unmeasured else attention.content_token(attention.customer(link), version),
        unmeasured=unmeasured,
        is_customer=_is_customer(link),
        sections=sections_of(version),
        now_ms=now_ms(),
    )


def _is_unmeasured(link: ShareLink) -> bool:
    """Whether nothing is recorded: as the reader chose, as their browser says for them by Global
    Privacy Control, because the link was erased, or because its own side looks at it."""
    return (
        request.args.get("measure") == "0"
        or request.headers.get("Sec-GPC") == "1"
        or not _is_customer(link)
        or events.is_erased(db.session(), link.id)
    )


def _is_customer(link: ShareLink) -> bool:
    """Whether this may be a customer: whoever tries a link of their own organisation, or of a
    partner of theirs, has not opened it."""
    user = signed_in_user()
    return user is None or not (user.is_vendor or user.partner_id == link.partner_id)


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
def recipient_download(slug: str, asset_id: uuid.UUID) -> BaseResponse:
    """A customer downloads. A POST, so that no scanner's GET is counted as one; the file itself
    is behind an address of its own, so that it can be resumed."""
    link, version = _shared_version(slug, asset_id)
    if not link.allow_download:
        raise Refused(_("Downloading is not allowed for this link. Ask whoever sent it."))
    is_counted = delivery.is_by_person() and not _is_unmeasured(link)
    granted = delivery.grant(attention.customer(link), version) if is_counted else None
    if granted is None:
        return delivery.download(version, None)
    return redirect(
        url_for("content.recipient_file", slug=slug, asset_id=asset_id, grant_id=granted), code=303
    )


@bp.get("/s/<slug>/<uuid:asset_id>/files/<uuid:grant_id>")
@public
def recipient_file(slug: str, asset_id: uuid.UUID, grant_id: uuid.UUID) -> BaseResponse:
    """The file of a download that was granted to whoever has this link."""
    link, version = _shared_version(slug, asset_id)
    if not delivery.is_granted(grant_id, link.id, version.id):
        raise NotFound(_("This download has ended. Start it again from the document's page."))
    return delivery.download(version, lambda _part: grant_id)


@bp.get("/s/<slug>/<uuid:asset_id>/recording")
@public
def recipient_recording(slug: str, asset_id: uuid.UUID) -> BaseResponse:
    """A recording for a customer, to be played in the viewer."""
    return delivery.play(_shared_version(slug, asset_id)[1])
