"""The questions of a questionnaire, read from its body, and which versions compare. Pure.

Context: waves are compared over years while languages are added and words are mended.
Decision: versions that may be compared share a core hash. A version keeps the hash of the one it
was made from as long as both core questions and the ends of the scale have the same words in every
language that any version of this hash has; else it gets that of a version with exactly its words,
or a new one.
Consequences: an added language keeps comparability, a changed word never does, and going back to
the old words brings it back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COMPANY, EXPERIENCE = "company", "experience"
CORE = (COMPANY, EXPERIENCE)
SCALE, TEXT, CHOICE = "scale", "text", "choice"
KINDS = (SCALE, TEXT, CHOICE)
ENGLISH = "en"

MAX_QUESTIONS = 12
MAX_OPTIONS = 12
MAX_TEXT = 300

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Option:
    """One thing to choose."""

    key: str
    texts: Texts


@dataclass(frozen=True)
class Question:
    """One question. `after` is the key of the question that this text follows up, `pick` how many
    options may be chosen; a driver asks for a reason of satisfaction, as content or margin."""

    key: str
    kind: str
    texts: Texts
    required: bool = False
    driver: bool = False
    after: str = ""
    pick: int = 0
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Questions:
    """All of a questionnaire, and what the ends of the scale are called, by language."""

    ends: Mapping[str, tuple[str, str]]
    questions: tuple[Question, ...]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Questions:
        """Read a body. Raises ValueError when it is none."""
        try:
            ends = {language: (pair[0], pair[1]) for language, pair in body["ends"].items()}
            found = cls(ends, tuple(map(_question, body["questions"])))
        except (KeyError, IndexError, TypeError, AttributeError) as wrong:
            raise ValueError("this is not the body of a questionnaire") from wrong
        _check(found)
        return found

    @property
    def body(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "ends": {language: list(pair) for language, pair in self.ends.items()},
            "questions": [_row(question) for question in self.questions],
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it speaks, English first; a question may lack all but English."""
        return _languages(self.ends)

    @property
    def core(self) -> dict[str, Texts]:
        """The words that decide whether waves compare: by question or end, by language."""
        words: dict[str, Texts] = {q.key: q.texts for q in self.questions if q.key in CORE}
        words["low"] = {it: pair[0] for it, pair in self.ends.items() if pair[0]}
        words["high"] = {it: pair[1] for it, pair in self.ends.items() if pair[1]}
        return words

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the questions, in their order."""
        return tuple(question.key for question in self.questions)

    def get(self, key: str) -> Question:
        """One question. Raises KeyError."""
        return next((q for q in self.questions if q.key == key), None) or _no(key)

    def ends_in(self, locale: str) -> tuple[str, str]:
        """What 1 and 10 mean, in a reader's language."""
        return self.ends[
            language_for(locale, (name for name, both in self.ends.items() if all(both)))
        ]


def _no(key: str) -> Question:
    raise KeyError(key)


def language_for(locale: str, texts: Iterable[str]) -> str:
    """Of the languages that there are the one to read: `de-AT` finds German, all others English."""
    known = set(texts)
    wanted = locale.replace("_", "-")
    return next((name for name in (wanted, wanted.partition("-")[0]) if name in known), ENGLISH)


def said(texts: Texts, locale: str, company: str = "") -> str:
    """A text in a reader's language, else in English, with the name of the company in it."""
    return texts[language_for(locale, (name for name, text in texts.items() if text))].replace(
        "{company}", company or "{company}"
    )


def _languages(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (name != ENGLISH, name)))


def _question(row: Mapping[str, Any]) -> Question:
    return Question(
        key=row["key"],
        kind=row["kind"],
        texts=dict(row["texts"]),
        required=bool(row.get("required")),
        driver=bool(row.get("driver")),
        after=row.get("after") or "",
        pick=row.get("pick") or 0,
        options=tuple(
            Option(option["key"], dict(option["texts"])) for option in row.get("options") or ()
        ),
    )


def _row(question: Question) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": question.key,
        "kind": question.kind,
        "required": question.required,
        "texts": dict(question.texts),
    }
    if question.driver:
        row["driver"] = True
    if question.after:
        row["after"] = question.after
    if question.kind == CHOICE:
        row["pick"] = question.pick
        row["options"] = [{"key": it.key, "texts": dict(it.texts)} for it in question.options]
    return row


def _check(questions: Questions) -> None:
    """Raise ValueError with the reason when an answering page could not show these questions."""
    rows = questions.questions
    keys = [row.key for row in rows]
    if tuple(keys[:2]) != CORE or not all(row.kind == SCALE and row.required for row in rows[:2]):
        raise ValueError("the two core questions come first")
    if len(set(keys)) < len(keys) or len(keys) > MAX_QUESTIONS:
        raise ValueError("too many questions, or two with one key")
    if not all(questions.ends.get(ENGLISH, ("",))):
        raise ValueError("the ends of the scale need English words")
    seen: set[str] = set()
    for row in rows:
        _check_one(row, seen)
        seen.add(row.key)


def _check_one(row: Question, seen: set[str]) -> None:
    if not row.texts.get(ENGLISH) or not all(option.texts.get(ENGLISH) for option in row.options):
        raise ValueError(f"{row.key} needs English words")
    if row.kind not in KINDS:
        raise ValueError(f"{row.key} is of no known kind")
    if row.after and (row.kind != TEXT or row.after not in seen):
        raise ValueError(f"{row.key} follows no earlier question")
    if row.kind == CHOICE:
        options = {option.key for option in row.options}
        if row.pick not in (1, 2) or not 2 <= len(options) == len(row.options) <= MAX_OPTIONS:
            raise ValueError(f"{row.key} needs two options or more, and one or two to choose")


# --- what compares ------------------------------------------------------------------------------


def core_hash(
    questions: Questions, follows: str = "", known: Iterable[tuple[str, Questions]] = ()
) -> str:
    """What versions that may be compared share. `follows` is that of the version this one is made
    from, `known` every version there is with its hash."""
    groups: dict[str, list[Questions]] = {}
    for key, version in known:
        groups.setdefault(key, []).append(version)
    same = [key for key, some in groups.items() if any(v.core == questions.core for v in some)]
    for key in (follows, *sorted(same)):
        if key in groups and all(_agree(questions, other) for other in groups[key]):
            return key
    return hashlib.sha256(json.dumps(questions.core, sort_keys=True).encode()).hexdigest()


def _agree(one: Questions, other: Questions) -> bool:
    return not _changed(one.core, other.core)


def _changed(before: Mapping[str, Texts], after: Mapping[str, Texts]) -> list[tuple[str, str]]:
    """Where words of a language that both have differ: (what, language)."""
    return [
        (key, language)
        for key, texts in before.items()
        for language in _languages(texts.keys() & after[key].keys())
        if texts[language] != after[key][language]
    ]


@dataclass(frozen=True)
class Changes:
    """What sets one version apart from another: languages that came and went, core words that
    changed as (`company`, `experience`, `low` or `high`, language), and the keys of other
    questions that came, went or changed."""

    added_languages: tuple[str, ...]
    removed_languages: tuple[str, ...]
    core: tuple[tuple[str, str], ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return any(vars(self).values())


def changes(before: Questions, after: Questions) -> Changes:
    """What is different in `after`."""
    had = {q.key: q for q in before.questions if q.key not in CORE}
    has = {q.key: q for q in after.questions if q.key not in CORE}
    return Changes(
        added_languages=tuple(name for name in after.languages if name not in before.ends),
        removed_languages=tuple(name for name in before.languages if name not in after.ends),
        core=tuple(_changed(before.core, after.core)),
        added=tuple(key for key in has if key not in had),
        removed=tuple(key for key in had if key not in has),
        changed=tuple(key for key in has if key in had and has[key] != had[key]),
    )
