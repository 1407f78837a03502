"""Looking for conflicts: who else may be with the customer of a registration.

Context: whether a rival is there must not show in the partner's request, not even in its time; and
what two people decide at the same moment must not pass each other.
Decision: a job compares each undecided registration with all others, with what is reserved, with
customers and with the vendor's known accounts, and keeps what it finds as rows. Whoever finds a
registration that does not know of it yet lets that one be checked again. Approving needs a check
that is done, looks once more inside its own transaction, and takes a reason where a rival is surely
there. Nothing is ever rejected by itself.
Consequences: a check that waits or failed blocks approval, and can be run by hand.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from portal.db import db, hold, in_parts, new_id, write
from portal.deals import conflicts
from portal.deals.conflicts import KEYS_VERSION, Band, Keys, Match
from portal.deals.customer_models import (
    ConflictCheck,
    ConflictMatch,
    CustomerMerge,
    KnownAccount,
)
from portal.deals.keys import keys_of
from portal.deals.models import Customer, Deal, Protection
from portal.deals.pipeline import UNDECIDED, Status
from portal.errors import Busy, Refused
from portal.logs import log

# Held by whoever decides who is who: makes or merges customers, approves, keeps what was found.
WHO_IS_WHO = uuid.UUID("6b1f0c5e-0d1a-4c58-9d53-8a40b1e6c0d7")
WAITING, DONE, FAILED = "waiting", "done", "failed"
# A check that failed is tried again by itself after this long.
RETRY = timedelta(minutes=10)
AT_ONCE = 100
# Registrations that still want the customer.
OPEN = (*UNDECIDED, Status.returned, Status.approved)
RIVALS = ("deal", "protection")


@dataclass(frozen=True)
class Candidate:
    """Something that a registration is compared with; rivals know their partner and family."""

    kind: str
    id: uuid.UUID
    keys: Keys
    partner_id: uuid.UUID | None = None
    family_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Found:
    """A candidate that may be the same company. `is_rival`: for the same family, by another."""

    candidate: Candidate
    match: Match
    is_rival: bool

    @property
    def name(self) -> tuple[str, uuid.UUID, str]:
        """What it is and how surely; two checks that say the same have the same names."""
        return self.candidate.kind, self.candidate.id, self.match.band.value


# --- finding ------------------------------------------------------------------------------------

_KEYS = ("company_key", "domain_key", "tax_key", "country", "postcode")


def _columns(model: Any, *more: Any) -> Any:
    return select(model.id, *(getattr(model, name) for name in _KEYS), *more)


def _open_deals(session: Session, now: datetime, *tests: Any) -> list[Candidate]:
    """Registrations that still want their customer; `protection` where it is reserved for them."""
    runs = and_(Protection.deal_id == Deal.id, Protection.ends_at > now)
    query = _columns(Deal, Deal.partner_id, Deal.product_family_id, Protection.id.label("runs"))
    query = query.outerjoin(Protection, runs).where(Deal.status.in_(OPEN), *tests)
    return [
        Candidate(
            "protection" if row.runs else "deal",
            row.id,
            keys_of(row),
            row.partner_id,
            row.product_family_id,
        )
        for row in session.execute(query)
    ]


def everything(session: Session, now: datetime) -> list[Candidate]:
    """All that a registration is compared with."""
    customers = _columns(Customer).where(Customer.merged_into_id.is_(None))
    accounts = _columns(KnownAccount, KnownAccount.product_family_id)
    return [
        *_open_deals(session, now),
        *(Candidate("customer", row.id, keys_of(row)) for row in session.execute(customers)),
        *(
            Candidate("account", row.id, keys_of(row), family_id=row.product_family_id)
            for row in session.execute(accounts)
        ),
    ]


def find(deal: Deal, candidates: Iterable[Candidate]) -> list[Found]:
    """Those that may be the customer of `deal`, rivals and the surest first."""
    mine, found = keys_of(deal), []
    for candidate in candidates:
        match = None if candidate.id == deal.id else conflicts.compare(mine, candidate.keys)
        if match is not None:
            found.append(Found(candidate, match, _is_rival(deal, candidate)))
    order = list(Band)
    return sorted(
        found,
        key=lambda one: (
            order.index(one.match.band),
            not one.is_rival,
            -one.match.score,
            str(one.candidate.id),
        ),
    )


def _is_rival(deal: Deal, other: Candidate) -> bool:
    if other.kind == "customer":
        return False
    if other.kind == "account":
        return other.family_id in (None, deal.product_family_id)
    return other.partner_id != deal.partner_id and other.family_id == deal.product_family_id


# --- the job ------------------------------------------------------------------------------------


def wait(session: Session, deal_id: uuid.UUID) -> None:
    """A claim was submitted or changed: its check is to be done again."""
    _let_wait(session, ConflictCheck.deal_id == deal_id)


def _let_wait(session: Session, test: Any) -> None:
    session.execute(
        update(ConflictCheck).where(test).values(state=WAITING),
        execution_options={"synchronize_session": False},
    )


def approved(session: Session, deal_id: uuid.UUID) -> None:
    """A registration was approved: its rivals look again."""
    hold(session, WHO_IS_WHO)
    found = select(ConflictMatch.deal_id).where(
        ConflictMatch.other_deal_id == deal_id, ConflictMatch.is_rival
    )
    _let_wait(session, ConflictCheck.deal_id.in_(found))


def customers_changed(session: Session, customer_ids: Collection[uuid.UUID]) -> None:
    """Customers changed: those that found them look again."""
    found = select(ConflictMatch.deal_id).where(ConflictMatch.customer_id.in_(customer_ids))
    _let_wait(session, ConflictCheck.deal_id.in_(found))


def all_wait(session: Session) -> None:
    """A list was brought in, of accounts or of deals: every registration is compared again."""
    _let_wait(session, ConflictCheck.state == DONE)


def run_waiting(now: datetime) -> int:
    """Job: check every undecided registration whose check waits; returns how many were."""
    keys = list(db.session.scalars(_waiting(now)))
    stamp = _stamp(db.session()) if keys else ()
    candidates = everything(db.session(), now) if keys else []
    db.session.rollback()
    return sum(_check(key, candidates, stamp, now) for key in keys)


def _stamp(session: Session) -> tuple[Any, ...]:
    """What changes with every list that is brought in and every merge: registrations that come
    meanwhile are looked for again when one is approved."""
    accounts = session.execute(select(func.count(), func.max(KnownAccount.imported_at))).one()
    merges = session.scalar(select(func.count()).select_from(CustomerMerge))
    return (*accounts, merges)


def _waiting(now: datetime) -> Any:
    is_due = or_(
        ConflictCheck.deal_id.is_(None),
        ConflictCheck.state == WAITING,
        ConflictCheck.keys_version < KEYS_VERSION,
        and_(ConflictCheck.state == FAILED, ConflictCheck.checked_at < now - RETRY),
    )
    query = select(Deal.id).outerjoin(ConflictCheck, ConflictCheck.deal_id == Deal.id)
    mine = query.where(Deal.status.in_((*UNDECIDED, Status.returned)), is_due)
    return mine.order_by(Deal.submitted_at, Deal.id).limit(AT_ONCE)


def run_one(deal_id: uuid.UUID, now: datetime) -> bool:
    """Check one registration by hand, whatever its check says; whether it could be done."""
    stamp, candidates = _stamp(db.session()), everything(db.session(), now)
    db.session.rollback()
    return _check(deal_id, candidates, stamp, now)


def _check(
    deal_id: uuid.UUID, candidates: Sequence[Candidate], stamp: tuple[Any, ...], now: datetime
) -> bool:
    try:
        deal = db.session.get_one(Deal, deal_id)
        claim, found = _claim(deal), find(deal, candidates)
        with write((Deal, deal_id), holding=WHO_IS_WHO) as session:
            deal = session.get_one(Deal, deal_id, populate_existing=True)
            if _claim(deal) != claim or _stamp(session) != stamp:
                return False  # something was changed meanwhile, and waits for the next time
            _keep(session, deal_id, found, now)
    except Busy:
        db.session.rollback()
        return False
    except Exception as problem:  # one that fails must not stop the others
        log.error("check for conflicts failed", exc_info=problem)
        db.session.rollback()
        with write((Deal, deal_id)) as session:
            _say(session, deal_id, FAILED, now, f"{type(problem).__name__}: {problem}"[:500])
        return False
    return True


def _claim(deal: Deal) -> tuple[Any, ...]:
    return keys_of(deal), deal.partner_id, deal.product_family_id, deal.status


def _say(session: Session, deal_id: uuid.UUID, state: str, now: datetime, error: str = "") -> None:
    session.merge(
        ConflictCheck(
            deal_id=deal_id,
            state=state,
            checked_at=now,
            error=error,
            keys_version=KEYS_VERSION,
        )
    )
    session.flush()


def _keep(session: Session, deal_id: uuid.UUID, found: Sequence[Found], now: datetime) -> None:
    session.execute(delete(ConflictMatch).where(ConflictMatch.deal_id == deal_id))
    rows = [_row(deal_id, one) for one in found]
    for some in in_parts(rows):
        session.execute(insert(ConflictMatch), some)
    _say(session, deal_id, DONE, now)
    _wake(session, deal_id, found)


def _row(deal_id: uuid.UUID, found: Found) -> dict[str, Any]:
    kind, key = found.candidate.kind, found.candidate.id
    return {
        "id": new_id(),
        "deal_id": deal_id,
        "kind": kind,
        "other_deal_id": key if kind in RIVALS else None,
        "account_id": key if kind == "account" else None,
        "customer_id": key if kind == "customer" else None,
        "band": found.match.band.value,
        "score": found.match.score,
        "is_rival": found.is_rival,
        "evidence": [asdict(row) for row in found.match.evidence],
    }


def _wake(session: Session, deal_id: uuid.UUID, found: Iterable[Found]) -> None:
    """Let those be checked again that know of this registration what is no longer so, or know
    nothing of it yet. What two find of each other is the same, so this ends."""
    query = select(ConflictMatch.deal_id, ConflictMatch.band)
    known = {
        row.deal_id: row.band
        for row in session.execute(query.where(ConflictMatch.other_deal_id == deal_id))
    }
    now = {one.candidate.id: one.match.band.value for one in found if one.candidate.kind in RIVALS}
    stale = {key for key in {*known, *now} if known.get(key) != now.get(key)}
    for some in in_parts(sorted(stale)):
        _let_wait(session, ConflictCheck.deal_id.in_(some))


def customers_found(session: Session, deal_id: uuid.UUID) -> list[Customer]:
    """Customers that are the one of a registration, or very likely, however they are spelled."""
    query = select(Customer).join(ConflictMatch, ConflictMatch.customer_id == Customer.id)
    query = query.where(ConflictMatch.deal_id == deal_id, ConflictMatch.band != Band.possible)
    return list(
        session.scalars(query.where(Customer.merged_into_id.is_(None)).order_by(Customer.id))
    )


# --- approving ----------------------------------------------------------------------------------


def state_of(check: ConflictCheck | None) -> str:
    """Where a check is; one by older rules waits."""
    if check is None or (check.state == DONE and check.keys_version < KEYS_VERSION):
        return WAITING
    return check.state


def refuse_unless_clear(session: Session, deal: Deal, reason: str, now: datetime) -> bool:
    """Refuse an approval while conflicts are not known; whether `reason` was needed for it.

    To be asked inside the transaction that approves: what came since the check counts, too.
    """
    state = state_of(session.get(ConflictCheck, deal.id, populate_existing=True))
    if state == WAITING:
        raise Refused(
            _(
                "The check for conflicts has not finished; it takes a few seconds. "
                "Nothing was approved: please look at the evidence and try again."
            )
        )
    if state == FAILED:
        raise Refused(
            _("The check for conflicts failed. Please run it again before you approve anything.")
        )
    if _came_since(session, deal, now):
        raise Refused(
            _(
                "Something that may concern the same customer came since the check for conflicts. "
                "Nothing was approved: please look at the evidence again in a moment."
            )
        )
    if not _surely_there(session, deal.id):
        return False
    if not reason.strip():
        raise Refused(
            _("Somebody else is with this customer. Please say why you approve all the same.")
        )
    return True


def _came_since(session: Session, deal: Deal, now: datetime) -> bool:
    """Whether there is a rival now that the check does not know, or knows otherwise."""
    others = (Deal.product_family_id == deal.product_family_id, Deal.partner_id != deal.partner_id)
    rivals = find(deal, _open_deals(session, now, *others))
    query = select(ConflictMatch.kind, ConflictMatch.other_deal_id, ConflictMatch.band)
    kept = session.execute(query.where(ConflictMatch.deal_id == deal.id))
    known = {(row.kind, row.other_deal_id, row.band) for row in kept}
    # A protection that ended since is less, not more.
    known |= {("deal", key, band) for kind, key, band in known if kind == "protection"}
    return any(one.name not in known for one in rivals)


def surely_there(rows: Iterable[ConflictMatch]) -> bool:
    """Whether a rival is in the top band: another open registration, or a known account."""
    return any(
        row.is_rival
        and row.band == Band.same
        and (row.other_deal is None or row.other_deal.status in OPEN)
        for row in rows
    )


def _surely_there(session: Session, deal_id: uuid.UUID) -> bool:
    query = select(ConflictMatch).where(
        ConflictMatch.deal_id == deal_id, ConflictMatch.is_rival, ConflictMatch.band == Band.same
    )
    return surely_there(session.scalars(query))
