"""Everything the portal does by itself, one row per duty.

The truth is the table `job`: `portal.runner` claims a due row before acting, and a claim ends by
itself when its runner died. So two schedulers, a second run by hand, or a `kill -9` change nothing.
Every function here is safe to run twice, also at once; its own writes go through the door. What
administrators read about each duty is in `portal.job_words`, their page in `portal.job_views`.
"""

from __future__ import annotations

from datetime import timedelta

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import mail, runner, upkeep
from portal.accounts import notices
from portal.accounts.service import zone
from portal.clock import now as clock_now
from portal.content import first_opens, previews, storage
from portal.db import db
from portal.deals import checks, promise, reminders
from portal.deals import files as deal_files
from portal.errors import NotFound
from portal.leads import offers, qualifying
from portal.runner import Job
from surveys import reminders as survey_reminders
from surveys import waves
from tracking import retention, rollups

JOBS = {
    job.name: job
    for job in (
        Job("send_mail", lambda: mail.send_due(), timedelta(seconds=1)),
        Job("render_previews", lambda: previews.render_waiting(), timedelta(seconds=2)),
        Job(
            "rebuild_days", lambda: rollups.rebuild_marked(db.engine, zone()), timedelta(seconds=5)
        ),
        # After a long outage there are many days to fold, one after the other.
        Job("age_days", lambda: _age_days(), timedelta(minutes=30), lease=timedelta(hours=1)),
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
        Job(
            "tell_first_opens",
            lambda: first_opens.tell_first_opens(clock_now()),
            timedelta(minutes=1),
        ),
        Job("send_notices", lambda: notices.send_notices(clock_now()), timedelta(seconds=30)),
        Job("qualify_leads", lambda: qualifying.qualify_leads(clock_now()), timedelta(minutes=5)),
        Job("offer_leads", lambda: offers.offer_leads(clock_now()), timedelta(minutes=1)),
        Job("sweep_files", lambda: _sweep_files(), timedelta(hours=6)),
        Job("learn_sizes", lambda: upkeep.learn_sizes(db.engine), timedelta(days=1)),
    )
}


def _age_days() -> int:
    months: int = current_app.config["SETTINGS"].retention_months
    return retention.age(db.engine, zone(), clock_now(), months)


def _sweep_files() -> int:
    return storage.sweep_orphans(clock_now(), deal_files.known_keys(db.session()))


def run_due() -> int:
    """Run every duty that is due and not claimed; returns how many ran. Called every second."""
    return runner.run_due(JOBS.values())


def run_now(name: str) -> int:
    """Run one duty by hand, due or not; returns what it did. Raises NotFound, Refused while it
    runs elsewhere, and JobFailed."""
    if name not in JOBS:
        raise NotFound(_("There is no job %(name)s.", name=name))
    return runner.run_now(JOBS[name])


def overdue(session: Session) -> list[str]:
    """Duties that an administrator should look at."""
    return runner.overdue(session, JOBS)
