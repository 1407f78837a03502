"""The vendor's pages of customers: who they are, what is reserved, merging two that are one; and
what a reviewer does about a rival."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.db import db, write
from portal.deals import checks, customers, policy, service
from portal.deals.models import Deal
from portal.deals.views import bp, refused_page, written
from portal.errors import Busy, Refused
from portal.paging import page_of

# How many customers are offered to be merged.
OFFERED = 12


@bp.get("/deals/customers")
@vendor_only
def customer_list() -> str:
    """Every customer, and finding one."""
    session, text = db.session(), request.args.get("q", "")[:200]
    page = page_of(customers.search(session, text), request.args)
    standings = customers.standings(session, [row.id for row in page.rows], clock.now())
    return render_template("deals/customers.html", page=page, standings=standings, q=text)


@bp.get("/deals/customers/<uuid:customer_id>")
@vendor_only
def customer(customer_id: uuid.UUID) -> str | BaseResponse:
    """One customer; of one that was merged, the customer that it is now."""
    session, now = db.session(), clock.now()
    found = customers.get(session, customer_id)
    if found.merged_into_id is not None:
        return redirect(url_for("deals.customer", customer_id=found.merged_into_id))
    text = request.args.get("q", "")[:200]
    offered = customers.search(session, text) if text.strip() else customers.like(session, found)
    return render_template(
        "deals/customer.html",
        customer=found,
        deals=customers.deals_of(session, customer_id),
        protections=(protections := customers.protections_of(session, customer_id)),
        days_of={
            row.id: (clock.local_day(row.starts_at, zone()), policy.last_day(row.ends_at, zone()))
            for row in protections
        },
        accounts=customers.accounts_like(session, found),
        merges=customers.merges_into(session, customer_id),
        offered=[row for row in offered if row.id != customer_id][:OFFERED],
        q=text,
        now=now,
    )


@bp.route("/deals/customers/<uuid:customer_id>/merge/<uuid:other_id>", methods=["GET", "POST"])
@vendor_only
def merge_customers(customer_id: uuid.UUID, other_id: uuid.UUID) -> str | BaseResponse:
    """Two customers side by side: look twice, then merge the other into this one."""
    if request.method == "POST":
        return _merge(customer_id, other_id)
    session, now = db.session(), clock.now()
    both = [customers.get(session, key) for key in (customer_id, other_id)]
    return render_template(
        "deals/merge.html",
        survivor=both[0],
        both=both,
        standings=customers.standings(session, [row.id for row in both], now),
        problem=customers.overlapping(session, customer_id, other_id, now),
    )


def _merge(customer_id: uuid.UUID, other_id: uuid.UUID) -> BaseResponse:
    user_id = current_user().id
    lock = customers.merge_locks(db.session(), customer_id, other_id)
    with write(*lock, holding=customers.WHO_IS_WHO) as session:
        person = session.get_one(User, user_id)
        row = customers.merge(session, customer_id, other_id, person, clock.now())
        name, n = customers.get(session, other_id).name, row.deals
    flash(_("%(name)s is part of this customer now. Deals moved: %(n)s.", name=name, n=n))
    return redirect(url_for("deals.customer", customer_id=customer_id))


@bp.post("/deals/<uuid:deal_id>/check")
@vendor_only
def check(deal_id: uuid.UUID) -> BaseResponse:
    """Look for conflicts now."""
    service.get(db.session(), current_user(), deal_id)
    if checks.run_one(deal_id, clock.now()):
        flash(_("Checked."))
    else:
        flash(_("The check could not be finished. Please try again in a moment."))
    return redirect(url_for("deals.show", deal_id=deal_id))


@bp.post("/deals/<uuid:deal_id>/team/<uuid:other_id>")
@vendor_only
def team(deal_id: uuid.UUID, other_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Record that two partners work together on one customer and family."""
    user, text = current_user(), request.form.get("text", "").strip()[:2000]
    if deal_id == other_id:
        raise Refused(_("Choose two different deals."))
    try:
        with write((Deal, deal_id), (Deal, other_id)) as session:
            person = session.get_one(User, user.id)
            deal, other = (service.get(session, user, key) for key in (deal_id, other_id))
            service.record_teaming(session, deal, other, person, text, clock.now())
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "", written(text))
    flash(_("Recorded. You can approve it beside the other reservation now."))
    return redirect(url_for("deals.show", deal_id=deal_id))
