"""Chromium, as people have it: headed on a screen that nobody sees, so that a page really is
hidden when another tab comes to the front."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without it the browser says itself that a program drives it, and is rightly not counted.
LIKE_A_PERSON = "--disable-blink-features=AutomationControlled"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-search-engine-choice-screen",
)


def executable() -> str:
    """The system's Chromium. Fails with what to do when there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise AssertionError("Chromium is missing: `make browser` says how to install it.")


@contextmanager
def screen() -> Iterator[str]:
    """A virtual screen of its own."""
    read, write = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1366x900x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield ":" + pipe.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def chrome(
    display: str,
    *,
    width: int = 1366,
    height: int = 850,
    like_a_person: bool = True,
    proxy: str = "",
) -> Iterator[Chrome]:
    """A browser with a fresh profile on `display`, if so wished behind a proxy."""
    profile = tempfile.mkdtemp(prefix="portal-chrome-")
    options = ChromeOptions()
    options.binary_location = executable()
    downloads = str(Path(profile) / "downloads")
    options.add_experimental_option("prefs", {"download.default_directory": downloads})
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    if proxy:
        options.add_argument(f"--proxy-server=http://{proxy}")
        options.add_argument("--proxy-bypass-list=<-loopback>")
    if like_a_person:
        options.add_argument(LIKE_A_PERSON)
    service = Service(shutil.which("chromedriver"), env={**os.environ, "DISPLAY": display})
    browser = Chrome(options=options, service=service)
    try:
        browser.set_page_load_timeout(30)
        yield browser
    finally:
        browser.quit()
        time.sleep(0.2)
        shutil.rmtree(profile, ignore_errors=True)
