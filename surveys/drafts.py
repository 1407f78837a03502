"""Questions while somebody writes them: what each button of the page does to them. Pure.

A draft may lack words or options; `faults` says what must be mended before it can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from surveys.questions import (
    CHOICE,
    CORE,
    ENGLISH,
    MAX_OPTIONS,
    MAX_QUESTIONS,
    MAX_TEXT,
    SCALE,
    TEXT,
    Option,
    Question,
    Questions,
)

# What satisfaction usually hangs on. The words are ours, so they live here and not in the
# translations: people who are asked read them in the language of the questionnaire.
DRIVERS: Mapping[str, Mapping[str, str]] = {
    "content": {
        "en": "How satisfied are you with the sales content that {company} gives you?",
        "de": "Wie zufrieden sind Sie mit den Vertriebsunterlagen von {company}?",
    },
    "support": {
        "en": "How satisfied are you with the support that you get from {company}?",
        "de": "Wie zufrieden sind Sie mit der Unterstützung durch {company}?",
    },
    "margin": {
        "en": "How satisfied are you with the margin that you earn with {company}?",
        "de": "Wie zufrieden sind Sie mit der Marge, die Sie mit {company} erzielen?",
    },
    "deal_registration": {
        "en": "How satisfied are you with the way {company} handles your deal registrations?",
        "de": "Wie zufrieden sind Sie damit, wie {company} Ihre Projektregistrierungen bearbeitet?",
    },
    "training": {
        "en": "How satisfied are you with the training that {company} offers?",
        "de": "Wie zufrieden sind Sie mit den Schulungen von {company}?",
    },
}
WHY: Mapping[str, str] = {"en": "Why? (optional)", "de": "Warum? (freiwillig)"}


@dataclass(frozen=True)
class Fault:
    """Why a draft cannot be asked: a code, the question and the language that it is about."""

    code: str
    question: int = 0
    language: str = ""


def add(questions: Questions, kind: str, key: str, option_keys: Sequence[str]) -> Questions:
    """A new question at the end; one to choose from begins with two empty options."""
    options = tuple(Option(it, {}) for it in option_keys) if kind == CHOICE else ()
    fresh = Question(key, kind, {}, pick=1 if kind == CHOICE else 0, options=options)
    return replace(questions, questions=(*questions.questions, fresh))


def add_driver(questions: Questions, name: str) -> Questions:
    """One of the ready questions, in the languages of the questionnaire; once."""
    if name not in DRIVERS or name in questions.keys:
        return questions
    texts = {it: DRIVERS[name][it] for it in questions.languages if it in DRIVERS[name]}
    fresh = Question(name, SCALE, texts, driver=True)
    return replace(questions, questions=(*questions.questions, fresh))


def follow(questions: Questions, after: str, key: str) -> Questions:
    """A text question under another one."""
    texts = {it: WHY[it] for it in questions.languages if it in WHY}
    fresh = Question(key, TEXT, texts, after=after)
    return arranged(replace(questions, questions=(*questions.questions, fresh)))


def remove(questions: Questions, key: str) -> Questions:
    """Without a question and those that follow it up; the core ones stay."""
    kept = (q for q in questions.questions if q.key in CORE or key not in (q.key, q.after))
    return replace(questions, questions=tuple(kept))


def up(questions: Questions, key: str) -> Questions:
    """A question before the one above it, never before the core ones."""
    roots = [q for q in questions.questions if not q.after]
    at = next((n for n, q in enumerate(roots) if q.key == key), 0)
    if at > len(CORE):
        roots[at - 1], roots[at] = roots[at], roots[at - 1]
    followers = [q for q in questions.questions if q.after]
    return arranged(replace(questions, questions=(*roots, *followers)))


def arranged(questions: Questions) -> Questions:
    """Each follow-up right under its question; those of a question that is gone go, too."""
    rows: list[Question] = []
    for root in questions.questions:
        if not root.after:
            rows += [root, *(q for q in questions.questions if q.after == root.key)]
    return replace(questions, questions=tuple(rows))


def add_option(questions: Questions, key: str, option: str) -> Questions:
    """One more thing to choose."""
    return _with(questions, key, lambda q: replace(q, options=(*q.options, Option(option, {}))))


def drop_option(questions: Questions, key: str, option: str) -> Questions:
    """One thing less to choose."""
    return _with(
        questions,
        key,
        lambda q: replace(q, options=tuple(it for it in q.options if it.key != option)),
    )


def _with(questions: Questions, key: str, change: Callable[[Question], Question]) -> Questions:
    rows = tuple(change(q) if q.key == key else q for q in questions.questions)
    return replace(questions, questions=rows)


def speak(questions: Questions, language: str) -> Questions:
    """One more language; the ready questions know some by themselves."""
    if language in questions.ends:
        return questions
    rows = tuple(_in_more(q, language) for q in questions.questions)
    return replace(questions, ends={**questions.ends, language: ("", "")}, questions=rows)


def _in_more(question: Question, language: str) -> Question:
    ready = DRIVERS.get(question.key, {}) if question.driver else {}
    if question.after and question.texts.get(ENGLISH) == WHY[ENGLISH]:
        ready = WHY
    same = ready.get(ENGLISH) == question.texts.get(ENGLISH)
    if language not in ready or not same:
        return question
    return replace(question, texts={**question.texts, language: ready[language]})


def silence(questions: Questions, language: str) -> Questions:
    """Without a language; English stays."""
    if language == ENGLISH:
        return questions
    ends = {it: pair for it, pair in questions.ends.items() if it != language}
    rows = tuple(_without(q, language) for q in questions.questions)
    return replace(questions, ends=ends, questions=rows)


def _without(question: Question, language: str) -> Question:
    def left(texts: Mapping[str, str]) -> dict[str, str]:
        return {it: text for it, text in texts.items() if it != language}

    options = tuple(replace(it, texts=left(it.texts)) for it in question.options)
    return replace(question, texts=left(question.texts), options=options)


def faults(questions: Questions) -> list[Fault]:
    """What must be mended; nothing when it can be asked."""
    found: list[Fault] = []
    if len(questions.questions) > MAX_QUESTIONS:
        found.append(Fault("many"))
    for language, (low, high) in questions.ends.items():
        if not low or not high:
            found.append(Fault("ends", language=language))
    for number, row in enumerate(questions.questions, 1):
        found += _faults(row, number, questions.languages)
    return found


def _faults(row: Question, number: int, languages: Sequence[str]) -> list[Fault]:
    # The core questions are asked in every language: else half of a page would be English.
    needed = languages if row.key in CORE else (ENGLISH,)
    found = [Fault("words", number, it) for it in needed if not row.texts.get(it)]
    texts = [*row.texts.values(), *(text for it in row.options for text in it.texts.values())]
    if any(len(text) > MAX_TEXT for text in texts):
        found.append(Fault("long", number))
    if row.kind == CHOICE and not 2 <= len(row.options) <= MAX_OPTIONS:
        found.append(Fault("options", number))
    if any(not it.texts.get(ENGLISH) for it in row.options):
        found.append(Fault("option_words", number, ENGLISH))
    return found
