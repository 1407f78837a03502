"""The vendor's queue: decide in time, and divide the work."""

from __future__ import annotations

import uuid
from datetime import timedelta

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, vendor_only
from portal.accounts.models import User
from portal.db import db, write
from portal.deals import queue
from portal.deals.forms import TYPE_NAMES
from portal.deals.models import Deal
from portal.deals.views import bp
from portal.errors import Busy, NotFound, Refused
from portal.formatting import count
from portal.paging import page_of

SIZE = 20
NOBODY = "nobody"


def in_words(left: timedelta | None) -> str:
    """Business time left, or how late it is: `3 h 20 min left`, `2 h late`."""
    if left is None:
        return _("no time was promised")
    hours, minutes = divmod(int(abs(left) / timedelta(minutes=1)), 60)
    text = _("%(h)s h", h=hours) if hours else ""
    if minutes or not hours:
        text = f"{text} {_('%(m)s min', m=minutes)}".strip()
    return _("%(time)s late", time=text) if left < timedelta() else _("%(time)s left", time=text)


@bp.get("/deals/queue", endpoint="queue")
@vendor_only
def show_queue() -> str:
    """What waits for a decision, by time left, with claim and evidence side by side."""
    return _page()


def _page(refusal: str = "") -> str:
    user, session, now = current_user(), db.session(), clock.now()
    found = queue.load(session, user, now)
    whose = request.args.get("whose", queue.MINE)
    whose = whose if whose in (queue.MINE, queue.UNASSIGNED) else queue.ALL
    page = page_of(found.of(whose), request.args, SIZE)
    return render_template(
        "deals/to_decide.html",
        page=page,
        items=queue.items(session, found, page.rows),
        whose=whose,
        numbers={name: len(found.of(name)) for name in (queue.MINE, queue.UNASSIGNED, queue.ALL)},
        people=found.people.values(),
        ticked=set(request.form.getlist("deal")),
        chosen=request.form.get("to", ""),
        refusal=refusal,
        left_in_words=in_words,
        type_names=TYPE_NAMES,
    )


def _key(text: str, sentence: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound(sentence) from None


@bp.post("/deals/queue")
@vendor_only
def assign() -> tuple[str, int] | BaseResponse:
    """Give the ticked registrations to somebody."""
    ticked = [
        _key(text, _("There is no such deal."))
        for text in dict.fromkeys(request.form.getlist("deal"))
    ]
    wanted, user_id = request.form.get("to", ""), current_user().id
    if not wanted:
        return _page(_("Choose who looks after them.")), 400
    to = None if wanted == NOBODY else _key(wanted, _("There is no such person."))
    try:
        with write(*((Deal, key) for key in ticked)) as session:
            actor = session.get_one(User, user_id)
            n = queue.assign(session, actor, ticked, to, clock.now())
    except Refused as refusal:
        return _page(str(refusal)), 400
    except Busy as busy:
        return _page(str(busy)), busy.status
    flash(count(n, "%(num)s registration assigned.", "%(num)s registrations assigned."))
    return redirect(url_for("deals.queue", whose=request.args.get("whose")))
