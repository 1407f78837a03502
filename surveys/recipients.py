"""Whom a wave asks: the frozen list of recipients, and who of the audience is left out and why.

Context: two people may share one mailbox; surveys of one portal ask the same people; some want no
more mail.
Decision: everyone of the audience is either invited or counted in `Wave.left_out`, by the first
reason that holds. Waves are opened one after the other, so that no two of them overlook each
other. Days of quarantine are local days: a wave that opened some seconds late last time does not
keep everybody out of the next one. Nobody gets two invitations on one day: when two surveys are due
at once, the mail of the second leaves at the same hour of the next day, while its wave is open and
its banner in the portal from the first moment.
Consequences: invited and left out add up to the audience at the moment of opening.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import clock, mail
from portal.accounts.models import Partner, User, UserSession
from portal.accounts.service import zone
from portal.db import hold, new_id
from portal.mail import Outbox
from surveys.audience import Audience, people
from surveys.letters import INVITATION, mailed_on
from surveys.models import Invitation, Survey, SurveyOptOut, Wave

OPTED_OUT, QUARANTINE, MAILBOX = "opted_out", "quarantine", "mailbox"
# Held while a wave is opened: two surveys due at once must see each other's invitations.
OPENING = uuid.UUID("0199f0a0-5e00-7000-8000-000000000001")


class Recipient(NamedTuple):
    """A person of the audience, with the partner they belong to."""

    user: User
    partner: Partner


def mailbox(email: str) -> str:
    """What identifies the mailbox of an address: a hash, the same for `ann+news@x` and `Ann@x`."""
    local, _at, host = email.strip().casefold().rpartition("@")
    return hashlib.sha256(f"{local.partition('+')[0]}@{host}".encode()).hexdigest()


def invite_all(
    session: Session,
    wave: Wave,
    survey: Survey,
    now: datetime,
    *,
    include_held: bool = False,
    notify: bool = True,
) -> None:
    """Freeze the recipients of a wave and write their mails."""
    hold(session, OPENING)
    chosen, wave.left_out = choose(session, survey, now, include_held=include_held)
    invitations = [
        Invitation(
            id=new_id(),
            wave_id=wave.id,
            user_id=user.id,
            partner_id=partner.id,
            mailbox=mailbox(user.email),
            tier=partner.tier,
            region=partner.region,
            locale=user.locale,
        )
        for user, partner in chosen
    ]
    if notify:
        wanted = [(row.user_id, {"invitation": str(row.id)}) for row in invitations]
        later = _later(session, {row.user_id for row in invitations}, now, wave.closes_at)
        letters = mail.queue_all(session, INVITATION, wanted, wave.closes_at)
        for row, letter in zip(invitations, letters, strict=True):
            row.mail_id, letter.due_at = letter.id, later.get(row.user_id, letter.due_at)
    session.add_all(invitations)
    session.flush()


def _later(
    session: Session, user_ids: set[uuid.UUID], now: datetime, until: datetime
) -> dict[uuid.UUID, datetime]:
    """Whose invitation does not leave now but at this hour of the first day on which no other mail
    of a survey does. Where the wave closes before, now: to be asked comes first."""
    found: dict[uuid.UUID, datetime] = {}
    local, left, moment = now.astimezone(zone()).replace(tzinfo=None), set(user_ids), now
    while left and moment < until:
        that_day = mailed_on(clock.local_day(moment, zone()))
        taken = left & set(session.scalars(select(Outbox.user_id).where(that_day)))
        found |= dict.fromkeys(left - taken, moment)
        left, local = taken, local + timedelta(days=1)
        moment = clock.resolve_local(local, zone())
    return {key: at for key, at in found.items() if at != now}


def choose(
    session: Session, survey: Survey, now: datetime, *, include_held: bool = False
) -> tuple[list[Recipient], dict[str, int]]:
    """Who of the audience is asked now, and how many are not, by reason."""
    audience = people(Audience.of(survey.audience), include_held=include_held)
    opted_out = set(session.scalars(select(SurveyOptOut.user_id)))
    rested, boxes = _asked_lately(session, survey, now)
    left_out: Counter[str] = Counter()
    asked: list[Recipient] = []
    for found in map(Recipient._make, session.execute(audience)):
        if found.user.id in opted_out:
            left_out[OPTED_OUT] += 1
        elif found.user.id in rested or mailbox(found.user.email) in boxes:
            left_out[QUARANTINE] += 1
        else:
            asked.append(found)
    chosen = _one_per_mailbox(session, asked)
    left_out[MAILBOX] = len(asked) - len(chosen)
    return chosen, {reason: n for reason, n in left_out.items() if n}


def _asked_lately(
    session: Session, survey: Survey, now: datetime
) -> tuple[set[uuid.UUID], set[str]]:
    """The people and mailboxes that any survey asked in the days of quarantine before today."""
    if survey.quarantine_days <= 0:
        return set(), set()
    here = ZoneInfo(survey.timezone)
    first = clock.local_day(now, here) - timedelta(days=survey.quarantine_days - 1)
    query = (
        select(Invitation.user_id, Invitation.mailbox)
        .join(Wave, Wave.id == Invitation.wave_id)
        .where(Wave.opened_at >= clock.day_start(first, here))
    )
    rows = session.execute(query).all()
    return {row.user_id for row in rows}, {row.mailbox for row in rows if row.mailbox}


def _one_per_mailbox(session: Session, asked: Sequence[Recipient]) -> list[Recipient]:
    """Of people who share a mailbox the one who signed in last, else the first."""
    by_box: dict[str, list[Recipient]] = {}
    for found in asked:
        by_box.setdefault(mailbox(found.user.email), []).append(found)
    sharing = [found.user.id for some in by_box.values() if len(some) > 1 for found in some]
    latest = (
        select(UserSession.user_id, func.max(UserSession.created_at))
        .where(UserSession.user_id.in_(sharing))
        .group_by(UserSession.user_id)
    )
    signed_in = {row[0]: row[1] for row in session.execute(latest)} if sharing else {}
    # The first of equals wins: those who never signed in come in the order in which they came.
    return [max(some, key=lambda it: _since(signed_in.get(it.user.id))) for some in by_box.values()]


def _since(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
