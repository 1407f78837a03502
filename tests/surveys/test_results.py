"""What the manager reads of waves, and what nobody can work out from it."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from flask import Flask

from portal import clock
from portal.db import db, write
from surveys import history
from surveys.models import Mode, Wave
from tests.conftest import Browse
from tests.factories import ZONE, days_ago, make_partner, make_user
from tests.pages import text_of
from tests.people import anna
from tests.reports.test_reports import rows
from tests.surveys.crowds import CROWD, make_people, make_wave, spread
from tests.test_commands import command


def test_a_wave_says_its_means_with_how_sure_they_are(app: Flask, browse: Browse) -> None:
    people = make_people()
    before = make_wave(people, spread(), back=60)
    make_wave(people, {**spread(1), "Zeta": []}, comment="More drawings, please")
    wave = db.session.query(Wave).order_by(Wave.opened_at.desc()).first()
    assert wave is not None
    manager = browse(anna())
    page = text_of(manager.get(f"/surveys/waves/{wave.id}"))
    assert "5 of 6 answered" in page
    assert "for the 5 partners that answered both times" in page
    assert "Response rate 1" in page
    assert "Nothing came back 1" in page
    # Wilson's interval of 5 of 6.
    assert "Response rate of partners 5 of 6 (44 to 97 %)" in page
    invited = rows(manager.get(f"/surveys/waves/{wave.id}/invitations.csv"))
    assert invited[-1] == {
        "Invitations": "Response rate of partners", "How many": "5 of 6 (44 to 97 %)",
    }  # fmt: skip
    assert (
        'href="/reports/definitions#response_rate_partners"'
        in manager.get(f"/surveys/waves/{wave.id}").text
    )
    assert "Open follow-ups" in page
    csv = rows(manager.get(f"/surveys/waves/{wave.id}/parts.csv?tier=Gold"))
    assert [row["Part"] for row in csv if row["By"] == "Tier"] == ["Gold"]
    assert {row["People"] for row in csv if row["Part"] == "South"} == {"2"}
    found = text_of(manager.get(f"/surveys/waves/{wave.id}?words=drawings+alpha"))
    assert "Alpha" in found
    none = text_of(manager.get(f"/surveys/waves/{wave.id}?words=nothing"))
    assert "No comment holds these words." in none
    trend = text_of(manager.get(f"/reports/satisfaction/trend?before={before.id}&after={wave.id}"))
    assert "Change of the same partners" in trend
    assert "Who fell most" in trend
    same = text_of(manager.get(f"/reports/satisfaction/trend?before={wave.id}&after={wave.id}"))
    assert "Choose two waves." in same
    assert "0.0" not in same
    assert manager.get(f"/reports/satisfaction/trend?before={uuid.uuid4()}").status_code == 404
    assert manager.get(f"/surveys/waves/{wave.id}/nothing.csv").status_code == 404


def test_a_page_begins_with_those_to_call_and_shows_all_on_demand(
    app: Flask, browse: Browse
) -> None:
    partners = [make_partner(f"Partner {n:02}", tier="Gold", region="North") for n in range(15)]
    people = [(partner, [make_user(partner=partner)]) for partner in partners]
    scores = {f"Partner {n:02}": [10 - n // 2] for n in range(15)}
    wave = make_wave(people, scores, comment="More drawings")
    page = browse(anna()).get(f"/surveys/waves/{wave.id}")
    assert page.text.count("“More drawings”") == 12
    assert f'href="/reports/partners/{partners[14].id}"' in page.text
    assert f'href="/reports/partners/{partners[0].id}"' not in page.text
    assert text_of(page).count("All 15") == 2
    assert "Language English 15" in text_of(page)
    everything = browse(anna()).get(f"/surveys/waves/{wave.id}?all=1")
    assert everything.text.count("“More drawings”") == 15
    assert f'href="/reports/partners/{partners[0].id}"' in everything.text


def asked(manager: Any, wave: Wave) -> list[tuple[dict[str, str], list[dict[str, str]]]]:
    """Every CSV of parts that the filters of a wave's page give."""
    found = []
    for tier, region in product(("", "Gold", "Silver", "Bronze"), ("", "North", "South")):
        query = f"tier={tier}&region={region}"
        found.append(
            (
                {"tier": tier, "region": region},
                rows(manager.get(f"/surveys/waves/{wave.id}/questions.csv?{query}")),
            )
        )
    return found


@pytest.mark.parametrize("mode", [Mode.confidential, Mode.anonymous])
def test_whoever_reads_everything_of_a_protected_wave_isolates_nobody(
    app: Flask, browse: Browse, mode: str
) -> None:
    people = make_people()
    wave = make_wave(people, spread(), mode, comment="Quotes take long")
    manager = browse(anna())
    shown: dict[frozenset[str], str] = {}
    for chosen, table in asked(manager, wave):
        inside = frozenset(
            name
            for name, tier, region, _n in CROWD
            if chosen["tier"] in ("", tier) and chosen["region"] in ("", region)
        )
        if table[0]["Mean"]:
            shown[inside] = table[0]["Mean"]
            # Of parts no person is counted beside the partners.
            assert (table[0]["9 or 10"] == "") == bool(chosen["tier"] or chosen["region"])
    sizes = {name: n for name, _tier, _region, n in CROWD}
    everyone = frozenset(sizes)
    assert everyone in shown
    assert len(shown) > 1
    # Each difference and each common part of what is shown is of five people, or of nobody.
    for one, other in product(shown, shown):
        for part in (one - other, one & other, everyone - (one | other)):
            assert not 0 < sum(sizes[name] for name in part) < 5, (one, other)
    page = manager.get(f"/surveys/waves/{wave.id}")
    assert "Quotes take long" in text_of(page)
    names = [user.name for _partner, users in people for user in users]
    assert not any(name in text_of(page) for name in names)
    partners = rows(manager.get(f"/surveys/waves/{wave.id}/partners.csv"))
    assert {row["Partner"] for row in partners} <= {"Alpha"}
    for partner, _users in people[1:]:
        shown_page = text_of(manager.get(f"/reports/partners/{partner.id}"))
        assert "Nobody answered, or too few" in shown_page
    assert 'name="family"' not in page.text


def test_nothing_of_a_protected_wave_is_shown_while_it_is_open(app: Flask, browse: Browse) -> None:
    people = make_people()
    wave = make_wave(people, spread(), Mode.confidential, comment="Quotes take long")
    manager = browse(anna())
    with clock.at(wave.closes_at - timedelta(seconds=1)):
        page = text_of(browse(anna()).get(f"/surveys/waves/{wave.id}"))
        trend = history.load(db.session()).rounds[0]
        table = rows(browse(anna()).get(f"/surveys/waves/{wave.id}/questions.csv"))
    assert "Shown when the wave has closed" in page
    assert "Quotes" not in page
    assert "16 of 16" in page
    assert (trend.company, trend.people("company")) == (None, 0)
    assert table[0]["Mean"] == ""
    assert "Quotes" in text_of(manager.get(f"/surveys/waves/{wave.id}"))


def test_too_few_answers_give_no_mean_anywhere(app: Flask, browse: Browse) -> None:
    people = make_people()
    wave = make_wave(people, {"Alpha": [2, 2], "Zeta": [1]}, Mode.anonymous)
    manager = browse(anna())
    assert rows(manager.get(f"/surveys/waves/{wave.id}/questions.csv"))[0]["Mean"] == ""
    assert rows(manager.get("/reports/satisfaction.csv"))[0]["Company"] == ""
    assert rows(manager.get("/reports/satisfaction/trend/trend.csv"))[0]["The company"] == ""
    chart = manager.get("/reports/satisfaction/trend/chart.json").json
    assert chart is not None
    assert chart["data"]["values"] == []
    assert manager.get("/").status_code == 200


def test_a_change_that_one_partner_alone_makes_is_not_shown(app: Flask) -> None:
    people = make_people()
    make_wave(people, {**spread(), "Zeta": []}, Mode.confidential, back=60)
    make_wave(people, spread(1), Mode.confidential, back=30)
    past = history.load(db.session())
    before, after = past.rounds
    # Zeta's one person is all that the later wave has and the change has not.
    assert past.compared(before, after, "company").why_not == history.TOO_FEW
    make_wave(people, spread(2), Mode.confidential, back=15)
    past = history.load(db.session())
    found = past.compared(past.rounds[1], past.rounds[2], "company")
    assert not found.why_not
    assert found.change.n == len(CROWD)


def ask_otherwise(wave: Wave) -> None:
    """Let the two questions of a wave be others."""
    with write() as session:
        other = session.get_one(Wave, wave.id).questionnaire
        copy = type(other)(
            number=99, name="Other", core_hash="x" * 64, body=other.body, created_at=clock.now()
        )
        session.add(copy)
        session.flush()
        session.get_one(Wave, wave.id).questionnaire_id = copy.id


def test_waves_of_other_questions_are_not_compared(app: Flask) -> None:
    people = make_people()
    make_wave(people, spread(), back=60)
    ask_otherwise(make_wave(people, spread(), back=30))
    past = history.load(db.session())
    before, after = past.rounds
    assert past.compared(before, after, "company").why_not == history.OTHER_QUESTIONS


def test_waves_with_names_are_not_compared_with_those_without(app: Flask, browse: Browse) -> None:
    people = make_people()
    make_wave(people, spread(), Mode.attributed, back=60)
    make_wave(people, spread(1), Mode.confidential, back=30)
    past = history.load(db.session())
    before, after = past.rounds
    assert past.compared(before, after, "company").why_not == history.OTHER_PROMISE
    trend = rows(browse(anna()).get("/reports/satisfaction/trend/trend.csv"))
    assert [row["Series"] for row in trend] == ["2", "1"]


def test_a_line_joins_only_waves_of_one_survey_that_may_be_compared(
    app: Flask, browse: Browse
) -> None:
    people = make_people()
    made = [make_wave(people, spread(), back=back, name="Pulse") for back in (90, 70, 50, 30)]
    make_wave(people, spread(), back=40, name="Other")
    ask_otherwise(made[2])
    manager = browse(anna())
    trend = rows(manager.get("/reports/satisfaction/trend/trend.csv"))
    waves = [(row["Wave"].split(",")[0], row["Series"]) for row in trend]
    assert waves == [
        ("Pulse", "1"), ("Other", "1"), ("Pulse", "2"), ("Pulse", "1"), ("Pulse", "1"),
    ]  # fmt: skip
    assert "Waves of one series may be compared." in text_of(
        manager.get("/reports/satisfaction/trend")
    )
    for address in ("satisfaction/trend/chart.json", "charts/satisfaction.json"):
        chart = manager.get(f"/reports/{address}").json
        assert chart is not None
        drawn: dict[tuple[str, str], list[str]] = {}
        for point in chart["data"]["values"]:
            drawn.setdefault((point["what"], point["line"]), []).append(point["survey"])
        # Two waves, the one with other questions, the one after it, and the other survey's.
        for what in ("The company", "The partner experience"):
            joined = [surveys for (name, _line), surveys in drawn.items() if name == what]
            assert joined == [["Pulse", "Pulse"], ["Pulse"], ["Other"], ["Pulse"]]
        for layer in chart["layer"][:4]:
            assert layer["encoding"]["detail"] == {"field": "line"}


def test_the_command_gives_every_wave_and_the_change_between_any_two(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = make_people()
    first = make_wave(people, spread(), back=60)
    make_wave(people, spread(1), back=40)
    last = make_wave(people, spread(2), back=20)
    keys = (str(first.id), str(last.id))
    found = json.loads(
        command(app, monkeypatch, "report", "satisfaction", "--json", "--between", *keys)
    )
    assert [wave["people"] for wave in found["waves"]] == [[16, 16]] * 3
    assert found["waves"][0]["company"]["partners"] == 6
    assert found["waves"][0]["response_rate_1"] == 1.0
    (pair,) = found["paired"]
    assert (pair["before"], pair["after"]) == keys
    assert pair["company"]["n"] == 6
    assert len(pair["company"]["interval"]) == 2


# --- rollouts -------------------------------------------------------------------------------------


def test_a_rollout_is_declared_and_a_wave_stands_before_or_after_it(
    app: Flask, browse: Browse
) -> None:
    people = make_people()
    wave = make_wave(people, spread(), back=30)
    manager = browse(anna())
    day = days_ago(28).astimezone(ZONE).date()
    data = {"name": "New portal", "day": str(day), "days": f"Beta {day + timedelta(days=60)}\n"}
    page = manager.post("/reports/rollouts", data=data, follow_redirects=True)
    assert "New portal" in text_of(page)
    assert "1 partner on another day" in text_of(page)
    assert "declared afterwards" in text_of(page)
    shown = manager.get(f"/surveys/waves/{wave.id}")
    key = re.search(r'<option value="([0-9a-f-]{36})">New portal', shown.text)
    assert key
    path = f"/reports/rollouts/waves/{wave.id}"
    for side, said in (
        ("before", "The baseline wave overlaps the rollout."),
        ("after", "The wave began before every partner had the rollout."),
    ):
        answer = manager.post(path, data={"rollout": key[1], "side": side}, follow_redirects=True)
        assert said in text_of(answer)
    assert manager.post(path, data={"rollout": key[1], "side": "beside"}).status_code == 400
    assert (
        manager.post(path, data={"rollout": str(uuid.uuid4()), "side": "after"}).status_code == 404
    )
    chart = manager.get("/reports/satisfaction/trend/chart.json").text
    assert "New portal" in chart


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"name": " "}, "Enter a name"), ({"day": "soon"}, "Choose the day"),
     ({"days": "Nobody 2026-03-31"}, "Line 1: there is no partner"),
     ({"days": "Alpha soon"}, "Line 1: end it with a day")],
)  # fmt: skip
def test_a_rollout_that_is_none_is_refused_and_keeps_what_was_typed(
    app: Flask, browse: Browse, wrong: dict[str, str], said: str
) -> None:
    make_partner("Alpha")
    data = {"name": "New portal", "day": "2027-01-01", "days": "Alpha 2027-02-01", **wrong}
    page = browse(anna()).post("/reports/rollouts", data=data)
    assert page.status_code == 400
    assert said in text_of(page)
    assert data["days"] in page.text
