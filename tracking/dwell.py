"""How attention is counted: the cap per person, and which loads make one view.

Pure: values in, values out. `tracking.rollups` applies it to the rows of a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

SLOT_MS = 15_000
VIEW_GAP_MS = 30_000
ENGAGED_MS = 10_000
PAGE_READ_MS = 2_000

Buckets = tuple[int, int, int, int]
# A key: in a rebuild its 16 bytes, because a busy day has a million of them, elsewhere a UUID. Both
# sort alike.
Id = Any


class IdleRule(StrEnum):
    """What counts as dwell: the buckets that are added up."""

    active = "active"
    reading = "reading"
    idle = "idle"


DWELL_BUCKETS = {
    IdleRule.active: ("active",),
    IdleRule.reading: ("active", "reading"),
    IdleRule.idle: ("active", "reading", "idle"),
}


class Granted(NamedTuple):
    """Attention that counts, by bucket, and what was beyond the person's wall time."""

    active: int
    reading: int
    idle: int
    glance: int
    overlap: int


class LoadFacts(NamedTuple):
    """What decides about a load's place in a view. Times in milliseconds."""

    id: Id
    subject: Id
    partner_id: Id
    audience: str
    asset_id: Id
    version_id: Id
    issued_at: int
    activated_at: int | None
    last_slot: int
    left_at: int | None = None
    # Whether the subject means the same person tomorrow, so that people can be counted.
    lasting: bool = True

    @property
    def is_ended(self) -> bool:
        """Whether the last report arrived: the reader was seen leaving after all attention."""
        return self.left_at is not None and self.left_at // SLOT_MS >= self.last_slot

    @property
    def attention_until(self) -> int | None:
        """When the reader left after all attention, else the end of the last slot with any."""
        last, left = self.last_slot, self.left_at
        if not last:
            return None
        end = (last + 1) * SLOT_MS
        if left is None or left >= end or left // SLOT_MS < last:
            return end
        return left


def cap(entries: Sequence[Buckets]) -> list[Granted]:
    """Grant one person's attention in one slot, over all tabs and devices.

    15 000 ms are given out in the order active, reading, idle, glance; where a bucket does not fit
    any more, in proportion and rounded down. Nobody's attention exceeds wall time.

    A person is whoever has one subject. Content and the portal's other pages are kept under
    different ones, so that the two cannot be joined; each is capped by itself, and reports never
    add them up. Where subjects change daily, a page from before midnight and one from after it are
    two persons to the cap.
    """
    if sum(map(sum, entries)) <= SLOT_MS:
        return [Granted(*entry, 0) for entry in entries]
    room = SLOT_MS
    columns: list[list[int]] = []
    for bucket in zip(*entries, strict=True):
        wanted = sum(bucket)
        if wanted <= room:
            columns.append(list(bucket))
            room -= wanted
        else:
            columns.append([wish * room // wanted for wish in bucket])
            room = 0
    given = zip(*columns, strict=True)
    return [
        Granted._make((*buckets, sum(entry) - sum(buckets)))
        for entry, buckets in zip(entries, given, strict=True)
    ]


_TOGETHER = attrgetter("subject", "asset_id", "version_id")
_IN_ORDER = attrgetter("subject", "asset_id", "version_id", "issued_at", "id")


def chains(loads: Iterable[LoadFacts]) -> list[list[LoadFacts]]:
    """Put loads that belong together into chains, each in the order of issue.

    They are of the same person, asset and version, and each next one was issued at most 30 s
    after the last attention of an earlier one.
    """
    found: list[list[LoadFacts]] = []
    ordered = sorted(loads, key=_IN_ORDER)
    for _key, group in groupby(ordered, key=_TOGETHER):
        until: int | None = None
        chain: list[LoadFacts] = []
        for load in group:
            if chain and (until is None or load.issued_at > until + VIEW_GAP_MS):
                found.append(chain)
                chain, until = [], None
            chain.append(load)
            ended = load.attention_until
            if ended is not None:
                until = ended if until is None else max(until, ended)
        found.append(chain)
    return found


def first_activated(chain: Sequence[LoadFacts]) -> LoadFacts | None:
    """The load whose activation makes this chain a view, on that day; None when nobody looked."""
    activated = [load for load in chain if load.activated_at is not None]
    if len(activated) == 1:
        return activated[0]
    return min(
        activated,
        key=lambda load: (load.activated_at or 0, load.issued_at, load.id),
        default=None,
    )


def chain_until(chain: Sequence[LoadFacts]) -> int:
    """The last moment that anything is known to have happened in this chain."""
    last = 0
    for load in chain:
        last = max(last, load.issued_at, load.activated_at or 0, load.attention_until or 0)
    return last
