"""Questionnaires: what is read, what speaks which language, and what may be compared."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from surveys.definitions import STANDARD
from surveys.questions import Questions, changes, core_hash, said

FIRST = Questions.parse(STANDARD)


def edited(change: Any, base: Questions = FIRST) -> Questions:
    """A version in which `change` mended the body."""
    body = copy.deepcopy(base.body)
    change(body)
    return Questions.parse(body)


def french(body: dict[str, Any], company: str = "Êtes-vous satisfait de {company} ?") -> None:
    """Speak French, too."""
    body["ends"]["fr"] = ["pas du tout", "tout à fait"]
    body["questions"][0]["texts"]["fr"] = company
    body["questions"][1]["texts"]["fr"] = "Et de ce portail ?"


def reworded(language: str, question: int = 0) -> Any:
    """Change a word of a core question in a language."""

    def change(body: dict[str, Any]) -> None:
        body["questions"][question]["texts"][language] += " Really?"

    return change


MARGIN = {"key": "margin", "kind": "scale", "texts": {"en": "And the margin?"}, "driver": True}
WHY = {"key": "why", "kind": "text", "texts": {"en": "Why?"}, "after": "margin"}
WAYS: dict[str, Any] = {
    "key": "ways", "kind": "choice", "texts": {"en": "How?"}, "pick": 2,
    "options": [{"key": "a", "texts": {"en": "By mail"}}, {"key": "b", "texts": {"en": "By car"}}],
}  # fmt: skip


def test_what_is_read_is_written_again_as_it_was() -> None:
    assert Questions.parse(FIRST.body) == FIRST
    more = edited(lambda body: body["questions"].extend([MARGIN, WHY, WAYS]))
    assert Questions.parse(more.body) == more
    assert more.keys == ("company", "experience", "margin", "why", "ways")
    assert more.get("why").after == "margin"
    assert more.get("ways").pick == 2


def test_a_reader_gets_their_language_or_english() -> None:
    text = FIRST.questions[0].texts
    assert said(text, "de-AT", "Nordwerk").endswith("mit Nordwerk?")
    assert said(text, "fi", "Nordwerk") == "How satisfied are you with working with Nordwerk?"
    assert FIRST.ends_in("de") == ("überhaupt nicht zufrieden", "sehr zufrieden")
    assert FIRST.ends_in("nl") == ("not at all satisfied", "very satisfied")
    assert edited(french).languages == ("en", "de", "fr")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["questions"].pop(0),
        lambda body: body["questions"].reverse(),
        lambda body: body["questions"][0].update(required=False),
        lambda body: body["questions"][0]["texts"].pop("en"),
        lambda body: body["ends"].pop("en"),
        lambda body: body.pop("ends"),
        lambda body: body["questions"].append({**MARGIN, "kind": "stars"}),
        lambda body: body["questions"].extend([MARGIN, MARGIN]),
        lambda body: body["questions"].extend([WHY, MARGIN]),
        lambda body: body["questions"].append({**WAYS, "options": WAYS["options"][:1]}),
        lambda body: body["questions"].append({**WAYS, "pick": 3}),
        lambda body: body["questions"].extend({**MARGIN, "key": f"m{n}"} for n in range(11)),
    ],
)
def test_what_no_page_could_ask_is_no_questionnaire(spoil: Any) -> None:
    with pytest.raises(ValueError, match=r"question|the |needs|is of|follows"):
        edited(spoil)


def test_an_added_language_keeps_comparability_and_a_changed_word_of_any_language_ends_it() -> None:
    first = core_hash(FIRST)
    known = [(first, FIRST)]
    assert core_hash(edited(french), first, known) == first
    assert core_hash(edited(lambda body: body["questions"].append(MARGIN)), first, known) == first
    for change in (
        reworded("en"),
        reworded("de", 1),
        lambda body: body["ends"]["de"].__setitem__(1, "ganz zufrieden"),
    ):
        assert core_hash(edited(change), first, known) != first


def test_going_back_to_the_old_words_makes_it_comparable_again() -> None:
    first, other = core_hash(FIRST), edited(reworded("en"))
    second = core_hash(other, first, [(first, FIRST)])
    assert core_hash(FIRST, second, [(first, FIRST), (second, other)]) == first


def test_no_detour_over_a_dropped_language_hides_a_changed_word() -> None:
    first = core_hash(FIRST)
    spoken = edited(french)
    known = [(first, FIRST), (first, spoken)]
    dropped = core_hash(FIRST, first, known)
    assert dropped == first
    otherwise = edited(lambda body: french(body, "Êtes-vous content de {company} ?"))
    assert core_hash(otherwise, dropped, known) != first


def test_what_changed_is_said_by_language_and_question() -> None:
    after = edited(reworded("de"), edited(french))
    after = edited(lambda body: body["questions"].append(MARGIN), after)
    found = changes(FIRST, after)
    assert found.added_languages == ("fr",)
    assert found.core == (("company", "de"),)
    assert found.added == ("margin",)
    assert changes(after, FIRST).removed_languages == ("fr",)
    assert changes(after, FIRST).removed == ("margin",)
    assert not changes(FIRST, Questions.parse(FIRST.body))
