"""What the rows of one day are, computed from base rows. Pure: values in, values out.

A slot's attention counts on its own local day, a view on the day it was activated. A view over
midnight therefore touches two days; `across` is a digest of what other days need to know.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from tracking.dwell import (
    ENGAGED_MS,
    PAGE_READ_MS,
    SLOT_MS,
    Id,
    LoadFacts,
    cap,
    chain_until,
    first_activated,
)
from tracking.packing import Pages, histogram, packed, packed_histogram, united

# Stands for all partners together.
EVERYONE = uuid.UUID(int=0)
Key = tuple[object, ...]
Values = dict[str, object]
# What counts, by load and page: active, reading, idle, glance, overlap in milliseconds.
Attention = dict[Id, Pages]

ATTENTION = ("active", "reading", "idle", "glance", "overlap")
ACTS = ("downloads", "downloads_started", "downloads_completed", "shares", "likes")
FIGURES = ("views", "engaged_views", "ended_views", *ATTENTION, *ACTS)
_AT = {name: place for place, name in enumerate(FIGURES)}


# Attention of a load to a page in a slot, as it was reported: the load's id, slot, page, active,
# reading, idle, glance. A plain tuple, because a busy day has a million.
SlotRow = tuple[Id, int, int, int, int, int, int]


class Act(NamedTuple):
    """`n` deliberate acts of one kind on one asset; `kind` is one of ACTS.

    Without an asset they are a partner's, whatever they are about: one link with three documents
    is one share of the partner, and one of each document.
    """

    kind: str
    partner_id: Id
    asset_id: Id | None
    audience: str
    n: int


class AreaLoad(NamedTuple):
    """A page load in an area of the portal."""

    id: Id
    subject: Id
    partner_id: Id
    area: str
    activated_at: int | None


class SearchFacts(NamedTuple):
    """`n` searches of a partner for these words."""

    partner_id: Id
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
    numbers: Mapping[Id, int] = field(default_factory=dict)


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


# The same few thousand keys again and again.
@lru_cache(maxsize=16_384)
def key_of(raw: bytes) -> uuid.UUID:
    """A key that was read as its 16 bytes."""
    return uuid.UUID(bytes=raw)


# --- the cap --------------------------------------------------------------------------------------


def granted(rows: Iterable[SlotRow], person_of: Mapping[Id, Id]) -> Attention:
    """What counts of the slots of one day, after the cap per person.

    `person_of` says whose time a load is. `rows` are all that these persons have on that day; those
    of other loads are left out.
    """
    persons: dict[Id, list[_Rows]] = defaultdict(list)
    # Mostly, the rows of a load come one after the other.
    for load_id, some in groupby(rows, key=itemgetter(0)):
        person = person_of.get(load_id)
        if person is not None:
            persons[person].append((load_id, list(some)))
    attention: Attention = defaultdict(dict)
    for theirs in persons.values():
        _grant(theirs, attention)
    return dict(attention)


# Some rows of one load.
_Rows = tuple[Id, list[SlotRow]]


def _grant(theirs: Sequence[_Rows], attention: Attention) -> None:
    """Add to `attention` what counts of one person's rows."""
    wanted: dict[int, int] = defaultdict(int)
    for _load_id, rows in theirs:
        for _id, slot, _page, active, reading, idle, glance in rows:
            wanted[slot] += active + reading + idle + glance
    crowded: dict[int, list[SlotRow]] = {slot: [] for slot, n in wanted.items() if n > SLOT_MS}
    for load_id, rows in theirs:
        pages = attention[load_id]
        for row in rows:
            _id, slot, page, active, reading, idle, glance = row
            if slot in crowded:
                crowded[slot].append(row)
            elif page in pages:
                known = pages[page]
                known[0] += active
                known[1] += reading
                known[2] += idle
                known[3] += glance
            else:
                pages[page] = [active, reading, idle, glance, 0]
    for entries in crowded.values():
        # Sorted, so that rounding does not depend on the order in which rows were read.
        entries.sort(key=itemgetter(0, 2))
        given = cap([(row[3], row[4], row[5], row[6]) for row in entries])
        for row, counts in zip(entries, given, strict=True):
            _credit(attention[row[0]], row[2], counts)


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


class _OfAsset:
    """What was done with an asset, while it is added up: by partner, in the order of FIGURES,
    and by version and page. All other sums are sums of those by partner."""

    __slots__ = ("dwells", "pages", "pairs", "people")

    def __init__(self) -> None:
        self.people: set[int] = set()
        self.dwells: dict[int, int] = defaultdict(int)
        self.pairs: dict[Id, list[int]] = {}
        self.pages: dict[Id, dict[int, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0] * 6)
        )

    def add(self, partner_id: Id, figures: list[int]) -> None:
        """Add what a partner did; the figures are kept."""
        known = self.pairs.get(partner_id)
        self.pairs[partner_id] = _added((known, figures)) if known else figures


class _Building:
    """The rows of a day while they are added up."""

    def __init__(self, day: Day, facts: Facts) -> None:
        self.unnumbered: set[Id] = set()
        self._day, self._facts = day, facts
        self._assets: dict[str, dict[Id, _OfAsset]] = defaultdict(lambda: defaultdict(_OfAsset))
        # Who of a partner had a view.
        self._people: dict[str, dict[Id, set[int]]] = defaultdict(lambda: defaultdict(set))
        # What is a partner's and of no asset.
        self._own: dict[str, dict[Id, list[int]]] = defaultdict(lambda: defaultdict(_nothing))

    def chain(self, first: LoadFacts, chain: Sequence[LoadFacts]) -> None:
        """Add what a view has on this day to every sum it belongs to."""
        asset = self._assets[first.audience][first.asset_id]
        sums, here = asset.pages[first.version_id], _by_page(chain, self._facts.here)
        attention = _added_by_page(here, sums)
        if not self._day.holds(first.activated_at):
            if any(attention):
                asset.add(first.partner_id, [0, 0, 0, *attention, *_NO_ACTS])
            return
        dwell = {page: counts[0] + counts[1] for page, counts in here.items()}
        for page, counts in _by_page(chain, self._facts.elsewhere).items():
            dwell[page] = dwell.get(page, 0) + counts[0] + counts[1]
        total = sum(dwell.values())
        views = (1, int(total >= ENGAGED_MS), int(max(chain, key=_last_slot).is_ended))
        asset.add(first.partner_id, [*views, *attention, *_NO_ACTS])
        asset.dwells[total // 1000] += 1
        for page, milliseconds in dwell.items():
            if milliseconds >= PAGE_READ_MS:
                sums[page][5] += 1
        number = self.number(first.subject) if first.lasting else None
        if number is not None:
            asset.people.add(number)
            self._people[first.audience][first.partner_id].add(number)

    def number(self, key: Id) -> int | None:
        """The number of a reader or a partner; whoever has none is `unnumbered`."""
        number = self._facts.numbers.get(key)
        if number is None:
            self.unnumbered.add(key)
        return number

    def act(self, act: Act) -> None:
        """Add deliberate acts to the sums they belong to."""
        figures = _nothing()
        figures[_AT[act.kind]] = act.n
        if act.asset_id is not None:
            self._assets[act.audience][act.asset_id].add(act.partner_id, figures)
        else:
            own = self._own[act.audience]
            own[act.partner_id] = _added((own[act.partner_id], figures))

    def rows(self) -> Rows:
        """The finished rows, those of an asset together, as they are kept."""
        rows = Rows()
        for audience in dict.fromkeys((*self._assets, *self._own)):
            self._rows_of_partners(rows, audience)
        for audience, assets in self._assets.items():
            for asset_id, asset in sorted(assets.items()):
                self._rows_of_asset(rows, (key_of(asset_id), audience), asset)
        return rows

    def _rows_of_partners(self, rows: Rows, audience: str) -> None:
        pairs: dict[Id, list[list[int]]] = defaultdict(list)
        for asset in self._assets[audience].values():
            for partner_id, figures in asset.pairs.items():
                pairs[partner_id].append(figures)
        own, people = self._own[audience], self._people[audience]
        of_all = []
        for partner_id in sorted(pairs.keys() | own.keys()):
            sums = _added((_nothing(), *pairs[partner_id]))
            # A link is one share of the partner, however many assets it has.
            sums[_AT["shares"]] = 0
            sums = _added((sums, own[partner_id]))
            if any(sums):
                of_all.append(sums)
                rows.partners[key_of(partner_id), audience] = _values(sums, people[partner_id])
        if of_all:
            everybody = set().union(*people.values())
            rows.partners[EVERYONE, audience] = _values(_added(of_all), everybody)

    def _rows_of_asset(self, rows: Rows, key: tuple[uuid.UUID, str], asset: _OfAsset) -> None:
        asset_id, audience = key
        # Looked at on this day, and no more: a page that was open without attention.
        if asset.pairs:
            viewers = (self.number(id_) for id_, figures in asset.pairs.items() if figures[0])
            rows.assets[key] = {
                **_values(_added(asset.pairs.values()), asset.people),
                "partners": packed(number for number in viewers if number is not None),
                "dwells": packed_histogram(asset.dwells),
            }
        for partner_id, figures in sorted(asset.pairs.items()):
            rows.pairs[asset_id, key_of(partner_id), audience] = _figures(figures)
        for version_id, pages in asset.pages.items():
            for page, sums in pages.items():
                values: Values = dict(zip((*ATTENTION, "readers"), sums, strict=True))
                rows.pages[asset_id, key_of(version_id), audience, page] = values


_NO_ACTS = [0] * len(ACTS)


def _nothing() -> list[int]:
    return [0] * len(FIGURES)


def _added(lists: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*lists, strict=True)]


def _figures(sums: Sequence[int]) -> Values:
    return dict(zip(FIGURES, sums, strict=True))


def _values(sums: Sequence[int], people: Iterable[int]) -> Values:
    return {**_figures(sums), "people": packed(people)}


def _last_slot(load: LoadFacts) -> int:
    return load.last_slot


_NOTHING: Pages = {}


def _by_page(chain: Sequence[LoadFacts], attention: Attention) -> Pages:
    """The attention of a view."""
    if len(chain) == 1:
        return attention.get(chain[0].id, _NOTHING)
    found: Pages = {}
    for load in chain:
        for page, counts in attention.get(load.id, _NOTHING).items():
            _credit(found, page, counts)
    return found


def _added_by_page(pages: Pages, sums: dict[int, list[int]]) -> list[int]:
    """Add the attention of a view to the `sums` of its pages; returns all of it together."""
    actives = readings = idles = glances = overlaps = 0
    for page, (active, reading, idle, glance, overlap) in pages.items():
        of_page = sums[page]
        of_page[0] += active
        of_page[1] += reading
        of_page[2] += idle
        of_page[3] += glance
        of_page[4] += overlap
        actives += active
        readings += reading
        idles += idle
        glances += glance
        overlaps += overlap
    return [actives, readings, idles, glances, overlaps]


def rows_of(day: Day, facts: Facts) -> Rows:
    """All rows of `day`."""
    building, across = _Building(day, facts), []
    for chain in facts.chains:
        first = first_activated(chain)
        is_whole = all(map(day.holds_all_of, chain))
        if first is None or not (is_whole or day.touches(chain)):
            continue
        building.chain(first, chain)
        if not is_whole:
            here = [(str(key_of(x.id)), sorted(facts.here.get(x.id, {}).items())) for x in chain]
            across.append(
                ([(str(key_of(x.id)), x.activated_at, x.last_slot, x.left_at) for x in chain], here)
            )
    for act in facts.acts:
        building.act(act)
    rows = building.rows()
    rows.across = hashlib.sha256(repr(across).encode()).hexdigest() if across else ""
    rows.areas = _areas(day, facts)
    rows.searches = _searches(day, facts, building.number)
    rows.unnumbered = {key_of(key) for key in building.unnumbered}
    return rows


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
        for partner_id in (key_of(load.partner_id), EVERYONE):
            sums = found.setdefault((partner_id, load.area), [0] * 6)
            for place, n in enumerate(counts):
                sums[place] += n
    return {k: dict(zip(("views", *ATTENTION), sums, strict=True)) for k, sums in found.items()}


def _searches(day: Day, facts: Facts, number_of: Callable[[Id], int | None]) -> dict[Key, Values]:
    """What was looked for, by words."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    seekers: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for search in facts.searches:
        counts[search.words][0] += search.n
        if search.found:
            continue
        counts[search.words][1] += search.n
        number = number_of(search.partner_id)
        if number is not None:
            seekers[search.words][number] += search.n
    return {
        (words,): {
            "searches": searches,
            "in_vain": in_vain,
            "seekers": packed_histogram(seekers[words]),
            "last": day.day if in_vain else None,
        }
        for words, (searches, in_vain) in counts.items()
    }


def merged(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Values:
    """The sum of the rows of several days for one key, each with the values of the columns `names`:
    what a month's row holds."""
    if len(rows) == 1:
        return dict(zip(names, rows[0], strict=True))
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {name: _MERGED.get(name, sum)(values) for name, values in columns}


_MERGED: dict[str, Callable[[Iterable[Any]], object]] = {
    "people": united,
    "partners": united,
    "dwells": lambda packs: packed_histogram(histogram(packs)),
    "seekers": lambda packs: packed_histogram(histogram(packs)),
    "last": lambda days: max((day for day in days if day is not None), default=None),
}
