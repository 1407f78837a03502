"""Real processes for tests: forked, so that they cost milliseconds, each with connections of its
own."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

from flask import Flask
from sqlalchemy import event

from portal.db import db

Work = Callable[[], object]


def begin(app: Flask, work: Work) -> int:
    """Start `work` in a process; returns its number. The test's own connections are closed."""
    db.session.remove()
    db.engine.dispose()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        with app.app_context():
            work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def at_once(app: Flask, n: int, work: Work) -> None:
    """Do `work` in so many processes at the same instant; all of them must come to its end."""
    reading, writing = os.pipe()

    def wait_and_work() -> None:
        os.close(writing)
        os.read(reading, 1)
        work()

    pids = [begin(app, wait_and_work) for _n in range(n)]
    os.close(reading)
    os.close(writing)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * n


def is_killed_at(app: Flask, n: int, work: Work) -> bool:
    """Do `work` in a process that is killed before its statement number `n`, where a commit counts
    as one; False when there are not so many, and it came to its end."""

    def work_and_die() -> None:
        left = n

        def count(*_event: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(db.engine, "before_cursor_execute", count)
        event.listen(db.engine, "commit", count)
        work()

    status = os.waitpid(begin(app, work_and_die), 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0
