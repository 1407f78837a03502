"""Offering the vendor's leads to partners: by rule, one at a time, with a time to answer in."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import cache

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock, mail
from portal.accounts import service as accounts
from portal.accounts.models import Partner, Role, User
from portal.db import db, write
from portal.errors import N_, NotFound, Refused
from portal.formatting import sort_key
from portal.leads import service
from portal.leads.assignment import Candidate, Wanted, next_partner
from portal.leads.models import OPEN_OFFER, Lead, LeadOffer
from portal.leads.qualifying import current_rules
from portal.leads.stages import OPEN
from portal.mail import Outbox

# Over how many days partners get their share of leads.
FAIR_DAYS = 90
# What is offered meanwhile goes into the same mail.
BUNDLE = timedelta(minutes=5)
NOBODY_THERE = N_("Nobody of this partner has access, so nobody could answer.")


def waiting(session: Session, partner_id: uuid.UUID, now: datetime) -> list[LeadOffer]:
    """The offers that a partner can still answer, the most urgent first."""
    query = select(LeadOffer).where(
        LeadOffer.partner_id == partner_id,
        LeadOffer.state == OPEN_OFFER,
        LeadOffer.due_at > now,
    )
    return list(session.scalars(query.order_by(LeadOffer.due_at, LeadOffer.id)))


def of_lead(session: Session, lead_id: uuid.UUID) -> list[LeadOffer]:
    """Every offer of a lead, oldest first. For the vendor."""
    query = select(LeadOffer).where(LeadOffer.lead_id == lead_id)
    query = query.options(joinedload(LeadOffer.partner))
    return list(session.scalars(query.order_by(LeadOffer.offered_at, LeadOffer.id)))


def offer(
    session: Session, lead: Lead, partner_id: uuid.UUID, now: datetime, user: User | None = None
) -> LeadOffer:
    """Offer a lead to a partner, who is told by mail. Lock the lead in `write()` before."""
    partner = session.get(Partner, partner_id)
    if partner is None:
        raise NotFound(_("There is no such partner."))
    if not accounts.people_of(session, partner_id):
        raise Refused(_(NOBODY_THERE))
    service.move(session, lead, user, "offer", now, to=partner_id)
    hours = current_rules(session).accept_hours
    row = LeadOffer(
        lead_id=lead.id,
        partner_id=partner_id,
        offered_at=now,
        due_at=now + timedelta(hours=hours),
    )
    session.add(row)
    session.flush()
    _tell(session, partner_id, now)
    return row


def _tell(session: Session, partner_id: uuid.UUID, now: datetime) -> None:
    """One mail for all that is offered within minutes: it says what is open when it leaves."""
    for key in _told(session, partner_id):
        waits = select(Outbox.id).where(
            Outbox.user_id == key, Outbox.message == "lead_offers", Outbox.state == mail.WAITING
        )
        if session.scalars(waits).first() is None:
            mail.queue(session, message="lead_offers", user_id=key).due_at = now + BUNDLE


def _told(session: Session, partner_id: uuid.UUID) -> list[uuid.UUID]:
    """Who answers for a partner: its admins; without one, everybody there."""
    people = accounts.people_of(session, partner_id)
    admins = [person for person in people if person.role == Role.partner_admin]
    return sorted(person.id for person in admins or people)


def offer_next(
    session: Session, lead: Lead, now: datetime, user: User | None = None
) -> LeadOffer | None:
    """Offer a lead to the partner that the rules find next; None when nobody is left."""
    partner_id = _next(session, lead, now)
    return None if partner_id is None else offer(session, lead, partner_id, now, user)


def offer_or_refuse(session: Session, lead: Lead, now: datetime, user: User) -> LeadOffer:
    """The same for a person who wants it now. Raises Refused when nobody is left."""
    made = offer_next(session, lead, now, user)
    if made is None:
        raise Refused(_("The rules find no other partner for this lead. Choose one yourself."))
    return made


def _next(session: Session, lead: Lead, now: datetime) -> uuid.UUID | None:
    rules, had_it = current_rules(session).assignment, _had_it(session, lead.id)
    wanted = Wanted(lead.region, lead.country)
    return next_partner(rules, wanted, _candidates(session, now), had_it[lead.id])


def _candidates(session: Session, now: datetime) -> list[Candidate]:
    """The partners somebody of whom has access."""
    late = select(LeadOffer.partner_id).where(LeadOffer.offered_at > now - timedelta(FAIR_DAYS))
    counts = Counter(session.scalars(late))
    there = select(User.partner_id).where(User.deactivated_at.is_(None)).distinct()
    with_people = set(session.scalars(there))
    return [
        Candidate(row.id, row.region, row.country, row.tier, counts[row.id], sort_key(row.name)[0])
        for row in accounts.partner_facts(session)
        if row.id in with_people
    ]


def _had_it(session: Session, lead_id: uuid.UUID | None = None) -> dict[uuid.UUID, set[uuid.UUID]]:
    """To which partners each lead was offered, or one of them."""
    query = select(LeadOffer.lead_id, LeadOffer.partner_id)
    if lead_id is not None:
        query = query.where(LeadOffer.lead_id == lead_id)
    found: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    for key, partner_id in session.execute(query):
        found[key].add(partner_id)
    return found


def offer_leads(now: datetime) -> int:
    """Job: pass leads on whose offer was not answered in time, and offer those that nobody has;
    returns how many offers were made or ended. Run twice it does nothing more."""
    session = db.session()
    late = select(LeadOffer.lead_id).where(LeadOffer.state == OPEN_OFFER, LeadOffer.due_at <= now)
    keys = sorted({*session.scalars(late), *_offerable(session, now)})
    session.rollback()
    return sum(_look_after(key, now) for key in keys)


def left_alone(session: Session, now: datetime) -> set[uuid.UUID]:
    """The leads that nobody has or is asked about, and that the rules find nobody for: somebody of
    the vendor has to choose."""
    return {key for key, partner_id in _free(session, now).items() if partner_id is None}


def _offerable(session: Session, now: datetime) -> list[uuid.UUID]:
    """The leads that nobody has or is asked about, and that the rules find somebody for."""
    return [key for key, partner_id in _free(session, now).items() if partner_id is not None]


def _free(session: Session, now: datetime) -> dict[uuid.UUID, uuid.UUID | None]:
    """The leads that nobody has or is asked about, each with the partner that is next."""
    offered = select(LeadOffer.lead_id).where(LeadOffer.state == OPEN_OFFER)
    free = select(Lead).where(
        Lead.partner_id.is_(None), Lead.stage.in_(OPEN), Lead.id.not_in(offered)
    )
    leads = list(session.scalars(free))
    if not leads:
        return {}
    rules, had_it = current_rules(session).assignment, _had_it(session)
    candidates = _candidates(session, now)

    @cache
    def found(wanted: Wanted, had: frozenset[uuid.UUID]) -> uuid.UUID | None:
        return next_partner(rules, wanted, candidates, had)

    return {
        lead.id: found(Wanted(lead.region, lead.country), frozenset(had_it[lead.id]))
        for lead in leads
    }


def _look_after(lead_id: uuid.UUID, now: datetime) -> int:
    """One lead: end its late offer, make the next one. What is decided on is read in here."""
    done = 0
    with write((Lead, lead_id)) as session:
        lead = session.get_one(Lead, lead_id)
        state = service.state_of(session, lead, now)
        if lead.stage not in OPEN:
            return 0
        if state.offered_to is not None and state.overdue:
            service.move(session, lead, None, "pass_on", now)
            done, state = 1, service.state_of(session, lead, now)
        if state.partner_id is None and state.offered_to is None:
            done += offer_next(session, lead, now) is not None
    return done


@mail.prepares("lead_offers")
def prepare_offers(session: Session, user: User, _params: dict[str, str]) -> dict[str, object]:
    """For the partner: what is offered to it now. Who the customers are stays in the portal, where
    it can be taken back."""
    assert user.partner_id is not None
    found = waiting(session, user.partner_id, clock.now())
    return {
        "offers": [(row.due_at, session.get_one(Lead, row.lead_id)) for row in found],
        "link": mail.absolute("/leads"),
    }
