"""Wave after wave: how each went, and what changed between any two that may be compared."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from sqlalchemy import Row, case, func, select
from sqlalchemy.orm import Session

from portal import clock
from portal.errors import N_
from portal.means import Change, Mean
from surveys import figures
from surveys.figures import SEVERAL, Place, Sums
from surveys.models import (
    OPEN,
    Answer,
    Invitation,
    Mode,
    Questionnaire,
    Response,
    Survey,
    Wave,
)
from surveys.questions import COMPANY, CORE, EXPERIENCE
from surveys.suppression import Shown, divide_both, protect

# So many earlier waves of the same questions a protected one may be compared with, the nearest
# first: each comparison takes from what later ones may show.
REACH = 4

SAME_WAVE = N_("Choose two waves.")
OTHER_QUESTIONS = N_("Not comparable: the questions were not the same.")
OTHER_PROMISE = N_("Not comparable: only one of them promised to show no single answer.")
STILL_OPEN = N_("Not shown before both waves have closed.")
TOO_FEW = N_("Not shown, so that no single answer can be worked out from it.")
NO_PAIRS = N_("No partner answered both.")


@dataclass(frozen=True)
class Round:
    """How one wave went. `sums` holds by question what may be shown of the answers."""

    wave_id: uuid.UUID
    survey_id: uuid.UUID
    name: str
    kind: str
    mode: str
    minimum_n: int
    core_hash: str
    opened_at: datetime
    closes_at: datetime
    rollout_id: uuid.UUID | None
    rollout_side: str | None
    is_open: bool
    people_answered: int = 0
    people_invited: int = 0
    partners_answered: int = 0
    partners_invited: int = 0
    sums: Mapping[str, Sums] = field(default_factory=dict)

    @property
    def is_protected(self) -> bool:
        """Whether nobody may see a single answer."""
        return self.mode != Mode.attributed

    @property
    def terms(self) -> tuple[str, bool]:
        """What waves must have in common to be compared: the two questions, word by word, and
        whether single answers may be seen. Beside known answers the spread of the changes would
        give each partner another weight: from a few such waves the hidden answers follow."""
        return self.core_hash, self.is_protected

    def mean(self, question: str) -> Mean:
        """The mean of partner means; of nothing where none may be shown."""
        return figures.partner_means(self.sums.get(question, {}))

    def people(self, question: str) -> int:
        """How many people it is of."""
        return sum(n for _total, n in self.sums.get(question, {}).values())

    @property
    def company(self) -> float | None:
        """How satisfied they are with the company."""
        return self.mean(COMPANY).value

    @property
    def experience(self) -> float | None:
        """How satisfied they are with the partner experience."""
        return self.mean(EXPERIENCE).value


@dataclass(frozen=True)
class Compared:
    """The change of the same partners between two waves, or why there is none."""

    change: Change
    pairs: dict[uuid.UUID, tuple[float, float]]
    why_not: str = ""


@dataclass(frozen=True)
class History:
    """Waves, oldest first; `protected` says what may be shown of those nobody may look into."""

    rounds: Sequence[Round]
    protected: dict[tuple[uuid.UUID, str], Shown]

    @cached_property
    def _by_id(self) -> dict[uuid.UUID, Round]:
        return {one.wave_id: one for one in self.rounds}

    def get(self, wave_id: uuid.UUID) -> Round | None:
        """The round of a wave."""
        return self._by_id.get(wave_id)

    def before(self, later: Round) -> Round | None:
        """The wave before of the same survey, else of the same questions."""
        earlier = [one for one in self.rounds if one.opened_at < later.opened_at]
        own = [one for one in earlier if one.survey_id == later.survey_id]
        same = [one for one in own or earlier if one.terms == later.terms]
        best = same or own
        return best[-1] if best else None

    def compared(self, before: Round, after: Round, question: str) -> Compared:
        """What changed from one wave to a later one, for the partners that answered both."""
        why = self._why_not(before, after, question)
        if why:
            return Compared(Change(()), {}, why)
        pairs = figures.same_partners(before.sums[question], after.sums[question])
        return Compared(
            figures.change(before.sums[question], after.sums[question]),
            pairs,
            "" if pairs else NO_PAIRS,
        )

    def _why_not(self, before: Round, after: Round, question: str) -> str:
        if before.wave_id == after.wave_id:
            return SAME_WAVE
        if before.core_hash != after.core_hash:
            return OTHER_QUESTIONS
        if before.is_protected != after.is_protected:
            return OTHER_PROMISE
        if before.is_protected:
            if before.is_open or after.is_open:
                return STILL_OPEN
            if (before.wave_id, after.wave_id, question) not in self._let_through:
                return TOO_FEW
        return "" if question in before.sums and question in after.sums else NO_PAIRS

    def of_partner(self, one: Round, question: str, partner: uuid.UUID) -> tuple[int, int] | None:
        """What one partner's people answered, where that may be shown."""
        shown = self.protected.get((one.wave_id, question))
        if shown is not None and not shown.allows_partner(partner):
            return None
        return one.sums.get(question, {}).get(partner)

    def by_partner(
        self, before: Round, after: Round, question: str
    ) -> dict[uuid.UUID, tuple[float, float]]:
        """The means of each partner that answered both, where both may be shown."""
        return {
            partner: pair
            for partner, pair in self.compared(before, after, question).pairs.items()
            if self.of_partner(before, question, partner)
            and self.of_partner(after, question, partner)
        }

    @cached_property
    def _let_through(self) -> set[tuple[uuid.UUID, uuid.UUID, str]]:
        """The comparisons that protected waves allow. Settled wave by wave as they closed, so that
        what was shown once never depends on what came later."""
        closed = sorted(
            (one for one in self.rounds if one.is_protected and not one.is_open),
            key=lambda one: (one.closes_at, one.wave_id),
        )
        found = set()
        for question in CORE:
            now: dict[uuid.UUID, Shown] = {
                key: shown for (key, about), shown in self.protected.items() if about == question
            }
            for before, after in _in_reach(closed):
                if not (question in before.sums and question in after.sums):
                    continue
                both = frozenset(before.sums[question]) & frozenset(after.sums[question])
                apart = divide_both(now[before.wave_id], now[after.wave_id], both)
                if apart is None or not both:
                    continue
                found |= {
                    (before.wave_id, after.wave_id, question),
                    (after.wave_id, before.wave_id, question),
                }
                now |= zip((before.wave_id, after.wave_id), apart, strict=True)
        return found


def _in_reach(closed: Sequence[Round]) -> Iterator[tuple[Round, Round]]:
    """Each wave with the nearest earlier ones of the same questions, in the order of closing."""
    by_terms: dict[tuple[str, bool], list[Round]] = defaultdict(list)
    for after in closed:
        for before in reversed(by_terms[after.terms][-REACH:]):
            yield before, after
        by_terms[after.terms].append(after)


# --- from the database ----------------------------------------------------------------------------


def load(session: Session) -> History:
    """Every wave that was opened. What may be compared is settled over all of them: of a part of
    them another comparison would be let through, and the two together would tell too much."""
    return _load(session, _latest(session, None))


def with_the_one_before(session: Session, wave: Wave) -> History:
    """A wave with the one before it, and whether they may be compared. Where one of the two is
    protected that is settled over all waves; two attributed ones need nothing else."""
    keys = _latest(session, None)
    outline = _outline(session, keys)
    now = outline.get(wave.id)
    before = outline.before(now) if now else None
    if now and not now.is_protected and not (before and before.is_protected):
        keys = [one.wave_id for one in (now, before) if one]
    return _load(session, keys)


def latest(session: Session, limit: int | None) -> Sequence[Round]:
    """The latest waves, oldest first, each by itself."""
    return _load(session, _latest(session, limit)).rounds


def _outline(session: Session, keys: Sequence[uuid.UUID]) -> History:
    """These waves without anything that was answered."""
    return History([_round(wave, name, words) for wave, name, words in _waves(session, keys)], {})


def _waves(session: Session, keys: Sequence[uuid.UUID]) -> Sequence[Row[Wave, str, str]]:
    query = (
        select(Wave, Survey.name, Questionnaire.core_hash)
        .join(Survey, Survey.id == Wave.survey_id)
        .join(Questionnaire, Questionnaire.id == Wave.questionnaire_id)
        .where(Wave.id.in_(keys))
        .order_by(Wave.opened_at, Wave.id)
    )
    return session.execute(query).all()


def _round(wave: Wave, name: str, core_hash: str) -> Round:
    return Round(
        wave_id=wave.id,
        survey_id=wave.survey_id,
        name=name,
        kind=wave.kind,
        mode=wave.mode,
        minimum_n=wave.minimum_n,
        core_hash=core_hash,
        opened_at=wave.opened_at,
        closes_at=wave.closes_at,
        rollout_id=wave.rollout_id,
        rollout_side=wave.rollout_side,
        is_open=wave.closes_at > clock.now(),
    )


def _latest(session: Session, limit: int | None) -> list[uuid.UUID]:
    newest = select(Wave.id).where(Wave.state == OPEN)
    newest = newest.order_by(Wave.opened_at.desc(), Wave.id.desc()).limit(limit)
    return list(session.scalars(newest))


def _load(session: Session, keys: Sequence[uuid.UUID]) -> History:
    waves = [_round(wave, name, words) for wave, name, words in _waves(session, keys)]
    protected = {one.wave_id for one in waves if one.is_protected}
    invited, answered = _counts(session, Invitation, keys), _counts(session, Response, keys)
    sums, shown = _sums(session, keys), dict[tuple[uuid.UUID, str], Shown]()
    places = _places(session, protected)
    found = []
    for one in waves:
        own = {key: sums[one.wave_id, key] for key in CORE if sums[one.wave_id, key]}
        if one.is_protected:
            if one.is_open:
                own = {}
            for question, found_out in _protected(own, places[one.wave_id], one.minimum_n):
                shown[one.wave_id, question] = found_out
            own = {key: values for key, values in own.items() if shown[one.wave_id, key].anything}
        found.append(
            replace(
                one,
                people_answered=answered[one.wave_id][0],
                people_invited=invited[one.wave_id][0],
                partners_answered=answered[one.wave_id][1],
                partners_invited=invited[one.wave_id][1],
                sums=own,
            )
        )
    return History(found, shown)


def _protected(
    sums: Mapping[str, Sums], places: Mapping[uuid.UUID, Place], minimum: int
) -> Iterator[tuple[str, Shown]]:
    """What may be shown of each question. Mostly the same people answer both: it is found once."""
    before: dict[uuid.UUID, int] = {}
    shown: Shown | None = None
    for question, values in sums.items():
        people = {key: n for key, (_sum, n) in values.items()}
        if shown is None or people != before:
            shown = protect((places[key] for key, n in people.items() for _n in range(n)), minimum)
        before = people
        yield question, shown


def _counts(
    session: Session, model: type[Invitation] | type[Response], keys: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, int]]:
    query = (
        select(model.wave_id, func.count(), func.count(model.partner_id.distinct()))
        .where(model.wave_id.in_(keys))
        .group_by(model.wave_id)
    )
    found = {row[0]: (row[1], row[2]) for row in session.execute(query)}
    return defaultdict(lambda: (0, 0), found)


def _sums(
    session: Session, keys: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, str], dict[uuid.UUID, tuple[int, int]]]:
    # One row for both questions of a partner: half as many to sort and to read.
    values = [case((Answer.question == question, Answer.value)) for question in CORE]
    query = (
        select(
            Response.wave_id,
            Response.partner_id,
            *(column for value in values for column in (func.sum(value), func.count(value))),
        )
        .join(Answer, Answer.response_id == Response.id)
        .where(Response.wave_id.in_(keys), Answer.question.in_(CORE))
        .group_by(Response.wave_id, Response.partner_id)
    )
    found: dict[tuple[uuid.UUID, str], dict[uuid.UUID, tuple[int, int]]] = defaultdict(dict)
    for wave_id, partner_id, *sums in session.execute(query):
        for question, total, n in zip(CORE, sums[::2], sums[1::2], strict=True):
            if n:
                found[wave_id, question][partner_id] = (int(total), n)
    return found


def _places(session: Session, keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, dict[uuid.UUID, Place]]:
    """Where answers of protected waves belong, the same for everyone of a partner."""
    wanted = list(keys)
    if not wanted:
        return {}
    invited = select(
        Invitation.wave_id, Invitation.partner_id, Invitation.tier, Invitation.region
    ).where(Invitation.wave_id.in_(wanted))
    spoken = select(Response.wave_id, Response.partner_id, Response.locale).where(
        Response.wave_id.in_(wanted)
    )
    locales: dict[tuple[uuid.UUID, uuid.UUID], set[str]] = defaultdict(set)
    for wave_id, partner_id, locale in session.execute(spoken.distinct()):
        locales[wave_id, partner_id].add(locale)
    found: dict[uuid.UUID, dict[uuid.UUID, Place]] = defaultdict(dict)
    for wave_id, partner_id, tier, region in session.execute(invited.distinct()):
        own = locales[wave_id, partner_id]
        locale = next(iter(own)) if len(own) == 1 else SEVERAL
        found[wave_id][partner_id] = Place(partner_id, tier, region, locale)
    return found
