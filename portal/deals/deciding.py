"""What a decision on a registration does: review, question, approval, refusal."""

from __future__ import annotations

from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.accounts.service import zone
from portal.db import hold
from portal.deals import (
    audience,
    checks,
    customers,
    notices,
    pipeline,
    policy,
    protecting,
    reasons,
    record,
    teaming,
)
from portal.deals.models import Deal, Protection
from portal.deals.pipeline import Status
from portal.deals.record import Given
from portal.errors import Refused

# In the history of an approval: the kind that was claimed, and the one it was approved as.
KIND_CHANGED = "kind:"


def reviewed(_session: Session, deal: Deal, user: User, now: datetime, _given: Given) -> None:
    """The partner sees who has it."""
    deal.seen_at, deal.seen_by_id = now, user.id


def asked(session: Session, deal: Deal, _user: User, _now: datetime, _given: Given) -> None:
    """The partner has to answer before anything is decided."""
    # The clock stands while the partner has the ball; a changed claim is approved afresh.
    deal.decision_due_at = deal.first_approved_by_id = None
    record.tell(session, deal, "deal_question")


def approved_first(
    session: Session, deal: Deal, user: User, now: datetime, given: Given
) -> Given | None:
    """The first of the two people who approve a large deal."""
    _check_conflicts(session, deal, user, now, given)
    deal.customer_id = customers.chosen(session, deal, given.customer_id, now).id
    deal.first_approved_by_id = user.id
    others = audience.second_people(session, deal, user.id, now)
    notices.notify(session, others, "second_approval", deal, now)
    return _corrected(deal, given)


def _check_conflicts(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> None:
    """Refuse an approval that nobody could have decided on; keep why a rival did not matter."""
    if checks.refuse_unless_clear(session, deal, given.confirmation, now):
        said = Given(note=given.confirmation)
        record.note(
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


def approved(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> Given | None:
    """The claim is accepted and its customer reserved."""
    assert deal.policy is not None
    hold(session, customers.WHO_IS_WHO)
    _check_conflicts(session, deal, user, now, given)
    customer = customers.chosen(session, deal, given.customer_id, now)
    ends = policy.protected_until(now, deal.policy.protection_days, zone())
    deal.customer_id = customer.id
    protecting.refuse_overlap(session, deal, now, ends)
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
    record.tell(session, deal, "deal_decided")
    return _corrected(deal, given)


def share(session: Session, deal: Deal, user: User, now: datetime) -> None:
    """Tell both partners that they share the customer, in the words of whoever recorded it."""
    for row, other in teaming.of_deal(session, deal.id):
        if other.customer_id != deal.customer_id or other.status != Status.approved:
            continue
        given = Given(sentence=row.sentence)
        for told in (deal, other):
            record.note(session, told, user, "share", told.status, told.stage, now, given)
        notices.notify(session, audience.told(session, other), "deal_shared", other, now)


def rejected(session: Session, deal: Deal, user: User, now: datetime, given: Given) -> Given:
    """The claim is refused; the partner reads the sentence, never the code."""
    if given.reason_code not in reasons.SENTENCES:
        raise Refused(_(pipeline.missing("reason_code")))
    sentence = reasons.sentence_for(given.reason_code, given.sentence)
    if not sentence:
        raise Refused(_("Please write a sentence for the partner."))
    deal.decided_at, deal.decided_by_id = now, user.id
    record.tell(session, deal, "deal_decided")
    return Given(reason_code=given.reason_code, sentence=sentence)
