"""What other areas ask of surveys: how waves went, and how many answered."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from surveys import history
from surveys.history import Round
from surveys.models import Mode, Response, Wave


def last_waves(session: Session, limit: int | None = 8) -> list[Round]:
    """The latest waves that were opened, oldest first."""
    return list(history.latest(session, limit))


def answers_by_partner(session: Session, since: datetime, until: datetime) -> dict[uuid.UUID, int]:
    """How many people of each partner answered in [since, until). Only of waves that name them: of
    the others nobody is to learn who did, not even of which partner."""
    query = select(Response.partner_id, func.count()).join(Wave, Wave.id == Response.wave_id)
    query = query.where(
        Response.answered_at >= since, Response.answered_at < until, Wave.mode == Mode.attributed
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(Response.partner_id))}
