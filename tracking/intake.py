"""Who may report how often, what a program or a browser that fetches ahead looks like, and how much
was refused."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections import Counter, OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine

from portal import clock
from portal.db import upsert_adding, write_connection
from tracking.models import Refusals

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# A person with many tabs needs a few requests at once and far less than one a second after that.
BURST, PER_SECOND = 40.0, 4.0
_KNOWN = 10_000


class RateLimit:
    """A bucket per person: `BURST` requests at once, `PER_SECOND` after that."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._buckets: OrderedDict[uuid.UUID, tuple[float, float]] = OrderedDict()

    def allows(self, person: uuid.UUID) -> bool:
        """Whether this person may report once more now."""
        now = time.monotonic()
        with self._guard:
            left, at = self._buckets.pop(person, (BURST, now))
            left = min(BURST, left + (now - at) * PER_SECOND)
            allowed = left >= 1
            self._buckets[person] = (left - 1 if allowed else left, now)
            if len(self._buckets) > _KNOWN:
                self._buckets.popitem(last=False)
        return allowed


_PROGRAM = re.compile(
    # Phones are sold under the name CUBOT.
    r"(?<!cu)bot\b|crawl|spider|slurp|headless|phantom|selenium|puppeteer|playwright|preview"
    r"|prerender|scan|safelinks|proofpoint|mimecast|barracuda|curl/|wget/|python|java/|go-http"
    r"|okhttp|axios|node-fetch|libwww|httpclient|lighthouse|monitor",
    re.IGNORECASE,
)


# What a browser says when it fetches something that nobody asked for yet.
_AHEAD = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


def is_ahead(environ: WSGIEnvironment) -> bool:
    """Whether a browser fetches ahead: it prefetches or prerenders, and perhaps nobody looks."""
    said = " ".join(environ.get(name, "").lower() for name in _AHEAD)
    return any(word in said for word in ("prefetch", "prerender", "preview"))


@lru_cache(maxsize=1024)
def is_program(user_agent: str) -> bool:
    """Whether this name of a browser is that of a program: a scanner, crawler or tool."""
    return not user_agent or _PROGRAM.search(user_agent) is not None


class RefusalCounts:
    """Counts what was refused, by reason, until it is written down."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, reason: str, n: int = 1) -> None:
        """One more was refused for this reason."""
        with self._guard:
            self._counts[reason] += n

    def write(self, engine: Engine) -> None:
        """Add what was counted to the table. What cannot be written now is kept for later."""
        with self._guard:
            counts, self._counts = self._counts, Counter()
        day = clock.now().date()
        if not counts:
            return
        rows = [{"day": day, "reason": reason, "n": n} for reason, n in sorted(counts.items())]
        try:
            with write_connection(engine, deadline=2) as connection:
                connection.execute(upsert_adding(connection, Refusals, "n"), rows)
        except BaseException:
            with self._guard:
                self._counts.update(counts)
            raise
