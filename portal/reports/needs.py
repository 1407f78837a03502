"""What needs the manager today: five things at most, the most urgent first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.deals import asked, queue
from portal.deals import metrics as deals
from portal.deals.models import Deal
from portal.deals.wording import customer_of
from portal.formatting import count, day, moment, money
from portal.leads import offers
from surveys import follow_ups

LIMIT = 5


@dataclass(frozen=True)
class Need:
    """One thing to do: what, how urgent (`kind` of the chip), why, and where."""

    what: str
    chip: str
    kind: str
    why: str
    action: str
    href: str


def today(session: Session, user: User, now: datetime, zone: ZoneInfo) -> list[Need]:
    """Registrations by time left, the person's own before all others, then leads that nobody takes,
    what waits for a second person or more time, follow-ups of low scores in the same order, and
    reported wins; some of each kind, however many of one wait."""
    waiting = queue.load(session, user, now)
    # Whoever approved first has done their part.
    decisions = [
        _decision(deal, now, zone)
        for deal, _left in _in_order(waiting)
        if deal.first_approved_by_id != user.id
    ][:LIMIT]
    low = [_call(case) for case in follow_ups.cases(session, first_of=user.id, limit=LIMIT)]
    wins = [_win(deal) for deal in deals.wins_to_confirm(session, LIMIT)]
    asks = _asks(session, user, waiting)
    return _some_of_each([decisions, _left_alone(session, now), asks, low, wins])


def _some_of_each(kinds: Sequence[list[Need]]) -> list[Need]:
    """The first of all in their order, but of every kind at least the most urgent one."""
    waiting = [kind for kind in kinds if kind]
    free, found = LIMIT - len(waiting), list[Need]()
    for kind in waiting:
        part = kind[: 1 + max(0, free)]
        free -= len(part) - 1
        found += part
    return found[:LIMIT]


def _in_order(waiting: queue.Queue) -> list[tuple[Deal, timedelta | None]]:
    """The reader's own first, then what a colleague has approved already, then all others; each by
    time left."""
    mine = {deal.id for deal, _left in waiting.of(queue.MINE)}
    return sorted(
        waiting.waiting,
        key=lambda row: (row[0].id not in mine, row[0].first_approved_by_id is None),
    )


def _asks(session: Session, user: User, waiting: queue.Queue) -> list[Need]:
    """Proposals to withdraw an approval, except the reader's own, and requests for more time, of
    deals that the reader looks after before others."""
    proposed = [
        deal for deal in asked.to_withdraw(session, LIMIT) if deal.revocation_by_id != user.id
    ]
    late = asked.for_more_time(session, 50)
    late.sort(key=lambda deal: waiting.acting_for(deal) != waiting.reader)
    return [_proposal(deal) for deal in proposed] + [_more_time(deal) for deal in late]


def _left_alone(session: Session, now: datetime) -> list[Need]:
    n = len(offers.left_alone(session, now))
    if not n:
        return []
    return [
        Need(
            count(n, "%(num)s lead that nobody takes", "%(num)s leads that nobody takes"),
            _("without a partner"),
            "warn",
            _("The rules find no other partner."),
            _("Choose"),
            url_for("leads.index", partner="left"),
        )
    ]


def _proposal(deal: Deal) -> Need:
    name = deal.revocation_by.name if deal.revocation_by else ""
    return Need(
        customer_of(deal),
        _("proposed to withdraw"),
        "warn",
        _(
            "%(name)s proposes to withdraw the approval for %(partner)s.",
            name=name,
            partner=deal.partner.name,
        ),
        _("Look"),
        url_for("deals.show", deal_id=deal.id),
    )


def _more_time(deal: Deal) -> Need:
    return Need(
        customer_of(deal),
        _("asks for more time"),
        "warn",
        _("%(partner)s asks to extend the reservation.", partner=deal.partner.name),
        _("Answer"),
        url_for("deals.show", deal_id=deal.id),
    )


def _decision(deal: Deal, now: datetime, zone: ZoneInfo) -> Need:
    family = f", {deal.product_family.name}" if deal.product_family else ""
    late = deal.decision_due_at is not None and deal.decision_due_at < now
    value = money(deal.amount_minor, deal.currency)
    why = _("Registered by %(partner)s, %(value)s.", partner=deal.partner.name, value=value)
    if deal.first_approved_by is not None:
        why += " " + _("First approval by %(name)s.", name=deal.first_approved_by.name)
    return Need(
        customer_of(deal) + family,
        _("decide by %(time)s", time=moment(deal.decision_due_at, zone)),
        "bad" if late else "warn",
        why,
        _("Decide"),
        url_for("deals.show", deal_id=deal.id),
    )


def _win(deal: Deal) -> Need:
    value = money(deal.won_amount_minor, deal.won_currency or "")
    return Need(
        customer_of(deal),
        _("won"),
        "good",
        _("%(partner)s reports an order of %(value)s.", partner=deal.partner.name, value=value),
        _("Confirm"),
        url_for("deals.show", deal_id=deal.id),
    )


def _call(case: follow_ups.Case) -> Need:
    row, silent = case.follow_up, _("No comment was left.")
    if case.person:
        silent = _("%(name)s left no comment.", name=case.person.name)
    return Need(
        _("%(partner)s scored %(score)s", partner=case.partner, score=case.worst or "–"),
        _("call by %(day)s", day=day(row.due_on)),
        "bad",
        f"“{case.comment}”" if case.comment else silent,
        _("Open"),
        url_for("surveys.follow_up", follow_up_id=row.id),
    )
