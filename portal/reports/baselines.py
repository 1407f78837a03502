"""Figures of the time before the portal, by month: entered or imported, and never overwritten."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts import service as accounts
from portal.db import new_id
from portal.deals.money import parse_amount
from portal.deals.words import parse_day
from portal.errors import PortalError
from portal.formatting import day as day_text
from portal.formatting import money, number
from portal.reports.models import Baseline

# At most so many months before a period stand for the time before it.
MONTHS = 12


class Metric(StrEnum):
    """What can be known of a month before the portal: the headline numbers of the eight metrics."""

    upsell_rate = "upsell_rate"
    cross_sell_rate = "cross_sell_rate"
    mqls = "mqls"
    sqls = "sqls"
    close_rate = "close_rate"
    cycle_days = "cycle_days"
    revenue = "revenue"
    registrations = "registrations"
    satisfaction_company = "satisfaction_company"
    satisfaction_experience = "satisfaction_experience"
    content_views = "content_views"
    content_activities = "content_activities"


class Unit(StrEnum):
    """What a figure is: counts and money of partners and months add up, the others do not."""

    number = "number"
    percent = "percent"
    days = "days"
    money = "money"
    mean = "mean"


class About(NamedTuple):
    """A metric as people read it."""

    label: LazyString
    unit: Unit


METRICS: dict[Metric, About] = {
    Metric.upsell_rate: About(_l("Upsell rate, per cent"), Unit.percent),
    Metric.cross_sell_rate: About(_l("Cross-sell rate, per cent"), Unit.percent),
    Metric.mqls: About(_l("Marketing qualified leads"), Unit.number),
    Metric.sqls: About(_l("Sales qualified leads"), Unit.number),
    Metric.close_rate: About(_l("Close rate, per cent"), Unit.percent),
    Metric.cycle_days: About(_l("Average deal cycle, days"), Unit.days),
    Metric.revenue: About(_l("Revenue, net"), Unit.money),
    Metric.registrations: About(_l("Deal registrations"), Unit.number),
    Metric.satisfaction_company: About(_l("Satisfaction with us, 1 to 10"), Unit.mean),
    Metric.satisfaction_experience: About(
        _l("Satisfaction with the partner experience, 1 to 10"), Unit.mean
    ),
    Metric.content_views: About(_l("Views of content"), Unit.number),
    Metric.content_activities: About(_l("Content activities"), Unit.number),
}


class Slot(NamedTuple):
    """What a figure is about. One figure of a slot counts: the latest."""

    metric: str
    month: date
    partner_id: uuid.UUID | None
    currency: str


class BadFigure(PortalError):
    """What was entered is no figure of this metric."""


@dataclass(frozen=True)
class Entry:
    """Who enters figures, and from which file, if from one."""

    by_id: uuid.UUID | None
    source: str = ""


# --- what people write --------------------------------------------------------------------------


def parse_figure(metric: Metric, text: str) -> int | None:
    """A figure in hundredths; None for nothing. Raises BadFigure with a sentence."""
    about = METRICS[metric]
    if about.unit == Unit.percent:
        text = text.strip().removesuffix("%")
    try:
        hundredths = parse_amount(text)
    except ValueError:
        raise BadFigure(_("This is no number: %(text)s", text=text)) from None
    if hundredths is None:
        return None
    if about.unit == Unit.number and hundredths % 100:
        raise BadFigure(_("This is counted in whole numbers: %(text)s", text=text))
    if about.unit == Unit.mean and not 100 <= hundredths <= 1000:
        raise BadFigure(_("Satisfaction is between 1 and 10: %(text)s", text=text))
    if about.unit == Unit.percent and hundredths > 100_000:
        raise BadFigure(_("This is too much for per cent: %(text)s", text=text))
    return hundredths


_MONTH = re.compile(r"(\d{4})[-/.](\d{1,2})|(\d{1,2})[-/.](\d{4})")


def parse_month(text: str, today: date) -> date:
    """A month as people write it: `2026-03`, `03/2026`, `Mar 2026`, or a day in it; by its first
    day. Raises BadFigure; also for months that are not over."""
    found = _MONTH.fullmatch(text.strip())
    try:
        if found:
            year, month = (found[1], found[2]) if found[1] else (found[4], found[3])
            first = date(int(year), int(month), 1)
        else:
            words = text if re.search(r"\d.*\d{4}|\d{4}.*\d", text) else f"1 {text}"
            first = (parse_day(words, None) or date.min).replace(day=1)
    except (ValueError, OverflowError):
        first = date.min
    if not 1990 <= first.year <= 2100:
        raise BadFigure(_("A month is written like 2026-03: %(text)s", text=text))
    if clock.add_months(first, 1) > today:
        raise BadFigure(_("This month is not over yet: %(text)s", text=text))
    return first


# --- kept ---------------------------------------------------------------------------------------


def versions(session: Session) -> list[Baseline]:
    """Everything that was ever entered, the latest first."""
    query = select(Baseline).options(joinedload(Baseline.partner), joinedload(Baseline.entered_by))
    rows = session.scalars(query.order_by(Baseline.entered_at.desc(), Baseline.id.desc()))
    return list(rows)


def current(rows: Iterable[Baseline]) -> dict[Slot, Baseline]:
    """The figures that count, of all `versions`."""
    found: dict[Slot, Baseline] = {}
    for row in rows:
        found.setdefault(Slot(row.metric, row.month, row.partner_id, row.currency), row)
    return {slot: row for slot, row in found.items() if row.hundredths is not None}


def enter(session: Session, figures: Mapping[Slot, int | None], entry: Entry) -> tuple[int, int]:
    """Keep figures; None takes one back. Returns how many are new and how many have changed; what
    is there already is left as it is."""
    known, new, changed = current(versions(session)), 0, 0
    for slot, hundredths in figures.items():
        before = known.get(slot)
        if (before.hundredths if before else None) == hundredths:
            continue
        new, changed = new + (before is None), changed + (before is not None)
        session.add(
            Baseline(
                id=new_id(),
                metric=slot.metric,
                month=slot.month,
                partner_id=slot.partner_id,
                currency=slot.currency,
                hundredths=hundredths,
                entered_at=clock.now(),
                entered_by_id=entry.by_id,
                source=entry.source[:200],
            )
        )
    session.flush()
    return new, changed


# --- beside the reports -------------------------------------------------------------------------


def written(metric: str, hundredths: float, currency: str = "") -> str:
    """A figure with its unit."""
    unit = METRICS[Metric(metric)].unit
    if unit == Unit.money:
        return money(round(hundredths), currency)
    value = hundredths / 100
    text = number(int(value)) if value == int(value) else f"{value:.1f}"
    if unit == Unit.percent:
        return _("%(n)s per cent", n=text)
    return _("%(n)s days", n=text) if unit == Unit.days else text


class Before(NamedTuple):
    """A metric in the last months known before a period: its mean, and who said so last."""

    metric: Metric
    mean: float
    currency: str
    months: list[date]
    last: Baseline

    @property
    def short(self) -> str:
        """In few words: "before the portal: 31 a month"."""
        return _("before the portal: %(value)s", value=self._value)

    @property
    def full(self) -> str:
        """With the months and who entered it: "before the portal: 31 a month (Jan 2026 to Mar 2026,
        entered by Anna Keller, 5 Nov 2026)"."""
        span = f"{self.months[0]:%b %Y}"
        if len(self.months) > 1:
            span = _("%(first)s to %(last)s", first=span, last=f"{self.months[-1]:%b %Y}")
        return _(
            "before the portal: %(value)s (%(span)s, entered by %(who)s, %(day)s)",
            value=self._value,
            span=span,
            who=self.last.entered_by.name if self.last.entered_by else _("the command"),
            day=day_text(clock.local_day(self.last.entered_at, accounts.zone())),
        )

    @property
    def _value(self) -> str:
        value = written(self.metric, self.mean, self.currency)
        if METRICS[self.metric].unit in (Unit.number, Unit.money):
            return _("%(value)s a month", value=value)
        return value


def before(
    known: Mapping[Slot, Baseline], metric: Metric, until: date, currency: str = ""
) -> list[Before]:
    """A metric in the last 12 months before `until` that are known, by currency; nothing where
    nothing was entered."""
    rows: dict[tuple[str, date], list[Baseline]] = defaultdict(list)
    for slot, row in known.items():
        wanted = slot.metric == metric and slot.month < until.replace(day=1)
        if wanted and currency in ("", slot.currency):
            rows[slot.currency, slot.month].append(row)
    found = []
    for code in sorted({key[0] for key in rows}):
        months = sorted(month for its_code, month in rows if its_code == code)[-MONTHS:]
        values = [_of_month(metric, rows[code, month]) for month in months]
        last = max((row for m in months for row in rows[code, m]), key=lambda row: row.entered_at)
        found.append(Before(metric, sum(values) / len(values), code, months, last))
    return found


def _of_month(metric: Metric, rows: list[Baseline]) -> float:
    """The figure of all together; where only partners' are known, their sum, or of what does not
    add up, their mean."""
    together = [row.hundredths or 0 for row in rows if row.partner_id is None]
    if together:
        return together[0]
    values = [row.hundredths or 0 for row in rows]
    adds_up = METRICS[metric].unit in (Unit.number, Unit.money)
    return sum(values) if adds_up else sum(values) / len(values)
