"""What we record about you: a page, an export and an erasure for everyone who is measured."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import admin_only, current_user, public, signed_in
from portal.accounts.models import User
from portal.accounts.service import company
from portal.content import sharing
from portal.content.models import ShareLink
from portal.db import db, write
from portal.errors import NotFound, Refused
from portal.leads import service as leads
from portal.paging import page_of
from portal.reports import records
from portal.reports.views import bp
from portal.tables import csv_response
from tracking import erasure, events


@bp.get("/account/recorded")
@signed_in
def recorded() -> str:
    """Everything that is recorded about me, in my words."""
    user = current_user()
    lines = records.of_user(db.session(), user)
    return render_template(
        "reports/recorded.html",
        promise=records.promise(user, company()),
        kinds={kind: _(name) for kind, name in records.KINDS.items()},
        page=page_of(lines, request.args),
    )


@bp.get("/account/recorded.json")
@signed_in
def recorded_json() -> Response:
    """The same, for a program."""
    user, session = current_user(), db.session()
    return _json_file(records.as_json(session, user, records.of_user(session, user)))


def _json_file(value: dict[str, Any]) -> Response:
    response = jsonify(value)
    response.headers["Content-Disposition"] = "attachment; filename=recorded.json"
    return response


@bp.get("/account/recorded.csv")
@signed_in
def recorded_csv() -> Response:
    """The same, as a table."""
    return csv_response(records.as_table(records.of_user(db.session(), current_user())))


@bp.post("/account/recorded/erase")
@signed_in
def erase_reading() -> BaseResponse:
    """Cut the tie between me and what I read."""
    user_id = current_user().id
    if request.form.get("sure") != "1":
        raise Refused(_("Tick the box first: what is erased cannot be brought back."))
    with write((User, user_id)) as session:
        n = records.erase_reading(session, user_id)
    flash(_("Done. %(n)s records are no longer tied to you.", n=n))
    return redirect(url_for("reports.recorded"))


@bp.post("/people/<uuid:user_id>/erase")
@admin_only
def erase_person(user_id: uuid.UUID) -> BaseResponse:
    """Erase a person whose access has ended."""
    with write((User, user_id)) as session:
        user = session.get(User, user_id)
        if user is None:
            raise NotFound(_("There is no such person."))
        if user.deactivated_at is None:
            raise Refused(_("End this person's access first, then erase them."))
        records.erase_person(session, user_id, clock.now())
    flash(_("Erased. What they did stays in the numbers, by a former user."))
    return redirect(url_for("accounts.people"))


# --- for customers behind a link ----------------------------------------------------------------


@bp.get("/s/<slug>/recorded")
@public
def link_recorded(slug: str) -> str:
    """What is recorded about everyone who opened a link, for them: also when it has ended, for as
    long as the rows are kept."""
    link = sharing.find_link(db.session(), slug)
    return render_template(
        "reports/link_recorded.html",
        link=link,
        ended=link.revoked_at or link.expires_at <= clock.now(),
        page=page_of(_of_link(link), request.args),
        kinds={kind: _(name) for kind, name in records.KINDS.items()},
        erased=events.is_erased(db.session(), link.id),
    )


def _of_link(link: ShareLink) -> list[records.Line]:
    return records.of_link(db.session(), link.id)


@bp.get("/s/<slug>/recorded.json")
@public
def link_recorded_json(slug: str) -> Response:
    """The same, for a program."""
    link = sharing.find_link(db.session(), slug)
    return _json_file({"records": records.figures(_of_link(link))})


@bp.get("/s/<slug>/recorded.csv")
@public
def link_recorded_csv(slug: str) -> Response:
    """The same, as a table."""
    return csv_response(records.as_table(_of_link(sharing.find_link(db.session(), slug))))


@bp.post("/s/<slug>/recorded/erase")
@public
def erase_link(slug: str) -> BaseResponse:
    """Erase it, and measure this link no more."""
    link_id = sharing.find_link(db.session(), slug).id
    with write() as session:
        erasure.erase_link(session.connection(), link_id)
        leads.erase_of_link(session, link_id, clock.now())
    flash(_("Erased. This link is not measured any more."))
    return redirect(url_for("reports.link_recorded", slug=slug))
