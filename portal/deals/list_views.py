"""Deals in lists: a partner's own, the vendor's with its board and months, wins to confirm; each as
a file of exactly what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response, render_template, request
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal import clock
from portal.accounts.access import current_user, signed_in, vendor_only
from portal.accounts.service import zone
from portal.db import db
from portal.deals import asked, listing, metrics, service, silence
from portal.deals.forms import TYPE_NAMES, WonForm
from portal.deals.listing import Filters, Line
from portal.deals.models import Deal
from portal.deals.pipeline import Status
from portal.deals.views import bp, won_form
from portal.deals.wording import STAGE_NAMES, STATUS_NAMES
from portal.paging import page_of
from portal.tables import Column, Table, csv_response

CARDS = 12


def _asked() -> Filters:
    return listing.filters_of(request.args)


def _filter_context(filters: Filters) -> dict[str, Any]:
    user = current_user()
    statuses = {key: name for key, name in STATUS_NAMES.items()
                if key != Status.draft or not user.is_vendor}  # fmt: skip
    return {
        "filters": filters,
        "choices": listing.choices(db.session(), user),
        "statuses": statuses,
        "stages": STAGE_NAMES,
        "types": TYPE_NAMES,
    }


@bp.get("/deals")
@signed_in
def index() -> str:
    """A partner's deals, or what waits for the vendor."""
    return _queue() if current_user().is_vendor else _mine()


def _mine() -> str:
    session, filters = db.session(), _asked()
    page = page_of(listing.lines(session, current_user(), filters), request.args)
    keys = [line.id for line in page.rows]
    query = select(Deal).where(Deal.id.in_(keys)).options(joinedload(Deal.seen_by))
    deals = {deal.id: deal for deal in session.scalars(query)}
    return render_template(
        "deals/mine.html",
        page=page,
        deals=[deals[key] for key in keys],
        protections=metrics.protection_of(session, keys),
        silent=silence.silent(session, clock.now(), keys),
        **_filter_context(filters),
    )


def _queue() -> str:
    return render_template(
        "deals/queue.html",
        waiting=metrics.needs_decision(db.session(), 50),
        wins=metrics.wins_to_confirm(db.session(), 50),
        more_time=asked.for_more_time(db.session(), 50),
        to_withdraw=asked.to_withdraw(db.session(), 50),
        now=clock.now(),
    )


@bp.get("/deals/list")
@vendor_only
def all_deals() -> str:
    """Every registration, by filters, with totals by currency."""
    filters = _asked()
    found = listing.lines(db.session(), current_user(), filters)
    page = page_of(found, request.args)
    return render_template(
        "deals/list.html",
        page=page,
        silent=listing.silent_of(db.session(), page.rows),
        totals=listing.totals(found),
        **_filter_context(filters),
    )


@bp.get("/deals/board")
@vendor_only
def board() -> str:
    """What is not over, from the claim to the order."""
    filters = _asked().without("status", "stage")
    found = listing.lines(db.session(), current_user(), filters)
    return render_template(
        "deals/board.html", columns=listing.board(found), cards=CARDS, **_filter_context(filters)
    )


@bp.get("/deals/months")
@vendor_only
def months() -> str:
    """Open deals by the month that their order is expected in."""
    filters = _asked().without("status", "stage")
    rows = _months_of(filters)
    return render_template("deals/months.html", rows=rows, **_filter_context(filters))


def _months_of(filters: Filters) -> list[listing.Month]:
    today = clock.local_day(clock.now(), zone())
    return listing.by_month(listing.lines(db.session(), current_user(), filters), today)


@bp.get("/deals/wins")
@vendor_only
def wins() -> str:
    """Orders that partners report, to be confirmed one after the other."""
    deals = metrics.wins_to_confirm(db.session(), 200)
    forms: dict[Any, WonForm] = {deal.id: won_form(deal) for deal in deals}
    stamps = {deal.id: service.stamp_of(deal) for deal in deals}
    return render_template("deals/wins.html", deals=deals, forms=forms, stamps=stamps)


# --- files --------------------------------------------------------------------------------------


@bp.get("/deals.csv")
@signed_in
def index_csv() -> Response:
    """The list as a file: the same deals."""
    user = current_user()
    columns = [
        Column("reference", _("Reference")),
        Column("customer", _("Customer")),
        Column("family", _("Product family")),
        Column("kind", _("Kind of deal")),
        Column("amount", _("Expected order"), "money"),
        Column("expected", _("Expected on"), "day"),
        Column("status", _("Status")),
        Column("stage", _("Stage")),
        Column("submitted", _("Submitted"), "day"),
        Column("won", _("Order"), "money"),
        Column("order_number", _("Order number")),
        Column("silent", _("No news since"), "day"),
    ]
    if user.is_vendor:
        columns.insert(1, Column("partner", _("Partner")))
    lines = listing.lines(db.session(), user, _asked())
    silent = listing.silent_of(db.session(), lines)
    rows = [_row(line, silent.get(line.id)) for line in lines]
    return csv_response(Table("deals", _("Deals"), columns, rows, ""))


def _row(line: Line, silent: datetime | None) -> dict[str, Any]:
    return {
        "reference": line.reference,
        "partner": line.partner,
        "customer": line.customer,
        "family": line.family,
        "kind": str(TYPE_NAMES.get(line.kind, "")),
        "amount": (line.amount_minor, line.currency),
        "expected": line.expected,
        "status": str(STATUS_NAMES[line.status]),
        "stage": str(STAGE_NAMES[line.stage]) if line.stage else "",
        "submitted": clock.local_day(line.submitted_at, zone()) if line.submitted_at else None,
        "won": (line.won_minor, line.won_currency) if line.won_minor is not None else None,
        "order_number": line.order_number,
        "silent": clock.local_day(silent, zone()) if silent else None,
    }


@bp.get("/deals/months.csv")
@vendor_only
def months_csv() -> Response:
    """Open deals by month as a file, a column for each currency."""
    filters = _asked().without("status", "stage")
    rows = _months_of(filters)
    currencies = sorted({code for row in rows for code in row.totals})
    columns = [Column("month", _("Month")), Column("n", _("Deals"), "number")]
    columns += [Column(code, code, "amount") for code in currencies]
    cells = [
        {"month": row.month, "n": row.n}
        | {code: f"{minor / 100:.2f}" for code, minor in row.totals.items()}
        for row in rows
    ]
    return csv_response(Table("pipeline", _("Pipeline"), columns, cells, ""))
