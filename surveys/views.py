"""Pages of surveys: the vendor's side."""

from __future__ import annotations

import uuid
from datetime import datetime, time

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.service import company, zone
from portal.db import db, write
from portal.errors import NotFound
from portal.tables import Column, Table, csv_response
from surveys import definitions, metrics, waves
from surveys.forms import RHYTHMS, SurveyForm
from surveys.models import OPEN, Survey, Wave
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


def _wave(wave_id: uuid.UUID) -> Wave:
    query = select(Wave).options(joinedload(Wave.survey), joinedload(Wave.questionnaire))
    wave = db.session.scalars(query.where(Wave.id == wave_id, Wave.state == OPEN)).one_or_none()
    if wave is None:
        raise NotFound(_("There is no such wave."))
    return wave


def _partner_table(wave_id: uuid.UUID) -> Table:
    rows = [
        {**vars(line), "people": (line.answered, line.invited)}
        for line in metrics.by_partner(db.session(), wave_id)
    ]
    columns = [
        Column("partner", _("Partner")),
        Column("tier", _("Tier"), wide=True),
        Column("region", _("Region"), wide=True),
        Column("people", _("People"), "of", about="answered_people"),
        Column("company", _("The company"), "mean"),
        Column("experience", _("The partner experience"), "mean"),
    ]
    return Table("wave", _("Partners"), columns, rows, _("Nobody was invited."))


@bp.get("/surveys/waves/<uuid:wave_id>")
@vendor_only
def results(wave_id: uuid.UUID) -> str:
    """How satisfied they are, and whom to call."""
    wave, session = _wave(wave_id), db.session()
    return render_template(
        "surveys/results.html",
        wave=wave,
        summary=metrics.summary(session, wave),
        texts=definitions.texts(wave.questionnaire, "en", company()),
        distributions={
            name: metrics.distribution(session, wave_id, name) for name in definitions.CORE
        },
        partners=_partner_table(wave_id),
        comments=metrics.comments(session, wave_id),
        now=clock.now(),
    )


@bp.get("/surveys/waves/<uuid:wave_id>.csv")
@vendor_only
def results_csv(wave_id: uuid.UUID) -> Response:
    """The table of partners as a file."""
    _wave(wave_id)
    return csv_response(_partner_table(wave_id))


@bp.app_context_processor
def _words() -> dict[str, object]:
    by_rule = {RULES[key]: name for key, name in RHYTHMS.items()}
    return {"rhythm_name": lambda rule: by_rule.get(rule, rule)}
