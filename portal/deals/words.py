"""Words that other systems use for the course of a deal, and dates as people write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from portal.deals.pipeline import OPEN_STAGES, Stage, Status

MONTHS = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
]  # fmt: skip
MORE_MONTHS = {
    "januar": 1, "februar": 2, "märz": 3, "maerz": 3, "mai": 5, "juni": 6, "juli": 7, "okt": 10,
    "oktober": 10, "dez": 12, "dezember": 12, "mär": 3,
}  # fmt: skip


class Course(NamedTuple):
    """Where a deal stands."""

    status: Status
    stage: Stage | None


WON_REPORTED = "won reported"
_APPROVED = Status.approved
_WORDS: dict[Course, str] = {
    Course(_APPROVED, Stage.qualified): (
        "qualified, prospecting, prospect, qualification, discovery, new, open, approved, accepted,"
        "registered, needs analysis, qualifiziert, offen, genehmigt"
    ),
    Course(_APPROVED, Stage.proposal): (
        "proposal, engaging, quote, quoted, offer, value proposition, presentation, demo,"
        "proposal price quote, angebot"
    ),
    Course(_APPROVED, Stage.negotiation): (
        "negotiation, negotiating, negotiation review, contract, commit, verbal, verhandlung"
    ),
    # The partner says so, and the vendor has not confirmed it.
    Course(_APPROVED, Stage.won): f"{WON_REPORTED}, reported won, reported as won",
    Course(Status.closed, Stage.won): "won, closed won, win, order, ordered, gewonnen, auftrag",
    Course(Status.closed, Stage.lost): "lost, closed lost, loss, dead, verloren",
    Course(Status.submitted, None): "submitted, pending, waiting, eingereicht",
    Course(Status.in_review, None): "in review, review, under review, in prüfung",
    Course(Status.returned, None): "returned, more information needed, zurückgegeben",
    Course(Status.rejected, None): "rejected, declined, denied, refused, abgelehnt",
    Course(Status.withdrawn, None): "withdrawn, cancelled, canceled, zurückgezogen",
    Course(Status.expired, None): "expired, abgelaufen",
    Course(Status.revoked, None): "revoked, approval withdrawn",
}


def word_key(word: str) -> str:
    """A word without case and marks: `Closed-Won` and `closed won` are the same."""
    return " ".join(re.sub(r"[\W_]+", " ", word.casefold()).split())


COURSES = {word_key(word): course for course, words in _WORDS.items() for word in words.split(",")}
# In the column of statuses it says nothing beside a stage.
CLOSED = "closed"


def course_of(status: str, stage: str, also: Mapping[str, str] | None = None) -> Course | None:
    """Where a deal stands by the words of two columns, either of which may be empty.

    `also` maps further words (by `word_key`) to those known here. None when a word is not
    understood, or when the two do not go together.
    """
    more = also or {}
    known = [COURSES.get(more.get(word_key(word), word_key(word))) for word in (status, stage)]
    if not status or not stage:
        return known[0] if status else known[1]
    claim, sale = known
    if word_key(status) == CLOSED:
        return sale if sale is not None and sale.status == Status.closed else None
    if claim is None or sale is None:
        return None
    if claim.status == Status.closed:
        return claim if claim == sale else None
    if claim.status == _APPROVED:
        return sale if sale.status in (_APPROVED, Status.closed) else None
    # What ended after it was accepted keeps how far it had come; a claim that was not accepted has
    # no stage, whatever a sales system says of it.
    was_accepted = claim.status in (Status.expired, Status.revoked) and sale.stage in OPEN_STAGES
    return Course(claim.status, sale.stage if was_accepted else None)


# --- dates --------------------------------------------------------------------------------------


class Order(StrEnum):
    """How dates in figures are meant that could be either."""

    day_first = "dmy"
    month_first = "mdy"


_FIGURES = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})")
_ISO = re.compile(r"(\d{4})[./-]?(\d{2})[./-]?(\d{2})")
_TIME = re.compile(r"[T ]\d{1,2}:\d{2}.*$")
_EXCEL = re.compile(r"[2-7]\d{4}")
_EXCEL_DAY_0 = date(1899, 12, 30)


class Unclear(ValueError):
    """Every date of the file could be read in two ways."""


def order_of(values: Iterable[str]) -> Order | None:
    """Whether dates in figures have the day or the month first, by those that leave no choice;
    None where none does. Raises Unclear where they contradict each other."""
    orders = set()
    for value in values:
        figures = _FIGURES.fullmatch(_TIME.sub("", value.strip()))
        if figures:
            first, second = int(figures[1]), int(figures[2])
            if first > 12 >= second:
                orders.add(Order.day_first)
            if second > 12 >= first:
                orders.add(Order.month_first)
    if len(orders) > 1:
        raise Unclear("some dates have the day first and some the month")
    return orders.pop() if orders else None


def is_ambiguous(value: str) -> bool:
    """Whether a date means two different days, depending on the order."""
    figures = _FIGURES.fullmatch(_TIME.sub("", value.strip()))
    if not figures:
        return False
    first, second = int(figures[1]), int(figures[2])
    return first != second and first <= 12 and second <= 12


def parse_day(value: str, order: Order | None) -> date | None:
    """A day as people write it: `2026-11-05`, `5.11.2026`, `11/5/2026`, `5 Nov 2026`, `Nov 5,
    2026`, the number a spreadsheet keeps; None for nothing.

    Raises ValueError for anything else. Points always have the day first.
    """
    text = _TIME.sub("", value.strip())
    if not text:
        return None
    if iso := _ISO.fullmatch(text):
        return _sensible(int(iso[1]), int(iso[2]), int(iso[3]))
    if figures := _FIGURES.fullmatch(text):
        first, second, year = int(figures[1]), int(figures[2]), int(figures[3])
        month_first = order == Order.month_first and "." not in text
        day, month = (second, first) if month_first else (first, second)
        return _sensible(year + 2000 if year < 100 else year, month, day)
    if _EXCEL.fullmatch(text):
        return _EXCEL_DAY_0 + timedelta(days=int(text))
    return _in_words(text)


def parse_moment(value: str, order: Order | None) -> date | datetime | None:
    """A moment as `2026-11-05T14:30:00+01:00`, or else a day. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return parse_day(value, order)
    if moment.tzinfo is None:
        return parse_day(value, order)
    _sensible(moment.year, moment.month, moment.day)
    return moment


def _in_words(text: str) -> date:
    words = re.findall(r"\d+|[^\W\d_]+", text.casefold())
    figures = [int(word) for word in words if word.isdigit()]
    names = [_month(word) for word in words if not word.isdigit() and _month(word)]
    if len(names) != 1 or len(figures) != 2:
        raise ValueError(f"not a day: {text!r}")
    day, year = sorted(figures)
    return _sensible(year, names[0], day)


def _month(word: str) -> int:
    if word in MORE_MONTHS:
        return MORE_MONTHS[word]
    return MONTHS.index(word[:3]) + 1 if word[:3] in MONTHS else 0


def _sensible(year: int, month: int, day: int) -> date:
    if not 1990 <= year <= 2100:
        raise ValueError(f"not a year of ours: {year}")
    return date(year, month, day)
