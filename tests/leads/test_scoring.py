"""A score is computed from events and facts, whatever their order, and never nudged."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.leads.assignment import AssignRule, Candidate, Wanted, next_partner
from portal.leads.funnel import Funnel, LeadFacts
from portal.leads.rules import USUAL, read
from portal.leads.scoring import EVENTS, Event, ScoreRule, parts, total

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULE = st.builds(
    ScoreRule,
    what=st.sampled_from([*EVENTS, "country"]),
    points=st.integers(-100, 100),
    half_life=st.none() | st.integers(1, 400),
    cap=st.none() | st.integers(1, 200),
    value=st.sampled_from(["", "DE"]),
)
EVENT = st.builds(
    Event,
    what=st.sampled_from(EVENTS),
    at=st.integers(-5, 900).map(lambda days: NOW - timedelta(days=days)),
    amount=st.floats(0, 100),
)


def scored(rules: list[ScoreRule], events: list[Event], **facts: str) -> int:
    """The score now."""
    return total(parts(rules, events, facts, NOW))


@given(st.lists(RULE, max_size=6), st.lists(EVENT, max_size=20), st.randoms())
def test_the_order_of_events_does_not_matter(
    rules: list[ScoreRule], events: list[Event], rng: random.Random
) -> None:
    mixed = rng.sample(events, len(events))
    assert parts(rules, events, {}, NOW) == parts(rules, mixed, {}, NOW)


@given(RULE, st.lists(EVENT, max_size=20))
def test_no_rule_brings_more_than_its_cap(rule: ScoreRule, events: list[Event]) -> None:
    part = parts([rule], events, {"country": "DE"}, NOW)[0]
    assert rule.cap is None or abs(part.points) <= rule.cap
    assert part.points * rule.points >= 0


@given(st.lists(RULE, max_size=6), st.lists(EVENT, max_size=20), st.integers(0, 300))
def test_a_score_from_events_only_fades_as_time_goes_by(
    rules: list[ScoreRule], events: list[Event], days: int
) -> None:
    later = NOW + timedelta(days=days)
    before, after = (parts(rules, events, {}, at) for at in (NOW, later))
    assert all(abs(two.points) <= abs(one.points) for one, two in zip(before, after, strict=True))


def test_an_event_is_worth_half_after_its_half_life() -> None:
    rule = ScoreRule("open", 80, half_life=30)
    ages = {0: 80, 30: 40, 60: 20, 90: 10}
    for days, points in ages.items():
        assert scored([rule], [Event("open", NOW - timedelta(days=days))]) == points
    # A clock that was ahead makes nothing worth more.
    assert scored([rule], [Event("open", NOW + timedelta(days=30))]) == 80


def test_what_is_known_counts_once_and_only_with_its_value() -> None:
    rules = [ScoreRule("country", 5), ScoreRule("country", 10, value="de")]
    assert scored(rules, [], country="DE") == 15
    assert scored(rules, [], country="FR") == 5
    assert scored(rules, [], country="") == scored(rules, []) == 0


def test_no_rule_can_ask_who_the_customer_is() -> None:
    rules = [ScoreRule("company", 10, value="Hafen Emden")]
    assert scored(rules, [], company="Zoo Ulm") == scored(rules, [], company="Hafen Emden") == 10


def test_reading_counts_by_the_minute() -> None:
    assert scored([ScoreRule("minute", 2, cap=20)], [Event("minute", NOW, 1.5)]) == 3
    assert scored([ScoreRule("minute", 2, cap=20)], [Event("minute", NOW, 600)]) == 20


def test_rules_are_read_as_they_were_kept() -> None:
    kept = read(USUAL.version, USUAL.threshold, USUAL.accept_hours, USUAL.as_json())
    assert kept == USUAL


# --- who is next ----------------------------------------------------------------------------------


def candidate(n: int, region: str, tier: str = "Gold", offers: int = 0) -> Candidate:
    """Partner number `n`."""
    return Candidate(uuid.UUID(int=n), region, "DE", tier, offers, f"partner {n}")


def chosen(
    rules: list[AssignRule], *there: Candidate, region: str = "", had: int = 0
) -> int | None:
    """The number of the partner that is next."""
    found = next_partner(rules, Wanted(region, "DE"), there, {uuid.UUID(int=had)})
    return found.int if found else None


@pytest.mark.parametrize(
    ("rules", "region", "had", "wanted"),
    [
        ([AssignRule()], "North", 0, 2),
        ([AssignRule()], "North", 2, None),
        ([AssignRule()], "South", 0, 3),
        ([AssignRule(tier="Silver"), AssignRule()], "South", 0, 4),
        ([AssignRule(tier="Silver"), AssignRule()], "South", 4, 3),
        ([AssignRule(region="North")], "South", 0, None),
        ([AssignRule(region="North", tier="Gold")], "North", 0, 2),
        ([AssignRule()], "", 0, 2),
        # Without a region of its own a lead is near every partner of its country.
        ([AssignRule(region="South")], "", 0, 3),
        ([AssignRule(region="South", tier="Silver"), AssignRule()], "", 0, 4),
        ([AssignRule(region="South")], "", 3, 4),
        ([AssignRule(region="West")], "", 0, None),
        ([AssignRule(region="West"), AssignRule(region="North")], "", 0, 2),
        ([], "North", 0, None),
    ],
)
def test_the_rules_find_the_partner(
    rules: list[AssignRule], region: str, had: int, wanted: int | None
) -> None:
    there = (candidate(2, "North"), candidate(3, "South"), candidate(4, "South", "Silver", 3))
    assert chosen(rules, *there, region=region, had=had) == wanted


def test_a_lead_without_a_region_stays_in_its_country() -> None:
    there = candidate(1, "South")._replace(country="AT"), candidate(2, "South", offers=9)
    assert chosen([AssignRule(region="South")], *there) == 2
    assert chosen([AssignRule(region="South")], there[0]) is None


def test_among_equals_the_one_with_the_fewest_offers_is_next() -> None:
    there = (candidate(1, "North", offers=2), candidate(2, "North", offers=1))
    assert chosen([AssignRule()], *there, region="North") == 2


# --- figures --------------------------------------------------------------------------------------


def test_leads_that_are_too_young_are_maturing_and_not_in_the_rate() -> None:
    def lead(mql: date | None, sql: date | None) -> LeadFacts:
        return LeadFacts(uuid.uuid4(), None, "hand", date(2026, 1, 1), mql, sql)

    leads = [
        lead(date(2026, 1, 10), date(2026, 4, 10)),  # 90 days: in time
        lead(date(2026, 1, 10), date(2026, 4, 11)),  # one day late
        lead(date(2026, 1, 31), None),
        lead(date(2026, 2, 10), date(2026, 2, 11)),  # young on the last of April
        lead(None, date(2026, 2, 1)),  # accepted without ever being MQL
        lead(date(2025, 12, 31), date(2026, 1, 5)),  # MQL before
    ]
    found = Funnel(date(2026, 1, 1), date(2026, 3, 1), date(2026, 5, 2), leads)
    assert (len(found.new), len(found.mql), len(found.sql)) == (6, 4, 3)
    assert (found.mql_to_sql.part, found.mql_to_sql.whole) == (1, 3)
    assert found.maturing == [leads[3]]
