"""What other areas ask of surveys: how waves went."""

from __future__ import annotations

from sqlalchemy.orm import Session

from surveys import history
from surveys.history import Round


def last_waves(session: Session, limit: int | None = 8) -> list[Round]:
    """The latest waves that were opened, oldest first."""
    return list(history.last(session, limit).rounds)
