"""Processes of the portal that are forked from one that has imported it, because most of a start is
imports. All that comes after them is done as by the command."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from portal.cli import main

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Forked:
    """A process like one of `subprocess.Popen`."""

    def __init__(self, words: tuple[str, ...], environ: dict[str, str], log: Path) -> None:
        self._process = ForkServerProcess(target=_run, args=(words, environ, log))
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """How it ended, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return when it has ended, and how."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without its having a say."""
        self.send_signal(signal.SIGKILL)


def _run(words: tuple[str, ...], environ: dict[str, str], log: Path) -> None:
    """What the command does, in a session of its own, with nothing of where it comes from."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    os.environ.clear()
    os.environ.update(environ)
    warnings.simplefilter("ignore")
    # The workers of the server are forks, as they are when the command is run.
    multiprocessing.set_start_method("fork", force=True)
    sys.argv = ["portal", *words]
    main()
