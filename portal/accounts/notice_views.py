"""The daily mail: when it comes, and what is in it."""

from __future__ import annotations

from zoneinfo import available_timezones

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import SelectField, SelectMultipleField

from portal.accounts import notices
from portal.accounts.access import current_user, signed_in
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.accounts.views import bp
from portal.choices import options
from portal.db import db, write


class NoticeForm(FlaskForm):  # type: ignore[misc]
    """Whose clock, and which kinds of news."""

    timezone = SelectField(_l("Your clock"))
    kinds = SelectMultipleField(_l("What should be in it?"))


def _zones() -> list[tuple[str, str]]:
    places = sorted(name for name in available_timezones() if "/" in name and "Etc" not in name)
    usual = _("As the portal: %(zone)s", zone=zone().key)
    return [("", usual), *((name, name.replace("_", " ")) for name in places)]


@bp.route("/account/notices", methods=["GET", "POST"])
@signed_in
def notice_choice() -> tuple[str, int] | Response:
    """Choose what is in the daily mail."""
    user = current_user()
    choice = notices.choice_of(db.session(), user.id)
    kinds, own = notices.kinds_for(user), notices.own_mails_for(user)
    wanted = [kind.name for kind in kinds if kind.name not in choice.muted]
    wanted += [mail.name for mail in own if mail.wants(db.session(), user.id)]
    form = NoticeForm(timezone=choice.timezone, kinds=wanted)
    form.timezone.choices = options(_zones())
    form.kinds.choices = options(
        [*((kind.name, kind.title) for kind in kinds), *((mail.name, mail.title) for mail in own)]
    )
    if form.validate_on_submit():
        with write((User, user.id)) as session:
            person = session.get_one(User, user.id)
            notices.choose(session, person, form.timezone.data or "", form.kinds.data or [])
        flash(_("Saved."))
        return redirect(url_for("accounts.notice_choice"))
    page = render_template(
        "accounts/notices.html", form=form, kinds=kinds, own=own, morning=notices.MORNING
    )
    return page, 400 if form.errors else 200
