"""Signing in and out, inviting people, and what was fixed at setup."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from flask import g, has_app_context
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from portal import mail
from portal.accounts.models import (
    PARTNER_ROLES,
    Attempt,
    Installation,
    OneTimeToken,
    Partner,
    Role,
    User,
    UserSession,
)
from portal.clock import now as clock_now
from portal.db import db, in_parts, new_id, once_per_request, plain_rows
from portal.errors import NotFound, Refused, TooMany
from portal.security import new_code, new_token, token_hash

SESSION_IDLE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=30)
SEEN_EVERY = timedelta(minutes=10)
CODE_LIFE = timedelta(minutes=15)
INVITATION_LIFE = timedelta(days=14)
CODE, INVITATION = "code", "invitation"

# Attempts allowed per window, for one address and for one network address.
THROTTLE_WINDOW = timedelta(minutes=15)
PER_ADDRESS, PER_NETWORK = 10, 60


def installation() -> Installation | None:
    """The row written at setup, or None before it; read once per request."""
    if has_app_context() and "installation" in g:
        return g.installation  # type: ignore[no-any-return]
    row = db.session.get(Installation, 1)
    if has_app_context() and row is not None:
        g.installation = row
    return row


def company() -> str:
    """The vendor's name; empty before setup."""
    row = installation()
    return row.company if row else ""


def zone() -> ZoneInfo:
    """The reporting time zone."""
    row = installation()
    return ZoneInfo(row.timezone if row else "UTC")


def set_up(
    session: Session,
    *,
    company: str,
    timezone: str,
    privacy_mode: str,
    privacy_by_country: Mapping[str, str] | None = None,
    demo: bool = False,
) -> Installation:
    """Fix company, time zone and privacy mode, also of partners in some countries, for good:
    nothing is measured before. Refused when that was done before."""
    if session.get(Installation, 1) is not None:
        raise Refused(_("The portal is already set up."))
    row = Installation(
        id=1,
        company=company,
        timezone=timezone,
        privacy_mode=privacy_mode,
        privacy_by_country=dict(privacy_by_country or {}),
        demo=demo,
        created_at=clock_now(),
    )
    session.add(row)
    session.flush()
    return row


def normalise_email(email: str) -> str:
    """One spelling per mailbox, so that one person has one account."""
    return email.strip().lower()


def user_by_email(session: Session, email: str) -> User | None:
    """The person with this address who may come in."""
    found = select(User).where(User.email == normalise_email(email), *has_access())
    return session.scalars(found).one_or_none()


def has_access() -> tuple[ColumnElement[bool], ...]:
    """The conditions on a user for having access: not ended, and not held back since an import."""
    return User.deactivated_at.is_(None), User.held_at.is_(None)


# --- throttling ---------------------------------------------------------------------------------


def count_attempt(session: Session, email: str, network: str, now: datetime) -> bool:
    """Note one attempt to sign in; False when there were too many and it must be refused."""
    since = now - THROTTLE_WINDOW
    keys = {f"address:{normalise_email(email)}": PER_ADDRESS, f"network:{network}": PER_NETWORK}
    allowed = True
    for key, limit in keys.items():
        hashed = token_hash(key)
        session.execute(delete(Attempt).where(Attempt.key == hashed, Attempt.at < since))
        n = session.scalar(select(func.count()).where(Attempt.key == hashed)) or 0
        allowed = allowed and n < limit
        if n < limit:
            session.add(Attempt(key=hashed, at=now))
    session.flush()
    return allowed


def throttle(session: Session, key: str, limit: int, now: datetime) -> bool:
    """Note one attempt at something; False when there were `limit` of them in the window. What
    has left the window is forgotten, of whomever."""
    since, hashed = now - THROTTLE_WINDOW, token_hash(key)
    session.execute(delete(Attempt).where(Attempt.at < since))
    n = session.scalar(select(func.count()).where(Attempt.key == hashed)) or 0
    if n < limit:
        session.add(Attempt(key=hashed, at=now))
        session.flush()
    return n < limit


def refuse_flood(allowed: bool) -> None:
    """Raise TooMany with the sentence for a person who tried too often."""
    if not allowed:
        seconds = int(THROTTLE_WINDOW.total_seconds())
        raise TooMany(_("Too many attempts. Please wait 15 minutes and try again."), seconds)


# --- sessions -----------------------------------------------------------------------------------


def start_session(session: Session, user: User, user_agent: str, now: datetime) -> str:
    """Sign `user` in; returns the token for the cookie."""
    token = new_token()
    session.add(
        UserSession(
            token_hash=token_hash(token),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            user_agent=user_agent[:200],
        )
    )
    if user.joined_at is None:
        user.joined_at = now
    session.flush()
    return token


def find_session(session: Session, token: str, now: datetime) -> UserSession | None:
    """The living session behind a cookie: not ended, not idle 12 h, not older than 30 days."""
    found = session.scalars(
        select(UserSession)
        .options(joinedload(UserSession.user).joinedload(User.partner))
        .where(UserSession.token_hash == token_hash(token), UserSession.ended_at.is_(None))
    ).one_or_none()
    if found is None or found.user.deactivated_at is not None:
        return None
    if now - found.last_seen_at > SESSION_IDLE or now - found.created_at > SESSION_LIFE:
        return None
    return found


def anonymise(session: Session, user: User, now: datetime) -> None:
    """Take a person's name, address and ways in away; what they did stays, by a former user."""
    partner = user.partner.name if user.partner else ""
    user.name = _("Former user of %(partner)s", partner=partner) if partner else _("Former user")
    user.email = f"erased-{user.id.hex}@invalid.example"
    user.phone = user.password_hash = None
    user.deactivated_at, user.held_at = user.deactivated_at or now, None
    mail.forget(session, user.id)
    session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user.id))
    session.flush()


def people_of(session: Session, partner_id: uuid.UUID) -> list[User]:
    """The people of a partner who have access."""
    query = select(User).where(User.partner_id == partner_id, *has_access())
    return list(session.scalars(query))


def sessions_of(session: Session, user_id: uuid.UUID) -> list[UserSession]:
    """Where and when a person signed in."""
    return list(session.scalars(select(UserSession).where(UserSession.user_id == user_id)))


def end_session(session: Session, session_id: uuid.UUID, now: datetime) -> None:
    """Sign out this browser."""
    session.execute(update(UserSession).where(UserSession.id == session_id).values(ended_at=now))


def end_all_sessions(session: Session, user_id: uuid.UUID, now: datetime) -> None:
    """Sign out everywhere."""
    session.execute(
        update(UserSession)
        .where(UserSession.user_id == user_id, UserSession.ended_at.is_(None))
        .values(ended_at=now)
    )


# --- one-time tokens ----------------------------------------------------------------------------


def mint_token(
    session: Session, user: User, purpose: str, life: timedelta, now: datetime, secret: str
) -> None:
    """Keep the hash of `secret`, good once until `life` has passed; earlier ones end."""
    session.execute(
        update(OneTimeToken)
        .where(
            OneTimeToken.user_id == user.id,
            OneTimeToken.purpose == purpose,
            OneTimeToken.used_at.is_(None),
        )
        .values(used_at=now)
    )
    session.add(
        OneTimeToken(
            token_hash=token_hash(_salted(user, purpose, secret)),
            purpose=purpose,
            user_id=user.id,
            created_at=now,
            expires_at=now + life,
        )
    )
    session.flush()


def _salted(user: User, purpose: str, secret: str) -> str:
    # A six-digit code alone would fit some row of somebody; with the user it fits only theirs.
    return f"{purpose}:{user.id}:{secret}" if purpose == CODE else secret


def use_code(session: Session, user: User | None, code: str, now: datetime) -> bool:
    """Whether `code` is the living sign-in code of `user`; it is used up by this."""
    if user is None:
        return False
    return _use(session, token_hash(_salted(user, CODE, code.strip())), CODE, now) is not None


def use_invitation(session: Session, token: str, now: datetime) -> User:
    """The person an invitation link belongs to; the link is used up. Raises NotFound."""
    row = _use(session, token_hash(token), INVITATION, now)
    user = session.get(User, row.user_id) if row else None
    if user is None or user.deactivated_at is not None:
        raise NotFound(_("This invitation has been used or has expired. Ask for a new one."))
    return user


def invitation_is_open(session: Session, token: str, now: datetime) -> bool:
    """Whether an invitation link would still work, without using it."""
    return session.scalar(_living(token_hash(token), INVITATION, now)) is not None


def _living(hashed: str, purpose: str, now: datetime):  # type: ignore[no-untyped-def]
    return select(OneTimeToken).where(
        OneTimeToken.token_hash == hashed,
        OneTimeToken.purpose == purpose,
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > now,
    )


def _use(session: Session, hashed: str, purpose: str, now: datetime) -> OneTimeToken | None:
    row: OneTimeToken | None = session.scalars(
        _living(hashed, purpose, now).with_for_update()
    ).first()
    if row is not None:
        row.used_at = now
        session.flush()
    return row


# --- people -------------------------------------------------------------------------------------


def may_invite(actor: User, role: str, partner_id: uuid.UUID | None) -> bool:
    """Partner admins invite to their own partner, channel managers to any, admins anyone."""
    if actor.role == Role.admin:
        return (role in PARTNER_ROLES) == (partner_id is not None)
    if role not in PARTNER_ROLES or partner_id is None:
        return False
    if actor.role == Role.channel_manager:
        return True
    return actor.role == Role.partner_admin and partner_id == actor.partner_id


def add_user(
    session: Session, *, email: str, name: str, role: str, partner_id: uuid.UUID | None
) -> User:
    """Add a person without inviting them yet. Refused when the address is taken."""
    email = normalise_email(email)
    if session.scalar(select(User.id).where(User.email == email)) is not None:
        raise Refused(_("Somebody with this address already has access."))
    user = User(
        id=new_id(),
        email=email,
        name=name.strip(),
        role=role,
        partner_id=partner_id,
        created_at=clock_now(),
    )
    session.add(user)
    session.flush()
    return user


def invite(session: Session, user: User, invited_by: User) -> None:
    """Send `user` a mail with a single-use link. Refused while an administrator holds it."""
    if user.held_at is not None:
        raise Refused(_("An administrator has to release this invitation first."))
    mail.queue(
        session,
        message="invitation",
        user_id=user.id,
        params={"invited_by": invited_by.name},
        expires_at=clock_now() + INVITATION_LIFE,
    )


def held(session: Session) -> list[User]:
    """The people whose invitations wait for an administrator, with their partners."""
    query = select(User).where(User.held_at.is_not(None), User.deactivated_at.is_(None))
    return list(session.scalars(query.options(joinedload(User.partner))))


def release(session: Session, user_ids: Sequence[uuid.UUID], released_by: User) -> int:
    """Invite those of some people who are held; each of them once, whoever else does so too."""
    released = 0
    for some in in_parts(sorted(user_ids)):
        still = User.id.in_(some) & User.held_at.is_not(None) & User.deactivated_at.is_(None)
        query = select(User).where(still).order_by(User.id).with_for_update()
        for user in session.scalars(query):
            user.held_at = None
            invite(session, user, released_by)
            released += 1
    return released


def colleagues(session: Session, partner_id: uuid.UUID) -> list[User]:
    """Everyone of a partner who has or had access."""
    return list(session.scalars(select(User).where(User.partner_id == partner_id)))


class PartnerFacts(NamedTuple):
    """What reports say of a partner. They read thousands at once: whole objects cost 50 ms."""

    id: uuid.UUID
    name: str
    tier: str
    region: str
    country: str


@once_per_request
def partner_facts(session: Session) -> list[PartnerFacts]:
    """Every partner organisation, in few words."""
    query = select(Partner.id, Partner.name, Partner.tier, Partner.region, Partner.country)
    return [PartnerFacts._make(row) for row in plain_rows(session, query)]


class Access(NamedTuple):
    """How long one person of a partner could read: from the first sign-in, until access ended."""

    since: datetime
    until: datetime | None


def accesses(
    session: Session, since: datetime, until: datetime, fewer_than: int | None = None
) -> dict[uuid.UUID, list[Access]]:
    """Everyone who had access between two moments, by partner. `fewer_than` leaves out the
    partners of which that many or more had it all the time."""
    query = select(User.partner_id, User.joined_at, User.deactivated_at).where(
        User.partner_id.is_not(None),
        User.joined_at < until,
        or_(User.deactivated_at.is_(None), User.deactivated_at >= since),
    )
    if fewer_than is not None:
        many = (
            select(User.partner_id)
            .where(
                User.partner_id.is_not(None),
                User.joined_at < since,
                or_(User.deactivated_at.is_(None), User.deactivated_at >= until),
            )
            .group_by(User.partner_id)
            .having(func.count() >= fewer_than)
        )
        query = query.where(User.partner_id.not_in(many))
    found: dict[uuid.UUID, list[Access]] = defaultdict(list)
    for partner_id, joined, left in session.execute(query):
        if partner_id is not None and joined is not None:
            found[partner_id].append(Access(joined, left))
    return found


def signed_in(session: Session, since: datetime, until: datetime) -> set[uuid.UUID]:
    """The partners of whom somebody was signed in between two moments."""
    query = (
        select(User.partner_id)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.created_at < until, UserSession.last_seen_at >= since)
        .distinct()
    )
    return {key for key in session.scalars(query) if key is not None}


def partners(session: Session) -> list[Partner]:
    """Every partner organisation."""
    return list(session.scalars(select(Partner)))


@mail.prepares("sign_in_code")
def prepare_code(session: Session, user: User, params: dict[str, str]) -> dict[str, object]:
    """Mint the code at the moment of sending: no secret ever lies in the outbox."""
    code = new_code()
    mint_token(session, user, CODE, CODE_LIFE, clock_now(), code)
    path = f"/sign-in?email={user.email}" + (
        f"&next={params['next']}" if params.get("next") else ""
    )
    return {"code": code, "link": mail.absolute(path), "minutes": 15}


@mail.prepares("invitation")
def prepare_invitation(session: Session, user: User, params: dict[str, str]) -> dict[str, object]:
    """Mint the single-use link at the moment of sending."""
    token = new_token()
    mint_token(session, user, INVITATION, INVITATION_LIFE, clock_now(), token)
    return {"invited_by": params["invited_by"], "link": mail.absolute(f"/welcome/{token}")}
