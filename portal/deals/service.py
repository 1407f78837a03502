"""Changing deals. Every move goes through the table in `pipeline` and leaves a row of history."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock, mail
from portal.accounts import service as accounts
from portal.accounts.models import Role, User
from portal.accounts.service import zone
from portal.db import db, new_id, write
from portal.deals import pipeline, policy, reasons
from portal.deals.models import (
    Customer,
    Deal,
    DealHistory,
    InternalNote,
    Policy,
    Protection,
    ProtectionReminder,
)
from portal.deals.pipeline import Actor, Side, Stage, State, Status
from portal.errors import NotFound, Refused
from portal.formatting import sort_key

# Without letters and digits that look alike when read out on the telephone.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CLAIM_FIELDS = (*pipeline.CLAIM, "domain", "postcode", "contact")


@dataclass(frozen=True)
class Given:
    """What a person says along with a move; each move names what it needs."""

    sentence: str = ""
    reason_code: str = ""
    note: str = ""
    customer_id: uuid.UUID | None = None
    new_customer: bool = False
    won_amount: int | None = None
    won_currency: str = ""
    won_on: date | None = None
    loss_reason: str = ""

    def names(self) -> set[str]:
        """The needs that are met."""
        found = {name for name in vars(self) if getattr(self, name) not in ("", None, False)}
        return found | ({"customer"} if self.customer_id or self.new_customer else set())


# --- finding ------------------------------------------------------------------------------------


def get(session: Session, user: User, deal_id: uuid.UUID) -> Deal:
    """The deal. NotFound also for another partner's, and at the vendor for a mere draft."""
    deal = session.scalars(
        select(Deal).options(joinedload(Deal.partner)).where(Deal.id == deal_id)
    ).one_or_none()
    missing = NotFound(_("There is no such deal."))
    if deal is None:
        raise missing
    if not user.is_vendor and deal.partner_id != user.partner_id:
        raise missing
    if user.is_vendor and deal.status == Status.draft:
        raise missing
    return deal


def history(session: Session, deal_id: uuid.UUID) -> list[DealHistory]:
    """Every move of a deal, oldest first."""
    query = select(DealHistory).where(DealHistory.deal_id == deal_id)
    query = query.options(joinedload(DealHistory.actor))
    return list(session.scalars(query.order_by(DealHistory.at, DealHistory.id)))


def notes(session: Session, deal_id: uuid.UUID) -> list[InternalNote]:
    """The vendor's own notes, oldest first. Never for a partner's page."""
    query = select(InternalNote).where(InternalNote.deal_id == deal_id)
    query = query.options(joinedload(InternalNote.author))
    return list(session.scalars(query.order_by(InternalNote.at, InternalNote.id)))


def actor_of(user: User) -> Actor:
    """A person as the pipeline sees them."""
    return Actor(user.id, Side.vendor if user.is_vendor else Side.partner, user.partner_id)


def state_of(session: Session, deal: Deal, now: datetime) -> State:
    """Everything that moves are decided on."""
    wrote = select(DealHistory.actor_id).where(
        DealHistory.deal_id == deal.id, DealHistory.move.in_(["edit", "submit", "resubmit"])
    )
    protected = select(Protection.id).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    return State(
        status=Status(deal.status),
        stage=Stage(deal.stage) if deal.stage else None,
        partner_id=deal.partner_id,
        authors=frozenset(filter(None, {deal.submitted_by_id, *session.scalars(wrote)})),
        protected=session.scalars(protected).first() is not None,
    )


def moves(session: Session, deal: Deal, user: User, now: datetime) -> set[str]:
    """The names of the moves this person can make now."""
    return {move.name for move in pipeline.allowed(state_of(session, deal, now), actor_of(user))}


def name_key(name: str) -> str:
    """One spelling of a customer's name, for finding the same one again."""
    return " ".join(sort_key(name)[0].split())


def customers_like(session: Session, deal: Deal, limit: int = 8) -> list[Customer]:
    """Customers that the claim may mean: the same name or the same domain."""
    same = Customer.name_key == name_key(deal.customer_name)
    if deal.domain:
        same = same | (Customer.domain == deal.domain)
    rows = session.scalars(select(Customer).where(same).limit(limit))
    return sorted(rows, key=lambda row: sort_key(row.name, row.id))


# --- policy -------------------------------------------------------------------------------------


def current_policy(session: Session, now: datetime) -> Policy:
    """The rules in force."""
    query = select(Policy).where(Policy.valid_from <= now).order_by(Policy.version.desc())
    return session.scalars(query.limit(1)).one()


def ensure_policy(session: Session, now: datetime) -> None:
    """The first version of the rules, when there is none."""
    if session.scalars(select(Policy.id)).first() is None:
        first = policy.DEFAULT
        session.add(
            Policy(
                version=1,
                decision_days=first.decision_days,
                protection_days=first.protection_days,
                valid_from=now,
            )
        )
        session.flush()


# --- moving -------------------------------------------------------------------------------------


def start(session: Session, user: User, claim: Mapping[str, Any], now: datetime) -> Deal:
    """A new draft of the person's partner."""
    assert user.partner_id is not None
    deal = Deal(
        id=new_id(),
        reference=new_reference(),
        partner_id=user.partner_id,
        submitted_by_id=user.id,
        status=Status.draft,
        created_at=now,
    )
    _fill(deal, claim)
    if not deal.customer_name:
        raise Refused(_(pipeline.missing("customer_name")))
    session.add(deal)
    session.flush()
    return deal


def new_reference() -> str:
    """A short random name for a deal, to be read out on the telephone."""
    return "".join(secrets.choice(_LETTERS) for _n in range(8))


def edit(session: Session, deal: Deal, user: User, claim: Mapping[str, Any], now: datetime) -> None:
    """Change the claim of a draft, or of one that was sent back."""
    checked(session, deal, user, "edit", {name for name, value in claim.items() if value}, now)
    before = {name: getattr(deal, name) for name in CLAIM_FIELDS}
    _fill(deal, claim)
    changed = [name for name in CLAIM_FIELDS if before[name] != getattr(deal, name)]
    if changed:
        _note(session, deal, user, "edit", deal.status, deal.stage, now, Given())


def _fill(deal: Deal, claim: Mapping[str, Any]) -> None:
    for name in CLAIM_FIELDS:
        if name in claim:
            value = claim[name]
            setattr(deal, name, value.strip() if isinstance(value, str) else value)


def checked(
    session: Session, deal: Deal, user: User, name: str, given: set[str], now: datetime
) -> pipeline.Move:
    """The move, if it is allowed; else Refused with a translated sentence."""
    try:
        return pipeline.check(name, state_of(session, deal, now), actor_of(user), given)
    except (Refused, NotFound) as error:
        raise type(error)(_(str(error))) from None


def move(
    session: Session, deal: Deal, user: User, name: str, now: datetime, given: Given | None = None
) -> None:
    """Make one move. Lock the deal (and what else it decides on) in `write()` before."""
    given = given or Given()
    met = given.names() | {key for key in CLAIM_FIELDS if getattr(deal, key) not in (None, "")}
    step = checked(session, deal, user, name, met, now)
    before_status, before_stage = deal.status, deal.stage
    status, stage = pipeline.after(step, state_of(session, deal, now))
    deal.status, deal.stage = status, stage
    effect = _EFFECTS.get(name)
    if effect:
        given = effect(session, deal, user, now, given) or given
    _note(session, deal, user, name, before_status, before_stage, now, given)


def _note(
    session: Session,
    deal: Deal,
    user: User,
    name: str,
    from_status: str,
    from_stage: str | None,
    now: datetime,
    given: Given,
) -> None:
    session.add(
        DealHistory(
            deal_id=deal.id,
            at=now,
            actor_id=user.id,
            side=actor_of(user).side,
            move=name,
            from_status=from_status,
            to_status=deal.status,
            from_stage=from_stage,
            to_stage=deal.stage,
            reason_code=given.reason_code or None,
            sentence=given.sentence.strip(),
            note=given.note.strip(),
        )
    )
    session.flush()


def _submitted(session: Session, deal: Deal, _user: User, now: datetime, _given: Given) -> None:
    rules = current_policy(session, now)
    deal.policy_id = deal.policy_id or rules.id
    deal.submitted_at = deal.submitted_at or now
    deal.decision_due_at = policy.decision_due(now, rules.decision_days, zone())
    for key in _deciders(session, deal):
        mail.queue(session, message="deal_submitted", user_id=key, params={"deal": str(deal.id)})


def _deciders(session: Session, deal: Deal) -> list[uuid.UUID]:
    if deal.partner.channel_manager_id is not None:
        return [deal.partner.channel_manager_id]
    managers = select(User.id).where(
        User.role == Role.channel_manager, User.deactivated_at.is_(None)
    )
    return sorted(session.scalars(managers))


def _reviewed(_session: Session, deal: Deal, user: User, now: datetime, _given: Given) -> None:
    deal.seen_at, deal.seen_by_id = now, user.id


def _asked(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    # The clock stands while the partner has the ball.
    deal.decision_due_at = None
    _tell(session, deal, "deal_question")


def _approved(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> None:
    rules = session.get_one(Policy, deal.policy_id)
    customer = _customer(session, deal, given, now)
    assert deal.product_family_id is not None
    ends = policy.protected_until(now, rules.protection_days, zone())
    taken = select(Protection.id).where(
        Protection.customer_id == customer.id,
        Protection.product_family_id == deal.product_family_id,
        Protection.starts_at < ends,
        Protection.ends_at > now,
    )
    if session.scalars(taken).first() is not None:
        raise Refused(_("This customer is already reserved for this product family."))
    deal.customer_id = customer.id
    deal.decided_at, deal.decided_by_id = now, user.id
    session.add(
        Protection(
            customer_id=customer.id,
            product_family_id=deal.product_family_id,
            deal_id=deal.id,
            starts_at=now,
            ends_at=ends,
        )
    )
    _tell(session, deal, "deal_decided")


def _customer(session: Session, deal: Deal, given: Given, now: datetime) -> Customer:
    if given.customer_id is not None:
        chosen = session.get(Customer, given.customer_id)
        if chosen is None:
            raise Refused(_(pipeline.missing("customer")))
        return chosen
    key = name_key(deal.customer_name)
    same = select(Customer).where(Customer.name_key == key, Customer.country == deal.country)
    known = session.scalars(same.order_by(Customer.id)).first()
    if known is not None:
        return known
    fresh = Customer(
        id=new_id(),
        name=deal.customer_name,
        name_key=key,
        domain=deal.domain,
        country=deal.country,
        postcode=deal.postcode,
        created_at=now,
    )
    session.add(fresh)
    session.flush()
    return fresh


def _rejected(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> Given:
    if given.reason_code not in reasons.SENTENCES:
        raise Refused(_(pipeline.missing("reason_code")))
    sentence = reasons.sentence_for(given.reason_code, given.sentence)
    if not sentence:
        raise Refused(_("Please write a sentence for the partner."))
    deal.decided_at, deal.decided_by_id = now, user.id
    _tell(session, deal, "deal_decided")
    return Given(reason_code=given.reason_code, sentence=sentence)


def _won(_session: Session, deal: Deal, user: User, now: datetime, given: Given) -> None:
    assert given.won_on is not None
    if given.won_on > clock.local_day(now, zone()):
        raise Refused(_("The day of the order lies in the future."))
    deal.won_amount_minor = given.won_amount
    deal.won_currency = given.won_currency or deal.currency
    # Noon, so that the day is the same for everyone who reads it.
    deal.won_at = clock.resolve_local(datetime.combine(given.won_on, time(12)), zone())
    deal.won_confirmed_by_id = user.id if user.is_vendor else None


def _questioned(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    deal.won_amount_minor = deal.won_currency = deal.won_at = None
    _tell(session, deal, "deal_question")


def _lost(session: Session, deal: Deal, _user: User, now: datetime, given: Given) -> None:
    if given.loss_reason not in reasons.LOSS_LABELS:
        raise Refused(_(pipeline.missing("loss_reason")))
    deal.loss_reason, deal.lost_at = given.loss_reason, now
    running = select(Protection).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    for protection in session.scalars(running):
        protection.ends_at = max(now, protection.starts_at)


def _tell(session: Session, deal: Deal, message: str) -> None:
    for key in _told(session, deal):
        mail.queue(session, message=message, user_id=key, params={"deal": str(deal.id)})


def _told(session: Session, deal: Deal) -> list[uuid.UUID]:
    """Who of the partner hears of a deal: who registered it; of an imported one, the admins."""
    if deal.submitted_by_id is not None:
        return [deal.submitted_by_id]
    people = accounts.people_of(session, deal.partner_id)
    return sorted(person.id for person in people if person.role == Role.partner_admin)


_EFFECTS: dict[str, Any] = {
    "submit": _submitted,
    "resubmit": _submitted,
    "take_in_review": _reviewed,
    "ask": _asked,
    "approve": _approved,
    "reject": _rejected,
    "report_won": _won,
    "confirm_win": _won,
    "question_win": _questioned,
    "lose": _lost,
}


def add_note(session: Session, deal: Deal, author: User, text: str, now: datetime) -> None:
    """Write down something for the vendor's own eyes."""
    if not text.strip():
        raise Refused(_("Write the note first."))
    session.add(InternalNote(deal_id=deal.id, author_id=author.id, at=now, text=text.strip()))
    session.flush()


# --- what runs by itself ------------------------------------------------------------------------


def remind_protections(now: datetime) -> int:
    """Job: tell partners that a protection ends soon, once per step; returns how many were told."""
    last = now + timedelta(days=max(policy.REMINDER_DAYS))
    running = (
        select(Protection.id)
        .join(Deal)
        .where(Protection.ends_at > now, Protection.ends_at <= last)
        .where(Deal.status == Status.approved)
        .order_by(Protection.id)
    )
    keys = list(db.session.scalars(running))
    db.session.rollback()
    return sum(_remind(key, now) for key in keys)


def _remind(protection_id: uuid.UUID, now: datetime) -> bool:
    with write((Protection, protection_id)) as session:
        protection = session.get(Protection, protection_id)
        days = protection and policy.reminder_due(protection.ends_at, now)
        if protection is None or days is None or protection.deal.status != Status.approved:
            return False
        sent = select(ProtectionReminder.id).where(
            ProtectionReminder.protection_id == protection_id,
            ProtectionReminder.days_before <= days,
        )
        if session.scalars(sent).first() is not None:
            return False
        session.add(ProtectionReminder(protection_id=protection_id, days_before=days, sent_at=now))
        _tell(session, protection.deal, "protection_ends")
    return True


def _deal_context(session: Session, params: dict[str, str]) -> dict[str, object]:
    deal = session.get_one(Deal, uuid.UUID(params["deal"]))
    return {"deal": deal, "link": mail.absolute(f"/deals/{deal.id}")}


@mail.prepares("deal_submitted")
def prepare_submitted(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the channel manager: a registration waits."""
    return _deal_context(session, params)


@mail.prepares("deal_decided")
def prepare_decided(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the decision, with the sentence of the vendor."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move in ("approve", "reject")]
    ends = session.scalars(
        select(Protection.ends_at).where(Protection.deal_id == deal.id)
    ).one_or_none()
    last = policy.last_day(ends, zone()) if ends else None
    return {**context, "sentence": rows[-1].sentence if rows else "", "last_day": last}


@mail.prepares("deal_question")
def prepare_question(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the vendor's question."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move in ("ask", "question_win")]
    return {**context, "sentence": rows[-1].sentence if rows else ""}


@mail.prepares("protection_ends")
def prepare_protection(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the customer is reserved for so much longer."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    ends = session.scalars(select(Protection.ends_at).where(Protection.deal_id == deal.id)).one()
    return {**context, "last_day": policy.last_day(ends, zone())}
