"""Deals that are here already when a file speaks of them: which one a row means, what it may
change, and how it confirms an order.

What was registered or moved here is decided here. A file may do one thing to it: confirm, with an
order number, that it was won, by the same move and rules as the vendor's list of wins.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.db import in_parts
from portal.deals import service
from portal.deals.import_rows import Row
from portal.deals.keys import name_key
from portal.deals.models import BY_IMPORT, Deal, DealHistory
from portal.deals.pipeline import Stage, Status
from portal.deals.record import Given
from portal.errors import PortalError
from portal.formatting import day, money
from portal.imports.kinds import RefusedRow


@dataclass
class Here:
    """The deals that some rows may mean: by what they are called, and as registered here, by
    partner and product family. `moved` are those that somebody moved here since they came, `lines`
    tells which lines have been taken."""

    zone: ZoneInfo
    by_external_id: dict[str, Deal]
    by_reference: dict[str, Deal]
    registered: dict[tuple[uuid.UUID, uuid.UUID], list[Deal]]
    moved: set[uuid.UUID]
    lines: dict[uuid.UUID, int] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session, rows: Iterable[Row], zone: ZoneInfo) -> Here:
        """Everything that is needed for some rows at once."""
        names = {name for row in rows for name in (row.external_id, row.reference) if name}
        names |= {name.upper() for name in names}
        found = cls(zone, {}, {}, defaultdict(list), set())
        # Locked, so that nobody moves one between what is decided here and what is written.
        deals = select(Deal).order_by(Deal.id).with_for_update()
        for some in in_parts(sorted(names)):
            for deal in session.scalars(deals.where(Deal.external_id.in_(some))):
                found.by_external_id[deal.external_id or ""] = deal
            for deal in session.scalars(deals.where(Deal.reference.in_(some))):
                found.by_reference[deal.reference] = deal
        if any(row.is_won and row.order_number for row in rows):
            mine = select(Deal).where(
                Deal.external_id.is_(None), Deal.status.in_((Status.approved, Status.closed))
            )
            for deal in session.scalars(mine.order_by(Deal.id)):
                if deal.product_family_id is not None:
                    found.registered[deal.partner_id, deal.product_family_id].append(deal)
        came = [*found.by_external_id.values(), *found.by_reference.values()]
        found.moved = _moved_here(session, (deal.id for deal in came))
        return found

    def is_ours(self, deal: Deal) -> bool:
        """Whether it was registered here, or has been moved here since it came."""
        return deal.external_id is None or deal.id in self.moved

    def named(self, row: Row) -> Deal | None:
        """The deal of the key elsewhere, or of the reference, that a row gives. Raises
        RefusedRow."""
        found = {}
        for name in (row.external_id, row.reference):
            for deal in (self.by_external_id.get(name), self.by_reference.get(name.upper())):
                if name and deal is not None:
                    found[deal.id] = deal
        if len(found) > 1:
            raise RefusedRow(_("external_id and reference are of two different deals here."))
        return next(iter(found.values()), None)

    def refuse_unless_certain(self, row: Row, deal: Deal | None) -> None:
        """Raise RefusedRow where nobody could tell which deal a row means."""
        if deal is None and not row.key:
            raise RefusedRow(
                _(
                    "external_id is missing, and no deal that was approved here is of this "
                    "partner, customer and product family."
                )
            )
        if deal is not None and deal.id in self.lines:
            raise RefusedRow(_("Line %(n)s is about the same deal.", n=self.lines[deal.id]))

    def ordered(
        self,
        row: Row,
        partner_id: uuid.UUID,
        family_id: uuid.UUID,
        customer_id: uuid.UUID | None,
    ) -> Deal | None:
        """The only deal of a partner, customer and product family that an order can be of. Raises
        RefusedRow where there are several."""
        if row.course != (Status.closed, Stage.won) or not row.customer or not row.order_number:
            return None
        names = {name_key(row.customer), name_key(row.known_customer or row.customer)}
        theirs = [
            deal
            for deal in self.registered.get((partner_id, family_id), [])
            if (customer_id is not None and deal.customer_id == customer_id)
            or name_key(deal.customer_name) in names
        ]
        for deal in theirs:
            if deal.stage == Stage.won and deal.order_number == row.order_number:
                return deal
        still = [
            deal for deal in theirs if deal.status == Status.approved and self._fits(deal, row)
        ]
        if len(still) > 1:
            raise RefusedRow(
                _(
                    "Several deals here could be meant (%(names)s). Give the reference.",
                    names=", ".join(sorted(deal.reference for deal in still)),
                )
            )
        return still[0] if still else None

    def _fits(self, deal: Deal, row: Row) -> bool:
        """An order of before the registration is another one."""
        closed = row.days["closed"]
        begun = deal.submitted_at and clock.local_day(deal.submitted_at, self.zone)
        return closed is not None and (begun is None or begun <= closed)

    def refuse_if_against(self, deal: Deal, row: Row, partner_id: uuid.UUID | None) -> None:
        """Raise RefusedRow where a row must not change this deal."""
        if deal.partner_id != partner_id:
            raise RefusedRow(_("This deal belongs to another partner here."))
        if not self.is_ours(deal) or self.confirms(deal, row):
            return
        if (deal.status, deal.stage) != row.course:
            raise RefusedRow(_("This deal was registered here: its status is decided here, too."))
        if row.course == (Status.closed, Stage.won):
            _refuse_other_order(deal, row, self.zone)

    def confirms(self, deal: Deal, row: Row) -> bool:
        """Whether a row confirms an order that is open, or only reported, here."""
        is_won = row.course == (Status.closed, Stage.won)
        if not (is_won and self.is_ours(deal) and deal.status == Status.approved):
            return False
        if not row.order_number:
            raise RefusedRow(_("A file confirms an order only with its order number."))
        return True


def _moved_here(session: Session, deal_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of some deals that somebody has moved in the portal since they came."""
    found: set[uuid.UUID] = set()
    for some in in_parts(sorted(set(deal_ids))):
        query = select(DealHistory.deal_id).where(
            DealHistory.deal_id.in_(some), DealHistory.move != BY_IMPORT
        )
        found.update(session.scalars(query.distinct()))
    return found


def order_of_row(deal: Deal, row: Row) -> tuple[int | None, str]:
    """The amount of an order and its currency: that of the deal where the file names none."""
    minor = row.amount if row.won_amount is None else row.won_amount
    return minor, row.won_currency or row.currency or deal.won_currency or deal.currency


def _refuse_other_order(deal: Deal, row: Row, zone: ZoneInfo) -> None:
    assert deal.won_at is not None
    minor, currency = order_of_row(deal, row)
    won_on = clock.local_day(deal.won_at, zone)
    is_other = (minor, currency, row.days["closed"]) != (
        deal.won_amount_minor,
        deal.won_currency,
        won_on,
    )
    number = row.order_number or deal.order_number
    if is_other or (deal.order_number and number != deal.order_number):
        raise RefusedRow(
            _(
                "This order was confirmed here already, otherwise: %(value)s on %(day)s, order "
                "number %(number)s.",
                value=money(deal.won_amount_minor, deal.won_currency or ""),
                day=day(won_on),
                number=deal.order_number or "–",
            )
        )


def confirm(
    session: Session, deal: Deal, row: Row, user: User | None, note: str, now: datetime
) -> None:
    """Confirm the order of a deal, as whoever works through the vendor's list does. Raises
    RefusedRow; then nothing of the deal has changed."""
    minor, currency = order_of_row(deal, row)
    given = Given(
        won_amount=minor,
        won_currency=currency,
        won_on=row.days["closed"],
        order_number=row.order_number,
        # A file without that column says nothing against what the partner reported.
        contract_ends=row.later["contract_ends"] or deal.contract_ends,
        note=note,
    )
    session.get(Deal, deal.id, with_for_update=True, populate_existing=True)
    try:
        with session.begin_nested():
            service.move(session, deal, user, "confirm_win", now, given)
    except PortalError as error:
        raise RefusedRow(str(error)) from None


def changes_of_ours(deal: Deal, row: Row) -> dict[str, Any]:
    """What a row may add to a deal of ours: the number of an order that was confirmed without."""
    is_won = (deal.status, deal.stage) == (Status.closed, Stage.won)
    if is_won and row.order_number and not deal.order_number:
        return {"order_number": row.order_number}
    return {}


def keeps_customer(deal: Deal | None, row: Row) -> bool:
    """Whether a row is silent, or says nothing new, about the customer of a deal that is linked."""
    if deal is None or deal.customer_id is None:
        return False
    return deal.customer_name == row.customer and row.course.stage is not None
