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

import msgspec

from tracking.dwell import (
    ENGAGED_MS,
    PAGE_READ_MS,
    SLOT_MS,
    LoadFacts,
    cap,
    chain_until,
    first_activated,
)

# Stands for all partners together.
EVERYONE = uuid.UUID(int=0)
Key = tuple[object, ...]
Values = dict[str, object]
Pages = dict[int, list[int]]
# What counts, by load and page: active, reading, idle, glance, overlap in milliseconds.
Attention = dict[uuid.UUID, Pages]

ATTENTION = ("active", "reading", "idle", "glance", "overlap")
ACTS = ("downloads", "downloads_started", "downloads_completed", "shares", "likes")
FIGURES = ("views", "engaged_views", "ended_views", *ATTENTION, *ACTS)
_AT = {name: place for place, name in enumerate(FIGURES)}


# Attention of a load to a page in a slot, as it was reported: the load's place in a list, slot,
# page, active, reading, idle, glance. A plain tuple, because a busy day has a million.
SlotRow = tuple[int, int, int, int, int, int, int]


class Act(NamedTuple):
    """`n` deliberate acts of one kind on one asset; `kind` is one of ACTS.

    Without an asset they are a partner's, whatever they are about: one link with three documents
    is one share of the partner, and one of each document.
    """

    kind: str
    partner_id: uuid.UUID
    asset_id: uuid.UUID | None
    audience: str
    n: int


class Owned(NamedTuple):
    """A load and the person whose time it is; all that the cap wants to know."""

    id: uuid.UUID
    subject: uuid.UUID


class AreaLoad(NamedTuple):
    """A page load in an area of the portal."""

    id: uuid.UUID
    subject: uuid.UUID
    partner_id: uuid.UUID
    area: str
    activated_at: int | None


class SearchFacts(NamedTuple):
    """`n` searches of a partner for these words."""

    partner_id: uuid.UUID
    words: str
    found: bool
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
class Facts:
    """Everything that base rows say about one day.

    `chains` are the loads that touch the day with everything chained to them. `here` is what counts
    on the day itself; `elsewhere` what counts on other days for the loads of views that cross them.
    `numbers` are those of the readers and of the partners.
    """

    chains: Sequence[Sequence[LoadFacts]]
    here: Attention
    elsewhere: Attention = field(default_factory=dict)
    acts: Iterable[Act] = ()
    areas: Iterable[AreaLoad] = ()
    searches: Iterable[SearchFacts] = ()
    numbers: Mapping[uuid.UUID, int] = field(default_factory=dict)


@dataclass
class Rows:
    """The rows of every rollup table for one day, keyed without grain and day."""

    partners: dict[Key, Values] = field(default_factory=dict)
    assets: dict[Key, Values] = field(default_factory=dict)
    pairs: dict[Key, Values] = field(default_factory=dict)
    pages: dict[Key, Values] = field(default_factory=dict)
    areas: dict[Key, Values] = field(default_factory=dict)
    searches: dict[Key, Values] = field(default_factory=dict)
    across: str = ""
    # The other days that views of this one touch.
    touched: set[date] = field(default_factory=set)
    # Readers and partners that have no number yet.
    unnumbered: set[uuid.UUID] = field(default_factory=set)


# --- packing --------------------------------------------------------------------------------------

_pack, _unpack = msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[int]).decode


def packed(numbers: Iterable[int]) -> bytes:
    """A set of whole numbers, sorted, so that equal sets are equal bytes."""
    return _pack(sorted(numbers))


def united(sets: Iterable[bytes]) -> set[int]:
    """The exact union of packed sets."""
    found: set[int] = set()
    for some in sets:
        found.update(_unpack(some))
    return found


def packed_histogram(bars: Mapping[int, int]) -> bytes:
    """How many of each value, as pairs in the order of the values."""
    return _pack([part for pair in sorted(bars.items()) for part in pair])


def histogram(packs: Iterable[bytes]) -> dict[int, int]:
    """The sum of packed histograms."""
    bars: dict[int, int] = defaultdict(int)
    for some in packs:
        parts = iter(_unpack(some))
        for value, n in zip(parts, parts, strict=True):
            bars[value] += n
    return bars


def pack_pages(pages: Pages) -> bytes:
    """The attention of one load on one day, for a folded row."""
    return _pack([part for page in sorted(pages) for part in (page, *pages[page])])


def unpack_pages(data: bytes) -> Pages:
    """What `pack_pages` was given."""
    parts = _unpack(data)
    return {parts[i]: parts[i + 1 : i + 6] for i in range(0, len(parts), 6)}


# --- the cap --------------------------------------------------------------------------------------


def granted(rows: Sequence[SlotRow], loads: Sequence[Owned | LoadFacts | AreaLoad]) -> Attention:
    """What counts of the slots of one day, after the cap per person.

    `rows` are all that the persons of `loads` have on that day.
    """
    persons: dict[uuid.UUID, int] = {}
    person_of = [persons.setdefault(load.subject, len(persons)) << 32 for load in loads]
    wanted: dict[int, int] = defaultdict(int)
    for load, slot, _page, active, reading, idle, glance in rows:
        wanted[person_of[load] | slot] += active + reading + idle + glance
    sums: list[Pages] = [{} for _load in loads]
    crowded: dict[int, list[SlotRow]] = defaultdict(list)
    for row in rows:
        load, slot, page, active, reading, idle, glance = row
        if wanted[person_of[load] | slot] > SLOT_MS:
            crowded[person_of[load] | slot].append(row)
        elif (known := sums[load].get(page)) is None:
            sums[load][page] = [active, reading, idle, glance, 0]
        else:
            known[0] += active
            known[1] += reading
            known[2] += idle
            known[3] += glance
    for entries in crowded.values():
        # Sorted, so that rounding does not depend on the order in which rows were read.
        entries.sort(key=lambda row: (loads[row[0]].id.bytes, row[2]))
        given = cap([(row[3], row[4], row[5], row[6]) for row in entries])
        for row, counts in zip(entries, given, strict=True):
            _credit(sums[row[0]], row[2], counts)
    return {load.id: pages for load, pages in zip(loads, sums, strict=True) if pages}


def _credit(pages: Pages, page: int, counts: Sequence[int]) -> None:
    known = pages.get(page)
    if known is None:
        pages[page] = list(counts)
    else:
        for place, milliseconds in enumerate(counts):
            known[place] += milliseconds


def add_attention(total: Attention, more: Attention) -> None:
    """Add what counts on one day to what counts on others."""
    for load_id, pages in more.items():
        mine = total.setdefault(load_id, {})
        for page, counts in pages.items():
            _credit(mine, page, counts)


# --- the rows -------------------------------------------------------------------------------------


class _Sums(dict[Key, list[int]]):
    """Figures by key, in the order of FIGURES."""

    def of(self, key: Key) -> list[int]:
        found = self.get(key)
        if found is None:
            found = self[key] = [0] * len(FIGURES)
        return found


class _Building:
    """The rows of a day while they are added up."""

    def __init__(self, numbers: Mapping[uuid.UUID, int]) -> None:
        self.partners, self.assets, self.pairs = _Sums(), _Sums(), _Sums()
        self.pages: dict[Key, dict[int, list[int]]] = defaultdict(dict)
        self.partner_people: dict[Key, set[int]] = defaultdict(set)
        self.asset_people: dict[Key, set[int]] = defaultdict(set)
        self.asset_partners: dict[Key, set[int]] = defaultdict(set)
        self.dwells: dict[Key, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.unnumbered: set[uuid.UUID] = set()
        self._numbers = numbers

    def add(
        self, partner_id: object, asset_id: object, audience: str, counts: Sequence[int]
    ) -> None:
        """Add `counts`, the first of the figures, to every sum they belong to."""
        some = [(place, n) for place, n in enumerate(counts) if n]
        partner = self._of_partner(partner_id, audience)
        for sums in partner + self._of_asset(asset_id, partner_id, audience):
            for place, n in some:
                sums[place] += n

    def act(self, act: Act) -> None:
        """Add deliberate acts to the sums they belong to."""
        found: list[list[int]] = []
        if act.asset_id is not None:
            found += self._of_asset(act.asset_id, act.partner_id, act.audience)
        if act.asset_id is None or act.kind != "shares":
            found += self._of_partner(act.partner_id, act.audience)
        for sums in found:
            sums[_AT[act.kind]] += act.n

    def _of_partner(self, partner_id: object, audience: str) -> list[list[int]]:
        partners = self.partners
        return [partners.of((partner_id, audience)), partners.of((EVERYONE, audience))]

    def _of_asset(self, asset_id: object, partner_id: object, audience: str) -> list[list[int]]:
        pair = (asset_id, partner_id, audience)
        return [self.assets.of((asset_id, audience)), self.pairs.of(pair)]

    def pages_of(self, first: LoadFacts) -> dict[int, list[int]]:
        """The sums by page of what a view is of: attention and readers."""
        return self.pages[first.asset_id, first.version_id, first.audience]

    def view(self, first: LoadFacts, ended: bool, dwell: Mapping[int, int]) -> tuple[int, int, int]:
        """Count a view on the day of its activation; `dwell` by page, over all its days.

        Returns what it adds to views, engaged views and ended views.
        """
        total = sum(dwell.values())
        self._count_partner(first)
        self._count_reader(first)
        counts = (1, int(total >= ENGAGED_MS), int(ended))
        self.dwells[first.asset_id, first.audience][total // 1000] += 1
        pages = self.pages_of(first)
        for page, milliseconds in dwell.items():
            if milliseconds >= PAGE_READ_MS:
                pages.setdefault(page, [0] * 6)[5] += 1
        return counts

    def _number(self, key: uuid.UUID) -> int | None:
        number = self._numbers.get(key)
        if number is None:
            self.unnumbered.add(key)
        return number

    def _count_partner(self, first: LoadFacts) -> None:
        number = self._number(first.partner_id)
        if number is not None:
            self.asset_partners[first.asset_id, first.audience].add(number)

    def _count_reader(self, first: LoadFacts) -> None:
        number = self._number(first.subject) if first.lasting else None
        if number is None:
            return
        self.partner_people[first.partner_id, first.audience].add(number)
        self.partner_people[EVERYONE, first.audience].add(number)
        self.asset_people[first.asset_id, first.audience].add(number)

    def rows(self) -> Rows:
        """The finished rows."""
        rows = Rows(unnumbered=self.unnumbered)
        for key, sums in self.partners.items():
            people = packed(self.partner_people.get(key, ()))
            rows.partners[key] = {**dict(zip(FIGURES, sums, strict=True)), "people": people}
        for key, sums in self.assets.items():
            rows.assets[key] = {
                **dict(zip(FIGURES, sums, strict=True)),
                "people": packed(self.asset_people.get(key, ())),
                "partners": packed(self.asset_partners.get(key, ())),
                "dwells": packed_histogram(self.dwells.get(key, {})),
            }
        rows.pairs = {k: dict(zip(FIGURES, sums, strict=True)) for k, sums in self.pairs.items()}
        names = (*ATTENTION, "readers")
        rows.pages = {
            (*key, page): dict(zip(names, sums, strict=True))
            for key, pages in self.pages.items()
            for page, sums in pages.items()
        }
        return rows


def rows_of(day: Day, facts: Facts) -> Rows:
    """All rows of `day`."""
    building, across = _Building(facts.numbers), []
    for chain in facts.chains:
        first = first_activated(chain)
        if first is None or not day.touches(chain):
            continue
        figures = [0, 0, 0, *_attention(building, first, chain, facts.here)]
        if day.holds(first.activated_at):
            ended = max(chain, key=lambda load: load.last_slot).is_ended
            figures[:3] = building.view(first, ended, _dwell(chain, facts))
        if any(figures):
            building.add(first.partner_id, first.asset_id, first.audience, figures)
        if not all(map(day.holds_all_of, chain)):
            here = [(str(x.id), sorted(facts.here.get(x.id, {}).items())) for x in chain]
            across.append(
                ([(str(x.id), x.activated_at, x.last_slot, x.left_at) for x in chain], here)
            )
    for act in facts.acts:
        building.act(act)
    rows = building.rows()
    rows.across = hashlib.sha256(repr(across).encode()).hexdigest() if across else ""
    rows.areas = _areas(day, facts)
    rows.searches = {
        (found.words, found.partner_id, found.found): {"searches": found.n}
        for found in facts.searches
    }
    return rows


def _attention(
    building: _Building, first: LoadFacts, chain: Sequence[LoadFacts], here: Attention
) -> list[int]:
    """Add the view's attention of this day to its pages; returns the sum of them."""
    total, pages = [0] * 5, building.pages_of(first)
    for load in chain:
        for page, counts in here.get(load.id, {}).items():
            of_page = pages.get(page)
            if of_page is None:
                of_page = pages[page] = [0] * 6
            for place, milliseconds in enumerate(counts):
                if milliseconds:
                    of_page[place] += milliseconds
                    total[place] += milliseconds
    return total


def _dwell(chain: Sequence[LoadFacts], facts: Facts) -> dict[int, int]:
    """The dwell of a whole view by page, in milliseconds."""
    dwell: dict[int, int] = defaultdict(int)
    # Few days have views that cross them.
    places = (facts.here, facts.elsewhere) if facts.elsewhere else (facts.here,)
    for load in chain:
        for attention in places:
            for page, (active, reading, *_rest) in attention.get(load.id, {}).items():
                dwell[page] += active + reading
    return dwell


def _areas(day: Day, facts: Facts) -> dict[Key, Values]:
    """Page views and attention by area, for each partner and for everyone."""
    found: dict[Key, list[int]] = {}
    for load in facts.areas:
        counts = [int(day.holds(load.activated_at)), 0, 0, 0, 0, 0]
        for attention in facts.here.get(load.id, {}).values():
            for place, milliseconds in enumerate(attention, 1):
                counts[place] += milliseconds
        if not any(counts):
            continue
        for partner_id in (load.partner_id, EVERYONE):
            sums = found.setdefault((partner_id, load.area), [0] * 6)
            for place, n in enumerate(counts):
                sums[place] += n
    return {k: dict(zip(("views", *ATTENTION), sums, strict=True)) for k, sums in found.items()}


def merged(rows: Sequence[Mapping[str, object]]) -> Values:
    """The sum of the rows of several days for one key: what a month's row holds."""
    values: Values = {name: sum(row[name] for row in rows) for name in FIGURES}  # type: ignore[misc]
    values["people"] = packed(united(row["people"] for row in rows))  # type: ignore[misc]
    if "partners" in rows[0]:
        values["partners"] = packed(united(row["partners"] for row in rows))  # type: ignore[misc]
        values["dwells"] = packed_histogram(histogram(row["dwells"] for row in rows))  # type: ignore[misc]
    return values
