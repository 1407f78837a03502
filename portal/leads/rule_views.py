"""The rules for leads: what scores, who gets them, and every version that held."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, vendor_only
from portal.accounts.models import User
from portal.db import db, write
from portal.errors import Busy, Refused
from portal.leads import qualifying
from portal.leads.forms import RulesForm, filled
from portal.leads.views import bp


@bp.route("/leads/rules", methods=["GET", "POST"])
@vendor_only
def rules() -> tuple[str, int] | BaseResponse:
    """What holds for leads; a manager sets it anew."""
    user, current = current_user(), qualifying.current_rules(db.session())
    form = RulesForm(data=filled(current))
    partners = accounts.partner_facts(db.session())
    regions, tiers = {row.region for row in partners}, {row.tier for row in partners}
    form.offer(sorted(regions - {""}), sorted(tiers - {""}))
    if not form.validate_on_submit():
        return _page(form)
    chosen = form.rules
    try:
        with write() as session:
            person = session.get_one(User, user.id)
            n = qualifying.add_rules(session, chosen, person, clock.now())
    except (Refused, Busy) as refusal:
        return _page(form, refusal)
    flash(_("Saved as version %(n)s. Scores follow at once.", n=n))
    return redirect(url_for("leads.rules"))


def _page(form: RulesForm, refusal: Refused | Busy | None = None) -> tuple[str, int]:
    """The form with all that was typed into it, and why it was refused: saved again, it replaces
    the rules that are in force now."""
    current = qualifying.current_rules(db.session())
    if refusal is not None:
        form.version.data = str(current.version)
    page = render_template(
        "leads/rules.html",
        form=form,
        current=current,
        versions=qualifying.versions(db.session()),
        refusal=str(refusal or ""),
    )
    if refusal is not None:
        return page, refusal.status
    return page, 400 if form.errors else 200
