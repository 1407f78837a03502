"""What was looked for in the library and not found."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.db import plain_rows
from tracking.models import Reader
from tracking.packing import histogram, values_of
from tracking.spans import Scope, rows_within, sums_within
from tracking.sums import SearchSum


@dataclass(frozen=True)
class Searched:
    """What was looked for in the library without result: how often, by how many partners."""

    words: str
    times: int
    partners: int
    last: date


class Searches(NamedTuple):
    """Some of the words that were looked for in vain; how many words there are, and how often all
    of them were looked for."""

    rows: list[Searched]
    total: int
    times: int


_IN_VAIN = SearchSum.in_vain > 0


def searches_in_vain(
    session: Session,
    scope: Scope,
    *,
    often: int = 1,
    first: int = 0,
    limit: int | None = None,
) -> Searches:
    """Searches of partners without result, the most wanted first, from `first` up to `limit`.
    Words that one partner alone looked for fewer times than `often` are left out."""
    columns = (SearchSum.words, SearchSum.in_vain, SearchSum.seekers, SearchSum.last)
    by_words: dict[str, list[Any]] = defaultdict(list)
    for row in rows_within(session, scope, SearchSum, columns, _IN_VAIN):
        by_words[row[0]].append(row)
    by_times: dict[int, list[list[Any]]] = defaultdict(list)
    for of_words in by_words.values():
        by_times[sum([row[1] for row in of_words])].append(of_words)
    # Who looked for them is worked out only for those that are shown, and where it decides: most
    # words were looked for once.
    found: list[Searched] = []
    total = together = 0
    for times in sorted((n for n in by_times if n >= min(often, 2)), reverse=True):
        n, is_wanted = len(by_times[times]), limit is None or total < limit
        if is_wanted or times < often:
            some = [_searched(times, rows) for rows in by_times[times]]
            some = [one for one in some if times >= often or one.partners > 1]
            n = len(some)
            if is_wanted:
                found += sorted(some, key=lambda one: (-one.partners, one.words))
        total += n
        together += times * n
    return Searches(found[first:limit], total, together)


def _searched(times: int, rows: Sequence[Any]) -> Searched:
    """Of one row for each span: words, how often, who, and the last day."""
    partners = values_of(row[2] for row in rows)
    return Searched(rows[0][0], times, len(partners), max(row[3] for row in rows))


def searches_of(
    session: Session, scope: Scope, words: Collection[str]
) -> list[tuple[uuid.UUID, str, int]]:
    """Which partners looked for these words without result, and how often."""
    columns = (SearchSum.words, SearchSum.seekers)
    some = SearchSum.words.in_(list(words))
    packs: dict[str, list[bytes]] = defaultdict(list)
    for key, seekers in rows_within(session, scope, SearchSum, columns, some, _IN_VAIN):
        packs[key].append(seekers)
    counted = {key: histogram(of_words) for key, of_words in packs.items()}
    numbers = {number for times in counted.values() for number in times}
    query = select(Reader.number, Reader.subject).where(Reader.number.in_(numbers))
    partners = dict(plain_rows(session, query))
    return [
        (partners[number], key, n)
        for key, times in counted.items()
        for number, n in sorted(times.items())
    ]


def times_in_vain(session: Session, scope: Scope) -> int:
    """How many searches found nothing, whatever was looked for."""
    rows = sums_within(session, scope, SearchSum, (), (SearchSum.in_vain,))
    return int(rows[0][0]) if rows else 0
