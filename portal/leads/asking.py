"""A customer who asks on the page of a link: the one thing a reader does that makes a lead.

Opening a link, reading, or downloading makes none: only whoever gives a name and an address, and
agrees to their use, becomes known.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import mail
from portal.accounts import service as accounts
from portal.accounts.models import Role, User
from portal.content.models import ShareItem, ShareLink
from portal.db import hold, new_id
from portal.leads import service
from portal.leads.models import Enquiry, Lead
from portal.leads.stages import OPEN, Side, Source


def consent(partner: str, company: str) -> str:
    """The sentence that whoever asks agrees to; it is kept with what they asked."""
    return _(
        "I agree that %(partner)s uses my name and address to answer me, and gives them to "
        "%(company)s when it registers my request there.",
        partner=partner,
        company=company,
    )


def is_allowed(session: Session, link: ShareLink, network: str, now: datetime) -> bool:
    """Note one attempt to ask; False when there were too many through this link or from there."""
    return accounts.count_attempt(session, f"ask:{link.id}", network, now)


def ask(
    session: Session,
    link: ShareLink,
    *,
    name: str,
    email: str,
    company: str,
    question: str,
    consent: str,
    now: datetime,
) -> Lead:
    """A customer asks. The same person is one lead of this partner while it is open, and the same
    question is one question, however often it is sent; the partner gets a mail for each."""
    hold(session, link.partner_id)
    email = accounts.normalise_email(email)
    lead = _known(session, link.partner_id, email)
    if lead is None:
        recipient = link.recipient.name if link.recipient else ""
        lead = service.capture(
            session,
            Source.share,
            {
                "company": company.strip() or recipient,
                "contact": name,
                "email": email,
                "product_family_id": _family(session, link.id),
            },
            now,
            partner_id=link.partner_id,
            share_id=link.id,
            recipient_id=link.recipient_id,
        )
    elif question in [row.question for row in _asked(session, lead.id)]:
        return lead
    else:
        service.write_history(session, lead, "ask", lead.stage, Side.customer, now)
    enquiry = Enquiry(
        id=new_id(), lead_id=lead.id, share_id=link.id, at=now, question=question, consent=consent
    )
    session.add(enquiry)
    session.flush()
    for key in _told(session, link):
        mail.queue(session, message="lead_asked", user_id=key, params={"enquiry": str(enquiry.id)})
    return lead


def _known(session: Session, partner_id: uuid.UUID, email: str) -> Lead | None:
    query = select(Lead).where(
        Lead.partner_id == partner_id, Lead.email == email, Lead.stage.in_(OPEN)
    )
    return session.scalars(query.order_by(Lead.created_at).limit(1)).first()


def _asked(session: Session, lead_id: uuid.UUID) -> Sequence[Enquiry]:
    return session.scalars(select(Enquiry).where(Enquiry.lead_id == lead_id)).all()


def _family(session: Session, share_id: uuid.UUID) -> uuid.UUID | None:
    """What the customer asks about, where all that was shared is of one product family."""
    items = session.scalars(select(ShareItem).where(ShareItem.share_id == share_id))
    families = {family.id for item in items for family in item.asset.families}
    return families.pop() if len(families) == 1 else None


def _told(session: Session, link: ShareLink) -> list[uuid.UUID]:
    """Who made the link; where they are gone, the admins of their organisation."""
    people = accounts.people_of(session, link.partner_id)
    if any(person.id == link.user_id for person in people):
        return [link.user_id]
    return sorted(person.id for person in people if person.role == Role.partner_admin)


@mail.prepares("lead_asked")
def prepare_asked(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: a customer has asked."""
    enquiry = session.get_one(Enquiry, uuid.UUID(params["enquiry"]))
    lead = session.get_one(Lead, enquiry.lead_id)
    return {"enquiry": enquiry, "lead": lead, "link": mail.absolute(f"/leads/{lead.id}")}
