"""The manager's Monday: what needs me, then the numbers, with the period before beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.deals import metrics as deals
from portal.deals.wording import STATUS_NAMES
from portal.formatting import count, duration, money, number
from portal.reports import activity, baselines
from portal.reports.baselines import Metric
from portal.reports.definitions import RULES
from portal.reports.periods import Period
from portal.reports.satisfaction import wave_name
from portal.reports.wave_shown import reach
from portal.tables import Column, Table
from surveys import metrics as surveys
from surveys.questions import CORE
from tracking import metrics as tracking
from tracking.metrics import Scope


@dataclass(frozen=True)
class Card:
    """One number with the same number of the period before. `about` names its definition, `href`
    leads to the rows behind."""

    about: str
    name: str
    value: str
    unit: str
    before: str
    href: str


def edges(period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The moments at which a period begins and has ended."""
    return clock.day_start(period.since, zone), clock.day_start(period.until, zone)


def cards(session: Session, period: Period, zone: ZoneInfo) -> list[Card]:
    """What happened in the period, with its n, beside the period of equal length before."""
    now, then = _engagement(session, period), _engagement(session, period.before())
    deals_now, deals_then = _deals(session, period, zone), _deals(session, period.before(), zone)
    content = url_for("reports.table", name="content") + f"?{period.query}"
    partners = url_for("reports.table", name="partners") + f"?{period.query}"
    registered = url_for("reports.table", name="deals") + f"?{period.query}"
    won = url_for("reports.table", name="won") + f"?{period.query}"
    figures = {key: (number(getattr(now, key)), number(getattr(then, key))) for key in _COUNTS}
    figures["dwell"] = duration(now.dwell), duration(then.dwell)
    figures["registrations"] = number(deals_now[0]), number(deals_then[0])
    figures["revenue"] = deals_now[1], deals_then[1]
    known = baselines.current(baselines.versions(session))

    def earlier(about: str) -> str:
        """The period before; and the time before the portal, where somebody has entered it."""
        metric = _ENTERED.get(about)
        entered = baselines.before(known, metric, period.since) if metric else []
        return "; ".join([_before(figures[about][1]), *(one.short for one in entered)])

    rows = [
        Card(about, name, figures[about][0], unit, earlier(about), href)
        for about, name, unit, href in (
            ("views", _("Views"), _("by partners"), content),
            ("dwell", _("Dwell time"), _(RULES[period.rule]), content),
            ("downloads", _("Downloads"), "", content),
            ("shares", _("Shares"), _("to customers"), partners),
            ("opens", _("Opens"), _("by customers"), partners),
            ("likes", _("Likes"), _("given"), content),
            ("registrations", _("Registrations"), _("deals"), registered),
            ("revenue", _("Revenue"), _("confirmed"), won),
        )
    ]
    return rows + _activity(session, period, zone)


def _activity(session: Session, period: Period, zone: ZoneInfo) -> list[Card]:
    """How many partners are active, and how much they do."""
    found = activity.found(session, period, zone, clock.local_day(clock.now(), zone))
    href = url_for("reports.table", name="activity") + f"?{period.query}"
    part, whole = number(found.rate.part), number(found.rate.whole)
    of_all = _("%(part)s of %(whole)s", part=part, whole=whole)
    done = count(found.together, "%(num)s activity", "%(num)s activities")
    partners = count(len(found.partners), "of %(num)s partner", "of %(num)s partners")
    each, last = activity.depth(found), _("in 30 days")
    return [
        Card("active_rate", _("Active partners"), of_all, last, activity.verdict(found), href),
        Card("depth", _("Activities per partner"), each, last, f"{done} {partners}", href),
    ]


# The cards whose numbers can be entered for the time before the portal.
_ENTERED = {
    "views": Metric.content_views,
    "registrations": Metric.registrations,
    "revenue": Metric.revenue,
}
_COUNTS = ("views", "downloads", "shares", "opens", "likes")


def _before(value: str) -> str:
    return _("%(value)s in the period before", value=value)


def _engagement(session: Session, period: Period) -> tracking.Engagement:
    return tracking.total(session, Scope(period.since, period.until, rule=period.rule))


def _deals(session: Session, period: Period, zone: ZoneInfo) -> tuple[int, str]:
    since, until = edges(period, zone)
    registered = sum(row.n for row in deals.registrations_by_month(session, since, until, zone))
    won: dict[str, int] = {}
    for row in deals.won_by_month(session, since, until, zone):
        won[row.currency] = won.get(row.currency, 0) + row.amount_minor
    return registered, amounts(won)


def amounts(by_currency: dict[str, int]) -> str:
    """Totals per currency, never added over currencies, in whole units."""
    if not by_currency:
        return money(0, "EUR")
    whole = {key: round(minor / 100) * 100 for key, minor in by_currency.items()}
    return " + ".join(money(whole[key], key) for key in sorted(whole))


def deal_table(session: Session, period: Period, zone: ZoneInfo) -> Table:
    """Registrations of the period by status, with what they are expected to be worth."""
    since, until = edges(period, zone)
    first, last = period.since.isoformat(), period.last.isoformat()
    rows = [
        {
            "status": str(STATUS_NAMES[row.status]),
            "n": row.n,
            "value": amounts(row.amounts) if row.amounts else "–",
            "href": url_for("deals.all_deals", status=row.status, since=first, until=last),
        }
        for row in deals.by_status(session, since, until)
    ]
    columns = [
        Column("status", _("Status")),
        Column("n", _("Deals"), "number", about="registrations"),
        Column("value", _("Expected value"), "figure", about="expected_value"),
    ]
    return Table(
        "deals", _("Deals by status"), columns, rows, _("No deal was registered in this period.")
    )


def won_table(session: Session, period: Period, zone: ZoneInfo) -> Table:
    """Orders that the vendor has confirmed, by month and currency, the latest month first."""
    since, until = edges(period, zone)
    rows = [
        {
            "month": f"{date.fromisoformat(f'{row.month}-01'):%b %Y}",
            "n": row.n,
            "revenue": money(row.amount_minor, row.currency),
            "href": _won_in(period, date.fromisoformat(f"{row.month}-01"), row.currency),
        }
        for row in reversed(deals.won_by_month(session, since, until, zone))
    ]
    columns = [
        Column("month", _("Month")),
        Column("n", _("Deals won"), "number", about="won_deals"),
        Column("revenue", _("Revenue"), "figure"),
    ]
    return Table("won", _("Revenue by month"), columns, rows, _("No order was confirmed."))


def _won_in(period: Period, month: date, currency: str) -> str:
    """The page with the wins of a month in one currency, as far as it is in the period."""
    since = max(month, period.since)
    until = min(clock.add_months(month, 1), period.until)
    days = replace(period, since=since, until=until, name="days")
    return f"{url_for('reports.results_behind', name=f'won.{currency}')}?{days.query}"


def wave_table(session: Session, zone: ZoneInfo) -> Table:
    """Every survey wave, latest first."""
    rows = [
        {
            "wave": wave_name(wave, zone),
            **{key: wave.mean(key).value for key in CORE},
            **{f"{key}_interval": reach(wave.mean(key)) for key in CORE},
            "partners": (wave.partners_answered, wave.partners_invited),
            "people": (wave.people_answered, wave.people_invited),
            "href": url_for("surveys.results", wave_id=wave.wave_id),
        }
        for wave in reversed(surveys.last_waves(session, None))
    ]
    columns = [
        Column("wave", _("Wave")),
        Column("company", _("Company"), "mean"),
        Column("company_interval", _("Interval"), "figure", True, "satisfaction_interval"),
        Column("experience", _("Experience"), "mean"),
        Column("experience_interval", _("Interval"), "figure", True, "satisfaction_interval"),
        Column("partners", _("Partners"), "of", about="answered_partners"),
        Column("people", _("People"), "of", wide=True, about="answered_people"),
    ]
    return Table(
        "satisfaction",
        _("Satisfaction"),
        columns,
        rows,
        _("No survey has been sent yet."),
        "; ".join([_("Mean of partner means, 1 to 10"), *_satisfaction_before(session)]) + ".",
    )


def _satisfaction_before(session: Session) -> list[str]:
    """Satisfaction before the portal, where somebody has entered it."""
    known = baselines.current(baselines.versions(session))
    today = clock.local_day(clock.now(), accounts.zone())
    return [
        f"{label}, {one.short}"
        for label, metric in (
            (_("Company"), Metric.satisfaction_company),
            (_("Experience"), Metric.satisfaction_experience),
        )
        for one in baselines.before(known, metric, today)
    ]


def month_rows(session: Session, period: Period, zone: ZoneInfo) -> list[dict[str, object]]:
    """Registrations by month for the chart; months without any are zero."""
    since, until = edges(period, zone)
    found = {row.month: row.n for row in deals.registrations_by_month(session, since, until, zone)}
    month, rows = date(period.since.year, period.since.month, 1), []
    while month < period.until:
        rows.append({"month": month.isoformat(), "n": found.get(f"{month:%Y-%m}", 0)})
        month = clock.add_months(month, 1)
    return rows
