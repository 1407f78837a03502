"""Rollouts: the lines between before and after, declared ahead, and the waves on either side."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.service import PartnerFacts
from portal.db import new_id
from portal.errors import NotFound, PortalError
from portal.reports.models import Rollout, RolloutPartner
from surveys.models import AFTER, BEFORE, Wave

SIDES = (BEFORE, AFTER)
MAX_NAME = 120


class BadRollout(PortalError):
    """What was written down declares no rollout."""


@dataclass(frozen=True)
class Declared:
    """A rollout with the days of the partners that have one of their own."""

    rollout: Rollout
    days: Mapping[uuid.UUID, date]

    @property
    def first(self) -> date:
        """The day on which the first partner gets it."""
        return min([self.rollout.day, *self.days.values()])

    @property
    def last(self) -> date:
        """The day from which every partner has it."""
        return max([self.rollout.day, *self.days.values()])

    def was_ahead(self, zone: ZoneInfo) -> bool:
        """Whether it was declared before its day."""
        return clock.local_day(self.rollout.declared_at, zone) < self.first


def declared(session: Session) -> list[Declared]:
    """All of them, the latest first."""
    days: dict[uuid.UUID, dict[uuid.UUID, date]] = defaultdict(dict)
    for row in session.scalars(select(RolloutPartner)):
        days[row.rollout_id][row.partner_id] = row.day
    query = select(Rollout).options(joinedload(Rollout.declared_by))
    rows = session.scalars(query.order_by(Rollout.day.desc(), Rollout.id))
    return [Declared(row, days.get(row.id, {})) for row in rows]


def get(session: Session, key: uuid.UUID) -> Declared:
    """One of them. Raises NotFound."""
    found = next((one for one in declared(session) if one.rollout.id == key), None)
    if found is None:
        raise NotFound(_("There is no such rollout."))
    return found


def declare(
    session: Session,
    *,
    name: str,
    day: date,
    days: Mapping[uuid.UUID, date],
    by: uuid.UUID | None,
    now: datetime,
) -> Rollout:
    """Write a rollout down, with the days of partners that get it on another day."""
    row = Rollout(id=new_id(), name=name, day=day, declared_at=now, declared_by_id=by)
    session.add(row)
    session.flush()
    for partner, own in days.items():
        if own != day:
            session.add(RolloutPartner(rollout_id=row.id, partner_id=partner, day=own))
    session.flush()
    return row


def parse_days(text: str, everyone: Sequence[PartnerFacts]) -> dict[uuid.UUID, date]:
    """Days of partners, a line each: the name, then the day. Raises BadRollout with the line."""
    by_name: dict[str, list[uuid.UUID]] = defaultdict(list)
    for one in everyone:
        by_name[one.name.casefold()].append(one.id)
    found: dict[uuid.UUID, date] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, _space, written = line.strip().rpartition(" ")
        same = by_name.get(name.strip(" ,;\t").casefold(), [])
        if len(same) != 1:
            raise BadRollout(
                _("Line %(n)s: there is no partner of the name “%(name)s”.", n=number, name=name)
            )
        try:
            day = date.fromisoformat(written)
        except ValueError:
            raise BadRollout(
                _("Line %(n)s: end it with a day like 2026-03-31.", n=number)
            ) from None
        if found.setdefault(same[0], day) != day:
            raise BadRollout(_("Line %(n)s: %(name)s has another day above.", n=number, name=name))
    return found


def link(session: Session, wave: Wave, rollout_id: uuid.UUID | None, side: str) -> None:
    """Say that a wave asked before or after a rollout, or neither. Raises NotFound."""
    if rollout_id is None:
        wave.rollout_id, wave.rollout_side = None, None
    elif side not in SIDES:
        raise BadRollout(_("Say whether the wave asked before or after the rollout."))
    else:
        wave.rollout_id, wave.rollout_side = get(session, rollout_id).rollout.id, side
    session.flush()


def warning(
    one: Declared, side: str | None, opened_at: datetime, closes_at: datetime, zone: ZoneInfo
) -> str:
    """What is wrong with a wave as the one before or after a rollout; nothing if it is fine."""
    if side == BEFORE and closes_at > clock.day_start(one.first, zone):
        return _("The baseline wave overlaps the rollout.")
    if side == AFTER and opened_at < clock.day_start(one.last, zone):
        return _("The wave began before every partner had the rollout.")
    return ""
