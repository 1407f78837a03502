"""The tables about who answered in a wave, and who said nothing."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal import clock
from portal.estimates import Share, difference
from portal.reports import disclosure
from portal.reports.periods import Period
from portal.reports.wave_shown import KINDS, Shown, in_people, signed
from portal.tables import Column, Table
from surveys import response_rates
from surveys.figures import ENOUGH
from tracking import metrics as tracking

# Content activity before a wave opened, for so many days.
ACTIVITY = timedelta(days=90)

ENDED = {
    response_rates.COMPLETE: _l("Answered in full"),
    response_rates.PARTIAL: _l("Answered in part"),
    response_rates.DECLINED: _l("Declined"),
    response_rates.OPTED_OUT: _l("Wants no more surveys"),
    response_rates.NOTHING: _l("Nothing came back"),
    response_rates.UNDELIVERABLE: _l("Mail could not be delivered"),
    response_rates.UNKNOWN: _l("Not known whether the mail arrived"),
    response_rates.LEFT: _l("Lost access before answering"),
}


def outcomes(shown: Shown) -> Table:
    """What became of the invitations."""
    rows: list[dict[str, Any]] = [
        {"ended": str(ENDED[name]), "n": str(shown.rates.ended[name])}
        for name in response_rates.DISPOSITIONS
    ]
    rows += [
        {"ended": name, "n": in_people(share), "about": about}
        for name, share, about in (
            (_("Response rate 1: in full, of all who could"), shown.rates.first, "response_rate_1"),
            (_("Response rate 2: in part, too"), shown.rates.second, "response_rate_2"),
            (_("Response rate of partners"), shown.rates.partners, "response_rate_partners"),
        )
    ]
    columns = [
        Column("ended", _("Invitations")),
        Column("n", _("How many"), "figure", about="dispositions"),
    ]
    left_out = sum(shown.wave.left_out.values())
    note = _("%(n)s people of the audience were not asked.", n=left_out) if left_out else ""
    title = _("What became of the invitations")
    return Table("invitations", title, columns, rows, _("Nobody was invited."), note)


def nonresponse(shown: Shown) -> Table:
    """Those who answered beside the rest: whether the means speak for everyone who was asked."""
    groups: list[tuple[str, str, set[uuid.UUID]]] = []
    for name in ("tier", "region"):
        values = sorted({getattr(one, name) for one in shown.asked})
        for value in values:
            members = {one.partner for one in shown.asked if getattr(one, name) == value}
            groups.append((str(KINDS[name]), value or _("None"), members))
    groups.append((_("Content"), _("active in the 90 days before"), _active(shown)))
    rows = []
    for kind, value, members in groups:
        answered, rest = response_rates.of_group(shown.asked, members)
        rows.append(
            {
                "kind": kind,
                "part": value,
                "answered": (answered.part, answered.whole),
                "rest": (rest.part, rest.whole),
                "difference": _points(answered, rest),
            }
        )
    columns = [
        Column("kind", _("By")),
        Column("part", _("Part")),
        Column("answered", _("Of the partners that answered"), "of", about="nonresponse"),
        Column("rest", _("Of the rest"), "of", about="nonresponse"),
        Column("difference", _("Difference"), "figure", True, "nonresponse"),
    ]
    return Table(
        "nonresponse",
        _("Do they speak for the rest?"),
        columns,
        rows if shown.asked else [],
        _("Nobody was invited."),
    )


def _points(one: Share, other: Share) -> str:
    edges = difference(one, other)
    if edges is None or min(one.whole, other.whole) < ENOUGH:
        return "–"
    low, high = (round(100 * edge) for edge in edges)
    middle = round(100 * ((one.value or 0) - (other.value or 0)))
    points = (signed(number, 0) for number in (middle, low, high))
    found = dict(zip(("middle", "low", "high"), points, strict=True))
    return _("%(middle)s points (%(low)s to %(high)s)", **found)


def _active(shown: Shown) -> set[uuid.UUID]:
    """Partners with a content activity in the 90 days before the wave. Where reading is not told
    by day, what they did on purpose only."""
    opened: date = clock.local_day(shown.wave.opened_at, shown.zone)
    period = Period(opened - ACTIVITY, opened, "days")
    asked = {one.partner for one in shown.asked}
    unread = set(disclosure.unsplit(shown.session, period))
    days = tracking.active_days(shown.session, period.since, period.until, asked)
    return {one.partner_id for one in days if one.on_purpose or one.partner_id not in unread}
