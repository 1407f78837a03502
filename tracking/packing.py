"""Sets and histograms of rollups, and the pages of folded loads, as they are kept. Pure.

Context: people and partners of several days cannot be added up, so that rows keep who they were, by
number. A popular document's month has thousands of readers: as a list 5 kB, read for each row.
Decision: a set is a list of its numbers or, where that is shorter, a bit for each number up to the
largest. Which of them follows from the set alone, so that equal sets are equal bytes.
Consequences: a report counts a year's readers by joining bits, a few hundred bytes a month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

# By page: active, reading, idle, glance, overlap in milliseconds.
Pages = dict[int, list[int]]

_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.Decoder(list[int]).decode
_unpack_set = msgspec.msgpack.Decoder(list[int] | bytes).decode


# --- sets -----------------------------------------------------------------------------------------


def packed(numbers: Iterable[int]) -> bytes:
    """A set of whole numbers, none below 0."""
    ordered = sorted(numbers)
    listed = _pack(ordered)
    if not ordered or ordered[-1] // 8 >= len(listed):
        return listed
    as_bits = _packed_bits(bits_of(ordered))
    return as_bits if len(as_bits) < len(listed) else listed


def _packed_bits(bits: int) -> bytes:
    return _pack(bits.to_bytes((bits.bit_length() + 7) // 8, "little"))


def bits_of(numbers: Iterable[int]) -> int:
    """Numbers as the bits of one."""
    ordered = sorted(numbers)
    found = bytearray(ordered[-1] // 8 + 1 if ordered else 0)
    for number in ordered:
        found[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(found, "little")


def bits(pack: bytes) -> int:
    """A packed set as the bits of a number: joined by `|`, counted by `bit_count`."""
    found = _unpack_set(pack)
    return int.from_bytes(found, "little") if isinstance(found, bytes) else bits_of(found)


def count_of(packs: Iterable[bytes]) -> int:
    """How many different numbers there are in packed sets."""
    listed, joined = _joined(packs)
    return (joined | bits_of(listed)).bit_count() if joined else len(listed)


def united(packs: Iterable[bytes]) -> bytes:
    """The exact union of packed sets."""
    listed, joined = _joined(packs)
    if not joined:
        return packed(listed)
    joined |= bits_of(listed)
    as_bits, n = _packed_bits(joined), joined.bit_count()
    # In a list every number takes a byte, and from 256 on three and more: mostly that is enough to
    # know.
    small = (joined & (1 << 256) - 1).bit_count()
    if small + 3 * (n - small) >= len(as_bits):
        return as_bits
    return packed(number for number, bit in enumerate(reversed(bin(joined))) if bit == "1")


def _joined(packs: Iterable[bytes]) -> tuple[set[int], int]:
    """What packed sets hold: the numbers of those that are lists, and the bits of the others."""
    listed: set[int] = set()
    joined = 0
    for pack in packs:
        found = _unpack_set(pack)
        if isinstance(found, bytes):
            joined |= int.from_bytes(found, "little")
        else:
            listed.update(found)
    return listed, joined


# --- histograms -----------------------------------------------------------------------------------


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


def values_of(packs: Iterable[bytes]) -> set[int]:
    """The different values in packed histograms."""
    found: set[int] = set()
    for some in packs:
        found.update(_unpack(some)[::2])
    return found


# --- folded pages ---------------------------------------------------------------------------------


def pack_pages(pages: Pages) -> bytes:
    """The attention of one load on one day, for a folded row."""
    return _pack([part for page in sorted(pages) for part in (page, *pages[page])])


def unpack_pages(data: bytes) -> Pages:
    """What `pack_pages` was given."""
    parts = _unpack(data)
    return {parts[i]: parts[i + 1 : i + 6] for i in range(0, len(parts), 6)}
