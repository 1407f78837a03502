"""What the answers of one wave add up to, as far as it may be shown."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import clock
from surveys.figures import SEVERAL, Choice, Figure, Place
from surveys.models import Answer, Invitation, Mode, Response, Wave
from surveys.questions import CHOICE, CORE
from surveys.questions import SCALE as SCALE_QUESTION
from surveys.suppression import Shown, protect


@dataclass(frozen=True)
class Picked:
    """What some people chose: how often each option, and how many people chose any."""

    people: int
    options: dict[str, int]


@dataclass(frozen=True)
class Results:
    """The answers of one wave. Everything asked of it is None where it may not be shown."""

    wave: Wave
    is_open: bool
    scores: dict[str, list[tuple[Place, int]]]
    picks: dict[str, list[tuple[Place, list[str]]]]
    cannot_say: Counter[str]

    @property
    def is_protected(self) -> bool:
        """Whether nobody may see a single answer."""
        return self.wave.mode != Mode.attributed

    @property
    def waits(self) -> bool:
        """Whether nothing is shown yet: what one answer changes would tell what it was."""
        return self.is_protected and self.is_open

    def shown(self, question: str) -> Shown | None:
        """What may be shown of a question; None for all of it."""
        return self._shown.get(question)

    @cached_property
    def _shown(self) -> dict[str, Shown]:
        if not self.is_protected:
            return {}
        answered: dict[str, list[Any]] = {**self.scores, **self.picks}
        return {
            key: protect((place for place, _value in rows), self.wave.minimum_n)
            for key, rows in answered.items()
        }

    def _may_show(self, question: str, choice: Choice) -> bool:
        shown = self.shown(question)
        return not self.waits and (shown is None or shown.allows(choice))

    def figure(self, question: str, choice: Choice = Choice()) -> Figure | None:  # noqa: B008
        """How those who were chosen answered a question of the scale."""
        if not self._may_show(question, choice):
            return None
        rows = self.scores.get(question, ())
        return Figure(tuple((place.partner, score) for place, score in rows if choice.takes(place)))

    def of_partner(self, question: str, partner: uuid.UUID) -> Figure | None:
        """How the people of one partner answered it."""
        shown = self.shown(question)
        if self.waits or (shown is not None and not shown.allows_partner(partner)):
            return None
        return Figure(tuple(self._by_partner.get((question, partner), ())))

    @cached_property
    def _by_partner(self) -> dict[tuple[str, uuid.UUID], list[tuple[uuid.UUID, int]]]:
        found: dict[tuple[str, uuid.UUID], list[tuple[uuid.UUID, int]]] = defaultdict(list)
        for question, rows in self.scores.items():
            for place, score in rows:
                found[question, place.partner].append((place.partner, score))
        return found

    def shows_people(self, question: str, choice: Choice) -> bool:
        """Whether shares of people stand beside means of partners."""
        shown = self.shown(question)
        return shown is None or (shown.by_person and not choice.chosen)

    def picked(self, question: str, choice: Choice = Choice()) -> Picked | None:  # noqa: B008
        """What those who were chosen picked."""
        if not self._may_show(question, choice) or (self.is_protected and choice.chosen):
            return None
        rows = [keys for place, keys in self.picks.get(question, ()) if choice.takes(place)]
        return Picked(len(rows), dict(Counter(key for keys in rows for key in keys)))

    def without_answer(self, question: str, choice: Choice) -> int | None:
        """How many people chose "cannot say"; of a part it is not told."""
        if choice.chosen or not self._may_show(question, choice):
            return None
        return self.cannot_say[question]

    def values(self, grouping: str) -> list[str]:
        """The tiers, regions or languages of those who answered."""
        return sorted(
            {getattr(place, grouping) for rows in self.scores.values() for place, _score in rows}
        )

    def parts(self, grouping: str, choice: Choice) -> list[tuple[str, Choice]]:
        """What was chosen, once for each tier, region or language."""
        return [
            (value, choice.narrowed(grouping, value))
            for value in self.values(grouping)
            if getattr(choice, grouping) in ("", value)
        ]


def load(session: Session, wave: Wave) -> Results:
    """The answers of a wave."""
    places = _places(session, wave)
    kinds = {row["key"]: row["kind"] for row in wave.questionnaire.body["questions"]}
    scores: dict[str, list[tuple[Place, int]]] = {key: [] for key in CORE}
    scores |= {key: [] for key, kind in kinds.items() if kind == SCALE_QUESTION}
    picks: dict[str, list[tuple[Place, list[str]]]] = {
        key: [] for key, kind in kinds.items() if kind == CHOICE
    }
    cannot_say: Counter[str] = Counter()
    of_wave = select(Answer).join(Response).where(Response.wave_id == wave.id)
    answered = of_wave.with_only_columns(
        Answer.response_id, Answer.question, Answer.value, Answer.missing
    )
    for response_id, question, value, missing in session.execute(answered):
        if value is not None and question in scores:
            scores[question].append((places[response_id], value))
        elif missing is not None:
            cannot_say[question] += 1
    if picks:
        chosen = of_wave.with_only_columns(Answer.response_id, Answer.question, Answer.choices)
        for response_id, question, keys in session.execute(
            chosen.where(Answer.question.in_(picks))
        ):
            if keys:
                picks[question].append((places[response_id], keys))
    return Results(wave, wave.closes_at > clock.now(), scores, picks, cannot_say)


def _places(session: Session, wave: Wave) -> dict[uuid.UUID, Place]:
    """Where each response belongs. In a protected wave everyone of a partner is in one place."""
    rows = session.execute(
        select(Response.id, Response.partner_id, Response.locale).where(Response.wave_id == wave.id)
    ).all()
    invited = select(Invitation.partner_id, Invitation.tier, Invitation.region)
    frozen = {
        row.partner_id: row
        for row in session.execute(invited.where(Invitation.wave_id == wave.id).distinct())
    }
    locales: dict[uuid.UUID, set[str]] = defaultdict(set)
    for row in rows:
        locales[row.partner_id].add(row.locale)
    found = {}
    for key, partner, locale in rows:
        if wave.mode != Mode.attributed and len(locales[partner]) > 1:
            locale = SEVERAL
        about = frozen[partner]
        found[key] = Place(partner, about.tier, about.region, locale)
    return found
