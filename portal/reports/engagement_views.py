"""The reports on content, on one asset and on one partner."""

from __future__ import annotations

import uuid
from functools import partial

from flask import Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.models import Partner, PrivacyMode
from portal.accounts.service import zone
from portal.content import library
from portal.content.attention import privacy_mode
from portal.content.models import Asset
from portal.db import db
from portal.errors import NotFound
from portal.reports import (
    assets,
    charts,
    content,
    disclosure,
    engagement,
    partners,
    satisfaction,
    searches,
)
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.reports.views import bp, period_asked, table_page
from portal.tables import Table, csv_response
from surveys import history
from tracking import metrics

TOP, SHOWN = 20, 8


@bp.get("/reports/make-fix-retire")
@vendor_only
def content_report() -> str:
    """What to make, fix and retire."""
    session, period = db.session(), period_asked()
    today = clock.local_day(clock.now(), zone())
    return render_template(
        "reports/content.html",
        period=period,
        as_of=metrics.as_of(session),
        content=engagement.content_table(session, period, limit=SHOWN),
        searches=searches.search_table(session, period, limit=SHOWN),
        stale=content.stale_table(session, today),
        leaving=content.leaving(session, period),
        market=content.market_table(session, period, limit=SHOWN),
        top=SHOWN,
    )


# --- one asset ----------------------------------------------------------------------------------


def _asset_table(shown: Asset, period: Period, name: str, limit: int | None = None) -> Table:
    if name == "partners":
        return engagement.partner_table(db.session(), period, shown.id, limit)
    if name == "days":
        return engagement.day_table(db.session(), period, asset_id=shown.id)
    if name == "pages":
        return assets.page_table(_strip(shown, period))
    raise NotFound(_("There is no such report."))


def _strip(shown: Asset, period: Period) -> assets.Strip | None:
    """The strip of the version asked for, else of the one that was read most."""
    wanted = request.args.get("version", type=uuid.UUID)
    return assets.strip(db.session(), period, shown, wanted)


@bp.get("/reports/content/<uuid:asset_id>")
@vendor_only
def asset(asset_id: uuid.UUID) -> str:
    """How one piece of content is read, and by whom."""
    session, period, shown = db.session(), period_asked(), library.known(db.session(), asset_id)
    strip = _strip(shown, period)
    return render_template(
        "reports/asset.html",
        asset=shown,
        period=period,
        as_of=metrics.as_of(session),
        strip=strip,
        name_of=assets.name_of,
        why_not=disclosure.why_not_asset(),
        facts=assets.asset_facts(session, period, shown),
        partners=_asset_table(shown, period, "partners", TOP),
        csv_of=partial(url_for, "reports.asset_csv", asset_id=asset_id),
        all_of=partial(url_for, "reports.asset_table", asset_id=asset_id),
    )


@bp.get("/reports/content/<uuid:asset_id>/chart.json")
@vendor_only
def asset_chart(asset_id: uuid.UUID) -> Response:
    """The trend of one asset."""
    library.known(db.session(), asset_id)
    return jsonify(charts.engagement(engagement.weekly(db.session(), period_asked(), asset_id)))


@bp.get("/reports/content/<uuid:asset_id>/<name>")
@vendor_only
def asset_table(asset_id: uuid.UUID, name: str) -> str:
    """One table about one asset in full."""
    shown, period = library.known(db.session(), asset_id), period_asked()
    csv_of = partial(url_for, "reports.asset_csv", asset_id=asset_id)
    return table_page([_asset_table(shown, period, name)], period, shown.title, csv_of)


@bp.get("/reports/content/<uuid:asset_id>/<name>.csv")
@vendor_only
def asset_csv(asset_id: uuid.UUID, name: str) -> Response:
    """One table about one asset, as a file."""
    shown = library.known(db.session(), asset_id)
    return csv_response(_asset_table(shown, period_asked(), name))


# --- one partner --------------------------------------------------------------------------------


def _partner(partner_id: uuid.UUID) -> Partner:
    found = db.session.get(Partner, partner_id)
    if found is None:
        raise NotFound(_("There is no such partner."))
    return found


def _partner_table(shown: Partner, period: Period, name: str, limit: int | None = None) -> Table:
    session = db.session()
    if name == "content":
        return engagement.content_table(session, period, shown.id, limit)
    if name == "days":
        return engagement.day_table(session, period, partner_id=shown.id)
    if name == "areas":
        return partners.area_table(session, period, shown.id)
    if name == "satisfaction":
        return satisfaction.partner_table(history.load(session), shown.id, zone())
    if name == "people" and partners.names_people(shown):
        return partners.people_table(session, period, shown)
    raise NotFound(_("There is no such report."))


@bp.get("/reports/partners/<uuid:partner_id>")
@vendor_only
def partner(partner_id: uuid.UUID) -> str:
    """What one partner does, beside its own past."""
    session, period, shown = db.session(), period_asked(), _partner(partner_id)
    reading = partners.reading(session, period, shown)
    names = ["content", "satisfaction", *(["areas"] if reading.split else [])]
    names += ["people"] if partners.names_people(shown) else []
    return render_template(
        "reports/partner.html",
        partner=shown,
        period=period,
        as_of=metrics.as_of(session),
        state=partners.state(session, shown),
        now=metrics.total(session, scope_of(period, partner_id)),
        before=metrics.total(session, scope_of(period.before(), partner_id)),
        reading=reading,
        why=disclosure.why(),
        counts_people=privacy_mode(shown) != PrivacyMode.organisation,
        tables=[_partner_table(shown, period, name, TOP).top(TOP) for name in names],
        csv_of=partial(url_for, "reports.partner_csv", partner_id=partner_id),
        all_of=partial(url_for, "reports.partner_table", partner_id=partner_id),
    )


@bp.get("/reports/partners/<uuid:partner_id>/<name>")
@vendor_only
def partner_table(partner_id: uuid.UUID, name: str) -> str:
    """One table about one partner in full."""
    shown, period = _partner(partner_id), period_asked()
    csv_of = partial(url_for, "reports.partner_csv", partner_id=partner_id)
    return table_page([_partner_table(shown, period, name)], period, shown.name, csv_of)


@bp.get("/reports/partners/<uuid:partner_id>/<name>.csv")
@vendor_only
def partner_csv(partner_id: uuid.UUID, name: str) -> Response:
    """One table about one partner, as a file."""
    return csv_response(_partner_table(_partner(partner_id), period_asked(), name))
