"""Changing deals. Every move goes through the table in `pipeline` and leaves a row of history; what
else a move does is in `deciding`, `protecting` and `closing`."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import VENDOR_ROLES, User
from portal.accounts.service import zone
from portal.content import sharing
from portal.db import new_id
from portal.deals import (
    audience,
    checks,
    closing,
    customers,
    deciding,
    notices,
    pipeline,
    policy,
    policy_versions,
    protecting,
    record,
    teaming,
)
from portal.deals.models import BY_IMPORT, Customer, Deal, DealHistory, InternalNote, Protection
from portal.deals.pipeline import Stage, State, Status
from portal.deals.record import Given
from portal.errors import NotFound, Refused
from portal.kept import stamp
from portal.leads import service as leads

# Without letters and digits that look alike when read out on the telephone.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
REFERENCE_LENGTH = 8
CLAIM_FIELDS = (*pipeline.CLAIM, "domain", "postcode", "contact", "tax_id")


# --- finding ------------------------------------------------------------------------------------


def get(session: Session, user: User, deal_id: uuid.UUID) -> Deal:
    """The deal. NotFound also for another partner's, and at the vendor for a mere draft."""
    deal = session.scalars(
        select(Deal)
        .options(joinedload(Deal.partner), joinedload(Deal.assignee))
        .where(Deal.id == deal_id)
    ).one_or_none()
    missing = NotFound(_("There is no such deal."))
    if deal is None:
        raise missing
    if not user.is_vendor and deal.partner_id != user.partner_id:
        raise missing
    if user.is_vendor and not deal.is_registered:
        raise missing
    return deal


# What the vendor settles among its own people before it says anything.
UNSEEN_BY_PARTNERS = (
    "approve_first",
    "propose_revocation",
    "drop_revocation",
    "confirm_match",
    "team",
    "assign",
)


def history_for(session: Session, user: User, deal_id: uuid.UUID) -> list[DealHistory]:
    """The moves of a deal that this person may see, oldest first."""
    rows = record.history(session, deal_id)
    return [row for row in rows if user.is_vendor or row.move not in UNSEEN_BY_PARTNERS]


def notes(session: Session, deal_id: uuid.UUID) -> list[InternalNote]:
    """The vendor's own notes, oldest first. Never for a partner's page."""
    query = select(InternalNote).where(InternalNote.deal_id == deal_id)
    query = query.options(joinedload(InternalNote.author))
    return list(session.scalars(query.order_by(InternalNote.at, InternalNote.id)))


def stamp_of(deal: Deal) -> str:
    """What both sides see of where a deal stands: another one when the claim, the order or the
    answer is. What the vendor settles among its own people is not in it."""
    return stamp(
        deal.status,
        deal.stage,
        deal.version,
        deal.won_amount_minor,
        deal.won_currency,
        deal.won_at,
        deal.order_number,
        deal.contract_ends,
        deal.extension_asked_at,
    )


def state_of(session: Session, deal: Deal, now: datetime) -> State:
    """Everything that moves are decided on."""
    rows = session.execute(
        select(DealHistory.move, DealHistory.actor_id).where(
            DealHistory.deal_id == deal.id, DealHistory.move.in_((*_WRITING, "extend"))
        )
    ).all()
    made = Counter(row.move for row in rows)
    wrote = {row.actor_id for row in rows if row.move in _WRITING}
    protected = select(Protection.id).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    terms = deal.policy.terms if deal.policy else policy.DEFAULT
    return State(
        status=Status(deal.status),
        stage=Stage(deal.stage) if deal.stage else None,
        partner_id=deal.partner_id,
        authors=frozenset(key for key in {deal.submitted_by_id, *wrote} if key is not None),
        protected=session.scalars(protected).first() is not None,
        may_ask=made["resubmit"] < terms.max_resubmissions,
        may_extend=made["extend"] < terms.max_extensions,
        extension_asked=deal.extension_asked_at is not None,
        needs_two=needs_two(session, deal),
        first_approver=deal.first_approved_by_id,
        revoker=deal.revocation_by_id,
    )


# Whoever brought a registration in by a file has written its claim, too.
_WRITING = ("edit", "submit", "resubmit", BY_IMPORT)


def needs_two(session: Session, deal: Deal) -> bool:
    """Whether this deal is so large that two people of the vendor have to approve it, and the
    vendor has two."""
    rules = deal.policy
    if rules is None or rules.two_person_minor is None or deal.amount_minor is None:
        return False
    # An order in another currency cannot be compared: it takes two.
    is_known = deal.currency == rules.two_person_currency
    if is_known and deal.amount_minor < rules.two_person_minor:
        return False
    there = select(func.count()).where(User.role.in_(VENDOR_ROLES), User.deactivated_at.is_(None))
    return (session.scalar(there) or 0) >= 2


def moves(session: Session, deal: Deal, user: User, now: datetime) -> set[str]:
    """The names of the moves this person can make now."""
    actor = record.actor_of(user)
    return {move.name for move in pipeline.allowed(state_of(session, deal, now), actor)}


def customers_like(session: Session, deal: Deal, limit: int = 8) -> list[Customer]:
    """Customers that the claim may mean: those that share a key, then what the check found."""
    sharing = customers.like(session, deal, limit)
    found = checks.customers_found(session, deal.id)
    return [*sharing, *(row for row in found if row not in sharing)][:limit]


# --- moving -------------------------------------------------------------------------------------


def start(
    session: Session,
    user: User,
    claim: Mapping[str, Any],
    now: datetime,
    deal_id: uuid.UUID | None = None,
) -> Deal:
    """A new draft of the person's partner."""
    assert user.partner_id is not None
    deal = Deal(
        id=deal_id or new_id(),
        reference=new_reference(),
        partner_id=user.partner_id,
        submitted_by_id=user.id,
        status=Status.draft,
        created_at=now,
        version=0,
        typed={},
    )
    _fill(deal, claim)
    session.add(deal)
    session.flush()
    return deal


def new_reference() -> str:
    """A short random name for a deal, to be read out on the telephone."""
    return "".join(secrets.choice(_LETTERS) for _n in range(REFERENCE_LENGTH))


def is_reference(text: str) -> bool:
    """Whether a text could be the reference of a deal."""
    return len(text) == REFERENCE_LENGTH and set(text) <= set(_LETTERS)


def edit(session: Session, deal: Deal, user: User, claim: Mapping[str, Any], now: datetime) -> None:
    """Change the claim of a draft, or of one that was sent back; only the latter is history."""
    checked(session, deal, user, "edit", {name for name, value in claim.items() if value}, now)
    before = {name: getattr(deal, name) for name in CLAIM_FIELDS}
    _fill(deal, claim)
    changed = [name for name in CLAIM_FIELDS if before[name] != getattr(deal, name)]
    if changed:
        checks.wait(session, deal.id)
    if changed and deal.status != Status.draft:
        record.note(session, deal, user, "edit", deal.status, deal.stage, now, Given())


def _fill(deal: Deal, claim: Mapping[str, Any]) -> None:
    for name in CLAIM_FIELDS:
        if name in claim:
            value = claim[name]
            setattr(deal, name, value.strip() if isinstance(value, str) else value)


def checked(
    session: Session, deal: Deal, user: User | None, name: str, given: set[str], now: datetime
) -> pipeline.Move:
    """The move, if it is allowed; else Refused with a translated sentence."""
    try:
        return pipeline.check(name, state_of(session, deal, now), record.actor_of(user), given)
    except (Refused, NotFound) as error:
        raise type(error)(_(str(error))) from None


def move(
    session: Session,
    deal: Deal,
    user: User | None,
    name: str,
    now: datetime,
    given: Given | None = None,
) -> None:
    """Make one move. Lock the deal (and what else it decides on) in `write()` before."""
    given = given or Given()
    met = given.names() | {key for key in CLAIM_FIELDS if getattr(deal, key) not in (None, "")}
    step = checked(session, deal, user, name, met, now)
    before_status, before_stage = deal.status, deal.stage
    status, stage = pipeline.after(step, state_of(session, deal, now))
    deal.status, deal.stage = status, stage
    if status != before_status:
        deal.left_at = now if status in pipeline.LEFT else None
    effect = _EFFECTS.get(name)
    if effect:
        given = effect(session, deal, user, now, given) or given
    record.note(session, deal, user, name, before_status, before_stage, now, given)
    if name == "approve" and user is not None:
        deciding.share(session, deal, user, now)


def _submitted(session: Session, deal: Deal, user: User, now: datetime, _given: Given) -> None:
    if deal.policy is None:
        deal.policy = policy_versions.current_policy(session, now)
    terms = deal.policy.terms
    if deal.lead_id is not None and deal.submitted_at is None:
        known = leads.known_since(leads.convert(session, user, deal.lead_id, now))
        # First contact is no later than the day the lead came in.
        deal.first_contact = min(deal.first_contact or known, known)
    # Time in which the partner had the ball does not count.
    used = policy.time_used(waits_of(session, deal.id, now), terms.calendar, zone())
    deal.submitted_at, deal.typed = deal.submitted_at or now, {}
    checks.wait(session, deal.id)
    sharing.adopt(session, deal.id)
    deal.decision_due_at = policy.decision_due(now, terms, zone(), used)
    deal.assignee_id = deal.assignee_id or audience.default_assignee(deal)
    notices.notify(session, audience.deciders(session, deal, now), "deal_submitted", deal, now)


def waits_of(
    session: Session, deal_id: uuid.UUID, now: datetime
) -> list[tuple[datetime, datetime]]:
    """The spells in which a registration waited for the vendor, the last one until `now` if it
    still does."""
    rows = record.history(session, deal_id)
    return policy.spells(((row.at, row.to_status in pipeline.UNDECIDED) for row in rows), now)


def record_teaming(
    session: Session, deal: Deal, other: Deal, user: User, sentence: str, now: datetime
) -> None:
    """Two partners work together on one customer and family: `deal` may be approved beside the
    protection of `other`. Neither partner reads of it before that. Lock both deals before."""
    given = Given(sentence=sentence)
    checked(session, deal, user, "team", given.names(), now)
    teaming.record(session, deal, other, user, given.sentence, now)
    for row in (deal, other):
        record.note(session, row, user, "team", row.status, row.stage, now, given)


_EFFECTS: dict[str, Any] = {
    "submit": _submitted,
    "resubmit": _submitted,
    "take_in_review": deciding.reviewed,
    "ask": deciding.asked,
    "approve_first": deciding.approved_first,
    "approve": deciding.approved,
    "ask_extension": protecting.extension_asked,
    "extend": protecting.extended,
    "refuse_extension": protecting.extension_refused,
    "propose_revocation": protecting.revocation_proposed,
    "drop_revocation": protecting.revocation_dropped,
    "revoke": protecting.revoked,
    "reject": deciding.rejected,
    "report_won": closing.won,
    "confirm_win": closing.won,
    "question_win": closing.questioned,
    "lose": closing.lost,
}


def add_note(session: Session, deal: Deal, author: User, text: str, now: datetime) -> None:
    """Write down something for the vendor's own eyes."""
    if not text.strip():
        raise Refused(_("Write the note first."))
    session.add(InternalNote(deal_id=deal.id, author_id=author.id, at=now, text=text.strip()))
    session.flush()


def assign(session: Session, deal: Deal, actor: User, assignee: User | None, now: datetime) -> None:
    """Let somebody of the vendor look after a deal, or nobody in particular."""
    key = assignee.id if assignee else None
    if key == deal.assignee_id:
        return
    deal.assignee_id = key
    given = Given(note=assignee.name if assignee else _("nobody"))
    record.note(session, deal, actor, "assign", deal.status, deal.stage, now, given)
    if assignee is not None:
        people = set(audience.deciders(session, deal, now)) - {actor.id}
        notices.notify(session, sorted(people), "deal_assigned", deal, now)
