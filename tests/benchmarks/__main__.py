"""`make bench`: the budgets of the portal as ratios within one run, on this disk.

`BENCH=ingest,days,reports,weight,import` chooses parts; `BENCH_VIEWS=1000000,10000000` the sizes of
the reports; `BENCH_ENGINES=sqlite` one engine.
"""

from __future__ import annotations

import os
import sys

from tests import engines
from tests.benchmarks import bringing, days, ingest, reports, table, weight

PARTS = {
    "ingest": ingest,
    "days": days,
    "reports": reports,
    "weight": weight,
    "import": bringing,
}


def main() -> None:
    """Print the tables."""
    engines.MEMORY = "/no memory, the disk"
    wanted = os.environ.get("BENCH", ",".join(PARTS)).split(",")
    chosen = os.environ.get("BENCH_ENGINES", ",".join(engines.ENGINES)).split(",")
    sys.stdout.write(f"one fsync here: {ingest.fsync_milliseconds(engines.folder()):.2f} ms\n")
    for name, part in PARTS.items():
        if name in wanted:
            lines = [line for engine in chosen for line in part.measure(engine)]
            table.write((part.__doc__ or "").splitlines()[0], lines)
    engines.close()


if __name__ == "__main__":
    main()
