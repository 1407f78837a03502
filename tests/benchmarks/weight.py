"""What pages weigh, and what server and scheduler need at rest after a tour of the demo."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import brotli

from tests import engines
from tests.benchmarks.table import Line
from tests.browsers import chrome, screen
from tests.journeys.test_day_and_monday import Person
from tests.live import Live, portal_on

SCRIPT_BYTES, PAGE_KB, MEMORY_MB, CORE = 3_000, 150, 600, 0.001
PATHS = {
    "partner": ("/", "/library", "/deals", "/deals/new", "/shares", "/account/recorded"),
    "manager": ("/", "/reports/content", "/reports/partners", "/deals", "/surveys", "/people"),
    "admin": ("/jobs",),
}
_LINKED = re.compile(r'(?:src|href)="(/(?:static|bootstrap)/[^"]+)"')


class Reader:
    """Somebody who enters the demo by its button and opens pages, counting what comes over."""

    def __init__(self, live: Live, role: str) -> None:
        self.url = live.url
        self._open = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar())
        ).open
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/sign-in")[0])
        assert token
        data = urlencode({"csrf_token": token[1]}).encode()
        headers = {"Referer": f"{self.url}/sign-in"}
        self._open(urllib.request.Request(f"{self.url}/demo/enter/{role}", data, headers))

    def get(self, path: str) -> tuple[str, int]:
        """The text of a page or file and the bytes it took on the wire."""
        asked = urllib.request.Request(self.url + path, headers={"Accept-Encoding": "br"})
        with self._open(asked) as answer:
            body: bytes = answer.read()
            packed = answer.headers.get("Content-Encoding") == "br"
        return (brotli.decompress(body) if packed else body).decode(), len(body)

    def weigh(self, path: str) -> int:
        """A first visit: the page with all that it links."""
        text, size = self.get(path)
        return size + sum(self.get(linked)[1] for linked in sorted(set(_LINKED.findall(text))))


def memory(live: Live) -> float:
    """Megabytes of all processes of the portal, shared pages counted once."""
    return sum(map(_proportional, live.process_ids())) / 1000


def _proportional(pid: int) -> int:
    """Kilobytes of one process, a page that n processes share counted as 1/n."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.M)[0])


def script_share(live: Live) -> float:
    """How much of a core the page's own work takes while somebody reads, over 30 seconds."""
    with screen() as display, chrome(display) as browser:
        person = Person(browser, live.url)
        person.visit("/sign-in")
        person.press("Enter as partner")
        person.visit("/library")
        browser.find_element("css selector", "main a[href^='/library/']").click()
        time.sleep(5)
        browser.execute_cdp_cmd("Performance.enable", {})

        def script() -> float:
            metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return float(next(m["value"] for m in metrics if m["name"] == "ScriptDuration"))

        before = script()
        time.sleep(30)
        return (script() - before) / 30


def measure(engine: str) -> list[Line]:
    """One engine, on which only memory depends."""
    with portal_on(engine, f"weight_{engine}", demo=True) as live:
        live.start("serve")
        live.start("scheduler")
        live.wait_until_ready()
        found = list(_weights(live, engine)) if engine == engines.ENGINES[0] else []
        for role, paths in PATHS.items():
            reader = Reader(live, role)
            for path in paths:
                reader.get(path)
        time.sleep(5)
        used = memory(live)
    figure = f"{used:.0f} MB, server and scheduler"
    return [*found, Line(engine, "memory at rest", figure, f"{MEMORY_MB} MB", used < MEMORY_MB)]


def _weights(live: Live, engine: str) -> Iterator[Line]:
    lena = Reader(live, "partner")
    script = lena.get("/static/beacon.js")[1]
    yield Line(
        engine, "beacon.js", f"{script} bytes compressed", f"{SCRIPT_BYTES}", script < SCRIPT_BYTES
    )
    share = script_share(live)
    yield Line(engine, "its work", f"{share:.3%} of a core", f"{CORE:.1%}", share < CORE)
    weights = {path: lena.weigh(path) / 1000 for path in PATHS["partner"]}
    for path, weight in weights.items():
        yield Line(
            engine,
            f"page {path}",
            f"{weight:.0f} kB first visit",
            f"{PAGE_KB} kB",
            weight < PAGE_KB,
        )
