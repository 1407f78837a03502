"""The questions. The two core ones are the same in every wave, so that waves can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from surveys.models import Questionnaire

COMPANY, EXPERIENCE = "company", "experience"
CORE = (COMPANY, EXPERIENCE)
SCALE = tuple(range(1, 11))

# Written by us, so they live here and not in the translations: changing a word changes the
# measurement, and the hash says so.
STANDARD: dict[str, dict[str, str]] = {
    "en": {
        COMPANY: "How satisfied are you with working with {company}?",
        EXPERIENCE: "How satisfied are you with this portal and what it gives you?",
        "low": "not at all satisfied",
        "high": "very satisfied",
    },
    "de": {
        COMPANY: "Wie zufrieden sind Sie mit der Zusammenarbeit mit {company}?",
        EXPERIENCE: "Wie zufrieden sind Sie mit diesem Portal und dem, was es Ihnen bietet?",
        "low": "überhaupt nicht zufrieden",
        "high": "sehr zufrieden",
    },
}


def core_hash(body: Mapping[str, Mapping[str, str]]) -> str:
    """What identifies the core questions: a changed word changes it, an added language does not.

    Languages are compared by the one that every questionnaire has, English.
    """
    core = {key: body["en"][key] for key in (*CORE, "low", "high")}
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()


def standard(session: Session, now: datetime) -> Questionnaire:
    """The standard questionnaire, written down the first time it is needed."""
    wanted = core_hash(STANDARD)
    newest = select(Questionnaire).where(Questionnaire.core_hash == wanted)
    known = session.scalars(newest.order_by(Questionnaire.number.desc())).first()
    if known is not None and known.body == STANDARD:
        return known
    number = (session.scalar(select(func.max(Questionnaire.number))) or 0) + 1
    fresh = Questionnaire(number=number, core_hash=wanted, body=STANDARD, created_at=now)
    session.add(fresh)
    session.flush()
    return fresh


def texts(questionnaire: Questionnaire, locale: str, company: str) -> dict[str, str]:
    """The words of a questionnaire in a reader's language, else in English."""
    chosen = questionnaire.body.get(locale) or questionnaire.body["en"]
    return {key: text.replace("{company}", company) for key, text in chosen.items()}
