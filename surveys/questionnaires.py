"""Versions of questionnaires: made one from another, changed while unused, kept once used."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.db import hold, new_id
from portal.errors import NotFound, Refused
from surveys import definitions
from surveys.definitions import known, next_number, parsed, versions
from surveys.models import Questionnaire, Survey, Wave
from surveys.questions import Questions, core_hash

# Held while a version gets its number and its hash: two at once must see each other.
NUMBERING = uuid.UUID("0199f0a0-5e00-7000-8000-000000000002")


@dataclass(frozen=True)
class Version:
    """A version in the list, with the surveys that ask it and how many waves did."""

    row: Questionnaire
    questions: Questions
    surveys: tuple[str, ...]
    waves: int
    comparable: tuple[int, ...]


def get(session: Session, key: uuid.UUID) -> Questionnaire:
    """A version. Raises NotFound."""
    found = session.get(Questionnaire, key)
    if found is None:
        raise NotFound(_("There is no such questionnaire."))
    return found


def listed(session: Session) -> list[Version]:
    """Every version, the newest first."""
    rows = versions(session)
    counted = select(Wave.questionnaire_id, func.count()).group_by(Wave.questionnaire_id)
    asked = {row[0]: row[1] for row in session.execute(counted)}
    named = select(Survey.questionnaire_id, Survey.name).order_by(Survey.created_at)
    by_version: dict[uuid.UUID, list[str]] = {}
    for key, name in session.execute(named):
        by_version.setdefault(key, []).append(name)
    return [
        Version(
            row,
            parsed(row),
            tuple(by_version.get(row.id, ())),
            asked.get(row.id, 0),
            tuple(
                sorted(it.number for it in rows if it.core_hash == row.core_hash and it is not row)
            ),
        )
        for row in rows
    ]


def is_used(session: Session, key: uuid.UUID) -> bool:
    """Whether a wave asked it, or another version was made from it: then it stays as it is."""
    follower = select(Questionnaire.id).where(Questionnaire.follows_id == key)
    wave = select(Wave.id).where(Wave.questionnaire_id == key)
    return bool(session.scalar(select(or_(wave.exists(), follower.exists()))))


def standard(session: Session, now: datetime) -> Questionnaire:
    """The standard questionnaire, written down if it is not yet: other versions begin with it."""
    hold(session, NUMBERING)
    return definitions.standard(session, now)


def hash_of(
    session: Session, questions: Questions, follows: Questionnaire | None, but: uuid.UUID | None
) -> str:
    """The core hash that these questions would have, made from a version; `but` is the one that
    they would replace."""
    without = {but} if but else set()
    return core_hash(questions, follows.core_hash if follows else "", known(session, without))


def add(
    session: Session, name: str, questions: Questions, follows_id: uuid.UUID, now: datetime
) -> Questionnaire:
    """A new version, made from another."""
    hold(session, NUMBERING)
    before = get(session, follows_id)
    fresh = Questionnaire(
        id=new_id(),
        number=next_number(session),
        name=name,
        follows_id=follows_id,
        core_hash=hash_of(session, questions, before, None),
        body=Questions.parse(questions.body).body,
        created_at=now,
    )
    session.add(fresh)
    session.flush()
    return fresh


def change(session: Session, key: uuid.UUID, name: str, questions: Questions) -> None:
    """Change a version that nobody was asked; lock it in `write()` before. Refused once it is
    used."""
    hold(session, NUMBERING)
    row = get(session, key)
    refuse_used(session, key)
    follows = session.get(Questionnaire, row.follows_id) if row.follows_id else None
    row.core_hash = hash_of(session, questions, follows, key)
    row.name, row.body = name, Questions.parse(questions.body).body
    session.flush()


def refuse_used(session: Session, key: uuid.UUID) -> None:
    """Raise Refused for a version that stays as it is."""
    if is_used(session, key):
        raise Refused(_("This version was used and stays as it is. Make a new version from it."))
