"""Long lists, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
SIZE = 50


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of `total` rows: page `number` of `pages`, counted from 1."""

    rows: Sequence[T]
    number: int
    pages: int
    total: int


def asked(args: Mapping[str, Any]) -> int:
    """The page that an address asks for with `page=N`, counted from 1; nonsense means the first."""
    text = str(args.get("page", "1"))
    return max(1, int(text[:6]) if text.isdecimal() else 1)


def pages_of(total: int, size: int = SIZE) -> int:
    """How many pages `total` rows make, an empty one included."""
    return max(1, -(-total // size))


def page_of(rows: Sequence[T], args: Mapping[str, Any], size: int = SIZE) -> Page[T]:
    """The page that an address asks for with `page=N`; nonsense means the nearest there is."""
    pages = pages_of(len(rows), size)
    number = min(asked(args), pages)
    return Page(rows[(number - 1) * size : number * size], number, pages, len(rows))
