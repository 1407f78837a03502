"""Pages of surveys: answering without signing in, and the vendor's side."""

from __future__ import annotations

import uuid
from datetime import datetime, time

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, partners_only, public, vendor_only
from portal.accounts.service import company, zone
from portal.db import db, write
from surveys import definitions, invitations, metrics, responses, waves
from surveys.forms import RHYTHMS, AnswerForm, SurveyForm
from surveys.models import Invitation, Survey
from surveys.schedule import RULES, Schedule

bp = Blueprint("surveys", __name__)


# --- answering ----------------------------------------------------------------------------------


@bp.route("/survey/<token>", methods=["GET", "POST"])
@public
def answer(token: str) -> tuple[str, int]:
    """Answer from the link in a mail. Opening it answers nothing: scanners open links."""
    return _answer(invitations.by_token(db.session(), token))


@bp.route("/survey/invitation/<uuid:invitation_id>", methods=["GET", "POST"])
@partners_only
def answer_signed_in(invitation_id: uuid.UUID) -> tuple[str, int]:
    """Answer from the portal."""
    return _answer(invitations.of_user(db.session(), current_user(), invitation_id))


def _answer(invitation: Invitation) -> tuple[str, int]:
    responses.refuse_late(invitation, clock.now())
    form = _answer_form(invitation)
    if not form.validate_on_submit():
        return _answer_page(invitation, form), 400 if form.errors else 200
    key = invitation.id
    scores = {name: int(form[name].data) for name in definitions.CORE}
    submission = form.submission.data or responses.new_submission()
    with write((Invitation, key)) as session:
        responses.answer(
            session,
            session.get_one(Invitation, key),
            submission,
            scores,
            form.comment.data or "",
            clock.now(),
        )
    return render_template("surveys/thanks.html", wave=invitation.wave, address=request.path), 200


def _answer_form(invitation: Invitation) -> AnswerForm:
    form = AnswerForm()
    if form.is_submitted():
        return form
    form.submission.data = responses.new_submission()
    earlier = invitation.response
    if earlier is not None:
        given = {row.question: row.value for row in earlier.answers}
        for name in definitions.CORE:
            form[name].data = str(given[name]) if given.get(name) else None
        form.comment.data = earlier.comment
    for name in definitions.CORE:
        chosen = request.args.get(name, "")
        if chosen.isdecimal() and int(chosen) in definitions.SCALE:
            form[name].data = str(int(chosen))
    return form


def _answer_page(invitation: Invitation, form: AnswerForm) -> str:
    return render_template(
        "surveys/answer.html",
        form=form,
        wave=invitation.wave,
        person=invitation.user,
        texts=definitions.texts(invitation.wave.questionnaire, invitation.user.locale, company()),
        answered=invitation.response is not None,
    )


# --- the vendor's side --------------------------------------------------------------------------


@bp.get("/surveys")
@vendor_only
def index() -> str:
    """The rhythm, and how the last waves went."""
    session, now = db.session(), clock.now()
    rows = list(session.scalars(select(Survey).order_by(Survey.created_at)))
    return render_template(
        "surveys/index.html",
        surveys=[(row, _next(row, now)) for row in rows],
        waves=list(reversed(metrics.last_waves(session, 12))),
        now=now,
    )


def _next(survey: Survey, now: datetime) -> datetime | None:
    if survey.paused_at is not None:
        return None
    schedule = waves.schedule_of(survey)
    upcoming = schedule.upcoming(now, 1)
    return schedule.due(upcoming[0]) if upcoming else None


@bp.route("/surveys/new", methods=["GET", "POST"])
@vendor_only
def new() -> tuple[str, int] | BaseResponse:
    """Set the rhythm. The next five dates are shown before anything is saved."""
    form = SurveyForm()
    if not form.is_submitted():
        form.start.data = clock.local_day(clock.now(), zone())
    if not form.validate_on_submit():
        return render_template("surveys/new.html", form=form, dates=[]), 400 if form.errors else 200
    start = datetime.combine(form.start.data, time(form.hour.data))
    schedule = Schedule(RULES[form.rhythm.data], start, zone())
    dates = [(at, schedule.due(at)) for at in schedule.upcoming(clock.now(), 5)]
    if request.form.get("then") != "save":
        return render_template("surveys/new.html", form=form, dates=dates, zone=zone()), 200
    reporting_zone = zone()
    with write() as session:
        waves.create(
            session,
            name=form.name.data.strip(),
            rhythm=form.rhythm.data,
            start=start,
            zone=reporting_zone,
            open_days=form.open_days.data,
            now=clock.now(),
        )
    flash(_("Saved. The first wave opens by itself."))
    return redirect(url_for("surveys.index"))


@bp.post("/surveys/<uuid:survey_id>/pause")
@vendor_only
def pause(survey_id: uuid.UUID) -> BaseResponse:
    """Ask no more for a while."""
    with write((Survey, survey_id)) as session:
        waves.pause(session, survey_id, clock.now())
    flash(_("Paused. Nobody is asked until you resume it."))
    return redirect(url_for("surveys.index"))


@bp.post("/surveys/<uuid:survey_id>/resume")
@vendor_only
def resume(survey_id: uuid.UUID) -> BaseResponse:
    """Ask again."""
    with write((Survey, survey_id)) as session:
        waves.resume(session, survey_id, clock.now())
    flash(_("Resumed."))
    return redirect(url_for("surveys.index"))


@bp.app_context_processor
def _words() -> dict[str, object]:
    by_rule = {RULES[key]: name for key, name in RHYTHMS.items()}
    return {"rhythm_name": lambda rule: by_rule.get(rule, rule)}
