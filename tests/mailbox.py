"""A real mail server for tests, and what it received."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from flask import Flask

from portal import clock, mail
from portal.accounts import notices
from portal.accounts.service import zone
from portal.db import db
from tests.live import free_port


@dataclass
class Mailbox:
    """Every mail that was delivered, the latest last."""

    letters: list[EmailMessage] = field(default_factory=list)
    # What the server answers instead of taking the mail.
    refuse: str = ""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Take one mail."""
        if self.refuse:
            return self.refuse
        letter = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to one address."""
        return [letter for letter in self.letters if letter["To"] == address]


def text_of(letter: EmailMessage) -> str:
    """The words of a mail."""
    body = letter.get_body(("plain",))
    assert body is not None
    content: str = body.get_content()
    return content


def links_of(letter: EmailMessage) -> list[str]:
    """The links of a mail, as paths."""
    return re.findall(r"http://127\.0\.0\.1:8000(\S+)", text_of(letter))


@contextmanager
def mailbox(app: Flask) -> Iterator[Mailbox]:
    """A mail server that `app` delivers to."""
    received, port = Mailbox(), free_port()
    server = Controller(received, hostname="127.0.0.1", port=port)
    before = app.config["SETTINGS"]
    server.start()
    app.config["SETTINGS"] = replace(before, smtp_url=f"smtp://127.0.0.1:{port}")
    try:
        yield received
    finally:
        app.config["SETTINGS"] = before
        server.stop()


def deliver() -> int:
    """What the job does: send what is due."""
    db.session.rollback()
    return mail.send_due()


def deliver_daily(days: int = 1) -> None:
    """What the jobs do at noon so many days later: bundle what waited, and send it."""
    db.session.rollback()
    noon = datetime.combine(clock.local_day(clock.now(), zone()), time(12), zone())
    with clock.at(noon + timedelta(days=days)):
        notices.send_notices(clock.now())
        deliver()
