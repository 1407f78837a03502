"""One table holds every allowed move; everything else is refused with a sentence."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.deals import pipeline
from portal.deals.money import parse_amount
from portal.deals.pipeline import MOVES, TABLE, Actor, Side, Stage, State, Status
from portal.errors import Refused

KUEHN, BRANDT = uuid.UUID(int=1), uuid.UUID(int=2)
LENA, MIA, ANNA, OTTO = (uuid.UUID(int=n) for n in (11, 12, 13, 14))
PEOPLE = {
    "lena": Actor(LENA, Side.partner, KUEHN),
    "mia": Actor(MIA, Side.partner, BRANDT),
    "anna": Actor(ANNA, Side.vendor, None),
    "otto": Actor(OTTO, Side.vendor, None),
}
EVERYTHING = {need for move in MOVES for need in move.needs}
STEP = st.tuples(st.sampled_from(sorted(TABLE)), st.sampled_from(sorted(PEOPLE)))


def moved(state: State, move: pipeline.Move, who: Actor) -> State:
    """The deal after a step, as the service leaves it."""
    status, stage = pipeline.after(move, state)
    after = replace(state, status=status, stage=stage)
    changes: dict[str, dict[str, Any]] = {
        "approve_first": {"first_approver": who.user_id},
        "ask": {"first_approver": None},
        "ask_extension": {"extension_asked": True},
        "extend": {"extension_asked": False, "may_extend": False},
        "refuse_extension": {"extension_asked": False},
        "propose_revocation": {"revoker": who.user_id},
        "drop_revocation": {"revoker": None},
    }
    return replace(after, **changes.get(move.name, {}))


@given(st.lists(STEP, max_size=25), st.booleans(), st.booleans())
def test_no_sequence_of_moves_breaks_a_rule(
    steps: list[tuple[str, str]], protected: bool, needs_two: bool
) -> None:
    state = State(
        Status.draft, None, KUEHN, frozenset({LENA}), protected=protected, needs_two=needs_two
    )
    sentences = []
    for name, who in steps:
        try:
            move = pipeline.check(name, state, PEOPLE[who], EVERYTHING)
        except Refused as refusal:
            sentences.append(str(refusal))
            continue
        assert who != "mia", "another partner moved the deal"
        if move.decides:
            assert who in ("anna", "otto"), "a partner decided"
        after = moved(state, move, PEOPLE[who])
        ended = (Status.rejected, Status.withdrawn, Status.closed, Status.revoked, Status.expired)
        assert state.status not in ended
        assert (after.stage is not None) == (
            after.status in (Status.approved, Status.closed, Status.revoked)
            or (after.status == Status.expired and state.stage is not None)
        )
        if after.status == Status.closed:
            assert after.stage in (Stage.won, Stage.lost)
            assert after.stage == Stage.lost or move.decides
        if name == "approve" and needs_two:
            assert state.first_approver not in (None, PEOPLE[who].user_id)
        if after.status == Status.revoked:
            assert state.revoker not in (None, PEOPLE[who].user_id)
        if name == "extend":
            assert state.extension_asked
            assert protected
        state = after
    assert all(sentence.endswith(".") for sentence in sentences)


STATES = st.builds(
    State,
    status=st.sampled_from(Status),
    stage=st.none() | st.sampled_from(Stage),
    partner_id=st.just(KUEHN),
    authors=st.sampled_from([frozenset({LENA}), frozenset({ANNA}), frozenset()]),
    protected=st.booleans(),
    may_ask=st.booleans(),
    may_extend=st.booleans(),
    extension_asked=st.booleans(),
    needs_two=st.booleans(),
    first_approver=st.sampled_from([None, ANNA, OTTO]),
    revoker=st.sampled_from([None, ANNA, OTTO]),
)


@given(STATES, st.sampled_from(sorted(PEOPLE)))
def test_what_is_offered_is_what_is_allowed_and_all_else_has_its_sentence(
    state: State, who: str
) -> None:
    offered = {move.name for move in pipeline.allowed(state, PEOPLE[who])}
    for name in TABLE:
        if name in offered:
            pipeline.check(name, state, PEOPLE[who], EVERYTHING)
        else:
            with pytest.raises(Refused, match=r"\.$"):
                pipeline.check(name, state, PEOPLE[who], EVERYTHING)


def test_nobody_decides_on_a_claim_they_wrote() -> None:
    author = Actor(ANNA, Side.vendor, None)
    state = State(Status.in_review, None, KUEHN, frozenset({ANNA}))
    for name in ("approve", "reject", "ask"):
        with pytest.raises(Refused, match="Nobody decides on their own registration"):
            pipeline.check(name, state, author, EVERYTHING)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_every_need_is_asked_for_in_a_sentence(move: pipeline.Move) -> None:
    stage = move.stages[0] if move.stages else None
    begin = State(move.statuses[0], stage, KUEHN, frozenset({LENA}))
    asked = replace(begin, protected=True, extension_asked=True)
    proposed = replace(begin, revoker=OTTO)
    two = replace(begin, needs_two=True)
    states = (begin, replace(begin, protected=True), asked, two, proposed)
    state = next(state for state in states if move.fits(state))
    actor = PEOPLE["lena" if Side.partner in move.who else "anna"]
    for need in move.needs:
        with pytest.raises(Refused) as refusal:
            pipeline.check(move.name, state, actor, EVERYTHING - {need})
        assert str(refusal.value) == pipeline.missing(need)


def test_a_protected_deal_does_not_expire() -> None:
    state = State(Status.approved, Stage.proposal, KUEHN, frozenset({LENA}), protected=True)
    with pytest.raises(Refused, match="protection of this deal still runs"):
        pipeline.check("expire", state, PEOPLE["anna"], EVERYTHING)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("", None),
        ("12400", 1_240_000),
        ("12 400,50", 1_240_050),
        ("12,400.50", 1_240_050),
        ("12.400,50", 1_240_050),
        ("12'400", 1_240_000),
        ("1.234.567", 123_456_700),
        ("12,5", 1_250),
        ("12.400", 1_240_000),
        ("0", 0),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, minor: int | None) -> None:
    assert parse_amount(text) == minor


@pytest.mark.parametrize(
    "text", ["x", "-5", "1,2,3", "12,34,567", "1e9", "1..2", "€ 5", "1.2345", "9" * 30, "½"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|large"):
        parse_amount(text)


@given(st.integers(0, 10**12))
def test_an_amount_is_read_back_as_written(minor: int) -> None:
    assert parse_amount(f"{minor / 100:.2f}" if minor < 10**14 else "0") == minor
    grouped = f"{minor // 100:,}.{minor % 100:02d}"
    assert parse_amount(grouped) == minor
