"""What a Swiss franc was worth in the demo: a rate at the beginning of each month."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy.orm import Session

from portal.clock import add_months
from portal.reports import rates
from portal.reports.baselines import Entry
from portal.reports.rates import Slot

MONTHS = 30


def fill(session: Session, today: date) -> None:
    """Rates of the months that the demo's deals were won in."""
    months = [add_months(today.replace(day=1), -n) for n in range(MONTHS)]
    found: dict[Slot, Decimal | None] = {
        Slot("CHF", month): Decimal(104 + month.month % 4) / 100 for month in months
    }
    rates.enter(session, found, rates.USUAL, Entry(None))
