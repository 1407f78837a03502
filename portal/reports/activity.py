"""Partner engagement: which partners are active, and how much they do, area by area.

Every area counts its own; here they are added. Decision: always 30 days, the last of the period, so
that periods of any length can be set side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.service import PartnerFacts
from portal.deals import metrics as deals
from portal.estimates import Share
from portal.formatting import count, day, number, sort_key
from portal.leads import metrics as leads
from portal.reports import disclosure
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.tables import Column, Table
from surveys import metrics as surveys
from tracking import metrics as tracking

WINDOW = timedelta(days=30)
# A number of partners stands alone from so many on.
MIN_PARTNERS = 5


class Counted(NamedTuple):
    """What one partner did, by area."""

    content: int = 0
    deals: int = 0
    leads: int = 0
    surveys: int = 0

    @property
    def together(self) -> int:
        """All of it."""
        return sum(self)


@dataclass(frozen=True)
class Activity:
    """What the partners that had access when `period` began, 30 days, did in it. Of `withheld`
    ones with few people, what they read is not counted."""

    period: Period
    partners: dict[PartnerFacts, Counted]
    withheld: int

    @property
    def rate(self) -> Share:
        """The active ones of all."""
        counted = self.partners.values()
        return Share(sum(one.together > 0 for one in counted), len(counted))

    @property
    def together(self) -> int:
        """What all of them did."""
        return sum(one.together for one in self.partners.values())


def found(session: Session, period: Period, zone: ZoneInfo, today: date) -> Activity:
    """What partners did in the last 30 days of a period, as far as they are over."""
    until = min(period.until, today + timedelta(days=1))
    here = replace(period, since=until - WINDOW, until=until, name="days")
    start, end = clock.day_start(here.since, zone), clock.day_start(here.until, zone)
    had_access = accounts.accesses(session, start, start + timedelta(microseconds=1))
    withheld = disclosure.hidden(session, here)
    content = {
        key: n - read if key in withheld else n
        for key, (n, read) in tracking.activities_by_partner(session, scope_of(here)).items()
    }
    areas = (
        content,
        deals.moves_by_partner(session, start, end),
        leads.moves_by_partner(session, start, end),
        surveys.answers_by_partner(session, start, end),
    )
    partners = {
        one: Counted(*(area.get(one.id, 0) for area in areas))
        for one in accounts.partner_facts(session)
        if one.id in had_access
    }
    return Activity(here, partners, sum(one.id in withheld for one in partners))


def verdict(of: Activity) -> str:
    """The interval of the active rate, or what it lacks."""
    rate = of.rate
    if rate.whole < MIN_PARTNERS or rate.interval is None or rate.value is None:
        n = MIN_PARTNERS - rate.whole
        return count(
            n,
            "an interval needs %(num)s more partner",
            "an interval needs %(num)s more partners",
        )
    low, high = rate.interval
    return _(
        "%(value)s, 95 %% interval %(low)s to %(high)s",
        value=f"{rate.value:.0%}",
        low=f"{low:.0%}",
        high=f"{high:.0%}",
    )


def depth(of: Activity) -> str:
    """Activities per partner; a dash where there is none."""
    return f"{of.together / len(of.partners):.1f}" if of.partners else "–"


def table(session: Session, period: Period, zone: ZoneInfo) -> Table:
    """The partners behind both numbers, the most active first."""
    here = found(session, period, zone, clock.local_day(clock.now(), zone))
    by_activity = sorted(
        here.partners.items(), key=lambda one: (-one[1].together, sort_key(one[0].name))
    )
    rows: list[dict[str, Any]] = [
        {
            "partner": partner.name,
            "together": counted.together,
            **counted._asdict(),
            "href": url_for("reports.partner", partner_id=partner.id) + f"?{here.period.query}",
        }
        for partner, counted in by_activity
    ]
    columns = [
        Column("partner", _("Partner")),
        Column("together", _("Together"), "number", about="counted_activities"),
        Column("content", _("Content"), "number", about="counted_activities"),
        Column("deals", _("Deals"), "number", about="counted_activities"),
        Column("leads", _("Leads"), "number", about="counted_activities"),
        Column("surveys", _("Surveys"), "number", about="counted_activities"),
    ]
    note = _(
        "%(part)s of %(whole)s partners active from %(since)s to %(last)s (%(verdict)s); "
        "%(depth)s activities per partner.",
        part=number(here.rate.part),
        whole=number(here.rate.whole),
        since=day(here.period.since),
        last=day(here.period.last),
        verdict=verdict(here),
        depth=depth(here),
    )
    if here.withheld:
        note += " " + count(
            here.withheld,
            "Without what %(num)s partner with few people read.",
            "Without what %(num)s partners with few people read.",
        )
    empty = _("No partner had access when these 30 days began.")
    return Table("activity", _("Activity of partners"), columns, rows, empty, note)
