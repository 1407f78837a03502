"""The mails that ask, in words made at the moment of sending: with a link of their own each, and
not at all when nothing is asked any more."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from portal import clock, mail
from portal.accounts.models import User
from portal.accounts.service import company, zone
from portal.errors import Gone, TooMany
from portal.mail import Outbox
from portal.security import new_token, token_hash
from surveys import invitations
from surveys.definitions import CORE, SCALE, texts
from surveys.models import Invitation, Mode, SurveyLink
from surveys.wording import closing_time, who_sees

INVITATION, REMINDER = "survey_invitation", "survey_reminder"
# Nobody is sent the same mail again sooner.
AGAIN = timedelta(minutes=10)


def mailed_on(day: date) -> ColumnElement[bool]:
    """The mails of surveys that were written, left or are to leave on a local day."""
    since, until = (clock.day_start(it, zone()) for it in (day, day + timedelta(days=1)))
    moments = (Outbox.created_at, Outbox.due_at, Outbox.sent_at)
    return and_(
        Outbox.message.in_((INVITATION, REMINDER)),
        or_(*(and_(moment >= since, moment < until) for moment in moments)),
    )


def still_asked(session: Session, invitation: Invitation, now: datetime) -> bool:
    """Whether a person may be mailed about a wave: it is open to them, they have not answered all
    of it, not said no, and not turned off mail about surveys."""
    return (
        now < invitation.wave.closes_at
        and invitation.answered != invitations.COMPLETE
        and invitation.declined_at is None
        and invitation.user.deactivated_at is None
        and not invitations.opted_out(session, invitation.user_id)
    )


@mail.prepares(INVITATION)
def prepare_invitation(
    session: Session, user: User, params: dict[str, str]
) -> dict[str, object] | None:
    """The mail that asks. Who asks for it again gets it even after turning such mail off."""
    return _prepare(session, user, params)


@mail.prepares(REMINDER)
def prepare_reminder(
    session: Session, user: User, params: dict[str, str]
) -> dict[str, object] | None:
    """The mail that reminds; None for who answered since it was written."""
    return _prepare(session, user, params)


def _prepare(session: Session, user: User, params: dict[str, str]) -> dict[str, object] | None:
    """Mint the token at the moment of sending. Its links show a page and never answer."""
    invitation = session.get(Invitation, uuid.UUID(params.get("invitation", _NONE)))
    if invitation is None:
        return None
    if "asked" not in params and not still_asked(session, invitation, clock.now()):
        return None
    token, name, wave = new_token(), company(), invitation.wave
    session.add(SurveyLink(token_hash=token_hash(token), invitation_id=invitation.id))
    session.flush()
    link = mail.absolute(f"/survey/{token}")
    leave = f"{link}/unsubscribe"
    return {
        "company": name,
        "texts": texts(wave.questionnaire, user.locale, name),
        "scores": [(score, f"{link}?company={score}") for score in SCALE],
        "link": link,
        "leave": leave,
        "closes": closing_time(wave, user.locale),
        "who_sees": who_sees(wave, name),
        "said": invitations.last_said(session, wave),
        "short": len(wave.questionnaire.body["questions"]) == len(CORE),
        "begun": invitation.answered is not None,
        "headers": {
            "List-Unsubscribe": f"<{leave}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }


# Of a person who was erased nothing is left to fill in.
_NONE = str(uuid.UUID(int=0))


# --- once more ----------------------------------------------------------------------------------


def send_again(session: Session, invitation: Invitation, now: datetime) -> None:
    """Mail the link again to who asks for it: the answer to an anonymous survey has no other way.
    Lock the invitation in `write()` before. Raises Gone and TooMany."""
    invitations.refuse_late(invitation, now)
    if invitation.wave.mode == Mode.anonymous and invitation.answered:
        raise Gone(_("You have answered. To change it, use the mail from which you answered."))
    last = session.get(Outbox, invitation.mail_id) if invitation.mail_id else None
    if last is not None and last.state == mail.WAITING and last.due_at > now:
        # It was to come on a later day, and comes now.
        last.due_at, last.params = now, {**last.params, "asked": "yes"}
        invitation.declined_at = None
        session.flush()
        return
    if last is not None and now - last.created_at < AGAIN:
        raise TooMany(
            _("The mail was sent a moment ago. Please look for it, or try again in 10 minutes."),
            int(AGAIN.total_seconds()),
        )
    invitation.declined_at = None
    invitation.mail_id = mail.queue(
        session,
        message=INVITATION,
        user_id=invitation.user_id,
        params={"invitation": str(invitation.id), "asked": "yes"},
        expires_at=invitation.wave.closes_at,
    ).id
    session.flush()
