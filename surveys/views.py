"""Pages of surveys for the vendor: whom they ask, when and how."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, vendor_only
from portal.accounts.models import Role
from portal.accounts.service import partner_facts, zone
from portal.db import db, write
from portal.errors import Refused
from portal.formatting import count, sort_by_name, sort_key
from surveys import definitions, follow_ups, metrics, plans, waves
from surveys.forms import Offer, SurveyForm, filled
from surveys.models import BASELINE, MANUAL, Mode, Survey
from surveys.recipients import MAILBOX, QUARANTINE, choose
from surveys.rhythms import offset, rhythm_of, skipped

bp = Blueprint("surveys", __name__)

ROLES = {
    Role.partner_admin: _l("Partner admins"),
    Role.partner_user: _l("Other people of partners"),
}
# What a wave is besides one of the rhythm.
KINDS = {MANUAL: _l("by hand"), BASELINE: _l("baseline")}
MODE_SENTENCES = {
    Mode.attributed: _l(
        "Channel managers see each answer with name and company, and can call those who are "
        "unhappy."
    ),
    Mode.confidential: _l(
        "What people choose is shown only as figures of enough people; what they write is shown "
        "word for word, without names. The portal knows who answered what."
    ),
    Mode.anonymous: _l(
        "What people choose is shown only as figures of enough people; what they write is shown "
        "word for word, without names. When a wave has closed, only company and language are kept "
        "with an answer: where one person of a company answers, the database still tells who."
    ),
}


@bp.get("/surveys")
@vendor_only
def index() -> str:
    """When each survey asks, who has answered so far, and how the last waves went."""
    session, now = db.session(), clock.now()
    return render_template(
        "surveys/index.html",
        lines=plans.lines(session, now),
        waves=list(reversed(metrics.last_waves(session, 12))),
        missed=plans.missed(session, 12),
        kinds=KINDS,
        calls=follow_ups.waiting(session, current_user().id),
        now=now,
    )


@bp.route("/surveys/new", methods=["GET", "POST"])
@vendor_only
def new() -> tuple[str, int] | BaseResponse:
    """Set up a survey. What would happen is shown before anything is saved."""
    form = _form({"start": clock.local_day(clock.now(), zone()), "zone": str(zone())})
    if not form.validate_on_submit():
        return _page(form), 400 if form.errors else 200
    if request.form.get("then") != "save":
        return _page(form, looked=True), 200
    plan = form.plan
    try:
        with write() as session:
            plans.add(session, plan, clock.now())
    except Refused as refused:
        return _page(form, looked=True, refused=str(refused)), refused.status
    flash(_("Saved. Its waves open by themselves.") if plan.rhythm.rule else _("Saved."))
    return redirect(url_for("surveys.index"))


@bp.route("/surveys/<uuid:survey_id>", methods=["GET", "POST"])
@vendor_only
def edit(survey_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Change a survey, shown with what would happen, too."""
    survey = waves.get(db.session(), survey_id)
    form = _form(filled(survey))
    if not form.validate_on_submit():
        return _page(form, survey), 400 if form.errors else 200
    if request.form.get("then") != "save":
        return _page(form, survey, looked=True), 200
    plan = form.plan
    try:
        with write((Survey, survey_id)) as session:
            plans.change(session, survey_id, plan, clock.now())
    except Refused as refused:
        return _page(form, survey, looked=True, refused=str(refused)), refused.status
    flash(_("Saved. It holds from the next wave on."))
    return redirect(url_for("surveys.index"))


def _form(kept: dict[str, Any]) -> SurveyForm:
    facts = partner_facts(db.session())
    offer = Offer(
        questionnaires=_versions(),
        tiers=sorted({row.tier for row in facts if row.tier}, key=sort_key),
        regions=sorted({row.region for row in facts if row.region}, key=sort_key),
        partners=[(str(row.id), row.name) for row in sort_by_name(facts, lambda row: row.name)],
        roles=list(ROLES.items()),
    )
    return SurveyForm(offer, kept)


def _versions() -> list[tuple[str, str]]:
    """Every questionnaire, the newest first; the standard one also before it is written down."""
    rows = definitions.versions(db.session())
    found = [
        (str(row.id), _("%(name)s, version %(n)s", name=row.name, n=row.number)) for row in rows
    ]
    if any(row.body == definitions.STANDARD for row in rows):
        return found
    return [*found, ("", _("Standard: the two core questions"))]


def _page(
    form: SurveyForm, survey: Survey | None = None, *, looked: bool = False, refused: str = ""
) -> str:
    session, now = db.session(), clock.now()
    outlook = plans.outlook(session, form.plan, survey, now) if looked else None
    running = plans.open_wave(session, survey.id, now) if survey else None
    clocks = [
        (local, due.astimezone(form.plan.zone)) for local, due in (outlook.dates if outlook else [])
    ]
    return render_template(
        "surveys/edit.html",
        form=form,
        survey=survey,
        running=running,
        deletable=survey is not None and not plans.has_waves(session, survey.id),
        refused=refused,
        outlook=outlook,
        asked=_how_many(outlook.people, outlook.partners) if outlook else "",
        clocks=clocks,
        offset=offset,
        skipped=skipped(form.rhythm) if looked else "",
        modes=MODE_SENTENCES,
    )


def not_asked(left_out: Mapping[str, int]) -> str:
    """How many people of the audience a wave leaves out, and why."""
    reasons = ", ".join(_left_out(reason, n) for reason, n in left_out.items())
    return _("Not asked: %(reasons)s.", reasons=reasons)


def _left_out(reason: str, n: int) -> str:
    if reason == QUARANTINE:
        return count(n, "%(num)s was asked lately", "%(num)s were asked lately")
    if reason == MAILBOX:
        return count(
            n, "%(num)s shares a mailbox with another", "%(num)s share a mailbox with others"
        )
    return count(n, "%(num)s wants no surveys", "%(num)s want no surveys")


def _how_many(people: int, partners: int) -> str:
    return _(
        "%(people)s of %(partners)s",
        people=count(people, "%(num)s person", "%(num)s people"),
        partners=count(partners, "%(num)s partner", "%(num)s partners"),
    )


@bp.route("/surveys/<uuid:survey_id>/open", methods=["GET", "POST"])
@vendor_only
def open_now(survey_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Ask now, besides the rhythm: shows how many people that are, and asks once more."""
    kind, with_held = request.form.get("kind", MANUAL), "include_held" in request.form
    if request.method == "GET":
        return _opening(survey_id, kind), 200
    try:
        with write((Survey, survey_id)) as session:
            plans.open_now(session, survey_id, kind, clock.now(), include_held=with_held)
    except Refused as refused:
        page = _opening(survey_id, kind, with_held=with_held, refused=str(refused))
        return page, refused.status
    flash(_("The wave is open, and its invitations are on their way."))
    return redirect(url_for("surveys.index"))


def _opening(survey_id: uuid.UUID, kind: str, *, with_held: bool = False, refused: str = "") -> str:
    session, now = db.session(), clock.now()
    survey = waves.get(session, survey_id)
    chosen, left_out = choose(session, survey, now)
    everyone, _left_out = choose(session, survey, now, include_held=True)
    return render_template(
        "surveys/open.html",
        survey=survey,
        running=plans.open_wave(session, survey_id, now),
        people=len(chosen),
        asked=_how_many(len(chosen), len({found.partner.id for found in chosen})),
        held=max(0, len(everyone) - len(chosen)),
        left_out=left_out,
        kinds=(MANUAL, BASELINE),
        kind=kind,
        with_held=with_held,
        refused=refused,
        mode=MODE_SENTENCES[Mode(survey.mode)],
    )


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


@bp.post("/surveys/<uuid:survey_id>/delete")
@vendor_only
def delete(survey_id: uuid.UUID) -> BaseResponse:
    """Take back a survey that never asked."""
    with write((Survey, survey_id)) as session:
        plans.delete(session, survey_id)
    flash(_("Deleted."))
    return redirect(url_for("surveys.index"))


@bp.app_context_processor
def _words() -> dict[str, object]:
    return {"rhythm_of": rhythm_of, "not_asked": not_asked}
