"""Each occurrence once, none without a record, whoever looks and how often."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from portal import clock, mail
from portal.db import db, write, write_connection
from surveys import figures, waves
from surveys.models import (
    OPEN,
    SKIPPED,
    Answer,
    Invitation,
    Questionnaire,
    Response,
    Survey,
    SurveyOptOut,
    Wave,
)
from tests.conftest import Browse
from tests.factories import make_user
from tests.pages import text_of
from tests.people import anna, jonas, kuehn, lena, mia
from tests.surveys.asking import ask, make_survey, set_up

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - on the wall clock
BEFORE = datetime(2026, 3, 1, tzinfo=UTC)


def weekly(open_days: int = 5) -> Survey:
    """A survey on Mondays at nine, from 2 March 2026 on."""
    with write() as session:
        return set_up(session, START, BEFORE, open_days=open_days)


def tick(now: datetime) -> int:
    """What the job does."""
    db.session.rollback()
    with clock.at(now):
        return waves.tick(now)


def states() -> list[tuple[str, str]]:
    """Every recorded occurrence with its state."""
    db.session.rollback()
    rows = db.session.scalars(select(Wave).order_by(Wave.occurrence_local))
    return [(row.occurrence_local[:10], row.state) for row in rows]


MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_a_wave_opens_when_it_is_due_and_never_twice(app: Flask) -> None:
    lena(), jonas(), mia(), anna()
    make_user(deactivated_at=BEFORE)
    weekly()
    assert tick(MONDAY - timedelta(seconds=1)) == 0
    assert tick(MONDAY) == 1
    assert [tick(MONDAY + timedelta(minutes=n)) for n in range(3)] == [0, 0, 0]
    assert states() == [("2026-03-02", OPEN)]
    invited = db.session.scalars(select(Invitation)).all()
    assert len(invited) == 3
    assert db.session.query(mail.Outbox).count() == 3


def test_processes_ticking_at_the_same_instant_open_it_once(app: Flask) -> None:
    lena()
    weekly()
    db.session.remove()
    together, opened = threading.Barrier(4), []

    def look() -> None:
        with app.app_context():
            together.wait()
            opened.append(waves.tick(MONDAY))
            db.session.remove()

    threads = [threading.Thread(target=look) for _n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [0, 0, 0, 1]
    assert states() == [("2026-03-02", OPEN)]
    assert db.session.query(mail.Outbox).count() == 1


def test_after_an_outage_the_latest_is_asked_and_the_others_are_recorded(app: Flask) -> None:
    lena()
    weekly()
    assert tick(MONDAY + timedelta(days=22)) == 1
    assert states() == [
        ("2026-03-02", SKIPPED),
        ("2026-03-09", SKIPPED),
        ("2026-03-16", SKIPPED),
        ("2026-03-23", OPEN),
    ]


def test_what_is_too_late_to_answer_is_recorded_and_not_asked(app: Flask) -> None:
    lena()
    weekly(open_days=2)
    assert tick(MONDAY + timedelta(days=3)) == 0
    assert states() == [("2026-03-02", SKIPPED)]
    assert db.session.query(mail.Outbox).count() == 0


def test_a_pause_leaves_no_missed_occurrences(app: Flask) -> None:
    lena()
    survey = weekly()
    with write((Survey, survey.id)) as session:
        waves.pause(session, survey.id, BEFORE)
    assert tick(MONDAY + timedelta(days=15)) == 0
    with write((Survey, survey.id)) as session:
        waves.resume(session, survey.id, MONDAY + timedelta(days=15))
    assert tick(MONDAY + timedelta(days=15)) == 0
    assert tick(MONDAY + timedelta(days=21)) == 1
    assert states() == [("2026-03-23", OPEN)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(-3 * 24, 12 * 24), min_size=1, max_size=10))
def test_however_often_and_in_whatever_order_the_clock_is_read(
    app: Flask, hours: list[int]
) -> None:
    """Clock steps back and forth, outages: one record for every past occurrence, one wave each."""
    lena()
    db.session.rollback()
    with write_connection(db.engine) as connection:
        for table in (Answer, Response, Invitation, mail.Outbox, Wave, Survey, Questionnaire):
            connection.execute(delete(table))
    weekly()
    opened = sum(tick(MONDAY + timedelta(hours=n)) for n in hours)
    latest = max(hours)
    passed = 0 if latest < 0 else latest // (7 * 24) + 1
    found = states()
    assert len(found) == len({day for day, _state in found}) == passed
    assert sum(state == OPEN for _day, state in found) == opened
    assert db.session.query(Invitation).count() == opened


def test_the_mean_of_partner_means_counts_every_partner_the_same(app: Flask) -> None:
    a, b, c = (make_user().partner_id for _n in range(3))
    scores = [(a, 10), (a, 10), (a, 10), (a, 10), (b, 4), (c, 6)]
    mean = figures.mean_of_partner_means(scores)  # type: ignore[arg-type]
    assert mean is not None
    assert round(mean, 4) == 6.6667
    assert figures.mean_of_partner_means([]) is None


def test_what_was_missed_and_what_was_opened_by_hand_is_told(app: Flask, browse: Browse) -> None:
    lena()
    survey = weekly(open_days=3)
    assert tick(datetime(2026, 3, 16, 8, tzinfo=UTC)) == 1
    by_hand = datetime(2026, 3, 20, 8, tzinfo=UTC)
    with clock.at(by_hand), write((Survey, survey.id)) as session:
        waves.open_by_hand(session, session.get_one(Survey, survey.id), "baseline", by_hand)
    with clock.at(by_hand):
        page = text_of(browse(anna()).get("/surveys"))
    assert "because the portal was not running: Pulse, 9 Mar 2026 Pulse, 2 Mar 2026" in page
    assert "Pulse, 20 Mar 2026 baseline open" in page
    assert page.count("baseline") == 1


def test_a_wave_says_whom_it_left_out_and_why(app: Flask, browse: Browse) -> None:
    lena(), mia()
    make_user(email="Lena+news@kuehn.example", partner=kuehn())
    off = mia().id
    with write() as session:
        session.add(SurveyOptOut(user_id=off, at=BEFORE))
    wave = ask(make_survey(BEFORE))
    page = text_of(browse(anna()).get(f"/surveys/waves/{wave.id}"))
    assert "Not asked: 1 wants no surveys, 1 shares a mailbox with another." in page
