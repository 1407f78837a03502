"""The page everyone starts on, and the reports of channel managers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
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

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, signed_in, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content import library, sharing
from portal.content.models import Asset
from portal.db import db
from portal.deals import metrics as deals
from portal.errors import NotFound
from portal.reports import charts, engagement, needs, overview, periods
from portal.reports.periods import Period
from portal.tables import Table, csv_response
from surveys import invitations
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


def _period() -> Period:
    return periods.parse(request.args, clock.local_day(clock.now(), zone()))


def _overview(user: User) -> str:
    session, period = db.session(), _period()
    return render_template(
        "reports/overview.html",
        greeting=_greeting(user),
        period=period,
        as_of=tracking.as_of(session),
        needs=needs.today(session, clock.now(), zone()),
        cards=overview.cards(session, period, zone()),
        content=engagement.content_table(session, period, limit=5),
        partners=engagement.partner_table(session, period).top(5),
        deals=overview.deal_table(session, period, zone()),
        waves=overview.wave_table(session).top(4),
    )


# --- tables -------------------------------------------------------------------------------------


def _table(name: str, period: Period) -> Table:
    session = db.session()
    if name == "content":
        return engagement.content_table(session, period)
    if name == "partners":
        return engagement.partner_table(session, period)
    if name == "days":
        return engagement.day_table(session, period)
    if name == "deals":
        return overview.deal_table(session, period, zone())
    if name == "satisfaction":
        return overview.wave_table(session)
    raise NotFound(_("There is no such report."))


@bp.get("/reports/<name>")
@vendor_only
def table(name: str) -> str:
    """One report in full."""
    period = _period()
    shown = _table(name, period)
    return _table_page([shown], period, shown.title, partial(url_for, "reports.table_csv"))


@bp.get("/reports/<name>.csv")
@vendor_only
def table_csv(name: str) -> Response:
    """The same report as a file."""
    return csv_response(_table(name, _period()))


def _table_page(
    tables: list[Table], period: Period, title: str, csv_of: Callable[..., str], **more: Any
) -> str:
    return render_template(
        "reports/tables.html",
        tables=tables,
        csv_of=csv_of,
        period=period,
        page_title=title,
        as_of=tracking.as_of(db.session()),
        **more,
    )


def _asset(asset_id: uuid.UUID) -> Asset:
    found = library.titles(db.session(), [asset_id]).get(asset_id)
    if found is None:
        raise NotFound(_("There is no such content."))
    return found


def _asset_tables(asset_id: uuid.UUID, period: Period) -> dict[str, Table]:
    return {
        "partners": engagement.partner_table(db.session(), period, asset_id),
        "days": engagement.day_table(db.session(), period, asset_id=asset_id),
    }


@bp.get("/reports/content/<uuid:asset_id>")
@vendor_only
def asset(asset_id: uuid.UUID) -> str:
    """Who did what with one piece of content, and when."""
    period, shown = _period(), _asset(asset_id)
    tables = list(_asset_tables(asset_id, period).values())
    csv_of = partial(url_for, "reports.asset_csv", asset_id=asset_id)
    return _table_page(tables, period, shown.title, csv_of, asset=shown)


@bp.get("/reports/content/<uuid:asset_id>/<name>.csv")
@vendor_only
def asset_csv(asset_id: uuid.UUID, name: str) -> Response:
    """One table about one piece of content, as a file."""
    _asset(asset_id)
    return _csv_of(_asset_tables(asset_id, _period()), name)


def _partner_name(partner_id: uuid.UUID) -> str:
    names = {partner.id: partner.name for partner in accounts.partners(db.session())}
    if partner_id not in names:
        raise NotFound(_("There is no such partner."))
    return names[partner_id]


def _partner_tables(partner_id: uuid.UUID, period: Period) -> dict[str, Table]:
    return {
        "content": engagement.content_table(db.session(), period, partner_id),
        "days": engagement.day_table(db.session(), period, partner_id=partner_id),
    }


@bp.get("/reports/partners/<uuid:partner_id>")
@vendor_only
def partner(partner_id: uuid.UUID) -> str:
    """What one partner did, and when."""
    period, name = _period(), _partner_name(partner_id)
    tables = list(_partner_tables(partner_id, period).values())
    csv_of = partial(url_for, "reports.partner_csv", partner_id=partner_id)
    return _table_page(tables, period, name, csv_of)


@bp.get("/reports/partners/<uuid:partner_id>/<name>.csv")
@vendor_only
def partner_csv(partner_id: uuid.UUID, name: str) -> Response:
    """One table about one partner, as a file."""
    _partner_name(partner_id)
    return _csv_of(_partner_tables(partner_id, _period()), name)


def _csv_of(tables: dict[str, Table], name: str) -> Response:
    if name not in tables:
        raise NotFound(_("There is no such report."))
    return csv_response(tables[name])


# --- charts -------------------------------------------------------------------------------------


@bp.get("/reports/charts/<name>.json")
@vendor_only
def chart(name: str) -> Response:
    """What a chart shows, for the script that draws it."""
    session, period = db.session(), _period()
    if name == "engagement":
        return jsonify(charts.engagement(engagement.weekly(session, period)))
    if name == "registrations":
        return jsonify(charts.registrations(overview.month_rows(session, period, zone())))
    if name == "satisfaction":
        return jsonify(charts.satisfaction(overview.wave_points(session)))
    raise NotFound(_("There is no such chart."))


@bp.get("/reports/vega.js")
@vendor_only
def vega() -> Response:
    """The script that draws charts, from this server."""
    path = charts.bundle(current_app.config["SETTINGS"].data_dir / "cache")
    response = send_file(path, mimetype="text/javascript", max_age=86_400, conditional=True)
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response
