"""Much work, written a part at a time, so that whoever waits at the door never waits long.

Context: reports are committed while days of a million rows are rebuilt and folded. Parts of a fixed
size took 10 ms on one machine and 80 ms on another.
Decision: how much goes into a part follows from how long the part before it took. After a while of
parts one upon the other, whoever waits comes first. Garbage is not looked for meanwhile: among
millions of objects that all stay that took half a second, inside the door.
Consequences: a slow machine writes more and smaller parts. What comes in one transaction is for the
caller to say: a part is never divided.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from portal.db import let_others_in, write_connection

# How long a part shall take, and how long parts may follow each other.
PART_S, ALONE_S = 0.01, 0.02
V = TypeVar("V")


class Pace:
    """How much to write at once: `room`, in any unit, `most` of it at the beginning and ever."""

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine, self._most = engine, most
        self._alone_since = time.perf_counter()
        self.room = most

    def parts(self, values: Sequence[V]) -> Iterator[Sequence[V]]:
        """`values` a part at a time, each as large as there is room for by then."""
        while values:
            some, values = values[: self.room], values[self.room :]
            yield some

    @contextmanager
    def write(self, amount: int) -> Iterator[Connection]:
        """The door, for a part of this `amount`; how long it takes decides about the next."""
        with write_connection(self._engine) as connection:
            began = time.perf_counter()
            yield connection
            # Without the commit, which takes as long for a small part: it cannot be divided.
            took = time.perf_counter() - began
        # Back to larger parts by and by: one that was held up says little about the next.
        fits = min(int(amount * PART_S / max(took, 1e-6)), 2 * self.room)
        self.room = max(1, self._most // 20, min(fits, self._most))
        if time.perf_counter() - self._alone_since > ALONE_S:
            let_others_in(self._engine)
            self._alone_since = time.perf_counter()


@contextmanager
def without_collecting() -> Iterator[None]:
    """Look for no garbage meanwhile."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
