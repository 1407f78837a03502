"""What is known before a partner types: from a link that was shared with the customer, from a
lead, from earlier deals. One function for each place that a registration can be begun at."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content import sharing
from portal.content.models import ShareLink
from portal.deals import metrics, renewals
from portal.deals.keys import name_key
from portal.deals.models import Deal
from portal.deals.pipeline import Status
from portal.errors import NotFound
from portal.leads import service as leads

# A registration in one of these is no claim on what was shared any more.
GIVEN_UP = (Status.withdrawn, Status.rejected)


@dataclass(frozen=True)
class Prefill:
    """Values for fields of the form; `deal` is the registration that was begun here before."""

    values: Mapping[str, Any] = field(default_factory=dict)
    deal: Deal | None = None


def from_share(session: Session, user: User, link_id: uuid.UUID) -> Prefill:
    """The customer whom a link was made for, the family of what was shared, and that day.

    Raises NotFound for another partner's link.
    """
    assert user.partner_id is not None
    link = sharing.get_own(session, user.partner_id, link_id)
    begun = session.get(Deal, link.deal_id) if link.deal_id else None
    if begun is not None and begun.status not in (*GIVEN_UP, Status.closed, Status.expired):
        return Prefill(deal=begun)
    families = {family.id for item in link.items for family in item.asset.families}
    name = link.recipient.name if link.recipient else ""
    return Prefill(
        {
            **_known(session, user.partner_id, name),
            "customer_name": name,
            "product_family": str(families.pop()) if len(families) == 1 else "",
            "first_contact": clock.local_day(link.created_at, zone()),
        }
    )


def from_win(session: Session, user: User, deal_id: uuid.UUID) -> Prefill:
    """The next contract with a customer whose contract ends. Raises NotFound where there is none to
    renew."""
    today = clock.local_day(clock.now(), zone())
    return Prefill(renewals.claim(session, user, deal_id, today))


def from_lead(session: Session, user: User, lead_id: uuid.UUID) -> Prefill:
    """The claim as far as a lead of this person's partner tells it. Raises NotFound."""
    lead = leads.of_deal(session, user, lead_id)
    person = ", ".join(filter(None, (lead.contact, lead.email, lead.phone)))
    return Prefill(
        {
            "customer_name": lead.company or lead.contact,
            "country": lead.country,
            "contact": person[:200],
            "product_family": str(lead.product_family_id or ""),
            "first_contact": leads.known_since(lead),
        }
    )


def _known(session: Session, partner_id: uuid.UUID, name: str) -> dict[str, Any]:
    """What the partner said of this customer the last time."""
    key = name_key(name)
    query = select(Deal).where(Deal.partner_id == partner_id, Deal.status != Status.draft)
    for deal in session.scalars(query.order_by(Deal.created_at.desc()).limit(500)):
        if key and name_key(deal.customer_name) == key:
            fields = ("domain", "country", "postcode", "contact", "tax_id")
            return {name: getattr(deal, name) for name in fields}
    return {}


def usual_currency(session: Session, partner_id: uuid.UUID) -> str:
    """The currency of the partner's latest deal."""
    query = select(Deal.currency).where(Deal.partner_id == partner_id, Deal.currency != "")
    return session.scalars(query.order_by(Deal.created_at.desc()).limit(1)).first() or "EUR"


# By the name that an address gives them: /deals/new?share=KEY.
SOURCES: dict[str, Callable[[Session, User, uuid.UUID], Prefill]] = {
    "share": from_share,
    "renews": from_win,
    "lead": from_lead,
}


def asked(session: Session, user: User, args: Mapping[str, str]) -> Prefill:
    """What the address of an empty form says of the customer."""
    for name, source in SOURCES.items():
        if args.get(name):
            return source(session, user, _key(args[name]))
    return Prefill()


def attach(session: Session, user: User, deal: Deal, args: Mapping[str, str]) -> None:
    """Tie a new draft to the link or the lead that it was begun from; with a lead, also to the
    links through which that customer asked."""
    assert user.partner_id is not None
    if args.get("lead"):
        lead = leads.of_deal(session, user, _key(args["lead"]))
        deal.lead_id = lead.id
        asked_through = leads.links_of(session, lead)
        _tie(session, sharing.links_by_id(session, user.partner_id, asked_through).values(), deal)
    if args.get("share"):
        _tie(session, [sharing.get_own(session, user.partner_id, _key(args["share"]))], deal)


def _tie(session: Session, links: Iterable[ShareLink], deal: Deal) -> None:
    """Let links belong to a deal, except those that belong to another that is not given up."""
    for link in links:
        before = session.get(Deal, link.deal_id) if link.deal_id else None
        if before is None or before.status in GIVEN_UP:
            link.deal_id = deal.id
    session.flush()


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound(_("There is no such link.")) from None


@sharing.offers_deals
def open_deals(session: Session, user: User) -> list[tuple[uuid.UUID, str]]:
    """The deals of a person's organisation that something can be shared for."""
    if user.partner_id is None:
        return []
    deals = metrics.open_of_partner(session, user.partner_id, 100)
    return [(deal.id, _named(deal)) for deal in deals if deal.customer_name]


def _named(deal: Deal) -> str:
    family = deal.product_family.name if deal.product_family else ""
    return ", ".join(part for part in (deal.customer_name, family) if part)
