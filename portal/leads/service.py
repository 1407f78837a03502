"""Leads: who may see what of them, how they come in, and every move they make.

When the vendor sees who a customer is (a partner's recipients are never shown to it before the
partner registers them): a lead that the vendor brought in, or that a partner entered, from the
start; a lead that a customer's question made, when the partner accepts it as sales-ready or submits
a deal of it. Until then the vendor counts it, and a `Sight` of it has no name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import normalise_email, zone
from portal.db import hold, in_parts, new_id
from portal.errors import Gone, NotFound, PortalError, Refused
from portal.kept import stamp
from portal.leads import reasons, stages
from portal.leads.models import (
    OPEN_OFFER,
    Enquiry,
    Lead,
    LeadHistory,
    LeadNote,
    LeadOffer,
)
from portal.leads.stages import Actor, Side, Source, Stage, State
from tracking.retention import note_removal

CONTACT = ("company", "contact", "email", "phone", "note")
FIELDS = (*CONTACT, "country", "region", "product_family_id")
# The same words of the same person within this time are one lead.
AGAIN = timedelta(minutes=5)


# --- finding and seeing -------------------------------------------------------------------------


_WITH = (joinedload(Lead.partner), joinedload(Lead.product_family), joinedload(Lead.created_by))


def get(session: Session, user: User, lead_id: uuid.UUID) -> Lead:
    """The lead, for the vendor, its partner, or the partner it is offered to.

    Raises NotFound, also for another partner's; Gone where an offer to this partner has ended.
    """
    lead = session.scalars(select(Lead).options(*_WITH).where(Lead.id == lead_id)).one_or_none()
    if lead is None:
        raise NotFound(_("There is no such lead."))
    if user.is_vendor or lead.partner_id == user.partner_id:
        return lead
    offers = select(LeadOffer).where(
        LeadOffer.lead_id == lead_id, LeadOffer.partner_id == user.partner_id
    )
    mine = session.scalars(offers.order_by(LeadOffer.offered_at.desc())).first()
    if mine is None:
        raise NotFound(_("There is no such lead."))
    if mine.state != OPEN_OFFER or mine.due_at <= clock.now():
        raise Gone(_(stages.OFFER_ENDED))
    return lead


@dataclass(frozen=True)
class Sight:
    """What one person may see of a lead; `title` is what to call it. Pages are made of these."""

    id: uuid.UUID
    title: str
    stage: str
    source: str
    created_at: datetime
    partner_id: uuid.UUID | None
    partner: str
    is_named: bool
    erased_at: datetime | None
    company: str = ""
    contact: str = ""
    email: str = ""
    phone: str = ""
    country: str = ""
    region: str = ""
    family: str = ""
    note: str = ""
    created_by: str = ""


def is_named_for(user: User, lead: Lead) -> bool:
    """Whether this person may see who the customer is."""
    return not user.is_vendor or lead.named_at is not None


def sight(user: User, lead: Lead) -> Sight:
    """What this person sees of a lead that they may see at all."""
    partner = lead.partner.name if lead.partner else ""
    is_named = is_named_for(user, lead)
    known: dict[str, Any] = {}
    if is_named:
        known = {name: getattr(lead, name) for name in (*CONTACT, "country", "region")}
        known["family"] = lead.product_family.name if lead.product_family else ""
        known["created_by"] = lead.created_by.name if lead.created_by else ""
    if not is_named:
        title = _("A customer of %(partner)s", partner=partner)
    else:
        title = lead.company or lead.contact or _("Erased")
    return Sight(
        id=lead.id,
        title=title,
        stage=lead.stage,
        source=lead.source,
        created_at=lead.created_at,
        partner_id=lead.partner_id,
        partner=partner,
        is_named=is_named,
        erased_at=lead.erased_at,
        **known,
    )


def listed(
    session: Session,
    user: User,
    *,
    stage: str = "",
    source: str = "",
    partner_id: uuid.UUID | None = None,
    unassigned: bool = False,
) -> list[Lead]:
    """The leads that this person may see, the newest first; of a partner, those it has."""
    query = select(Lead).options(*_WITH)
    if not user.is_vendor:
        query = query.where(Lead.partner_id == user.partner_id)
    elif partner_id is not None:
        query = query.where(Lead.partner_id == partner_id)
    elif unassigned:
        query = query.where(Lead.partner_id.is_(None))
    if stage:
        query = query.where(Lead.stage == stage)
    if source:
        query = query.where(Lead.source == source)
    return list(session.scalars(query.order_by(Lead.created_at.desc(), Lead.id.desc())))


def with_keys(session: Session, keys: Iterable[uuid.UUID]) -> list[Lead]:
    """Some leads with their partners and product families, for a report."""
    found: list[Lead] = []
    for some in in_parts(list(keys)):
        found += session.scalars(select(Lead).where(Lead.id.in_(some)).options(*_WITH))
    return found


@dataclass(frozen=True)
class Step:
    """One line of a lead's history as a person may read it."""

    at: datetime
    who: str
    move: str
    partner: str
    reason: str
    note: str
    score: int | None
    rules_version: int | None


# What is between the vendor and each partner alone.
_OF_OFFERS = ("offer", "take", "decline", "pass_on")


def history(session: Session, user: User, lead: Lead) -> list[Step]:
    """The moves of a lead that this person may see, oldest first: a partner reads nothing of the
    partners that had the lead before."""
    query = select(LeadHistory).where(LeadHistory.lead_id == lead.id)
    query = query.options(joinedload(LeadHistory.actor), joinedload(LeadHistory.partner))
    rows = session.scalars(query.order_by(LeadHistory.at, LeadHistory.id))
    nobody = {Side.customer.value: _("The customer"), Side.portal.value: _("The portal")}
    notes: dict[uuid.UUID, str] = {}
    if is_named_for(user, lead):
        found = select(LeadNote).where(LeadNote.lead_id == lead.id)
        notes = {row.history_id: row.text for row in session.scalars(found)}
    return [
        Step(
            at=row.at,
            who=row.actor.name if row.actor else nobody.get(row.side, ""),
            move=row.move,
            partner=row.partner.name if row.partner and row.move in _OF_OFFERS else "",
            reason=str(reasons.NAMES.get(row.reason_code, "")) if row.reason_code else "",
            note=notes.get(row.id, ""),
            score=row.score,
            rules_version=row.rules_version,
        )
        for row in rows
        if user.is_vendor or row.move not in _OF_OFFERS or row.partner_id == user.partner_id
    ]


def enquiries(session: Session, user: User, lead: Lead) -> list[Enquiry]:
    """What the customer asked, oldest first; nothing for whom the customer has no name."""
    if not is_named_for(user, lead):
        return []
    query = select(Enquiry).where(Enquiry.lead_id == lead.id)
    return list(session.scalars(query.order_by(Enquiry.at, Enquiry.id)))


def links_of(session: Session, lead: Lead) -> set[uuid.UUID]:
    """The links that a lead came by: the one it was made of, and those its customer asked through.
    For the partner that has it."""
    asked = select(Enquiry.share_id).where(Enquiry.lead_id == lead.id)
    return {*session.scalars(asked), *([lead.share_id] if lead.share_id else [])}


# --- coming in ----------------------------------------------------------------------------------


def capture(
    session: Session,
    source: Source,
    facts: Mapping[str, Any],
    now: datetime,
    *,
    user: User | None = None,
    partner_id: uuid.UUID | None = None,
    **more: Any,
) -> Lead:
    """A new lead; `facts` are some of `FIELDS`."""
    lead = Lead(
        id=new_id(),
        source=source.value,
        stage=Stage.new.value,
        created_at=now,
        created_by_id=user.id if user else None,
        partner_id=partner_id,
        named_at=None if source == Source.share else now,
        **more,
    )
    fill(lead, facts)
    session.add(lead)
    session.flush()
    if source == Source.share:
        write_history(session, lead, "ask", lead.stage, Side.customer, now)
    else:
        write_history(session, lead, "capture", lead.stage, side_of(user), now, user=user)
    return lead


def captured_already(
    session: Session, user: User, facts: Mapping[str, Any], now: datetime
) -> Lead | None:
    """The lead that this person wrote down a moment ago in the same words: a button that was
    pressed twice, or a page that was sent again."""
    hold(session, user.id)
    query = select(Lead).where(
        Lead.created_by_id == user.id, Lead.created_at > now - AGAIN, Lead.erased_at.is_(None)
    )
    found = session.scalars(query.order_by(Lead.created_at))
    said = Lead()
    fill(said, facts)
    known = [name for name in FIELDS if name in facts]
    return next(
        (lead for lead in found if all(getattr(lead, n) == getattr(said, n) for n in known)), None
    )


def fill(lead: Lead, facts: Mapping[str, Any]) -> set[str]:
    """Write what is known into a lead; returns the names of what has changed."""
    changed = set()
    for name in FIELDS:
        if name not in facts:
            continue
        value = facts[name]
        value = value.strip() if isinstance(value, str) else value
        value = normalise_email(value) if name == "email" else value
        if getattr(lead, name) != value:
            setattr(lead, name, value)
            changed.add(name)
    return changed


def may_edit(user: User, lead: Lead) -> bool:
    """Whether this person may change what is known: the partner that has the lead; the vendor while
    nobody has it."""
    owner = None if user.is_vendor else user.partner_id
    return lead.partner_id == owner and lead.erased_at is None


def refuse_edit(user: User, lead: Lead) -> None:
    """Raise Refused where `may_edit` says no."""
    if not may_edit(user, lead):
        raise Refused(_("What is known of this lead cannot be changed by you now."))


def may_erase(user: User, lead: Lead) -> bool:
    """Whether this person may erase who it is: the partner that has the lead, and the vendor when
    it knows."""
    knows = is_named_for(user, lead) if user.is_vendor else lead.partner_id == user.partner_id
    return knows and lead.erased_at is None


def change(
    session: Session, lead: Lead, user: User, facts: Mapping[str, Any], now: datetime
) -> None:
    """Correct what is known. Lock the lead in `write()` before."""
    refuse_edit(user, lead)
    if fill(lead, facts):
        write_history(session, lead, "change", lead.stage, side_of(user), now, user=user)


def side_of(user: User | None) -> Side:
    """On whose behalf a person acts; the portal does what nobody does."""
    if user is None:
        return Side.portal
    return Side.vendor if user.is_vendor else Side.partner


# --- moving -------------------------------------------------------------------------------------


def open_offer(session: Session, lead_id: uuid.UUID) -> LeadOffer | None:
    """The offer of this lead that waits for an answer, or waited until its time was up."""
    query = select(LeadOffer).where(LeadOffer.lead_id == lead_id, LeadOffer.state == OPEN_OFFER)
    return session.scalars(query.options(joinedload(LeadOffer.partner))).one_or_none()


def state_of(session: Session, lead: Lead, now: datetime) -> State:
    """Everything that moves are decided on."""
    offer = open_offer(session, lead.id)
    return State(
        stage=Stage(lead.stage),
        partner_id=lead.partner_id,
        offered_to=offer.partner_id if offer else None,
        overdue=offer is not None and offer.due_at <= now,
        named=lead.named_at is not None,
    )


def stamp_of(lead: Lead, offer: LeadOffer | None) -> str:
    """Where a lead stands, and which offer of it is open: another one when either is."""
    return stamp(lead.stage, lead.partner_id, lead.named_at, offer.id if offer else None)


def facts_stamp(lead: Lead) -> str:
    """What is known of a lead: another one when any of it is corrected."""
    return stamp(*(getattr(lead, name) for name in FIELDS))


def actor_of(user: User | None) -> Actor:
    """A person as the table of moves sees them; nobody is the portal itself."""
    return Actor(side_of(user), user.partner_id if user else None)


def moves(session: Session, lead: Lead, user: User, now: datetime) -> set[str]:
    """The names of the moves this person can make now."""
    return stages.allowed(state_of(session, lead, now), actor_of(user))


def move(
    session: Session,
    lead: Lead,
    user: User | None,
    name: str,
    now: datetime,
    *,
    reason_code: str = "",
    note: str = "",
    to: uuid.UUID | None = None,
    score: int | None = None,
    rules_version: int | None = None,
) -> None:
    """Make one move, by a person or by the portal itself. Lock the lead in `write()` before."""
    state, actor = state_of(session, lead, now), actor_of(user)
    known = reasons.DECLINED if name == "decline" else reasons.DISQUALIFIED
    given = {"reason_code"} if reason_code in known else set[str]()
    try:
        step = stages.check(name, state, actor, given)
    except PortalError as error:
        raise type(error)(_(str(error))) from None
    before, after = lead.stage, stages.after(step, state, actor, to)
    lead.stage, lead.partner_id = after.stage.value, after.partner_id
    if after.named and lead.named_at is None:
        lead.named_at = now
    write_history(
        session,
        lead,
        name,
        before,
        actor.side,
        now,
        user=user,
        partner_id=to or state.offered_to if name in _OF_OFFERS else lead.partner_id,
        reason_code=reason_code or None,
        note=note,
        score=score,
        rules_version=rules_version,
    )
    if state.offered_to is not None and after.offered_to is None:
        _end_offer(session, lead, name, user, now, reason_code)


_ENDS = {"take": "taken", "decline": "declined", "pass_on": "late"}


def _end_offer(
    session: Session, lead: Lead, name: str, user: User | None, now: datetime, reason_code: str
) -> None:
    offer = open_offer(session, lead.id)
    assert offer is not None
    offer.state, offer.ended_at = _ENDS.get(name, "withdrawn"), now
    offer.ended_by_id = user.id if user else None
    offer.reason_code = reason_code if name == "decline" else None
    session.flush()


def write_history(
    session: Session,
    lead: Lead,
    move: str,
    before: str,
    side: Side,
    now: datetime,
    *,
    user: User | None = None,
    partner_id: uuid.UUID | None = None,
    note: str = "",
    **more: Any,
) -> None:
    """One line of history, with the words to it where there are some."""
    row = LeadHistory(
        id=new_id(),
        lead_id=lead.id,
        at=now,
        actor_id=user.id if user else None,
        partner_id=partner_id or lead.partner_id,
        side=side.value,
        move=move,
        from_stage=before,
        to_stage=lead.stage,
        **more,
    )
    session.add(row)
    session.flush()
    if note.strip():
        session.add(LeadNote(history_id=row.id, lead_id=lead.id, text=note.strip()))
        session.flush()


# --- what becomes of it -------------------------------------------------------------------------


def of_deal(session: Session, user: User, lead_id: uuid.UUID) -> Lead:
    """The lead that a partner makes a deal of: one it has. Raises NotFound."""
    lead = session.get(Lead, lead_id)
    if lead is None or user.partner_id is None or lead.partner_id != user.partner_id:
        raise NotFound(_("There is no such lead."))
    return lead


def convert(session: Session, user: User, lead_id: uuid.UUID, now: datetime) -> Lead:
    """A deal that came of this lead is submitted, in the same transaction. Again changes nothing:
    a lead may lead to two deals."""
    session.get(Lead, lead_id, with_for_update=True, populate_existing=True)
    lead = of_deal(session, user, lead_id)
    if lead.stage != Stage.converted:
        move(session, lead, user, "convert", now)
    return lead


def erase(session: Session, leads: Iterable[Lead], now: datetime) -> int:
    """Take the customer's name, address and words out of some leads; what they count stays.
    Returns of how many."""
    keys = []
    for lead in leads:
        if lead.erased_at is None:
            for name in CONTACT:
                setattr(lead, name, "")
            lead.recipient_id, lead.erased_at = None, now
            keys.append(lead.id)
    session.flush()
    for enquiry in session.scalars(select(Enquiry).where(Enquiry.lead_id.in_(keys))):
        enquiry.question = ""
    for note in session.scalars(select(LeadNote).where(LeadNote.lead_id.in_(keys))):
        session.delete(note)
    session.flush()
    if keys:
        note_removal(session.connection(), "erasure", {"lead": len(keys)})
    return len(keys)


def erase_of_link(session: Session, share_id: uuid.UUID, now: datetime) -> int:
    """Erase whoever asked through a link, whichever of them it was."""
    asked = select(Enquiry.lead_id).where(Enquiry.share_id == share_id)
    return erase(session, session.scalars(select(Lead).where(Lead.id.in_(asked))), now)


def known_since(lead: Lead) -> date:
    """The day the lead came in: the first contact with the customer is no later."""
    return clock.local_day(lead.created_at, zone())
