"""Whoever made a link hears of its first open: once, bundled by the hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from portal import clock
from portal.accounts import notices
from portal.content.first_opens import tell_first_opens
from portal.db import db
from tests.conftest import Browse
from tests.content.test_sharing import attention_token, share
from tests.mailbox import Mailbox, deliver, mailbox
from tests.mailbox import text_of as mail_text
from tests.people import lena, mia
from tests.tracking.reports import post, row, slot_now

# In Berlin it is noon: the daily mail is far.
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


def open_link(browse: Browse, link: Any) -> None:
    """A customer looks at what a link leads to."""
    page = browse(None).get(f"/s/{link.slug}")
    post(attention_token(page.text), row(slot_now(), 1, active=4000), activated=clock.now_ms() + 1)


def jobs(box: Mailbox) -> list[str]:
    """What the scheduler does, twice; the subjects of the mails that this made."""
    before = len(box.letters)
    for _again in range(2):
        db.session.rollback()
        tell_first_opens(clock.now())
        notices.send_notices(clock.now())
        deliver()
    return [letter["Subject"] for letter in box.letters[before:]]


def test_first_opens_within_the_hour_are_one_mail_that_names_them_all(
    app: Flask, browse: Browse
) -> None:
    with clock.at(NOON) as forward, mailbox(app) as box:
        links = [share(browse, lena(), name) for name in ("Alpha AG", "Beta AG", "Gamma AG")]
        other = share(browse, mia(), "Rival's customer")
        open_link(browse, links[0])
        assert jobs(box) == []
        forward(timedelta(minutes=40))
        open_link(browse, links[1])
        open_link(browse, other)
        assert jobs(box) == []
        forward(timedelta(minutes=20))
        assert jobs(box) == ["Opened for the first time (2)"]
        (letter,) = box.to(lena().email)
        for name in ("Alpha AG", "Beta AG"):
            assert f"{name} opened “Case study: waterworks”." in mail_text(letter)
        assert f"/shares/{links[0].id}" in mail_text(letter)
        assert "Rival" not in mail_text(letter)
        # At once after a mail the next hour begins; opening again is no news.
        open_link(browse, links[0])
        open_link(browse, links[2])
        forward(timedelta(minutes=10))
        assert jobs(box) == []
        forward(timedelta(minutes=49))
        assert jobs(box) == ["Rival's customer opened “Case study: waterworks”."]
        forward(timedelta(minutes=11))
        jobs(box)
    assert [letter["Subject"] for letter in box.to(lena().email)] == [
        "Opened for the first time (2)", "Gamma AG opened “Case study: waterworks”.",
    ]  # fmt: skip
    assert len(box.to(mia().email)) == 1


def test_nobody_hears_of_opens_who_turned_that_off(app: Flask, browse: Browse) -> None:
    with clock.at(NOON) as forward, mailbox(app) as box:
        link = share(browse, lena())
        browse(lena()).post("/account/notices", data={"timezone": ""})
        open_link(browse, link)
        for _hour in range(2):
            jobs(box)
            forward(timedelta(hours=1))
    assert box.letters == []
