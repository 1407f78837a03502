"""The page of a wave: how satisfied, and whom to call. It stands here and not with the surveys,
because it says beside the answers what partners read, sell, and were given."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from flask import Response, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.service import company, zone
from portal.db import db
from portal.errors import NotFound
from portal.formatting import day
from portal.means import Mean
from portal.reports import rollouts, wave_shown, wave_tables
from portal.reports.wave_shown import Shown
from portal.tables import Table, csv_response
from surveys import history, results
from surveys.figures import GROUPINGS, Choice
from surveys.history import History, Round
from surveys.models import OPEN, Mode, Wave
from surveys.questions import COMPANY, CORE, EXPERIENCE
from surveys.views import bp

# So many partners and comments at first, those to be called first; the rest on demand.
FIRST = 12


@dataclass(frozen=True)
class Card:
    """One of the two means with what is known of it, and how it changed."""

    about: str
    name: str
    mean: Mean | None
    interval: str
    people: int
    change: str


def _wave(wave_id: uuid.UUID) -> Wave:
    query = select(Wave).options(joinedload(Wave.survey), joinedload(Wave.questionnaire))
    wave = db.session.scalars(query.where(Wave.id == wave_id, Wave.state == OPEN)).one_or_none()
    if wave is None:
        raise NotFound(_("There is no such wave."))
    return wave


def _shown(wave_id: uuid.UUID) -> Shown:
    """The wave with what the address chooses of it."""
    wave, session = _wave(wave_id), db.session()
    tier, region, locale, family = (
        request.args.get(name, "")[:40] for name in (*GROUPINGS, "family")
    )
    choice = Choice(tier, region, locale, family)
    shown = Shown(session, wave, results.load(session, wave), choice, company(), zone())
    if not family:
        return shown
    members = {key: partners for key, _name, partners in shown.families}
    partners = members.get(family, frozenset())
    return replace(shown, choice=replace(choice, partners=partners))


@bp.get("/surveys/waves/<uuid:wave_id>", endpoint="results")
@vendor_only
def wave_page(wave_id: uuid.UUID) -> str:
    """How satisfied they are, and whom to call."""
    shown = _shown(wave_id)
    words = request.args.get("words", "")[:80]
    past = history.with_the_one_before(shown.session, shown.wave)
    now = past.get(wave_id)
    assert now is not None
    declared = rollouts.declared(shown.session)
    linked = next((one for one in declared if one.rollout.id == shown.wave.rollout_id), None)
    comments = wave_tables.written(shown, words)
    first = None if request.args.get("all") else FIRST
    tables = {name: make(shown) for name, make in wave_tables.TABLES.items()}
    tables["partners"] = tables["partners"].part(0, first)
    return render_template(
        "surveys/results.html",
        wave=shown.wave,
        shown=shown,
        round=now,
        cards=_cards(shown, past, now),
        choice=shown.choice,
        choices=_choices(shown),
        why=wave_tables.why(shown),
        tables=tables,
        most=_longest(tables["distribution"]),
        comments=comments[:first],
        n_comments=len(comments),
        question_texts=_asked(shown),
        words=words,
        rollouts=declared,
        linked=linked,
        overlap=_overlap(shown.wave, linked),
        is_attributed=shown.wave.mode == Mode.attributed,
        now=clock.now(),
        csv_of=lambda name: url_for("surveys.wave_csv", wave_id=wave_id, name=name),
    )


def _longest(distribution: Table) -> int:
    """How many people the longest bar is of."""
    return max((row.get(key, 0) for row in distribution.rows for key in CORE), default=0) or 1


def _asked(shown: Shown) -> dict[str, str]:
    """The words of each question; those of a follow-up with what it follows up."""
    texts = {one.key: shown.text(one) for one in shown.questions}
    after = {one.key: texts[one.after] for one in shown.questions if one.after in texts}
    return {key: f"{after[key]} {text}" if key in after else text for key, text in texts.items()}


def _cards(shown: Shown, past: History, now: Round) -> list[Card]:
    before = past.before(now)
    found = []
    for key, name in ((COMPANY, _("The company")), (EXPERIENCE, _("The partner experience"))):
        figure = shown.results.figure(key, shown.choice)
        interval = wave_shown.reach(figure.mean) if figure else ""
        change = _change(past, before, now, key) if not shown.choice.chosen else ""
        found.append(
            Card(
                key,
                name,
                figure.mean if figure else None,
                interval,
                figure.people if figure else 0,
                change,
            )
        )
    return found


def _change(past: History, before: Round | None, now: Round, question: str) -> str:
    if before is None:
        return _("the first wave")
    compared = past.compared(before, now, question)
    if compared.why_not:
        return _(compared.why_not)
    return _(
        "%(change)s (%(interval)s) since %(day)s, for the %(n)s partners that answered both times",
        day=day(clock.local_day(before.opened_at, zone())),
        change=wave_shown.signed(compared.change.value),
        interval=wave_shown.reach_of_change(compared.change),
        n=compared.change.n,
    )


def _choices(shown: Shown) -> dict[str, list[tuple[str, str]]]:
    found = {
        name: [
            (value, wave_tables.in_words(name, value))
            for value in shown.results.values(name)
            if value
        ]
        for name in GROUPINGS
    }
    found["family"] = [(key, name) for key, name, _partners in shown.families]
    return found


def _overlap(wave: Wave, linked: rollouts.Declared | None) -> str:
    if linked is None:
        return ""
    return rollouts.warning(linked, wave.rollout_side, wave.opened_at, wave.closes_at, zone())


@bp.get("/surveys/waves/<uuid:wave_id>/<name>.csv")
@vendor_only
def wave_csv(wave_id: uuid.UUID, name: str) -> Response:
    """One of the tables of the page as a file, of what was chosen."""
    shown = _shown(wave_id)
    if name == "comments":
        words = request.args.get("words", "")[:80]
        return csv_response(wave_tables.comment_table(shown, words))
    if name not in wave_tables.TABLES:
        raise NotFound(_("There is no such report."))
    return csv_response(wave_tables.TABLES[name](shown))
