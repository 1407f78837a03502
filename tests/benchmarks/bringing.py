"""The 8 800 opportunities of the real pipeline by the command, from starting it to its last word.

The data is not part of the portal: it lies beside it, in `../shared/data/crm`.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks.table import Line
from tests.live import Live, portal_on

CRM = Path(__file__).parents[3] / "shared/data/crm/sales_pipeline.csv"
# The budget is for SQLite.
SECONDS = {"sqlite": 60}


def measure(engine: str) -> list[Line]:
    """The first time, when everything is new, and once more, when nothing changes."""
    if not CRM.exists():
        return [Line(engine, "import of deals", f"not measured: there is no {CRM}")]
    with portal_on(engine, "bench_import") as live:
        runs = [("8 800 deals, all new", "8800 deals are new."),
                ("the same file again", "8800 were there already.")]  # fmt: skip
        return [_line(engine, what, _seconds(live, sentence)) for what, sentence in runs]


def _line(engine: str, what: str, seconds: float) -> Line:
    most = SECONDS.get(engine)
    budget = f"under {most} s" if most else ""
    return Line(engine, what, f"{seconds:.1f} s", budget, seconds < most if most else None)


def _seconds(live: Live, sentence: str) -> float:
    """How long one run of the command took; it must have done what it should."""
    begun = time.perf_counter()
    said = live.command("import", "deals", str(CRM), "--create", "--currency", "USD")
    took = time.perf_counter() - begun
    assert sentence in said, said
    return took
