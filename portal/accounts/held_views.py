"""Invitations of imported people, which wait until an administrator lets them go."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from portal.accounts import service
from portal.accounts.access import admin_only, current_user
from portal.accounts.models import PARTNER_ROLES, User
from portal.accounts.views import bp, role_name
from portal.db import db, write
from portal.errors import Refused
from portal.formatting import count, sort_by_name

SHOWN = 200


@bp.get("/people/held")
@admin_only
def held() -> str:
    """Whose invitations wait."""
    everyone, found = _held()
    return render_template(
        "accounts/held.html",
        people=found[:SHOWN],
        found=len(found),
        total=len(everyone),
        q=request.values.get("q", ""),
        role=request.values.get("role", ""),
        roles=[(role.value, role_name(role)) for role in sorted(PARTNER_ROLES)],
        role_name=role_name,
    )


@bp.post("/people/held")
@admin_only
def release_held() -> Response:
    """Invite those who are ticked, or all that the filter shows."""
    ids = [user.id for user in _held()[1]]
    if request.form.get("then") != "all":
        ticked = set(request.form.getlist("person"))
        ids = [key for key in ids if str(key) in ticked]
    if not ids:
        raise Refused(_("Tick whom you want to release."))
    by_id: uuid.UUID = current_user().id
    with write() as session:
        released = service.release(session, ids, session.get_one(User, by_id))
    flash(count(released, "%(num)s person will get a mail.", "%(num)s people will get a mail."))
    return redirect(url_for("accounts.held"))


def _held() -> tuple[list[User], list[User]]:
    """Everyone who waits, and those that the address asks for."""
    everyone = sort_by_name(service.held(db.session()), lambda user: user.name)
    wanted, role = request.values.get("q", "").strip().casefold(), request.values.get("role", "")
    return everyone, [
        user
        for user in everyone
        if (not role or user.role == role)
        and wanted
        in f"{user.name} {user.email} {user.partner.name if user.partner else ''}".casefold()
    ]
