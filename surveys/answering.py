"""What somebody filled in, read against the questions that they were asked. Pure.

Whatever fits is taken even when something else does not, so that nothing typed is lost; what no
page of ours can send is said to be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from portal.errors import N_
from surveys.questions import CHOICE, CORE, SCALE, TEXT, Questions, said

CANNOT_SAY = "cannot_say"
COMMENT = "comment"
MAX_TEXT = 4000

CHOOSE_NUMBER = N_("Choose a number from 1 to 10, or “Cannot say”.")
CHOOSE_OPTION = N_("Choose one of the answers, or “Cannot say”.")
CHOOSE_FEWER = N_("Choose at most two answers.")
TOO_LONG = N_("Use at most 4000 characters; shorten your text.")
NOT_ASKED = N_("Something was sent that this survey does not ask. Please answer here.")

# What a form holds besides answers.
_OWN_FIELDS = frozenset({"csrf_token", "submission", COMMENT})


@dataclass(frozen=True)
class Asked:
    """A question in the words of one reader."""

    key: str
    kind: str
    text: str
    required: bool = False
    after: str = ""
    pick: int = 0
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Given:
    """The answer to one question; empty when there is none."""

    value: int | None = None
    choices: tuple[str, ...] = ()
    text: str = ""
    missing: str | None = None

    def __bool__(self) -> bool:
        return bool(self.value or self.choices or self.text or self.missing)


@dataclass
class FilledIn:
    """What was filled in: the answers by question, the comment, and what is wrong with the rest."""

    given: dict[str, Given] = field(default_factory=dict)
    comment: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    def of(self, question: str) -> Given:
        """The answer to a question, or the empty one."""
        return self.given.get(question, Given())

    def kept(self) -> dict[str, Given]:
        """The answers that nothing is wrong with."""
        return {key: answer for key, answer in self.given.items() if key not in self.problems}

    def missing(self, questions: Iterable[Asked], before: Mapping[str, Given]) -> dict[str, str]:
        """The required questions that have no answer, now or before, each with what to do."""
        known = {**before, **self.kept()}
        return {
            question.key: _wanted(question)
            for question in questions
            if question.required and not known.get(question.key)
        }


def questions_of(questions: Questions, locale: str, company: str) -> list[Asked]:
    """The questions in the order of the page: the core scales stand first, and what is asked
    further stands after what it is about."""
    rows = [
        Asked(
            key=row.key,
            kind=row.kind,
            text=said(row.texts, locale, company),
            required=row.required,
            after=row.after,
            pick=row.pick,
            options=tuple((it.key, said(it.texts, locale, company)) for it in row.options),
        )
        for row in questions.questions
    ]
    core, rest = rows[: len(CORE)], rows[len(CORE) :]
    first = {row.key for row in rows if not row.after}
    following = {key: [row for row in rest if row.after == key] for key in first}
    return [
        *core,
        *(row for one in core for row in following[one.key]),
        *(row for one in rest if one.after not in first for row in (one, *following[one.key])),
    ]


def read(
    questions: Sequence[Asked], fields: Iterable[str], values: Callable[[str], Sequence[str]]
) -> FilledIn:
    """What a form says: `fields` are the names it holds, `values` what stands under one."""
    found = FilledIn()
    if not set(fields) <= {question.key for question in questions} | _OWN_FIELDS:
        found.problems[""] = NOT_ASKED
    readers = {SCALE: _scale, CHOICE: _choice, TEXT: _text}
    for question in questions:
        answer, problem = readers[question.kind](question, values(question.key))
        if answer is not None:
            found.given[question.key] = answer
        if problem:
            found.problems[question.key] = problem
    comment, problem = _text(None, values(COMMENT))
    found.comment = comment.text if comment else ""
    if problem:
        found.problems[COMMENT] = problem
    return found


# An answer, None to leave the earlier one as it is, and what is wrong.
Reading = tuple[Given | None, str]


def _wanted(question: Asked) -> str:
    return CHOOSE_NUMBER if question.kind == SCALE else CHOOSE_OPTION


def _scale(_question: Asked, values: Sequence[str]) -> Reading:
    chosen = [text for text in values if text]
    if not chosen:
        return None, ""
    if chosen == [CANNOT_SAY]:
        return Given(missing=CANNOT_SAY), ""
    if len(chosen) == 1 and chosen[0] in _NUMBERS:
        return Given(value=_NUMBERS[chosen[0]]), ""
    return None, CHOOSE_NUMBER


_NUMBERS = {str(score): score for score in range(1, 11)}


def _choice(question: Asked, values: Sequence[str]) -> Reading:
    chosen = list(dict.fromkeys(text for text in values if text))
    known = [key for key, _text in question.options if key in chosen]
    if set(chosen) - {CANNOT_SAY} != set(known):
        return None, CHOOSE_OPTION
    if len(known) > question.pick:
        return None, CHOOSE_FEWER if question.pick > 1 else CHOOSE_OPTION
    # Who ticks an answer and "cannot say" as well has said something.
    missing = CANNOT_SAY if CANNOT_SAY in chosen and not known else None
    return Given(choices=tuple(known), missing=missing), ""


def _text(_question: Asked | None, values: Sequence[str]) -> Reading:
    text = "\n".join(values).replace("\r\n", "\n").strip()
    # What is too long stands in the form again, but is not kept.
    return Given(text=text), TOO_LONG if len(text) > MAX_TEXT else ""
