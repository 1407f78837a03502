"""A rhythm in the words of the reader: "every quarter, first Monday, 09:00, Europe/Berlin"."""

from __future__ import annotations

from datetime import datetime, timedelta

from babel.dates import get_day_names, get_month_names
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.formatting import count, day
from surveys.models import Survey
from surveys.schedule import LAST, Every, On, Rhythm, from_iso

EVERY = {
    Every.week: _l("Every week, or every so many weeks"),
    Every.month: _l("Every month"),
    Every.quarter: _l("Every quarter"),
    Every.half_year: _l("Every half-year"),
    Every.year: _l("Every year"),
    Every.never: _l("Only by hand"),
}
NTH = {1: _l("first"), 2: _l("second"), 3: _l("third"), 4: _l("fourth"), LAST: _l("last")}


def weekday_name(weekday: int) -> str:
    """Monday is 0."""
    return str(get_day_names("wide", locale=get_locale() or "en")[weekday])


def month_name(month: int) -> str:
    """January is 1."""
    return str(get_month_names("wide", "stand-alone", locale=get_locale() or "en")[month])


def in_words(rhythm: Rhythm) -> str:
    """How often, and on which day: "every half-year (March, September), last Friday"."""
    if rhythm.every is Every.never:
        return _("only by hand")
    parts = [_how_often(rhythm), _which_day(rhythm)]
    if rhythm.until is not None:
        parts.append(_("until %(day)s", day=day(rhythm.until)))
    if rhythm.count is not None:
        parts.append(count(rhythm.count, "%(num)s time", "%(num)s times"))
    return ", ".join(parts)


def _how_often(rhythm: Rhythm) -> str:
    if rhythm.every is Every.week:
        return count(rhythm.interval, "every week", "every %(num)s weeks")
    if rhythm.every is Every.month:
        return _("every month")
    months = ", ".join(map(month_name, rhythm.months))
    if rhythm.every is Every.quarter:
        usual = rhythm.months[0] == 1
        return _("every quarter") if usual else _("every quarter (%(months)s)", months=months)
    if rhythm.every is Every.half_year:
        return _("every half-year (%(months)s)", months=months)
    return _("every year (%(months)s)", months=months)


def _which_day(rhythm: Rhythm) -> str:
    if rhythm.every is Every.week:
        return weekday_name(rhythm.weekday)
    if rhythm.on is On.weekday:
        nth, weekday = NTH[rhythm.nth], weekday_name(rhythm.weekday)
        return _("%(nth)s %(weekday)s", nth=nth, weekday=weekday)
    return _("last day") if rhythm.on is On.last_day else _("day %(n)s", n=rhythm.day)


def rhythm_of(survey: Survey) -> str:
    """When a survey asks, in words; a rule that nobody can choose here is shown as it is."""
    rhythm = Rhythm.parse(survey.rrule)
    if rhythm is not None and rhythm.every is Every.never:
        return in_words(rhythm)
    words = survey.rrule if rhythm is None else in_words(rhythm)
    return f"{words}, {from_iso(survey.starts_local):%H:%M}, {survey.timezone}"


def skipped(rhythm: Rhythm) -> str:
    """What to know of a day that some months do not have; empty where all do."""
    if rhythm.is_impossible:
        return _("There is no such day. Choose another, or the last day of the month.")
    if rhythm.without:
        months = ", ".join(map(month_name, rhythm.without))
        return _(
            "Nobody is asked in %(months)s, which has no day %(n)s. Choose the last day of the "
            "month to ask there, too.",
            months=months, n=rhythm.day,
        )  # fmt: skip
    if rhythm.only_in_leap_years:
        return _(
            "29 February comes in leap years only: nobody is asked in February of other years. "
            "Choose the last day of the month to ask every year."
        )
    return ""


def offset(moment: datetime) -> str:
    """How far a clock is from UTC: `UTC+02:00`."""
    minutes = int((moment.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
