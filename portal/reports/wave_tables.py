"""The tables about one wave: what was answered, part by part, and what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import url_for
from flask_babel import gettext as _

from portal.formatting import sort_key
from portal.reports.wave_answerers import nonresponse, outcomes
from portal.reports.wave_shown import KINDS, Shown, hidden, in_people, reach
from portal.tables import Column, Table
from surveys import comments
from surveys.comments import Comment
from surveys.figures import SCALE, SEVERAL, Choice, Figure
from surveys.questions import CHOICE, CORE, Question, said
from surveys.questions import SCALE as SCALE_KIND
from surveys.wording import language_name

# --- what was answered ----------------------------------------------------------------------------


def questions(shown: Shown) -> Table:
    """Every question of the scale: the two that are always asked, then the drivers."""
    rows = [
        _question_row(shown, question)
        for question in shown.questions
        if question.kind == SCALE_KIND
    ]
    columns = [
        Column("question", _("Question")),
        Column("mean", _("Mean"), "mean", about="mean_of_partners"),
        Column("interval", _("Interval"), "figure", about="satisfaction_interval"),
        Column("partners", _("Partners"), "figure", True, "answered_partners"),
        Column("people", _("People"), "figure", True, "answered_people"),
        Column("high", _("9 or 10"), "figure", about="share_high"),
        Column("low", _("1 to 4"), "figure", about="share_low"),
        Column("cannot_say", _("Cannot say"), "figure", True),
    ]
    return Table("questions", _("Questions"), columns, rows, _("Nothing is asked on the scale."))


def _question_row(shown: Shown, question: Question) -> dict[str, Any]:
    figure = shown.results.figure(question.key, shown.choice)
    row: dict[str, Any] = {"question": shown.text(question)}
    if figure is None:
        return {**row, "mean": None, "interval": hidden()}
    row |= {
        "mean": figure.mean.value,
        "interval": reach(figure.mean),
        "partners": str(figure.partners),
        "people": str(figure.people),
    }
    if shown.results.shows_people(question.key, shown.choice):
        row |= {"high": in_people(figure.high), "low": in_people(figure.low)}
    said_nothing = shown.results.without_answer(question.key, shown.choice)
    return {**row, "cannot_say": None if said_nothing is None else str(said_nothing)}


def distribution(shown: Shown) -> Table:
    """How many people chose each number, for the two core questions."""
    figures = {
        key: figure
        for key in CORE
        if (figure := shown.results.figure(key, shown.choice)) is not None
        and shown.results.shows_people(key, shown.choice)
    }
    rows = [
        {"score": str(score), **{key: one.distribution[score] for key, one in figures.items()}}
        for score in reversed(SCALE)
        if figures
    ]
    columns = [
        Column("score", _("Score")),
        Column("company", _("The company"), "number", about="distribution"),
        Column("experience", _("The partner experience"), "number", about="distribution"),
    ]
    return Table("distribution", _("Distribution"), columns, rows, why(shown), _("People"))


def choices(shown: Shown) -> Table:
    """What people picked, for questions with options."""
    rows = []
    for question in shown.questions:
        picked = shown.results.picked(question.key, shown.choice)
        if question.kind != CHOICE or picked is None:
            continue
        rows += [
            {
                "question": shown.text(question),
                "option": said(option.texts, "en", shown.company),
                "people": (picked.options.get(option.key, 0), picked.people),
            }
            for option in question.options
        ]
    columns = [
        Column("question", _("Question")),
        Column("option", _("Chosen")),
        Column("people", _("People"), "of", about="picked"),
    ]
    return Table("choices", _("What they chose"), columns, rows, why(shown))


def why(shown: Shown) -> str:
    """Why there is nothing to see."""
    if shown.results.waits:
        return _("Shown when the wave has closed: until then each new answer would stand out.")
    if shown.results.is_protected:
        return _("Not shown, so that no single answer can be worked out from it.")
    return _("Nobody has answered yet.")


# --- part by part ---------------------------------------------------------------------------------


def parts(shown: Shown) -> Table:
    """By tier, region and language, and by product family where that is shown."""
    rows = []
    for name in ("tier", "region", "locale"):
        for value, choice in shown.results.parts(name, shown.choice):
            rows.append(_part(shown, str(KINDS[name]), in_words(name, value), choice))
    for key, family, members in shown.families:
        if shown.choice.family in ("", key):
            choice = replace(shown.choice, family=key, partners=members)
            row = _part(shown, str(KINDS["family"]), family, choice)
            rows.append({**row, "about": "answers_of_family"})
    columns = [
        Column("kind", _("By")),
        Column("part", _("Part")),
        Column("partners", _("Partners"), "figure", about="answered_partners"),
        Column("people", _("People"), "figure", about="answered_people"),
        Column("company", _("The company"), "mean"),
        Column("company_interval", _("Interval"), "figure", True, "satisfaction_interval"),
        Column("experience", _("The partner experience"), "mean"),
        Column("experience_interval", _("Interval"), "figure", True, "satisfaction_interval"),
    ]
    note = (
        _("Tier and region as they were when the wave opened; families by the deals so far.")
        if shown.families
        else _("Tier and region as they were when the wave opened.")
    )
    return Table("parts", _("Part by part"), columns, rows, why(shown), note)


def in_words(grouping: str, value: str) -> str:
    """A tier, region or language as it is shown."""
    if grouping == "locale":
        return _("several") if value == SEVERAL else language_name(value)
    return value or _("None")


def _part(shown: Shown, kind: str, value: str, choice: Choice) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "part": value}
    found: list[Figure] = []
    for key in CORE:
        figure = shown.results.figure(key, choice)
        if figure is None:
            row |= {key: None, f"{key}_interval": hidden()}
        else:
            row |= {key: figure.mean.value, f"{key}_interval": reach(figure.mean)}
            found.append(figure)
    if len(found) == len(CORE):
        row |= {"partners": str(found[0].partners), "people": str(found[0].people)}
    else:
        row |= {"partners": hidden(), "people": hidden()}
    return row


def partners(shown: Shown) -> Table:
    """Every partner that was asked, the least satisfied first; of a protected wave those of whom
    enough people answered."""
    rows = []
    for one in shown.asked:
        figures = {key: shown.results.of_partner(key, one.partner) for key in CORE}
        if shown.results.is_protected and not any(figures.values()):
            continue
        rows.append(
            {
                "partner": shown.names.get(one.partner, "–"),
                "tier": one.tier,
                "region": one.region,
                "people": (one.answered, one.invited),
                "href": url_for("reports.partner", partner_id=one.partner),
                **{key: figure.mean.value if figure else None for key, figure in figures.items()},
            }
        )
    rows.sort(key=lambda row: (_worst(row), sort_key(str(row["partner"]))))
    columns = [
        Column("partner", _("Partner")),
        Column("tier", _("Tier"), wide=True),
        Column("region", _("Region"), wide=True),
        Column("people", _("People"), "of", about="answered_people"),
        Column("company", _("The company"), "mean"),
        Column("experience", _("The partner experience"), "mean"),
    ]
    empty = why(shown) if shown.results.is_protected else _("Nobody was invited.")
    return Table("partners", _("Partners"), columns, rows, empty)


def _worst(row: dict[str, Any]) -> float:
    return min((row[key] for key in CORE if row[key] is not None), default=11.0)


# --- what was written -----------------------------------------------------------------------------


def written(shown: Shown, words: str) -> list[Comment]:
    """What people wrote, as far as it is shown."""
    return comments.found(shown.session, shown.wave, shown.choice, words) or []


def comment_table(shown: Shown, words: str) -> Table:
    """The same for a file."""
    texts = {question.key: shown.text(question) for question in shown.questions}
    names = [("text", _("Comment")), ("question", _("Question"))]
    if not shown.results.is_protected:
        names += [
            ("person", _("Person")),
            ("partner", _("Partner")),
            ("company", _("The company")),
            ("experience", _("The partner experience")),
        ]
    rows = [{**vars(row), "question": texts.get(row.question, "")} for row in written(shown, words)]
    return Table(
        "comments", _("Comments"), [Column(*name) for name in names], rows, _("No comments.")
    )


TABLES: dict[str, Callable[[Shown], Table]] = {
    "questions": questions,
    "distribution": distribution,
    "choices": choices,
    "parts": parts,
    "partners": partners,
    "invitations": outcomes,
    "nonresponse": nonresponse,
}
