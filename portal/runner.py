"""How duties are run: each is claimed in the database first, so that one runner has it at a time.

Context: schedulers look at the same table from several machines. A runner dies; or it hangs; or it
sleeps with its machine and wakes up when another has long taken its place.
Decision: a claim is a fresh token in the row of the duty, good until its lease ends, and only the
claim that the row still bears may write how a run ended. A lease is not renewed while a run lasts,
because whoever hangs would renew it too: it is longer than the longest honest run instead. In one
scheduler several looks overlap, so that a duty that hangs holds up no other; when its lease ends,
the scheduler starts itself afresh, which is the only way to be rid of a thread (`portal.server`).
Consequences: a run that is slower than its lease may overlap with the one that took over. So every
duty claims each unit of its work, or does it in one transaction, and is safe to run twice at once.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import Integer, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.accounts.models import Installation
from portal.accounts.service import zone
from portal.clock import now as clock_now
from portal.db import Base, Key, UTCDateTime, db, insert_once, write
from portal.errors import PortalError, Refused
from portal.formatting import clock_time
from portal.logs import log

LEASE = timedelta(minutes=10)
LATE = timedelta(minutes=5)


class JobState(Base):
    """When a duty ran last, how it ended, and who runs it now.

    `lost_at`: when it was noticed that a run had ended without a word, killed or hanging.
    """

    __tablename__ = "job"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    claim: Mapped[uuid.UUID | None] = mapped_column(Key)
    claimed_by: Mapped[str] = mapped_column(String(80), default="")
    claimed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    lost_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    took_ms: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(String(500), default="")


@dataclass(frozen=True)
class Job:
    """One duty: its name, what it does, how often it is looked at, and how long a run may take."""

    name: str
    run: Callable[[], int]
    every: timedelta
    lease: timedelta = LEASE


class JobFailed(PortalError):
    """A duty that was run by hand ended with an error; the text is the error."""

    status = 409


@dataclass(frozen=True)
class _Claim:
    job: Job
    token: uuid.UUID
    at: datetime
    # When the lease ends on the clock that nobody can set.
    until: float


# Claims of this process, with the moment (of the monotonic clock) at which their leases end.
_running: dict[uuid.UUID, tuple[str, float]] = {}


def hanging(for_seconds: float = 0) -> list[str]:
    """Duties that run in this process although their leases have ended, so long ago."""
    since = time.monotonic() - for_seconds
    return [name for name, until in list(_running.values()) if until <= since]


def all_hang() -> bool:
    """Whether nothing runs in this process that would come to its end."""
    return len(hanging()) == len(_running)


def run_due(jobs: Iterable[Job]) -> int:
    """Run every duty that is due and not claimed; returns how many ran. Called every second. A
    process in which one hangs takes no more: it is about to start afresh."""
    now = clock_now()
    states = {row.name: row for row in db.session.scalars(select(JobState))}
    due = [
        job for job in jobs if job.name not in states or _is_claimable(job, states[job.name], now)
    ]
    db.session.rollback()
    claims = (_take(job) for job in due if not hanging())
    return sum(_run(claim)[1] for claim in claims if claim is not None)


def run_now(job: Job) -> int:
    """Run one duty by hand, due or not; returns what it did. Raises Refused while it runs
    elsewhere, and JobFailed."""
    claim = _take(job, by_hand=True)
    if claim is None:
        row = db.session.get_one(JobState, job.name)
        began = clock_time(row.started_at or clock_now(), clock_now(), zone())
        raise Refused(_("This runs already, since %(time)s. Look again in a moment.", time=began))
    done, _kept, error = _run(claim)
    if error:
        raise JobFailed(error)
    return done


def is_running(job: Job, row: JobState, now: datetime) -> bool:
    """Whether somebody holds this duty. Nobody holds one for longer than its lease: such a claim
    was written while the clock was wrong."""
    until = row.claimed_until
    return until is not None and now < until <= now + job.lease + LATE


def _is_claimable(job: Job, row: JobState, now: datetime) -> bool:
    # Later than it ever is from now on: written while the clock was wrong.
    is_due = row.due_at <= now or row.due_at > now + job.every + LATE
    return is_due and not is_running(job, row, now)


def _take(job: Job, *, by_hand: bool = False) -> _Claim | None:
    now, until = clock_now(), time.monotonic() + job.lease.total_seconds()
    _ensure_row(job.name, now)
    with write((JobState, job.name)) as session:
        row = session.get_one(JobState, job.name)
        free = not is_running(job, row, now) if by_hand else _is_claimable(job, row, now)
        if not free:
            return None
        if row.claimed_until is not None:
            row.lost_at = now
            log.error("job taken over", extra={"fields": {"job": job.name, "of": row.claimed_by}})
        claim = _Claim(job, uuid.uuid4(), now, until)
        row.claim, row.claimed_by = claim.token, f"{socket.gethostname()}:{os.getpid()}"[:80]
        row.claimed_until, row.started_at = now + job.lease, now
    return claim


def _ensure_row(name: str, now: datetime) -> None:
    known = db.session.get(JobState, name)
    db.session.rollback()
    if known is None:
        with write() as session:
            # Of two schedulers on their first day, one inserts and neither fails.
            session.execute(insert_once(session, JobState), {"name": name, "due_at": now, **_FRESH})


_FRESH = {"took_ms": 0, "done": 0, "error": "", "claimed_by": ""}


def _run(claim: _Claim) -> tuple[int, bool, str]:
    """What it did, whether that was written down, and what went wrong."""
    job, done, error = claim.job, 0, ""
    _running[claim.token] = (job.name, claim.until)
    try:
        done = job.run()
    except Exception as problem:  # one failing duty must not stop the others
        error = f"{type(problem).__name__}: {problem}"[:500]
        log.error("job failed", exc_info=problem, extra={"fields": {"job": job.name}})
        db.session.rollback()
    finally:
        del _running[claim.token]
    return done, _finish(claim, done, error), error


def _finish(claim: _Claim, done: int, error: str) -> bool:
    ended, name = clock_now(), claim.job.name
    with write((JobState, name)) as session:
        row = session.get_one(JobState, name)
        if row.claim != claim.token:
            # Another took over while this one hung or slept; the row tells of that run.
            log.warning("job ended after its lease", extra={"fields": {"job": name}})
            return False
        row.claim, row.claimed_until, row.claimed_by = None, None, ""
        row.finished_at, row.due_at = ended, ended + claim.job.every
        row.took_ms = max(0, int((ended - claim.at).total_seconds() * 1000))
        row.done, row.error = done, error
    return True


def states(session: Session) -> dict[str, JobState]:
    """What is known of each duty, by its name."""
    return {row.name: row for row in session.scalars(select(JobState))}


def overdue(session: Session, jobs: Mapping[str, Job]) -> list[str]:
    """Duties that should have run minutes ago, failed the last time, or ended without a word."""
    now, installed = clock_now(), session.get(Installation, 1)
    # In its first minutes a portal has not looked at anything yet.
    young = installed is None or installed.created_at + LATE > now
    known = states(session)
    return [
        name
        for name, job in jobs.items()
        if (name not in known and not young)
        or (name in known and is_troubled(job, known[name], now))
    ]


def is_troubled(job: Job, row: JobState, now: datetime) -> bool:
    """Whether an administrator should look at this duty."""
    return bool(row.error) or was_lost(row) or is_late(job, row, now)


def is_late(job: Job, row: JobState, now: datetime) -> bool:
    """Whether a duty should have begun minutes ago and has not."""
    return row.due_at + LATE < now and not is_running(job, row, now)


def was_lost(row: JobState) -> bool:
    """Whether its last run ended without a word, and no other has come to its end since."""
    return row.lost_at is not None and (row.finished_at is None or row.finished_at < row.lost_at)
