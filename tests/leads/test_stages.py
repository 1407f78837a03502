"""No sequence of moves breaks a rule: a lead is one partner's, and offered to one at a time."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import NotFound, PortalError, Refused
from portal.leads import stages
from portal.leads.stages import MOVES, OPEN, TABLE, Actor, Side, Stage, State

KUEHN, BRANDT = uuid.UUID(int=1), uuid.UUID(int=2)
PEOPLE = {
    "lena": Actor(Side.partner, KUEHN),
    "mia": Actor(Side.partner, BRANDT),
    "anna": Actor(Side.vendor),
    "portal": Actor(Side.portal),
    "customer": Actor(Side.customer),
}
BEGIN = [
    State(Stage.new),
    State(Stage.new, partner_id=KUEHN),
    State(Stage.new, partner_id=KUEHN, named=False),
]
STEP = st.tuples(
    st.sampled_from(sorted([*TABLE, "time goes by"])),
    st.sampled_from(sorted(PEOPLE)),
    st.sampled_from([KUEHN, BRANDT]),
)


def next_state(state: State, name: str, who: Actor, to: uuid.UUID) -> State:
    """The lead after a step; when it is refused, as it was."""
    if name == "time goes by":
        return replace(state, overdue=state.offered_to is not None)
    try:
        move = stages.check(name, state, who, {"reason_code"})
    except (Refused, NotFound):
        return state
    return stages.after(move, state, who, to)


@given(st.sampled_from(BEGIN), st.lists(STEP, max_size=25))
def test_no_sequence_of_moves_breaks_a_rule(
    state: State, steps: list[tuple[str, str, uuid.UUID]]
) -> None:
    for name, who, to in steps:
        after = next_state(state, name, PEOPLE[who], to)
        if after == state:
            continue
        if name != "time goes by":
            assert who != "customer", "a customer moved it"
        assert state.stage != Stage.converted, "it was moved after the deal"
        assert after.partner_id is None or after.offered_to is None, "somebody's, and offered"
        assert state.partner_id in (None, after.partner_id), "it was taken away"
        if state.partner_id is None and after.partner_id is not None:
            assert (name, state.offered_to) == ("take", after.partner_id)
            assert not state.overdue
        if state.offered_to and after.offered_to:
            assert state.offered_to == after.offered_to, "a second offer while one was open"
        if who in ("lena", "mia") and name != "time goes by":
            mine = PEOPLE[who].partner_id
            assert mine in (state.partner_id, state.offered_to), "somebody else's lead"
        if who == "anna" and name != "time goes by":
            assert state.named
        if after.stage == Stage.mql != state.stage:
            assert who == "portal"
        if after.offered_to:
            assert after.stage in OPEN
        assert state.named <= after.named
        state = after


@pytest.mark.parametrize("name", ["disqualify", "decline"])
def test_giving_up_needs_a_reason(name: str) -> None:
    state = State(Stage.new, offered_to=KUEHN)
    who = PEOPLE["lena" if name == "decline" else "anna"]
    with pytest.raises(Refused, match="choose a reason"):
        stages.check(name, state, who)


def test_what_a_partner_may_do_is_nobody_elses_business() -> None:
    state = State(Stage.mql, partner_id=KUEHN)
    assert stages.allowed(state, PEOPLE["lena"]) == {"accept", "disqualify", "convert"}
    assert stages.allowed(state, PEOPLE["mia"]) == set()
    with pytest.raises(NotFound):
        stages.check("accept", state, PEOPLE["mia"])


def test_an_offer_whose_time_is_up_is_only_passed_on() -> None:
    state = State(Stage.new, offered_to=KUEHN, overdue=True)
    assert stages.allowed(state, PEOPLE["lena"]) == set()
    assert "pass_on" in stages.allowed(state, PEOPLE["portal"])


def test_every_stage_says_why_a_move_is_not_possible() -> None:
    for move in MOVES:
        for stage in Stage:
            if stage in move.stages:
                continue
            offered = KUEHN if move.on_offer else None
            state = State(stage, partner_id=None if move.on_offer else KUEHN, offered_to=offered)
            actor = PEOPLE["lena"] if Side.partner in move.who else PEOPLE["portal"]
            with pytest.raises(PortalError, match=r"\.$"):
                stages.check(move.name, state, actor, move.needs)
