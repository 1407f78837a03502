"""A country changes its clocks: the same zone has other rules after an update of the machine."""

from __future__ import annotations

import re
import struct
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.db import db, write
from surveys import reminders, waves
from surveys.models import OPEN, Response, Survey, Wave
from tests.conftest import Browse
from tests.mailbox import deliver, links_of, mailbox
from tests.mailbox import text_of as words_of
from tests.pages import text_of
from tests.people import anna, lena
from tests.surveys.asking import send, set_up
from tests.surveys.test_setting_up import filled

LENA = "lena@kuehn.example"
# Monday, 7 December, 09:00 in Berlin: in winter, an hour ahead of UTC.
DUE = datetime(2026, 12, 7, 8, tzinfo=UTC)
CLOSES = re.compile(r"(\d+) December 2026, (\d\d):(\d\d) \(Europe/Berlin, UTC\+0(\d):00\)")


@contextmanager
def berlin_without_winter_time(folder: Path) -> Iterator[None]:
    """Berlin stays two hours ahead all year."""
    header = struct.pack(">4sc15x6l", b"TZif", b"\0", 0, 0, 0, 0, 1, 5)
    (folder / "Europe").mkdir()
    (folder / "Europe" / "Berlin").write_bytes(header + struct.pack(">lbb5s", 7200, 0, 0, b"CEST"))
    zoneinfo.reset_tzpath(to=[folder])
    ZoneInfo.clear_cache()
    try:
        yield
    finally:
        zoneinfo.reset_tzpath()
        ZoneInfo.clear_cache()


def closing(words: str) -> datetime:
    """The moment that people are told as the end."""
    found = CLOSES.search(words)
    assert found, words
    day, hour, minute, offset = map(int, found.groups())
    return datetime(2026, 12, day, hour, minute, tzinfo=UTC) - timedelta(hours=offset)


def make_survey() -> Survey:
    """Every Monday at nine, open for two weeks, with a reminder after three days."""
    with write() as session:
        survey = set_up(
            session, datetime(2026, 12, 7, 9), DUE - timedelta(days=7),  # noqa: DTZ001
            zone=ZoneInfo("Europe/Berlin"), open_days=14,
        )  # fmt: skip
        survey.reminder_days, survey.rrule = [3], "FREQ=WEEKLY;INTERVAL=4;BYDAY=MO"
    return survey


def dates(browse: Browse, survey: Survey) -> list[str]:
    """The next five dates as the page shows them before saving."""
    data = filled(every="week", interval="4", start="2026-12-07", then="show")
    page = text_of(browse(anna()).post(f"/surveys/{survey.id}", data=data))
    return re.findall(r"(\d+ \w+ 20\d\d, \d\d:\d\d) Mon \((UTC[^)]+)\)", page)


def test_other_rules_for_the_same_zone_shift_what_is_to_come_and_nothing_that_was_promised(
    app: Flask, browse: Browse, tmp_path: Path
) -> None:
    lena()
    survey = make_survey()
    with clock.at(DUE), mailbox(app) as box:
        db.session.rollback()
        assert waves.tick(DUE) == 1
        deliver()
    letter = box.to(LENA)[0]
    link = links_of(letter)[10]
    ends = db.session.scalars(select(Wave.closes_at)).one()
    assert closing(words_of(letter)) == ends == DUE + timedelta(days=14)
    with clock.at(DUE + timedelta(hours=1)):
        before: list[Any] = dates(browse, survey)
    assert before[0] == ("4 Jan 2027, 09:00", "UTC+01:00")

    with berlin_without_winter_time(tmp_path):
        later = DUE + timedelta(days=3, hours=1)
        with clock.at(later), mailbox(app) as box:
            db.session.rollback()
            assert reminders.remind_answers(later) == 1
            deliver()
            page = browse(None).get(link)
            after: list[Any] = dates(browse, survey)
        # The moment stays, whatever the clocks on the wall show then; mail and page agree.
        assert "10:00 (Europe/Berlin, UTC+02:00)" in text_of(page)
        assert closing(text_of(page)) == closing(words_of(box.to(LENA)[0])) == ends
        with clock.at(ends - timedelta(seconds=1)):
            assert browse(None).post(link, data=send(page)).status_code == 200
        with clock.at(ends):
            assert browse(None).post(link, data=send(page)).status_code == 410
        assert db.session.query(Response).count() == 1
        # What is to come is at nine all the same, an hour earlier than it would have been.
        assert [at for at, _offset in after] == [at for at, _offset in before]
        assert {offset for _at, offset in after} == {"UTC+02:00"}
        due = datetime(2027, 1, 4, 7, tzinfo=UTC)
        for now, opened in ((due - timedelta(seconds=1), 0), (due, 1), (due, 0)):
            db.session.rollback()
            with clock.at(now):
                assert waves.tick(now) == opened
    states = db.session.scalars(select(Wave.state)).all()
    assert states == [OPEN, OPEN]
