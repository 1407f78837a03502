"""What the scheduler does with a day, in a process of its own as there.

`python -m tests.benchmarks.aside rebuild 2026-03-10`, or `fold`, prints how many seconds it took.
"""

from __future__ import annotations

import sys
import time
from datetime import date
from zoneinfo import ZoneInfo

from portal.config import Settings
from portal.db import db
from tests import engines
from tracking import retention, rollups

ZONE = ZoneInfo("Europe/Berlin")


def main(what: str, day: date) -> None:
    """Rebuild every day that waits for it, or fold this one."""
    with engines.opened(Settings.from_environ()):
        began = time.perf_counter()
        if what == "rebuild":
            assert rollups.rebuild_marked(db.engine, ZONE, at_once=True)
        else:
            assert retention.fold(db.engine, day, ZONE)
        sys.stdout.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main(sys.argv[1], date.fromisoformat(sys.argv[2]))
