"""What runs by itself: once, whoever looks; one that fails stops nobody."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask

from portal import clock, jobs
from portal.db import db, write
from portal.jobs import Job, JobState
from tests.conftest import Browse
from tests.pages import text_of
from tests.people import ada, anna


@pytest.fixture
def ran(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two jobs that only say that they ran; the second fails."""
    done: list[str] = []

    def works() -> int:
        done.append("works")
        return 3

    def fails() -> int:
        done.append("fails")
        raise RuntimeError("no luck")

    table = {
        "works": Job("works", works, timedelta(minutes=1)),
        "fails": Job("fails", fails, timedelta(minutes=1)),
    }
    monkeypatch.setattr(jobs, "JOBS", table)
    return done


def test_a_due_job_runs_once_per_period(app: Flask, ran: list[str]) -> None:
    with clock.at(clock.now()) as forward:
        assert jobs.run_due() == 2
        assert jobs.run_due() == 0
        forward(timedelta(minutes=1))
        assert jobs.run_due() == 2
    assert sorted(ran) == ["fails", "fails", "works", "works"]


def test_two_schedulers_run_it_once(app: Flask, ran: list[str]) -> None:
    db.session.remove()
    together = threading.Barrier(2)

    def look() -> None:
        with app.app_context():
            together.wait()
            jobs.run_due()
            db.session.remove()

    threads = [threading.Thread(target=look) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == ["fails", "works"]


def test_a_claim_of_a_runner_that_died_ends_by_itself(app: Flask, ran: list[str]) -> None:
    now = clock.now()
    with write() as session:
        session.add(JobState(name="works", due_at=now, claimed_until=now + jobs.LEASE))
    with clock.at(now + jobs.LEASE - timedelta(seconds=1)):
        jobs.run_due()
        assert "works" not in ran
    with clock.at(now + jobs.LEASE):
        jobs.run_due()
    assert "works" in ran


def test_jobs_go_on_after_the_clock_was_ahead_for_a_while(app: Flask, ran: list[str]) -> None:
    now = clock.now()
    with clock.at(now + timedelta(hours=3)):
        jobs.run_due()
    with write() as session:
        session.get_one(JobState, "fails").claimed_until = now + timedelta(hours=3)
    with clock.at(now):
        assert jobs.run_due() == 2


def test_a_failure_is_shown_to_administrators_and_monitors(
    app: Flask, browse: Browse, ran: list[str]
) -> None:
    jobs.run_due()
    page = text_of(browse(ada()).get("/jobs"))
    assert "Not on time: fails." in page
    assert "no luck" in page
    ready = browse(None).get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {"status": "degraded", "degraded": ["job fails is overdue"]}


def test_an_administrator_runs_a_job_by_hand(app: Flask, browse: Browse, ran: list[str]) -> None:
    page = browse(ada()).post("/jobs/works/run", follow_redirects=True)
    assert "works ran: 3 done." in text_of(page)
    assert browse(ada()).post("/jobs/nothing/run").status_code == 404
    assert browse(anna()).post("/jobs/works/run").status_code == 404


def test_every_real_job_can_run_twice_on_an_empty_portal(app: Flask) -> None:
    for name in [*jobs.JOBS, *jobs.JOBS]:
        assert jobs.run_now(name) == 0
    assert jobs.overdue(db.session()) == []
