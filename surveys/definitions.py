"""The questions. The two core ones are the same in every wave, so that waves can be compared."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from surveys.models import Questionnaire
from surveys.questions import COMPANY, CORE, EXPERIENCE, Questions, core_hash, said
from surveys.questions import SCALE as SCALE_QUESTION

__all__ = [
    "COMPANY", "CORE", "EXPERIENCE", "SCALE", "STANDARD",
    "known", "next_number", "parsed", "standard", "texts", "versions",
]  # fmt: skip

SCALE = tuple(range(1, 11))

# Written by us, so they live here and not in the translations: changing a word changes the
# measurement, and the hash says so.
STANDARD: dict[str, Any] = {
    "ends": {
        "en": ["not at all satisfied", "very satisfied"],
        "de": ["überhaupt nicht zufrieden", "sehr zufrieden"],
    },
    "questions": [
        {
            "key": COMPANY,
            "kind": SCALE_QUESTION,
            "required": True,
            "texts": {
                "en": "How satisfied are you with working with {company}?",
                "de": "Wie zufrieden sind Sie mit der Zusammenarbeit mit {company}?",
            },
        },
        {
            "key": EXPERIENCE,
            "kind": SCALE_QUESTION,
            "required": True,
            "texts": {
                "en": "How satisfied are you with this portal and what it gives you?",
                "de": "Wie zufrieden sind Sie mit diesem Portal und dem, was es Ihnen bietet?",
            },
        },
    ],
}


def parsed(questionnaire: Questionnaire) -> Questions:
    """The questions of a version."""
    return Questions.parse(questionnaire.body)


def known(session: Session, without: Collection[uuid.UUID] = ()) -> list[tuple[str, Questions]]:
    """Every version there is with its core hash, but those `without`."""
    rows = session.scalars(select(Questionnaire))
    return [(row.core_hash, parsed(row)) for row in rows if row.id not in without]


def next_number(session: Session) -> int:
    """The number of the next version."""
    return (session.scalar(select(func.max(Questionnaire.number))) or 0) + 1


def standard(session: Session, now: datetime) -> Questionnaire:
    """The standard questionnaire, written down the first time it is needed."""
    newest = session.scalars(select(Questionnaire).order_by(Questionnaire.number.desc()))
    same = next((row for row in newest if row.body == STANDARD), None)
    if same is not None:
        return same
    fresh = Questionnaire(
        number=next_number(session),
        name="Standard",
        core_hash=core_hash(Questions.parse(STANDARD), known=known(session)),
        body=STANDARD,
        created_at=now,
    )
    session.add(fresh)
    session.flush()
    return fresh


def texts(questionnaire: Questionnaire, locale: str, company: str) -> dict[str, str]:
    """The words of a questionnaire in a reader's language, else in English."""
    questions = parsed(questionnaire)
    low, high = questions.ends_in(locale)
    words = {row.key: said(row.texts, locale, company) for row in questions.questions}
    return {"low": low, "high": high, **words}


def versions(session: Session) -> list[Questionnaire]:
    """Every version, the newest first."""
    return list(session.scalars(select(Questionnaire).order_by(Questionnaire.number.desc())))
