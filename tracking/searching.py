"""What was looked for in the library and not found."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tracking.spans import Scope
from tracking.sums import (
    SearchSum,
)


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


_times = func.sum(SearchSum.searches)
_searchers = func.count(SearchSum.partner_id.distinct())


def searches_in_vain(
    session: Session,
    scope: Scope,
    *,
    often: tuple[int, int] = (1, 1),
    first: int = 0,
    limit: int | None = None,
) -> Searches:
    """Searches of partners without result, the most wanted first, from `first` up to `limit`.
    `often` leaves out the words that fewer partners sought fewer times."""
    partners, times = often
    query = (
        select(SearchSum.words, _times, _searchers, func.max(SearchSum.day))
        .add_columns(func.count().over(), func.sum(_times).over())
        .where(scope.within(SearchSum), SearchSum.found.is_(False))
        .group_by(SearchSum.words)
        .having(or_(_searchers >= partners, _times >= times))
        .order_by(_times.desc(), _searchers.desc(), SearchSum.words)
        .offset(first)
        .limit(None if limit is None else limit - first)
    )
    rows = session.execute(query).all()
    found = [Searched(row[0], int(row[1]), row[2], row[3]) for row in rows]
    return Searches(found, rows[0][4], int(rows[0][5])) if rows else Searches([], 0, 0)


def searches_of(
    session: Session, scope: Scope, words: Collection[str]
) -> list[tuple[uuid.UUID, str, int]]:
    """Which partners looked for these words without result, and how often."""
    query = (
        select(SearchSum.partner_id, SearchSum.words, _times)
        .where(scope.within(SearchSum), SearchSum.found.is_(False))
        .where(SearchSum.words.in_(list(words)))
        .group_by(SearchSum.partner_id, SearchSum.words)
    )
    return [(row[0], row[1], int(row[2])) for row in session.execute(query)]


def times_in_vain(session: Session, scope: Scope) -> int:
    """How many searches found nothing, whatever was looked for."""
    query = select(_times).where(scope.within(SearchSum), SearchSum.found.is_(False))
    return int(session.scalar(query) or 0)
