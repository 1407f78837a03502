"""Pages of surveys: the vendor's side."""

from __future__ import annotations

import uuid
from datetime import datetime, time

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.service import zone
from portal.db import db, write
from surveys import metrics, waves
from surveys.forms import RHYTHMS, SurveyForm
from surveys.models import Survey
from surveys.schedule import RULES, Schedule

bp = Blueprint("surveys", __name__)


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
