"""Charts as Vega-Lite specifications. The browser draws them with a bundle that we serve.

The colours are words (`accent`, `ink`, ...) that the page's script replaces by those of the theme.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask_babel import gettext as _

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_VERSION = "v6.1"


def bundle(folder: Path) -> Path:
    """The script that draws charts, made once per installation and version of its maker.

    In a child process: what makes it brings a whole script engine, which would stay in memory.
    """
    mark = hashlib.sha256(f"{version('vl-convert-python')} {_VERSION}".encode()).hexdigest()[:12]
    path = folder / f"vega-{mark}.js"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        command = [sys.executable, "-c", _MAKE, str(temporary), _VERSION]
        subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own text, no shell
        os.replace(temporary, path)
    return path


_MAKE = """
import pathlib, sys, vl_convert
script = vl_convert.javascript_bundle(None, sys.argv[2])
pathlib.Path(sys.argv[1]).write_text(script, encoding="utf-8")
"""


def _chart(title: str, values: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "description": title,
        "width": "container",
        "height": 180,
        "data": {"values": list(values)},
        **more,
    }


def _over_time(field: str, axis: str) -> dict[str, Any]:
    months = {"format": axis, "tickCount": {"interval": "month", "step": 1}, "labelOverlap": True}
    return {"field": field, "type": "temporal", "title": None, "axis": months}


def engagement(weeks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Views by partners and opens by customers, a week each."""
    names = {"views": _("Views by partners"), "opens": _("Opens by customers")}
    values = [
        {"week": week["week"], "n": week[key], "what": name}
        for week in weeks
        for key, name in names.items()
    ]
    return _lines(_("Views and opens a week"), values, list(names.values()))


def _lines(title: str, values: Sequence[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    colour = {
        "field": "what",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": ["accent", "second"]},
    }
    shared = {"x": _over_time("week", "%b %y"), "color": colour}
    line = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {**shared, "y": {"field": "n", "type": "quantitative", "title": None}},
    }
    labels = [_label(name, shared, above) for name, above in zip(names, (True, False), strict=True)]
    return _chart(title, values, layer=[line, *labels])


def _label(name: str, shared: dict[str, Any], above: bool) -> dict[str, Any]:
    """The name of a line at its end, instead of a legend."""
    return {
        "transform": [
            {"filter": {"field": "what", "equal": name}},
            {"joinaggregate": [{"op": "max", "field": "week", "as": "last"}]},
            {"filter": "datum.week == datum.last"},
        ],
        "mark": {"type": "text", "align": "right", "dy": -12 if above else 16},
        "encoding": {
            **shared,
            "y": {"field": "n", "type": "quantitative"},
            "text": {"field": "what"},
        },
    }


def registrations(months: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Registrations a month, as bars."""
    return _chart(
        _("Deal registrations a month"),
        months,
        mark={"type": "bar", "color": "accent"},
        encoding={
            "x": {
                "field": "month",
                "type": "ordinal",
                "timeUnit": "utcyearmonth",
                "title": None,
                "axis": {"format": "%b %y", "labelAngle": 0, "labelOverlap": True},
                "scale": {"paddingInner": 0.35},
            },
            "y": {"field": "n", "type": "quantitative", "title": None},
        },
    )


def satisfaction(
    waves: Sequence[dict[str, Any]], rollouts: Sequence[dict[str, str]] = ()
) -> dict[str, Any]:
    """The two means with their intervals, wave by wave, on the whole scale; rollouts are lines. A
    line joins only waves of one survey that may be compared."""
    names = [_("The partner experience"), _("The company")]
    chart = _lines(_("Satisfaction by wave, 1 to 10"), waves, names)
    for layer in chart["layer"]:
        layer["encoding"]["y"]["scale"] = {"domain": [1, 10]}
        layer["encoding"]["detail"] = {"field": "line"}
    chart["layer"][0]["mark"]["point"] = True
    shared = {key: chart["layer"][0]["encoding"][key] for key in ("x", "color", "detail")}
    band = {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {
            **shared,
            "y": {**chart["layer"][0]["encoding"]["y"], "field": "low"},
            "y2": {"field": "high"},
        },
    }
    chart["layer"] = [band, *chart["layer"], *(_marks(rollouts) if rollouts else ())]
    return chart


def _marks(rollouts: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """A dotted line with its name on the day of each rollout."""
    shared = {"data": {"values": list(rollouts)}}
    x = _over_time("week", "%b %y")
    text = {"type": "text", "align": "left", "dx": 4, "y": 8}
    return [
        {**shared, "mark": {"type": "rule", "strokeDash": [2, 3]}, "encoding": {"x": x}},
        {**shared, "mark": text, "encoding": {"x": x, "text": {"field": "name"}}},
    ]


def pipeline(months: Sequence[dict[str, Any]], currency: str) -> dict[str, Any]:
    """What open deals are expected to bring a month, in one currency: others are not added."""
    chart = registrations(months)
    chart["description"] = _("Expected orders by month, in %(currency)s", currency=currency)
    chart["encoding"]["y"]["title"] = currency
    return chart
