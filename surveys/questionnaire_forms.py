"""A questionnaire as the page sends it, and what is said of it in sentences.

The page holds all that was typed, and every button sends all of it: nothing is lost on the way,
with or without script.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from babel import Locale, UnknownLocaleError
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict

from portal.db import new_id
from surveys import drafts
from surveys.drafts import Fault
from surveys.questions import (
    CHOICE,
    CORE,
    ENGLISH,
    KINDS,
    MAX_OPTIONS,
    MAX_QUESTIONS,
    MAX_TEXT,
    SCALE,
    TEXT,
    Option,
    Question,
    Questions,
    Texts,
    changes,
)

LANGUAGES = ("en", "de", "fr", "nl", "fi", "it", "es", "pt", "pl", "cs", "sv", "da", "nb")
# More than may be asked, so that whoever adds too many can still choose which to leave out.
MOST = MAX_QUESTIONS + 4

KIND_NAMES = {
    SCALE: _l("From 1 to 10"),
    TEXT: _l("A text"),
    CHOICE: _l("One or two of several"),
}
DRIVER_NAMES = {
    "content": _l("Sales content"),
    "support": _l("Support"),
    "margin": _l("Margin"),
    "deal_registration": _l("Deal registration"),
    "training": _l("Training"),
}

Form = MultiDict[str, str]


def language_name(language: str) -> str:
    """A language in the words of the reader."""
    try:
        name = Locale.parse(language, sep="-").get_display_name(get_locale() or "en")
    except (UnknownLocaleError, ValueError):
        return language
    return name or language


def new_key() -> str:
    """The key of a new question or option: answers are kept under it, so none comes twice."""
    return f"q{new_id().hex[-10:]}"


def read(form: Form, base: Questions, *, core_words: bool) -> Questions:
    """What the page sent. Without `core_words` the core questions and the ends of the scale keep
    the words they have."""
    languages = [it for it in form.getlist("language") if it in LANGUAGES or it in base.ends]
    languages = list(dict.fromkeys([ENGLISH, *languages]))
    ends = {it: (_text(form, f"low:{it}"), _text(form, f"high:{it}")) for it in languages}
    keys = dict.fromkeys([*CORE, *form.getlist("question")])
    rows = tuple(_question(form, key, languages) for key in list(keys)[:MOST])
    found = Questions(ends, rows)
    return found if core_words else _with_words_of(found, base)


def _text(form: Form, name: str) -> str:
    # A field cannot hold a zero byte; a text longer than allowed is shown again, to be shortened.
    return form.get(name, "").replace("\0", "").strip()[: MAX_TEXT * 4]


def _texts(form: Form, name: str, languages: Iterable[str]) -> dict[str, str]:
    found = {it: _text(form, f"text:{name}:{it}") for it in languages}
    return {it: text for it, text in found.items() if text}


def _question(form: Form, key: str, languages: list[str]) -> Question:
    texts = _texts(form, key, languages)
    if key in CORE:
        return Question(key, SCALE, texts, required=True)
    kind = form.get(f"kind:{key}", "")
    kind = kind if kind in KINDS else SCALE
    options = dict.fromkeys(form.getlist(f"option:{key}")) if kind == CHOICE else {}
    return Question(
        key=key[:40],
        kind=kind,
        texts=texts,
        required=f"required:{key}" in form,
        driver=key in drafts.DRIVERS,
        after=form.get(f"after:{key}", "")[:40] if kind == TEXT else "",
        pick=(2 if form.get(f"pick:{key}") == "2" else 1) if kind == CHOICE else 0,
        options=tuple(
            Option(it[:40], _texts(form, f"{key}.{it}", languages))
            for it in list(options)[: MAX_OPTIONS + 2]
        ),
    )


def _with_words_of(found: Questions, base: Questions) -> Questions:
    def old(now: Texts, then: Texts) -> dict[str, str]:
        return {**now, **{it: text for it, text in then.items() if it in found.ends}}

    rows = tuple(
        replace(row, texts=old(row.texts, base.get(row.key).texts)) if row.key in CORE else row
        for row in found.questions
    )
    ends = {**found.ends, **{it: pair for it, pair in base.ends.items() if it in found.ends}}
    return Questions(ends, rows)


def act(questions: Questions, action: str, language: str) -> Questions:
    """What a button does; an unknown one does nothing. `language` is the one chosen to be added."""
    name, _colon, rest = action.partition(":")
    key, _colon, option = rest.partition(":")
    if name == "speak" and language in LANGUAGES:
        return drafts.speak(questions, language)
    if name == "silence":
        return drafts.silence(questions, key)
    if name == "remove":
        return drafts.remove(questions, key)
    if name == "up":
        return drafts.up(questions, key)
    if name == "option":
        return drafts.add_option(questions, key, new_key())
    if name == "drop":
        return drafts.drop_option(questions, key, option)
    if len(questions.questions) >= MOST:
        return questions
    if name == "follow" and key in questions.keys:
        return drafts.follow(questions, key, new_key())
    if name == "add" and key in KINDS:
        return drafts.add(questions, key, new_key(), [new_key(), new_key()])
    return drafts.add_driver(questions, key) if name == "driver" else questions


def fault_sentence(fault: Fault) -> str:
    """What must be mended, in a sentence."""
    language = language_name(fault.language) if fault.language else ""
    sentences = {
        "many": _("Ask %(n)s questions at most. Take some out.", n=MAX_QUESTIONS),
        "ends": _("Say what 1 and 10 mean in %(language)s.", language=language),
        "words": _(
            "Question %(n)s has no words in %(language)s.", n=fault.question, language=language
        ),
        "long": _(
            "A text of question %(n)s is too long: use %(most)s characters at most.",
            n=fault.question, most=MAX_TEXT,
        ),
        "options": _(
            "Question %(n)s needs from 2 to %(most)s options.", n=fault.question, most=MAX_OPTIONS
        ),
        "option_words": _("An option of question %(n)s has no English words.", n=fault.question),
    }  # fmt: skip
    return sentences[fault.code]


def change_sentences(before: Questions, after: Questions) -> list[str]:
    """What a version changes of the one that it was made from."""
    found = changes(before, after)
    words = {
        "company": _("the question about the company"),
        "experience": _("the question about the partner experience"),
        "low": _("what 1 means"),
        "high": _("what 10 means"),
    }
    sentences = [
        _("Adds %(language)s.", language=language_name(it)) for it in found.added_languages
    ]
    sentences += [
        _("No longer speaks %(language)s: those readers get English.", language=language_name(it))
        for it in found.removed_languages
    ]
    sentences += [
        _("Changes the words of %(what)s in %(language)s.",
          what=words[what], language=language_name(language))
        for what, language in found.core
    ]  # fmt: skip
    for keys, of, sentence in (
        (found.added, after, _l("Adds “%(text)s”")),
        (found.removed, before, _l("Leaves out “%(text)s”")),
        (found.changed, after, _l("Changes “%(text)s”")),
    ):
        # Without words yet, it is only seen to be there.
        texts = (of.get(key).texts.get(ENGLISH) or "…" for key in keys)
        sentences += [str(sentence) % {"text": text} for text in texts]
    return sentences
