"""The cap per person and what makes a view: pure rules."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from tracking.dwell import SLOT_MS, LoadFacts, cap, chains, first_activated

ENTRY = st.tuples(*[st.integers(0, SLOT_MS)] * 4)
PERSON, ASSET, VERSION, PARTNER = (uuid.UUID(int=n) for n in (1, 2, 3, 4))


def load(number: int, issued: int, last_slot: int = 0, activated: int | None = None) -> LoadFacts:
    """A load of the one person, asset and version."""
    return LoadFacts(
        uuid.UUID(int=number), PERSON, PARTNER, "partner", ASSET, VERSION, issued, activated,
        last_slot,
    )  # fmt: skip


@given(st.lists(ENTRY, max_size=6))
def test_nobody_is_granted_more_than_wall_time(entries: list[tuple[int, int, int, int]]) -> None:
    granted = cap(entries)
    assert sum(sum(found[:4]) for found in granted) <= SLOT_MS
    for entry, found in zip(entries, granted, strict=True):
        assert sum(found) == sum(entry)
        assert all(0 <= part <= wish for part, wish in zip(found, entry, strict=False))


@given(st.lists(ENTRY, min_size=1, max_size=6))
def test_active_attention_is_granted_before_any_other(
    entries: list[tuple[int, int, int, int]],
) -> None:
    granted = cap(entries)
    wanted = sum(entry[0] for entry in entries)
    active = sum(found.active for found in granted)
    assert min(wanted, SLOT_MS) - len(entries) < active <= min(wanted, SLOT_MS)


def test_two_windows_side_by_side_count_once() -> None:
    # 15 s of focus in each of two windows, the other visible beside it: 30 s, not 15 or 60.
    first = cap([(10_000, 5_000, 0, 0), (0, 0, 0, 15_000)])
    second = cap([(0, 0, 0, 15_000), (10_000, 5_000, 0, 0)])
    dwell = sum(found.active + found.reading for found in (*first, *second))
    assert dwell == 30_000
    assert sum(found.glance for found in (*first, *second)) == 0


def test_a_reload_within_30_s_of_the_last_attention_is_the_same_view() -> None:
    end_of_attention = 101 * SLOT_MS
    near = load(2, end_of_attention + 30_000, 104, activated=end_of_attention + 32_000)
    far = load(3, 105 * SLOT_MS + 30_001, 0, activated=105 * SLOT_MS + 33_000)
    found = chains([far, near, load(1, 100 * SLOT_MS, 100, activated=100 * SLOT_MS + 2_000)])
    assert [[int(x.id) for x in chain] for chain in found] == [[1, 2], [3]]


def test_the_30_s_begin_when_the_reader_was_seen_leaving_after_all_attention() -> None:
    left = 100 * SLOT_MS + 4_000
    first = load(1, 100 * SLOT_MS, 100, activated=100 * SLOT_MS + 2_000)
    for seen, again, together in (
        (left, left + 30_000, True),
        (left, left + 30_001, False),
        # Left before the last attention, or only much later: the end of its slot is what is known.
        (left - SLOT_MS, left + 30_001, True),
        (left + SLOT_MS, 101 * SLOT_MS + 30_001, False),
    ):
        found = chains([first._replace(left_at=seen), load(2, again)])
        assert (len(found) == 1) == together


def test_loads_that_nobody_looked_at_make_no_view() -> None:
    assert first_activated([load(1, 0), load(2, 10)]) is None
    first = first_activated([load(1, 0), load(2, 10, activated=50)])
    assert first is not None
    assert int(first.id) == 2
