"""What may be shown of answers that nobody is to see one by one. Pure.

Context: a total and all parts but one give the last part by subtraction, so do two overlapping
parts, the same partners in two waves, and a mean over people beside one over partners.
Decision: what is shown of a wave are *blocks*, sets of partners that nothing shown ever divides,
and their unions. A part (a tier, a region, the partners of an earlier wave) is shown only when
every block that it would leave has enough people. Shares of people are shown of the whole wave
only: less the means of partners they leave the people of partners of another size. Parts are tried
in one order for every reader, and those that depend on later waves come last; nothing that changes
after a wave has closed decides.
Consequences: whatever is added or subtracted, the difference is of whole blocks: of no fewer people
than the minimum. Of parts that were let through any combination may be shown, too.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from surveys.figures import GROUPINGS, Choice, Place

# No survey may promise less.
FLOOR = 3

Partners = frozenset[uuid.UUID]
# The name of a grouping and a value of it, such as `("tier", "Gold")`.
Group = tuple[str, str]


@dataclass(frozen=True)
class Shown:
    """What may be shown of one question of one wave.

    `people` counts those who answered it, by partner. `by_person` says whether shares of all its
    people may stand beside means of partners.
    """

    people: Mapping[uuid.UUID, int]
    minimum: int
    blocks: tuple[Partners, ...]
    by_person: bool
    groups: frozenset[Group] = frozenset()

    @property
    def anything(self) -> bool:
        """Whether the wave as a whole may be shown."""
        return bool(self.blocks)

    def allows(self, choice: Choice) -> bool:
        """Whether those who were chosen may be shown. Families may not: a partner that comes to
        one later, or leaves it, would stand alone in what has changed."""
        wanted = {(name, choice.chosen[name]) for name in GROUPINGS if name in choice.chosen}
        return self.anything and choice.partners is None and wanted <= self.groups

    def allows_partner(self, partner: uuid.UUID) -> bool:
        """Whether one partner's answers may be shown."""
        return ("partner", str(partner)) in self.groups

    def divided(self, members: Partners) -> Shown | None:
        """The same with these partners apart from the others; None where that shows too much."""
        if not self.anything:
            return None
        blocks: list[Partners] = []
        for one in self.blocks:
            inside, outside = one & members, one - members
            blocks += [part for part in (inside, outside) if part]
        if len(blocks) == len(self.blocks):
            return self
        if not _are_fit(self.people, blocks, self.minimum, self.by_person):
            return None
        return replace(self, blocks=tuple(blocks))

    def with_group(self, group: Group, members: Partners) -> Shown:
        """The same with one more group, if that may be shown."""
        found = self.divided(members)
        return replace(found, groups=self.groups | {group}) if found else self


def protect(places: Iterable[Place], minimum: int) -> Shown:
    """What may be shown of the answers at these places, one for each person."""
    everyone = Counter(places)
    people: Counter[uuid.UUID] = Counter()
    for place, n in everyone.items():
        people[place.partner] += n
    whole, minimum = frozenset(people), max(FLOOR, minimum)
    if not _are_fit(people, [whole], minimum, False):
        return Shown(people, minimum, (), False)
    shown = Shown(people, minimum, (whole,), _are_fit(people, [whole], minimum, True))
    for group, members in _groups(everyone, minimum):
        shown = shown.with_group(group, members)
    return shown


def _groups(everyone: Mapping[Place, int], minimum: int) -> list[tuple[Group, Partners]]:
    """Every group that is large enough, in the order in which they are tried: first by tier, last
    each partner; the larger ones before the smaller."""
    found: list[tuple[Group, Partners]] = []
    for name in (*GROUPINGS, "partner"):
        sizes: Counter[str] = Counter()
        members: dict[str, set[uuid.UUID]] = defaultdict(set)
        for place, n in everyone.items():
            value = str(getattr(place, name))
            sizes[value] += n
            members[value].add(place.partner)
        large = [value for value, size in sizes.items() if size >= minimum]
        for value in sorted(large, key=lambda value: (-sizes[value], value)):
            found.append(((name, value), frozenset(members[value])))
    return found


def _are_fit(
    people: Mapping[uuid.UUID, int], blocks: Iterable[Partners], minimum: int, by_person: bool
) -> bool:
    """Whether nothing but these blocks and their unions can be worked out: each has enough people.

    Where shares of people are shown beside means of partners, those of partners of one size cancel
    out block by block; what is left of all blocks must be enough people, or nobody.
    """
    left = 0
    for block in blocks:
        sizes = Counter(people[partner] for partner in block)
        total = sum(size * partners for size, partners in sizes.items())
        if total < minimum:
            return False
        left += total - max(size * partners for size, partners in sizes.items())
    return not by_person or left == 0 or left >= minimum


def divide_both(before: Shown, after: Shown, both: Partners) -> tuple[Shown, Shown] | None:
    """Two waves with the partners that answered both apart; None where that shows too much of
    one."""
    first, second = before.divided(both), after.divided(both)
    return (first, second) if first and second else None
