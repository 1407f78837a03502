"""Options of select and radio fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wtforms import SelectChoice


def options(pairs: Iterable[tuple[Any, Any]]) -> list[SelectChoice]:
    """Pairs of value and label as a field wants them."""
    return [SelectChoice(value, label) for value, label in pairs]
