"""Satisfaction over all waves: the trend, the change of the same partners, who fell most."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.formatting import day, sort_key
from portal.means import Mean
from portal.reports import rollouts
from portal.reports.wave_shown import reach, reach_of_change, signed
from portal.tables import Column, Table
from surveys import response_rates
from surveys.figures import interval, judged
from surveys.history import History, Round
from surveys.models import Wave
from surveys.questions import COMPANY, CORE, EXPERIENCE

FELL = 10


def names() -> dict[str, str]:
    """The two questions that every wave asks."""
    return {COMPANY: _("The company"), EXPERIENCE: _("The partner experience")}


def wave_name(one: Round, zone: ZoneInfo) -> str:
    """A wave as it stands in a list: survey and day."""
    return f"{one.name}, {day(clock.local_day(one.opened_at, zone))}"


def trend_table(past: History, zone: ZoneInfo) -> Table:
    """Every wave with both means, the latest first."""
    rows, numbers = [], series(past.rounds)
    for one in reversed(past.rounds):
        row: dict[str, Any] = {
            "wave": wave_name(one, zone),
            "series": str(numbers[one.wave_id]),
            "partners": (one.partners_answered, one.partners_invited),
            "people": (one.people_answered, one.people_invited),
            "href": url_for("surveys.results", wave_id=one.wave_id),
        }
        for key in CORE:
            mean = one.mean(key)
            row |= {key: mean.value, f"{key}_interval": reach(mean) if mean.n else why(one)}
        rows.append(row)
    columns = [
        Column("wave", _("Wave")),
        Column("company", _("The company"), "mean"),
        Column("company_interval", _("Interval"), "figure", True, "satisfaction_interval"),
        Column("experience", _("The partner experience"), "mean"),
        Column("experience_interval", _("Interval"), "figure", True, "satisfaction_interval"),
        Column("partners", _("Partners"), "of", about="answered_partners"),
        Column("people", _("People"), "of", True, "answered_people"),
        Column("series", _("Series"), "figure", about="series"),
    ]
    note = _("Waves of one series may be compared.")
    return Table("trend", _("Waves"), columns, rows, _("No survey has been sent yet."), note)


def series(rounds: Sequence[Round]) -> dict[uuid.UUID, int]:
    """Which waves may be compared: those with the same number, counted from the first one on."""
    numbers: dict[tuple[str, bool], int] = {}
    return {
        one.wave_id: numbers.setdefault(one.terms, len(numbers) + 1)
        for one in sorted(rounds, key=lambda one: one.opened_at)
    }


def why(one: Round) -> str:
    """Why a wave has no mean."""
    if one.is_protected and one.is_open:
        return _("when closed")
    return _("not shown") if one.is_protected and one.people_answered else _("no answer yet")


def change_table(past: History, before: Round, after: Round) -> Table:
    """What changed for the partners that answered two waves."""
    rows: list[dict[str, Any]] = []
    empty = ""
    for key, name in names().items():
        found = past.compared(before, after, key)
        change, sure = found.change, judged(found.change)
        if found.why_not:
            empty = _(found.why_not)
            continue
        rows.append(
            {
                "question": name,
                "change": signed(change.value),
                "interval": reach_of_change(change),
                "partners": str(change.n),
                "p": _p(sure.p),
                "p_ranks": _p(sure.p_ranks),
                "seen": "–" if sure.would_be_seen is None else f"{sure.would_be_seen:.1f}",
            }
        )
    columns = [
        Column("question", _("Question")),
        Column("change", _("Change"), "figure", about="satisfaction_change"),
        Column("interval", _("Interval"), "figure", about="satisfaction_change"),
        Column("partners", _("Same partners"), "figure", about="satisfaction_change"),
        Column("p", _("p"), "figure", True, "satisfaction_p"),
        Column("p_ranks", _("p by ranks"), "figure", True, "satisfaction_p"),
        Column("seen", _("Would have been seen"), "figure", about="would_be_seen"),
    ]
    return Table("change", _("Change of the same partners"), columns, rows, empty)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return _("below 0.001") if value < 0.001 else f"{value:.3f}"


def fallen_table(
    past: History, before: Round, after: Round, partners: Mapping[uuid.UUID, str]
) -> Table:
    """The partners whose satisfaction with the partner experience fell most."""
    pairs = past.by_partner(before, after, EXPERIENCE)
    fell = sorted(
        ((then, now, key) for key, (then, now) in pairs.items() if now < then),
        key=lambda row: (row[1] - row[0], sort_key(partners.get(row[2], ""), row[2])),
    )
    rows = [
        {
            "partner": partners.get(key, "–"),
            "before": then,
            "after": now,
            "change": signed(now - then),
            "href": url_for("reports.partner", partner_id=key),
        }
        for then, now, key in fell[:FELL]
    ]
    columns = [
        Column("partner", _("Partner")),
        Column("before", _("Before"), "mean", True, "experience"),
        Column("after", _("After"), "mean", about="experience"),
        Column("change", _("Change"), "figure", about="experience"),
    ]
    return Table(
        "fell",
        _("Who fell most"),
        columns,
        rows,
        _("No partner that is shown by itself is less satisfied than before."),
    )


def partner_table(past: History, partner: uuid.UUID, zone: ZoneInfo) -> Table:
    """What one partner's people answered, wave by wave, where that may be shown."""
    rows = []
    for one in reversed(past.rounds):
        sums = {key: past.of_partner(one, key, partner) for key in CORE}
        if any(sums.values()):
            rows.append(
                {
                    "wave": wave_name(one, zone),
                    "people": str(max(n for _total, n in filter(None, sums.values()))),
                    **{key: own[0] / own[1] if own else None for key, own in sums.items()},
                    "href": url_for("surveys.results", wave_id=one.wave_id),
                }
            )
    columns = [
        Column("wave", _("Wave")),
        Column("company", _("The company"), "mean"),
        Column("experience", _("The partner experience"), "mean"),
        Column("people", _("People"), "figure", about="answered_people"),
    ]
    return Table(
        "satisfaction",
        _("Satisfaction"),
        columns,
        rows,
        _("Nobody answered, or too few in waves that show no single answer."),
    )


# --- for the chart --------------------------------------------------------------------------------


def points(rounds: Sequence[Round], zone: ZoneInfo) -> list[dict[str, object]]:
    """The means of waves with their intervals; a wave without answers has no point."""
    found: list[dict[str, object]] = []
    strands = _strands(rounds)
    for one in rounds:
        for key, name in names().items():
            mean = one.mean(key)
            if mean.value is None:
                continue
            point: dict[str, object] = {
                "week": clock.local_day(one.opened_at, zone).isoformat(),
                "n": round(mean.value, 2),
                "what": name,
                "line": strands[one.wave_id],
                "survey": one.name,
            }
            reached = interval(mean)
            if reached is not None:
                point |= {"low": round(reached[0], 2), "high": round(reached[1], 2)}
            found.append(point)
    return found


def _strands(rounds: Sequence[Round]) -> dict[uuid.UUID, str]:
    """The line of each wave: one for each survey, broken where its waves are not comparable."""
    found: dict[uuid.UUID, str] = {}
    ends: dict[uuid.UUID, tuple[tuple[str, bool], int]] = {}
    for one in rounds:
        terms, number = ends.get(one.survey_id, (one.terms, 1))
        ends[one.survey_id] = one.terms, number + (terms != one.terms)
        found[one.wave_id] = f"{one.survey_id} {ends[one.survey_id][1]}"
    return found


def lines(session: Session, rounds: Sequence[Round], zone: ZoneInfo) -> list[dict[str, str]]:
    """The rollouts since the first wave, for the chart."""
    if not rounds:
        return []
    since = clock.local_day(rounds[0].opened_at, zone)
    return [
        {"week": one.rollout.day.isoformat(), "name": one.rollout.name}
        for one in rollouts.declared(session)
        if one.rollout.day >= since
    ]


# --- for programs ---------------------------------------------------------------------------------


def as_json(
    session: Session, past: History, wanted: Sequence[Round], pairs: Sequence[tuple[Round, Round]]
) -> dict[str, Any]:
    """All figures of some waves as plain values, and the change between pairs of them."""
    return {
        "waves": [_wave(session, one) for one in wanted],
        "paired": [
            {
                "before": str(before.wave_id),
                "after": str(after.wave_id),
                **{key: _paired(past, before, after, key) for key in CORE},
            }
            for before, after in pairs
        ],
    }


def _wave(session: Session, one: Round) -> dict[str, Any]:
    rates = response_rates.rates(session, session.get_one(Wave, one.wave_id))
    return {
        "id": str(one.wave_id),
        "survey": one.name,
        "kind": one.kind,
        "opened": one.opened_at.isoformat(),
        "closes": one.closes_at.isoformat(),
        "open": one.is_open,
        "mode": one.mode,
        "core_hash": one.core_hash,
        "rollout": {"id": str(one.rollout_id), "side": one.rollout_side}
        if one.rollout_id
        else None,
        **{key: _mean(one.mean(key), one.people(key)) for key in CORE},
        "people": [one.people_answered, one.people_invited],
        "partners": [one.partners_answered, one.partners_invited],
        "response_rate_1": rates.first.value,
        "response_rate_2": rates.second.value,
        "response_rate_partners": rates.partners.value,
        "invitations": dict(rates.ended),
    }


def _mean(mean: Mean, people: int) -> dict[str, Any]:
    if not people:
        return {"mean": None, "interval": None, "people": None, "partners": None}
    return {
        "mean": mean.value,
        "interval": interval(mean),
        "people": people,
        "partners": mean.n,
    }


def _paired(past: History, before: Round, after: Round, question: str) -> dict[str, Any]:
    found = past.compared(before, after, question)
    change = found.change
    if found.why_not:
        return {"why_not": str(found.why_not)}
    return {
        "n": change.n,
        "change": change.value,
        **vars(judged(change)),
    }


def within(past: History, since: date | None, until: date | None, zone: ZoneInfo) -> list[Round]:
    """The waves that opened in these days, `until` not included."""
    return [
        one
        for one in past.rounds
        if (since is None or clock.local_day(one.opened_at, zone) >= since)
        and (until is None or clock.local_day(one.opened_at, zone) < until)
    ]
