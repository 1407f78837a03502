"""The portal as it runs: server and scheduler as processes of their own, on a free port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from unittest.mock import patch

from portal.cli import setup
from portal.config import Settings
from tests import engines
from tests.forked import Forked

SETUP = (
    "setup", "--company", "Nordwerk", "--timezone", "Europe/Berlin", "--admin-name", "Ada Berg",
    "--admin-email", "ada@nordwerk.example", "--admin-password", "ada-password",
    "--smtp-url", "", "--mail-from", "portal@nordwerk.example",
    "--privacy-mode", "pseudonymous",
)  # fmt: skip


Started = subprocess.Popen[bytes] | Forked

_numbers = count(1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Live:
    """A running portal."""

    url: str
    data: Path
    environ: dict[str, str]
    processes: list[Started] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Its settings, for looking into its database."""
        return Settings.from_environ(self.environ)

    def command(self, *words: str) -> str:
        """Run a command of the portal; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "portal.cli", *words],
            env=self.environ,
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a process of the portal in a group of its own."""
        return self.start_module("portal.cli", *words, log=words[0])

    def start_forked(self, *words: str) -> Forked:
        """The same without importing everything once more, for what is started again and again."""
        process = Forked(words, self.environ, self.data / f"{words[0]}.log")
        self.processes.append(process)
        return process

    def start_module(self, module: str, *words: str, log: str = "") -> subprocess.Popen[bytes]:
        """Start a module of ours in the same way."""
        with (self.data / f"{log or module}.log").open("ab") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env=self.environ,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def process_ids(self) -> list[int]:
        """What runs of it now: what was started here, and what that started."""
        mine = [process.pid for process in self.processes if process.poll() is None]
        return [*mine, *(child for pid in mine for child in children(pid))]

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Return when the server answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                    if json.load(answer)["status"] in ("ok", "degraded"):
                        return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.data / "serve.log").read_text())

    def stop(self) -> None:
        """End everything this portal started, gently and then not."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def children(pid: int) -> list[int]:
    """The processes that `pid` started."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in done.stdout.split()]


@contextmanager
def portal_on(
    engine: str,
    name: str,
    *,
    from_nothing: bool = False,
    demo: bool = False,
    copy_of: Path | None = None,
    **more: str,
) -> Iterator[Live]:
    """A portal of Nordwerk, migrated and set up: empty, with the demo company, or a copy of one on
    SQLite that has been filled already. `from_nothing`: by the command, as for the first time."""
    # Two tests with the same name for theirs must not meet in one folder.
    data, port = engines.folder() / f"{name}_{next(_numbers)}", free_port()
    if copy_of is not None:
        shutil.copytree(copy_of, data, symlinks=True)
    copied = not (from_nothing or demo or copy_of)
    settings = engines.settings_for(engine, data, migrated=copied)
    url = f"http://127.0.0.1:{port}"
    # Nor must a portal be told not to keep what it compiled: each start would compile it again.
    other = ("PORTAL_", "PYTHONDONTWRITEBYTECODE")
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith(other)},
        "PORTAL_DATA_DIR": str(data),
        "PORTAL_DATABASE_URL": settings.database_url.replace("+psycopg", ""),
        "PORTAL_PORT": str(port),
        "PORTAL_URL": url,
        "PYTHONWARNINGS": "ignore",
        **more,
    }
    live = Live(url, data, environ)
    if demo:
        live.command("demo")
    elif from_nothing:
        live.command(*SETUP)
    elif copied:
        # The same command, without a process that would import everything again.
        with engines.opened(live.settings) as app, patch("portal.cli.create_app", lambda _: app):
            setup.main([*SETUP[1:]], standalone_mode=False, obj=live.settings)
    try:
        yield live
    finally:
        live.stop()
