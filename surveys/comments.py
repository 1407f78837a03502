"""What people wrote. In a wave where nobody may see a single answer: without a word about who."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Partner, User
from portal.formatting import sort_key
from surveys.figures import Choice, Place
from surveys.models import Answer, Invitation, Mode, Response, Wave
from surveys.questions import COMPANY, EXPERIENCE
from surveys.suppression import FLOOR

# The question that stands below every questionnaire.
ANYTHING = "comment"


@dataclass(frozen=True)
class Comment:
    """What somebody wrote, to which question; who it was only where the mode tells."""

    text: str
    question: str
    person: str = ""
    partner: str = ""
    company: int | None = None
    experience: int | None = None


def found(session: Session, wave: Wave, choice: Choice, words: str) -> list[Comment] | None:
    """The comments of a wave that hold `words`; None where they may not be shown.

    Attributed ones come with the lowest scores first. Others are never narrowed down to some
    partners, and come in an order that tells nothing.
    """
    if wave.mode == Mode.attributed:
        rows = _attributed(session, wave, choice)
    elif wave.closes_at > clock.now() or not _enough(session, wave):
        return None
    else:
        texts = _texts(session, wave)
        rows = [Comment(text, question) for _key, question, text in texts]
        rows.sort(key=lambda row: _shuffled(wave.id, row))
    wanted = words.casefold().split()
    return [row for row in rows if all(word in _searched(row) for word in wanted)]


def _searched(row: Comment) -> str:
    return f"{row.text} {row.person} {row.partner}".casefold()


def _shuffled(wave_id: uuid.UUID, row: Comment) -> bytes:
    return hashlib.sha256(f"{wave_id}{row.question}{row.text}".encode()).digest()


def _enough(session: Session, wave: Wave) -> bool:
    people = select(func.count()).select_from(Response).where(Response.wave_id == wave.id)
    return (session.scalar(people) or 0) >= max(FLOOR, wave.minimum_n)


def _texts(session: Session, wave: Wave) -> list[tuple[uuid.UUID, str, str]]:
    """Response, question and text of everything that was written."""
    said = select(Response.id, Response.comment).where(
        Response.wave_id == wave.id, Response.comment != ""
    )
    wrote = (
        select(Response.id, Answer.question, Answer.text)
        .join(Answer, Answer.response_id == Response.id)
        .where(Response.wave_id == wave.id, Answer.text != "")
    )
    return [(key, ANYTHING, text) for key, text in session.execute(said)] + [
        (key, question, text) for key, question, text in session.execute(wrote)
    ]


def _attributed(session: Session, wave: Wave, choice: Choice) -> list[Comment]:
    texts = _texts(session, wave)
    scores = _scores(session, wave)
    people = (
        select(
            Response.id,
            Response.locale,
            Invitation.tier,
            Invitation.region,
            User.name.label("person"),
            Partner.id.label("partner_id"),
            Partner.name.label("partner"),
        )
        .join(Invitation, Invitation.id == Response.invitation_id)
        .join(User, User.id == Invitation.user_id)
        .join(Partner, Partner.id == Response.partner_id)
        .where(Response.wave_id == wave.id)
    )
    about = {row.id: row for row in session.execute(people)}
    rows = []
    for key, question, text in texts:
        one = about.get(key)
        if one is None or not choice.takes(Place(one.partner_id, one.tier, one.region, one.locale)):
            continue
        own = scores.get(key, {})
        rows.append(
            Comment(text, question, one.person, one.partner, own.get(COMPANY), own.get(EXPERIENCE))
        )
    return sorted(
        rows, key=lambda row: (row.experience or 0, sort_key(row.person), row.question != ANYTHING)
    )


def _scores(session: Session, wave: Wave) -> Mapping[uuid.UUID, dict[str, int]]:
    query = (
        select(Answer.response_id, Answer.question, Answer.value)
        .join(Response, Response.id == Answer.response_id)
        .where(Response.wave_id == wave.id, Answer.question.in_((COMPANY, EXPERIENCE)))
        .where(Answer.value.is_not(None))
    )
    found: dict[uuid.UUID, dict[str, int]] = {}
    for key, question, value in session.execute(query):
        assert value is not None
        found.setdefault(key, {})[question] = value
    return found
