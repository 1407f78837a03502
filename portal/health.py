"""What a monitor asks: is the database as this version needs it, and does the rest run on time?"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from portal import mail
from portal.jobs import overdue


@cache
def newest_migration() -> str | None:
    """The revision that this version of the portal expects."""
    return ScriptDirectory(str(Path(__file__).parent / "migrations")).get_current_head()


def migrations_are_current(connection: Connection) -> bool:
    """Whether the database has every table and column of this version."""
    return MigrationContext.configure(connection).get_current_revision() == newest_migration()


def degraded(session: Session) -> list[str]:
    """What is late or failed while pages still work, one word and name each."""
    troubles = [f"job {name} is overdue" for name in overdue(session)]
    stuck = session.scalar(
        select(func.count()).where(mail.Outbox.state.in_([mail.FAILED, mail.UNKNOWN]))
    )
    return troubles + ([f"{stuck} mails failed or unknown"] if stuck else [])
