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
from typing import Any, NamedTuple, TypeVar

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
from tracking.packing import histogram, packed, packed_histogram, united

# Stands for all partners together.
EVERYONE = uuid.UUID(int=0)
V = TypeVar("V")
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


# --- folded pages ---------------------------------------------------------------------------------

_pack, _unpack = msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[int]).decode


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


class _OfPartner:
    """What a partner, or everyone, did, while it is added up; sums in the order of FIGURES."""

    __slots__ = ("people", "sums")

    def __init__(self) -> None:
        self.sums = [0] * len(FIGURES)
        self.people: set[int] = set()


class _OfAsset:
    """What was done with an asset: in all, by partner, and by version and page."""

    __slots__ = ("dwells", "pages", "pairs", "partners", "people", "sums")

    def __init__(self) -> None:
        self.sums = [0] * len(FIGURES)
        self.people: set[int] = set()
        self.partners: set[int] = set()
        self.dwells: dict[int, int] = defaultdict(int)
        self.pairs: dict[uuid.UUID, list[int]] = defaultdict(lambda: [0] * len(FIGURES))
        self.pages: dict[uuid.UUID, dict[int, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0] * 6)
        )


class _Building:
    """The rows of a day while they are added up.

    By audience and then by partner or asset: a busy day has a hundred thousand views, and a key
    that is made and looked up for each sum of each took a tenth of the rebuild.
    """

    def __init__(self, day: Day, facts: Facts) -> None:
        self.unnumbered: set[uuid.UUID] = set()
        self._day, self._facts = day, facts
        self._partners: dict[str, dict[uuid.UUID, _OfPartner]] = defaultdict(
            lambda: defaultdict(_OfPartner)
        )
        self._everyone: dict[str, _OfPartner] = defaultdict(_OfPartner)
        self._assets: dict[str, dict[uuid.UUID, _OfAsset]] = defaultdict(
            lambda: defaultdict(_OfAsset)
        )

    def chain(self, first: LoadFacts, chain: Sequence[LoadFacts]) -> None:
        """Add what a view has on this day to every sum it belongs to."""
        asset = self._assets[first.audience][first.asset_id]
        pages = asset.pages[first.version_id]
        attention, dwell = _read(chain, self._facts.here, pages)
        figures = [0, 0, 0, *attention]
        is_counted = self._day.holds(first.activated_at)
        if is_counted:
            # Few days have views that cross them.
            if self._facts.elsewhere:
                _read(chain, self._facts.elsewhere, defaultdict(lambda: [0] * 6), dwell)
            total = sum(dwell.values())
            ended = max(chain, key=_last_slot).is_ended
            figures[:3] = 1, int(total >= ENGAGED_MS), int(ended)
            asset.dwells[total // 1000] += 1
            for page, milliseconds in dwell.items():
                if milliseconds >= PAGE_READ_MS:
                    pages[page][5] += 1
        if not any(figures):
            return
        everyone = self._everyone[first.audience]
        partner = self._partners[first.audience][first.partner_id]
        if is_counted:
            self._count(first, asset, (partner, everyone))
        pair = asset.pairs[first.partner_id]
        for place, n in enumerate(figures):
            if n:
                everyone.sums[place] += n
                partner.sums[place] += n
                asset.sums[place] += n
                pair[place] += n

    def _count(self, first: LoadFacts, asset: _OfAsset, partners: Iterable[_OfPartner]) -> None:
        """Count the reader of a view, and the partner."""
        number = self._number(first.partner_id)
        if number is not None:
            asset.partners.add(number)
        number = self._number(first.subject) if first.lasting else None
        if number is not None:
            asset.people.add(number)
            for partner in partners:
                partner.people.add(number)

    def _number(self, key: uuid.UUID) -> int | None:
        number = self._facts.numbers.get(key)
        if number is None:
            self.unnumbered.add(key)
        return number

    def act(self, act: Act) -> None:
        """Add deliberate acts to the sums they belong to."""
        place, found = _AT[act.kind], []
        if act.asset_id is not None:
            asset = self._assets[act.audience][act.asset_id]
            found += [asset.sums, asset.pairs[act.partner_id]]
        if act.asset_id is None or act.kind != "shares":
            partner = self._partners[act.audience][act.partner_id]
            found += [partner.sums, self._everyone[act.audience].sums]
        for sums in found:
            sums[place] += act.n

    def rows(self) -> Rows:
        """The finished rows, those of an asset together, as they are kept."""
        rows = Rows(unnumbered=self.unnumbered)
        for audience, partners in self._partners.items():
            together = {EVERYONE: self._everyone[audience]}
            for partner_id, partner in _in_order(partners | together):
                people = packed(partner.people)
                rows.partners[partner_id, audience] = {**_figures(partner.sums), "people": people}
        for audience, assets in self._assets.items():
            for asset_id, asset in _in_order(assets):
                self._rows_of_asset(rows, (asset_id, audience), asset)
        return rows

    def _rows_of_asset(self, rows: Rows, key: tuple[uuid.UUID, str], asset: _OfAsset) -> None:
        asset_id, audience = key
        # Looked at on this day, and no more: a page that was open without attention.
        if any(asset.sums):
            rows.assets[key] = {
                **_figures(asset.sums),
                "people": packed(asset.people),
                "partners": packed(asset.partners),
                "dwells": packed_histogram(asset.dwells),
            }
        for partner_id, sums in _in_order(asset.pairs):
            rows.pairs[asset_id, partner_id, audience] = _figures(sums)
        for version_id, pages in asset.pages.items():
            for page, sums in pages.items():
                values: Values = dict(zip((*ATTENTION, "readers"), sums, strict=True))
                rows.pages[asset_id, version_id, audience, page] = values


def _in_order(found: Mapping[uuid.UUID, V]) -> list[tuple[uuid.UUID, V]]:
    return sorted(found.items(), key=lambda item: item[0].int)


def _figures(sums: Sequence[int]) -> Values:
    return dict(zip(FIGURES, sums, strict=True))


def _last_slot(load: LoadFacts) -> int:
    return load.last_slot


_NOTHING: Pages = {}


def _read(
    chain: Sequence[LoadFacts],
    attention: Attention,
    pages: dict[int, list[int]],
    dwell: dict[int, int] | None = None,
) -> tuple[list[int], dict[int, int]]:
    """Add the attention of a view to its `pages`; returns the sum of them, and the dwell by page,
    added to `dwell` where it is given."""
    dwell = {} if dwell is None else dwell
    actives = readings = idles = glances = overlaps = 0
    for load in chain:
        for page, (active, reading, idle, glance, overlap) in attention.get(
            load.id, _NOTHING
        ).items():
            sums = pages[page]
            sums[0] += active
            sums[1] += reading
            sums[2] += idle
            sums[3] += glance
            sums[4] += overlap
            actives += active
            readings += reading
            idles += idle
            glances += glance
            overlaps += overlap
            dwell[page] = dwell.get(page, 0) + active + reading
    return [actives, readings, idles, glances, overlaps], dwell


def rows_of(day: Day, facts: Facts) -> Rows:
    """All rows of `day`."""
    building, across = _Building(day, facts), []
    for chain in facts.chains:
        first = first_activated(chain)
        if first is None or not day.touches(chain):
            continue
        building.chain(first, chain)
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
    rows.searches = _searches(day, facts, rows.unnumbered)
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
        for partner_id in (load.partner_id, EVERYONE):
            sums = found.setdefault((partner_id, load.area), [0] * 6)
            for place, n in enumerate(counts):
                sums[place] += n
    return {k: dict(zip(("views", *ATTENTION), sums, strict=True)) for k, sums in found.items()}


def _searches(day: Day, facts: Facts, unnumbered: set[uuid.UUID]) -> dict[Key, Values]:
    """What was looked for, by words; adds partners without a number to the `unnumbered`."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    seekers: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for search in facts.searches:
        counts[search.words][0] += search.n
        if search.found:
            continue
        counts[search.words][1] += search.n
        number = facts.numbers.get(search.partner_id)
        if number is None:
            unnumbered.add(search.partner_id)
        else:
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
