"""Sets in rollups: exact, equal when they are equal, and short."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tracking.packing import bits, bits_of, count_of, packed, united

# Few and far apart, many and close together, and both at once.
SPARSE = st.sets(st.integers(0, 200_000), max_size=40)
DENSE = st.builds(
    lambda seed, n, most: set(random.Random(seed).sample(range(most), min(n, most))),
    st.integers(0, 99),
    st.integers(0, 400),
    st.integers(1, 3000),
)
SETS = st.one_of(SPARSE, DENSE, st.builds(set.union, SPARSE, DENSE))


@given(SETS)
def test_a_packed_set_holds_its_numbers_and_no_others(numbers: set[int]) -> None:
    assert bits(packed(numbers)) == bits_of(numbers) == sum(1 << number for number in numbers)
    assert count_of([packed(numbers)]) == len(numbers)


@given(SETS)
def test_a_packed_set_is_never_longer_than_a_list(numbers: set[int]) -> None:
    assert len(packed(numbers)) <= len(msgspec.msgpack.encode(sorted(numbers)))


@given(st.lists(SETS, max_size=5))
def test_the_union_of_packed_sets_is_what_the_union_packs_to(sets: list[set[int]]) -> None:
    together = set().union(*sets)
    packs = [packed(numbers) for numbers in sets]
    assert united(packs) == packed(together)
    assert united([united(packs[:2]), united(packs[2:])]) == packed(together)
    assert count_of(packs) == len(together)


def test_a_thousand_of_two_thousand_take_a_bit_each() -> None:
    some = random.Random(1).sample(range(2000), 1000)
    assert len(packed(some)) <= 2000 / 8 + 3
