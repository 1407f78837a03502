"""Files for calendars, by the rules of RFC 5545."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from portal import clock
from portal.db import db
from portal.deals import calendar
from portal.deals.calendar import Event, escape, file_of, fold
from portal.deals.models import Protection
from tests.conftest import Browse
from tests.deals.test_deals import approve, register
from tests.people import anna, jonas, lena, mia

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def unfold(text: str) -> list[str]:
    """The content lines of a file, as a program that reads it puts them together (3.1)."""
    assert text.endswith("\r\n")
    return text.replace("\r\n ", "").split("\r\n")[:-1]


def unescape(text: str) -> str:
    """What a value of type TEXT says (3.3.11)."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1].lower(), found[1]), text)


def events_of(text: str) -> list[dict[str, str]]:
    """The events of a file, by the names of their properties."""
    found: list[dict[str, str]] = []
    for line in unfold(text):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and line not in ("END:VEVENT", "END:VCALENDAR"):
            found[-1][name] = value
    return found


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
@settings(max_examples=60)
def test_any_text_survives_folding_and_escaping(text: str) -> None:
    event = Event("uid", date(2026, 3, 1), text, f"{text}\nsecond line", "https://x.example/deals")
    written = file_of([event], "Nordwerk", NOW)
    for line in written.split("\r\n"):
        assert len(line.encode()) <= calendar.MAX_OCTETS
        assert "\n" not in line
    (read,) = events_of(written)
    assert unescape(read["SUMMARY"]) == text
    assert unescape(read["DESCRIPTION"]) == f"{text}\nsecond line"


def test_values_are_written_by_the_rules() -> None:
    assert escape("a;b,c\\d\r\ne\nf\rg\x07") == "a\\;b\\,c\\\\d\\ne\\nf\\ng"
    assert fold("x" * 75) == "x" * 75
    assert fold("x" * 76) == "x" * 75 + "\r\n x"
    # 37 letters of two octets make 74; the 38th would be cut in half.
    assert fold("ü" * 38) == "ü" * 37 + "\r\n ü"
    lines = unfold(file_of([Event("u", date(2026, 12, 31), "T", "D", "https://x", 2)], "N", NOW))
    assert lines == [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//N//Partner portal//EN", "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH", "BEGIN:VEVENT", "UID:u", "DTSTAMP:20261125T093000Z", "SEQUENCE:2",
        "DTSTART;VALUE=DATE:20261231", "DTEND;VALUE=DATE:20270101", "SUMMARY:T", "DESCRIPTION:D",
        "URL:https://x", "TRANSP:TRANSPARENT", "END:VEVENT", "END:VCALENDAR",
    ]  # fmt: skip


def test_a_partner_gets_the_ends_of_its_own_reservations(browse: Browse) -> None:
    key = register(browse, lena(), customer_name="Löwe, Söhne; Co")
    approve(browse, key)
    approve(browse, register(browse, mia(), customer_name="Of the rival", domain="r.example"))
    answer = browse(jonas()).get("/deals/protections.ics")
    assert answer.mimetype == "text/calendar"
    assert "attachment" in answer.headers["Content-Disposition"]
    (event,) = events_of(answer.text)
    assert unescape(event["SUMMARY"]) == "Reservation ends: Löwe, Söhne; Co"
    last = clock.local_day(clock.now(), ZoneInfo("Europe/Berlin")) + timedelta(days=90)
    assert event["DTSTART;VALUE=DATE"] == f"{last:%Y%m%d}"
    # The one deal says the same of the same event.
    (alone,) = events_of(browse(lena()).get(f"/deals/{key}/protection.ics").text)
    assert alone["UID"] == event["UID"]
    assert "Put the end of the reservation" in browse(lena()).get(f"/deals/{key}").text
    # Extended, it is the same event on a later day.
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    browse(anna()).post(f"/deals/{key}/move/extend")
    (later,) = events_of(browse(lena()).get("/deals/protections.ics").text)
    assert later["UID"] == event["UID"]
    assert later["DTSTART;VALUE=DATE"] > event["DTSTART;VALUE=DATE"]
    assert (event["SEQUENCE"], later["SEQUENCE"]) == ("0", "1")


def test_what_does_not_run_is_in_no_calendar(browse: Browse) -> None:
    key = register(browse, lena())
    assert browse(lena()).get(f"/deals/{key}/protection.ics").status_code == 404
    approve(browse, key)
    assert browse(mia()).get(f"/deals/{key}/protection.ics").status_code == 404
    assert events_of(browse(mia()).get("/deals/protections.ics").text) == []
    assert browse(anna()).get("/deals/protections.ics").status_code == 404
    assert browse(anna()).get(f"/deals/{key}/protection.ics").status_code == 200
    browse(lena()).post(f"/deals/{key}/lost", data={"loss_reason": "price"})
    assert browse(lena()).get(f"/deals/{key}/protection.ics").status_code == 404
    assert events_of(browse(lena()).get("/deals/protections.ics").text) == []
    assert db.session.query(Protection).count() == 1
