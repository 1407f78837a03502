"""What the portal says about deals by itself: decisions that are due, protections and contracts
that end, deals of which nothing is heard. It reminds; it never decides.

Every step of a round is a row that is written once, in the transaction that also writes the
notices, with the deal locked: no restart, outage or second scheduler tells anybody twice. After an
outage the latest step that was reached is told; those it overtook are only noted.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import notices as mails
from portal.accounts.service import zone
from portal.db import db, in_parts, write
from portal.deals import audience, notices, policy, policy_versions, silence
from portal.deals.models import Deal, DealHistory, DealReminder, Policy, Protection
from portal.deals.pipeline import UNDECIDED, Stage, Status
from portal.deals.policy import Terms
from portal.formatting import day

DECISION, PROTECTION, STALE, RENEWAL = "decision", "protection", "stale", "renewal"
# A partner is asked about the same silent deal at most once in this time.
STALE_AGAIN = timedelta(days=30)
SUBMITTING = ("submit", "resubmit")


class Reached(NamedTuple):
    """The steps of a round that a deal has come to, in order."""

    deal_id: uuid.UUID
    round: int
    steps: list[int]


# Finds what some deals, or only one, have come to.
Find = Callable[[Session, datetime, uuid.UUID | None], list[Reached]]
Tell = Callable[[Session, Deal, int, datetime], None]


def _remind(kind: str, find: Find, tell: Tell, now: datetime) -> int:
    """Tell of every deal whose latest step is new; returns of how many. What is found is only a
    guess at what to lock: it is found again inside the door."""
    session = db.session()
    found = [reached for reached in find(session, now, None) if reached.steps]
    known: set[tuple[uuid.UUID, int, int]] = set()
    for part in in_parts([reached.deal_id for reached in found]):
        known |= _known(session, kind, part)
    due = [row.deal_id for row in found if (row.deal_id, row.round, row.steps[-1]) not in known]
    session.rollback()
    return sum(_remind_of(deal_id, kind, find, tell, now) for deal_id in due)


def _remind_of(deal_id: uuid.UUID, kind: str, find: Find, tell: Tell, now: datetime) -> bool:
    with write((Deal, deal_id)) as session:
        told = False
        for reached in find(session, now, deal_id):
            if _take(session, kind, reached, now):
                tell(session, session.get_one(Deal, deal_id), reached.steps[-1], now)
                told = True
    return told


def _known(
    session: Session, kind: str, deal_ids: Sequence[uuid.UUID]
) -> set[tuple[uuid.UUID, int, int]]:
    query = select(DealReminder.deal_id, DealReminder.round, DealReminder.step).where(
        DealReminder.kind == kind, DealReminder.deal_id.in_(deal_ids)
    )
    return {(row.deal_id, row.round, row.step) for row in session.execute(query)}


def _take(session: Session, kind: str, reached: Reached, now: datetime) -> bool:
    """Note the steps; whether the last one is new, and so to be told."""
    deal_id, number, steps = reached
    known = {step for _id, its, step in _known(session, kind, [deal_id]) if its == number}
    if not steps or steps[-1] in known:
        return False
    for step in steps:
        if step not in known:
            sent = now if step == steps[-1] else None
            row = DealReminder(
                deal_id=deal_id, kind=kind, round=number, step=step, noted_at=now, sent_at=sent
            )
            session.add(row)
    session.flush()
    return True


def _only(deal_id: uuid.UUID | None):  # type: ignore[no-untyped-def]
    return Deal.id.is_not(None) if deal_id is None else Deal.id == deal_id


# --- decisions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionClock:
    """How the time of a registration runs: how often it was submitted, since when it waits, and how
    much of its time it had used before."""

    round: int
    begun: datetime
    used: timedelta

    def reached(self, terms: Terms, now: datetime, local: ZoneInfo) -> list[int]:
        """The steps that it has come to by now."""
        steps = policy.decision_steps(terms)
        return [
            step
            for step in steps
            if policy.reached_at(self.begun, step, terms, local, self.used) <= now
        ]


def decision_clock(
    moves: Sequence[tuple[datetime, str, str]], terms: Terms, local: ZoneInfo
) -> DecisionClock | None:
    """The clock of a registration, of its moves in order, each with its name and the status it led
    to; None when it does not wait for the vendor."""
    waits = [(at, status in UNDECIDED) for at, _name, status in moves]
    if not waits or not waits[-1][1]:
        return None
    spells = policy.spells(waits, end=waits[-1][0])
    used = policy.time_used(spells[:-1], terms.calendar, local)
    number = sum(name in SUBMITTING for _at, name, _status in moves)
    return DecisionClock(number, spells[-1][0], used)


def remind_decisions(now: datetime) -> int:
    """Job: tell the vendor of registrations that near the end of their time, and of those that have
    reached it; returns of how many."""
    return _remind(DECISION, _undecided, _tell_decision, now)


def _undecided(session: Session, now: datetime, only: uuid.UUID | None) -> list[Reached]:
    waiting = _only(only) & Deal.status.in_(UNDECIDED) & Deal.decision_due_at.is_not(None)
    rules = session.execute(
        select(Deal.id, Policy).join(Policy, Deal.policy_id == Policy.id).where(waiting)
    )
    terms = {deal_id: row.terms for deal_id, row in rules}
    query = select(
        DealHistory.deal_id, DealHistory.at, DealHistory.move, DealHistory.to_status
    ).where(DealHistory.deal_id.in_(select(Deal.id).where(waiting)))
    moves: dict[uuid.UUID, list[tuple[datetime, str, str]]] = defaultdict(list)
    for row in session.execute(query.order_by(DealHistory.at, DealHistory.id)):
        moves[row.deal_id].append((row.at, row.move, row.to_status))
    found, local = [], zone()
    for deal_id in sorted(terms.keys() & moves.keys()):
        running = decision_clock(moves[deal_id], terms[deal_id], local)
        if running is not None:
            steps = running.reached(terms[deal_id], now, local)
            found.append(Reached(deal_id, running.round, steps))
    return found


def _tell_decision(session: Session, deal: Deal, step: int, now: datetime) -> None:
    told = audience.deciders(session, deal, now)
    if step < 100:
        for key in told:
            # In the daily mail where that still comes in time; else at once.
            too_late = mails.next_mail(session, key, now) >= (deal.decision_due_at or now)
            notices.notify(session, [key], "decision_due", deal, now, urgent=too_late)
        return
    assert deal.policy is not None
    others = audience.escalated_to(session, deal.policy.terms.escalate_to, told)
    people = [*told, *(person.id for person in others)]
    notices.notify(session, people, "decision_late", deal, now, urgent=True)


# --- protections --------------------------------------------------------------------------------


def remind_protections(now: datetime) -> int:
    """Job: tell partners that protections end soon, once per step and extension; returns of how
    many."""
    return _remind(PROTECTION, _ending, _tell_protection, now)


def _ending(session: Session, now: datetime, only: uuid.UUID | None) -> list[Reached]:
    query = (
        select(Deal.id, Protection.ends_at, Policy)
        .join(Protection, Protection.deal_id == Deal.id)
        .join(Policy, Deal.policy_id == Policy.id)
        .where(_only(only), silence.IS_OPEN, Protection.ends_at > now)
        .order_by(Deal.id)
    )
    found = {}
    for deal_id, ends, rules in session.execute(query):
        closest = policy.reminder_due(ends, now, rules.terms)
        if closest is not None:
            steps = {step for step in rules.terms.protection_reminders if step >= closest}
            found[deal_id] = sorted(steps, reverse=True)
    extended: dict[uuid.UUID, int] = defaultdict(int)
    for part in in_parts(list(found)):
        counts = select(DealHistory.deal_id, func.count()).where(
            DealHistory.deal_id.in_(part), DealHistory.move == "extend"
        )
        for deal_id, n in session.execute(counts.group_by(DealHistory.deal_id)):
            extended[deal_id] = n
    return [Reached(deal_id, extended[deal_id], steps) for deal_id, steps in found.items()]


def _tell_protection(session: Session, deal: Deal, _step: int, now: datetime) -> None:
    notices.notify(session, audience.told(session, deal), "protection_ends", deal, now)


# --- silence ------------------------------------------------------------------------------------


def warn_stale(now: datetime) -> int:
    """Job: ask partners about deals of which nothing was heard for as long as the rules say, at
    most monthly; returns about how many."""
    return _remind(STALE, _silent, _tell_stale, now)


def _silent(session: Session, now: datetime, only: uuid.UUID | None) -> list[Reached]:
    some = None if only is None else [only]
    silent = list(silence.silent(session, now, some))
    found = []
    for part in in_parts(silent):
        warnings = select(
            DealReminder.deal_id, func.max(DealReminder.step), func.max(DealReminder.noted_at)
        ).where(DealReminder.kind == STALE, DealReminder.deal_id.in_(part))
        rows = session.execute(warnings.group_by(DealReminder.deal_id))
        warned = {row[0]: (row[1], row[2]) for row in rows}
        for key in part:
            step, at = warned.get(key, (0, None))
            if at is None or at + STALE_AGAIN <= now:
                found.append(Reached(key, 0, [step + 1]))
    return found


def _tell_stale(session: Session, deal: Deal, _step: int, now: datetime) -> None:
    news = silence.last_news(session, [deal.id]).get(deal.id, now)
    since = {"since": day(clock.local_day(news, zone()))}
    notices.notify(session, audience.told(session, deal), "deal_stale", deal, now, params=since)


# --- contracts ----------------------------------------------------------------------------------


def propose_renewals(now: datetime) -> int:
    """Job: propose to partner and vendor to renew contracts that end, as long before as the rules
    say, once for each end; returns of how many."""
    return _remind(RENEWAL, _contracts, _tell_renewal, now)


def _contracts(session: Session, now: datetime, only: uuid.UUID | None) -> list[Reached]:
    today = clock.local_day(now, zone())
    query = (
        select(Deal.id, Deal.contract_ends, Policy.renewal_days)
        .outerjoin(Policy, Deal.policy_id == Policy.id)
        .where(_only(only), Deal.status == Status.closed, Deal.stage == Stage.won)
        .where(Deal.contract_ends >= today)
        .order_by(Deal.id)
    )
    usual = policy_versions.current_policy(session, now).renewal_days
    found = []
    for deal_id, ends, lead in session.execute(query):
        if ends is not None and ends - timedelta(days=lead or usual) <= today:
            found.append(Reached(deal_id, ends.toordinal(), [0]))
    return found


def _tell_renewal(session: Session, deal: Deal, _step: int, now: datetime) -> None:
    form = {"path": f"/deals/new?renews={deal.id}"}
    notices.notify(session, audience.told(session, deal), "renewal", deal, now, params=form)
    notices.notify(session, audience.deciders(session, deal, now), "renewal", deal, now)
