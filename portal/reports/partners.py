"""What the page of one partner says: its state, what was read, and by whom where that is named."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.models import Partner, PrivacyMode, User
from portal.accounts.service import zone
from portal.content.attention import keys, privacy_mode
from portal.formatting import sort_by_name
from portal.reports import content, disclosure
from portal.reports.engagement import scope_of, splits
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import events, metrics
from tracking.metrics import Engagement


def state(session: Session, shown: Partner) -> str:
    """Whether a partner is new, active, at risk or inactive."""
    today = clock.local_day(clock.now(), zone())
    until = today + timedelta(days=1)
    last = Period(until - content.STALE, until, "days")
    now, before = (
        metrics.total(session, scope_of(period, shown.id)).activities
        for period in (last, last.before())
    )
    joined = shown.joined_on or clock.local_day(shown.created_at, zone())
    return content.state_of(now, before, (today - joined).days)


# --- what was read ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a partner read, as far as it is shown.

    `now` is of `months` where only whole months are shown, else of the period asked for; None
    where there is no whole month. `before` is the same beside it. `detailed` is a later part of
    the period, of which more is shown; `people` are those who read and those who could.
    """

    now: Engagement | None
    before: Engagement | None
    months: Period | None = None
    split: bool = True
    detailed: Period | None = None
    people: tuple[int, int] | None = None


def reading(session: Session, period: Period, shown: Partner) -> Reading:
    """What a partner read in a period, as far as its privacy mode allows."""
    if splits(session, period, shown.id):
        return Reading(
            metrics.total(session, scope_of(period, shown.id)),
            _total(session, period.before(), shown.id),
            people=_people(session, period, shown),
        )
    months = None
    now, before = _total(session, period, shown.id), _total(session, period.before(), shown.id)
    if now is None and (months := disclosure.whole_months(period)):
        now = _total(session, months, shown.id)
        before = _total(session, disclosure.months_before(months), shown.id)
    return Reading(now, before, months, False, _detailed(session, period, shown.id))


def _total(session: Session, period: Period, partner_id: uuid.UUID) -> Engagement | None:
    if partner_id in disclosure.hidden(session, period):
        return None
    return metrics.total(session, scope_of(period, partner_id))


def _detailed(session: Session, period: Period, partner_id: uuid.UUID) -> Period | None:
    """What is left of a period after the last month that is withheld."""
    last = disclosure.withheld_months(session, period, partner_id)[-1]
    since = max(period.since, clock.add_months(last, 1))
    today = clock.local_day(clock.now(), zone())
    return replace(period, since=since, name="days") if since < min(period.until, today) else None


def _people(session: Session, period: Period, shown: Partner) -> tuple[int, int] | None:
    """How many people read something, of those who had access in the period."""
    if privacy_mode(shown) == PrivacyMode.organisation:
        return None
    start, end = clock.day_start(period.since, zone()), clock.day_start(period.until, zone())
    could = len(accounts.accesses(session, start, end).get(shown.id, []))
    # Who erased their reading is counted anew afterwards.
    read = min(could, metrics.people(session, scope_of(period, shown.id)))
    return (read, could) if could >= disclosure.MIN_PEOPLE else None


def area_table(session: Session, period: Period, partner_id: uuid.UUID) -> Table:
    """Time in the portal by area, where reading may be split."""
    table = content.area_table(session, period, partner_id)
    if splits(session, period, partner_id):
        return table
    return replace(table, rows=[], empty=disclosure.why(), note="")


# --- who read -----------------------------------------------------------------------------------


def names_people(shown: Partner) -> bool:
    """Whether the privacy mode of a partner's country names people."""
    return privacy_mode(shown) == PrivacyMode.person


def people_table(session: Session, period: Period, shown: Partner) -> Table:
    """Who read how much, where the privacy mode names people.

    Whoever lost access or erased their reading since the period began is not named. What they read
    is in the total of the partner, so it must not be what the names leave of that: the others in
    the last row are always one more than those, the colleague who joined first.
    """
    people = sort_by_name(accounts.colleagues(session, shown.id), lambda user: user.name)
    gone = _gone(session, people, clock.day_start(period.since, zone()))
    named = [user for user in people if user.deactivated_at is None and user.id not in gone]
    others = len(gone)
    if gone and named:
        named.remove(min(named, key=lambda user: (user.created_at, user.id)))
        others += 1
    scope = scope_of(period, shown.id)
    subjects = {_subject(user, user.erasures): user.id for user in named}
    views = metrics.people_of(session, scope, subjects, zone())
    rows: list[dict[str, object]] = [
        {"person": user.name, "views": views.get(user.id, 0)} for user in named
    ]
    if others > 1:
        rest = metrics.total(session, scope).views - sum(views.values())
        name = _("%(n)s others, who are not named", n=others)
        rows.append({"person": name, "views": max(0, rest)})
    return Table(
        "people",
        _("People"),
        [Column("person", _("Person")), Column("views", _("Views"), "number")],
        rows,
        _("Nobody of this partner has access."),
        _("Shown because of the privacy mode for this country."),
    )


def _gone(session: Session, people: Sequence[User], since: datetime) -> set[uuid.UUID]:
    """Those who lost access, or erased what they read, at `since` or later."""
    erased = {_subject(user, user.erasures - 1): user.id for user in people if user.erasures}
    left = {user.id for user in people if user.deactivated_at and user.deactivated_at >= since}
    return left | {erased[key] for key in metrics.erased_since(session, erased, since)}


def _subject(user: User, erasures: int) -> uuid.UUID:
    day = clock.local_day(clock.now(), zone())
    return events.subject_for(keys(), user.id, PrivacyMode.person, day, erasures)
