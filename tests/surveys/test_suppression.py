"""Nobody can work out what fewer people than the minimum answered, from all that is shown."""

from __future__ import annotations

import uuid
from fractions import Fraction
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from surveys.figures import GROUPINGS, Choice, Place
from surveys.suppression import Shown, divide_both, protect

MINIMUM = 3
PARTNERS = [uuid.UUID(int=number) for number in range(7)]
Row = tuple[Fraction, ...]


def crowd(
    *sizes: int, tiers: str = "GGGSSSB", regions: str = "NSNSNSN", locales: str = "ddfdfdf"
) -> list[Place]:
    """So many people of each partner, who answered."""
    facts = zip(PARTNERS, tiers, regions, locales, sizes, strict=False)
    return [
        Place(partner, tier, region, locale)
        for partner, tier, region, locale, n in facts
        for _one in range(n)
    ]


@st.composite
def crowds(draw: st.DrawFn) -> list[Place]:
    """A few people of a few partners, in tiers, regions and languages as it happens."""
    # A partner for each person, not a size for each partner: nothing need be thrown away.
    people = draw(st.integers(0, 11))
    of = draw(st.lists(st.sampled_from(range(7)), min_size=people, max_size=people))
    sizes = [of.count(partner) for partner in range(7)]
    words = [draw(st.text("ab", min_size=7, max_size=7)) for _name in GROUPINGS]
    return crowd(*sizes, tiers=words[0], regions=words[1], locales=words[2])


def choices(places: list[Place]) -> list[Choice]:
    """Everything that can be asked for with the filters of a page."""
    values = [["", *sorted({getattr(one, name) for one in places})] for name in GROUPINGS]
    return [Choice(*chosen) for chosen in product(*values)]


def published(places: list[Place], shown: Shown) -> list[Row]:
    """What each number that is shown takes of each person: a mean of partner means its part of the
    partner, a share of people one whole person."""
    sizes = [sum(one.partner == place.partner for one in places) for place in places]
    taken = [
        [choice.takes(place) for place in places]
        for choice in choices(places)
        if shown.allows(choice)
    ]
    taken += [
        [place.partner == partner for place in places]
        for partner in PARTNERS
        if shown.allows_partner(partner)
    ]
    rows = [
        tuple(Fraction(inside, size) for inside, size in zip(row, sizes, strict=True))
        for row in taken
    ]
    if shown.by_person:
        rows.append((Fraction(1),) * len(places))
    return rows


def rank(rows: list[Row]) -> int:
    """How many of the rows are not sums of others."""
    left, found = [list(row) for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in left if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        found += 1
        for row in left:
            times = row[column] / pivot[column]
            if times:
                row[:] = [a - times * b for a, b in zip(row, pivot, strict=True)]
    return found


def isolated(rows: list[Row], minimum: int) -> list[tuple[int, ...]]:
    """The sets of fewer people than the minimum of whom sums and differences of what is shown tell
    something: whoever leaves them out of the numbers loses something that the numbers say."""
    people = range(len(rows[0]) if rows else 0)
    rows, whole = list(dict.fromkeys(rows)), rank(rows)
    return [
        few
        for n in range(1, minimum)
        for few in combinations(people, n)
        if rank([tuple(row[i] for i in people if i not in few) for row in rows]) < whole
    ]


@settings(max_examples=40, deadline=None)
@given(crowds())
def test_no_sum_or_difference_of_what_is_shown_is_of_fewer_people(places: list[Place]) -> None:
    shown = protect(places, MINIMUM)
    assert isolated(published(places, shown), MINIMUM) == []
    assert shown.anything == (len(places) >= MINIMUM)


def test_without_protection_the_attacker_of_these_tests_finds_people() -> None:
    places = crowd(1, 1, 1, 1, 1, 1, 1)
    rows = [tuple(Fraction(choice.takes(place)) for place in places) for choice in choices(places)]
    assert (6,) in isolated(rows, MINIMUM)
    # One of three partners has two people: a mean over people less one over partners is theirs.
    rows = [tuple(map(Fraction, (1, 1, 1, 1))), (*(Fraction(1, 2),) * 2, Fraction(1), Fraction(1))]
    assert (0, 1) in isolated(rows, MINIMUM)


def test_a_hidden_part_takes_a_second_one_with_it() -> None:
    # Ten Gold, five Silver, one Bronze: who knows all, Gold and Silver knows Bronze.
    shown = protect(crowd(4, 3, 3, 2, 2, 1, 1), 5)
    assert shown.allows(Choice(tier="G"))
    assert not shown.allows(Choice(tier="S"))
    assert not shown.allows(Choice(tier="B"))
    assert not shown.allows(Choice(tier="G", region="N"))


def test_families_are_nobodys_to_choose() -> None:
    shown = protect(crowd(4, 4, 4, 4, 4, 4, 4), 3)
    assert shown.allows(Choice())
    assert not shown.allows(Choice(family="x", partners=frozenset(PARTNERS)))


def test_a_partner_is_shown_when_enough_of_its_people_and_of_the_others_answered() -> None:
    shown = protect(crowd(5, 0, 0, 0, 0, 0, 4), 5)
    assert not shown.allows_partner(PARTNERS[0])
    shown = protect(crowd(5, 5, 4, 0, 0, 0, 4, tiers="G" * 7, regions="N" * 7, locales="d" * 7), 5)
    assert shown.allows_partner(PARTNERS[0])
    assert shown.allows_partner(PARTNERS[1])
    assert not shown.allows_partner(PARTNERS[2])


def test_no_survey_may_go_below_the_floor() -> None:
    assert not protect(crowd(2), 1).anything
    assert protect(crowd(3), 1).anything


@settings(max_examples=12, deadline=None)
@given(st.lists(crowds(), min_size=3, max_size=3))
def test_changes_between_waves_isolate_nobody_either(waves: list[list[Place]]) -> None:
    shown = [protect(places, MINIMUM) for places in waves]
    starts = [0, len(waves[0]), len(waves[0]) + len(waves[1])]
    whole = sum(map(len, waves))

    def spread(number: int, row: Row) -> Row:
        """A row of one wave as one of all three."""
        zeros = (Fraction(0),)
        return zeros * starts[number] + row + zeros * (whole - starts[number] - len(row))

    rows = [
        spread(number, row)
        for number, places in enumerate(waves)
        for row in published(places, protect(places, MINIMUM))
    ]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        both = {place.partner for place in waves[one]} & {place.partner for place in waves[other]}
        apart = divide_both(shown[one], shown[other], frozenset(both))
        if apart is None or not both:
            continue
        shown[one], shown[other] = apart
        parts = []
        for number in (one, other):
            places = waves[number]
            sizes = [sum(p.partner == place.partner for p in places) for place in places]
            row = [
                Fraction(place.partner in both, n) for place, n in zip(places, sizes, strict=True)
            ]
            parts.append(spread(number, tuple(row)))
        rows.append(tuple(after - before for before, after in zip(*parts, strict=True)))
    assert isolated(rows, MINIMUM) == []
