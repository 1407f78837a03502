"""Who is away, and who stands in.

What is assigned to somebody who is away stays theirs; until they are back it is shown, and mailed,
to their deputy. A deputy acts in their own name: nobody approves twice by standing in.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date

from flask_babel import gettext as _
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from portal.accounts.models import VENDOR_ROLES, Role, User
from portal.db import Base
from portal.errors import Refused
from portal.formatting import sort_by_name


class Absence(Base):
    """One absence of a person of the vendor, the next or the present one: whole days, both ends
    included."""

    __tablename__ = "absence"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), primary_key=True)
    first_day: Mapped[date]
    last_day: Mapped[date]
    deputy_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)

    deputy: Mapped[User] = relationship(foreign_keys=[deputy_id])


def vendor_people(session: Session) -> list[User]:
    """Everyone of the vendor who has access, by name."""
    query = select(User).where(User.role.in_(VENDOR_ROLES), User.deactivated_at.is_(None))
    return sort_by_name(session.scalars(query), lambda person: person.name)


def of_person(session: Session, user_id: uuid.UUID) -> Absence | None:
    """The absence that a person has entered, also when it is over."""
    return session.get(Absence, user_id)


def set_absence(
    session: Session, user: User, first_day: date, last_day: date, deputy_id: uuid.UUID, today: date
) -> None:
    """Somebody is away from `first_day` to `last_day`; `deputy_id` stands in."""
    if last_day < first_day:
        raise Refused(_("The last day must not be before the first."))
    if last_day < today:
        raise Refused(_("These days are over."))
    deputy = session.get(User, deputy_id)
    if deputy is None or not deputy.is_vendor or deputy.deactivated_at is not None:
        raise Refused(_("Please choose a colleague who has access."))
    if deputy.id == user.id:
        raise Refused(_("Please choose somebody else as deputy."))
    row = session.get(Absence, user.id)
    if row is None:
        row = Absence(user_id=user.id)
        session.add(row)
    row.first_day, row.last_day, row.deputy_id = first_day, last_day, deputy_id
    session.flush()


def end_absence(session: Session, user_id: uuid.UUID) -> None:
    """Somebody is back, or does not go after all."""
    row = session.get(Absence, user_id)
    if row is not None:
        session.delete(row)
        session.flush()


class StandIns:
    """Who acts for whom on one day. `there` is everyone of the vendor who has access, with their
    role."""

    def __init__(
        self, deputies: Mapping[uuid.UUID, uuid.UUID], there: Mapping[uuid.UUID, str]
    ) -> None:
        self._deputies = deputies
        self._there = there

    def acting_for(self, user_id: uuid.UUID | None) -> uuid.UUID | None:
        """Who looks after what is assigned to this person: they, their deputy, the deputy's
        deputy; None when nobody of them is there."""
        seen: set[uuid.UUID] = set()
        while user_id is not None and user_id in self._deputies and user_id not in seen:
            seen.add(user_id)
            user_id = self._deputies[user_id]
        return user_id if user_id in self._there and user_id not in self._deputies else None

    def looking_after(self, user_id: uuid.UUID | None) -> list[uuid.UUID]:
        """Everyone who has to look after what is assigned to this person, or to nobody: who acts
        for them; else the channel managers who are there; else the administrators."""
        acting = self.acting_for(user_id)
        if acting is not None:
            return [acting]
        for role in (Role.channel_manager, Role.admin):
            found = {self.acting_for(key) for key, own in self._there.items() if own == role}
            if keys := sorted(key for key in found if key is not None):
                return keys
        return []


def stand_ins(session: Session, day: date) -> StandIns:
    """Who acts for whom on `day`."""
    away = select(Absence.user_id, Absence.deputy_id).where(
        Absence.first_day <= day, Absence.last_day >= day
    )
    deputies = {row.user_id: row.deputy_id for row in session.execute(away)}
    there = select(User.id, User.role).where(
        User.role.in_(VENDOR_ROLES), User.deactivated_at.is_(None)
    )
    return StandIns(deputies, {row.id: row.role for row in session.execute(there)})
