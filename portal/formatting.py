"""How numbers, times and names are written for people. Used by pages, mails and CSV alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from flask_babel import get_domain
from flask_babel import gettext as _

T = TypeVar("T")


def sort_key(name: str, key: object = "") -> tuple[str, str, str]:
    """One order for names on both engines: without accents and case, then as written, then id."""
    return _plain(name), name, str(key)


@lru_cache(maxsize=8192)
def _plain(name: str) -> str:
    # Remembered: a report sorts the same thousands of names every time.
    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def sort_by_name(rows: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """`rows` in the order of `name`, ties by id."""
    return sorted(rows, key=lambda row: sort_key(name(row), getattr(row, "id", "")))


def duration(milliseconds: int) -> str:
    """Attention in words: `14 s`, `2 min 40 s`, `3 h 05 min`."""
    seconds = round(milliseconds / 1000)
    if seconds < 60:
        return _("%(s)s s", s=seconds)
    if seconds < 3600:
        return _("%(m)s min %(s)s s", m=seconds // 60, s=f"{seconds % 60:02d}")
    return _("%(h)s h %(m)s min", h=seconds // 3600, m=f"{seconds % 3600 // 60:02d}")


def money(minor: int | None, currency: str) -> str:
    """An amount in minor units with its currency: `€ 12 400`, `CHF 980.50`."""
    if minor is None:
        return "–"
    sign = {"EUR": "€", "GBP": "£", "USD": "$"}.get(currency, currency)
    whole, cents = divmod(abs(minor), 100)
    text = f"{whole:,}".replace(",", "\u202f") + (f".{cents:02d}" if cents else "")
    return f"{'-' if minor < 0 else ''}{sign}\u00a0{text}"


def number(value: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def day(value: date | None) -> str:
    """A day: `5 Nov 2026`."""
    return "–" if value is None else f"{value.day} {value:%b %Y}"


def day_of(value: datetime | None, zone: ZoneInfo) -> str:
    """The day of a moment on the reader's calendar: just after midnight that is no longer the day
    that it is in Greenwich."""
    return "–" if value is None else day(value.astimezone(zone).date())


def moment(value: datetime | None, zone: ZoneInfo) -> str:
    """A moment on the reader's clock: `Thu 5 Nov 2026, 14:00`."""
    if value is None:
        return "–"
    local = value.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def soon(value: datetime | None, now: datetime, zone: ZoneInfo) -> str:
    """A moment near now as people say it after "by": `14:00 today`, `09:00 tomorrow`, `Thursday
    14:00`; else with its day."""
    if value is None:
        return "–"
    local, days = (
        value.astimezone(zone),
        (value.astimezone(zone).date() - now.astimezone(zone).date()).days,
    )
    if days == 0:
        return _("%(time)s today", time=f"{local:%H:%M}")
    if days == 1:
        return _("%(time)s tomorrow", time=f"{local:%H:%M}")
    return f"{local:%A %H:%M}" if 0 < days < 7 else moment(value, zone)


def ago(value: datetime | None, now: datetime, zone: ZoneInfo) -> str:
    """How long since: `just now`, `12 min ago`, `today 10:42`, `yesterday`, `5 Nov 2026`."""
    if value is None:
        return _("never")
    seconds = (now - value).total_seconds()
    local, today = value.astimezone(zone), now.astimezone(zone).date()
    if seconds < 60:
        return _("just now")
    if seconds < 3600:
        return _("%(n)s min ago", n=int(seconds // 60))
    if local.date() == today:
        return _("today %(time)s", time=f"{local:%H:%M}")
    if (today - local.date()).days == 1:
        return _("yesterday")
    return day(local.date())


def clock_time(value: datetime, now: datetime, zone: ZoneInfo) -> str:
    """A time of today, `10:42`; of another day with it, `5 Nov 2026, 10:42`."""
    local = value.astimezone(zone)
    same_day = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M}" if same_day else f"{day(local.date())}, {local:%H:%M}"


def of(part: int, whole: int) -> str:
    """A share as counts: `31 of 48`."""
    return _("%(part)s of %(whole)s", part=number(part), whole=number(whole))


def count(n: int, one: str, many: str) -> str:
    """`1 view`, `3 views`: both forms go through gettext."""
    translations: Any = get_domain().get_translations()  # type: ignore[no-untyped-call]
    text: str = translations.ungettext(one, many, n)
    return text % {"num": number(n)}


def initials(name: str) -> str:
    """`Lena Kühn` as `LK`."""
    parts = name.split()
    return "".join(
        part[0] for part in (parts[:1] + parts[-1:] if len(parts) > 1 else parts)
    ).upper()


FILTERS: dict[str, Any] = {
    "duration": duration,
    "money": money,
    "number": number,
    "day": day,
    "initials": initials,
}
