"""What a benchmark found, beside its budget."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One figure; `holds` says whether it keeps its budget, None where it has none."""

    engine: str
    what: str
    figure: str
    budget: str = ""
    holds: bool | None = None

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "holds", False: "does NOT hold", None: ""}[self.holds]


def write(title: str, lines: Iterable[Line]) -> None:
    """Print lines as a table that reads well as text and as Markdown."""
    rows = [("engine", "what", "measured", "budget", "")]
    rows += [(line.engine, line.what, line.figure, line.budget, line.verdict) for line in lines]
    widths = [max(len(row[n]) for row in rows) for n in range(5)]
    rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
    sys.stdout.write(f"\n{title}\n\n")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()
