"""The outbox: mail is written in the transaction that caused it and sent by a job.

A row names its message and parameters, never its text: secrets are made at the moment of sending,
kept as hashes, and exist in clear only in the mail. Sending claims the row first; when the
answer of the mail server is lost the outcome is `unknown`, shown, and not repeated.
"""

from __future__ import annotations

import smtplib
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import current_app, render_template
from flask_babel import force_locale
from sqlalchemy import JSON, ForeignKey, Index, Integer, String, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from portal.clock import now as clock_now
from portal.config import Settings
from portal.db import Base, Key, UTCDateTime, db, new_id, write
from portal.errors import Busy
from portal.logs import log

WAITING, SENDING, SENT, FAILED, UNKNOWN, EXPIRED = (
    "waiting",
    "sending",
    "sent",
    "failed",
    "unknown",
    "expired",
)
MAX_TRIES = 8
CLAIM = timedelta(minutes=5)
LONGEST_RUN_S = 60

# What a message says; None when there is nothing left to say. Its `headers` go into the head of the
# letter and not to the templates.
Prepare = Callable[[Session, Any, dict[str, str]], dict[str, object] | None]
_messages: dict[str, Prepare] = {}


class _Letter(EmailPolicy):
    """How a letter is written: what programs read, as the addresses of a list, is never folded.
    Folded, a long address becomes an encoded word, which no program follows."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.startswith("List-"):
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


class Outbox(Base):
    """One mail to be sent."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_state_due", "state", "due_at"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    message: Mapped[str] = mapped_column(String(40))
    message_id: Mapped[str] = mapped_column(String(200))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    params: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(10), default=WAITING)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # By name: people live above mail.
    user: Mapped[Any] = relationship("User")


def prepares(message: str) -> Callable[[Prepare], Prepare]:
    """Register what fills the template `emails/<message>/` when the mail is sent."""

    def register(function: Prepare) -> Prepare:
        _messages[message] = function
        return function

    return register


def waiting(session: Session) -> int:
    """How many mails have not left yet."""
    states = (WAITING, SENDING)
    return session.scalar(select(func.count()).where(Outbox.state.in_(states))) or 0


def queue(
    session: Session,
    *,
    message: str,
    user_id: uuid.UUID,
    params: dict[str, str] | None = None,
    expires_at: datetime | None = None,
) -> Outbox:
    """Write a mail to `user_id` into the outbox; it leaves after the commit."""
    return queue_all(session, message, [(user_id, params or {})], expires_at)[0]


def queue_all(
    session: Session,
    message: str,
    letters: Iterable[tuple[uuid.UUID, dict[str, str]]],
    expires_at: datetime | None = None,
) -> list[Outbox]:
    """Write the same message to many, each with parameters of their own, in one go."""
    if message not in _messages:
        raise KeyError(f"no message {message!r}")
    now = clock_now()
    rows = [
        Outbox(
            message=message,
            message_id=make_msgid(domain=urlsplit(_settings().url).hostname),
            user_id=user_id,
            params=params,
            created_at=now,
            due_at=now,
            expires_at=expires_at,
        )
        for user_id, params in letters
    ]
    session.add_all(rows)
    session.flush()
    return rows


def absolute(path: str) -> str:
    """The full address of a page, for links in mails."""
    return _settings().url + path


def send_due(limit: int = 50) -> int:
    """Job: send what is due; returns how many left. Does nothing without a mail server."""
    if not _settings().smtp_url:
        return 0
    ids = db.session.scalars(
        select(Outbox.id)
        .where(Outbox.state.in_([WAITING, SENDING]), Outbox.due_at <= clock_now())
        .order_by(Outbox.due_at)
        .limit(limit)
    ).all()
    until = time.monotonic() + LONGEST_RUN_S
    # A server that answers slowly is not waited for fifty times in one run.
    return sum(_send(key) for key in ids if time.monotonic() < until)


def _send(key: uuid.UUID) -> bool:
    try:
        letter = _claim(key)
    except (Busy, OperationalError):
        raise
    except Exception as problem:  # a mail that cannot be written must not stop the others
        log.error("a mail could not be written", exc_info=problem)
        _finish(key, WAITING, f"{type(problem).__name__}: {problem}", was=WAITING)
        return False
    if letter is None:
        return False
    state, error = _deliver(letter)
    _finish(key, state, error)
    return state == SENT


def _claim(key: uuid.UUID) -> EmailMessage | None:
    """Take the row and render it; None when another sender has it or it is not to be sent."""
    now = clock_now()
    with write((Outbox, key)) as session:
        row = session.get(Outbox, key)
        if row is None or row.state not in (WAITING, SENDING) or row.due_at > now:
            return None
        if row.state == SENDING:
            # Its sender died between claim and answer: nobody knows, so it is not repeated.
            row.state = UNKNOWN
            return None
        if row.expires_at is not None and row.expires_at <= now:
            row.state = EXPIRED
            return None
        letter = _render(session, row)
        if letter is None:
            row.state = EXPIRED
            return None
        row.state, row.tries, row.due_at = SENDING, row.tries + 1, now + CLAIM
        return letter


def _render(session: Session, row: Outbox) -> EmailMessage | None:
    user: Any = row.user
    with force_locale(user.locale):
        context = _messages[row.message](session, user, row.params)
    if context is None:
        return None
    letter = EmailMessage(policy=_Letter())
    letter["From"] = _settings().mail_from
    letter["To"] = user.email
    letter["Date"] = formatdate(localtime=False)
    letter["Message-ID"] = row.message_id
    letter["Auto-Submitted"] = "auto-generated"
    headers: Any = context.pop("headers", {})
    for name, value in headers.items():
        letter[name] = value
    with force_locale(user.locale):
        subject = render_template(f"emails/{row.message}/subject.txt", user=user, **context)
        body = render_template(f"emails/{row.message}/body.txt", user=user, **context)
    letter["Subject"] = " ".join(subject.split())
    letter.set_content(body)
    return letter


def _deliver(letter: EmailMessage) -> tuple[str, str]:
    """Hand `letter` to the server; returns the row's next state and what the server said.

    Until the text is on its way every failure is safe to repeat; after that only an answer is.
    """
    try:
        server = _connect()
    except (smtplib.SMTPException, OSError) as error:
        return WAITING, str(error)
    with server:
        try:
            server.send_message(letter)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
            return FAILED, str(error)
        except smtplib.SMTPResponseException as error:
            return (WAITING if error.smtp_code < 500 else FAILED), str(error)
        except (smtplib.SMTPException, OSError) as error:
            return UNKNOWN, str(error)
    return SENT, ""


def _connect() -> smtplib.SMTP:
    parts = urlsplit(_settings().smtp_url)
    secure = parts.scheme == "smtps"
    kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
    server = kind(parts.hostname or "localhost", parts.port or (465 if secure else 25), timeout=20)
    server.ehlo()
    if not secure and server.has_extn("starttls"):
        server.starttls()
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server


def _finish(key: uuid.UUID, state: str, error: str, *, was: str = SENDING) -> None:
    now = clock_now()
    with write((Outbox, key)) as session:
        row = session.get_one(Outbox, key)
        # Unknown was written by another while this one was slow; now it is known.
        if row.state not in (was, UNKNOWN):
            return
        if was == WAITING:
            row.tries += 1
        if state == WAITING and row.tries >= MAX_TRIES:
            state = FAILED
        row.state, row.error = state, error[:300]
        row.sent_at = now if state == SENT else None
        if state == WAITING:
            row.due_at = now + timedelta(seconds=15 * 2**row.tries)


def sent_to(session: Session, user_id: uuid.UUID) -> list[Outbox]:
    """Every mail that was written for a person."""
    return list(session.scalars(select(Outbox).where(Outbox.user_id == user_id)))


def forget(session: Session, user_id: uuid.UUID) -> None:
    """A person is erased: what waits for them is not sent, and nothing about them is kept."""
    session.execute(
        update(Outbox)
        .where(Outbox.user_id == user_id, Outbox.state == WAITING)
        .values(state=EXPIRED)
    )
    session.execute(update(Outbox).where(Outbox.user_id == user_id).values(params={}, error=""))


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
