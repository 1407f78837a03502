"""The life of a deal: one table of allowed moves. What is not in it is refused with a sentence.

*Status* says whether the claim was accepted, *stage* whether the deal is being won. The sentences
are marked for translation here (`N_`) and translated where they are shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from portal.errors import N_, NotFound, Refused


class Status(StrEnum):
    """Was the claim accepted?"""

    draft = "draft"
    submitted = "submitted"
    in_review = "in_review"
    returned = "returned"
    approved = "approved"
    rejected = "rejected"
    withdrawn = "withdrawn"
    expired = "expired"
    revoked = "revoked"
    closed = "closed"


class Stage(StrEnum):
    """Is the deal being won?"""

    qualified = "qualified"
    proposal = "proposal"
    negotiation = "negotiation"
    won = "won"
    lost = "lost"


class Side(StrEnum):
    """Who acts: someone of a partner, or someone of the vendor."""

    partner = "partner"
    vendor = "vendor"


OPEN_STAGES = (Stage.qualified, Stage.proposal, Stage.negotiation)
UNDECIDED = (Status.submitted, Status.in_review)
# How a registration ends without an answer or an order.
LEFT = (Status.withdrawn, Status.expired, Status.revoked)
EITHER = (Side.partner, Side.vendor)
CLAIM = (
    "customer_name",
    "country",
    "product_family_id",
    "deal_type",
    "amount_minor",
    "currency",
    "expected_close",
    "first_contact",
)


@dataclass(frozen=True)
class State:
    """All that a move is decided on: where the deal is, whose it is, who wrote the claim, and what
    the rules still leave: questions to the partner, extensions, a second approver."""

    status: Status
    stage: Stage | None
    partner_id: uuid.UUID
    authors: frozenset[uuid.UUID]
    protected: bool = False
    may_ask: bool = True
    may_extend: bool = True
    extension_asked: bool = False
    needs_two: bool = False
    first_approver: uuid.UUID | None = None
    revoker: uuid.UUID | None = None


@dataclass(frozen=True)
class Actor:
    """The person who wants to move the deal; nobody where the vendor's own system does."""

    user_id: uuid.UUID | None
    side: Side
    partner_id: uuid.UUID | None


class Rule(NamedTuple):
    """A condition on where a deal is, and the sentence for when it is not."""

    holds: Callable[[State], bool]
    sentence: str


@dataclass(frozen=True)
class Move:
    """One allowed step. `stages` limits it to deals in these stages; None as a target: it stays.

    `rules` must hold where the deal is; `unlike` names whose second pair of eyes it must be: not
    the person who approved first, or who proposed to revoke.
    """

    name: str
    statuses: tuple[Status, ...]
    to_status: Status | None
    who: tuple[Side, ...]
    stages: tuple[Stage, ...] | None = None
    to_stage: Stage | None = None
    needs: tuple[str, ...] = ()
    decides: bool = False
    rules: tuple[Rule, ...] = ()
    unlike: str = ""

    def stands(self, state: State) -> bool:
        """Whether the deal is where this step begins."""
        if state.status not in self.statuses:
            return False
        # A stage limits only deals that have one: a claim sent back has none.
        return self.stages is None or state.stage is None or state.stage in self.stages

    def broken(self, state: State) -> str | None:
        """The sentence of the first rule that does not hold, or None."""
        return next((rule.sentence for rule in self.rules if not rule.holds(state)), None)

    def fits(self, state: State) -> bool:
        """Whether this step can be taken now, by whoever may."""
        return self.stands(state) and self.broken(state) is None


PROTECTION_ENDED = Rule(
    lambda state: not state.protected, N_("The protection of this deal still runs.")
)
PROTECTION_RUNS = Rule(
    lambda state: state.protected,
    N_("The protection of this deal has ended; it can no longer be extended."),
)
MAY_ASK = Rule(
    lambda state: state.may_ask,
    N_("The partner has been asked as often as the rules allow. Please decide."),
)
MAY_EXTEND = Rule(
    lambda state: state.may_extend,
    N_("This protection has been extended as often as the rules allow."),
)
NOT_ASKED = Rule(
    lambda state: not state.extension_asked,
    N_("You have asked for an extension already; the vendor decides on it."),
)
ASKED = Rule(lambda state: state.extension_asked, N_("Nobody has asked for an extension."))
ONE_DECIDES = Rule(
    lambda state: not state.needs_two or state.first_approver is not None,
    N_("A deal of this size needs two approvals; this is the first."),
)
TWO_DECIDE = Rule(
    lambda state: state.needs_two and state.first_approver is None,
    N_("This registration needs no first approval now."),
)
NOT_PROPOSED = Rule(
    lambda state: state.revoker is None,
    N_("Somebody has proposed to withdraw the approval already."),
)
PROPOSED = Rule(
    lambda state: state.revoker is not None, N_("Nobody has proposed to withdraw the approval.")
)


S, G, PARTNER, VENDOR = Status, Stage, (Side.partner,), (Side.vendor,)

MOVES: tuple[Move, ...] = (
    Move("edit", (S.draft, S.returned), None, PARTNER),
    Move("submit", (S.draft,), S.submitted, PARTNER, needs=CLAIM),
    Move("take_in_review", (S.submitted,), S.in_review, VENDOR, decides=True),
    Move(
        "ask", (S.in_review,), S.returned, VENDOR, needs=("sentence",), decides=True,
        rules=(MAY_ASK,),
    ),
    Move("resubmit", (S.returned,), S.in_review, PARTNER, needs=CLAIM),
    Move(
        "approve_first", (S.in_review,), None, VENDOR,
        needs=("customer", "customer_name", "product_family_id"), decides=True,
        rules=(TWO_DECIDE,),
    ),
    Move(
        "approve", (S.in_review,), S.approved, VENDOR, None, G.qualified,
        ("customer", "customer_name", "product_family_id"), True,
        rules=(ONE_DECIDES,), unlike="first_approver",
    ),
    Move("team", (S.in_review,), None, VENDOR, needs=("sentence",), decides=True),
    Move("reject", (S.in_review,), S.rejected, VENDOR, needs=("reason_code",), decides=True),
    Move("withdraw", (S.draft, S.submitted, S.in_review, S.returned), S.withdrawn, PARTNER),
    Move("to_qualified", (S.approved,), None, PARTNER, OPEN_STAGES[1:], G.qualified),
    Move("to_proposal", (S.approved,), None, PARTNER, (G.qualified, G.negotiation), G.proposal),
    Move("to_negotiation", (S.approved,), None, PARTNER, OPEN_STAGES[:2], G.negotiation),
    Move(
        "ask_extension", (S.approved,), None, PARTNER, OPEN_STAGES, None, ("note",),
        rules=(PROTECTION_RUNS, MAY_EXTEND, NOT_ASKED),
    ),
    Move(
        "extend", (S.approved,), None, VENDOR, OPEN_STAGES, decides=True,
        rules=(ASKED, PROTECTION_RUNS),
    ),
    Move(
        "refuse_extension", (S.approved,), None, VENDOR, OPEN_STAGES, None, ("sentence",), True,
        rules=(ASKED,),
    ),
    Move(
        "propose_revocation", (S.approved,), None, VENDOR, OPEN_STAGES, None, ("sentence",), True,
        rules=(NOT_PROPOSED,),
    ),
    Move(
        "drop_revocation", (S.approved,), None, VENDOR, OPEN_STAGES, decides=True,
        rules=(PROPOSED,),
    ),
    Move(
        "revoke", (S.approved,), S.revoked, VENDOR, OPEN_STAGES, decides=True, rules=(PROPOSED,),
        unlike="revoker",
    ),
    Move("report_won", (S.approved,), None, PARTNER, OPEN_STAGES, G.won, ("won_amount", "won_on")),
    Move(
        "confirm_win", (S.approved,), S.closed, VENDOR, (*OPEN_STAGES, G.won), G.won,
        ("won_amount", "won_on"), True,
    ),
    Move("question_win", (S.approved,), None, VENDOR, (G.won,), G.negotiation, ("sentence",), True),
    # Not the vendor's: it would end a reservation, which takes two people to revoke.
    Move("lose", (S.approved,), S.closed, PARTNER, OPEN_STAGES, G.lost, ("loss_reason",)),
    Move(
        "expire", (S.returned, S.approved), S.expired, VENDOR, OPEN_STAGES,
        rules=(PROTECTION_ENDED,),
    ),
)  # fmt: skip
TABLE = {move.name: move for move in MOVES}


_ONLY: dict[tuple[Side, ...], str] = {
    PARTNER: N_("Only the partner who registered this deal can do that."),
    VENDOR: N_("Only the vendor can do that."),
}
_OWN = N_("Nobody decides on their own registration. Please ask a colleague.")
_TWO = N_("Two people have to do this: please leave it to a colleague.")
_STANDS = {
    S.draft: N_("This is a draft; it has not been submitted yet."),
    S.submitted: N_("This registration waits for the vendor's review."),
    S.in_review: N_("This registration is already in review."),
    S.returned: N_("This registration waits for more information from the partner."),
    S.approved: N_("This registration is already approved."),
    S.rejected: N_("This registration was already rejected."),
    S.withdrawn: N_("This registration was withdrawn."),
    S.expired: N_("This registration has expired."),
    S.revoked: N_("The approval of this registration was withdrawn."),
    S.closed: N_("This deal is already closed."),
}
_STAGE_STANDS = {
    G.qualified: N_("This deal is approved and stands at qualified."),
    G.proposal: N_("This deal is approved and stands at proposal."),
    G.negotiation: N_("This deal is approved and stands at negotiation."),
    G.won: N_("This deal is already reported as won; the vendor confirms it."),
}
_MISSING = {
    "customer_name": N_("Please give the customer's name."),
    "country": N_("Please choose the customer's country."),
    "product_family_id": N_("Please choose a product family."),
    "deal_type": N_("Please choose what kind of deal it is."),
    "amount_minor": N_("Please give the expected amount."),
    "currency": N_("Please choose the currency."),
    "expected_close": N_("Please give the day you expect the order."),
    "first_contact": N_("Please give the day of your first contact."),
    "sentence": N_("Please write a sentence for the partner."),
    "customer": N_("Please choose the customer this deal belongs to."),
    "reason_code": N_("Please choose a reason."),
    "won_amount": N_("Please give the amount of the order."),
    "won_on": N_("Please give the day of the order."),
    "loss_reason": N_("Please choose why the deal was lost."),
    "note": N_("Please say why."),
}


def missing(name: str) -> str:
    """The sentence that asks for the field `name`."""
    return _MISSING[name]


def _may(move: Move, state: State, actor: Actor) -> str | None:
    """Why this person may not make this move at all, or None."""
    if actor.side not in move.who:
        return _ONLY[move.who]
    if actor.side == Side.partner and actor.partner_id != state.partner_id:
        return _ONLY[PARTNER]
    if move.decides and (actor.user_id in state.authors or actor.partner_id == state.partner_id):
        return _OWN
    if move.unlike and actor.user_id == getattr(state, move.unlike):
        return _TWO
    return None


def _why_not(move: Move, state: State) -> str:
    if move.stands(state) and (sentence := move.broken(state)):
        return sentence
    if state.status == S.approved and state.status in move.statuses and state.stage:
        return _STAGE_STANDS.get(state.stage, _STANDS[state.status])
    return _STANDS[state.status]


def allowed(state: State, actor: Actor) -> list[Move]:
    """The steps this person can take with this deal now, in the order of the table."""
    return [move for move in MOVES if move.fits(state) and not _may(move, state, actor)]


def check(name: str, state: State, actor: Actor, given: Collection[str]) -> Move:
    """The move called `name`, if this person may make it now with what is `given`.

    Raises Refused with the sentence that says why not.
    """
    move = TABLE.get(name)
    if move is None:
        raise NotFound(N_("There is no such step."))
    if why := _may(move, state, actor):
        raise Refused(why)
    if not move.fits(state):
        raise Refused(_why_not(move, state))
    for need in move.needs:
        if need not in given:
            raise Refused(_MISSING[need])
    return move


def after(move: Move, state: State) -> tuple[Status, Stage | None]:
    """Status and stage of the deal once `move` is made."""
    return move.to_status or state.status, move.to_stage or state.stage
