"""Satisfaction over all waves."""

from __future__ import annotations

import uuid

from flask import Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _

from portal.accounts import service as accounts
from portal.accounts.access import vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.errors import NotFound
from portal.reports import charts, satisfaction
from portal.reports.views import bp
from portal.tables import Table, csv_response
from surveys import history
from surveys.history import History, Round


def _asked(past: History, name: str) -> Round | None:
    try:
        key = uuid.UUID(request.args[name]) if request.args.get(name) else None
    except ValueError:
        key = uuid.UUID(int=0)
    found = past.get(key) if key else None
    if key and found is None:
        raise NotFound(_("There is no such wave."))
    return found


def _pair(past: History) -> tuple[Round, Round] | None:
    """The two waves that the address compares; usually the latest and the one before it."""
    after = _asked(past, "after") or (past.rounds[-1] if past.rounds else None)
    before = _asked(past, "before") or (past.before(after) if after else None)
    if after is None or before is None:
        return None
    return (before, after) if before.opened_at <= after.opened_at else (after, before)


def _tables(past: History) -> dict[str, Table]:
    tables = [satisfaction.trend_table(past, zone())]
    pair = _pair(past)
    if pair:
        names = {one.id: one.name for one in accounts.partner_facts(db.session())}
        tables += [
            satisfaction.change_table(past, *pair),
            satisfaction.fallen_table(past, *pair, names),
        ]
    return {table.name: table for table in tables}


@bp.get("/reports/satisfaction/trend", endpoint="satisfaction")
@vendor_only
def trend() -> str:
    """How satisfaction went, wave by wave, and what changed between any two."""
    past = history.load(db.session())
    pair = _pair(past)
    return render_template(
        "reports/satisfaction.html",
        tables=_tables(past),
        rounds=[(one, satisfaction.wave_name(one, zone())) for one in reversed(past.rounds)],
        before=pair[0].wave_id if pair else None,
        after=pair[1].wave_id if pair else None,
        csv_of=lambda name: url_for(
            "reports.satisfaction_csv",
            name=name,
            before=pair[0].wave_id if pair else None,
            after=pair[1].wave_id if pair else None,
        ),
    )


@bp.get("/reports/satisfaction/trend/<name>.csv")
@vendor_only
def satisfaction_csv(name: str) -> Response:
    """One of its tables as a file."""
    tables = _tables(history.load(db.session()))
    if name not in tables:
        raise NotFound(_("There is no such report."))
    return csv_response(tables[name])


@bp.get("/reports/satisfaction/trend/chart.json")
@vendor_only
def satisfaction_chart() -> Response:
    """The trend of all waves, for the script that draws it."""
    session = db.session()
    past = history.load(session)
    marks = satisfaction.lines(session, past.rounds, zone())
    return jsonify(charts.satisfaction(satisfaction.points(past.rounds, zone()), marks))
