"""What a lead scores: a sum over what its customer did and what is known of it. Pure.

Nothing is ever added to a score. It is computed afresh from events and facts, so it follows when
rules change or events are erased, and falls by itself as events grow old.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

# What a customer can do; reading is counted in minutes.
EVENTS = ("open", "minute", "download", "asked")
# What can be known of a lead, with a value to ask for; and what tells who the customer is. Of that
# a rule can only say that it is known: a score must not tell the vendor whom a partner's lead is.
VALUED = ("source", "country", "region", "product_family")
ATTRIBUTES = (*VALUED, "company", "contact", "email", "phone")
MAX_POINTS, MAX_CAP, MAX_HALF_LIFE = 100, 1000, 3650


@dataclass(frozen=True)
class ScoreRule:
    """`points` for each event of a kind, or once for something known of the lead.

    An event is worth half after `half_life` days; all events of a rule bring `cap` at most.
    `value` limits an attribute to one value.
    """

    what: str
    points: int
    half_life: int | None = None
    cap: int | None = None
    value: str = ""


class Event(NamedTuple):
    """Something the customer did, so many times or minutes."""

    what: str
    at: datetime
    amount: float = 1.0


class Part(NamedTuple):
    """What one rule brings: `n` is how often it applied, in minutes for reading."""

    rule: ScoreRule
    n: float
    points: int


def parts(
    rules: Sequence[ScoreRule],
    events: Iterable[Event],
    facts: Mapping[str, str],
    now: datetime,
) -> list[Part]:
    """What each rule brings now, in the order of the rules. The score is their sum."""
    known = list(events)
    return [_part(rule, known, facts, now) for rule in rules]


def total(found: Iterable[Part]) -> int:
    """The score."""
    return sum(part.points for part in found)


def _part(
    rule: ScoreRule, events: Sequence[Event], facts: Mapping[str, str], now: datetime
) -> Part:
    if rule.what not in EVENTS:
        fact = facts.get(rule.what, "").strip().casefold()
        wanted = rule.value.strip().casefold() if rule.what in VALUED else ""
        fits = bool(fact) and wanted in ("", fact)
        return Part(rule, int(fits), _capped(rule, rule.points * fits))
    mine = [event for event in events if event.what == rule.what and event.amount > 0]
    # `fsum` does not care for the order.
    worth = math.fsum(event.amount * _freshness(rule, event.at, now) for event in mine)
    return Part(rule, math.fsum(event.amount for event in mine), _capped(rule, rule.points * worth))


def _freshness(rule: ScoreRule, at: datetime, now: datetime) -> float:
    """How much of an event's worth is left: 1 at first, half after the half-life."""
    if rule.half_life is None:
        return 1.0
    age = max(0.0, (now - at) / timedelta(days=1))
    return float(0.5 ** (age / rule.half_life))


def _capped(rule: ScoreRule, points: float) -> int:
    if rule.cap is not None:
        points = max(-rule.cap, min(rule.cap, points))
    return round(points)
