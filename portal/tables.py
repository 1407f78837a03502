"""A table is made once and shown twice: on the page, and as CSV of exactly what is shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from flask import Response

from portal.formatting import day, duration, number, of

# A spreadsheet would run what begins with one of these.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column:
    """One column: `kind` says how a value is written (text, number, duration, money, figure, mean,
    day, of); numbers are aligned right. `wide` columns are left out on a phone. `about` names what
    defines the number, where that is not the key."""

    key: str
    label: str
    kind: str = "text"
    wide: bool = False
    about: str = ""

    @property
    def anchor(self) -> str:
        """Where the number is defined on the page of definitions; nothing for what is no number."""
        return (self.about or self.key) if self.is_number else ""

    @property
    def is_number(self) -> bool:
        """Whether the values are figures."""
        return self.kind not in ("text", "day")


@dataclass(frozen=True)
class Table:
    """Rows by column key. A row may carry `href`, the page with what is behind it.

    `left_out` counts rows that were not made because only the first are shown.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    empty: str
    note: str = ""
    left_out: int = 0

    @property
    def size(self) -> int:
        """How many rows there are, shown or not."""
        return len(self.rows) + self.left_out

    def part(self, first: int, limit: int | None) -> Table:
        """The rows from `first` up to `limit`, counted from 0."""
        rows = self.rows[first:limit]
        return replace(self, rows=rows, left_out=self.size - len(rows))

    def top(self, n: int) -> Table:
        """The first `n` rows."""
        return self.part(0, n)


def cell(column: Column, row: dict[str, Any]) -> Any:
    """A value as the page shows it; a dash where there is none."""
    value = row.get(column.key)
    if value is None:
        return "–"
    if column.kind == "of":
        return of(*value)
    write = _WRITTEN.get(column.kind)
    return write(value) if write else value


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "number": number,
    "duration": duration,
    "day": day,
    "mean": lambda value: f"{value:.1f}",
}


def csv_response(table: Table) -> Response:
    """`table` as a CSV file: durations in seconds, amounts with their currency beside them."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([name for column in table.columns for name in _heads(column)])
    for row in table.rows:
        writer.writerow([cell for column in table.columns for cell in _cells(column, row)])
    # The mark at the start tells spreadsheets that this is UTF-8.
    response = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=f"{table.name}.csv")
    return response


def _heads(column: Column) -> list[str]:
    if column.kind == "duration":
        return [f"{column.label} (s)"]
    return [column.label, "currency"] if column.kind == "money" else [column.label]


def _cells(column: Column, row: dict[str, Any]) -> list[str]:
    value = row.get(column.key)
    if column.kind == "money":
        minor, currency = value if value else (None, "")
        return ["" if minor is None else f"{minor / 100:.2f}", currency]
    if value is None:
        return [""]
    if column.kind == "duration":
        return [f"{value / 1000:.3f}"]
    if column.kind == "of":
        return [f"{value[0]} of {value[1]}"]
    if isinstance(value, date | datetime):
        return [value.isoformat()]
    if isinstance(value, float):
        return [f"{value:.2f}"]
    return [plain(str(value)) if column.kind == "text" else str(value)]


def plain(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if _is_formula(text) else text


def restored(text: str) -> str:
    """What `plain` was given."""
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    # Also one that was made plain before, so that it can be told from it.
    return text.lstrip("'").startswith(FORMULA)
