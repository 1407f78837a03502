"""What those who are asked are promised, in words: who sees an answer, and until when it counts."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from flask_babel import gettext as _

from surveys.models import Mode, Wave


def who_sees(wave: Wave, company: str) -> str:
    """Who sees my answer: what a wave promised when it opened."""
    if wave.mode == Mode.attributed:
        return _(
            "The channel managers of %(company)s see your answer with your name and your company.",
            company=company,
        )
    shown = _(
        "%(company)s sees only figures of %(n)s people or more together, never what one person "
        "chose. %(written)s Nothing is shown before the survey has closed and %(n)s people or more "
        "have answered.",
        company=company,
        n=wave.minimum_n,
        written=of_texts(wave),
    )
    if wave.mode == Mode.confidential:
        return f"{shown} " + _("The portal itself knows which answer is yours.")
    return f"{shown} " + _(
        "When the survey has closed, what ties your answer to you is deleted. Kept are that you "
        "have answered, and each answer with its company and language. Where only one person of a "
        "company answers, somebody who can read the database can still tell whose answer it is."
    )


def of_texts(wave: Wave) -> str:
    """Who sees what I write, where a wave tells nobody who it was; it stands beside each text."""
    if wave.mode == Mode.attributed:
        return ""
    return _("What you write is shown word for word, without your name.")


def closing_time(wave: Wave, locale: str) -> str:
    """When answering ends, as people of a language write a date, with the clock that it is on:
    `Friday 13 March 2026, 09:00 (Europe/Berlin, UTC+01:00)`."""
    local = wave.closes_at.astimezone(ZoneInfo(wave.survey.timezone))
    day = format_date(local.date(), "full", locale=_babel(locale))
    return f"{day}, {local:%H:%M} ({wave.survey.timezone}, {_offset(local.utcoffset())})"


def language_name(locale: str) -> str:
    """A language as its speakers call it."""
    return (_babel(locale).display_name or locale).partition(" (")[0]


def _babel(locale: str) -> Locale:
    # Plain English would be that of the United States, where the day comes after the month.
    try:
        return Locale.parse("en_GB" if locale == "en" else locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return _babel("en")


def _offset(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
