"""Who is asked: by the link in a mail, or signed in."""

from __future__ import annotations

import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager, joinedload

from portal import mail
from portal.accounts.models import User
from portal.accounts.service import company
from portal.errors import NotFound
from portal.security import new_token, token_hash
from surveys.definitions import SCALE, texts
from surveys.models import OPEN, Invitation, Response, Survey, SurveyLink, Wave

_ALL = (
    joinedload(Invitation.wave).joinedload(Wave.survey),
    joinedload(Invitation.wave).joinedload(Wave.questionnaire),
    joinedload(Invitation.response).joinedload(Response.answers),
    joinedload(Invitation.user),
)


def by_token(session: Session, token: str) -> Invitation:
    """The invitation behind the link of a mail. Raises NotFound."""
    query = select(Invitation).options(*_ALL).join(SurveyLink)
    query = query.where(SurveyLink.token_hash == token_hash(token))
    found = session.scalars(query).unique().one_or_none()
    if found is None:
        raise NotFound(_("This link does not belong to a survey. Check it with your mail."))
    return found


def of_user(session: Session, user: User, invitation_id: uuid.UUID) -> Invitation:
    """A person's own invitation. Raises NotFound, also for somebody else's."""
    query = select(Invitation).options(*_ALL)
    query = query.where(Invitation.id == invitation_id, Invitation.user_id == user.id)
    found = session.scalars(query).unique().one_or_none()
    if found is None:
        raise NotFound(_("There is no such survey."))
    return found


def waiting_for(session: Session, user: User, now: datetime) -> Invitation | None:
    """The survey that waits for a person's answer, the one that closes first."""
    query = (
        select(Invitation)
        .join(Invitation.wave)
        .outerjoin(Invitation.response)
        .options(contains_eager(Invitation.wave))
        .where(Invitation.user_id == user.id, Wave.state == OPEN)
        .where(Wave.opened_at <= now, Wave.closes_at > now, Response.id.is_(None))
        .order_by(Wave.closes_at)
    )
    return session.scalars(query).first()


@mail.prepares("survey_invitation")
def prepare(session: Session, user: User, params: dict[str, str]) -> dict[str, object]:
    """Mint the token at the moment of sending. Its links show a page and never answer."""
    invitation = session.get_one(Invitation, uuid.UUID(params["invitation"]))
    token = new_token()
    session.add(SurveyLink(token_hash=token_hash(token), invitation_id=invitation.id))
    session.flush()
    name = company()
    wave = session.get_one(Wave, invitation.wave_id)
    survey = session.get_one(Survey, wave.survey_id)
    local = wave.closes_at.astimezone(ZoneInfo(survey.timezone))
    link = mail.absolute(f"/survey/{token}")
    return {
        "company": name,
        "texts": texts(wave.questionnaire, user.locale, name),
        "scores": [(score, f"{link}?company={score}") for score in SCALE],
        "link": link,
        "closes": f"{local:%A} {local.day} {local:%B %Y, %H:%M} {survey.timezone}",
    }
