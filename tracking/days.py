"""What the rows of one day are, computed from base rows. Pure: values in, values out.

A slot's attention counts on its own local day, a view on the day it was activated. A view over
midnight therefore touches two days; `across` is a digest of what other days need to know.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from tracking.dwell import (
    ENGAGED_MS,
    PAGE_READ_MS,
    SLOT_MS,
    Buckets,
    LoadFacts,
    cap,
    chain_until,
    chains,
    first_activated,
)

Key = tuple[object, ...]
Values = dict[str, object]
ATTENTION = ("active", "reading", "idle", "glance", "overlap")
ACTS = ("downloads", "shares", "likes")


class SlotFacts(NamedTuple):
    """Attention of a load to a page in a slot, as it was reported."""

    load_id: uuid.UUID
    slot: int
    page: int
    buckets: Buckets


class Act(NamedTuple):
    """`n` deliberate acts of one kind on one asset; `kind` is one of ACTS."""

    kind: str
    partner_id: uuid.UUID
    asset_id: uuid.UUID
    audience: str
    n: int


@dataclass(frozen=True)
class Day:
    """A local day and its moments `[start, end)` in milliseconds."""

    day: date
    start: int
    end: int

    @property
    def slots(self) -> range:
        """The slots of this day."""
        return range(self.start // SLOT_MS, self.end // SLOT_MS)

    def holds(self, moment: int | None) -> bool:
        """Whether a moment lies on this day."""
        return moment is not None and self.start <= moment < self.end

    def touches(self, chain: Sequence[LoadFacts]) -> bool:
        """Whether anything of a view may lie on this day."""
        return chain[0].issued_at < self.end and chain_until(chain) >= self.start

    def holds_all_of(self, load: LoadFacts) -> bool:
        """Whether nothing of a load's life lies on another day."""
        last = max(load.issued_at, load.activated_at or 0, (load.last_slot * SLOT_MS) or 0)
        return self.start <= load.issued_at and last < self.end


@dataclass
class Rows:
    """The rows of every rollup table for one day, keyed without the day."""

    assets: dict[Key, Values] = field(default_factory=dict)
    pages: dict[Key, Values] = field(default_factory=dict)
    dwell: dict[Key, Values] = field(default_factory=dict)
    people: dict[Key, Values] = field(default_factory=dict)
    across: str = ""
    # Whether some view also lies on another day.
    crosses: bool = False


Sums = list[int]
Granted = dict[tuple[uuid.UUID, int], Sums]


def granted(
    slots: Iterable[SlotFacts], subjects: Mapping[uuid.UUID, uuid.UUID], within: range | None
) -> Granted:
    """What counts, by load and page, after the cap per person; `within` limits the slots."""
    by_person: dict[tuple[uuid.UUID, int], list[SlotFacts]] = defaultdict(list)
    for row in slots:
        if within is None or row.slot in within:
            by_person[subjects[row.load_id], row.slot].append(row)
    sums: Granted = defaultdict(lambda: [0] * 5)
    for entries in by_person.values():
        # Sorted, so that rounding does not depend on the order in which rows were read.
        entries.sort(key=lambda row: (row.load_id.bytes, row.page))
        for row, given in zip(entries, cap([row.buckets for row in entries]), strict=True):
            total = sums[row.load_id, row.page]
            for index, milliseconds in enumerate(given):
                total[index] += milliseconds
    return sums


def rows_of(
    day: Day, loads: Sequence[LoadFacts], slots: Sequence[SlotFacts], acts: Iterable[Act]
) -> Rows:
    """All rows of `day`.

    `loads` are those that touch the day and everything chained to them; `slots` all that those
    persons have on the days these chains touch, so that the cap is right on every one of them.
    """
    subjects = {load.id: load.subject for load in loads}
    by_load: dict[uuid.UUID, list[SlotFacts]] = defaultdict(list)
    for row in slots:
        by_load[row.load_id].append(row)
    today = granted(slots, subjects, day.slots)
    total = granted(slots, subjects, None)
    rows, across = Rows(), hashlib.sha256()
    for chain in chains(loads):
        first = first_activated(chain)
        if first is None or not day.touches(chain):
            continue
        pages = _pages(chain, by_load)
        _add_attention(rows, first, pages, today)
        if day.holds(first.activated_at):
            _add_view(rows, first, _view_pages(pages, total))
        if not all(map(day.holds_all_of, chain)):
            rows.crosses = True
            facts = [(str(x.id), x.activated_at, x.last_slot) for x in chain]
            here = [(str(k), p, today[k, p]) for k, p in pages if (k, p) in today]
            across.update(repr((facts, here)).encode())
    rows.across = across.hexdigest() if rows.crosses else ""
    for act in acts:
        key = (act.partner_id, act.asset_id, act.audience)
        values = rows.assets.setdefault(key, _no_asset())
        values[act.kind] = int(str(values[act.kind])) + act.n
    return rows


def _pages(
    chain: Sequence[LoadFacts], by_load: Mapping[uuid.UUID, list[SlotFacts]]
) -> list[tuple[uuid.UUID, int]]:
    found = {(load.id, row.page) for load in chain for row in by_load.get(load.id, ())}
    return sorted(found, key=lambda key: (key[0].bytes, key[1]))


def _no_asset() -> Values:
    names = ("views", "engaged_views", *ATTENTION, *ACTS)
    return dict.fromkeys(names, 0)


def _add(values: Values, name: str, n: int) -> None:
    values[name] = values[name] + n  # type: ignore[operator]


def _add_attention(
    rows: Rows, first: LoadFacts, pages: Iterable[tuple[uuid.UUID, int]], today: Granted
) -> None:
    """The view's attention of this day, to its asset and its pages alike."""
    for load_id, page in pages:
        sums = today.get((load_id, page))
        if sums is None or not any(sums):
            continue
        asset_key = (first.partner_id, first.asset_id, first.audience)
        page_key = (first.partner_id, first.asset_id, first.version_id, first.audience, page)
        of_asset = rows.assets.setdefault(asset_key, _no_asset())
        of_page = rows.pages.setdefault(page_key, dict.fromkeys((*ATTENTION, "readers"), 0))
        for name, milliseconds in zip(ATTENTION, sums, strict=True):
            _add(of_asset, name, milliseconds)
            _add(of_page, name, milliseconds)


def _view_pages(pages: Iterable[tuple[uuid.UUID, int]], total: Granted) -> dict[int, int]:
    """The dwell of a whole view by page, in milliseconds."""
    dwell: dict[int, int] = defaultdict(int)
    for load_id, page in pages:
        active, reading, *_rest = total.get((load_id, page), (0, 0))
        dwell[page] += active + reading
    return dwell


def _add_view(rows: Rows, first: LoadFacts, pages: Mapping[int, int]) -> None:
    """Count a view on the day of its activation."""
    dwell = sum(pages.values())
    key = (first.partner_id, first.asset_id, first.audience)
    of_asset = rows.assets.setdefault(key, _no_asset())
    _add(of_asset, "views", 1)
    _add(of_asset, "engaged_views", int(dwell >= ENGAGED_MS))
    bar = rows.dwell.setdefault((first.asset_id, first.audience, dwell // 1000), {"views": 0})
    _add(bar, "views", 1)
    for page, milliseconds in pages.items():
        if milliseconds >= PAGE_READ_MS:
            page_key = (first.partner_id, first.asset_id, first.version_id, first.audience, page)
            nothing: Values = dict.fromkeys((*ATTENTION, "readers"), 0)
            _add(rows.pages.setdefault(page_key, nothing), "readers", 1)
    people = rows.people.setdefault(key, {"people": b""})
    people["people"] = with_person(people["people"], first.subject)  # type: ignore[arg-type]


def with_person(people: bytes, person: uuid.UUID) -> bytes:
    """A set of people, as sorted and joined 16-byte ids, with one more in it."""
    return joined_people([people, person.bytes])


def joined_people(sets: Iterable[bytes]) -> bytes:
    """The exact union of sets of people."""
    ids = {chunk[i : i + 16] for chunk in sets for i in range(0, len(chunk), 16)}
    return b"".join(sorted(ids))
