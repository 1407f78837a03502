"""The rules for leads: what scores, from where on a lead is qualified, who gets it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from portal.leads.assignment import AssignRule
from portal.leads.scoring import ScoreRule


@dataclass(frozen=True)
class Rules:
    """One version. Version 1 is what holds until a manager says something else."""

    version: int
    threshold: int
    accept_hours: int
    scoring: tuple[ScoreRule, ...]
    assignment: tuple[AssignRule, ...]

    def as_json(self) -> dict[str, Any]:
        """The two lists, as they are kept."""
        return {
            "scoring": [asdict(rule) for rule in self.scoring],
            "assignment": [asdict(rule) for rule in self.assignment],
        }


def read(version: int, threshold: int, accept_hours: int, kept: Mapping[str, Any]) -> Rules:
    """Rules from what is kept of them."""
    return Rules(
        version,
        threshold,
        accept_hours,
        tuple(ScoreRule(**row) for row in kept["scoring"]),
        tuple(AssignRule(**row) for row in kept["assignment"]),
    )


USUAL = Rules(
    version=1,
    threshold=50,
    accept_hours=48,
    scoring=(
        ScoreRule("asked", 30, half_life=60, cap=40),
        ScoreRule("download", 10, half_life=30, cap=20),
        ScoreRule("open", 5, half_life=30, cap=20),
        ScoreRule("minute", 2, half_life=30, cap=20),
        ScoreRule("company", 10),
        ScoreRule("product_family", 10),
        ScoreRule("phone", 5),
    ),
    assignment=(AssignRule(tier="Gold"), AssignRule()),
)
