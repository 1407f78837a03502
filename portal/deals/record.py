"""What every move of a deal leaves behind: a row of history, and mails to the partner."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import mail
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.deals import audience, policy
from portal.deals.models import Deal, DealHistory, Protection
from portal.deals.pipeline import Actor, Side


@dataclass(frozen=True)
class Given:
    """What a person says along with a move; each move names what it needs."""

    sentence: str = ""
    reason_code: str = ""
    note: str = ""
    customer_id: uuid.UUID | None = None
    new_customer: bool = False
    deal_type: str = ""
    won_amount: int | None = None
    won_currency: str = ""
    won_on: date | None = None
    order_number: str = ""
    loss_reason: str = ""
    # Why a deal is approved although somebody else seems to be with this customer.
    confirmation: str = ""
    contract_ends: date | None = None

    def names(self) -> set[str]:
        """The needs that are met."""
        found = {name for name in vars(self) if getattr(self, name) not in ("", None, False)}
        return found | ({"customer"} if self.customer_id or self.new_customer else set())


def actor_of(user: User | None) -> Actor:
    """A person as the pipeline sees them; nobody is the vendor's own system, as with a file."""
    if user is None:
        return Actor(None, Side.vendor, None)
    return Actor(user.id, Side.vendor if user.is_vendor else Side.partner, user.partner_id)


def history(session: Session, deal_id: uuid.UUID) -> list[DealHistory]:
    """Every move of a deal, oldest first."""
    query = select(DealHistory).where(DealHistory.deal_id == deal_id)
    query = query.options(joinedload(DealHistory.actor))
    return list(session.scalars(query.order_by(DealHistory.at, DealHistory.id)))


def note(
    session: Session,
    deal: Deal,
    user: User | None,
    name: str,
    from_status: str,
    from_stage: str | None,
    now: datetime,
    given: Given,
    to_status: str = "",
) -> None:
    """Write down a move in the history of a deal, which has been made."""
    session.add(
        DealHistory(
            deal_id=deal.id,
            at=now,
            actor_id=user.id if user else None,
            side=actor_of(user).side,
            move=name,
            from_status=from_status,
            to_status=to_status or deal.status,
            from_stage=from_stage,
            to_stage=None if to_status else deal.stage,
            reason_code=given.reason_code or None,
            sentence=given.sentence.strip(),
            note=given.note.strip(),
        )
    )
    session.flush()


def tell(session: Session, deal: Deal, message: str) -> None:
    """Send a mail about a deal to its partner's people, at once."""
    for key in audience.told(session, deal):
        mail.queue(session, message=message, user_id=key, params={"deal": str(deal.id)})


# --- mails that leave at once -------------------------------------------------------------------


def _deal_context(session: Session, params: dict[str, str]) -> dict[str, object]:
    deal = session.get_one(Deal, uuid.UUID(params["deal"]))
    return {"deal": deal, "link": mail.absolute(f"/deals/{deal.id}")}


@mail.prepares("deal_revoked")
def prepare_revoked(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the approval was withdrawn, and why."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move == "revoke"]
    return {**context, "sentence": rows[-1].sentence if rows else ""}


@mail.prepares("deal_decided")
def prepare_decided(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the decision, with the sentence of the vendor."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move in ("approve", "reject")]
    ends = session.scalars(
        select(Protection.ends_at).where(Protection.deal_id == deal.id)
    ).one_or_none()
    last = policy.last_day(ends, zone()) if ends else None
    brings = deal.policy.benefits_for(deal.partner.tier) if deal.policy else ""
    return {
        **context,
        "sentence": rows[-1].sentence if rows else "",
        "last_day": last,
        "benefits": brings if deal.status == "approved" else "",
    }


@mail.prepares("deal_question")
def prepare_question(session: Session, _user: User, params: dict[str, str]) -> dict[str, object]:
    """For the partner: the vendor's question."""
    context = _deal_context(session, params)
    deal: Any = context["deal"]
    rows = [row for row in history(session, deal.id) if row.move in ("ask", "question_win")]
    return {**context, "sentence": rows[-1].sentence if rows else ""}
