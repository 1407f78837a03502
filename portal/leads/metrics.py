"""Numbers about leads, for reports and for the pages people start on."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.models import User
from portal.db import in_parts, plain_rows
from portal.leads.funnel import Funnel, LeadFacts
from portal.leads.models import Enquiry, Lead, LeadHistory, LeadNote
from portal.leads.service import Sight, sight
from portal.leads.stages import Side, Source, Stage
from portal.leads.wording import MOVE_NAMES

_REACHED = (Stage.mql, Stage.sql)


def funnel(session: Session, since: date, until: date, zone: ZoneInfo) -> Funnel:
    """Leads, MQLs and SQLs of the days `[since, until)`, as known today.

    An SQL is a lead that sales accepted. An approved deal makes one, too, with a lead that nobody
    accepted or without any: whoever knows deals adds those.
    """
    return Funnel(since, until, clock.local_day(clock.now(), zone), facts(session, zone))


def facts(session: Session, zone: ZoneInfo) -> list[LeadFacts]:
    """Every lead, with the first day it reached each stage."""
    mql, sql = dict[uuid.UUID, date](), dict[uuid.UUID, date]()
    query = select(LeadHistory.lead_id, LeadHistory.at, LeadHistory.to_stage).where(
        LeadHistory.to_stage.in_(_REACHED), LeadHistory.from_stage != LeadHistory.to_stage
    )
    for lead_id, at, stage in plain_rows(session, query.order_by(LeadHistory.at, LeadHistory.id)):
        reached = mql if stage == Stage.mql else sql
        reached.setdefault(lead_id, clock.local_day(at, zone))
    columns = (
        Lead.id, Lead.partner_id, Lead.source, Lead.created_at, Lead.product_family_id,
        Lead.named_at,
    )  # fmt: skip
    return [
        LeadFacts(
            row.id,
            row.partner_id,
            row.source,
            clock.local_day(row.created_at, zone),
            mql.get(row.id),
            sql.get(row.id),
            # What it is about is the partner's to tell, as who it is.
            row.product_family_id if row.named_at else None,
        )
        for row in plain_rows(session, select(*columns))
    ]


def moves_by_partner(session: Session, since: datetime, until: datetime) -> dict[uuid.UUID, int]:
    """How many steps of leads each partner's people took in [since, until)."""
    query = select(LeadHistory.partner_id, func.count()).where(
        LeadHistory.at >= since, LeadHistory.at < until, LeadHistory.side == Side.partner
    )
    rows = session.execute(query.group_by(LeadHistory.partner_id))
    return {key: n for key, n in rows if key is not None}


class VendorLead(NamedTuple):
    """A company that the vendor came to know by a lead of its own, on the day `created`."""

    company: str
    email: str
    country: str
    created: date


def of_vendor(session: Session, zone: ZoneInfo) -> list[VendorLead]:
    """The leads that the vendor entered or imported, of those that name a company."""
    query = select(Lead.company, Lead.email, Lead.country, Lead.created_at).where(
        Lead.source.in_((Source.hand, Source.file)), Lead.company != ""
    )
    return [
        VendorLead(company, email, country, clock.local_day(at, zone))
        for company, email, country, at in session.execute(query)
    ]


def asked(session: Session, user: User, limit: int) -> list[Sight]:
    """Who asked a person's organisation something and waits for it to be taken up, newest first."""
    query = select(Lead).where(
        Lead.partner_id == user.partner_id,
        Lead.stage.in_((Stage.new, Stage.mql)),
        Lead.id.in_(select(Enquiry.lead_id)),
    )
    query = query.options(joinedload(Lead.partner), joinedload(Lead.product_family))
    query = query.order_by(Lead.created_at.desc(), Lead.id).limit(limit)
    return [sight(user, lead) for lead in session.scalars(query)]


def asked_of_link(session: Session, share_id: uuid.UUID) -> list[Enquiry]:
    """What was asked through a link, and is not erased."""
    query = select(Enquiry).join(Lead, Lead.id == Enquiry.lead_id)
    query = query.where(Enquiry.share_id == share_id, Lead.erased_at.is_(None))
    return list(session.scalars(query.order_by(Enquiry.at.desc(), Enquiry.id)))


def links_asked(session: Session, share_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of some links through which the customer asked the partner something."""
    found: set[uuid.UUID] = set()
    for some in in_parts(sorted(share_ids)):
        query = select(Enquiry.share_id).where(Enquiry.share_id.in_(some))
        found.update(key for key in session.scalars(query) if key is not None)
    return found


def captured_by(session: Session, user_id: uuid.UUID) -> list[Lead]:
    """The leads that one person entered."""
    return list(session.scalars(select(Lead).where(Lead.created_by_id == user_id)))


def moved_by(session: Session, user: User) -> list[tuple[datetime, str, str]]:
    """The moves of leads that one person made: when, whose lead, and in their words. Of a lead that
    their organisation does not have any more only that they made it."""
    query = (
        select(LeadHistory, Lead, LeadNote.text)
        .join(Lead, Lead.id == LeadHistory.lead_id)
        .outerjoin(LeadNote, LeadNote.history_id == LeadHistory.id)
        .where(LeadHistory.actor_id == user.id)
    )
    found = []
    for row, lead, text in session.execute(query):
        words, title = str(MOVE_NAMES.get(row.move, row.move)), ""
        if user.is_vendor or lead.partner_id == user.partner_id:
            title = sight(user, lead).title
            words = f"{words}: {text}" if text else words
        found.append((row.at, title, words))
    return found


def customer_names(session: Session) -> list[tuple[uuid.UUID, str]]:
    """Whom partners have leads of, by company and by person: never to be shown to anybody else."""
    query = select(Lead.partner_id, Lead.company, Lead.contact).where(Lead.partner_id.is_not(None))
    return [
        (partner_id, name)
        for partner_id, *names in session.execute(query)
        for name in names
        if partner_id is not None and name
    ]
