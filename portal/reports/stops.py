"""Where they stop: of some who could go a way, how far each of them has come. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Step:
    """One step of the way: how many came to it or further, and for how many it was the last."""

    name: str
    reached: int
    stopped: int


def last_steps(everyone: Collection[K], way: Sequence[tuple[str, Collection[K]]]) -> dict[K, int]:
    """The last step that each of them took, 1 for the first of `way`; 0 for those who took none."""
    last = dict.fromkeys(everyone, 0)
    for n, (_name, keys) in enumerate(way, 1):
        last |= dict.fromkeys(set(keys) & last.keys(), n)
    return last


def steps(everyone: Collection[K], way: Sequence[tuple[str, Collection[K]]]) -> list[Step]:
    """The steps of `way`, each with those who took it. Whoever took a later step has reached the
    earlier ones, too; those who took none are at the beginning, `""`. `stopped` adds up to all."""
    last = last_steps(everyone, way)
    names = ["", *(name for name, _keys in way)]
    stopped = [0] * len(names)
    for n in last.values():
        stopped[n] += 1
    return [Step(name, sum(stopped[n:]), stopped[n]) for n, name in enumerate(names)]


class Read(Protocol):
    """How far a document was read through one link: its furthest page, 0 for none, of so many."""

    @property
    def asset_id(self) -> UUID: ...
    @property
    def page(self) -> int: ...
    @property
    def page_count(self) -> int: ...


class PageStop(NamedTuple):
    """A page up to which a document was read through `links` links, of `opened` that led to it and
    whose visitors went no further than reading; page 0: none was read."""

    asset_id: UUID
    page: int
    page_count: int
    links: int
    opened: int


def page_stops(read: Iterable[Read]) -> list[PageStop]:
    """The pages at which reading stopped, those of most links first."""
    stops = Counter((one.asset_id, one.page, one.page_count) for one in read)
    opened: Counter[UUID] = Counter()
    for (asset_id, _page, _pages), n in stops.items():
        opened[asset_id] += n
    found = [PageStop(*key, n, opened[key[0]]) for key, n in stops.items()]
    return sorted(found, key=lambda one: (-one.links, str(one.asset_id), one.page, one.page_count))
