"""Business hours, and the rules that come in versions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.db import db, write
from portal.deals import policy, policy_versions
from portal.deals.policy import ONE_DAY, Calendar, Terms, after_business_time, business_time
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, deal, register
from tests.pages import text_of
from tests.people import ada, anna, lena

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
GERMAN = Calendar(9 * 60, 17 * 60, "DE")


def berlin(*parts: int) -> datetime:
    """A moment on the clocks of Berlin."""
    return datetime(*parts, tzinfo=BERLIN)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("submitted", "due"),
    [
        # Tuesday 14:00: three hours, eight, five.
        (berlin(2026, 11, 17, 14), berlin(2026, 11, 19, 14)),
        # In the night, and before the office opens: as at nine.
        (berlin(2026, 11, 17, 3), berlin(2026, 11, 18, 17)),
        # Friday evening: Monday morning begins.
        (berlin(2026, 11, 20, 19), berlin(2026, 11, 24, 17)),
        # The weekend, and Good Friday and Easter Monday between.
        (berlin(2026, 4, 2, 16), berlin(2026, 4, 8, 16)),
        # Over the change of clocks an hour of work is an hour of work.
        (berlin(2026, 3, 27, 16), berlin(2026, 3, 31, 16)),
        # Christmas and the first of January.
        (berlin(2026, 12, 24, 9), berlin(2026, 12, 28, 17)),
    ],
)
def test_decisions_are_promised_in_business_hours(submitted: datetime, due: datetime) -> None:
    assert policy.decision_due(submitted, Terms(calendar=GERMAN), BERLIN) == due


def test_holidays_are_those_of_the_country_chosen() -> None:
    unity = berlin(2025, 10, 3, 9)
    assert after_business_time(unity, timedelta(hours=8), GERMAN, BERLIN) == berlin(2025, 10, 6, 17)
    austrian = Calendar(9 * 60, 17 * 60, "AT")
    assert after_business_time(unity, timedelta(hours=8), austrian, BERLIN) == berlin(
        2025, 10, 3, 17
    )
    assert {"DE", "AT", "CH", "FI", "IT", "NL", "BE"} <= policy.holiday_countries()


# From the calendars that these countries print, as the day and month of each working day on which
# they are closed; 2026 begins on a Thursday, its Easter is on 5 April, that of 2027 on 28 March.
CLOSED = {
    ("DE", 2026): "1.1. 3.4. 6.4. 1.5. 14.5. 25.5. 25.12.",
    ("DE", 2027): "1.1. 26.3. 29.3. 6.5. 17.5.",
    ("US", 2026): "1.1. 19.1. 16.2. 25.5. 19.6. 3.7. 7.9. 12.10. 11.11. 26.11. 25.12.",
    ("US", 2027): "1.1. 18.1. 15.2. 31.5. 18.6. 5.7. 6.9. 11.10. 11.11. 25.11. 24.12. 31.12.",
    # What all of the United Kingdom has; Boxing Day of 2026 is a Saturday.
    ("GB", 2026): "1.1. 3.4. 4.5. 25.5. 25.12. 28.12.",
    ("GB", 2027): "1.1. 26.3. 3.5. 31.5. 27.12. 28.12.",
}


@pytest.mark.parametrize(("country", "year"), CLOSED)
def test_a_year_is_closed_on_the_days_that_its_calendar_says(country: str, year: int) -> None:
    calendar, days = Calendar(country=country), (date(year, 1, 1) + ONE_DAY * n for n in range(365))
    closed = [day for day in days if day.weekday() < 5 and not calendar.is_open_on(day)]
    assert " ".join(f"{day.day}.{day.month}." for day in closed) == CLOSED[country, year]


NEW_YORK = ZoneInfo("America/New_York")


def new_york(*parts: int) -> datetime:
    """A moment on the clocks of New York."""
    return datetime(*parts, tzinfo=NEW_YORK)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("submitted", "reminded", "due"),
    [
        # Wednesday 16:00: one hour, Thursday eight; Friday 3 July is the holiday of the fourth.
        (new_york(2026, 7, 1, 16), new_york(2026, 7, 6, 12), new_york(2026, 7, 6, 16)),
        # Wednesday 13:00: four hours; Thanksgiving; Friday eight; Monday four.
        (new_york(2026, 11, 25, 13), new_york(2026, 11, 27, 17), new_york(2026, 11, 30, 13)),
        # Christmas Eve of 2027 is given for the Saturday, and New Year's Eve likewise.
        (new_york(2027, 12, 23, 17), new_york(2027, 12, 28, 13), new_york(2027, 12, 28, 17)),
        (new_york(2027, 12, 30, 9), new_york(2028, 1, 3, 13), new_york(2028, 1, 3, 17)),
        # The night in which the clocks go forward has an hour less, the working days do not.
        (new_york(2026, 3, 6, 13), new_york(2026, 3, 9, 17), new_york(2026, 3, 10, 13)),
    ],
)
def test_american_holidays_hold_the_decision_clock(
    submitted: datetime, reminded: datetime, due: datetime
) -> None:
    terms = Terms(calendar=Calendar(country="US"))
    assert policy.reached_at(submitted, 75, terms, NEW_YORK) == reminded
    assert policy.decision_due(submitted, terms, NEW_YORK) == due
    # Closed: the clock stands, whatever passes.
    assert business_time(submitted, due, terms.calendar, NEW_YORK) == timedelta(hours=16)


MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
CALENDARS = st.builds(
    lambda opens, length, country: Calendar(opens, min(opens + length, 24 * 60 - 1), country),
    st.integers(0, 20 * 60), st.integers(30, 12 * 60), st.sampled_from(["DE", "US", ""]),
)  # fmt: skip
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")]
)


@given(MOMENTS, st.integers(0, 100 * 60), CALENDARS, ZONES)
def test_the_promise_is_exactly_so_much_business_time_away(
    start: datetime, minutes: int, calendar: Calendar, zone: ZoneInfo
) -> None:
    wanted = timedelta(minutes=minutes)
    due = after_business_time(start, wanted, calendar, zone)
    assert due >= start
    assert business_time(start, due, calendar, zone) == wanted


@given(MOMENTS, MOMENTS, MOMENTS, CALENDARS, ZONES)
def test_business_time_adds_up(
    one: datetime, two: datetime, three: datetime, calendar: Calendar, zone: ZoneInfo
) -> None:
    first, second, third = sorted((one, two, three))
    parts = (
        business_time(first, second, calendar, zone),
        business_time(second, third, calendar, zone),
    )
    assert business_time(first, third, calendar, zone) == sum(parts, start=timedelta())
    assert business_time(third, first, calendar, zone) == timedelta()


def test_time_in_which_the_partner_has_the_ball_does_not_count(browse: Browse) -> None:
    with clock.at(berlin(2026, 11, 17, 14)) as forward:
        key = register(browse, lena())
        assert deal(key).decision_due_at == berlin(2026, 11, 19, 14)
        forward(timedelta(hours=1))
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
        forward(timedelta(hours=1))
        browse(anna()).post(f"/deals/{key}/ask", data={"sentence": "Who?"})
        assert deal(key).decision_due_at is None
    # A week later the partner answers: two of sixteen hours were used.
    with clock.at(berlin(2026, 11, 24, 9)):
        answered = browse(lena()).post(f"/deals/{key}/edit", data=claim(contact="Frau Brandt"))
        assert answered.status_code == 302
        assert deal(key).decision_due_at == berlin(2026, 11, 25, 15)


# --- versions -------------------------------------------------------------------------------------

RULES = {
    "decision_hours": "8", "opens": "08:00", "closes": "16:00", "holiday_country": "AT",
    "protection_days": "30", "extension_days": "10", "max_extensions": "2",
    "max_resubmissions": "0", "remind_percent": "50", "escalate_to": "admins",
    "remind_first_days": "14", "remind_last_days": "3", "stale_days": "20", "renewal_days": "60",
    "two_person": "", "two_person_currency": "EUR",
    "benefits": "2 % more margin.", "valid_from": "",
}  # fmt: skip


def set_rules(browse: Browse, **more: Any) -> Any:
    """Ada sets new rules."""
    return browse(ada()).post("/deals/rules", data={**RULES, **more})


def test_new_rules_hold_for_what_is_submitted_from_then_on(browse: Browse) -> None:
    before = register(browse, lena())
    assert set_rules(browse).status_code == 302
    page = text_of(browse(anna()).get("/deals/rules"))
    assert "Version 2 in force" in page
    assert "8 business hours" in page
    assert "2 % more margin." in text_of(browse(lena()).get("/deals/new"))
    after = register(browse, lena(), customer_name="Later")
    versions = []
    for key in (before, after):
        rules = deal(key).policy
        assert rules is not None
        versions.append(rules.version)
    assert versions == [1, 2]
    for key, days in ((before, 90), (after, 30)):
        approve(browse, key)
        last = clock.local_day(clock.now(), BERLIN) + timedelta(days=days)
        assert f"until {last.day} {last:%b %Y}" in text_of(browse(lena()).get(f"/deals/{key}"))


def test_rules_from_a_later_day_wait_for_it(browse: Browse) -> None:
    tomorrow = clock.local_day(clock.now(), BERLIN) + timedelta(days=1)
    set_rules(browse, valid_from=tomorrow.isoformat())
    assert policy_versions.current_policy(db.session(), clock.now()).version == 1
    assert "to come" in text_of(browse(anna()).get("/deals/rules"))
    later = clock.day_start(tomorrow, BERLIN)
    assert policy_versions.current_policy(db.session(), later).version == 2
    # Rules in between would change what was promised.
    refused = set_rules(browse)
    assert refused.status_code == 409
    assert "must begin after" in text_of(refused)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"closes": "07:00"}, "must end after it begins"),
        ({"decision_hours": "0"}, "between 1 and 400"),
        ({"valid_from": "2001-01-01"}, "cannot begin in the past"),
        ({"two_person": "much"}, "in figures"),
        ({"holiday_country": "XX"}, "Not a valid choice"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_lost(
    browse: Browse, wrong: dict[str, str], sentence: str
) -> None:
    answer = set_rules(browse, **wrong)
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert "2 % more margin." in answer.text
    with write() as session:
        assert len(policy_versions.policies(session)) == 1


def test_managers_read_the_rules_and_administrators_set_them(browse: Browse) -> None:
    assert "Save as a new version" not in text_of(browse(anna()).get("/deals/rules"))
    assert browse(anna()).post("/deals/rules", data=RULES).status_code == 404
    assert browse(lena()).get("/deals/rules").status_code == 404
