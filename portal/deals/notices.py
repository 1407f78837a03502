"""What the daily mail says about deals, a line for each; settled matters get none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from textwrap import shorten

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts import notices
from portal.accounts.models import User
from portal.accounts.notices import Describe, Line, Notice, describes
from portal.accounts.service import zone
from portal.deals import policy
from portal.deals.models import Deal, DealComment, DealHistory, Protection
from portal.deals.pipeline import OPEN_STAGES, UNDECIDED, Stage, Status
from portal.deals.wording import customer_of
from portal.formatting import day, moment

# More of what somebody wrote is on the page.
LONGEST = 300

Write = Callable[[Session, Deal, Notice], str | None]


def notify(
    session: Session,
    people: Iterable[uuid.UUID],
    kind: str,
    deal: Deal,
    now: datetime,
    *,
    params: dict[str, str] | None = None,
    urgent: bool = False,
) -> None:
    """Put something about a deal into the next mail of some people."""
    for key in people:
        notices.notify(session, key, kind, deal.id, now, params=params, urgent=urgent)


def _each(write: Write) -> Describe:
    """A line per deal that `write` has a sentence for: the deal once, whatever number of notices,
    and never a deal that the reader may not see."""

    def describe(session: Session, user: User, rows: Sequence[Notice]) -> list[Line]:
        latest = {row.subject_id: row for row in rows}
        query = select(Deal).where(Deal.id.in_(list(latest))).options(joinedload(Deal.partner))
        if not user.is_vendor:
            query = query.where(Deal.partner_id == user.partner_id)
        found = {deal.id: deal for deal in session.scalars(query)}
        lines = []
        for key, row in latest.items():
            text = write(session, found[key], row) if key in found else None
            if text:
                lines.append(Line(text, _path(found[key], row)))
        return lines

    return describe


def _path(deal: Deal, row: Notice) -> str:
    return row.params.get("path") or f"/deals/{deal.id}"


def _last_day(session: Session, deal_id: uuid.UUID) -> str | None:
    """The last day on which a deal's customer is still reserved, in words; None when none is."""
    query = select(Protection.ends_at).where(
        Protection.deal_id == deal_id, Protection.ends_at > clock.now()
    )
    ends = session.scalars(query).first()
    return day(policy.last_day(ends, zone())) if ends else None


def _waiting(deal: Deal, text: str) -> str | None:
    due = moment(deal.decision_due_at, zone())
    return text % {
        "partner": deal.partner.name, "customer": customer_of(deal), "time": due
    } if deal.status in UNDECIDED else None  # fmt: skip


# --- for the vendor -------------------------------------------------------------------------------


def _late(_session: Session, deal: Deal, _row: Notice) -> str | None:
    return _waiting(
        deal, _("%(customer)s, registered by %(partner)s: the decision was due on %(time)s.")
    )


def _due_soon(_session: Session, deal: Deal, _row: Notice) -> str | None:
    return _waiting(
        deal, _("%(customer)s, registered by %(partner)s: the decision is due on %(time)s.")
    )


def _submitted(_session: Session, deal: Deal, _row: Notice) -> str | None:
    return _waiting(
        deal, _("%(partner)s registered %(customer)s. The decision is promised by %(time)s.")
    )


def _extension_asked(session: Session, deal: Deal, _row: Notice) -> str | None:
    if deal.extension_asked_at is None:
        return None
    query = select(DealHistory.note).where(
        DealHistory.deal_id == deal.id, DealHistory.move == "ask_extension"
    )
    why = session.scalars(query.order_by(DealHistory.at.desc())).first() or ""
    return _(
        "%(partner)s asks to extend the reservation of %(customer)s: “%(why)s”",
        partner=deal.partner.name,
        customer=customer_of(deal),
        why=why,
    )


def _second_approval(_session: Session, deal: Deal, _row: Notice) -> str | None:
    if deal.status != Status.in_review or deal.first_approved_by is None:
        return None
    return _(
        "%(customer)s, registered by %(partner)s: %(name)s approved it first. It needs a second "
        "approval by %(time)s.",
        customer=customer_of(deal),
        partner=deal.partner.name,
        name=deal.first_approved_by.name,
        time=moment(deal.decision_due_at, zone()),
    )


def _revocation_proposed(session: Session, deal: Deal, _row: Notice) -> str | None:
    if deal.status != Status.approved or deal.revocation_by is None:
        return None
    query = select(DealHistory.sentence).where(
        DealHistory.deal_id == deal.id, DealHistory.move == "propose_revocation"
    )
    return _(
        "%(name)s proposes to withdraw the approval of %(customer)s (%(partner)s): “%(why)s”",
        name=deal.revocation_by.name,
        customer=customer_of(deal),
        partner=deal.partner.name,
        why=session.scalars(query.order_by(DealHistory.at.desc())).first() or "",
    )


def _comment(session: Session, deal: Deal, _row: Notice) -> str | None:
    query = select(DealComment).where(DealComment.deal_id == deal.id)
    latest = session.scalars(query.order_by(DealComment.at.desc()).limit(1)).first()
    if latest is None or latest.author.is_vendor:
        # Somebody has answered.
        return None
    return _(
        "%(name)s of %(partner)s wrote about %(customer)s: “%(text)s”",
        name=latest.author.name,
        partner=deal.partner.name,
        customer=customer_of(deal),
        text=shorten(latest.text, LONGEST, placeholder=" …"),
    )


# --- for the partner ------------------------------------------------------------------------------


def _extension_decided(session: Session, deal: Deal, _row: Notice) -> str | None:
    query = select(DealHistory).where(
        DealHistory.deal_id == deal.id, DealHistory.move.in_(("extend", "refuse_extension"))
    )
    made = session.scalars(query.order_by(DealHistory.at.desc())).first()
    if made is None or deal.status != Status.approved:
        return None
    if made.move == "extend":
        last = _last_day(session, deal.id)
        text = _("The reservation of %(customer)s is extended until %(day)s.")
        return text % {"customer": customer_of(deal), "day": last} if last else None
    return _(
        "The reservation of %(customer)s is not extended: “%(why)s”",
        customer=customer_of(deal),
        why=made.sentence,
    )


def _shared(session: Session, deal: Deal, _row: Notice) -> str | None:
    query = select(DealHistory.sentence).where(
        DealHistory.deal_id == deal.id, DealHistory.move == "share"
    )
    words = session.scalars(query.order_by(DealHistory.at.desc())).first()
    if words is None or deal.status != Status.approved:
        return None
    return _(
        "You share the customer %(customer)s by agreement: “%(words)s”",
        customer=customer_of(deal),
        words=words,
    )


def _protection_ends(session: Session, deal: Deal, _row: Notice) -> str | None:
    last = _last_day(session, deal.id)
    if last is None or deal.status != Status.approved:
        return None
    return _(
        "%(customer)s is reserved for you until %(day)s.", customer=customer_of(deal), day=last
    )


def _stale(_session: Session, deal: Deal, row: Notice) -> str | None:
    if deal.status != Status.approved or deal.stage not in OPEN_STAGES:
        return None
    return _(
        "%(customer)s: nothing new since %(day)s.",
        customer=customer_of(deal),
        day=row.params["since"],
    )


# --- for both -------------------------------------------------------------------------------------


def _renewal(_session: Session, deal: Deal, _row: Notice) -> str | None:
    if deal.contract_ends is None or deal.stage != Stage.won:
        return None
    return _(
        "The contract of %(customer)s (%(partner)s) ends on %(day)s.",
        customer=customer_of(deal),
        partner=deal.partner.name,
        day=day(deal.contract_ends),
    )


# In the order in which a mail tells them.
describes("decision_late", _l("Late: please decide"), side="vendor", optional=False)(_each(_late))
describes("decision_due", _l("To decide soon"), side="vendor")(_each(_due_soon))
describes("deal_submitted", _l("New registrations"), side="vendor")(_each(_submitted))
describes("deal_assigned", _l("Assigned to you"), side="vendor")(_each(_submitted))
describes("second_approval", _l("Waits for a second approval"), side="vendor")(
    _each(_second_approval)
)
describes("revocation_proposed", _l("Proposed to withdraw"), side="vendor")(
    _each(_revocation_proposed)
)
describes("deal_comment", _l("Partners wrote"), side="vendor")(_each(_comment))
describes("extension_asked", _l("Asked for more time"), side="vendor")(_each(_extension_asked))
describes("extension_decided", _l("Extensions"), side="partner")(_each(_extension_decided))
describes("deal_shared", _l("Customers that you share"), side="partner")(_each(_shared))
describes("protection_ends", _l("Reservations that end soon"), side="partner")(
    _each(_protection_ends)
)
describes("deal_stale", _l("Where do these deals stand?"), side="partner")(_each(_stale))
describes("renewal", _l("Contracts to renew"))(_each(_renewal))
