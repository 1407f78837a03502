"""What answers add up to: means of partner means, shares of people, distributions. Pure."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from portal.estimates import Share
from portal.means import Change, Mean

SCALE = tuple(range(1, 11))
HIGH, LOW = (9, 10), (1, 2, 3, 4)
# Of fewer partners no interval is told, and of fewer pairs nothing about a change but its size.
ENOUGH, PAIRS = 5, 6
Interval = tuple[float, float]
# What stands for the language of a partner whose people answered in more than one.
SEVERAL = "several"
GROUPINGS = ("tier", "region", "locale")

# What a partner's people answered to one question: the sum of their scores, and how many.
Sums = Mapping[uuid.UUID, tuple[int, int]]


@dataclass(frozen=True)
class Place:
    """Where an answer belongs: the partner, what it was when the wave opened, and the language."""

    partner: uuid.UUID
    tier: str
    region: str
    locale: str


@dataclass(frozen=True)
class Choice:
    """Which answers are looked at; nothing for all of them. `partners` are those of a family."""

    tier: str = ""
    region: str = ""
    locale: str = ""
    family: str = ""
    partners: frozenset[uuid.UUID] | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """What was chosen, by the name that it has in an address."""
        pairs = ((name, getattr(self, name)) for name in (*GROUPINGS, "family"))
        return {name: value for name, value in pairs if value}

    @property
    def query(self) -> str:
        """The part of an address that asks for the same."""
        return urlencode(self.chosen)

    def narrowed(self, grouping: str, value: str) -> Choice:
        """The same, of one tier, region or language only."""
        words = {name: getattr(self, name) for name in GROUPINGS} | {grouping: value}
        return Choice(**words, family=self.family, partners=self.partners)

    def takes(self, place: Place) -> bool:
        """Whether answers of a place are looked at."""
        return (self.partners is None or place.partner in self.partners) and all(
            getattr(place, name) == value for name, value in self._groups
        )

    @cached_property
    def _groups(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.chosen.items() if name in GROUPINGS]


@dataclass(frozen=True)
class Figure:
    """How some people answered a question of the scale."""

    scores: tuple[tuple[uuid.UUID, int], ...]

    @property
    def people(self) -> int:
        """How many answered with a number."""
        return len(self.scores)

    @cached_property
    def sums(self) -> dict[uuid.UUID, tuple[int, int]]:
        """The same by partner."""
        by_partner: dict[uuid.UUID, list[int]] = defaultdict(list)
        for partner, score in self.scores:
            by_partner[partner].append(score)
        return {partner: (sum(own), len(own)) for partner, own in by_partner.items()}

    @property
    def partners(self) -> int:
        """How many partners they belong to."""
        return len(self.sums)

    @cached_property
    def mean(self) -> Mean:
        """The mean of the partners' means: every partner counts the same (METRICS, metric 7)."""
        return partner_means(self.sums)

    @cached_property
    def distribution(self) -> dict[int, int]:
        """How many people chose each number."""
        found = Counter(score for _partner, score in self.scores)
        return {score: found[score] for score in SCALE}

    @property
    def high(self) -> Share:
        """Of the people, those who chose 9 or 10."""
        return Share(sum(self.distribution[score] for score in HIGH), self.people)

    @property
    def low(self) -> Share:
        """Of the people, those who chose 1 to 4."""
        return Share(sum(self.distribution[score] for score in LOW), self.people)


def partner_means(sums: Sums) -> Mean:
    """The mean over partners of what their people gave on average."""
    return Mean(tuple(total / people for total, people in sums.values()))


def interval(mean: Mean) -> Interval | None:
    """Where the mean of all partners lies; None of too few. A score cannot leave the scale,
    whatever the formula says."""
    if mean.n < ENOUGH or mean.interval is None:
        return None
    low, high = mean.interval
    return max(float(SCALE[0]), low), min(float(SCALE[-1]), high)


@dataclass(frozen=True)
class Judged:
    """How sure a change is: None throughout of too few pairs."""

    interval: Interval | None = None
    t: float | None = None
    p: float | None = None
    p_ranks: float | None = None
    would_be_seen: float | None = None


def judged(change: Change) -> Judged:
    """What may be said of a change besides its size."""
    if change.n < PAIRS:
        return Judged()
    return Judged(change.interval, change.t, change.p, change.p_ranks, change.would_be_seen)


def mean_of_partner_means(scores: Iterable[tuple[uuid.UUID, int]]) -> float | None:
    """Every partner counts the same, however many of its people answered."""
    return Figure(tuple(scores)).mean.value


def same_partners(before: Sums, after: Sums) -> dict[uuid.UUID, tuple[float, float]]:
    """The means of the partners that answered both times."""
    return {
        partner: (before[partner][0] / before[partner][1], total / people)
        for partner, (total, people) in after.items()
        if partner in before
    }


def change(before: Sums, after: Sums) -> Change:
    """What changed for the partners that answered both times."""
    pairs = same_partners(before, after)
    return Change(tuple(pairs[key] for key in sorted(pairs)))
