"""Tables that people upload: CSV in the forms that programs write, and XLSX.

Rows keep the line they stand in, so that whoever made the file finds what is wrong with it.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _

from portal.errors import N_, PortalError
from portal.tables import plain, restored

MAX_ROWS = 200_000
MAX_COLUMNS = 500
MAX_BYTES = 50 * 1024 * 1024
MAX_UNPACKED = 200 * 1024 * 1024


class BadSheet(PortalError):
    """The file is no table that can be read."""


class BadMapping(PortalError):
    """The columns of the file do not say what is needed."""


@dataclass(frozen=True)
class Line:
    """One row of a file: its number, counted from 1 with the header, and its cells as text."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """A table: the names of its columns and its rows; empty rows are left out."""

    columns: Sequence[str]
    lines: Sequence[Line]

    def values(self, line: Line, mapping: Mapping[str, str]) -> dict[str, str]:
        """What a row says of each field, by a mapping of fields to names of columns."""
        places = {name: n for n, name in reversed(list(enumerate(self.columns)))}
        found = {}
        for field, column in mapping.items():
            place = places[column]
            found[field] = restored(line.cells[place].strip()) if place < len(line.cells) else ""
        return found


def read(data: bytes) -> Sheet:
    """The table in a file. Raises BadSheet with a sentence."""
    if len(data) > MAX_BYTES:
        raise BadSheet(N_("This file is larger than 50 MB. Please divide it."))
    rows = _xlsx(data) if data[:4] == b"PK\x03\x04" else _csv(data)
    found = [Line(n, cells) for n, cells in enumerate(rows, 1) if any(map(str.strip, cells))]
    if not found:
        raise BadSheet(N_("This file is empty."))
    if any(len(line.cells) > MAX_COLUMNS for line in found):
        raise BadSheet(N_("This file has more than 500 columns. Leave out those not needed."))
    if len(found) > MAX_ROWS:
        raise BadSheet(N_("This file has more than 200 000 rows. Please divide it."))
    columns = [cell.strip() for cell in found[0].cells]
    if not any(columns):
        raise BadSheet(N_("The first row must hold the names of the columns."))
    return Sheet(columns, found[1:])


def _csv(data: bytes) -> list[list[str]]:
    text = _text(data)
    if "\0" in text:
        raise BadSheet(N_("This is no table. Please upload a CSV or XLSX file."))
    head = text.split("\n", 1)[0]
    separator = max(",;\t|", key=head.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        raise BadSheet(
            N_("This CSV file is broken: a quotation mark is not closed or stands inside a cell.")
        ) from None


def _text(data: bytes) -> str:
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    # Spreadsheets of Western Europe write the last one.
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadSheet(N_("The letters of this file cannot be read. Please save it as UTF-8."))


def _xlsx(data: bytes) -> list[list[str]]:
    # Here, and not at every start of a server, a command or a job: it takes a fifth of a second.
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MAX_UNPACKED:
                raise BadSheet(N_("This file is too large when it is unpacked."))
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [
            _cells(row)
            # A short file can say that a row ends far away, where its last cell is.
            for row in sheet.iter_rows(
                values_only=True, max_row=MAX_ROWS + 2, max_col=MAX_COLUMNS + 1
            )
        ]
    except BadSheet:
        raise
    except Exception:
        # What the readers of XML and of packed files raise at hostile ones is in no list.
        raise BadSheet(
            N_("This spreadsheet cannot be read. Please save it as XLSX or CSV.")
        ) from None
    return rows


def _cells(row: Sequence[Any]) -> list[str]:
    """A row without the empty cells at its end: its reader fills all rows to the same length."""
    length = next((n for n in range(len(row), 0, -1) if row[n - 1] is not None), 0)
    return [_cell(value) for value in row[:length]]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def key_of(name: str) -> str:
    """The name of a column or a word in it without case, accents, marks and spaces."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[^0-9a-z]", "", "".join(c for c in letters if not unicodedata.combining(c)))


def guess(columns: Sequence[str], names: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Which column holds which field, by the names that fields are known under."""
    known = {key_of(column): column for column in reversed(columns) if column}
    found: dict[str, str] = {}
    for field, others in names.items():
        for name in (field, *others):
            column = known.get(key_of(name))
            if column is not None and column not in found.values():
                found[field] = column
                break
    return found


def mapping_of(
    sheet: Sheet,
    fields: Mapping[str, Iterable[str]],
    needed: Iterable[str],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Which column holds which field: as given, and where nothing is, by the columns' names.

    An empty column means that the file does not say. Raises BadMapping.
    """
    columns = {key_of(column): column for column in reversed(sheet.columns) if column}
    chosen: dict[str, str] = {}
    for name, column in given.items():
        if name not in fields:
            known = ", ".join(fields)
            raise BadMapping(
                _("%(name)s is no field. Known are: %(known)s.", name=name, known=known)
            )
        if column and key_of(column) not in columns:
            raise BadMapping(_("The file has no column %(name)s.", name=column))
        if column:
            chosen[name] = columns[key_of(column)]
    left = [column for column in sheet.columns if column not in chosen.values()]
    chosen |= guess(left, {name: fields[name] for name in fields if name not in given})
    for name in needed:
        if name not in chosen:
            raise BadMapping(_("Say which column holds %(name)s.", name=name))
    return {name: chosen[name] for name in fields if name in chosen}


def refused_csv(sheet: Sheet, refused: Iterable[tuple[Line, str]]) -> str:
    """The refused rows as a file that can be mended and sent in again: line, reason, the cells."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["line", "reason", *map(plain, sheet.columns)])
    writer.writerows(_refused_rows(refused))
    return out.getvalue()


def _refused_rows(refused: Iterable[tuple[Line, str]]) -> Iterator[list[str]]:
    for line, reason in refused:
        yield [str(line.number), reason, *map(plain, line.cells)]
