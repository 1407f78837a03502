"""Surveys for tests: asked now, in any mode, and answered as a browser does."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.db import db, new_id, write
from surveys import definitions, plans, waves
from surveys.audience import Audience
from surveys.models import MANUAL, Mode, Questionnaire, Survey, Wave
from surveys.plans import Plan
from surveys.schedule import Rhythm
from tests.mailbox import deliver, links_of, mailbox

BERLIN = ZoneInfo("Europe/Berlin")

MORE_QUESTIONS: list[dict[str, Any]] = [
    {"key": "why", "kind": "text", "required": False, "after": "experience",
     "texts": {"en": "What is behind it?"}},
    {"key": "support", "kind": "scale", "required": False, "driver": True,
     "texts": {"en": "How good is our support?", "de": "Wie gut ist unsere Hilfe?"}},
    {"key": "wish", "kind": "choice", "required": False, "pick": 2, "texts": {"en": "What first?"},
     "options": [{"key": key, "texts": {"en": key.title()}} for key in ("price", "speed", "tea")]},
    {"key": "channel", "kind": "choice", "required": True, "pick": 1,
     "texts": {"en": "How do you reach us?"},
     "options": [{"key": key, "texts": {"en": key.title()}} for key in ("phone", "mail")]},
]  # fmt: skip


def make_survey(
    now: datetime, *, questions: list[dict[str, Any]] | None = None, **more: Any
) -> Survey:
    """A survey that is opened by hand, of the two core questions and `questions`."""
    db.session.rollback()
    values = {"name": "Pulse", "rrule": "", "starts_local": "2026-01-01T09:00:00",
              "timezone": "Europe/Berlin", "open_days": 5, "created_at": now}  # fmt: skip
    with write() as session:
        asked = definitions.standard(session, now)
        if questions:
            body = {**asked.body, "questions": [*asked.body["questions"], *questions]}
            asked = Questionnaire(
                number=definitions.next_number(session), name="More", core_hash=asked.core_hash,
                body=body, created_at=now,
            )  # fmt: skip
            session.add(asked)
            session.flush()
        survey = Survey(id=new_id(), questionnaire_id=asked.id, **{**values, **more})
        session.add(survey)
    return survey


# The rhythms that tests ask in.
RULES = {
    "weekly": "FREQ=WEEKLY;BYDAY=MO",
    "monthly": "FREQ=MONTHLY;BYDAY=1MO",
    "thirteen_weeks": "FREQ=WEEKLY;INTERVAL=13;BYDAY=MO",
    "quarterly": "FREQ=YEARLY;BYMONTH=1,4,7,10;BYDAY=1MO",
    "half_yearly": "FREQ=YEARLY;BYMONTH=3,9;BYDAY=1MO",
    "yearly": "FREQ=YEARLY;BYMONTH=3;BYDAY=1MO",
}


def set_up(
    session: Session,
    start: datetime,
    now: datetime,
    *,
    name: str = "Pulse",
    rhythm: str = "weekly",
    zone: ZoneInfo = BERLIN,
    open_days: int = 5,
) -> Survey:
    """A survey of everyone that asks in a rhythm, at the time of the day of `start`, from it on."""
    chosen = Rhythm.parse(RULES[rhythm])
    assert chosen
    plan = Plan(
        name=name,
        questionnaire_id=None,
        mode=Mode.attributed,
        audience=Audience(),
        rhythm=chosen,
        start=start.date(),
        at=start.time(),
        zone=zone,
        open_days=open_days,
    )
    return plans.add(session, plan, now)


def ask(survey: Survey, now: datetime | None = None, kind: str = MANUAL, **more: Any) -> Wave:
    """Open a wave of a survey now."""
    now = now or clock.now()
    db.session.rollback()
    with clock.at(now), write((Survey, survey.id)) as session:
        return waves.open_by_hand(session, session.get_one(Survey, survey.id), kind, now, **more)


def link_to(app: Flask, address: str) -> str:
    """The path of the page that the newest mail to an address leads to."""
    with mailbox(app) as box:
        deliver()
    return links_of(box.to(address)[-1])[10]


def send(page: Any, **more: str | list[str]) -> dict[str, Any]:
    """What a browser posts from a page, with the choices made."""
    found = re.search(r'name="submission"[^>]*value="(\w+)"', page.text)
    assert found
    return {"submission": found[1], "company": "8", "experience": "6", **more}


def later(wave: Wave, **passed: float) -> datetime:
    """Some time after a wave opened."""
    return wave.opened_at + timedelta(**passed)
