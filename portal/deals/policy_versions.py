"""The rules for registrations, version by version: which are in force, and new ones."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from portal.deals import policy
from portal.deals.models import Policy
from portal.errors import Refused


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
