"""Pages of follow-ups: whom to call, by when, and what came of it; and what was done about it."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, vendor_only
from portal.accounts.service import company, zone
from portal.db import db, write
from portal.errors import NotFound, Refused
from portal.paging import page_of
from surveys import definitions, follow_ups
from surveys.models import OPEN, FollowUp, Wave
from surveys.questions import SCALE
from surveys.views import bp

MINE, ALL = "mine", "all"
MAX_SAID = 2000


@bp.get("/surveys/follow-ups", endpoint="follow_ups")
@vendor_only
def index() -> str:
    """Whom to call, the first due first; or what is closed."""
    session, user = db.session(), current_user()
    whose = ALL if request.args.get("whose") == ALL else MINE
    closed = request.args.get("state") == follow_ups.CLOSED
    found = follow_ups.cases(session, of=user.id if whose == MINE else None, closed=closed)
    return render_template(
        "surveys/follow_ups.html",
        page=page_of(found, request.args),
        whose=whose,
        closed=closed,
        today=clock.local_day(clock.now(), zone()),
        state_name=follow_ups.state_name,
    )


@bp.route("/surveys/follow-ups/<uuid:follow_up_id>", methods=["GET", "POST"])
@vendor_only
def follow_up(follow_up_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """One follow-up: who answered what, and the next step with a note."""
    problem, note = "", request.form.get("note", "")
    if request.method == "POST":
        try:
            with write((FollowUp, follow_up_id)) as session:
                row = follow_ups.get(session, follow_up_id).follow_up
                to = request.form.get("to", "")
                follow_ups.move(session, row, current_user(), to, note, clock.now())
        except (follow_ups.NoNote, Refused) as refused:
            problem = str(refused)
        else:
            flash(_("Saved."))
            return redirect(url_for("surveys.follow_up", follow_up_id=follow_up_id))
    session = db.session()
    case = follow_ups.get(session, follow_up_id)
    invitation = case.follow_up.response.invitation
    before = follow_ups.previous(session, invitation) if invitation else None
    asked = case.follow_up.wave.questionnaire
    texts = definitions.texts(asked, current_user().locale, company())
    page = render_template(
        "surveys/follow_up.html",
        case=case,
        scales=[it for it in definitions.parsed(asked).questions if it.kind == SCALE],
        now={row.question: row.value for row in case.follow_up.response.answers},
        before={row.question: row.value for row in before.answers} if before else {},
        texts=texts,
        said=follow_ups.said(case.follow_up.response, texts),
        today=clock.local_day(clock.now(), zone()),
        state_name=follow_ups.state_name,
        problem=problem,
        note=note,
    )
    return page, 400 if problem else 200


@bp.post("/surveys/waves/<uuid:wave_id>/said")
@vendor_only
def said(wave_id: uuid.UUID) -> BaseResponse:
    """ "You said, we did": what was done about this wave, for those who are asked next."""
    text = request.form.get("said", "").strip()
    if len(text) > MAX_SAID:
        raise Refused(_("Use at most %(n)s characters. Go back and shorten it.", n=MAX_SAID))
    with write((Wave, wave_id)) as session:
        wave = session.get(Wave, wave_id)
        if wave is None or wave.state != OPEN:
            raise NotFound(_("There is no such wave."))
        wave.said = text
    flash(_("Saved. It is shown to those who are asked next."))
    return redirect(url_for("surveys.results", wave_id=wave_id))
