"""The page everyone starts on, and the reports of channel managers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock, paging
from portal.accounts.access import current_user, signed_in, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content import library, sharing
from portal.db import db
from portal.deals import metrics as deals
from portal.errors import NotFound
from portal.leads import metrics as leads
from portal.leads import offers
from portal.reports import (
    activity,
    charts,
    content,
    definitions,
    engagement,
    needs,
    overview,
    periods,
    satisfaction,
    searches,
)
from portal.reports import leads as lead_reports
from portal.reports.periods import Period
from portal.tables import Table, csv_response
from surveys import invitations
from surveys import metrics as surveys
from tracking import metrics as tracking

bp = Blueprint("reports", __name__)


@bp.get("/")
@signed_in
def home() -> str:
    """What moved, for a partner; what needs me, for the vendor."""
    user = current_user()
    return _overview(user) if user.is_vendor else _partner_home(user)


def _partner_home(user: User) -> str:
    session, now = db.session(), clock.now()
    assert user.partner is not None
    opens = tracking.recent_opens(session, user.partner.id, now - timedelta(days=30), 5)
    mine = deals.open_of_partner(session, user.partner.id, 5)
    return render_template(
        "reports/home.html",
        greeting=_greeting(user),
        new=library.newest(session, user, 3),
        deals=mine,
        protections=deals.protection_of(session, [deal.id for deal in mine]),
        opens=opens,
        asked=leads.asked(session, user, 5),
        lead_offers=offers.waiting(session, user.partner.id, now),
        titles=library.titles(session, {found.asset_id for found in opens}),
        links=sharing.links_by_id(session, user.partner.id, {found.share_id for found in opens}),
        invitation=invitations.waiting_for(session, user, now),
        contact=user.partner.channel_manager,
        now=now,
    )


def _greeting(user: User) -> str:
    hour, name = clock.now().astimezone(zone()).hour, user.name.split()[0]
    if hour < 12:
        return _("Good morning, %(name)s", name=name)
    if hour < 18:
        return _("Good afternoon, %(name)s", name=name)
    return _("Good evening, %(name)s", name=name)


def period_asked() -> Period:
    """The period that the address asks for."""
    return periods.parse(request.args, clock.local_day(clock.now(), zone()))


def _overview(user: User) -> str:
    session, period = db.session(), period_asked()
    return render_template(
        "reports/overview.html",
        greeting=_greeting(user),
        period=period,
        as_of=tracking.as_of(session),
        needs=needs.today(session, user, clock.now(), zone()),
        cards=overview.cards(session, period, zone()),
        content=engagement.content_table(session, period, limit=5),
        partners=engagement.partner_table(session, period, limit=5),
        deals=overview.deal_table(session, period, zone()),
        leads=lead_reports.lead_table(session, period).top(4),
        waves=overview.wave_table(session, zone()).top(4),
    )


@bp.get("/reports/definitions")
@vendor_only
def definition_page() -> str:
    """What every number means."""
    return render_template("reports/definitions.html", groups=definitions.GROUPS, zone=zone().key)


# --- tables -------------------------------------------------------------------------------------


# What makes each report that has an address of its own; `first` and `limit` cut a part out of it.
TABLES: dict[str, Callable[[Session, Period, int, int | None], Table]] = {
    "content": lambda session, period, first, limit: engagement.content_table(
        session, period, first=first, limit=limit
    ),
    "partners": lambda session, period, first, limit: engagement.partner_table(
        session, period, first=first, limit=limit
    ),
    "activity": lambda session, period, *part: activity.table(session, period, zone()).part(*part),
    "searches": searches.search_table,
    "market": content.market_table,
    "days": lambda session, period, *part: engagement.day_table(session, period).part(*part),
    "stale": lambda session, _period, *part: content.stale_table(session, _today()).part(*part),
    "areas": lambda session, period, *part: content.area_table(session, period).part(*part),
    "deals": lambda session, period, *part: overview.deal_table(session, period, zone()).part(
        *part
    ),
    "won": lambda session, period, *part: overview.won_table(session, period, zone()).part(*part),
    "satisfaction": lambda session, _period, *part: overview.wave_table(session, zone()).part(
        *part
    ),
}


def _today() -> date:
    return clock.local_day(clock.now(), zone())


def _table(name: str, period: Period, first: int = 0, limit: int | None = None) -> Table:
    if name not in TABLES:
        raise NotFound(_("There is no such report."))
    return TABLES[name](db.session(), period, first, limit)


@bp.get("/reports/<name>")
@vendor_only
def table(name: str) -> str:
    """One report in full, a page at a time."""
    period, number = period_asked(), paging.asked(request.args)
    shown = _table(name, period, (number - 1) * paging.SIZE, number * paging.SIZE)
    page = paging.Page(shown.rows, number, paging.pages_of(shown.size, paging.SIZE), shown.size)
    if number > page.pages:
        raise NotFound(_("This report has fewer pages."))
    csv_of = partial(url_for, "reports.table_csv")
    return table_page([shown], period, shown.title, csv_of, page=page)


@bp.get("/reports/<name>.csv")
@vendor_only
def table_csv(name: str) -> Response:
    """The same report as a file, all of it."""
    return csv_response(_table(name, period_asked()))


def table_page(
    tables: list[Table], period: Period, title: str, csv_of: Callable[..., str], **more: Any
) -> str:
    """Tables in full, with their files."""
    return render_template(
        "reports/tables.html",
        tables=tables,
        csv_of=csv_of,
        period=period,
        page_title=title,
        as_of=tracking.as_of(db.session()),
        **more,
    )


# --- charts -------------------------------------------------------------------------------------


@bp.get("/reports/charts/<name>.json")
@vendor_only
def chart(name: str) -> Response:
    """What a chart shows, for the script that draws it."""
    session, period = db.session(), period_asked()
    if name == "engagement":
        return jsonify(charts.engagement(engagement.weekly(session, period)))
    if name == "registrations":
        return jsonify(charts.registrations(overview.month_rows(session, period, zone())))
    if name == "satisfaction":
        rounds = surveys.last_waves(session)
        marks = satisfaction.lines(session, rounds, zone())
        return jsonify(charts.satisfaction(satisfaction.points(rounds, zone()), marks))
    raise NotFound(_("There is no such chart."))


@bp.get("/reports/vega.js")
@vendor_only
def vega() -> Response:
    """The script that draws charts, from this server."""
    path = charts.bundle(current_app.config["SETTINGS"].data_dir / "cache")
    response = send_file(path, mimetype="text/javascript", max_age=86_400, conditional=True)
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response
