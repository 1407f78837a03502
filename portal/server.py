"""The two processes of an installation: the server, and the scheduler beside it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask
from granian import Granian
from granian.constants import Interfaces

from portal import jobs, runner
from portal.config import Settings
from portal.db import db
from portal.errors import BadSetting
from portal.logs import log

TICK_SECONDS = 1
# So many looks for due jobs may overlap: one less may hang before the others are held up.
LOOKS = 4
STOP_SECONDS = 10


def refuse_taken_port(settings: Settings) -> None:
    """Raise BadSetting when somebody listens there already.

    Workers share the port with each other, so without this a second portal would share it too.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise BadSetting(
                f"PORTAL_PORT: {where} cannot be used ({error.strerror}). Is a portal running?"
            ) from None


def serve(app: Flask) -> None:
    """Answer requests until told to stop. Raises BadSetting when the port is taken."""
    settings = app.config["SETTINGS"]
    refuse_taken_port(settings)
    # Workers are forks: a connection carried over would share a socket with another process, or
    # drop SQLite's locks under it. Each opens its own.
    with app.app_context():
        db.engine.dispose()
    # Granian is the fastest WSGI server that we measured on two cores; its workers share nothing.
    Granian(
        target="portal.wsgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backlog=settings.backlog,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        log_enabled=False,
        websockets=False,
    ).serve()


def schedule(app: Flask, parent: int | None = None) -> None:
    """Look every second for jobs that are due, until told to stop (or `parent` has gone)."""
    scheduler = BlockingScheduler(timezone="UTC")

    def tick() -> None:
        with app.app_context():
            try:
                jobs.run_due()
            except Exception as error:  # the database may be away for a while
                log.error("jobs could not be looked at", exc_info=error)

    def stop(_signal: int, _frame: Any) -> None:
        # In a thread: shutting down waits for the tick, which may be what was interrupted. One
        # that hangs is not waited for: every job may be killed at any moment.
        threading.Thread(target=scheduler.shutdown).start()
        last = threading.Timer(STOP_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if parent is not None:
        _watch(parent, lambda: os.kill(os.getpid(), signal.SIGTERM))
    often = {"trigger": "interval", "seconds": TICK_SECONDS, "coalesce": True}
    scheduler.add_job(tick, max_instances=LOOKS, **often)
    scheduler.add_job(_start_afresh_when_hanging, max_instances=1, **often)
    # More looks than that are not worth a line each second.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler.start()


def _start_afresh_when_hanging() -> None:
    """Be rid of jobs that hang after their lease: the process becomes a new one of the same number,
    so that whoever watches it sees nothing. What else it is doing may end before, if that is soon.
    """
    names = runner.hanging()
    if names and (runner.all_hang() or runner.hanging(STOP_SECONDS)):
        log.error("jobs hang: the scheduler starts afresh", extra={"fields": {"jobs": names}})
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves


def _watch(parent: int, then: Callable[[], None]) -> None:
    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        then()

    threading.Thread(target=wait, daemon=True, name="end-with-parent").start()


def run(app: Flask) -> None:
    """Server and scheduler together; when the server is told to stop, both do."""
    command = [sys.executable, "-m", "portal.cli", "scheduler", "--parent", str(os.getpid())]
    scheduler = KeptAlive(command)
    scheduler.start()
    try:
        serve(app)
    finally:
        scheduler.stop()


class KeptAlive(threading.Thread):
    """A process that is started again whenever it dies without being told to stop."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(daemon=True, name="keep-alive")
        self._command = command
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command)  # noqa: S603 - our own command, no shell

    def run(self) -> None:
        while self.process.wait() != 0 and not self._stopping.wait(TICK_SECONDS):
            with self._lock:
                if self._stopping.is_set():
                    return
                log.error("the scheduler has died and is started again")
                self.process = self._begin()

    def stop(self, patience: float = 2 * STOP_SECONDS) -> None:
        """End the process, gently at first."""
        with self._lock:
            self._stopping.set()
            self.process.terminate()
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
