"""`make bench`: the budgets of the portal as ratios within one run, on this disk.

`BENCH=ingest,days,reports` chooses parts; `BENCH_VIEWS=1000000,10000000` the sizes of the reports.
"""

from __future__ import annotations

import os
import sys

from tests import engines
from tests.benchmarks import days, ingest, reports


def main() -> None:
    """Print the tables."""
    engines.MEMORY = "/no memory, the disk"
    parts = os.environ.get("BENCH", "ingest,days,reports").split(",")
    sys.stdout.write(f"one fsync here: {ingest.fsync_milliseconds(engines.folder()):.2f} ms\n")
    for name, part in (("ingest", ingest), ("days", days), ("reports", reports)):
        if name in parts:
            sys.stdout.write(f"\n{(part.__doc__ or '').splitlines()[0]}\n")
            for engine in engines.ENGINES:
                part.measure(engine)


if __name__ == "__main__":
    main()
