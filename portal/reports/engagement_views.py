"""The reports on content, on one asset and on one partner."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial

from flask import Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.models import Partner, PrivacyMode, User
from portal.accounts.service import people_of, zone
from portal.content import library
from portal.content.attention import keys, privacy_mode
from portal.content.models import Asset
from portal.db import db
from portal.errors import NotFound
from portal.formatting import sort_by_name
from portal.reports import charts, content, engagement, searches
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.reports.views import bp, period_asked, table_page
from portal.tables import Column, Table, csv_response
from tracking import events, metrics

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


def _asset_table(asset_id: uuid.UUID, period: Period, name: str, limit: int | None = None) -> Table:
    if name == "partners":
        return engagement.partner_table(db.session(), period, asset_id, limit)
    if name == "days":
        return engagement.day_table(db.session(), period, asset_id=asset_id)
    raise NotFound(_("There is no such report."))


def _strip(shown: Asset, period: Period) -> content.Strip | None:
    """The strip of the language asked for, else of the one that is read most."""
    wanted = request.args.get("language")
    versions = shown.current_versions
    fitting = [version for version in versions if version.language == wanted] or versions
    strips = [content.strip(db.session(), period, version) for version in fitting]
    return max(strips, key=lambda strip: strip.total, default=None)


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
        facts=content.asset_facts(session, period, shown, strip),
        partners=_asset_table(asset_id, period, "partners", TOP),
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
    return table_page([_asset_table(asset_id, period, name)], period, shown.title, csv_of)


@bp.get("/reports/content/<uuid:asset_id>/<name>.csv")
@vendor_only
def asset_csv(asset_id: uuid.UUID, name: str) -> Response:
    """One table about one asset, as a file."""
    library.known(db.session(), asset_id)
    return csv_response(_asset_table(asset_id, period_asked(), name))


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
        return content.area_table(session, period, shown.id)
    if name == "people" and _names_people(shown):
        return _people_table(shown, period)
    raise NotFound(_("There is no such report."))


def _names_people(shown: Partner) -> bool:
    return privacy_mode(shown) == PrivacyMode.person


def _people_table(shown: Partner, period: Period) -> Table:
    """Who read how much; only where the privacy mode of the partner's country says names.

    Those who erased what they read are no longer among them, nor is what they read.
    """
    session, day = db.session(), clock.local_day(clock.now(), zone())
    people = sort_by_name(people_of(session, shown.id), lambda user: user.name)

    def subject(user: User) -> uuid.UUID:
        return events.subject_for(keys(), user.id, PrivacyMode.person, day, user.erasures)

    subjects = {subject(user): user.id for user in people}
    views = metrics.people_of(session, scope_of(period, shown.id), subjects, zone())
    rows = [{"person": user.name, "views": views.get(user.id, 0)} for user in people]
    return Table(
        "people",
        _("People"),
        [Column("person", _("Person")), Column("views", _("Views"), "number")],
        rows,
        _("Nobody of this partner has access."),
        _("Shown because of the privacy mode for this country."),
    )


@bp.get("/reports/partners/<uuid:partner_id>")
@vendor_only
def partner(partner_id: uuid.UUID) -> str:
    """What one partner does, beside its own past."""
    session, period, shown = db.session(), period_asked(), _partner(partner_id)
    scope = scope_of(period, partner_id)
    names = ["content", "areas", *(["people"] if _names_people(shown) else [])]
    return render_template(
        "reports/partner.html",
        partner=shown,
        period=period,
        as_of=metrics.as_of(session),
        state=_state(shown),
        now=metrics.total(session, scope),
        before=metrics.total(session, scope_of(period.before(), partner_id)),
        people=metrics.people(session, scope),
        with_access=len(people_of(session, partner_id)),
        counts_people=privacy_mode(shown) != PrivacyMode.organisation,
        tables=[_partner_table(shown, period, name, TOP).top(TOP) for name in names],
        csv_of=partial(url_for, "reports.partner_csv", partner_id=partner_id),
        all_of=partial(url_for, "reports.partner_table", partner_id=partner_id),
    )


def _state(shown: Partner) -> str:
    session, today = db.session(), clock.local_day(clock.now(), zone())
    until = today + timedelta(days=1)
    last = Period(until - content.STALE, until, "days")
    now, before = (
        metrics.total(session, scope_of(period, shown.id)).activities
        for period in (last, last.before())
    )
    joined = shown.joined_on or shown.created_at.date()
    return content.state_of(now, before, (today - joined).days)


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
