"""The page for administrators: is it alive?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload
from werkzeug.wrappers import Response

from portal import jobs, mail, runner
from portal.accounts.access import admin_only
from portal.accounts.service import zone
from portal.clock import now as clock_now
from portal.db import db
from portal.errors import N_, Refused
from portal.formatting import clock_time, count
from portal.job_words import Words, words_of
from portal.runner import Job, JobFailed, JobState
from tracking.models import Refusals, Removal

bp = Blueprint("jobs", __name__)

UNSENT = (mail.FAILED, mail.UNKNOWN)


@dataclass(frozen=True)
class Duty:
    """One duty on the page. `trouble` says in a sentence why somebody should look."""

    job: Job
    words: Words
    state: JobState | None
    running: bool
    trouble: str


@bp.get("/jobs")
@admin_only
def overview() -> str:
    """One sentence, what needs somebody, then every duty and the mails."""
    session, now = db.session(), clock_now()
    duties = _duties(session, now)
    mails = session.scalars(
        select(mail.Outbox)
        .options(joinedload(mail.Outbox.user))
        .order_by(mail.Outbox.state.not_in(UNSENT), mail.Outbox.created_at.desc())
        .limit(100)
    ).all()
    return render_template(
        "reports/jobs.html",
        now=now,
        duties=duties,
        troubled=[duty for duty in duties if duty.trouble],
        mails=mails,
        mail_sentences=_of_mails(session),
        refused=_refused(),
        removals=session.scalars(select(Removal).order_by(Removal.at.desc()).limit(5)).all(),
        smtp=bool(current_app.config["SETTINGS"].smtp_url),
    )


def _duties(session: Session, now: datetime) -> list[Duty]:
    """Every duty, those with trouble first."""
    known, late = runner.states(session), jobs.overdue(session)
    duties = []
    for name, job in jobs.JOBS.items():
        row = known.get(name)
        running = row is not None and runner.is_running(job, row, now)
        trouble = _trouble(row, now) if name in late else ""
        duties.append(Duty(job, words_of(name), row, running, trouble))
    return sorted(duties, key=lambda duty: not duty.trouble)


def _trouble(row: JobState | None, now: datetime) -> str:
    """Why somebody should look at this duty."""
    if row is None:
        return _("It has never run. Is the scheduler running?")
    if row.error:
        return _("It failed: %(error)s", error=row.error)
    if runner.was_lost(row):
        noticed = clock_time(row.lost_at or now, now, zone())
        return _(
            "A run was killed or hung, noticed at %(time)s; none has ended since.", time=noticed
        )
    if row.claimed_until is not None:
        return _("A run was killed or hung, and nobody has taken over. Is the scheduler running?")
    due = clock_time(row.due_at, now, zone())
    return _("It was due at %(time)s. Is the scheduler running?", time=due)


def _of_mails(session: Session) -> list[str]:
    """How many mails wait, and how many did not leave or may not have."""
    rows = session.execute(select(mail.Outbox.state, func.count()).group_by(mail.Outbox.state))
    by_state: dict[str, int] = {row[0]: row[1] for row in rows}
    waiting = by_state.get(mail.WAITING, 0) + by_state.get(mail.SENDING, 0)
    failed, unknown = by_state.get(mail.FAILED, 0), by_state.get(mail.UNKNOWN, 0)
    said = [count(waiting, "%(num)s mail waits.", "%(num)s mails wait.")]
    if failed:
        said.append(count(failed, "%(num)s mail was refused.", "%(num)s mails were refused."))
    if unknown:
        said.append(
            count(
                unknown,
                "Of %(num)s mail nobody knows whether it arrived.",
                "Of %(num)s mails nobody knows whether they arrived.",
            )
        )
    return said


REFUSED = {
    "form": N_("not made by our page"),
    "token": N_("from elsewhere, or erased"),
    "size": N_("too long"),
    "rate": N_("too many at once"),
    "busy": N_("told to come again"),
    "failed": N_("failed here"),
    "stale": N_("older than 48 hours"),
}


def _refused() -> list[tuple[str, int]]:
    """Reports that were not taken in the last seven days, by reason."""
    query = (
        select(Refusals.reason, func.sum(Refusals.n))
        .where(Refusals.day > clock_now().date() - timedelta(days=7))
        .group_by(Refusals.reason)
        .order_by(Refusals.reason)
    )
    rows = db.session.execute(query)
    return [(_(REFUSED.get(row[0], row[0])), int(row[1])) for row in rows]


@bp.post("/jobs/<name>/run")
@admin_only
def run(name: str) -> Response:
    """Run one duty now, unless it runs already."""
    title = _(words_of(name).title)
    try:
        done = jobs.run_now(name)
    except (Refused, JobFailed) as problem:
        flash(f"{title}: {problem}", "bad")
    else:
        flash(f"{title}: {words_of(name).result(done)}.")
    return redirect(url_for("jobs.overview"))
