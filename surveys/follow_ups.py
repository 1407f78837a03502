"""Closing the loop: somebody is not satisfied, and their channel manager is to call, by a day.

Only where the invitation said that the channel managers see the answer. As long as it is open it
belongs to whoever looks after the partner on the day: their channel manager or who stands in, else
every channel manager. Once closed it stays with who closed it. A later answer of the same person
changes the follow-up, or withdraws it, as long as nobody has called. Due after five working days,
which here are Monday to Friday: the calendar with holidays belongs to the decisions on deals and
lies above.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts import absences, notices
from portal.accounts.models import Partner, User
from portal.accounts.notices import Line, Notice
from portal.accounts.service import zone
from portal.db import new_id
from portal.errors import NotFound, PortalError, Refused
from portal.formatting import day
from surveys.definitions import CORE
from surveys.models import FollowUp, Invitation, Mode, Questionnaire, Response, Wave

LOW_SCORE, FALL = 4, 3
WORKING_DAYS = 5
MAX_NOTE = 4000
LOW, FELL = "low", "fall"
OPENED, CONTACTED, CLOSED, WITHDRAWN = "opened", "contacted", "closed", "withdrawn"
OPEN_STATES = (OPENED, CONTACTED)
NOTICE = "survey_follow_up"


def due_day(today: date) -> date:
    """The fifth working day after `today`."""
    left, day_ = WORKING_DAYS, today
    while left:
        day_ += timedelta(days=1)
        left -= day_.weekday() < 5
    return day_


# --- opening ------------------------------------------------------------------------------------


def consider(session: Session, response: Response, now: datetime) -> FollowUp | None:
    """Open, change or withdraw the follow-up of an answer that was just saved."""
    invitation = response.invitation
    if invitation is None or invitation.wave.mode != Mode.attributed:
        return None
    reason = _reason(session, response, invitation)
    found = session.scalars(
        select(FollowUp).where(FollowUp.response_id == response.id)
    ).one_or_none()
    if found is not None and found.state in (CONTACTED, CLOSED):
        return found
    if reason is None:
        if found is not None:
            found.state = WITHDRAWN
            session.flush()
        return None
    if found is not None and found.state == OPENED:
        found.reason = reason
        session.flush()
        return found
    return _open(session, response, reason, found, now)


def _reason(session: Session, response: Response, invitation: Invitation) -> str | None:
    scores = _core(response)
    if any(score <= LOW_SCORE for score in scores.values()):
        return LOW
    before = previous(session, invitation)
    earlier = _core(before) if before else {}
    fell = any(earlier.get(name, 0) - score >= FALL for name, score in scores.items())
    return FELL if fell else None


def _core(response: Response) -> dict[str, int]:
    given = {row.question: row.value for row in response.answers if row.question in CORE}
    return {name: value for name, value in given.items() if value is not None}


def previous(session: Session, invitation: Invitation) -> Response | None:
    """What the same person answered in the last earlier wave of the survey that can be compared
    with this one, and that said who would see it."""
    wave = invitation.wave
    query = (
        select(Response)
        .join(Invitation, Invitation.id == Response.invitation_id)
        .join(Wave, Wave.id == Response.wave_id)
        .join(Questionnaire, Questionnaire.id == Wave.questionnaire_id)
        .where(
            Invitation.user_id == invitation.user_id,
            Wave.survey_id == wave.survey_id,
            Wave.mode == Mode.attributed,
            Wave.opened_at < wave.opened_at,
            Questionnaire.core_hash == wave.questionnaire.core_hash,
        )
        .order_by(Wave.opened_at.desc(), Wave.id.desc())
    )
    return session.scalars(query.limit(1)).one_or_none()


def _open(
    session: Session, response: Response, reason: str, found: FollowUp | None, now: datetime
) -> FollowUp:
    today = clock.local_day(now, zone())
    partner = session.get_one(Partner, response.partner_id)
    follow_up = found or FollowUp(
        id=new_id(),
        wave_id=response.wave_id,
        response_id=response.id,
        partner_id=partner.id,
    )
    follow_up.reason, follow_up.state = reason, OPENED
    follow_up.opened_at, follow_up.due_on = now, due_day(today)
    session.add(follow_up)
    session.flush()
    there = absences.stand_ins(session, today)
    for told in there.looking_after(partner.channel_manager_id):
        notices.notify(session, told, NOTICE, follow_up.id, now)
    return follow_up


# --- moving -------------------------------------------------------------------------------------


class NoNote(PortalError):
    """A follow-up moves on with a word on what was said."""


def move(
    session: Session, follow_up: FollowUp, actor: User, to: str, note: str, now: datetime
) -> None:
    """Somebody called, or it is done: opened, contacted, closed, with a note each. Lock the
    follow-up in `write()` before. Raises Refused and NoNote."""
    order = {CONTACTED: OPENED, CLOSED: CONTACTED}
    if to not in order:
        raise NotFound(_("There is no such step."))
    if follow_up.state != order[to]:
        state = state_name(follow_up)
        raise Refused(_("Somebody was faster: this follow-up is %(state)s.", state=state))
    note = note.strip()
    if not note or len(note) > MAX_NOTE:
        raise NoNote(_("Write a note on what was said, at most %(n)s characters.", n=MAX_NOTE))
    follow_up.state = to
    follow_up.note = f"{follow_up.note}\n\n{note}".strip()
    if to == CONTACTED:
        follow_up.contacted_at = now
    else:
        follow_up.closed_at, follow_up.owner_id = now, actor.id
    session.flush()


def state_name(follow_up: FollowUp) -> str:
    """The state in words."""
    names = {OPENED: _("open"), CONTACTED: _("contacted"), CLOSED: _("closed")}
    return names.get(follow_up.state, _("withdrawn"))


# --- looking ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A follow-up with what one has to know to call: who answered what, and whose it is; `owner` is
    empty when nobody in particular looks after the partner."""

    follow_up: FollowUp
    partner: str
    person: User | None
    owner: str
    scores: dict[str, int]
    comment: str

    @property
    def worst(self) -> int | None:
        """The lower one of the two scores."""
        return min(self.scores.values(), default=None)

    def is_overdue(self, today: date) -> bool:
        """Whether the day has passed and it is not done."""
        return self.follow_up.state in OPEN_STATES and self.follow_up.due_on < today


def _query() -> Select[FollowUp]:
    invitation = joinedload(FollowUp.response).joinedload(Response.invitation)
    return (
        select(FollowUp)
        .join(Wave, Wave.id == FollowUp.wave_id)
        .join(Partner, Partner.id == FollowUp.partner_id)
        .where(Wave.mode == Mode.attributed)
        .options(
            joinedload(FollowUp.wave).joinedload(Wave.survey),
            joinedload(FollowUp.wave).joinedload(Wave.questionnaire),
            joinedload(FollowUp.response).selectinload(Response.answers),
            invitation.joinedload(Invitation.user),
        )
    )


def _cases(session: Session, rows: Sequence[FollowUp]) -> list[Case]:
    wanted = {row.partner_id for row in rows}
    partners = {
        row.id: row for row in session.scalars(select(Partner).where(Partner.id.in_(wanted)))
    }
    there = _stand_ins(session)
    owners = {row.id: _owners(row, partners[row.partner_id], there) for row in rows}
    people = {key for pair in owners.values() for key in pair if key is not None}
    names = {row.id: row.name for row in session.scalars(select(User).where(User.id.in_(people)))}
    return [
        Case(
            follow_up=row,
            partner=partners[row.partner_id].name,
            person=row.response.invitation.user if row.response.invitation else None,
            owner=_owner_name(*owners[row.id], names),
            scores=_core(row.response),
            comment=row.response.comment or _first_text(row.response),
        )
        for row in rows
    ]


def _first_text(response: Response) -> str:
    return next((answer.text for answer in response.answers if answer.text), "")


def _stand_ins(session: Session) -> absences.StandIns:
    return absences.stand_ins(session, clock.local_day(clock.now(), zone()))


# Who acts, and for whom.
Owners = tuple[uuid.UUID | None, uuid.UUID | None]


def _owners(row: FollowUp, partner: Partner, there: absences.StandIns) -> Owners:
    if row.state not in OPEN_STATES:
        return row.owner_id, row.owner_id
    return there.acting_for(partner.channel_manager_id), partner.channel_manager_id


def _owner_name(
    acting: uuid.UUID | None, manager: uuid.UUID | None, names: Mapping[uuid.UUID, str]
) -> str:
    if acting is None or manager is None:
        return ""
    if acting == manager:
        return names[acting]
    return _("%(name)s, for %(absent)s", name=names[acting], absent=names[manager])


def _belongs_to(session: Session, user_id: uuid.UUID) -> ColumnElement[bool]:
    """Whether a person has to look after an open follow-up today."""
    there, managers = _stand_ins(session), select(Partner.channel_manager_id).distinct()
    mine = {key for key in session.scalars(managers) if user_id in there.looking_after(key)}
    of_mine = Partner.channel_manager_id.in_(mine - {None})
    return or_(of_mine, Partner.channel_manager_id.is_(None)) if None in mine else of_mine


def waiting(session: Session, user_id: uuid.UUID) -> tuple[int, int]:
    """How many follow-ups are to be done: by this person today, and by anybody."""
    own = func.coalesce(func.sum(case((_belongs_to(session, user_id), 1), else_=0)), 0)
    query = (
        select(own, func.count())
        .select_from(FollowUp)
        .join(Wave, Wave.id == FollowUp.wave_id)
        .join(Partner, Partner.id == FollowUp.partner_id)
    )
    found = session.execute(
        query.where(Wave.mode == Mode.attributed, FollowUp.state.in_(OPEN_STATES))
    ).one()
    return int(found[0]), found[1]


def cases(
    session: Session,
    *,
    of: uuid.UUID | None = None,
    closed: bool = False,
    limit: int | None = None,
    first_of: uuid.UUID | None = None,
) -> list[Case]:
    """The follow-ups that are to be done, the first due first, or those that are done, the latest
    first; those `of` one person where it is given. Those of `first_of` come before all others."""
    query = _query().where(FollowUp.state.in_([CLOSED] if closed else OPEN_STATES))
    if of is not None:
        query = query.where(FollowUp.owner_id == of if closed else _belongs_to(session, of))
    if first_of is not None:
        query = query.order_by(case((_belongs_to(session, first_of), 0), else_=1))
    order = [FollowUp.closed_at.desc()] if closed else [FollowUp.due_on, FollowUp.opened_at]
    rows = session.scalars(query.order_by(*order, FollowUp.id).limit(limit)).all()
    return _cases(session, rows)


def get(session: Session, follow_up_id: uuid.UUID) -> Case:
    """One follow-up. Raises NotFound."""
    row = session.scalars(
        _query().where(FollowUp.id == follow_up_id, FollowUp.state != WITHDRAWN)
    ).one_or_none()
    if row is None:
        raise NotFound(_("There is no such follow-up. A later answer may have settled it."))
    return _cases(session, [row])[0]


def said(response: Response, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Everything that was written, each with the question in `texts`; the comment has none."""
    written = {row.question: row.text for row in response.answers if row.text}
    comment = [("", response.comment)] if response.comment else []
    return comment + [(texts[key], written[key]) for key in texts if key in written]


@notices.describes(NOTICE, _l("Follow-ups of surveys"), side="vendor")
def describe(session: Session, _user: User, rows: Sequence[Notice]) -> list[Line]:
    """A line per follow-up that nobody has taken up yet."""
    keys = [row.subject_id for row in rows]
    query = _query().where(FollowUp.id.in_(keys), FollowUp.state == OPENED)
    found = session.scalars(query.order_by(FollowUp.due_on, FollowUp.id)).all()
    return [
        Line(
            _(
                "%(partner)s scored %(score)s: please call by %(day)s",
                partner=case_.partner,
                score=case_.worst or "–",
                day=day(case_.follow_up.due_on),
            ),
            f"/surveys/follow-ups/{case_.follow_up.id}",
        )
        for case_ in _cases(session, found)
    ]
