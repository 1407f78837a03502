"""What the demo's people answer: scores that rise after the rollout, reasons, and a few words."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from surveys import drafts
from surveys.questions import CHOICE, COMPANY, EXPERIENCE, TEXT, Option, Question, Questions

COMMENTS = {
    "low": ["Finding the right price list takes too long.", "I had to ask twice for a drawing.",
            "Quotes take too long."],
    "middle": ["Good products, slow paperwork.", "More in my language, please."],
    "high": ["Fast answers, thank you.", "Registration takes a minute now.",
             "The links for customers are great."],
}  # fmt: skip
# What people say when they are asked why they scored the partner experience as they did.
REASONS = {
    "low": ["I never know whether my registration was seen.", "The search finds old price lists.",
            "Drawings come by mail after a week."],
    "middle": ["Most things are there, the ATEX certificate is not.",
               "Good on a laptop, I miss a list for the phone.",
               "Better than before, still too many clicks to a data sheet."],
    "high": ["I see what my customer read before I call.", "An answer within two days, every time.",
             "Everything is in one place."],
}  # fmt: skip
# The reasons of satisfaction that are asked, and how far each lies from the partner experience.
DRIVERS = {"content": -0.3, "support": -1.2, "deal_registration": 0.2}
# What could come first, in two languages, and how many wish for it.
WISHES = {
    "quotes": (9, "Faster quotes", "Schnellere Angebote"),
    "language": (5, "More in my language", "Mehr in meiner Sprache"),
    "search": (4, "A better search", "Eine bessere Suche"),
    "parts": (4, "Spare parts online", "Ersatzteile online"),
    "training": (3, "More training", "Mehr Schulungen"),
}

EMPTY: dict[str, Any] = {"value": None, "choices": [], "text": "", "missing": None}


def scores(rng: random.Random, after: bool, mood: float) -> dict[str, int]:
    """The two core questions."""
    return {
        COMPANY: _score(rng, 7.2 + 0.15 * after + mood),
        EXPERIENCE: _score(rng, 6.6 + 0.8 * after + mood),
    }


def _score(rng: random.Random, mean: float, spread: float = 1.1) -> int:
    return min(10, max(1, round(rng.gauss(mean, spread))))


def comment(rng: random.Random, score: int) -> str:
    """What stands below the questions: of most people nothing."""
    return _words(rng, COMMENTS, score, 0.18)


def _words(rng: random.Random, words: dict[str, list[str]], score: int, share: float) -> str:
    if rng.random() > share:
        return ""
    return rng.choice(words["low" if score < 6 else "middle" if score < 8 else "high"])


def questions(before: Questions) -> Questions:
    """The standard questions and why, three usual reasons, and what should come first."""
    found = drafts.follow(before, EXPERIENCE, "why")
    for name in DRIVERS:
        found = drafts.add_driver(found, name)
    options = tuple(Option(key, {"en": en, "de": de}) for key, (_n, en, de) in WISHES.items())
    texts = {"en": "What should we do first?", "de": "Was sollten wir zuerst tun?"}
    first = Question("first", CHOICE, texts, pick=2, options=options)
    return Questions(found.ends, (*found.questions, first))


def core(given: dict[str, int]) -> list[dict[str, Any]]:
    """The rows of the core questions."""
    return [EMPTY | {"question": question, "value": score} for question, score in given.items()]


def further(rng: random.Random, asked: Iterable[Question], experience: int) -> list[dict[str, Any]]:
    """The answers to what is asked besides the core; not everyone answers all."""
    found = [
        EMPTY | {"question": question.key} | _answer(rng, question, experience)
        for question in asked
        if rng.random() > 0.15
    ]
    return [row for row in found if row["value"] or row["choices"] or row["text"] or row["missing"]]


def _answer(rng: random.Random, question: Question, experience: int) -> dict[str, Any]:
    if question.kind == TEXT:
        return {"text": _words(rng, REASONS, experience, 0.35)}
    if question.kind == CHOICE:
        weights = [n for n, _en, _de in WISHES.values()]
        chosen = set(rng.choices(list(WISHES), weights, k=rng.choice((1, 2, 2))))
        return {"choices": [key for key in WISHES if key in chosen]}
    if rng.random() < 0.06:
        return {"missing": "cannot_say"}
    return {"value": _score(rng, experience + DRIVERS[question.key], 1.3)}
