"""Where they stop: of some who could go a way, how far each of them has come. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Step:
    """One step of the way: how many came to it or further, and for how many it was the last."""

    name: str
    reached: int
    stopped: int


def steps(everyone: Collection[K], way: Sequence[tuple[str, Collection[K]]]) -> list[Step]:
    """The steps of `way`, each with those who took it. Whoever took a later step has reached the
    earlier ones, too; those who took none are at the beginning, `""`. `stopped` adds up to all."""
    last = dict.fromkeys(everyone, 0)
    for n, (_name, keys) in enumerate(way, 1):
        last |= dict.fromkeys(set(keys) & last.keys(), n)
    names = ["", *(name for name, _keys in way)]
    stopped = [0] * len(names)
    for n in last.values():
        stopped[n] += 1
    return [Step(name, sum(stopped[n:]), stopped[n]) for n, name in enumerate(names)]
