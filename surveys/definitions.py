"""The questions. The two core ones are the same in every wave, so that waves can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from surveys.models import Questionnaire

COMPANY, EXPERIENCE = "company", "experience"
CORE = (COMPANY, EXPERIENCE)
SCALE = tuple(range(1, 11))

SCALE_QUESTION, TEXT, CHOICE = "scale", "text", "choice"

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


def core_hash(body: Mapping[str, Any]) -> str:
    """What identifies the core questions: a changed word changes it, an added language does not.

    Languages are compared by the one that every questionnaire has, English.
    """
    core = {row["key"]: row["texts"]["en"] for row in body["questions"] if row["key"] in CORE}
    core["low"], core["high"] = body["ends"]["en"]
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()


def standard(session: Session, now: datetime) -> Questionnaire:
    """The standard questionnaire, written down the first time it is needed."""
    wanted = core_hash(STANDARD)
    newest = select(Questionnaire).where(Questionnaire.core_hash == wanted)
    known = session.scalars(newest.order_by(Questionnaire.number.desc())).first()
    if known is not None and known.body == STANDARD:
        return known
    number = (session.scalar(select(func.max(Questionnaire.number))) or 0) + 1
    fresh = Questionnaire(
        number=number, name="Standard", core_hash=wanted, body=STANDARD, created_at=now
    )
    session.add(fresh)
    session.flush()
    return fresh


def texts(questionnaire: Questionnaire, locale: str, company: str) -> dict[str, str]:
    """The words of a questionnaire in a reader's language, else in English."""
    ends = questionnaire.body["ends"]
    low, high = ends.get(locale) or ends["en"]
    words = {"low": low, "high": high}
    for question in questionnaire.body["questions"]:
        words[question["key"]] = question["texts"].get(locale) or question["texts"]["en"]
    return {key: text.replace("{company}", company) for key, text in words.items()}
