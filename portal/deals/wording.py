"""Deals in words: what a person reads before they read a number."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from markupsafe import Markup

from portal import clock
from portal.deals import policy
from portal.deals.models import Deal, Protection
from portal.deals.pipeline import Stage, Status
from portal.formatting import clock_time, count, day, money, soon

STATUS_NAMES: dict[str, LazyString] = {
    Status.draft: _l("Draft"),
    Status.submitted: _l("Submitted"),
    Status.in_review: _l("In review"),
    Status.returned: _l("More information needed"),
    Status.approved: _l("Approved"),
    Status.rejected: _l("Rejected"),
    Status.withdrawn: _l("Withdrawn"),
    Status.expired: _l("Expired"),
    Status.revoked: _l("Approval withdrawn"),
    Status.closed: _l("Closed"),
}
STAGE_NAMES: dict[str, LazyString] = {
    Stage.qualified: _l("Qualified"),
    Stage.proposal: _l("Proposal"),
    Stage.negotiation: _l("Negotiation"),
    Stage.won: _l("Won"),
    Stage.lost: _l("Lost"),
}
MOVE_NAMES: dict[str, LazyString] = {
    "edit": _l("changed the claim"),
    "submit": _l("submitted the registration"),
    "take_in_review": _l("took it in review"),
    "ask": _l("asked for more information"),
    "resubmit": _l("sent it again"),
    "approve_first": _l("approved it first; a second approval is needed"),
    "approve": _l("approved it"),
    "confirm_match": _l("approves it although somebody else is with this customer"),
    "team": _l("recorded that two partners work together on this customer"),
    "share": _l("recorded that two partners share this customer by agreement"),
    "ask_extension": _l("asked for an extension"),
    "extend": _l("extended the reservation"),
    "refuse_extension": _l("did not extend the reservation"),
    "propose_revocation": _l("proposed to withdraw the approval"),
    "drop_revocation": _l("dropped the proposal to withdraw the approval"),
    "revoke": _l("withdrew the approval"),
    "reject": _l("rejected it"),
    "withdraw": _l("withdrew it"),
    "to_qualified": _l("moved it to qualified"),
    "to_proposal": _l("moved it to proposal"),
    "to_negotiation": _l("moved it to negotiation"),
    "report_won": _l("reported it as won"),
    "confirm_win": _l("confirmed the win"),
    "question_win": _l("asked about the win"),
    "lose": _l("closed it as lost"),
    "expire": _l("let it expire"),
    "assign": _l("assigned it to"),
    "import": _l("imported it"),
}


def customer_of(deal: Deal) -> str:
    """The customer as the partner states it; imported deals may have none."""
    if deal.status == Status.draft:
        return deal.customer_name or _("A customer without a name yet")
    return deal.customer_name or _("Customer unknown")


def sentence(
    deal: Deal, protection: Protection | None, now: datetime, zone: ZoneInfo, *, to_vendor: bool
) -> str:
    """Where a deal stands, in one sentence to the side that reads it."""
    status = deal.status
    if status == Status.draft:
        return _("A draft: only you and your colleagues see it. Submit it to reserve the customer.")
    if status in (Status.submitted, Status.in_review):
        promise = _("Decision by %(time)s.", time=soon(deal.decision_due_at, now, zone))
        if deal.seen_by is None or deal.seen_at is None:
            return promise
        seen = clock_time(deal.seen_at, now, zone)
        return _("Seen by %(name)s, %(time)s.", name=deal.seen_by.name, time=seen) + " " + promise
    if status == Status.returned:
        if to_vendor:
            return _("We asked the partner for more information; it waits for their answer.")
        return _("The vendor has a question; it waits for your answer.")
    if status == Status.approved:
        return _approved(deal, protection, now, zone, to_vendor)
    if status == Status.closed and deal.stage == Stage.won:
        value = money(deal.won_amount_minor, deal.won_currency or "")
        if to_vendor:
            return _("Won: %(value)s, confirmed by us.", value=value)
        return _("Won: %(value)s, confirmed by the vendor.", value=value)
    over = deal.lost_at or deal.left_at or deal.decided_at
    name = _("Closed as lost") if status == Status.closed else str(STATUS_NAMES[status])
    return f"{name}, {day(clock.local_day(over, zone))}." if over else f"{name}."


def _approved(
    deal: Deal, protection: Protection | None, now: datetime, zone: ZoneInfo, to_vendor: bool
) -> str:
    if deal.stage == Stage.won:
        value = money(deal.won_amount_minor, deal.won_currency or "")
        if to_vendor:
            return _("The partner reports it as won: %(value)s. Confirm it, or ask.", value=value)
        return _("Reported as won: %(value)s. The vendor confirms it.", value=value)
    if protection is None:
        return _("Approved, without a reservation.")
    if protection.ends_at <= now:
        return _("Approved. The reservation has ended.")
    last = day(policy.last_day(protection.ends_at, zone))
    if to_vendor:
        name = deal.partner.name
        return _(
            "Approved: the customer is reserved for %(name)s until %(day)s.", name=name, day=last
        )
    return _("Approved: the customer is reserved for you until %(day)s.", day=last)


def no_news(since: datetime, now: datetime, zone: ZoneInfo) -> str:
    """For how many days nothing was heard of a deal."""
    days = (clock.local_day(now, zone) - clock.local_day(since, zone)).days
    return count(days, "No news for %(num)s day", "No news for %(num)s days")


_KINDS = {
    Status.submitted: "warn",
    Status.in_review: "warn",
    Status.returned: "bad",
    Status.approved: "good",
    Status.rejected: "bad",
}


def chip(deal: Deal, protection: Protection | None, now: datetime, zone: ZoneInfo) -> Markup:
    """The state of a deal as a soft label."""
    kind, text = _KINDS.get(Status(deal.status), ""), str(STATUS_NAMES[deal.status])
    if deal.status in (Status.submitted, Status.in_review) and deal.decision_due_at:
        local = deal.decision_due_at.astimezone(zone)
        text = _("decision by %(time)s", time=f"{local:%a} {local.day} {local:%b %H:%M}")
        kind = "bad" if deal.decision_due_at < now else kind
    if deal.status == Status.approved and protection is not None and protection.ends_at > now:
        left = (protection.ends_at - now).days
        text = count(left, "reserved %(num)s day", "reserved %(num)s days")
    if deal.stage in (Stage.won, Stage.lost):
        text, kind = str(STAGE_NAMES[deal.stage]), "good" if deal.stage == Stage.won else ""
    return Markup('<span class="chip {}">{}</span>').format(kind, text)
