"""Sets of bytes of a file, as half-open ranges in order that neither touch nor overlap. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]


def parse(text: str) -> list[Range]:
    """The ranges that `text_of` wrote: `0-1024,4096-8192`."""
    pairs = (part.split("-") for part in text.split(",") if part)
    return [(int(start), int(stop)) for start, stop in pairs]


def text_of(ranges: Sequence[Range]) -> str:
    """Ranges as text."""
    return ",".join(f"{start}-{stop}" for start, stop in ranges)


def union(ranges: Sequence[Range], more: Range) -> list[Range]:
    """`ranges` and one more, which may overlap or touch them."""
    found: list[Range] = []
    for start, stop in sorted([*ranges, more]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def covers(ranges: Sequence[Range], size: int) -> bool:
    """Whether the ranges are a whole file of `size` bytes."""
    return list(ranges) == [(0, size)] if size else bool(ranges)
