"""Somebody reads every page, file and report about protected waves, and adds and subtracts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations, product
from random import Random
from typing import Any

import pytest
from flask import Flask

from portal.db import write
from surveys.figures import SEVERAL
from surveys.models import Answer, Mode, Response, Wave
from tests.conftest import Browse
from tests.factories import days_ago, make_partner, make_user
from tests.people import anna
from tests.reports.test_reports import rows
from tests.surveys.asking import MORE_QUESTIONS, make_survey
from tests.surveys.crowds import People, make_wave
from tests.surveys.test_suppression import Row, isolated
from tests.test_commands import command

WAVES = ("First", "Second")
KINDS = {"Tier": "tier", "Region": "region", "Language": "locale"}


class Attacker:
    """What is known of who answered, and everything that was read about what they answered."""

    def __init__(self) -> None:
        # Wave, partner, and where the partner belongs, for each person who answered.
        self.people: list[tuple[str, str, dict[str, str]]] = []
        self.rows: list[Row] = []

    def part(self, wave: str, **wanted: str) -> Row:
        """What a mean of partner means takes of each person."""
        sizes = Counter((name, partner) for name, partner, _facts in self.people)
        return tuple(
            Fraction(
                name == wave
                and all(one in ("", {**facts, "partner": partner}[k]) for k, one in wanted.items()),
                sizes[name, partner],
            )
            for name, partner, facts in self.people
        )

    def reads(self, wave: str, **wanted: str) -> None:
        """A mean of a part was shown."""
        self.rows.append(self.part(wave, **wanted))

    def counts(self, wave: str) -> None:
        """A share of all people of a wave was shown."""
        self.rows.append(tuple(Fraction(name == wave) for name, _partner, _facts in self.people))

    def compares(self, before: str, after: str) -> None:
        """A change of the partners that answered both was shown."""
        both = {one for wave, one, _ in self.people if wave == before}
        both &= {one for wave, one, _ in self.people if wave == after}
        sums = [[Fraction(0)] * len(self.people), [Fraction(0)] * len(self.people)]
        for total, wave in zip(sums, (before, after), strict=True):
            for partner in both:
                own = self.part(wave, partner=partner)
                total[:] = [a + b for a, b in zip(total, own, strict=True)]
        self.rows.append(tuple(b - a for a, b in zip(*sums, strict=True)))


def asked(random: Random, mode: str) -> tuple[Attacker, People, dict[str, Any]]:
    """Partners with a few people each, in tiers and regions as it happens, and two waves that
    overlap, in which some of them answered in this language or that."""
    attacker, waves = Attacker(), {}
    people = []
    for number in range(7):
        facts = {"tier": random.choice("AB"), "region": random.choice("NS")}
        partner = make_partner(f"No {number}", **facts)
        people.append((partner, [make_user(partner=partner) for _n in range(2)]))
    for name, back in zip(WAVES, (60, 57), strict=True):
        more = MORE_QUESTIONS if name == WAVES[0] else None
        make_survey(days_ago(70), name=name, questions=more, mode=mode, minimum_n=3)
        sizes = {partner.name: random.choice((0, 1, 1, 2)) for partner, _users in people}
        scores = {one: [random.randint(1, 10) for _ in range(n)] for one, n in sizes.items()}
        made = make_wave(people, scores, mode, back, minimum=3, name=name)
        spoken: dict[str, set[str]] = {}
        names = {partner.id: partner for partner, _users in people}
        with write() as session:
            waves[name] = session.get_one(Wave, made.id).id
            for response in session.query(Response).filter_by(wave_id=made.id):
                response.locale = random.choice(("de", "en"))
                response.answers.append(
                    Answer(question="channel", choices=[random.choice(("phone", "mail"))])
                )
                spoken.setdefault(names[response.partner_id].name, set()).add(response.locale)
        for partner, _users in people:
            own = spoken.get(partner.name, set())
            locale = next(iter(own)) if len(own) == 1 else SEVERAL
            facts = {"tier": partner.tier, "region": partner.region, "locale": locale}
            attacker.people += [(name, partner.name, facts)] * sizes[partner.name]
    return attacker, people, waves


def filters() -> Iterable[dict[str, str]]:
    """Everything that the page lets one choose."""
    for tier, region, locale in product(("", "A", "B"), ("", "N", "S"), ("", "de", "en", SEVERAL)):
        yield {"tier": tier, "region": region, "locale": locale}


@pytest.mark.parametrize(
    ("mode", "seed"), [(Mode.confidential, 1), (Mode.anonymous, 2), (Mode.confidential, 3)]
)
def test_nobody_is_isolated_by_everything_that_can_be_read(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    attacker, people, waves = asked(Random(seed), mode)
    manager = browse(anna())
    for name, key in waves.items():
        path = f"/surveys/waves/{key}"
        for chosen in filters():
            narrow = any(chosen.values())
            query = "&".join(f"{one}={value}" for one, value in chosen.items())
            first = rows(manager.get(f"{path}/questions.csv?{query}"))[0]
            if first["Mean"]:
                attacker.reads(name, **chosen)
            if first["9 or 10"] or rows(manager.get(f"{path}/distribution.csv?{query}")):
                # Of people nothing is shown but of all of them.
                assert not narrow
                attacker.counts(name)
            for part in rows(manager.get(f"{path}/parts.csv?{query}")):
                if part["The company"]:
                    attacker.reads(name, **{**chosen, KINDS[part["By"]]: part["Part"]})
            assert not (narrow and rows(manager.get(f"{path}/choices.csv?{query}")))
        for row in rows(manager.get(f"{path}/partners.csv")):
            attacker.reads(name, partner=row["Partner"])
    for partner, _users in people:
        for row in rows(manager.get(f"/reports/partners/{partner.id}/satisfaction.csv")):
            attacker.reads(row["Wave"].split(",")[0], partner=partner.name)
    asked_for = []
    for (one, first_key), (other, second_key) in combinations(waves.items(), 2):
        trend = "/reports/satisfaction/trend"
        query = f"before={first_key}&after={second_key}"
        if rows(manager.get(f"{trend}/change.csv?{query}")):
            attacker.compares(one, other)
        for row in rows(manager.get(f"{trend}/fell.csv?{query}")):
            attacker.reads(one, partner=row["Partner"])
            attacker.reads(other, partner=row["Partner"])
        asked_for += ["--between", str(first_key), str(second_key)]
    answer = json.loads(command(app, monkeypatch, "report", "satisfaction", "--json", *asked_for))
    ids = {str(key): name for name, key in waves.items()}
    for wave in answer["waves"]:
        if wave["company"]["mean"] is not None:
            attacker.reads(ids[wave["id"]])
    for pair in answer["paired"]:
        if "change" in pair["company"]:
            attacker.compares(ids[pair["before"]], ids[pair["after"]])
    assert len(set(attacker.rows)) > 2
    assert isolated(attacker.rows, 3) == []
