"""Pages of rollouts, and which wave asked before and after."""

from __future__ import annotations

import uuid
from datetime import date

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import zone
from portal.db import db, write
from portal.errors import NotFound
from portal.formatting import sort_by_name
from portal.reports import rollouts
from portal.reports.rollouts import BadRollout
from portal.reports.views import bp
from surveys.models import OPEN, Wave


@bp.route("/reports/rollouts", methods=["GET", "POST"], endpoint="rollouts")
@vendor_only
def index() -> tuple[str, int] | BaseResponse:
    """The rollouts that were declared, and a form for the next one."""
    problem = ""
    if request.method == "POST":
        try:
            _declare()
        except BadRollout as refused:
            problem = str(refused)
        else:
            flash(_("Declared. Reports draw a line on its day."))
            return redirect(url_for("reports.rollouts"))
    names = {one.id: one.name for one in accounts.partner_facts(db.session())}
    page = render_template(
        "reports/rollouts.html",
        rollouts=rollouts.declared(db.session()),
        names=names,
        sort_by_name=sort_by_name,
        zone=zone(),
        problem=problem,
        values=request.form,
    )
    return page, 400 if problem else 200


def _declare() -> None:
    name = request.form.get("name", "").strip()
    if not 0 < len(name) <= rollouts.MAX_NAME:
        raise BadRollout(_("Enter a name of at most %(n)s characters.", n=rollouts.MAX_NAME))
    try:
        day = date.fromisoformat(request.form.get("day", ""))
    except ValueError:
        raise BadRollout(_("Choose the day of the rollout.")) from None
    everyone = accounts.partner_facts(db.session())
    days = rollouts.parse_days(request.form.get("days", "")[:20_000], everyone)
    by, now = current_user().id, clock.now()
    with write() as session:
        rollouts.declare(session, name=name, day=day, days=days, by=by, now=now)


@bp.post("/reports/rollouts/waves/<uuid:wave_id>")
@vendor_only
def link_wave(wave_id: uuid.UUID) -> BaseResponse:
    """Say that a wave asked before or after a rollout."""
    wanted, side = request.form.get("rollout", ""), request.form.get("side", "")
    try:
        rollout_id = uuid.UUID(wanted) if wanted else None
    except ValueError:
        raise NotFound(_("There is no such rollout.")) from None
    with write((Wave, wave_id)) as session:
        wave = session.get(Wave, wave_id)
        if wave is None or wave.state != OPEN:
            raise NotFound(_("There is no such wave."))
        rollouts.link(session, wave, rollout_id, side)
    flash(_("Saved."))
    return redirect(url_for("surveys.results", wave_id=wave_id))
