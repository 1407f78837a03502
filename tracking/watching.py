"""Recordings: which seconds were played, merged by OR, so that a seek adds nothing and seeing a
part again adds play time only."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from tracking.models import Watched

# The longest recording that is measured, and the fastest that browsers play.
MAX_SECONDS, MAX_RATE = 6 * 3600, 16


class Playing(NamedTuple):
    """What one load has played: a bit per second (the first is the lowest bit), the time it ran in
    milliseconds, and the length of the recording in seconds."""

    seconds: int
    played_ms: int
    length: int

    def __or__(self, other: Playing) -> Playing:
        return Playing(
            self.seconds | other.seconds,
            max(self.played_ms, other.played_ms),
            max(self.length, other.length),
        )

    @classmethod
    def of_row(cls, row: Any) -> Playing:
        """What a row of `Watched` says."""
        return cls(int.from_bytes(row.seconds, "little"), row.played_ms, row.length)

    @property
    def unique_seconds(self) -> int:
        """How many different seconds were seen."""
        return self.seconds.bit_count()

    @property
    def completion(self) -> float:
        """The share of the recording that was seen, 0 to 1."""
        return min(1.0, self.unique_seconds / self.length) if self.length else 0.0


NOTHING = Playing(0, 0, 0)


def is_possible(playing: Playing, age_ms: int) -> bool:
    """Whether a page of this age can have played this: nothing runs longer than the page is there,
    faster than browsers play, or beyond its end."""
    if not 0 <= playing.length <= MAX_SECONDS or playing.seconds.bit_length() > playing.length:
        return False
    if not 0 <= playing.played_ms <= age_ms + 2000:
        return False
    return playing.unique_seconds <= playing.played_ms * MAX_RATE / 1000 + 2


def merge_watched(connection: Connection, load_id: uuid.UUID, playing: Playing) -> None:
    """Merge what a load has played into its row. The load's own row is locked by then."""
    known = read_watched(connection, load_id)
    both = playing | known if known is not None else playing
    values = {
        "seconds": both.seconds.to_bytes((both.length + 7) // 8, "little"),
        "played_ms": both.played_ms,
        "length": both.length,
    }
    if known is None:
        connection.execute(insert(Watched).values(load_id=load_id, **values))
    else:
        connection.execute(update(Watched).where(Watched.load_id == load_id).values(**values))


def read_watched(connection: Connection, load_id: uuid.UUID) -> Playing | None:
    """What a load has played, None for nothing."""
    columns = (Watched.seconds, Watched.played_ms, Watched.length)
    row = connection.execute(select(*columns).where(Watched.load_id == load_id)).one_or_none()
    return row and Playing.of_row(row)
