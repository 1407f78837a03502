"""What reports may show of a partner's reading: the privacy mode decides, also by difference.

Context: in the modes `organisation` and `pseudonymous` the vendor sees what an organisation read,
never who. But the reading of an organisation of one person is that person's; and a figure that is
left out can be worked out from two others.
Decision: reading is views, dwell time, pages, areas, activities and the number of people. A month
in which on some day fewer than MIN_PEOPLE people of a partner had access is *withheld* for it. In
a withheld month the partner's reading is shown as a whole only, once the month is over and nothing
can come in any more; never by content, page, area or day, nor for a part of the month. What was
done on purpose (downloads, shares, likes, deals) and what customers did (opens) is always shown.
Whoever asks for a report asks here: page, file and chart get the same answer.
Why no difference helps: every figure that is shown of a partner's reading is a sum of whole
withheld months, and of days and contents in other months; so is each difference of two of them.
The figures of everyone together minus those of the partners that are shown leave the sum over the
partners that are withheld. In each month these are at least two that read, with MIN_PEOPLE people
or more: otherwise the next partner, by people, then by id, is withheld in that month as well.
Content for few: of an asset that is meant for one or two withheld partners, beside others, no
reading is shown at all.
Rankings: a partner whose reading is not shown stands where the acts on purpose alone would put it,
so that its place between two others tells nothing; in the table of one asset it has a row only for
such acts. New, active, at risk and inactive are told from all activities of 90 days: four words.
Limits: who keeps the answers of yesterday learns what today has added to everyone's figures. Where
all the readers of the portal are fewer than MIN_PEOPLE, the figures of everyone are theirs; where a
single asset is left out, everything less the other assets is its reading. Numbers of partners count
everyone: when all of them opened something, each did.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from flask import g
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.models import PrivacyMode
from portal.accounts.service import Access
from portal.content import library
from portal.content.attention import privacy_mode
from portal.db import in_parts
from portal.formatting import count
from portal.reports.periods import Period
from tracking import metrics

MIN_PEOPLE = 3
# So long after its end, what was read in a month may still be reported.
SETTLES = timedelta(days=2)
_ONE_DAY = timedelta(days=1)

Few = Mapping[uuid.UUID, int]


# --- what the reports ask ---------------------------------------------------------------------


def hidden(session: Session, period: Period) -> frozenset[uuid.UUID]:
    """The partners whose reading in `period` is not shown, not even as one figure."""
    whole = whole_months(period)
    cut = [month for month in months_of(period) if not (whole and _holds(whole, month))]
    # One by one: they may be years apart, and mostly nobody came or left in one month.
    return frozenset().union(*(_all_of(_withheld(session, [month])) for month in cut))


def unsplit(session: Session, period: Period) -> frozenset[uuid.UUID]:
    """The partners whose reading in `period` is not shown by content, page, area or day."""
    return _all_of(_withheld(session, months_of(period)))


def unsplit_assets(
    session: Session, period: Period, asset_ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of some assets that are for so few partners that what everyone read of them would be
    what a withheld one did."""
    audiences = library.audiences(session, asset_ids)
    withheld = unsplit(session, period) if audiences else frozenset()
    partners = [one for one in accounts.partner_facts(session) if one.id in withheld]
    return {
        key
        for key, rules in audiences.items()
        if 0 < sum(library.is_addressed(rules, one) for one in partners) < MIN_PEOPLE
    }


def withheld_months(session: Session, period: Period, partner_id: uuid.UUID) -> list[date]:
    """The months of `period` (their first days) that are withheld for a partner."""
    found = _withheld(session, months_of(period))
    return [month for month in sorted(found) if partner_id in found[month]]


def whole_months(period: Period) -> Period | None:
    """The whole months of `period` that are over and settled; None where there are none."""
    first = period.since.replace(day=1)
    if first < period.since:
        first = clock.add_months(first, 1)
    settled = clock.local_day(clock.now() - SETTLES, accounts.zone())
    last = min(period.until, settled).replace(day=1)
    return Period(first, last, "days", period.rule) if first < last else None


def months_before(months: Period) -> Period:
    """As many whole months before `months`."""
    n = len(months_of(months))
    return Period(clock.add_months(months.since, -n), months.since, "days", months.rule)


def months_of(period: Period) -> list[date]:
    """The first day of every month that `period` touches, days that are to come left out."""
    until = min(period.until, clock.local_day(clock.now(), accounts.zone()) + _ONE_DAY)
    month, found = period.since.replace(day=1), []
    while month < until:
        found.append(month)
        month = clock.add_months(month, 1)
    return found


def note(n: int, text: str, of_asset: bool) -> str:
    """`text`, the note of a table over partners, and why the reading of `n` of them is missing."""
    if not n:
        return text
    if of_asset:
        few = count(
            n,
            "–: what %(num)s partner with few people read is not shown by content.",
            "–: what %(num)s partners with few people read is not shown by content.",
        )
    else:
        few = count(
            n,
            "–: what %(num)s partner with few people read is shown for whole months only.",
            "–: what %(num)s partners with few people read is shown for whole months only.",
        )
    return f"{text} {few}"


def without_reading() -> str:
    """The note of a table that leaves reading out."""
    return _("Without what was read: too few people have access.")


def why() -> str:
    """Why a partner's reading is not shown in detail."""
    return _(
        "What they read is shown for whole months only, never by content or day: fewer than "
        "%(n)s people have access, or a smaller partner's reading could be worked out.",
        n=MIN_PEOPLE,
    )


def why_not_asset() -> str:
    """Why no reading of an asset is shown."""
    return _("How it was read is not shown: it is for partners with few people.")


# --- the rule -----------------------------------------------------------------------------------


def _holds(months: Period, month: date) -> bool:
    return months.since <= month < months.until


def _all_of(withheld: Mapping[date, Collection[uuid.UUID]]) -> frozenset[uuid.UUID]:
    return frozenset(key for keys in withheld.values() for key in keys)


def _withheld(session: Session, months: Sequence[date]) -> dict[date, set[uuid.UUID]]:
    """The partners that are withheld in each of these months; found once per request."""
    known: dict[date, set[uuid.UUID]] = g.setdefault("withheld", {})
    asked = [month for month in months if month not in known]
    if asked:
        named = _named(session)
        accesses = _accesses(session, asked[0], clock.add_months(asked[-1], 1), MIN_PEOPLE)
        for key in named & accesses.keys():
            del accesses[key]
        for month, few in _few(accesses, asked).items():
            known[month] = few.keys() | _cover(session, month, few, named)
    return {month: known[month] for month in months}


def _named(session: Session) -> set[uuid.UUID]:
    """The partners whose privacy mode says names: nothing of theirs is withheld."""
    row = accounts.installation()
    if row is None or PrivacyMode.person not in (
        row.privacy_mode,
        *row.privacy_by_country.values(),
    ):
        return set()
    return {
        partner.id
        for partner in accounts.partner_facts(session)
        if privacy_mode(partner) == PrivacyMode.person
    }


def _accesses(
    session: Session, begin: date, end: date, fewer_than: int | None = None
) -> dict[uuid.UUID, list[Access]]:
    zone = accounts.zone()
    until = min(clock.day_start(end, zone), clock.now())
    return accounts.accesses(session, clock.day_start(begin, zone), until, fewer_than)


def _few(
    accesses: Mapping[uuid.UUID, Sequence[Access]], months: Sequence[date]
) -> dict[date, dict[uuid.UUID, int]]:
    """The partners with too few people on a day of each month, and how many that were."""
    zone, today = accounts.zone(), clock.local_day(clock.now(), accounts.zone())
    ends = [clock.add_months(month, 1) - _ONE_DAY for month in months]
    found: dict[date, dict[uuid.UUID, int]] = {month: {} for month in months}
    for partner_id, some in accesses.items():
        for first, last, n in spans_of_few([_days(access, zone) for access in some]):
            until = bisect_right(months, min(last, today))
            for month in months[bisect_left(ends, first) : until]:
                found[month][partner_id] = min(n, found[month].get(partner_id, n))
    return found


def _days(access: Access, zone: ZoneInfo) -> tuple[date, date]:
    last = date.max if access.until is None else clock.local_day(access.until, zone)
    return clock.local_day(access.since, zone), last


def spans_of_few(people: Sequence[tuple[date, date]]) -> Iterator[tuple[date, date, int]]:
    """The first and last day of every time in which some people had access, but fewer than
    MIN_PEOPLE, and how many; people are given by the first and last day of each."""
    changes = Counter(begin for begin, _end in people)
    changes.subtract(end + _ONE_DAY for _begin, end in people if end < date.max)
    n = 0
    for day, after in pairwise([*sorted(changes), date.max]):
        n += changes[day]
        if 0 < n < MIN_PEOPLE:
            yield day, after - _ONE_DAY, n


def _cover(session: Session, month: date, few: Few, named: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Who is withheld as well, because otherwise the rest would be the reading of too few."""
    readers = set[uuid.UUID]()
    for reader in _readers(session, month, sorted(few)):
        readers.add(reader)
        if len(readers) > 1 and sum(few[key] for key in readers) >= MIN_PEOPLE:
            return set()
    if not readers:
        return set()
    others = _others(session, month, {*few, *named})
    return {next_one} if (next_one := next(_readers(session, month, others), None)) else set()


def _readers(session: Session, month: date, keys: Sequence[uuid.UUID]) -> Iterator[uuid.UUID]:
    """Those of these partners that read in a month, in their order."""
    for some in in_parts(keys, 50):
        found = metrics.readers_in_month(session, month, some)
        yield from (key for key in some if key in found)


def _others(session: Session, month: date, without: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """The other partners, those with the fewest people first."""
    found = _accesses(session, month, clock.add_months(month, 1))
    return sorted(found.keys() - without, key=lambda key: (len(found[key]), key))
