"""The life of a lead: one table of allowed moves. What is not in it is refused with a sentence.

A lead of the vendor is offered to one partner at a time, who takes or declines it; from then on it
is the partner's. The sentences are marked for translation here and translated where they are shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from portal.errors import N_, NotFound, PortalError, Refused


class Stage(StrEnum):
    """How far a lead is."""

    new = "new"
    mql = "mql"
    sql = "sql"
    converted = "converted"
    disqualified = "disqualified"


class Source(StrEnum):
    """Where a lead comes from."""

    partner = "partner"
    hand = "hand"
    file = "import"
    share = "share"


class Side(StrEnum):
    """Who acts: someone of a partner or of the vendor, a customer, or the portal by itself."""

    partner = "partner"
    vendor = "vendor"
    customer = "customer"
    portal = "portal"


OPEN = (Stage.new, Stage.mql, Stage.sql)


@dataclass(frozen=True)
class State:
    """All that a move is decided on. `offered_to` has an open offer, `overdue` when its time is
    up; `named` when the vendor knows who the customer is."""

    stage: Stage
    partner_id: uuid.UUID | None = None
    offered_to: uuid.UUID | None = None
    overdue: bool = False
    named: bool = True


class Actor(NamedTuple):
    """Who wants to move a lead."""

    side: Side
    partner_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Move:
    """One allowed step from any of `stages`; without `to_stage` the lead stays where it is.

    `on_offer`: it is about the offer that is open, not about a lead somebody has.
    """

    name: str
    stages: tuple[Stage, ...]
    to_stage: Stage | None
    who: tuple[Side, ...]
    needs: tuple[str, ...] = ()
    on_offer: bool = False


_PEOPLE = (Side.partner, Side.vendor)
MOVES = (
    Move("qualify", (Stage.new,), Stage.mql, (Side.portal,)),
    Move("accept", (Stage.new, Stage.mql), Stage.sql, _PEOPLE),
    Move("disqualify", OPEN, Stage.disqualified, _PEOPLE, needs=("reason_code",)),
    Move("reopen", (Stage.disqualified,), Stage.new, _PEOPLE),
    # A deal may still come of a lead that was given up.
    Move("convert", (*OPEN, Stage.disqualified), Stage.converted, (Side.partner,)),
    Move("offer", OPEN, None, (Side.vendor, Side.portal)),
    Move("take", OPEN, None, (Side.partner,), on_offer=True),
    Move("decline", OPEN, None, (Side.partner,), needs=("reason_code",), on_offer=True),
    Move("pass_on", OPEN, None, (Side.portal,), on_offer=True),
)
TABLE = {move.name: move for move in MOVES}

_NO_LEAD = N_("There is no such lead.")
OFFER_ENDED = N_("This offer has ended. A lead that is not answered in time goes to the next.")
_NOT_NAMED = N_("This lead is the partner's own: you see who it is when they register it.")
_TAKEN = N_("This lead belongs to a partner already.")
_OFFERED = N_("This lead is offered to a partner already. Wait for the answer.")
_STILL_OPEN = N_("The time for this offer is not up yet.")
_NOT_HERE = {
    Stage.converted: N_("A deal has come of this lead; it stays as it is."),
    Stage.disqualified: N_("This lead is disqualified. Reopen it first."),
    Stage.sql: N_("This lead is sales-ready already."),
    Stage.mql: N_("This lead is marketing-qualified already."),
    Stage.new: N_("This lead is open."),
}
_MISSING = N_("Please choose a reason.")


def check(name: str, state: State, actor: Actor, given: Collection[str] = ()) -> Move:
    """The move, if this actor may make it now. Raises NotFound or Refused with a sentence."""
    move = TABLE.get(name)
    if move is None or actor.side not in move.who:
        raise NotFound(N_("There is no such step."))
    problem = _not_theirs(move, state, actor) or _not_now(move, state)
    if problem is not None:
        raise problem
    if not set(move.needs) <= set(given):
        raise Refused(_MISSING)
    return move


def _not_theirs(move: Move, state: State, actor: Actor) -> PortalError | None:
    if actor.side == Side.partner:
        if not move.on_offer:
            return None if actor.partner_id == state.partner_id else NotFound(_NO_LEAD)
        if state.offered_to != actor.partner_id:
            return Refused(OFFER_ENDED)
    if actor.side == Side.vendor and not state.named:
        return Refused(_NOT_NAMED)
    return None


def _not_now(move: Move, state: State) -> Refused | None:
    if state.stage not in move.stages:
        return Refused(_NOT_HERE[state.stage])
    if move.name == "offer" and state.partner_id is not None:
        return Refused(_TAKEN)
    if move.name == "offer" and state.offered_to is not None:
        return Refused(_OFFERED)
    if move.name in ("take", "decline") and state.overdue:
        return Refused(OFFER_ENDED)
    if move.name == "pass_on" and not (state.offered_to and state.overdue):
        return Refused(_STILL_OPEN)
    return None


def after(move: Move, state: State, actor: Actor, to: uuid.UUID | None = None) -> State:
    """Where the lead stands when the move is made; `to`: whom it is offered to."""
    state = replace(state, stage=move.to_stage or state.stage)
    if move.name == "offer":
        return replace(state, offered_to=to, overdue=False)
    if move.name == "take":
        state = replace(state, partner_id=state.offered_to)
    if move.on_offer or move.name == "disqualify":
        state = replace(state, offered_to=None, overdue=False)
    if actor.side == Side.partner and move.name in ("accept", "convert"):
        state = replace(state, named=True)
    return state


def allowed(state: State, actor: Actor) -> set[str]:
    """The names of the moves that this actor can make now."""
    found = set()
    for move in MOVES:
        try:
            check(move.name, state, actor, move.needs)
        except PortalError:
            continue
        found.add(move.name)
    return found
