"""Words and dates of other systems."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.deals.pipeline import Stage, Status
from portal.deals.words import (
    COURSES,
    Course,
    Order,
    Unclear,
    course_of,
    is_ambiguous,
    order_of,
    parse_day,
)

WON, LOST = Course(Status.closed, Stage.won), Course(Status.closed, Stage.lost)


@pytest.mark.parametrize(
    ("status", "stage", "course"),
    [
        ("", "Prospecting", Course(Status.approved, Stage.qualified)),
        ("", "Engaging", Course(Status.approved, Stage.proposal)),
        ("", "Closed Won", WON),
        ("", "closed-lost", LOST),
        ("Gewonnen", "", WON),
        ("closed", "lost", LOST),
        ("approved", "Negotiation/Review", Course(Status.approved, Stage.negotiation)),
        ("Abgelehnt", "Qualified", Course(Status.rejected, None)),
        # What ended after it was accepted keeps how far it had come.
        ("expired", "proposal", Course(Status.expired, Stage.proposal)),
        ("revoked", "", Course(Status.revoked, None)),
        ("approved", "won reported", Course(Status.approved, Stage.won)),
        ("approved", "won", WON),
    ],
)
def test_the_words_of_other_systems_are_understood(status: str, stage: str, course: Course) -> None:
    assert course_of(status, stage) == course


@pytest.mark.parametrize(
    ("status", "stage"),
    [("", ""), ("", "Sunny"), ("closed", ""), ("closed", "proposal"), ("won", "lost"),
     ("approved", "rejected"), ("draft", "")],
)  # fmt: skip
def test_words_that_say_nothing_or_contradict_are_not(status: str, stage: str) -> None:
    assert course_of(status, stage) is None


def test_further_words_can_be_mapped() -> None:
    assert course_of("", "In the bag", {"in the bag": "won"}) == WON


def test_every_status_that_the_portal_exports_is_read_back() -> None:
    for status in set(Status) - {Status.draft, Status.closed}:
        assert course_of(status, "") is not None
    for stage in (Stage.qualified, Stage.proposal, Stage.negotiation):
        assert course_of("approved", stage) == Course(Status.approved, stage)
    assert {course_of("closed", "won"), course_of("closed", "lost")} == {WON, LOST}
    assert len(COURSES) > 50


DAY = date(2026, 11, 5)


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("2026-11-05", None, DAY),
        ("2026-11-05T10:00:00Z", None, DAY),
        ("20261105", None, DAY),
        ("5.11.2026", None, DAY),
        ("05.11.26", Order.month_first, DAY),
        ("11/5/2026", Order.month_first, DAY),
        ("5/11/2026", Order.day_first, DAY),
        ("5-11-2026", None, DAY),
        ("5 Nov 2026", None, DAY),
        ("Nov 5, 2026", None, DAY),
        ("5. November 2026", None, DAY),
        ("12. März 2026", None, date(2026, 3, 12)),
        ("46331", None, DAY),
        ("", None, None),
    ],
)
def test_days_are_read_as_people_write_them(
    text: str, order: Order | None, day: date | None
) -> None:
    assert parse_day(text, order) == day


@pytest.mark.parametrize(
    "text", ["soon", "31.2.2026", "13/13/2026", "5 Nov", "1/1/1066", "Nov Dec 2026", "2026"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_day(text, None)


def test_the_order_is_found_from_dates_that_leave_no_choice() -> None:
    assert order_of(["1/2/2026", "10/20/2016"]) == Order.month_first
    assert order_of(["1/2/2026", "20/10/2016 10:30"]) == Order.day_first
    assert order_of(["1/2/2026", "2026-11-05"]) is None
    assert is_ambiguous("1/2/2026")
    assert not is_ambiguous("2/2/2026")
    with pytest.raises(Unclear):
        order_of(["20/10/2016", "10/20/2016"])


@given(st.dates(date(1990, 1, 1), date(2100, 12, 31)))
def test_a_day_is_read_back_in_every_form(day: date) -> None:
    for text, order in (
        (day.isoformat(), None),
        (f"{day.day}.{day.month}.{day.year}", None),
        (f"{day.month}/{day.day}/{day.year}", Order.month_first),
        (f"{day.day}/{day.month}/{day.year}", Order.day_first),
        (f"{day:%d %b %Y}", None),
    ):
        assert parse_day(text, order) == day
