"""Where intervals are told, and where too few partners answered for that: everywhere the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Browse
from tests.pages import text_of
from tests.people import anna
from tests.reports.test_reports import rows
from tests.surveys.crowds import make_wave, singles
from tests.test_commands import command

SEEN = "Would have been seen"


def intervals(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch, n: int
) -> dict[str, Any]:
    """Every interval and test that is told of two waves that `n` partners answered."""
    people = singles(n)
    for back, shift in ((60, 0), (30, 1)):
        # So far apart that Student's interval would leave the scale on both sides.
        scores = [1 if (number + shift) % 2 else 10 for number in range(n - 1)] + [5 + shift]
        made = make_wave(
            people, {f"No {one}": [score] for one, score in enumerate(scores, 1)}, back=back
        )
    key, manager = made.id, browse(anna())
    page = manager.get(f"/surveys/waves/{key}")
    change = rows(manager.get("/reports/satisfaction/trend/change.csv"))[0]
    answer = json.loads(command(app, monkeypatch, "report", "satisfaction", "--json"))
    chart = manager.get("/reports/satisfaction/trend/chart.json").json
    assert chart is not None
    return {
        "card": text_of(page),
        "page": rows(manager.get(f"/surveys/waves/{key}/questions.csv"))[0]["Interval"],
        "part": rows(manager.get(f"/surveys/waves/{key}/parts.csv"))[0]["Interval"],
        "trend": rows(manager.get("/reports/satisfaction/trend/trend.csv"))[0]["Interval"],
        "list": rows(manager.get("/reports/satisfaction.csv"))[0]["Interval"],
        "json": answer["waves"][-1]["company"]["interval"],
        "chart": [(one.get("low"), one.get("high")) for one in chart["data"]["values"]][-1],
        "change": [change[name] for name in ("Interval", "p", "p by ranks", SEEN)],
        "paired": {
            name: answer["paired"][0]["company"][name]
            for name in ("n", "interval", "t", "p", "p_ranks", "would_be_seen")
        },
    }  # fmt: skip


def test_of_four_partners_no_route_tells_an_interval(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = intervals(app, browse, monkeypatch, 4)
    assert "needs 1 more partner · 4 people" in found["card"]
    assert "(needs 2 more partners) since" in found["card"]
    assert "for the 4 partners that answered both times" in found["card"]
    for route in ("page", "part", "trend", "list"):
        assert found[route] == "needs 1 more partner", route
    assert found["json"] is None
    assert found["chart"] == (None, None)
    assert found["change"] == ["needs 2 more partners", "–", "–", "–"]
    assert found["paired"] == {
        "n": 4, "interval": None, "t": None, "p": None, "p_ranks": None, "would_be_seen": None,
    }  # fmt: skip


def test_of_six_partners_every_route_tells_the_same_interval_within_the_scale(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = intervals(app, browse, monkeypatch, 6)
    for route in ("page", "part", "trend", "list"):
        assert found[route] == "1.0 to 9.5", route
    assert found["json"] == pytest.approx([1.0, 9.499], abs=0.001)
    assert found["chart"] == (1.0, 9.5)
    assert "–" not in found["change"]
    assert None not in found["paired"].values()
    assert found["change"][1] == f"{found['paired']['p']:.3f}"
