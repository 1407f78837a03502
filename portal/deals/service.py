"""Changing deals. Every move goes through the table in `pipeline` and leaves a row of history."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal import clock, mail
from portal.accounts.models import VENDOR_ROLES, User
from portal.accounts.service import zone
from portal.content import sharing
from portal.db import hold, new_id
from portal.deals import (
    audience,
    checks,
    customers,
    notices,
    pipeline,
    policy,
    reasons,
    teaming,
)
from portal.deals.keys import name_key as name_key
from portal.deals.models import (
    BY_IMPORT,
    Customer,
    Deal,
    DealHistory,
    InternalNote,
    Policy,
    Protection,
)
from portal.deals.pipeline import Actor, Side, Stage, State, Status
from portal.errors import NotFound, Refused
from portal.formatting import day
from portal.kept import stamp
from portal.leads import service as leads

# Without letters and digits that look alike when read out on the telephone.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
REFERENCE_LENGTH = 8
CLAIM_FIELDS = (*pipeline.CLAIM, "domain", "postcode", "contact", "tax_id")


@dataclass(frozen=True)
class Given:
    """What a person says along with a move; each move names what it needs."""

    sentence: str = ""
    reason_code: str = ""
    note: str = ""
    customer_id: uuid.UUID | None = None
    new_customer: bool = False
    deal_type: str = ""
    won_amount: int | None = None
    won_currency: str = ""
    won_on: date | None = None
    order_number: str = ""
    loss_reason: str = ""
    # Why a deal is approved although somebody else seems to be with this customer.
    confirmation: str = ""
    contract_ends: date | None = None

    def names(self) -> set[str]:
        """The needs that are met."""
        found = {name for name in vars(self) if getattr(self, name) not in ("", None, False)}
        return found | ({"customer"} if self.customer_id or self.new_customer else set())


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
    rows = history(session, deal_id)
    return [row for row in rows if user.is_vendor or row.move not in UNSEEN_BY_PARTNERS]


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


def actor_of(user: User | None) -> Actor:
    """A person as the pipeline sees them; nobody is the vendor's own system, as with a file."""
    if user is None:
        return Actor(None, Side.vendor, None)
    return Actor(user.id, Side.vendor if user.is_vendor else Side.partner, user.partner_id)


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
# In the history of an approval: the kind that was claimed, and the one it was approved as.
KIND_CHANGED = "kind:"


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
    return {move.name for move in pipeline.allowed(state_of(session, deal, now), actor_of(user))}


def customers_like(session: Session, deal: Deal, limit: int = 8) -> list[Customer]:
    """Customers that the claim may mean: those that share a key, then what the check found."""
    sharing = customers.like(session, deal, limit)
    found = checks.customers_found(session, deal.id)
    return [*sharing, *(row for row in found if row not in sharing)][:limit]


# --- policy -------------------------------------------------------------------------------------


def current_policy(session: Session, now: datetime) -> Policy:
    """The rules in force."""
    query = select(Policy).where(Policy.valid_from <= now).order_by(Policy.version.desc())
    return session.scalars(query.limit(1)).one()


def policies(session: Session) -> list[Policy]:
    """Every version of the rules, the newest first."""
    query = select(Policy).options(joinedload(Policy.created_by))
    return list(session.scalars(query.order_by(Policy.version.desc())))


def ensure_policy(session: Session, now: datetime) -> None:
    """The first version of the rules, when there is none."""
    if session.scalars(select(Policy.id)).first() is None:
        add_policy(session, policy.DEFAULT, valid_from=now)


def add_policy(
    session: Session,
    terms: policy.Terms,
    *,
    valid_from: datetime,
    two_person_minor: int | None = None,
    two_person_currency: str = "EUR",
    benefits: str = "",
    tier_benefits: Mapping[str, str] | None = None,
    by_id: uuid.UUID | None = None,
) -> Policy:
    """A new version of the rules, for registrations submitted from `valid_from` on."""
    newest = session.scalar(select(func.max(Policy.version))) or 0
    later = session.scalar(select(func.max(Policy.valid_from)))
    if later is not None and valid_from <= later:
        raise Refused(_("New rules must begin after those that are already set."))
    row = Policy(
        version=newest + 1,
        valid_from=valid_from,
        decision_hours=terms.decision_hours,
        opens=terms.calendar.opens,
        closes=terms.calendar.closes,
        holiday_country=terms.calendar.country,
        protection_days=terms.protection_days,
        extension_days=terms.extension_days,
        max_extensions=terms.max_extensions,
        max_resubmissions=terms.max_resubmissions,
        remind_percent=terms.remind_percent,
        escalate_to=terms.escalate_to,
        remind_first_days=terms.protection_reminders[0],
        remind_last_days=terms.protection_reminders[1],
        stale_days=terms.stale_days,
        renewal_days=terms.renewal_days,
        two_person_minor=two_person_minor,
        two_person_currency=two_person_currency,
        benefits=benefits.strip(),
        tier_benefits={tier: words for tier, words in (tier_benefits or {}).items() if words},
        created_by_id=by_id,
    )
    session.add(row)
    session.flush()
    return row


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
        _note(session, deal, user, "edit", deal.status, deal.stage, now, Given())


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
        return pipeline.check(name, state_of(session, deal, now), actor_of(user), given)
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
    effect = _EFFECTS.get(name)
    if effect:
        given = effect(session, deal, user, now, given) or given
    _note(session, deal, user, name, before_status, before_stage, now, given)
    if name == "approve" and user is not None:
        _share(session, deal, user, now)


def _note(
    session: Session,
    deal: Deal,
    user: User | None,
    name: str,
    from_status: str,
    from_stage: str | None,
    now: datetime,
    given: Given,
    to_status: str = "",
) -> None:
    session.add(
        DealHistory(
            deal_id=deal.id,
            at=now,
            actor_id=user.id if user else None,
            side=actor_of(user).side,
            move=name,
            from_status=from_status,
            to_status=to_status or deal.status,
            from_stage=from_stage,
            to_stage=None if to_status else deal.stage,
            reason_code=given.reason_code or None,
            sentence=given.sentence.strip(),
            note=given.note.strip(),
        )
    )
    session.flush()


def _submitted(session: Session, deal: Deal, user: User, now: datetime, _given: Given) -> None:
    if deal.policy is None:
        deal.policy = current_policy(session, now)
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
    rows = history(session, deal_id)
    return policy.spells(((row.at, row.to_status in pipeline.UNDECIDED) for row in rows), now)


def _reviewed(_session: Session, deal: Deal, user: User, now: datetime, _given: Given) -> None:
    deal.seen_at, deal.seen_by_id = now, user.id


def _asked(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    # The clock stands while the partner has the ball; a changed claim is approved afresh.
    deal.decision_due_at = deal.first_approved_by_id = None
    _tell(session, deal, "deal_question")


def _approved_first(
    session: Session, deal: Deal, user: User, now: datetime, given: Given
) -> Given | None:
    _check_conflicts(session, deal, user, now, given)
    deal.customer_id = customers.chosen(session, deal, given.customer_id, now).id
    deal.first_approved_by_id = user.id
    return _corrected(deal, given)


def _check_conflicts(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> None:
    """Refuse an approval that nobody could have decided on; keep why a rival did not matter."""
    if checks.refuse_unless_clear(session, deal, given.confirmation, now):
        said = Given(note=given.confirmation)
        _note(
            session,
            deal,
            user,
            "confirm_match",
            Status.in_review,
            None,
            now,
            said,
            Status.in_review,
        )


def _corrected(deal: Deal, given: Given) -> Given | None:
    """The reviewer may know better what kind of deal it is; the history says what was claimed."""
    if not given.deal_type or given.deal_type == deal.deal_type:
        return None
    claimed, deal.deal_type = deal.deal_type, given.deal_type
    # The kinds by their keys: they are put into words where the history is shown.
    return Given(note=f"{KIND_CHANGED}{claimed}>{given.deal_type}")


def _approved(
    session: Session, deal: Deal, user: User, now: datetime, given: Given
) -> Given | None:
    assert deal.policy is not None
    hold(session, customers.WHO_IS_WHO)
    _check_conflicts(session, deal, user, now, given)
    customer = customers.chosen(session, deal, given.customer_id, now)
    ends = policy.protected_until(now, deal.policy.protection_days, zone())
    deal.customer_id = customer.id
    _refuse_overlap(session, deal, now, ends)
    assert deal.product_family_id is not None
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
    session.flush()
    checks.approved(session, deal.id)
    _tell(session, deal, "deal_decided")
    return _corrected(deal, given)


def _refuse_overlap(session: Session, deal: Deal, since: datetime, until: datetime) -> None:
    """Raise Refused when another deal has this customer reserved for this family in that time,
    and nobody recorded that the two work together."""
    taken = select(Protection.deal_id).where(
        Protection.customer_id == deal.customer_id,
        Protection.product_family_id == deal.product_family_id,
        Protection.deal_id != deal.id,
        Protection.starts_at < until,
        Protection.ends_at > since,
    )
    if set(session.scalars(taken)) - teaming.partners_of(session, deal.id):
        raise Refused(_("This customer is already reserved for this product family."))


def record_teaming(
    session: Session, deal: Deal, other: Deal, user: User, sentence: str, now: datetime
) -> None:
    """Two partners work together on one customer and family: `deal` may be approved beside the
    protection of `other`. Neither partner reads of it before that. Lock both deals before."""
    given = Given(sentence=sentence)
    checked(session, deal, user, "team", given.names(), now)
    teaming.record(session, deal, other, user, given.sentence, now)
    for row in (deal, other):
        _note(session, row, user, "team", row.status, row.stage, now, given)


def _share(session: Session, deal: Deal, user: User, now: datetime) -> None:
    """Tell both partners that they share the customer, in the words of whoever recorded it."""
    for row, other in teaming.of_deal(session, deal.id):
        if other.customer_id != deal.customer_id or other.status != Status.approved:
            continue
        given = Given(sentence=row.sentence)
        for told in (deal, other):
            _note(session, told, user, "share", told.status, told.stage, now, given)
        notices.notify(session, audience.told(session, other), "deal_shared", other, now)


def _extension_asked(
    session: Session, deal: Deal, _user: User, now: datetime, _given: Given
) -> None:
    deal.extension_asked_at = now
    notices.notify(session, audience.deciders(session, deal, now), "extension_asked", deal, now)


def _extended(session: Session, deal: Deal, _user: User, now: datetime, _given: Given) -> Given:
    assert deal.policy is not None
    running = select(Protection).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    protection = session.scalars(running).one()
    local = zone()
    before = policy.last_day(protection.ends_at, local)
    days = before + timedelta(days=deal.policy.extension_days + 1)
    ends = clock.day_start(days, local)
    _refuse_overlap(session, deal, protection.ends_at, ends)
    protection.ends_at = ends
    deal.extension_asked_at = None
    notices.notify(session, audience.told(session, deal), "extension_decided", deal, now)
    return Given(note=_("until %(day)s", day=day(policy.last_day(ends, local))))


def _extension_refused(
    session: Session, deal: Deal, _user: User, now: datetime, _given: Given
) -> None:
    deal.extension_asked_at = None
    notices.notify(session, audience.told(session, deal), "extension_decided", deal, now)


def _revocation_proposed(
    _session: Session, deal: Deal, user: User, _now: datetime, _given: Given
) -> None:
    deal.revocation_by_id = user.id


def _revocation_dropped(
    _session: Session, deal: Deal, _user: User, _now: datetime, _given: Given
) -> None:
    deal.revocation_by_id = None


def _revoked(session: Session, deal: Deal, _user: User, now: datetime, _given: Given) -> Given:
    """The partner reads the sentence of whoever proposed it."""
    proposed = [row for row in history(session, deal.id) if row.move == "propose_revocation"]
    end_protection(session, deal, now)
    deal.revocation_by_id = deal.extension_asked_at = None
    _tell(session, deal, "deal_revoked")
    return Given(sentence=proposed[-1].sentence)


def end_protection(session: Session, deal: Deal, now: datetime) -> None:
    """What is reserved for a deal is free from now on."""
    running = select(Protection).where(Protection.deal_id == deal.id, Protection.ends_at > now)
    for protection in session.scalars(running):
        protection.ends_at = max(now, protection.starts_at)


def _rejected(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> Given:
    if given.reason_code not in reasons.SENTENCES:
        raise Refused(_(pipeline.missing("reason_code")))
    sentence = reasons.sentence_for(given.reason_code, given.sentence)
    if not sentence:
        raise Refused(_("Please write a sentence for the partner."))
    deal.decided_at, deal.decided_by_id = now, user.id
    _tell(session, deal, "deal_decided")
    return Given(reason_code=given.reason_code, sentence=sentence)


def _won(_session: Session, deal: Deal, user: User | None, now: datetime, given: Given) -> None:
    assert given.won_on is not None
    if given.won_on > clock.local_day(now, zone()):
        raise Refused(_("The day of the order lies in the future."))
    deal.won_amount_minor = given.won_amount
    deal.won_currency = given.won_currency or deal.currency
    deal.order_number = given.order_number.strip()[:60]
    # Noon, so that the day is the same for everyone who reads it.
    deal.won_at = clock.resolve_local(datetime.combine(given.won_on, time(12)), zone())
    deal.won_confirmed_by_id = user.id if user and user.is_vendor else None
    if given.contract_ends is not None and given.contract_ends <= given.won_on:
        raise Refused(_("A contract ends after the day of the order."))
    deal.contract_ends = given.contract_ends


def _questioned(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    deal.won_amount_minor = deal.won_currency = deal.won_at = deal.contract_ends = None
    deal.order_number = ""
    _tell(session, deal, "deal_question")


def _lost(session: Session, deal: Deal, _user: User, now: datetime, given: Given) -> None:
    if given.loss_reason not in reasons.LOSS_LABELS:
        raise Refused(_(pipeline.missing("loss_reason")))
    deal.loss_reason, deal.lost_at = given.loss_reason, now
    end_protection(session, deal, now)


def _tell(session: Session, deal: Deal, message: str) -> None:
    for key in audience.told(session, deal):
        mail.queue(session, message=message, user_id=key, params={"deal": str(deal.id)})


def listeners(session: Session, deal: Deal, side: Side, now: datetime) -> list[uuid.UUID]:
    """Who of one side is told when the other says something about a deal."""
    if side == Side.partner:
        return audience.told(session, deal)
    return audience.deciders(session, deal, now)


_EFFECTS: dict[str, Any] = {
    "submit": _submitted,
    "resubmit": _submitted,
    "take_in_review": _reviewed,
    "ask": _asked,
    "approve_first": _approved_first,
    "approve": _approved,
    "ask_extension": _extension_asked,
    "extend": _extended,
    "refuse_extension": _extension_refused,
    "propose_revocation": _revocation_proposed,
    "drop_revocation": _revocation_dropped,
    "revoke": _revoked,
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


def assign(session: Session, deal: Deal, actor: User, assignee: User | None, now: datetime) -> None:
    """Let somebody of the vendor look after a deal, or nobody in particular."""
    key = assignee.id if assignee else None
    if key == deal.assignee_id:
        return
    deal.assignee_id = key
    given = Given(note=assignee.name if assignee else _("nobody"))
    _note(session, deal, actor, "assign", deal.status, deal.stage, now, given)
    if assignee is not None:
        people = set(audience.deciders(session, deal, now)) - {actor.id}
        notices.notify(session, sorted(people), "deal_assigned", deal, now)


# --- mails that leave at once -------------------------------------------------------------------


def _deal_context(session: Session, params: dict[str, str]) -> dict[str, object]:
    deal = session.get_one(Deal, uuid.UUID(params["deal"]))
    return {"deal": deal, "link": mail.absolute(f"/deals/{deal.id}")}


@mail.prepares("deal_revoked")
def prepare_revoked(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the approval was withdrawn, and why."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move == "revoke"]
    return {**context, "sentence": rows[-1].sentence if rows else ""}


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
