"""The built package, installed into an empty environment and run from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from importlib import metadata
from pathlib import Path

import pytest

from tests.live import free_port

ROOT = Path(__file__).parent.parent


def run(*command: str, **more: object) -> str:
    """Run a command; returns what it printed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.mark.takes_long
def test_the_wheel_serves_the_sign_in_page(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(ROOT))
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "env")
    copy_what_is_locked(next((tmp_path / "env" / "lib").glob("python*")) / "site-packages")
    # By the pip that is here.
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "env" / "bin" / "python")]
    pip += ["--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--no-compile", "--no-deps", str(wheel))
    # Nothing is needed that is not locked.
    run(*pip, "check")
    empty, port = tmp_path / "empty", free_port()
    empty.mkdir()
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PORTAL_", "PYTHON"))}
    environ |= {"PORTAL_PORT": str(port)}
    portal = str(tmp_path / "env" / "bin" / "portal")
    run(portal, "db", "upgrade", cwd=empty, env=environ)
    server = subprocess.Popen([portal, "serve"], cwd=empty, env=environ, stderr=subprocess.DEVNULL)
    try:
        page = wait_for(f"http://127.0.0.1:{port}/sign-in")
        assert "E-mail me a code" in page
        styles = f"http://127.0.0.1:{port}/static/portal.css"
        assert "--accent" in wait_for(styles)
    finally:
        server.terminate()
        server.wait(timeout=15)


def copy_what_is_locked(folder: Path) -> None:
    """Install what the lock names, and nothing else, by copying it from the environment of the
    tests, where pip has put it: to unpack all of it once more took half a minute."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _equals, version = line.partition("==")
        installed = metadata.distribution(name)
        assert installed.version == version, f"{line} is not what is installed: run `make test`"
        for file in installed.files or ():
            # Commands of theirs lie elsewhere; what was compiled is made when it is imported.
            if ".." not in file.parts and file.suffix != ".pyc":
                to = folder / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(installed.locate_file(file)), to)


def wait_for(address: str, seconds: float = 20) -> str:
    """The page at `address`, once it is there."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.2)
