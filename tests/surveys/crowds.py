"""Waves that have closed, with what a crowd of people answered, in any mode."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from portal.accounts.models import Partner, User
from portal.db import new_id, write
from surveys import waves
from surveys.models import Answer, Invitation, Mode, Response, Survey, Wave
from tests.factories import ZONE, days_ago, make_partner, make_user
from tests.surveys.asking import set_up

People = list[tuple[Partner, list[User]]]
QUESTIONS = ("company", "experience")
# Each partner with its tier and region, and how many of its people answer.
CROWD = (
    ("Alpha", "Gold", "North", 5), ("Beta", "Gold", "South", 2), ("Gamma", "Gold", "North", 2),
    ("Delta", "Silver", "South", 3), ("Epsilon", "Silver", "North", 3),
    ("Zeta", "Bronze", "South", 1),
)  # fmt: skip


def make_people() -> People:
    """The partners and their people."""
    made = [(make_partner(name, tier=tier, region=region), n) for name, tier, region, n in CROWD]
    return [(partner, [make_user(partner=partner) for _n in range(n)]) for partner, n in made]


def singles(n: int) -> People:
    """Partners with one person each."""
    made = [make_partner(f"No {number}") for number in range(1, n + 1)]
    return [(partner, [make_user(partner=partner)]) for partner in made]


def make_wave(
    people: People,
    scores: dict[str, list[int]],
    mode: str = Mode.attributed,
    back: int = 30,
    comment: str = "",
    *,
    days: int = 5,
    minimum: int = 5,
    name: str = "",
) -> Wave:
    """A wave that closed, and what each person of each partner answered to both questions."""
    name = name or f"Pulse {mode}"
    at: datetime = days_ago(back)
    with write() as session:
        survey = session.query(Survey).filter_by(name=name).first() or set_up(
            session, at.replace(tzinfo=None), at, name=name, zone=ZONE
        )
        survey.mode, survey.minimum_n = mode, minimum
        local = at.astimezone(ZONE).replace(tzinfo=None, microsecond=0)
        wave = waves.open_wave(session, survey, local, at, notify=False)
        wave.closes_at = at + timedelta(days=days)
        known = {row.user_id: row for row in session.query(Invitation).filter_by(wave_id=wave.id)}
        for partner, users in people:
            for user, score in zip(users, scores.get(partner.name, []), strict=False):
                response = Response(
                    id=new_id(),
                    invitation_id=None if mode == Mode.anonymous else known[user.id].id,
                    wave_id=wave.id,
                    partner_id=partner.id,
                    submission_id=uuid.uuid4().hex,
                    comment=comment,
                    answered_at=None if mode == Mode.anonymous else at,
                )
                known[user.id].answered = "complete"
                response.answers = [Answer(question=key, value=score) for key in QUESTIONS]
                session.add(response)
    return wave


def spread(shift: int = 0) -> dict[str, list[int]]:
    """Scores that differ from person to person."""
    return {
        name: [(3 + 2 * number + one + shift) % 10 + 1 for one in range(n)]
        for number, (name, _tier, _region, n) in enumerate(CROWD)
    }
