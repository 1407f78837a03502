"""One mail a day with what can wait: on the reader's own clock, once, and with what still holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock, mail
from portal.accounts import notices
from portal.accounts.models import User
from portal.accounts.notices import Notice, NoticeBundle
from portal.db import db, write
from portal.reports.records import erase_person
from tests.conftest import Browse
from tests.deals.test_deals import approve, register
from tests.deals.test_policy import berlin
from tests.deals.test_queue import manage
from tests.mailbox import Mailbox, deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import anna, kuehn, lena, mia, otto


@pytest.fixture
def box(app: Flask) -> Iterator[Mailbox]:
    """A mail server."""
    with mailbox(app) as received:
        yield received


def look(*at: int, zone: str = "Europe/Berlin") -> int:
    """The scheduler looks at this local time; how many mails left."""
    db.session.rollback()
    with clock.at(datetime(*at, tzinfo=ZoneInfo(zone))):  # type: ignore[misc,arg-type]
        notices.send_notices(clock.now())
        return deliver()


def registered(browse: Browse, name: str, *at: int) -> None:
    """Lena registers a deal at this time in Berlin."""
    with clock.at(berlin(*at)):
        register(browse, lena(), customer_name=name, domain="")


def test_what_can_wait_comes_at_half_past_seven_in_one_mail(browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    registered(browse, "Alpha", 2026, 11, 16, 10)
    registered(browse, "Beta", 2026, 11, 17, 7)
    assert look(2026, 11, 16, 23) == 0
    assert look(2026, 11, 17, 7, 29) == 0
    assert look(2026, 11, 17, 7, 30) == 1
    registered(browse, "Gamma", 2026, 11, 17, 7, 31)
    assert look(2026, 11, 17, 7, 32) == look(2026, 11, 17, 23) == 0
    assert look(2026, 11, 18, 7, 31) == 1
    first, second = box.to(anna().email)
    assert first["Subject"] == "2 things about your deals at Nordwerk"
    assert "Kühn Technik registered Alpha. The decision is promised by" in mail_text(first)
    assert "Beta" in mail_text(first)
    assert "/account/notices" in mail_text(first)
    assert second["Subject"].startswith("Kühn Technik registered Gamma.")


def test_it_follows_the_readers_own_clock(browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    chosen = browse(anna()).post(
        "/account/notices", data={"timezone": "America/New_York", "kinds": ["deal_submitted"]}
    )
    assert chosen.status_code == 302
    registered(browse, "Alpha", 2026, 11, 16, 10)
    assert look(2026, 11, 16, 7, 29, zone="America/New_York") == 0
    assert look(2026, 11, 16, 7, 30, zone="America/New_York") == 1
    # The nights in which clocks change: 23 and 25 hours between two mails.
    for spring, hours in (((2027, 3, 13), 23), ((2026, 10, 31), 25)):
        zone = ZoneInfo("America/New_York")
        before = notices.morning_of(datetime(*spring).date(), zone)  # noqa: DTZ001
        after = notices.morning_of(datetime(*spring).date() + timedelta(days=1), zone)  # noqa: DTZ001
        assert after - before == timedelta(hours=hours)


def test_kinds_can_be_turned_off_and_nonsense_is_refused(browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    manager = browse(anna())
    page = manager.get("/account/notices")
    assert "New registrations" in page.text
    assert "Reservations that end soon" not in page.text
    assert "Late: please decide" not in page.text
    assert "Reservations that end soon" in browse(lena()).get("/account/notices").text
    for wrong in ({"timezone": "Mars/Base"}, {"timezone": "", "kinds": ["protection_ends"]}):
        assert manager.post("/account/notices", data=wrong).status_code == 400
    manager.post("/account/notices", data={"timezone": "", "kinds": ["renewal"]})
    registered(browse, "Alpha", 2026, 11, 16, 10)
    assert look(2026, 11, 17, 8) == 0
    assert manager.get("/account/notices").text.count(" checked") == 1


def test_what_is_settled_is_left_out_and_an_empty_mail_is_not_sent(
    browse: Browse, box: Mailbox
) -> None:
    manage(kuehn(), anna())
    with clock.at(berlin(2026, 11, 16, 10)):
        key = register(browse, lena())
        approve(browse, key)
    assert look(2026, 11, 16, 12) == 1
    assert look(2026, 11, 17, 8) == 0
    assert box.to(anna().email) == []
    states = db.session.execute(select(mail.Outbox.message, mail.Outbox.state))
    assert ("notices", "expired") in [tuple(row) for row in states]


def test_after_an_outage_of_days_there_is_one_mail_with_everything(
    browse: Browse, box: Mailbox
) -> None:
    manage(kuehn(), anna())
    for day in (16, 17, 18):
        registered(browse, f"Of the {day}th", 2026, 11, day, 10)
    assert look(2026, 11, 20, 15) == 1
    assert look(2026, 11, 20, 16) == 0
    text = mail_text(box.to(anna().email)[0])
    assert all(f"Of the {day}th" in text for day in (16, 17, 18))


def test_while_the_mail_server_is_away_the_days_make_one_mail(app: Flask, browse: Browse) -> None:
    manage(kuehn(), anna())
    for day in (16, 17, 18):
        registered(browse, f"Of the {day}th", 2026, 11, day, 10)
        look(2026, 11, day + 1, 8)
    with mailbox(app) as box:
        assert look(2026, 11, 20, 3) == 1
        registered(browse, "Later", 2026, 11, 20, 4)
        # It left today: today has had its mail.
        assert look(2026, 11, 20, 8) == 0
        assert look(2026, 11, 21, 8) == 1
    first, second = box.to(anna().email)
    assert all(f"Of the {day}th" in mail_text(first) for day in (16, 17, 18))
    assert "Later" in mail_text(second)
    days = db.session.scalars(select(NoticeBundle.day).order_by(NoticeBundle.day))
    assert [day and day.day for day in days] == [20, 21]


def test_two_schedulers_make_one_mail(app: Flask, browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    registered(browse, "Alpha", 2026, 11, 16, 10)
    db.session.remove()
    together = threading.Barrier(3)

    def bundle() -> None:
        with app.app_context():
            together.wait()
            notices.send_notices(clock.now())
            db.session.remove()

    with clock.at(berlin(2026, 11, 17, 8)):
        threads = [threading.Thread(target=bundle) for _n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deliver()
    assert len(box.to(anna().email)) == 1
    assert db.session.query(NoticeBundle).count() == 1


def test_many_lines_are_counted(browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    for number in range(12):
        registered(browse, f"Customer {number}", 2026, 11, 16, 10, number)
    look(2026, 11, 17, 8)
    letter = box.to(anna().email)[0]
    assert letter["Subject"] == "12 things about your deals at Nordwerk"
    assert "and 2 more:" in mail_text(letter)


def test_decisions_and_questions_come_at_once(browse: Browse, box: Mailbox) -> None:
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    browse(anna()).post(f"/deals/{key}/ask", data={"sentence": "Who decides there?"})
    deliver()
    assert "Who decides there?" in mail_text(box.to(lena().email)[0])


def test_a_partner_never_reads_of_a_deal_of_another(browse: Browse, box: Mailbox) -> None:
    key = register(browse, lena(), customer_name="Geheimkunde")
    reader = mia().id
    with write() as session:
        # Wrong by whatever mistake: it still says nothing.
        for kind in ("renewal", "deal_stale", "protection_ends", "extension_decided"):
            notices.notify(session, reader, kind, key, clock.now(), urgent=True,
                           params={"since": "1 Nov"})  # fmt: skip
    notices.send_notices(clock.now())
    assert deliver() == 0
    assert box.letters == []


def test_nothing_waits_for_a_person_who_has_left_or_is_erased(browse: Browse, box: Mailbox) -> None:
    manage(kuehn(), anna())
    otto()
    browse(anna()).post("/account/notices", data={"timezone": "Asia/Tokyo"})
    browse(anna()).post(
        "/account/notices", data={"timezone": "Asia/Tokyo", "kinds": ["deal_submitted"]}
    )
    registered(browse, "Alpha", 2026, 11, 16, 10)
    key = anna().id
    with write() as session:
        session.get_one(User, key).deactivated_at = clock.now()
    assert look(2026, 11, 17, 8) == 0
    with write((User, key)) as session:
        erase_person(session, key, clock.now())
    assert db.session.query(Notice).filter_by(user_id=key).count() == 0
    assert db.session.get(notices.NoticeChoice, key) is None
    # And the next registration is looked after by somebody who is there.
    registered(browse, "Beta", 2026, 11, 16, 11)
    assert db.session.scalars(select(Notice.user_id)).all() == [otto().id]
    assert "Beta" in text_of(browse(otto()).get("/deals/queue?whose=unassigned"))
