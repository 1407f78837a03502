"""Who is asked: by the link in a mail, or signed in; and how they say that they will not answer."""

from __future__ import annotations

import uuid
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager, joinedload

from portal import clock
from portal.accounts import notices
from portal.accounts.models import User
from portal.errors import Gone, NotFound
from portal.security import token_hash
from surveys.models import OPEN, Invitation, SurveyLink, SurveyOptOut, Wave
from surveys.wording import closing_time

COMPLETE, PARTIAL = "complete", "partial"

_ALL = (
    joinedload(Invitation.wave).joinedload(Wave.survey),
    joinedload(Invitation.wave).joinedload(Wave.questionnaire),
    joinedload(Invitation.user),
)


def by_token(session: Session, token: str) -> Invitation:
    """The invitation behind the link of a mail. Raises NotFound."""
    query = select(Invitation).options(*_ALL).join(SurveyLink)
    query = query.where(SurveyLink.token_hash == token_hash(token))
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(_("This link does not belong to a survey. Check it with your mail."))
    return found


def of_user(session: Session, user: User, invitation_id: uuid.UUID) -> Invitation:
    """A person's own invitation. Raises NotFound, also for somebody else's."""
    query = select(Invitation).options(*_ALL)
    query = query.where(Invitation.id == invitation_id, Invitation.user_id == user.id)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(_("There is no such survey."))
    return found


def refuse_late(invitation: Invitation, now: datetime) -> None:
    """Raise Gone with the closing time when the wave is over, whether or not a job has run; also
    when the person has left: the mailbox may be somebody else's by now."""
    wave = invitation.wave
    if now >= wave.closes_at or wave.closed_at is not None:
        closed = closing_time(wave, invitation.user.locale)
        raise Gone(_("This survey closed on %(time)s. Thank you for coming by.", time=closed))
    if invitation.user.deactivated_at is not None:
        raise Gone(_("Your access to the portal has ended, and with it this survey."))


def waiting_for(session: Session, user: User, now: datetime) -> Invitation | None:
    """The survey that waits for a person's answer, the one that closes first; not one that they
    put aside."""
    query = (
        select(Invitation)
        .join(Invitation.wave)
        .options(
            contains_eager(Invitation.wave).joinedload(Wave.survey),
            contains_eager(Invitation.wave).joinedload(Wave.questionnaire),
        )
        .where(Invitation.user_id == user.id, Wave.state == OPEN)
        .where(Wave.opened_at <= now, Wave.closes_at > now)
        .where(Invitation.answered.is_distinct_from(COMPLETE))
        .where(Invitation.declined_at.is_(None), Invitation.dismissed_at.is_(None))
        .order_by(Wave.closes_at, Invitation.id)
    )
    return session.scalars(query).first()


def last_said(session: Session, wave: Wave) -> str:
    """ "You said, we did" of the last wave before this one of the same survey."""
    before = (
        select(Wave.said)
        .where(Wave.survey_id == wave.survey_id, Wave.state == OPEN)
        .where(Wave.opened_at < wave.opened_at)
        .order_by(Wave.opened_at.desc(), Wave.id.desc())
    )
    return session.scalars(before.limit(1)).one_or_none() or ""


# --- saying no ----------------------------------------------------------------------------------


def decline(invitation: Invitation, now: datetime) -> None:
    """Not this time: no reminder, no banner. Whoever changes their mind may still answer."""
    invitation.declined_at = invitation.declined_at or now


def dismiss(invitation: Invitation, now: datetime) -> None:
    """Put the banner aside; reminders come all the same."""
    invitation.dismissed_at = invitation.dismissed_at or now


def opted_out(session: Session, user_id: uuid.UUID) -> bool:
    """Whether a person wants no mail about surveys."""
    return session.get(SurveyOptOut, user_id) is not None


def choose_mail(session: Session, user_id: uuid.UUID, now: datetime, *, wanted: bool) -> None:
    """A person wants mail about surveys, or none. Lock the person in `write()` before."""
    row = session.get(SurveyOptOut, user_id)
    if wanted and row is not None:
        session.delete(row)
    elif not wanted and row is None:
        session.add(SurveyOptOut(user_id=user_id, at=now))
    session.flush()


notices.OWN_MAILS["surveys"] = notices.OwnMail(
    "surveys",
    _l("Invitations and reminders to surveys"),
    side="partner",
    wants=lambda session, user_id: not opted_out(session, user_id),
    choose=lambda session, user_id, wanted: choose_mail(
        session, user_id, clock.now(), wanted=wanted
    ),
)
