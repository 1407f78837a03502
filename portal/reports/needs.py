"""What needs the manager today: five things at most, the most urgent first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.deals import metrics as deals
from portal.deals import queue
from portal.deals.models import Deal
from portal.deals.wording import customer_of
from portal.formatting import day, moment, money
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
    """Registrations by time left, the person's own before all others, then follow-ups of low
    scores in the same order, then reported wins; some of each kind, however many of one wait."""
    waiting = queue.load(session, user, now)
    mine = waiting.of(queue.MINE)
    rows = [*mine, *(row for row in waiting.waiting if row not in mine)][:LIMIT]
    decisions = [_decision(deal, now, zone) for deal, _left in rows]
    low = [_call(case) for case in follow_ups.cases(session, first_of=user.id, limit=LIMIT)]
    wins = [_win(deal) for deal in deals.wins_to_confirm(session, LIMIT)]
    return _some_of_each([decisions, low, wins])


def _some_of_each(kinds: Sequence[list[Need]]) -> list[Need]:
    """The first of all in their order, but of every kind at least the most urgent one."""
    waiting = [kind for kind in kinds if kind]
    free, found = LIMIT - len(waiting), list[Need]()
    for kind in waiting:
        part = kind[: 1 + max(0, free)]
        free -= len(part) - 1
        found += part
    return found[:LIMIT]


def _decision(deal: Deal, now: datetime, zone: ZoneInfo) -> Need:
    family = f", {deal.product_family.name}" if deal.product_family else ""
    late = deal.decision_due_at is not None and deal.decision_due_at < now
    value = money(deal.amount_minor, deal.currency)
    return Need(
        customer_of(deal) + family,
        _("decide by %(time)s", time=moment(deal.decision_due_at, zone)),
        "bad" if late else "warn",
        _("Registered by %(partner)s, %(value)s.", partner=deal.partner.name, value=value),
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
