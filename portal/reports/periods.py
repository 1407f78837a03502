"""Periods of reports: half-open local days. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from portal.clock import add_months
from portal.errors import N_, PortalError
from tracking.dwell import IdleRule

MONTHS = {"3m": 3, "12m": 12, "24m": 24}
DAYS = {"30d": 30}
USUAL = "3m"
LONGEST = timedelta(days=366 * 10)


_NO_RULE = N_("There is no such rule for dwell time. Choose one from the list.")


class BadPeriod(PortalError):
    """The days asked for make no period."""


@dataclass(frozen=True)
class Period:
    """The days `[since, until)`; `name` is the choice that made it, `days` for two dates.

    `rule` says which attention counts as dwell.
    """

    since: date
    until: date
    name: str
    rule: IdleRule = IdleRule.reading

    @property
    def last(self) -> date:
        """The last day that counts."""
        return self.until - timedelta(days=1)

    @property
    def query(self) -> str:
        """The part of an address that asks for this period again."""
        rule = {} if self.rule == IdleRule.reading else {"dwell": self.rule.value}
        if self.name != "days":
            return urlencode({"period": self.name, **rule})
        return urlencode({"from": self.since.isoformat(), "to": self.last.isoformat(), **rule})

    def with_rule(self, rule: str) -> str:
        """The part of an address that asks for this period with another rule for dwell time."""
        return replace(self, rule=IdleRule(rule)).query

    def named(self, name: str) -> str:
        """The part of an address that asks for another period by name, with the same rule."""
        return replace(self, name=name).query

    def before(self) -> Period:
        """The period of equal length that ends where this one begins."""
        if self.name in MONTHS:
            since = add_months(self.since, -MONTHS[self.name])
        else:
            since = self.since - (self.until - self.since)
        return Period(since, self.since, self.name, self.rule)


def parse(args: Mapping[str, str], today: date) -> Period:
    """The period an address asks for, by name or by its first and last day; usually 3 months.

    Today is the last day. Raises BadPeriod with a sentence.
    """
    try:
        rule = IdleRule(args.get("dwell") or IdleRule.reading)
    except ValueError:
        raise BadPeriod(_NO_RULE) from None
    return replace(_days(args, today), rule=rule)


def _days(args: Mapping[str, str], today: date) -> Period:
    if args.get("from") or args.get("to"):
        return _between(args.get("from", ""), args.get("to", ""), today)
    name, until = args.get("period") or USUAL, today + timedelta(days=1)
    if name in DAYS:
        return Period(until - timedelta(days=DAYS[name]), until, name)
    if name in MONTHS:
        return Period(add_months(until, -MONTHS[name]), until, name)
    raise BadPeriod(N_("There is no such period. Choose one from the list."))


def _between(first: str, last: str, today: date) -> Period:
    try:
        since = date.fromisoformat(first) if first else today
        until = (date.fromisoformat(last) if last else today) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise BadPeriod(N_("A day is written like 2026-03-31.")) from None
    if not since < until or until - since > LONGEST:
        raise BadPeriod(N_("The first day must come before the last, at most ten years apart."))
    return Period(since, until, "days")
