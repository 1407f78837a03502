"""Being away: one's own days, and, for administrators, those of a colleague who cannot say so."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import DateField, SelectField
from wtforms.validators import InputRequired

from portal import clock
from portal.accounts import absences
from portal.accounts.access import admin_only, current_user, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.accounts.views import bp
from portal.choices import options
from portal.db import db, write
from portal.errors import NotFound, Refused


class AbsenceForm(FlaskForm):  # type: ignore[misc]
    """From when until when somebody is away, and who stands in."""

    first_day = DateField(_l("First day away"), [InputRequired(_l("Give the first day."))])
    last_day = DateField(_l("Last day away"), [InputRequired(_l("Give the last day."))])
    deputy = SelectField(_l("Deputy"), [InputRequired(_l("Please choose a deputy."))])


@bp.route("/account/absence", methods=["GET", "POST"])
@vendor_only
def absence() -> tuple[str, int] | Response:
    """When I am away, and who decides instead."""
    return _edit(current_user())


@bp.route("/people/<uuid:user_id>/absence", methods=["GET", "POST"])
@admin_only
def absence_of(user_id: uuid.UUID) -> tuple[str, int] | Response:
    """The same for a colleague who is ill."""
    user = db.session.get(User, user_id)
    if user is None or not user.is_vendor or user.deactivated_at is not None:
        raise NotFound(_("There is no such person."))
    return _edit(user)


def _edit(user: User) -> tuple[str, int] | Response:
    session, user_id = db.session(), user.id
    form = AbsenceForm(obj=absences.of_person(session, user_id))
    others = [row for row in absences.vendor_people(session) if row.id != user_id]
    form.deputy.choices = options(
        [("", _("Please choose")), *((str(row.id), row.name) for row in others)]
    )
    if request.method == "GET":
        return _page(form, user), 200
    if request.form.get("then") == "end":
        with write((User, user_id)) as fresh:
            absences.end_absence(fresh, user_id)
        flash(_("Saved: nobody stands in any more."))
        return redirect(request.path)
    if form.validate() and _saved(form, user_id):
        flash(_("Saved. What comes in those days goes to the deputy, too."))
        return redirect(request.path)
    db.session.rollback()
    return _page(form, db.session.get_one(User, user_id)), 400


def _saved(form: AbsenceForm, user_id: uuid.UUID) -> bool:
    today, deputy = clock.local_day(clock.now(), zone()), uuid.UUID(form.deputy.data)
    try:
        with write((User, user_id)) as session:
            user = session.get_one(User, user_id)
            absences.set_absence(
                session, user, form.first_day.data, form.last_day.data, deputy, today
            )
    except Refused as refusal:
        form.last_day.errors = [str(refusal)]
        return False
    return True


def _page(form: AbsenceForm, user: User) -> str:
    row = absences.of_person(db.session(), user.id)
    if row is not None and not form.is_submitted():
        form.deputy.data = str(row.deputy_id)
    return render_template(
        "accounts/absence.html",
        form=form,
        person=user,
        absence=row,
        today=clock.local_day(clock.now(), zone()),
        back=url_for("accounts.people" if user.id != current_user().id else "accounts.account"),
    )
