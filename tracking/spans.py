"""A period as few rows: the months, dekads and days that make it up.

Context: most periods begin and end within a month, and a report over all partners read thousands of
rows for each of the days beside the whole months.
Decision: what can be added up can be taken away as well. From the 2nd to the 10th is the first
dekad less one day: two rows for each partner instead of nine. Whichever way has the fewest rows is
taken. Sets and histograms are united, and nothing can be taken out of a union: they are asked for
by the spans that add up.
Consequences: at either end at most five days and two dekads. Whoever did something on the days that
were taken away alone has a sum of zero.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, false, func, select, union_all
from sqlalchemy.orm import Session

from portal.db import plain_rows
from tracking.dwell import IdleRule
from tracking.sums import Grain


@dataclass(frozen=True)
class Scope:
    """Half-open days `[since, until)` and, where asked for, one partner, one asset, or both."""

    since: date
    until: date
    partner_id: uuid.UUID | None = None
    asset_id: uuid.UUID | None = None
    rule: IdleRule = IdleRule.reading

    def within(self, model: Any) -> ColumnElement[bool]:
        """The days of this period; for tables that have rows of days alone."""
        return and_(model.day >= self.since, model.day < self.until)


class Span(NamedTuple):
    """The rows of one grain that begin in `[first, until)`; of `sign` -1 those to be taken away."""

    grain: Grain
    first: date
    until: date
    sign: int = 1

    @property
    def units(self) -> int:
        """How many days, dekads or months that are."""
        if self.grain is Grain.day:
            return (self.until - self.first).days
        n, first = 0, self.first
        while first < self.until:
            n, first = n + 1, self.grain.after(first)
        return n


def added(since: date, until: date, grain: Grain = Grain.month) -> Iterator[Span]:
    """A period `[since, until)` as whole months, whole dekads beside them, and the days that are
    left; in their order."""
    if since >= until:
        return
    if grain is Grain.day:
        yield Span(grain, since, until)
        return
    first, last = grain.first(since), grain.first(until)
    if first < since:
        first = grain.after(first)
    if first >= last:
        yield from added(since, until, grain.finer)
        return
    yield from added(since, first, grain.finer)
    yield Span(grain, first, last)
    yield from added(last, until, grain.finer)


@lru_cache(maxsize=1000)
def fewest(since: date, until: date, grain: Grain = Grain.month) -> tuple[Span, ...]:
    """A period `[since, until)` as the fewest units to add and to take away."""
    if since > until:
        return tuple(span._replace(sign=-span.sign) for span in fewest(until, since, grain))
    if grain is Grain.day or since == until:
        return (Span(grain, since, until),) if since < until else ()
    ways = [fewest(since, until, grain.finer)]
    for low in _edges(grain, since):
        for high in _edges(grain, until):
            if low < high:
                beside = fewest(since, low, grain.finer), fewest(high, until, grain.finer)
                ways.append((*beside[0], Span(grain, low, high), *beside[1]))
    return min(ways, key=lambda way: (sum(span.units for span in way), len(way)))


def _edges(grain: Grain, day: date) -> Sequence[date]:
    """Where the month or dekad of a day begins and where the next one does; or both at once."""
    first = grain.first(day)
    return (first,) if first == day else (first, grain.after(first))


def rows_within(
    session: Session,
    scope: Scope,
    model: Any,
    columns: Sequence[Any],
    *where: ColumnElement[bool],
) -> Sequence[Any]:
    """The rows that make up a period, with these `columns`.

    Each part of the period is a query of its own: asked for all parts at once with OR, SQLite looks
    every row up twice, which took half of the time.
    """
    spans = [_rows_of(model, span) for span in added(scope.since, scope.until)] or [false()]
    query = union_all(*(select(*columns).where(span, *where) for span in spans))
    return plain_rows(session, query)


def sums_within(
    session: Session,
    scope: Scope,
    model: Any,
    keys: Sequence[Any],
    figures: Sequence[Any],
    *where: ColumnElement[bool],
) -> list[tuple[Any, ...]]:
    """What a period holds by some `keys`, columns of a table with rows of days or of coarser grains
    as well: rows `(*keys, *figures)`, without those whose figures are all zero."""
    columns = [*keys, *figures]
    if hasattr(model, "grain"):
        parts = [
            select(*keys, *(_signed(figure, span.sign) for figure in figures)).where(
                _rows_of(model, span), *where
            )
            for span in fewest(scope.since, scope.until)
        ]
    else:
        parts = [select(*columns).where(scope.within(model), *where)]
    rows = union_all(*(parts or [select(*columns).where(false())])).subquery()
    by = [rows.c[key.name] for key in keys]
    query = select(*by, *(func.sum(rows.c[figure.name]) for figure in figures)).group_by(*by)
    width = len(by)
    return [
        (*row[:width], *map(int, row[width:]))
        for row in plain_rows(session, query)
        if any(row[width:])
    ]


def _rows_of(model: Any, span: Span) -> ColumnElement[bool]:
    return and_(model.grain == span.grain, model.day >= span.first, model.day < span.until)


def _signed(figure: Any, sign: int) -> Any:
    return figure if sign > 0 else (-figure).label(figure.name)
