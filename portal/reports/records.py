"""What we record about you: everything about one person, for that person; and how to erase it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from portal import clock, mail
from portal.accounts import absences, notices
from portal.accounts import service as accounts
from portal.accounts.models import User
from portal.content import library
from portal.content.attention import privacy_mode, subjects_of
from portal.deals import files, timeline
from portal.deals import metrics as deals
from portal.errors import N_
from portal.formatting import day, duration
from portal.leads import metrics as leads
from portal.reports import disclosure
from portal.tables import Column, Table
from surveys import records as surveys
from tracking import erasure, records
from tracking.records import Record

MODES = {
    "organisation": N_(
        "Your reading is kept under a name that changes every day and is dropped after at most "
        "four days. %(company)s sees what your organisation read, never who; where fewer than "
        "%(few)s people have access, only how much in a whole month."
    ),
    "pseudonymous": N_(
        "Your reading is kept under a pseudonym. %(company)s sees what your organisation read, "
        "never who; where fewer than %(few)s people have access, only how much in a whole month. "
        "You are named only for what you do on purpose: share, register, comment."
    ),
    "person": N_(
        "Your reading is kept under a pseudonym that leads back to you. %(company)s sees how much "
        "you read, by your name, and what your organisation read."
    ),
}
KINDS = {
    "reading": N_("Read"),
    "portal": N_("Used the portal"),
    "search": N_("Searched"),
    "download": N_("Downloaded"),
    "like": N_("Liked"),
    "share": N_("Shared"),
    "deal": N_("Registered a deal"),
    "comment": N_("Wrote about a deal"),
    "file": N_("Attached a file"),
    "move": N_("Moved a deal on"),
    "note": N_("Noted about a deal"),
    "lead": N_("Wrote down a lead"),
    "lead_move": N_("Moved a lead on"),
    "ask": N_("Asked a question"),
    "asked": N_("Asked in a survey"),
    "answer": N_("Answered a survey"),
    "opt_out": N_("Turned off mail"),
    "absence": N_("Away"),
    "mail": N_("Mail to you"),
    "session": N_("Signed in"),
}

MAILS = {
    "sign_in_code": N_("A code to sign in"),
    "invitation": N_("An invitation to the portal"),
    "notices": N_("What happened in the portal"),
    "deal_decided": N_("A decision about a deal"),
    "deal_question": N_("A question about a deal"),
    "deal_comment": N_("A comment about a deal"),
    "deal_revoked": N_("A withdrawn approval"),
    "lead_offers": N_("Leads on offer"),
    "lead_asked": N_("A customer's question"),
    "survey_invitation": N_("An invitation to a survey"),
    "survey_reminder": N_("A reminder of a survey"),
}


@dataclass(frozen=True)
class Line:
    """One thing that is recorded, in words; `record` has the figures of what was measured."""

    kind: str
    at: datetime
    what: str
    detail: str
    record: Record | None = None


def of_user(session: Session, user: User) -> list[Line]:
    """Everything that is recorded about a person, the latest first."""
    lines = in_words(session, records.of_person(session, user.id, subjects_of(user)))
    lines += [
        Line("deal", found.created_at, found.customer_name, found.reference)
        for found in deals.submitted_by(session, user.id)
    ]
    lines += [
        Line("comment", found.at, customer, found.text)
        for found, customer in timeline.written_by(session, user.id)
    ]
    lines += [
        Line("file", found.at, found.filename, "") for found in files.attached_by(session, user.id)
    ]
    lines += [
        Line("move", found.at, customer, words)
        for found, customer, words in timeline.moved_by(session, user.id)
    ]
    lines += [
        Line("note", found.at, customer, found.text)
        for found, customer in timeline.noted_by(session, user.id)
    ]
    lines += [
        Line("lead_move", at, company, words)
        for at, company, words in leads.moved_by(session, user)
    ]
    lines += [
        Line("lead", found.created_at, found.company, "")
        for found in leads.captured_by(session, user.id)
    ]
    lines += [
        Line(found.kind, found.at, found.what, found.detail)
        for found in surveys.of_person(session, user.id)
    ]
    lines += [
        Line(
            "mail",
            found.sent_at or found.created_at,
            _(MAILS.get(found.message, found.message)),
            "",
        )
        for found in mail.sent_to(session, user.id)
    ]
    lines += _absence(session, user)
    lines += [
        Line("session", found.created_at, found.user_agent, "")
        for found in accounts.sessions_of(session, user.id)
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _absence(session: Session, user: User) -> list[Line]:
    """The days on which a person of the vendor is away, by the first of them."""
    away = absences.of_person(session, user.id)
    if away is None:
        return []
    days = _("until %(day)s, %(name)s stands in", day=day(away.last_day), name=away.deputy.name)
    return [Line("absence", clock.day_start(away.first_day, accounts.zone()), "", days)]


def in_words(session: Session, found: Sequence[Record]) -> list[Line]:
    """Records with the titles of what they are about."""
    titles = library.titles(session, {record.asset_id for record in found if record.asset_id})
    lines = []
    for record in found:
        title = titles.get(record.asset_id, record.what) if record.asset_id else record.what
        detail = "" if record.dwell is None else duration(record.dwell)
        if record.pages:
            pages = ", ".join(map(str, record.pages))
            detail = ngettext(
                "%(time)s, page %(pages)s",
                "%(time)s, pages %(pages)s",
                len(record.pages),
                time=detail,
                pages=pages,
            )
        lines.append(Line(record.kind, record.at, title, detail, record))
    return lines


def of_link(session: Session, share_id: uuid.UUID) -> list[Line]:
    """Everything about everyone who opened a link, the latest first; of who asked, that they did
    and what they agreed to, but not who: others may hold the link as well."""
    lines = in_words(session, records.of_link(session, share_id))
    lines += [
        Line("ask", found.at, _("Name, address and question"), found.consent)
        for found in leads.asked_of_link(session, share_id)
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def promise(user: User, company: str) -> str:
    """What the privacy mode of this person's organisation means, in a sentence or two."""
    if user.is_vendor:
        return _(
            "Your reading is kept under a pseudonym and counts in no report. You are named for "
            "what you do on purpose: decide, comment, note."
        )
    few = disclosure.MIN_PEOPLE
    return _(MODES[privacy_mode(user.partner)], company=company, few=few)


def as_json(session: Session, user: User, lines: Sequence[Line]) -> dict[str, Any]:
    """All of it, for a program to read. Moments in UTC."""
    chosen = notices.choice_of(session, user.id)
    return {
        "account": {
            "name": user.name,
            "email": user.email,
            "phone": user.phone,
            "role": user.role,
            "partner": user.partner.name if user.partner else None,
            "language": user.locale,
            "timezone": chosen.timezone,
            "muted": chosen.muted,
            "created_at": user.created_at.isoformat(),
        },
        "privacy_mode": privacy_mode(user.partner),
        "records": figures(lines),
    }


def figures(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """All lines for a program to read: numbers, moments in UTC, and nothing that is not known."""
    return [
        {name: value for name, value in _row(line).items() if value not in (None, "", [])}
        for line in lines
    ]


# What a program reads of a line, and how a table writes it.
_KINDS = {
    "kind": "text",
    "at": "text",
    "what": "text",
    "detail": "text",
    "dwell_ms": "number",
    "idle_ms": "number",
    "glance_ms": "number",
    "pages": "text",
    "seconds_seen": "number",
    "device": "number",
    "until": "text",
}


def _row(line: Line) -> dict[str, Any]:
    plain = {"kind": line.kind, "at": line.at.isoformat(), "what": line.what}
    record = line.record
    if record is None:
        return {**plain, "detail": line.detail}
    return {
        **plain,
        "dwell_ms": record.dwell,
        "idle_ms": record.idle,
        "glance_ms": record.glance,
        "pages": list(record.pages),
        "seconds_seen": record.seconds,
        "device": record.device,
        "until": record.until and record.until.isoformat(),
    }


def as_table(lines: Sequence[Line]) -> Table:
    """The same as a table."""
    rows = [_row(line) for line in lines]
    for row in rows:
        row["pages"] = " ".join(map(str, row.get("pages", ())))
    return Table(
        "recorded", "", [Column(name, name, kind) for name, kind in _KINDS.items()], rows, ""
    )


def erase_reading(session: Session, user_id: uuid.UUID) -> int:
    """Cut the tie between a person and what they read; returns how many rows it was.

    The organisation's numbers stay. From now on their reading is kept under another pseudonym,
    and what a page of before still reports is dropped.
    """
    user = session.get_one(User, user_id)
    cut = erasure.erase(session.connection(), subjects_of(user))
    user.erasures += 1
    session.flush()
    return cut["load"] + cut["download"]


def erase_person(session: Session, user_id: uuid.UUID, now: datetime) -> None:
    """Erase a person: their reading as above, their name, address and ways in."""
    erase_reading(session, user_id)
    absences.end_absence(session, user_id)
    notices.forget(session, user_id)
    surveys.forget(session, user_id, now)
    accounts.anonymise(session, session.get_one(User, user_id), now)
