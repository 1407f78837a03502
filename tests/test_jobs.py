"""What runs by itself: once, whoever looks; one that fails stops nobody."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, jobs, mail, server
from portal.db import db, write
from portal.errors import Refused
from portal.job_words import WORDS
from portal.runner import LEASE, Job, JobState
from tests import engines
from tests.conftest import Browse
from tests.live import portal_on
from tests.pages import text_of
from tests.people import ada, anna
from tests.processes import at_once, begin


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


def test_schedulers_in_processes_of_their_own_run_each_job_once(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, now = tmp_path / "ran", clock.now()

    def says(name: str) -> Callable[[], int]:
        def run() -> int:
            with log.open("a") as file:
                file.write(f"{name} {os.getpid()}\n")
            return 1

        return run

    table = {name: Job(name, says(name), timedelta(minutes=1)) for name in ("one", "two", "three")}
    monkeypatch.setattr(jobs, "JOBS", table)
    # On the first day of the table, and when its rows are there.
    for n in (1, 2):

        def look(at: datetime = now + n * timedelta(minutes=1)) -> None:
            with clock.at(at):
                jobs.run_due()

        at_once(app, 4, look)
        ran = [line.split()[0] for line in log.read_text().splitlines()]
        assert Counter(ran) == dict.fromkeys(table, n)
    rows = list(db.session.scalars(select(JobState)))
    assert [(row.claim, row.done, row.error) for row in rows] == [(None, 1, "")] * 3


def test_a_job_whose_scheduler_is_killed_is_taken_over_after_its_lease(
    app: Flask, browse: Browse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, now = tmp_path / "began", clock.now()

    def sleeps_first() -> int:
        if began.exists():
            return 7
        began.touch()
        time.sleep(60)
        return 1

    job = Job("job", sleeps_first, timedelta(seconds=1), lease=timedelta(seconds=20))
    monkeypatch.setattr(jobs, "JOBS", {"job": job})

    def look() -> None:
        with clock.at(now):
            jobs.run_due()

    scheduler = begin(app, look)
    until = time.monotonic() + 30
    while not began.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(scheduler, signal.SIGKILL)
    os.waitpid(scheduler, 0)
    row = db.session.get_one(JobState, "job")
    assert (row.claimed_until, row.finished_at) == (now + job.lease, None)
    assert row.claimed_by.endswith(f":{scheduler}")
    with clock.at(now + job.lease - timedelta(seconds=1)):
        assert jobs.run_due() == 0
    with clock.at(now + job.lease):
        assert jobs.run_due() == 1
    row = db.session.get_one(JobState, "job", populate_existing=True)
    assert (row.claim, row.done, row.lost_at) == (None, 7, now + job.lease)
    assert row.finished_at == now + job.lease


def test_a_claim_of_a_runner_that_died_ends_by_itself(app: Flask, ran: list[str]) -> None:
    now = clock.now()
    with write() as session:
        session.add(JobState(name="works", due_at=now, claimed_until=now + LEASE))
    with clock.at(now + LEASE - timedelta(seconds=1)):
        jobs.run_due()
        assert "works" not in ran
    with clock.at(now + LEASE):
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
    assert "1 of 2 need somebody: fails. 0 mails wait." in page
    assert "It failed: RuntimeError: no luck" in page
    ready = browse(None).get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {"status": "degraded", "degraded": ["job fails is overdue"]}


def test_an_administrator_runs_a_job_by_hand(app: Flask, browse: Browse, ran: list[str]) -> None:
    page = browse(ada()).post("/jobs/works/run", follow_redirects=True)
    assert "works: 3 done." in text_of(page)
    page = browse(ada()).post("/jobs/fails/run", follow_redirects=True)
    assert "fails: RuntimeError: no luck" in text_of(page)
    assert browse(ada()).post("/jobs/nothing/run").status_code == 404
    assert browse(anna()).post("/jobs/works/run").status_code == 404


def test_every_real_job_can_run_twice_on_an_empty_portal(app: Flask) -> None:
    for name in [*jobs.JOBS, *jobs.JOBS]:
        done = jobs.run_now(name)
        assert done == 0 or name == "learn_sizes", name  # which looks at what is there
    assert jobs.overdue(db.session()) == []


def test_a_run_that_slept_past_its_lease_does_not_write_over_the_one_that_took_over(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = browse(ada())
    with clock.at(clock.now()) as forward:
        pages: list[str] = []

        def sleeps() -> int:
            job = Job("job", lambda: 5, timedelta(minutes=1))
            monkeypatch.setitem(jobs.JOBS, "job", job)
            assert jobs.run_due() == 0
            with pytest.raises(Refused, match="This runs already, since"):
                jobs.run_now("job")
            forward(LEASE)
            pages.append(text_of(admin.get("/jobs")))
            assert jobs.run_due() == 1
            forward(timedelta(seconds=1))
            return 1

        monkeypatch.setattr(jobs, "JOBS", {"job": Job("job", sleeps, timedelta(minutes=1))})
        assert jobs.run_due() == 0
        row = db.session.get_one(JobState, "job", populate_existing=True)
        assert (row.done, row.claim, row.claimed_until) == (5, None, None)
        assert row.finished_at == row.lost_at == row.due_at - timedelta(minutes=1)
        assert jobs.overdue(db.session()) == []
        assert "All on time." in text_of(admin.get("/jobs"))
    assert "Is the scheduler running?" in pages[0]


def test_a_duty_whose_every_run_is_killed_needs_somebody(
    app: Flask, browse: Browse, ran: list[str]
) -> None:
    now = clock.now()
    with write() as session:
        session.add(JobState(name="works", due_at=now, claimed_until=now, lost_at=now))
        session.add(JobState(name="fails", due_at=now, claimed_until=now + LEASE, started_at=now))
    page = text_of(browse(ada()).get("/jobs"))
    assert "1 of 2 need somebody: works." in page
    assert "A run was killed or hung" in page
    assert "runs now, since" in page


def test_the_sentence_counts_mails_that_wait_were_refused_or_are_unknown(
    app: Flask, browse: Browse, ran: list[str]
) -> None:
    person = ada().id
    with write() as session:
        for state in (mail.WAITING, mail.WAITING, mail.FAILED, mail.UNKNOWN, mail.SENT):
            mail.queue(session, message="notices", user_id=person).state = state
    page = text_of(browse(ada()).get("/jobs"))
    assert "2 mails wait. 1 mail was refused. Of 1 mail nobody knows whether it arrived." in page


def test_every_job_has_words_for_people() -> None:
    assert set(WORDS) == set(jobs.JOBS)


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_a_job_that_hangs_holds_up_no_other_and_is_taken_over_after_its_lease(engine: str) -> None:
    """In a scheduler as it runs: it starts itself afresh, in the same process."""
    with portal_on(engine, "hanging") as live:
        scheduler = live.start_module("tests.hanging")
        log = live.data / "tests.hanging.log"
        until = time.monotonic() + 30
        while "second run" not in log.read_text():
            assert time.monotonic() < until, log.read_text()
            assert scheduler.poll() is None
            time.sleep(0.05)
    said = log.read_text()
    assert said.count("first run") == said.count("starts afresh") == 1
    # Between the two the other ran again and again.
    assert said[said.index("first run") : said.index("starts afresh")].count("quick") >= 2


def test_a_scheduler_that_is_killed_is_started_again_and_told_to_stop_it_stops(
    tmp_path: Path,
) -> None:
    script = f"import time; open({str(tmp_path / 'starts')!r}, 'a').write('x'); time.sleep(60)"
    kept = server.KeptAlive([sys.executable, "-S", "-c", script])
    kept.start()
    first = kept.process
    first.kill()
    until = time.monotonic() + 20
    while kept.process is first:
        assert time.monotonic() < until
        time.sleep(0.02)
    second = kept.process
    kept.stop()
    kept.join(timeout=20)
    assert not kept.is_alive()
    assert kept.process is second
    assert second.poll() is not None
