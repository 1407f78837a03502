"""What was looked for in the library and not found."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.db import plain_rows
from tracking.models import Reader
from tracking.packing import histogram
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
    times: dict[str, int] = defaultdict(int)
    seekers: dict[str, list[bytes]] = defaultdict(list)
    last: dict[str, date] = {}
    for words, n, some, day in plain_rows(
        session, select(rows_within(scope, SearchSum, columns, _IN_VAIN))
    ):
        times[words] += n
        seekers[words].append(some)
        last[words] = max(day, last.get(words, day))

    def searched(words: str) -> Searched:
        return Searched(words, times[words], len(histogram(seekers[words])), last[words])

    by_times: dict[int, list[str]] = defaultdict(list)
    for words, n in times.items():
        by_times[n].append(words)
    # Who looked for them is asked only of those that are shown, and where it decides: most words
    # are looked for once.
    rows: list[Searched] = []
    total = together = 0
    for n in sorted((n for n in by_times if n >= min(often, 2)), reverse=True):
        some_words = by_times[n]
        is_wanted = limit is None or total < limit
        if is_wanted or n < often:
            found = [one for one in map(searched, some_words) if n >= often or one.partners > 1]
            rows += sorted(found, key=lambda one: (-one.partners, one.words)) if is_wanted else []
            some_words = [one.words for one in found]
        total += len(some_words)
        together += n * len(some_words)
    return Searches(rows[first:limit], total, together)


def searches_of(
    session: Session, scope: Scope, words: Collection[str]
) -> list[tuple[uuid.UUID, str, int]]:
    """Which partners looked for these words without result, and how often."""
    columns = (SearchSum.words, SearchSum.seekers)
    some = SearchSum.words.in_(list(words))
    packs: dict[str, list[bytes]] = defaultdict(list)
    for key, seekers in plain_rows(
        session, select(rows_within(scope, SearchSum, columns, some, _IN_VAIN))
    ):
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
