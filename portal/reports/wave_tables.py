"""The tables about one wave: what was answered, by whom, and who said nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts import service as accounts
from portal.content import library
from portal.deals import metrics as deals
from portal.estimates import Share, difference
from portal.formatting import count, sort_key
from portal.means import Change, Mean
from portal.reports import disclosure
from portal.reports.periods import Period
from portal.tables import Column, Table
from surveys import comments, response_rates
from surveys.comments import Comment
from surveys.definitions import parsed
from surveys.figures import (
    ENOUGH,
    PAIRS,
    SCALE,
    SEVERAL,
    Choice,
    Figure,
    Interval,
    interval,
    judged,
)
from surveys.models import Wave
from surveys.questions import CHOICE, CORE, Question, said
from surveys.questions import SCALE as SCALE_KIND
from surveys.response_rates import Rates
from surveys.results import Results
from surveys.wording import language_name
from tracking import metrics as tracking

# Content activity before a wave opened, for so many days.
ACTIVITY = timedelta(days=90)

KINDS = {
    "tier": _l("Tier"),
    "region": _l("Region"),
    "locale": _l("Language"),
    "family": _l("Product family"),
}
ENDED = {
    response_rates.COMPLETE: _l("Answered in full"),
    response_rates.PARTIAL: _l("Answered in part"),
    response_rates.DECLINED: _l("Declined"),
    response_rates.OPTED_OUT: _l("Wants no more surveys"),
    response_rates.NOTHING: _l("Nothing came back"),
    response_rates.UNDELIVERABLE: _l("Mail could not be delivered"),
    response_rates.UNKNOWN: _l("Not known whether the mail arrived"),
    response_rates.LEFT: _l("Lost access before answering"),
}


@dataclass(frozen=True)
class Shown:
    """One wave and what was chosen of it."""

    session: Session
    wave: Wave
    results: Results
    choice: Choice
    company: str
    zone: ZoneInfo

    @cached_property
    def questions(self) -> list[Question]:
        """Its questions, in their order."""
        return list(parsed(self.wave.questionnaire).questions)

    def text(self, question: Question) -> str:
        """A question in English, as managers read it."""
        return said(question.texts, "en", self.company)

    @cached_property
    def families(self) -> list[tuple[str, str, frozenset[uuid.UUID]]]:
        """Product families and the partners with deals in them; none where answers are protected:
        whoever comes to a family later would stand alone in the change."""
        if self.results.is_protected:
            return []
        partners = deals.partners_of_families(self.session)
        return [
            (str(row.id), row.name, frozenset(partners[row.id]))
            for row in library.families(self.session)
            if row.id in partners
        ]

    @cached_property
    def asked(self) -> list[response_rates.Asked]:
        """Every partner that was asked."""
        return response_rates.partners(self.session, self.wave.id)

    @cached_property
    def rates(self) -> Rates:
        """What became of the invitations."""
        return response_rates.rates(self.session, self.wave)

    @cached_property
    def names(self) -> dict[uuid.UUID, str]:
        """Partners by name."""
        return {one.id: one.name for one in accounts.partner_facts(self.session)}


def between(found: Interval | None) -> str:
    """An interval in words."""
    if found is None:
        return "–"
    return _("%(low)s to %(high)s", low=f"{found[0]:.1f}", high=f"{found[1]:.1f}")


def reach(mean: Mean) -> str:
    """The interval of a mean of partners, or how many it takes to have one."""
    if mean.n and mean.n < ENOUGH:
        return needs_more(ENOUGH - mean.n)
    return between(interval(mean))


def needs_more(n: int) -> str:
    """How many partners are missing for an interval."""
    return count(n, "needs %(num)s more partner", "needs %(num)s more partners")


def signed(value: float | None) -> str:
    """A change with its sign."""
    return "–" if value is None else f"{value:+.1f}".replace("-", "\u2212")


def reach_of_change(change: Change) -> str:
    """The interval of a change."""
    found = judged(change).interval
    if found is None:
        return needs_more(PAIRS - change.n)
    return _("%(low)s to %(high)s", low=signed(found[0]), high=signed(found[1]))


def hidden() -> str:
    """Why a figure is not there."""
    return _("not shown")


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
        row |= {"high": _share(figure.high), "low": _share(figure.low)}
    return row


def _share(share: Share) -> str:
    """A share of people as counts, with its interval."""
    counts = _("%(part)s of %(whole)s", part=share.part, whole=share.whole)
    if share.interval is None or share.whole < ENOUGH:
        return counts
    low, high = (round(100 * one) for one in share.interval)
    return _("%(counts)s (%(low)s to %(high)s %%)", counts=counts, low=low, high=high)


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
    note = _("As it was when the wave opened.")
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


# --- who answered, and who did not ----------------------------------------------------------------


def outcomes(shown: Shown) -> Table:
    """What became of the invitations."""
    rows: list[dict[str, Any]] = [
        {"ended": str(ENDED[name]), "n": str(shown.rates.ended[name])}
        for name in response_rates.DISPOSITIONS
    ]
    rows += [
        {"ended": name, "n": _share(share), "about": about}
        for name, share, about in (
            (_("Response rate 1: in full, of all who could"), shown.rates.first, "response_rate_1"),
            (_("Response rate 2: in part, too"), shown.rates.second, "response_rate_2"),
            (_("Response rate of partners"), shown.rates.partners, "response_rate_partners"),
        )
    ]
    columns = [
        Column("ended", _("Invitations")),
        Column("n", _("How many"), "figure", about="dispositions"),
    ]
    left_out = sum(shown.wave.left_out.values())
    note = _("%(n)s people of the audience were not asked.", n=left_out) if left_out else ""
    title = _("What became of the invitations")
    return Table("invitations", title, columns, rows, _("Nobody was invited."), note)


def nonresponse(shown: Shown) -> Table:
    """Those who answered beside the rest: whether the means speak for everyone who was asked."""
    groups: list[tuple[str, str, set[uuid.UUID]]] = []
    for name in ("tier", "region"):
        values = sorted({getattr(one, name) for one in shown.asked})
        for value in values:
            members = {one.partner for one in shown.asked if getattr(one, name) == value}
            groups.append((str(KINDS[name]), value or _("None"), members))
    groups.append((_("Content"), _("active in the 90 days before"), _active(shown)))
    rows = []
    for kind, value, members in groups:
        answered, rest = response_rates.of_group(shown.asked, members)
        rows.append(
            {
                "kind": kind,
                "part": value,
                "answered": (answered.part, answered.whole),
                "rest": (rest.part, rest.whole),
                "difference": _points(answered, rest),
            }
        )
    columns = [
        Column("kind", _("By")),
        Column("part", _("Part")),
        Column("answered", _("Of the partners that answered"), "of", about="nonresponse"),
        Column("rest", _("Of the rest"), "of", about="nonresponse"),
        Column("difference", _("Difference"), "figure", True, "nonresponse"),
    ]
    return Table(
        "nonresponse",
        _("Do they speak for the rest?"),
        columns,
        rows if shown.asked else [],
        _("Nobody was invited."),
    )


def _points(one: Share, other: Share) -> str:
    edges = difference(one, other)
    if edges is None or min(one.whole, other.whole) < ENOUGH:
        return "–"
    low, high = (round(100 * edge) for edge in edges)
    middle = round(100 * ((one.value or 0) - (other.value or 0)))
    points = (f"{number:+d}".replace("-", "\u2212") for number in (middle, low, high))
    found = dict(zip(("middle", "low", "high"), points, strict=True))
    return _("%(middle)s points (%(low)s to %(high)s)", **found)


def _active(shown: Shown) -> set[uuid.UUID]:
    """Partners with a content activity in the 90 days before the wave. Where reading is not told
    by day, what they did on purpose only."""
    opened: date = clock.local_day(shown.wave.opened_at, shown.zone)
    period = Period(opened - ACTIVITY, opened, "days")
    asked = {one.partner for one in shown.asked}
    unread = set(disclosure.unsplit(shown.session, period))
    days = tracking.active_days(shown.session, period.since, period.until, asked)
    return {one.partner_id for one in days if one.on_purpose or one.partner_id not in unread}


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
