"""The report on deals in figures, each with its n, its interval and what is missing for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from flask_babel import gettext as _

from portal.deals.facts import CROSS_SELL, UPSELL
from portal.deals.results import CYCLE_DAYS, HORIZON_DAYS
from portal.estimates import Share, median, reached
from portal.formatting import count, day, money, number
from portal.reports import baselines, deal_parts
from portal.reports.activity import MIN_PARTNERS
from portal.reports.baselines import Metric
from portal.reports.deal_rows import link
from portal.reports.outcomes import Outcomes
from portal.reports.overview import amounts
from portal.tables import Column, Table

# A rate has an interval from so many deals (or customers) on; below, the page says what is missing.
MIN_DEALS = 20


def sentences(found: Outcomes) -> list[str]:
    """The report in a few words: decisions, deals closed, revenue."""
    here = found.results
    hours, closed = median(here.decision_hours), here.close_rate_closed
    said = [count(len(here.registrations), "%(num)s registration.", "%(num)s registrations.")]
    if hours is not None:
        timely = here.decided_in_time
        said[0] += " " + _(
            "Half are decided within %(hours)s business hours, %(part)s of %(whole)s in time.",
            hours=f"{hours:.1f}".removesuffix(".0"),
            part=number(timely.part),
            whole=number(timely.whole),
        )
    said.append(
        _(
            "%(won)s won and %(lost)s lost, %(open)s still open.",
            won=number(closed.part),
            lost=number(closed.whole - closed.part),
            open=number(len(here.open)),
        )
    )
    if here.revenue:
        said.append(_("Revenue %(amounts)s.", amounts=amounts(here.revenue)))
    return said


# --- figures ------------------------------------------------------------------------------------


def figures(name: str, title: str, rows: list[dict[str, Any]], note: str = "") -> Table:
    """A table of numbers, each with its interval, its n and what is to be said of it."""
    columns = [
        Column("what", _("What")),
        Column("value", _("Value"), "figure", about="results"),
        Column("interval", _("95 % interval"), "figure"),
        Column("n", _("n"), "number"),
        Column("note", _("Note")),
    ]
    return Table(name, title, columns, rows, "", note)


def row(
    about: str,
    what: str,
    value: str,
    n: int,
    note: str = "",
    *,
    href: str = "",
    interval: str = "",
) -> dict[str, Any]:
    """One number: `about` is its definition, `href` the page with what is behind it."""
    return {
        "what": what,
        "value": value,
        "interval": interval,
        "n": n,
        "note": note,
        "about": about,
        "href": href,
    }


def _deals(found: Outcomes) -> Table:
    here = found.results
    without_day = (
        _("%(n)s of them without any day", n=number(here.open_without_day))
        if here.open_without_day
        else ""
    )
    maturing = (
        count(here.maturing, "%(num)s is maturing", "%(num)s are maturing") if here.maturing else ""
    )
    headline = here.close_rate_headline
    cycles, lasted, begun = len(here.cycle_days), len(here.durations), link(found, "begun")
    won, qualified = link(found, "won"), link(found, "qualified")
    rows = [
        row("won_deals", _("Won, confirmed by us"), number(len(here.won)), len(here.won), href=won),
        row("lost", _("Lost"), number(len(here.lost)), len(here.lost), href=link(found, "lost")),
        row(
            "open",
            _("Open at the end"),
            number(len(here.open)),
            len(here.open),
            without_day,
            href=link(found, "open"),
        ),
        _share(
            found,
            "close_rate_closed",
            _("Close rate: won of won and lost, by the day of closing"),
            here.close_rate_closed,
            "closed",
            href=link(found, "closed"),
        ),
        _share(
            found,
            "close_rate_cohort",
            _("Close rate: won within 180 days of becoming qualified"),
            here.close_rate_cohort,
            "qualified",
            maturing,
            href=link(found, "ripe"),
        ),
        row(
            "close_rate",
            _("Close rate: won in the period to qualified in it"),
            "–" if headline is None else f"{headline:.0%}",
            len(here.qualified),
            _join(
                _("can exceed 100 % when older deals close"),
                before_portal(found, Metric.close_rate),
            ),
            href=qualified,
        ),
        row(
            "cycle_mean",
            _("Deal cycle, mean of the wins"),
            deal_parts.days(here.cycle_mean),
            cycles,
            before_portal(found, Metric.cycle_days),
            href=link(found, "won-timed"),
        ),
        row(
            "cycle_median",
            _("Deal cycle, median, open ones counted"),
            deal_parts.days(here.cycle_median),
            lasted,
            "" if here.cycle_median is not None else _("fewer than half are won yet"),
            href=begun,
        ),
        *(
            row(
                "won_by_day",
                _("Won by day %(n)s of the deals begun", n=days),
                "–" if (share := here.won_by(days)) is None else f"{share:.0%}",
                lasted,
                href=begun,
            )
            for days in CYCLE_DAYS
        ),
    ]
    return figures("results", _("What became of deals"), rows)


def _registrations(found: Outcomes) -> Table:
    here = found.results
    registered, decided = link(found, "registrations"), link(found, "decisions")
    partners = len({deal.partner_id for deal in here.registrations})
    slowest = reached(here.decision_hours, 0.9)
    cycle = here.registered_cycle_days
    typical = deal_parts.days(median(here.registered_durations))
    rows = [
        row(
            "registrations",
            _("Registrations"),
            number(len(here.registrations)),
            len(here.registrations),
            _join(
                count(partners, "of %(num)s partner", "of %(num)s partners"),
                before_portal(found, Metric.registrations),
            ),
            href=registered,
        ),
        _share(
            found,
            "new_business",
            _("New business among them"),
            here.new_business,
            "registered",
            href=link(found, "new-business"),
        ),
        _share(
            found,
            "approval_rate",
            _("Approval rate, by the day of the decision"),
            here.approval_rate,
            "decided",
            href=decided,
        ),
        _share(
            found,
            "decided_in_time",
            _("Decided in time"),
            here.decided_in_time,
            "decided",
            href=link(found, "promised"),
        ),
        row(
            "decision_hours",
            _("Time to decide, median, waiting ones counted"),
            _hours(median(here.decision_hours)),
            len(here.decision_hours),
            _join(
                _("business hours"),
                "" if slowest is None else _("nine of ten took at most %(n)s", n=_hours(slowest)),
                _("%(n)s not measured", n=number(here.unmeasured)) if here.unmeasured else "",
            ),
            href=link(found, "measured"),
        ),
        row(
            "undecided",
            _("Still undecided at the end"),
            number(len(here.undecided)),
            len(here.undecided),
            _("they have waited at least so long"),
            href=link(found, "undecided"),
        ),
        row(
            "withdrawn_undecided",
            _("Withdrawn before a decision"),
            number(len(here.withdrawn)),
            len(here.withdrawn),
            _("not in the time to decide"),
            href=link(found, "withdrawn"),
        ),
        _share(
            found,
            "registrations_close_rate",
            _("Close rate of these registrations, as far as they are closed"),
            here.registered_close_rate,
            "closed",
            href=link(found, "registrations-closed"),
        ),
        row(
            "registrations_cycle",
            _("Deal cycle of these registrations, mean of the wins"),
            deal_parts.days(sum(cycle) / len(cycle) if cycle else None),
            len(cycle),
            _("median, open ones counted: %(days)s", days=typical)
            if here.registered_durations
            else "",
            href=link(found, "registrations-won"),
        ),
        _share(
            found,
            "content_assisted",
            _("Content-assisted: content of the same family in the 30 days before"),
            found.assisted_registrations,
            "registered",
            deal_parts.hidden_note(found),
            href=link(found, "assisted"),
        ),
        _share(
            found,
            "content_shared",
            _("Content shared with this customer before closing"),
            found.shared_closed,
            "closed",
            href=link(found, "shared"),
        ),
        *_declared(found),
        row(
            "drafts_abandoned",
            _("Drafts abandoned"),
            number(found.abandoned),
            found.abandoned,
            _("begun in the period, not touched for 14 days"),
        ),
    ]
    return figures("results-registrations", _("Registrations"), rows)


def _declared(found: Outcomes) -> list[dict[str, Any]]:
    asked = (
        ("content_declared", _("Declared: partners name content that helped"), found.declared),
        (
            "pursued_anyway",
            _("Declared: would have been pursued without the portal"),
            found.pursued_anyway,
        ),
    )
    return [_share(found, key, what, one, "registered") for key, what, one in asked if one]


def _revenue(found: Outcomes) -> Table:
    partners = len(found.with_access)
    rows = []
    for code, one in found.revenue.items():
        won, code_of = link(found, f"won.{code}"), {"code": code}
        per_partner = "–" if one.per_partner is None else money(round(one.per_partner), code)
        share = f"{one.top_fifth / one.total:.0%}" if one.total else "–"
        rows += [
            row(
                "revenue",
                _("Revenue in %(code)s", **code_of),
                money(one.total, code),
                one.orders,
                before_portal(found, Metric.revenue, code),
                href=won,
            ),
            row(
                "revenue_per_partner",
                _("Per partner and 30 days"),
                per_partner,
                partners,
                _few_partners(partners, _("partners with access on the first day")),
            ),
            row(
                "order_median", _("Median order"), money(round(one.order_median), code), one.orders,
                href=won,
            ),
            row(
                "partner_median",
                _("Median of the partners that won"),
                money(round(one.partner_median), code),
                one.partners,
                _few_partners(one.partners),
            ),
            row(
                "top_fifth",
                _("Share of the top fifth of them"),
                share,
                one.partners,
                _few_partners(
                    one.partners,
                    count(one.top, "won by %(num)s partner", "won by %(num)s partners"),
                ),
            ),
            row(
                "sourced",
                _("Sourced by partners, a part of it"),
                money(one.sourced, code),
                one.orders,
                _unknown(one.sourced_unknown, code),
                href=link(found, f"sourced.{code}"),
            ),
            row(
                "assisted_revenue",
                _("Content-assisted, a part of it"),
                money(one.assisted, code),
                one.orders,
                _unknown(one.assisted_unknown, code),
                href=link(found, f"assisted-won.{code}"),
            ),
        ]  # fmt: skip
    if found.revenue.keys() - {found.converted.currency}:
        rows += _converted(found)
    if not rows:
        before = before_portal(found, Metric.revenue)
        rows = [row("revenue", _("Revenue"), "–", 0, _join(_("no order was confirmed"), before))]
    return figures(
        "results-revenue",
        _("Revenue"),
        rows,
        _("Net amounts that you confirmed. Currencies are added only by the rates entered."),
    )


def _converted(found: Outcomes) -> list[dict[str, Any]]:
    """All currencies in that of reports, and what could not be converted."""
    here, lacking = found.converted, ""
    if here.unmeasured:
        of_each = sorted(here.missing.items())
        lacking = "; ".join(f"{code or _('without an amount')}: {number(n)}" for code, n in of_each)
    rows = [
        row(
            "revenue_converted",
            _("Revenue in all, converted to %(code)s", code=here.currency),
            money(here.total, here.currency) if here.orders else "–",
            here.orders,
            _join(
                _(
                    "%(n)s of %(all)s won deals converted",
                    n=number(here.orders),
                    all=number(here.wins),
                ),
                _("%(n)s without a rate (%(which)s)", n=number(here.unmeasured), which=lacking)
                if lacking
                else "",
            ),
            href=link(found, "converted"),
        )
    ]
    if lacking:
        rows.append(
            row(
                "without_rate",
                _("Won deals without a rate"),
                number(here.unmeasured),
                here.wins,
                _join(lacking, _("an administrator enters the rates")),
                href=link(found, "without-rate"),
            )
        )
    return rows


def _unknown(minor: int, code: str) -> str:
    return _("not known of %(amount)s", amount=money(minor, code)) if minor else ""


def _few_partners(n: int, note: str = "") -> str:
    missing = MIN_PARTNERS - n
    if missing <= 0:
        return note
    few = count(missing, "needs %(num)s more partner", "needs %(num)s more partners")
    return _join(note, few)


def _growth(found: Outcomes) -> Table:
    here = found.results
    without = sum(deal.customer_id is None for deal in here.won)
    note = (
        count(
            without,
            "%(num)s win is of an unknown customer",
            "%(num)s wins are of unknown customers",
        )
        if without
        else ""
    )
    rows = [
        _share(
            found,
            "upsell_rate",
            _("Existing customers with an upsell"),
            here.customers_with(UPSELL),
            "customers",
            _join(note, before_portal(found, Metric.upsell_rate)),
            href=link(found, "upsell"),
        ),
        _share(
            found,
            "cross_sell_rate",
            _("Existing customers with a cross-sell"),
            here.customers_with(CROSS_SELL),
            "customers",
            before_portal(found, Metric.cross_sell_rate),
            href=link(found, "cross-sell"),
        ),
        *(
            _share(
                found,
                "upsell_conversion",
                what,
                here.conversion_of(*kinds),
                "closed",
                href=link(found, name),
            )
            for what, kinds, name in (
                (_("Won of closed upsell deals"), (UPSELL,), "closed-upsell"),
                (_("Won of closed cross-sell deals"), (CROSS_SELL,), "closed-cross-sell"),
                (_("Won of both together"), (UPSELL, CROSS_SELL), "closed-growth"),
            )
        ),
    ]
    return figures("results-growth", _("Upsell and cross-sell"), rows)


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _hours(hours: float | None) -> str:
    return "–" if hours is None else _("%(n)s h", n=f"{hours:.1f}".removesuffix(".0"))


def _share(
    found: Outcomes,
    about: str,
    what: str,
    share: Share,
    unit: str,
    note: str = "",
    *,
    href: str = "",
) -> dict[str, Any]:
    value = _("%(part)s of %(whole)s", part=number(share.part), whole=number(share.whole))
    if share.value is not None:
        value = f"{share.value:.0%} · {value}"
    interval, missing = "", ""
    if share.whole >= MIN_DEALS and share.interval:
        low, high = share.interval
        interval = _("%(low)s to %(high)s", low=f"{low:.0%}", high=f"{high:.0%}")
    else:
        missing = _missing(found, MIN_DEALS - share.whole, share.whole, unit)
    return row(about, what, value, share.whole, _join(missing, note), href=href, interval=interval)


def _missing(found: Outcomes, n: int, so_far: int, unit: str) -> str:
    """What an interval still needs, and when it will be there: on a day that is certain, or about
    when at the pace of the period."""
    texts = {
        "closed": ("%(num)s more closed deal", "%(num)s more closed deals"),
        "decided": ("%(num)s more decision", "%(num)s more decisions"),
        "registered": ("%(num)s more registration", "%(num)s more registrations"),
        "qualified": ("%(num)s more deal old enough", "%(num)s more deals old enough"),
        "customers": ("%(num)s more customer", "%(num)s more customers"),
    }
    needs = _("an interval needs %(what)s", what=count(n, *texts[unit]))
    here = found.results
    if unit == "customers":
        # A customer counts in the periods that begin after the first order.
        new = here.new_customers
        if when := due(found, n, len(new), new, timedelta(days=1)):
            return _("%(needs)s: in periods from %(day)s on", needs=needs, day=when.text)
        return needs
    if unit == "qualified":
        young, after = [sql.day for sql in here.young], timedelta(days=HORIZON_DAYS + 1)
        return with_day(needs, due(found, n, len(here.qualified), young, after))
    return with_day(needs, due(found, n, so_far))


class When(NamedTuple):
    """The day on which a number will have what it lacks; `certain`, or at the pace of before."""

    day: date
    is_certain: bool

    @property
    def text(self) -> str:
        """The day in words."""
        return day(self.day) if self.is_certain else _("about %(day)s", day=day(self.day))


def due(
    found: Outcomes,
    n: int,
    brought: int,
    young: Sequence[date] = (),
    after: timedelta = timedelta(0),
) -> When | None:
    """When `n` more will count than do. Of those that the period has `brought`, `young` ones began
    on these days and count `after` so long; where they are enough, the day is certain. None where
    it is more than two years away."""
    if n <= len(young):
        return When(sorted(young)[n - 1] + after, True)
    days, rest = (found.period.until - found.period.since).days, n - len(young)
    if not brought or rest * days > brought * 730:
        return None
    return When(found.period.until + timedelta(days=-(-rest * days // brought)) + after, False)


def with_day(needs: str, when: When | None) -> str:
    """What is missing, and when it will be there."""
    if when is None:
        return needs
    if when.is_certain:
        return _("%(needs)s: on %(day)s", needs=needs, day=when.text)
    return _("%(needs)s, %(when)s at this pace", needs=needs, when=when.text)


def before_portal(found: Outcomes, metric: Metric, currency: str = "") -> str:
    """The figure of the time before the portal beside today's; nothing where none was entered or
    the report is about some deals only."""
    if found.filters:
        return ""
    known = baselines.before(found.before_portal, metric, found.period.since, currency)
    return "; ".join(one.full for one in known)


# Every table of the page, in its order.
TABLES: dict[str, Callable[[Outcomes], Table]] = {
    "results": _deals,
    "results-registrations": _registrations,
    "results-revenue": _revenue,
    "results-growth": _growth,
    "results-partners": deal_parts.partners,
    "results-tiers": deal_parts.tiers,
    "results-regions": deal_parts.regions,
    "results-families": deal_parts.families,
    "results-months": deal_parts.months,
    "results-losses": deal_parts.losses,
    "results-partners-stop": deal_parts.partners_stop,
    "results-customers-stop": deal_parts.customers_stop,
    "results-pages-stop": deal_parts.pages_stop,
}
