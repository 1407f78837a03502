"""Setting a survey up: what would happen is shown, what is kept is what was shown."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from portal import clock, mail
from portal.db import db, new_id, write
from surveys import rhythms, waves
from surveys.models import OPEN, Invitation, Questionnaire, Survey, Wave
from surveys.schedule import Every, On, Rhythm
from tests.conftest import Browse
from tests.deals.test_checks import counted_queries
from tests.factories import make_partner, make_user
from tests.pages import text_of
from tests.people import anna, jonas, kuehn, lena, mia
from tests.surveys.asking import ask

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
DATA: dict[str, Any] = {
    "name": "Partner pulse", "questionnaire": "", "mode": "confidential",
    "every": "quarter", "interval": "1", "on": "weekday", "nth": "1", "weekday": "0", "day": "1",
    "month": "1", "at": "09:00", "zone": "Europe/Berlin", "start": "2026-12-01", "ends": "never",
    "open_days": "14", "reminders": "5, 10", "quarantine_days": "30", "minimum_n": "5",
}  # fmt: skip


def filled(**more: Any) -> dict[str, Any]:
    """What the form sends; the questionnaire is the standard one."""
    known = db.session.scalars(select(Questionnaire.id)).first()
    return {**DATA, "questionnaire": str(known or ""), **more}


def post(browser: FlaskClient, **more: Any) -> Any:
    """Send the form of a new survey at half past ten of 1 December 2026 in Berlin."""
    with clock.at(NOW):
        return browser.post("/surveys/new", data=filled(**more))


def save(browser: FlaskClient, **more: Any) -> Survey:
    """Set a survey up, and find it."""
    assert post(browser, then="save", **more).status_code == 302
    return db.session.scalars(select(Survey).order_by(Survey.created_at.desc())).first()  # type: ignore[return-value]


@pytest.fixture
def browser(browse: Browse) -> FlaskClient:
    """Anna's."""
    with clock.at(NOW):
        return browse(anna())


def test_the_next_five_dates_with_their_offsets_and_the_people_are_shown_before_saving(
    browser: FlaskClient,
) -> None:
    lena(), jonas(), mia()
    page = text_of(post(browser, then="show"))
    assert "4 Jan 2027, 09:00 Mon (UTC+01:00)" in page
    assert "5 Apr 2027, 09:00 Mon (UTC+02:00) the clocks have changed" in page
    assert page.count("(UTC+") == 5
    assert "Asks 3 people of 2 partners today." in page
    assert db.session.query(Survey).count() == 0
    survey = save(browser)
    assert (survey.rrule, survey.starts_local, survey.timezone) == (
        "FREQ=YEARLY;BYMONTH=1,4,7,10;BYDAY=1MO", "2027-01-04T09:00:00", "Europe/Berlin",
    )  # fmt: skip
    assert (survey.mode, survey.reminder_days, survey.quarantine_days) == (
        "confidential", [5, 10], 30,
    )  # fmt: skip
    with clock.at(NOW):
        listed = text_of(browser.get("/surveys"))
    assert "every quarter, first Monday, 09:00, Europe/Berlin" in listed
    assert "Mon 4 Jan 2027, 09:00" in listed


def test_the_audience_is_who_is_chosen(browser: FlaskClient) -> None:
    lena(), jonas(), mia()
    make_user(partner=kuehn(), held_at=NOW)
    silver = make_user(partner=make_partner(tier="Silver", region="Benelux"))
    asked: dict[str, Any] = {
        "tiers": ["Silver"], "regions": ["DACH"], "roles": ["partner_admin"],
        "partners": [str(kuehn().id)],
    }  # fmt: skip
    expected = {"tiers": 1, "regions": 3, "roles": 1, "partners": 2}
    for name, n in expected.items():
        page = text_of(post(browser, **{"then": "show", name: asked[name]}))
        assert f"Asks {n} {'person' if n == 1 else 'people'} of" in page, name
    survey = save(browser, tiers=["Silver"], never_asked="y")
    assert survey.audience == {"tiers": ["Silver"], "never_asked": True}
    with write((Survey, survey.id)) as session:
        waves.open_by_hand(session, session.get_one(Survey, survey.id), "manual", NOW)
    assert db.session.scalars(select(Invitation.user_id)).all() == [silver.id]
    assert "Asks 0 people" in text_of(post(browser, then="show", tiers="Silver", never_asked="y"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": " "}, "Enter a name."),
        ({"open_days": "0"}, "Use a number from 1 to 90."),
        ({"minimum_n": "2"}, "Use a number from 3 to 100."),
        ({"reminders": "5, 14"}, "from day 1 to 13"),
        ({"reminders": "soon"}, "Write days as numbers"),
        ({"ends": "until"}, "Choose the last day"),
        ({"ends": "count"}, "Say after how many waves"),
        ({"every": "year", "on": "day", "day": "30", "month": "2"}, "There is no such day."),
        ({"at": "25:00"}, "time"),
        ({"start": "1999-01-01"}, "from the year 2000"),
        ({"partners": "x"}, "not"),
        ({"zone": "Mars/Base"}, "not"),
    ],
)
def test_bad_input_gets_a_sentence_and_loses_nothing(
    browser: FlaskClient, wrong: dict[str, str], sentence: str
) -> None:
    answer = post(browser, then="save", **{"name": "Kept as typed", **wrong})
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert "Nothing was saved yet" in text_of(answer)
    assert 'value="30"' in answer.text
    assert db.session.query(Survey).count() == 0


@pytest.mark.parametrize(
    ("hidden", "rule"),
    [
        ({"day": "45"}, "FREQ=YEARLY;BYMONTH=1,4,7,10;BYDAY=1MO"),
        ({"every": "month", "interval": ""}, "FREQ=MONTHLY;BYDAY=1MO"),
        ({"every": "month", "month": "13"}, "FREQ=MONTHLY;BYDAY=1MO"),
        ({"ends": "never", "count": "0", "until": "soon"},
         "FREQ=YEARLY;BYMONTH=1,4,7,10;BYDAY=1MO"),
        ({"every": "week", "on": "day", "day": "", "nth": "9"}, "FREQ=WEEKLY;BYDAY=MO"),
        ({"every": "month", "on": "last_day", "weekday": "x"}, "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ({"every": "never", "at": "", "start": "1999-01-01", "ends": "count"}, ""),
    ],
)  # fmt: skip
def test_what_the_choice_puts_aside_is_not_read(
    browser: FlaskClient, hidden: dict[str, str], rule: str
) -> None:
    assert save(browser, **hidden).rrule == rule


def test_what_was_put_aside_is_marked_once_it_is_chosen(browser: FlaskClient) -> None:
    answer = post(browser, then="save", every="month", on="day", day="45")
    assert answer.status_code == 400
    assert "Use a number from 1 to 31." in text_of(answer)


def test_days_that_months_lack_are_said_in_words(browser: FlaskClient) -> None:
    page = text_of(post(browser, then="show", every="month", on="day", day="31"))
    assert "Nobody is asked in February, April, June, September, November" in page
    leap = text_of(post(browser, then="show", every="year", on="day", day="29", month="2"))
    assert "29 February comes in leap years only" in leap
    assert "29 Feb 2028" in leap
    last = text_of(post(browser, then="show", every="month", on="last_day"))
    assert "28 Feb 2027" in last
    assert "Nobody is asked in" not in last


def test_an_hour_that_the_clocks_skip_is_shown(browser: FlaskClient) -> None:
    page = text_of(
        post(browser, then="show", every="year", nth="-1", weekday="6", month="3", at="02:30")
    )
    assert "28 Mar 2027, 02:30 Sun (UTC+02:00) the clocks skip this time: opens at 03:30" in page


def test_a_survey_that_never_asks_is_refused(browser: FlaskClient) -> None:
    assert "No wave would ever open" in text_of(
        post(browser, then="show", ends="until", until="2026-12-02")
    )
    answer = post(browser, then="save", ends="until", until="2026-12-02")
    assert answer.status_code == 409
    assert db.session.query(Survey).count() == 0


def test_a_new_rhythm_waits_for_the_open_wave_and_all_else_holds_from_the_next_one_on(
    browser: FlaskClient, browse: Browse
) -> None:
    lena()
    survey = save(browser, every="week", start="2026-12-01", at="10:00", weekday="1")
    due = datetime(2026, 12, 8, 9, tzinfo=UTC)
    with clock.at(due + timedelta(minutes=1)):
        db.session.rollback()
        assert waves.tick(clock.now()) == 1
        later = browse(anna())
        kept = filled(every="week", weekday="1", start="2026-12-08", at="10:00", mode="anonymous")
        kept["then"] = "save"
        running = db.session.scalars(select(Wave).where(Wave.state == OPEN)).one()
        path, over = f"/surveys/{survey.id}", running.closes_at + timedelta(minutes=1)
        assert later.post(path, data=kept).status_code == 302
        refused = later.post(path, data={**kept, "at": "11:00"})
        assert refused.status_code == 409
        assert "A wave of this survey is open until" in text_of(refused)
        assert 'value="11:00"' in refused.text
    db.session.expire_all()
    assert db.session.get_one(Wave, running.id).mode == "confidential"
    assert db.session.get_one(Survey, survey.id).mode == "anonymous"
    with clock.at(over):
        shown = text_of(browse(anna()).post(path, data={**kept, "at": "11:00", "then": "show"}))
        assert "29 Dec 2026, 11:00" in shown


def test_a_new_rhythm_begins_after_the_day_of_the_last_wave(
    browser: FlaskClient, browse: Browse
) -> None:
    lena()
    survey = save(browser, every="week", weekday="1", at="11:00", open_days="1", reminders="")
    with clock.at(NOW + timedelta(hours=1)):
        db.session.rollback()
        assert waves.tick(clock.now()) == 1
    with clock.at(NOW + timedelta(days=1, hours=2)):
        data = filled(every="week", weekday="2", at="23:00", open_days="1", reminders="")
        data["then"] = "save"
        assert browse(anna()).post(f"/surveys/{survey.id}", data=data).status_code == 302
    db.session.expire_all()
    assert db.session.get_one(Survey, survey.id).starts_local == "2026-12-02T23:00:00"


def test_a_pause_leaves_no_missed_waves_and_the_form_says_so(
    browser: FlaskClient, browse: Browse
) -> None:
    survey = save(browser, every="week")
    with clock.at(NOW):
        browser.post(f"/surveys/{survey.id}/pause")
        assert "paused" in text_of(browser.get("/surveys"))
    with clock.at(NOW + timedelta(days=30)):
        browse(anna()).post(f"/surveys/{survey.id}/resume")
        db.session.rollback()
        assert waves.tick(clock.now()) == 0
        assert waves.tick(clock.now() + timedelta(days=7)) == 1
    assert [wave.state for wave in db.session.scalars(select(Wave))] == [OPEN]


def test_a_survey_goes_only_while_it_never_asked(browser: FlaskClient) -> None:
    lena()
    survey = save(browser)
    with clock.at(NOW):
        browser.post(f"/surveys/{survey.id}/delete")
    assert db.session.query(Survey).count() == 0
    survey = save(browser)
    with clock.at(NOW):
        browser.post(f"/surveys/{survey.id}/open", data={"kind": "manual"})
        assert browser.post(f"/surveys/{survey.id}/delete").status_code == 409
    assert db.session.query(Survey).count() == 1


def test_a_baseline_asks_people_without_an_account_and_says_how_many_before(
    browser: FlaskClient,
) -> None:
    lena()
    make_user(partner=kuehn(), held_at=NOW)
    survey = save(browser, every="never")
    with clock.at(NOW):
        assert "only by hand" in text_of(browser.get("/surveys"))
        page = text_of(browser.get(f"/surveys/{survey.id}/open"))
        assert "asks 1 person of 1 partner, at once" in page
        assert "A baseline also asks those who have no account yet: 1 more" in page
        other = browser.post(
            f"/surveys/{survey.id}/open", data={"kind": "manual", "include_held": "1"}
        )
        assert other.status_code == 409
        assert "Only a baseline asks people without an account." in text_of(other)
        assert 'id="include_held" value="1" checked' in other.text
        data = {"kind": "baseline", "include_held": "1"}
        assert browser.post(f"/surveys/{survey.id}/open", data=data).status_code == 302
        assert "0 of 2" in text_of(browser.get("/surveys"))
        assert browser.post(f"/surveys/{survey.id}/open", data=data).status_code == 409
    wave = db.session.scalars(select(Wave)).one()
    assert wave.kind == "baseline"
    assert db.session.query(mail.Outbox).count() == 2


def test_a_survey_is_shown_as_it_was_set_up(browser: FlaskClient) -> None:
    mia()
    survey = save(browser, every="half_year", nth="-1", weekday="4", month="3", tiers=["Gold"])
    with clock.at(NOW):
        page = browser.get(f"/surveys/{survey.id}").text
    for chosen in ('value="half_year"', 'value="-1"', 'value="confidential"', 'value="Gold"'):
        tag = next(it for it in page.split("<") if chosen in it)
        assert " selected" in tag or " checked" in tag, chosen
    assert 'value="5, 10"' in page
    assert page.count('type="checkbox"') == 1 + 1 + 2 + 1  # a tier, a region, two roles, the rest


def test_nobody_to_ask_opens_no_wave(browser: FlaskClient) -> None:
    survey = save(browser)
    with clock.at(NOW):
        assert "Nobody would be asked today" in text_of(browser.get(f"/surveys/{survey.id}/open"))
        assert browser.post(f"/surveys/{survey.id}/open").status_code == 409
    assert db.session.query(Wave).count() == 0


def test_partners_reach_none_of_these_pages(browse: Browse) -> None:
    for path in ("/surveys", "/surveys/new", f"/surveys/{uuid.uuid4()}", "/surveys/questionnaires"):
        assert browse(lena()).get(path).status_code == 404


def test_rhythms_read_as_people_say_them(browser: FlaskClient) -> None:
    words = [
        (Rhythm(Every.quarter), "every quarter, first Monday"),
        (Rhythm(Every.week, interval=13), "every 13 weeks, Monday"),
        (Rhythm(Every.month, on=On.last_day), "every month, last day"),
        (Rhythm(Every.half_year, month=3, nth=-1, weekday=4),
         "every half-year (March, September), last Friday"),
        (Rhythm(Every.year, month=6, on=On.day, day=15, count=4),
         "every year (June), day 15, 4 times"),
    ]  # fmt: skip
    assert browser
    for rhythm, expected in words:
        assert rhythms.in_words(rhythm) == expected


def test_fifty_surveys_are_listed_by_as_many_queries_as_one(browser: FlaskClient) -> None:
    def looked() -> tuple[int, list[str]]:
        with clock.at(NOW), counted_queries() as said:
            page = browser.get("/surveys")
        return page.text.count('href="/surveys/waves/'), said

    lena()
    first = save(browser, quarantine_days="0")
    columns = {c.name: getattr(first, c.name) for c in Survey.__table__.columns if c.name != "id"}
    ask(first, NOW)
    looked()
    waves_of_one, one = looked()
    more = [Survey(id=new_id(), **columns) for _n in range(49)]
    with write() as session:
        session.add_all(more)
    for survey in more:
        ask(survey, NOW)
    waves_of_fifty, fifty = looked()
    # Each survey leads to the wave that is open; the latest twelve are listed by themselves, too.
    assert (waves_of_one, waves_of_fifty) == (1 + 1, 50 + 12)
    assert len(fifty) == len(one)
    assert db.session.query(Questionnaire).count() == 1
