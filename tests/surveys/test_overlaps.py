"""Waves of several surveys that overlap: every route compares the same ones."""

from __future__ import annotations

import json
from itertools import combinations
from random import Random

import pytest
from flask import Flask

from portal.db import db
from surveys import history
from surveys.models import Mode, Wave
from tests.conftest import Browse
from tests.pages import text_of
from tests.people import anna
from tests.reports.test_reports import rows
from tests.surveys.crowds import People, make_wave, singles
from tests.test_commands import command

Pair = frozenset[str]


def wave(people: People, numbers: range, back: int, days: int) -> Wave:
    """A confidential wave of a survey of its own that these partners answered."""
    scores = {f"No {one}": [one % 10 + 1] for one in numbers}
    return make_wave(
        people, scores, Mode.confidential, back, days=days, minimum=3, name=f"Survey {back}"
    )


def on_pages(browse: Browse, waves: list[Wave]) -> set[Pair]:
    """The pairs of which a wave's page prints a change."""
    manager, past = browse(anna()), history.load(db.session())
    found = set()
    for one in waves:
        now = past.get(one.id)
        assert now is not None
        before = past.before(now)
        page = text_of(manager.get(f"/surveys/waves/{one.id}"))
        if before is not None and "partners that answered both" in page:
            found.add(frozenset((str(before.wave_id), str(one.id))))
    return found


def on_the_trend(browse: Browse, waves: list[Wave]) -> set[Pair]:
    """The pairs that the page over all waves compares, in its file."""
    manager = browse(anna())
    return {
        frozenset((str(one.id), str(other.id)))
        for one, other in combinations(waves, 2)
        if rows(
            manager.get(f"/reports/satisfaction/trend/change.csv?before={one.id}&after={other.id}")
        )
    }


def for_programs(app: Flask, monkeypatch: pytest.MonkeyPatch, waves: list[Wave]) -> set[Pair]:
    """The pairs that the command compares."""
    asked = [
        part
        for one, other in combinations(waves, 2)
        for part in ("--between", str(one.id), str(other.id))
    ]
    answer = json.loads(command(app, monkeypatch, "report", "satisfaction", "--json", *asked))
    return {
        frozenset((pair["before"], pair["after"]))
        for pair in answer["paired"]
        if "change" in pair["company"]
    }


def test_a_wave_that_opened_later_and_closed_earlier_counts_on_every_page(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = singles(9)
    first = wave(people, range(1, 10), back=200, days=5)
    long = wave(people, range(1, 6), back=110, days=14)
    short = wave(people, range(1, 7), back=105, days=3)
    waves = [first, long, short]
    # From the change of six partners and that of five of them the sixth one's would follow.
    allowed = {frozenset((str(first.id), str(short.id)))}
    assert on_the_trend(browse, waves) == allowed
    assert for_programs(app, monkeypatch, waves) == allowed
    assert on_pages(browse, [long]) == set()
    assert history.TOO_FEW in text_of(browse(anna()).get(f"/surveys/waves/{long.id}"))


@pytest.mark.parametrize("seed", range(3))
def test_every_route_compares_the_same_waves_however_they_overlap(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    people = singles(9)
    waves = [
        wave(people, range(random.randint(1, 3), random.randint(6, 9)), back, random.randint(2, 40))
        for back in random.sample(range(41, 120), 5)
    ]
    trend = on_the_trend(browse, waves)
    assert trend
    assert for_programs(app, monkeypatch, waves) == trend
    past = history.load(db.session())
    shown = {
        frozenset((str(before.wave_id), str(one.wave_id)))
        for one in past.rounds
        if (before := past.before(one)) is not None
    }
    assert on_pages(browse, waves) == trend & shown
