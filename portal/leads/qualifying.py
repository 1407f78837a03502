"""What leads score, by the rules in force, and who is qualified by it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import User
from portal.content.models import ShareLink
from portal.db import db, in_parts, write
from portal.errors import Refused
from portal.leads import rules as plain
from portal.leads import scoring, service
from portal.leads.models import Enquiry, Lead, LeadRules
from portal.leads.rules import USUAL, Rules
from portal.leads.scoring import Event, Part
from portal.leads.stages import Stage
from tracking import metrics

# --- the rules ----------------------------------------------------------------------------------


def current_rules(session: Session) -> Rules:
    """The rules in force."""
    row = session.scalars(select(LeadRules).order_by(LeadRules.version.desc()).limit(1)).first()
    return _plain(row) if row else USUAL


def _plain(row: LeadRules) -> Rules:
    return plain.read(row.version, row.threshold, row.accept_hours, row.rules)


def versions(session: Session) -> list[tuple[LeadRules | None, Rules]]:
    """Every version of the rules, the newest first, with who set it when; the first came with the
    portal."""
    query = select(LeadRules).options(joinedload(LeadRules.by)).order_by(LeadRules.version.desc())
    return [*((row, _plain(row)) for row in session.scalars(query)), (None, USUAL)]


def add_rules(session: Session, rules: Rules, user: User, now: datetime) -> int:
    """A new version of the rules, in force at once. Raises Refused where somebody else has set one
    since `rules` was begun; its version is the one it replaces."""
    newest = session.scalar(select(func.max(LeadRules.version))) or USUAL.version
    if newest != rules.version:
        raise Refused(
            _(
                "Somebody has changed the rules meanwhile. What you typed is still here: save it "
                "again to replace theirs, or reload to see theirs."
            )
        )
    row = LeadRules(
        version=newest + 1,
        at=now,
        by_id=user.id,
        threshold=rules.threshold,
        accept_hours=rules.accept_hours,
        rules=rules.as_json(),
    )
    session.add(row)
    session.flush()
    return row.version


# --- scores -------------------------------------------------------------------------------------


class Score(NamedTuple):
    """What a lead scores now, and of what."""

    total: int
    parts: list[Part]
    rules: Rules


def scores(session: Session, leads: Sequence[Lead], now: datetime) -> dict[uuid.UUID, Score]:
    """The scores of some leads, computed from what their customers did until now."""
    rules, events = current_rules(session), events_of(session, leads)
    found = {}
    for lead in leads:
        parts = scoring.parts(rules.scoring, events[lead.id], facts_of(lead), now)
        found[lead.id] = Score(scoring.total(parts), parts, rules)
    return found


def facts_of(lead: Lead) -> dict[str, str]:
    """What is known of a lead, as rules ask for it."""
    names = ("source", "country", "region", "company", "contact", "email", "phone")
    family = lead.product_family.name if lead.product_family else ""
    return {**{name: getattr(lead, name) for name in names}, "product_family": family}


def events_of(session: Session, leads: Sequence[Lead]) -> dict[uuid.UUID, list[Event]]:
    """What the customers of some leads did: asked, and opened, read or downloaded what was shared
    with them. Of reading that was erased or is past retention nothing is left."""
    found: dict[uuid.UUID, list[Event]] = defaultdict(list)
    links: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    for some in in_parts([lead.id for lead in leads]):
        for row in session.scalars(select(Enquiry).where(Enquiry.lead_id.in_(some))):
            found[row.lead_id].append(Event("asked", row.at))
            links[row.share_id].add(row.lead_id)
    for lead in leads:
        if lead.share_id is not None:
            links[lead.share_id].add(lead.id)
    for share_id, lead_id in _links_of_recipients(session, leads):
        links[share_id].add(lead_id)
    for open_ in metrics.opens_of_links(session, links):
        minutes = Event("minute", open_.at, open_.dwell / 60_000)
        for lead_id in links[open_.share_id]:
            found[lead_id] += [Event("open", open_.at), minutes]
    for share_id, at in metrics.downloads_of_links(session, links):
        for lead_id in links[share_id]:
            found[lead_id].append(Event("download", at))
    return found


def _links_of_recipients(
    session: Session, leads: Iterable[Lead]
) -> Iterable[tuple[uuid.UUID, uuid.UUID]]:
    """What else was shared with the same recipient: link and lead."""
    known: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for lead in leads:
        if lead.recipient_id is not None:
            known[lead.recipient_id].append(lead.id)
    for some in in_parts(list(known)):
        query = select(ShareLink.id, ShareLink.recipient_id).where(ShareLink.recipient_id.in_(some))
        for share_id, recipient_id in session.execute(query):
            if recipient_id is not None:
                yield from ((share_id, lead_id) for lead_id in known[recipient_id])


def qualify_leads(now: datetime) -> int:
    """Job: make marketing-qualified leads of new ones that have reached the threshold; returns how
    many. Run twice it does nothing more."""
    session = db.session()
    query = select(Lead).options(joinedload(Lead.product_family)).where(Lead.stage == Stage.new)
    leads = list(session.scalars(query.order_by(Lead.id)))
    ready = [
        key
        for some in in_parts(leads, 200)
        for key, score in scores(session, some, now).items()
        if score.total >= score.rules.threshold
    ]
    session.rollback()
    return sum(_qualify(key, now) for key in ready)


def _qualify(lead_id: uuid.UUID, now: datetime) -> bool:
    with write((Lead, lead_id)) as session:
        lead = session.get_one(Lead, lead_id)
        if lead.stage != Stage.new:
            return False
        score = scores(session, [lead], now)[lead_id]
        if score.total < score.rules.threshold:
            return False
        service.move(
            session,
            lead,
            None,
            "qualify",
            now,
            score=score.total,
            rules_version=score.rules.version,
        )
    return True
