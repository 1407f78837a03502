"""Everything the portal does by itself, one row per duty.

The truth is the table `job`: a runner claims a due row before acting, and a claim ends by itself
when its runner died. So two schedulers, a second run by hand, or a `kill -9` change nothing.
Every function here is safe to run twice; its own writes go through the door.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import Integer, String, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column
from werkzeug.wrappers import Response

from portal import mail
from portal.accounts import notices
from portal.accounts.access import admin_only
from portal.accounts.models import Installation
from portal.accounts.service import zone
from portal.clock import now as clock_now
from portal.content import previews, storage
from portal.db import Base, UTCDateTime, db, insert_once, write
from portal.deals import checks, promise, reminders
from portal.deals import files as deal_files
from portal.errors import N_, NotFound
from portal.leads import offers, qualifying
from portal.logs import log
from surveys import reminders as survey_reminders
from surveys import waves
from tracking import retention, rollups
from tracking.models import Refusals, Removal

bp = Blueprint("jobs", __name__)

LEASE = timedelta(minutes=10)
LATE = timedelta(minutes=5)


class JobState(Base):
    """When a duty ran last, how it ended, and who runs it now."""

    __tablename__ = "job"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    took_ms: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(String(500), default="")


@dataclass(frozen=True)
class Job:
    """One duty: its name, what it does, and how often it is looked at."""

    name: str
    run: Callable[[], int]
    every: timedelta


JOBS = {
    job.name: job
    for job in (
        Job("send_mail", lambda: mail.send_due(), timedelta(seconds=1)),
        Job("render_previews", lambda: previews.render_waiting(), timedelta(seconds=2)),
        Job(
            "rebuild_days", lambda: rollups.rebuild_marked(db.engine, zone()), timedelta(seconds=5)
        ),
        Job("age_days", lambda: _age_days(), timedelta(minutes=30)),
        Job("open_waves", lambda: waves.tick(clock_now()), timedelta(seconds=30)),
        Job("close_waves", lambda: waves.close_waves(clock_now()), timedelta(minutes=1)),
        Job(
            "remind_answers",
            lambda: survey_reminders.remind_answers(clock_now()),
            timedelta(minutes=5),
        ),
        Job("check_conflicts", lambda: checks.run_waiting(clock_now()), timedelta(seconds=5)),
        Job(
            "remind_decisions",
            lambda: reminders.remind_decisions(clock_now()),
            timedelta(minutes=1),
        ),
        Job(
            "remind_protections",
            lambda: reminders.remind_protections(clock_now()),
            timedelta(minutes=10),
        ),
        Job("warn_stale", lambda: reminders.warn_stale(clock_now()), timedelta(hours=1)),
        Job(
            "propose_renewals", lambda: reminders.propose_renewals(clock_now()), timedelta(hours=1)
        ),
        Job("sum_up_decisions", lambda: promise.sum_up(clock_now()), timedelta(hours=1)),
        Job("send_notices", lambda: notices.send_notices(clock_now()), timedelta(seconds=30)),
        Job("qualify_leads", lambda: qualifying.qualify_leads(clock_now()), timedelta(minutes=5)),
        Job("offer_leads", lambda: offers.offer_leads(clock_now()), timedelta(minutes=1)),
        Job("sweep_files", lambda: _sweep_files(), timedelta(hours=6)),
    )
}


def _age_days() -> int:
    months: int = current_app.config["SETTINGS"].retention_months
    return retention.age(db.engine, zone(), clock_now(), months)


def _sweep_files() -> int:
    return storage.sweep_orphans(deal_files.known_keys(db.session()))


def run_due() -> int:
    """Run every duty that is due and not claimed; returns how many ran. Called every second."""
    now = clock_now()
    states = {row.name: row for row in db.session.scalars(select(JobState))}
    due = [
        job
        for job in JOBS.values()
        if job.name not in states or _claimable(job, states[job.name], now)
    ]
    db.session.rollback()
    return sum(_claim_and_run(job) for job in due)


def _claimable(job: Job, row: JobState, now: datetime) -> bool:
    # Later than either ever is from now on: written while the clock was wrong.
    is_due = row.due_at <= now or row.due_at > now + job.every + LATE
    claim = row.claimed_until
    return is_due and (claim is None or claim <= now or claim > now + LEASE + LATE)


def _claim_and_run(job: Job) -> bool:
    now = clock_now()
    _ensure_row(job.name, now)
    with write((JobState, job.name)) as session:
        row = session.get_one(JobState, job.name)
        if not _claimable(job, row, now):
            return False
        row.claimed_until, row.started_at = now + LEASE, now
    _run(job, now)
    return True


def run_now(name: str) -> int:
    """Run one duty by hand, due or not; returns what it did. Raises NotFound."""
    if name not in JOBS:
        raise NotFound(_("There is no job %(name)s.", name=name))
    now = clock_now()
    _ensure_row(name, now)
    return _run(JOBS[name], now)


def _ensure_row(name: str, now: datetime) -> None:
    known = db.session.get(JobState, name)
    db.session.rollback()
    if known is None:
        with write() as session:
            # Of two schedulers on their first day, one inserts and neither fails.
            session.execute(insert_once(session, JobState), {"name": name, "due_at": now, **_FRESH})


_FRESH = {"took_ms": 0, "done": 0, "error": ""}


def _run(job: Job, started: datetime) -> int:
    done, error = 0, ""
    try:
        done = job.run()
    except Exception as problem:  # one failing duty must not stop the others
        error = f"{type(problem).__name__}: {problem}"[:500]
        log.error("job failed", exc_info=problem, extra={"fields": {"job": job.name}})
        db.session.rollback()
    ended = clock_now()
    values = {
        "claimed_until": None,
        "started_at": started,
        "finished_at": ended,
        "took_ms": int((ended - started).total_seconds() * 1000),
        "done": done,
        "error": error,
        "due_at": ended + job.every,
    }
    with write() as session:
        session.execute(update(JobState).where(JobState.name == job.name).values(**values))
    return done


def overdue(session: Session) -> list[str]:
    """Duties that should have run minutes ago, or failed the last time."""
    now, row = clock_now(), session.get(Installation, 1)
    # In its first minutes a portal has not looked at anything yet.
    young = row is None or row.created_at + LATE > now
    states = {row.name: row for row in session.scalars(select(JobState))}
    return [
        name
        for name in JOBS
        if (name not in states and not young)
        or (name in states and (states[name].due_at + LATE < now or states[name].error))
    ]


@bp.get("/jobs")
@admin_only
def overview() -> str:
    """Is it alive: one sentence, then every duty and the mails that wait."""
    states = {row.name: row for row in db.session.scalars(select(JobState))}
    mails = db.session.scalars(
        select(mail.Outbox).order_by(mail.Outbox.created_at.desc()).limit(100)
    ).all()
    return render_template(
        "reports/jobs.html",
        jobs=[(job, states.get(job.name)) for job in JOBS.values()],
        late=overdue(db.session()),
        mails=mails,
        refused=_refused(),
        removals=db.session.scalars(select(Removal).order_by(Removal.at.desc()).limit(5)).all(),
        waiting=mail.waiting(db.session()),
        smtp=bool(current_app.config["SETTINGS"].smtp_url),
    )


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
    """Run one duty now."""
    done = run_now(name)
    flash(_("%(name)s ran: %(done)s done.", name=name, done=done))
    return redirect(url_for("jobs.overview"))
