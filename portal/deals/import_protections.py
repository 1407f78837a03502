"""Reservations that a file of deals gives: none overlaps another one, in the file or here."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from portal.content.models import ProductFamily
from portal.db import new_id
from portal.deals import policy, teaming
from portal.deals.import_rows import Row
from portal.deals.models import Deal, Protection
from portal.formatting import day
from portal.imports.kinds import RefusedRow

Place = tuple[uuid.UUID, uuid.UUID]


@dataclass
class _Span:
    """What is reserved for one deal, from `since` until before `until`. `row` is where it is kept;
    a new one has none."""

    deal_id: uuid.UUID
    reference: str
    since: datetime
    until: datetime
    row: Protection | None = None


@dataclass
class Protections:
    """What is reserved, by customer and product family, and by deal."""

    session: Session
    zone: ZoneInfo
    places: dict[Place, list[_Span]]
    of_deal: dict[uuid.UUID, _Span]
    fresh: list[tuple[Place, _Span]] = field(default_factory=list)

    @classmethod
    def read(cls, session: Session, rows: Iterable[Row], zone: ZoneInfo) -> Protections:
        """What is reserved here, where some rows speak of reservations at all."""
        found = cls(session, zone, defaultdict(list), {})
        if not any(row.protected for row in rows):
            return found
        # Whatever reserves a customer for a family waits for each other.
        session.scalars(select(ProductFamily).order_by(ProductFamily.id).with_for_update()).all()
        query = select(Protection, Deal.reference).join(Deal, Deal.id == Protection.deal_id)
        for row, reference in session.execute(query.order_by(Protection.ends_at)):
            span = _Span(row.deal_id, reference, row.starts_at, row.ends_at, row)
            found.places[row.customer_id, row.product_family_id].append(span)
            found.of_deal[row.deal_id] = span
        return found

    def wanted(self, row: Row) -> tuple[datetime, datetime] | None:
        """From when until before when a row reserves. Raises RefusedRow."""
        if row.protected is None:
            return None
        since, until = row.protected
        first = since if isinstance(since, datetime) else clock.day_start(since, self.zone)
        ends = until if isinstance(until, datetime) else self._after(until)
        if ends < first:
            raise RefusedRow(_("The reservation ends before it begins."))
        return first, ends

    def _after(self, last: date) -> datetime:
        return clock.day_start(last + timedelta(days=1), self.zone)

    def is_new(self, deal: Deal | None, row: Row) -> bool:
        """Whether a row says something else of a deal's reservation than what is known."""
        span = self.of_deal.get(deal.id) if deal else None
        wanted = self.wanted(row)
        return wanted is not None and (span is None or (span.since, span.until) != wanted)

    def refuse_overlap(
        self,
        row: Row,
        deal: Deal | None,
        customer_id: uuid.UUID | None,
        family_id: uuid.UUID | None,
    ) -> None:
        """Raise RefusedRow where a row reserves what is reserved for somebody else."""
        wanted = self.wanted(row)
        if wanted is None or customer_id is None or family_id is None:
            return
        with_it = teaming.partners_of(self.session, deal.id) if deal else set()
        for span in self.places.get((customer_id, family_id), ()):
            is_own = deal is not None and (span.deal_id == deal.id or span.deal_id in with_it)
            if not is_own and span.since < wanted[1] and wanted[0] < span.until:
                raise RefusedRow(
                    _(
                        "This customer is already reserved for this product family until %(day)s, "
                        "for deal %(deal)s.",
                        day=day(policy.last_day(span.until, self.zone)),
                        deal=span.reference,
                    )
                )

    def is_reserved(self, deal: Deal) -> bool:
        """Whether anything is or was reserved for a deal."""
        mine = select(Protection.id).where(Protection.deal_id == deal.id)
        return self.session.scalars(mine).first() is not None

    def take(self, row: Row, deal_id: uuid.UUID, reference: str, place: Any) -> None:
        """Reserve what a row says, or change until when it is reserved."""
        wanted = self.wanted(row)
        assert wanted is not None
        span = self.of_deal.get(deal_id)
        if span is not None and span.row is not None:
            span.since, span.until = span.row.starts_at, span.row.ends_at = wanted
            return
        span = _Span(deal_id, reference, *wanted)
        self.of_deal[deal_id] = span
        self.places[place].append(span)
        self.fresh.append((place, span))

    def write(self) -> None:
        """Keep what is new, once its deals are there."""
        self.session.add_all(
            Protection(
                id=new_id(),
                customer_id=place[0],
                product_family_id=place[1],
                deal_id=span.deal_id,
                starts_at=span.since,
                ends_at=span.until,
            )
            for place, span in self.fresh
        )
        self.session.flush()
