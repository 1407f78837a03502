"""Tables of engagement: by content, by partner, by day."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.accounts import service as accounts
from portal.accounts.service import PartnerFacts
from portal.content import library
from portal.formatting import sort_by_name, sort_key
from portal.reports import baselines, disclosure
from portal.reports.baselines import Metric
from portal.reports.definitions import by_usual_rule
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import metrics
from tracking.metrics import Engagement, Scope


def figures(of: Engagement, reading: bool = True) -> dict[str, int | None]:
    """The figures that every engagement table shows; without `reading` where that is withheld."""
    return {
        "views": of.views if reading else None,
        "dwell": of.dwell if reading else None,
        "downloads": of.downloads,
        "shares": of.shares,
        "opens": of.opens,
        "likes": of.likes,
    }


def _columns(reading: bool = True) -> list[Column]:
    of_reading = [
        Column("views", _("Views"), "number"),
        Column("dwell", _("Dwell time"), "duration"),
    ]
    return [
        *(of_reading if reading else []),
        Column("downloads", _("Downloads"), "number"),
        Column("shares", _("Shares"), "number", wide=True),
        Column("opens", _("Opens"), "number"),
        Column("likes", _("Likes"), "number", wide=True),
    ]


def content_table(
    session: Session,
    period: Period,
    partner_id: uuid.UUID | None = None,
    limit: int | None = None,
    first: int = 0,
) -> Table:
    """Content by what partners and their customers did with it; most viewed first."""
    scope = scope_of(period, partner_id)
    found = metrics.by_asset(session, scope)
    reading = splits(session, period, partner_id)
    # Of what is hidden there is a row only when something was done beside reading.
    hidden = set[uuid.UUID]() if reading else set(found)
    if partner_id is None:
        hidden = disclosure.unsplit_assets(session, period, found)
    found = {
        key: of._replace(views=0) if key in hidden else of
        for key, of in found.items()
        if key not in hidden or _shows(of)
    }
    titles = library.titles(session, found)
    ranked = sorted(
        found.keys() & titles.keys(),
        key=lambda key: (-found[key].views, -found[key].opens, sort_key(titles[key], key)),
    )
    shown = ranked[first:limit]
    of_everyone = partner_id is None
    read = metrics.readerships(session, scope, shown) if of_everyone else {}
    rows: list[dict[str, Any]] = [
        {
            "content": titles[key],
            **figures(found[key], key not in hidden),
            "partners": None if key in hidden else of.partners,
            "median": None if key in hidden or of.median is None else of.median * 1000,
            "href": url_for("reports.asset", asset_id=key) + f"?{period.query}",
        }
        for key, of in ((key, read.get(key, metrics.NO_READERS)) for key in shown)
    ]
    columns = [Column("content", _("Content")), *_columns(reading)]
    note = _("Views, dwell time and downloads by their people; opens by their customers.")
    if partner_id is None:
        note = _("Views, dwell time and downloads by partners; opens by their customers.")
        if hidden:
            note += " " + _("–: for partners with few people.")
        columns.insert(1, Column("partners", _("Partners"), "number"))
        columns.insert(
            4,
            Column("median", by_usual_rule(_("Median dwell"), period.rule), "duration", wide=True),
        )
    return Table(
        "content",
        _("Content"),
        columns,
        rows,
        _("Nothing was read or shared in this period.")
        if reading
        else _("Nothing was shared, downloaded or opened in this period."),
        note if reading else disclosure.without_reading(),
        left_out=len(ranked) - len(shown),
    )


def partner_table(
    session: Session,
    period: Period,
    asset_id: uuid.UUID | None = None,
    limit: int | None = None,
    first: int = 0,
) -> Table:
    """Partners by their engagement; the most active first, the silent ones included. Of all content
    together with the activities of the time before the portal, where somebody has entered them."""
    scope, nothing = scope_of(period, asset_id=asset_id), metrics.NOTHING
    partners = accounts.partner_facts(session)
    # There may be thousands: they are ranked by one figure, and rows are made of those shown.
    if asset_id is None:
        withheld = disclosure.hidden(session, period)
        counted = metrics.activities_by_partner(session, scope)
        activities = {key: n - read if key in withheld else n for key, (n, read) in counted.items()}
        shown = _most_active(partners, activities, limit)[first:]
        found = metrics.by_partner(session, scope, None if limit is None else [p.id for p in shown])
    else:
        withheld = disclosure.unsplit(session, period)
        found = metrics.by_partner(session, scope)
        found = {key: of for key, of in found.items() if key not in withheld or _shows(of)}
        partners = [partner for partner in partners if found.get(partner.id)]
        activities = {
            key: of.on_purpose if key in withheld else of.activities for key, of in found.items()
        }
        shown = _most_active(partners, activities, limit)[first:]
    rows: list[dict[str, Any]] = [
        {
            "partner": partner.name,
            "tier": partner.tier,
            "region": partner.region,
            **figures(found.get(partner.id, nothing), partner.id not in withheld),
            "activities": None if partner.id in withheld else activities.get(partner.id, 0),
            "href": url_for("reports.partner", partner_id=partner.id) + f"?{period.query}",
        }
        for partner in shown
    ]
    columns = [
        Column("partner", _("Partner")),
        Column("tier", _("Tier"), wide=True),
        Column("region", _("Region"), wide=True),
        Column("activities", by_usual_rule(_("Activities"), period.rule), "number"),
        *_columns(),
    ]
    text = _("Activities: downloads, shares, opens of own shares, views of 10 s and more.")
    if asset_id is None:
        known = baselines.current(baselines.versions(session))
        earlier = baselines.before(known, Metric.content_activities, period.since)
        text = " ".join([text, *(_("All together %(n)s.", n=one.full) for one in earlier)])
    return Table(
        "partners",
        _("Partners"),
        columns,
        rows,
        _("No partner did anything here in this period."),
        disclosure.note(
            sum(partner.id in withheld for partner in partners),
            text,
            asset_id is not None,
        ),
        left_out=len(partners) - len(rows),
    )


def splits(
    session: Session,
    period: Period,
    partner_id: uuid.UUID | None = None,
    asset_id: uuid.UUID | None = None,
) -> bool:
    """Whether reading may be shown by content and day: of everyone, one partner, or one asset."""
    if asset_id is not None:
        return not disclosure.unsplit_assets(session, period, [asset_id])
    return partner_id is None or partner_id not in disclosure.unsplit(session, period)


def _shows(of: Engagement) -> bool:
    """Whether there is anything beside reading."""
    return any((of.downloads, of.shares, of.likes, of.opens))


def _most_active(
    partners: Sequence[PartnerFacts], activities: dict[uuid.UUID, int], limit: int | None
) -> list[PartnerFacts]:
    """The first `limit` partners by activities, those with the same number by name."""
    by_number: dict[int, list[PartnerFacts]] = defaultdict(list)
    for partner in partners:
        by_number[activities.get(partner.id, 0)].append(partner)
    ranked: list[PartnerFacts] = []
    for number in sorted(by_number, reverse=True):
        if limit is not None and len(ranked) >= limit:
            break
        ranked += sort_by_name(by_number[number], lambda partner: partner.name)
    return ranked[:limit]


def day_table(
    session: Session,
    period: Period,
    partner_id: uuid.UUID | None = None,
    asset_id: uuid.UUID | None = None,
) -> Table:
    """Every day of the period, the latest first; days without anything show zeros."""
    found = metrics.by_day(session, scope_of(period, partner_id, asset_id))
    reading = splits(session, period, partner_id, asset_id)
    days = (period.last - timedelta(days=n) for n in range((period.until - period.since).days))
    rows = [{"day": day, **figures(found.get(day, metrics.NOTHING), reading)} for day in days]
    return Table(
        "days",
        _("Days"),
        [Column("day", _("Day"), "day"), *_columns(reading)],
        rows,
        _("This period has no days."),
        "" if reading else disclosure.without_reading(),
    )


def scope_of(
    period: Period, partner_id: uuid.UUID | None = None, asset_id: uuid.UUID | None = None
) -> Scope:
    return Scope(period.since, period.until, partner_id, asset_id, period.rule)


def weekly(
    session: Session, period: Period, asset_id: uuid.UUID | None = None
) -> list[dict[str, object]]:
    """Views, opens and dwell by week (its Monday), for the chart; cut weeks are left out.

    Nothing of an asset of which no reading is shown.
    """
    if not splits(session, period, asset_id=asset_id):
        return []
    found = metrics.by_day(session, scope_of(period, asset_id=asset_id))
    first = period.since + timedelta(days=-period.since.weekday() % 7)
    weeks: list[dict[str, object]] = []
    while first + timedelta(days=7) <= period.until:
        of_week = [found.get(first + timedelta(days=n), metrics.NOTHING) for n in range(7)]
        weeks.append(
            {
                "week": first.isoformat(),
                "views": sum(day.views for day in of_week),
                "opens": sum(day.opens for day in of_week),
                "hours": round(sum(day.dwell for day in of_week) / 3_600_000, 2),
            }
        )
        first += timedelta(days=7)
    return weeks
