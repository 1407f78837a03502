"""What a person should know, but not at once: one mail a day, at 07:30 of their own clock.

Whoever has something to tell writes a notice, in the transaction that caused it. A job bundles what
waits: at most one bundle per person and local day (a unique key), so that no restart, outage or
second scheduler makes a second mail. Urgent notices leave with the next run of the job, still
bundled; hourly ones an hour after the first that waits. A line is written when the mail is sent, by
what holds then: what was settled in the meantime is left out, and a mail without a line is not
sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask_babel.speaklater import LazyString
from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    case,
    delete,
    func,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal import clock, mail
from portal.accounts import service as accounts
from portal.accounts.models import User
from portal.db import Base, Key, UTCDateTime, db, new_id, write
from portal.mail import Outbox

MORNING = time(7, 30)
HOUR = timedelta(hours=1)
# More lines of one kind than this are counted instead.
MAX_LINES = 10


class NoticeBundle(Base):
    """One mail of notices. `day` is the reader's local day, and empty of an urgent one."""

    __tablename__ = "notice_bundle"
    __table_args__ = (UniqueConstraint("user_id", "day"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    day: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    outbox_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("outbox.id"))


class Notice(Base):
    """One thing to tell one person; it waits until it is in a bundle."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_bundle_id_user_id", "bundle_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    kind: Mapped[str] = mapped_column(String(30))
    subject_id: Mapped[uuid.UUID] = mapped_column(Key)
    params: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    urgent: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    bundle_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("notice_bundle.id"))


class NoticeChoice(Base):
    """What a person chose: the clock their day follows (empty: the portal's), and the kinds of
    notices they do not want by mail."""

    __tablename__ = "notice_choice"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), primary_key=True)
    timezone: Mapped[str] = mapped_column(String(64), default="")
    muted: Mapped[list[str]] = mapped_column(JSON, default=list)


@dataclass(frozen=True)
class Line:
    """One line of the mail, and the page it leads to."""

    text: str
    path: str


@dataclass(frozen=True)
class Section:
    """The lines of one kind; `more` are not listed but at `path`."""

    title: str
    lines: list[Line]
    more: int
    path: str


Describe = Callable[[Session, User, Sequence[Notice]], list[Line]]


@dataclass(frozen=True)
class Kind:
    """A kind of notice. `side` says who gets it: `vendor`, `partner` or both (empty); those that
    are not optional cannot be turned off. Those that are `hourly` leave an hour after the
    first that waits, and so at most once in an hour. `path` leads to all of them."""

    name: str
    title: LazyString
    describe: Describe
    side: str
    optional: bool
    hourly: bool = False
    path: str = "/deals"


KINDS: dict[str, Kind] = {}


def describes(
    name: str,
    title: LazyString,
    *,
    side: str = "",
    optional: bool = True,
    hourly: bool = False,
    path: str = "/deals",
) -> Callable[[Describe], Describe]:
    """Register what writes the lines of one kind; the order of registration is that of the mail."""

    def register(function: Describe) -> Describe:
        KINDS[name] = Kind(name, title, function, side, optional, hourly, path)
        return function

    return register


def kinds_for(user: User) -> list[Kind]:
    """The kinds of notices that this person may get and can turn off."""
    side = "vendor" if user.is_vendor else "partner"
    return [kind for kind in KINDS.values() if kind.optional and kind.side in ("", side)]


@dataclass(frozen=True)
class OwnMail:
    """Mail that comes by itself and not in the bundle, and that a person can turn off. `wants` says
    whether they have it, `choose` keeps what they chose."""

    name: str
    title: LazyString
    side: str
    wants: Callable[[Session, uuid.UUID], bool]
    choose: Callable[[Session, uuid.UUID, bool], None]


OWN_MAILS: dict[str, OwnMail] = {}


def own_mails_for(user: User) -> list[OwnMail]:
    """The mails of their own that this person may get."""
    side = "vendor" if user.is_vendor else "partner"
    return [own for own in OWN_MAILS.values() if own.side in ("", side)]


# --- writing ------------------------------------------------------------------------------------


def notify(
    session: Session,
    user_id: uuid.UUID,
    kind: str,
    subject_id: uuid.UUID,
    now: datetime,
    *,
    params: dict[str, str] | None = None,
    urgent: bool = False,
) -> None:
    """Tell a person something in their next mail, unless they turned this kind off."""
    choice = session.get(NoticeChoice, user_id)
    if choice is not None and KINDS[kind].optional and kind in choice.muted:
        return
    session.add(
        Notice(
            user_id=user_id,
            kind=kind,
            subject_id=subject_id,
            params=params or {},
            urgent=urgent,
            created_at=now,
        )
    )
    session.flush()


def choice_of(session: Session, user_id: uuid.UUID) -> NoticeChoice:
    """What a person chose; nothing chosen is a choice not stored."""
    return session.get(NoticeChoice, user_id) or NoticeChoice(
        user_id=user_id, timezone="", muted=[]
    )


def choose(session: Session, user: User, timezone: str, wanted: Sequence[str]) -> None:
    """Keep the clock that a person's day follows, and the kinds and mails that they want."""
    choice = choice_of(session, user.id)
    choice.timezone = timezone
    choice.muted = [kind.name for kind in kinds_for(user) if kind.name not in wanted]
    session.add(choice)
    for own in own_mails_for(user):
        own.choose(session, user.id, own.name in wanted)
    session.flush()


def forget(session: Session, user_id: uuid.UUID) -> None:
    """A person is erased: nothing waits for them, and nothing they chose is kept."""
    waiting = Notice.user_id == user_id, Notice.bundle_id.is_(None)
    session.execute(delete(Notice).where(*waiting))
    session.execute(delete(NoticeChoice).where(NoticeChoice.user_id == user_id))


# --- bundling -----------------------------------------------------------------------------------


def zone_of(choice_timezone: str | None) -> ZoneInfo:
    """The clock of a person, or the portal's."""
    return ZoneInfo(choice_timezone) if choice_timezone else accounts.zone()


def morning_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment of the daily mail."""
    return clock.resolve_local(datetime.combine(day, MORNING), zone)


def next_mail(session: Session, user_id: uuid.UUID, now: datetime) -> datetime:
    """When something that is written down now would be mailed."""
    zone = zone_of(choice_of(session, user_id).timezone)
    today = clock.local_day(now, zone)
    morning = morning_of(today, zone)
    return morning if morning > now else morning_of(today + timedelta(days=1), zone)


def send_notices(now: datetime) -> int:
    """Job: bundle what waits for people whose morning has come, and what is urgent; returns how
    many mails that made."""
    hourly = [kind.name for kind in KINDS.values() if kind.hourly]
    query = (
        select(
            Notice.user_id,
            NoticeChoice.timezone,
            func.min(Notice.created_at),
            func.max(case((Notice.urgent, 1), else_=0)),
            func.min(case((Notice.kind.in_(hourly), Notice.created_at))),
        )
        .join(User, User.id == Notice.user_id)
        .outerjoin(NoticeChoice, NoticeChoice.user_id == Notice.user_id)
        .where(Notice.bundle_id.is_(None), User.deactivated_at.is_(None))
        .group_by(Notice.user_id, NoticeChoice.timezone)
        .order_by(Notice.user_id)
    )
    due = [
        (user_id, zone_of(timezone))
        for user_id, timezone, since, urgent, first in db.session.execute(query)
        if urgent or _is_hour(first, now) or _is_morning(since, now, zone_of(timezone))
    ]
    db.session.rollback()
    return sum(_bundle(user_id, zone, now) for user_id, zone in due)


def _is_hour(first: datetime | None, now: datetime) -> bool:
    """Whether an hour has passed for what leaves by the hour and has waited since then."""
    return first is not None and first + HOUR <= now


def _is_morning(since: datetime, now: datetime, zone: ZoneInfo) -> bool:
    """Whether a morning has come for what has waited since then. After an outage it is the latest
    one: nobody gets yesterday's mail and today's."""
    morning = morning_of(clock.local_day(now, zone), zone)
    return since < morning <= now


def _bundle(user_id: uuid.UUID, zone: ZoneInfo, now: datetime) -> bool:
    with write((User, user_id)) as session:
        query = select(Notice).where(Notice.user_id == user_id, Notice.bundle_id.is_(None))
        waiting = list(session.scalars(query.order_by(Notice.created_at, Notice.id)))
        today: date | None = clock.local_day(now, zone)
        taken = select(NoticeBundle.id).where(
            NoticeBundle.user_id == user_id, NoticeBundle.day == today
        )
        is_morning = any(_is_morning(row.created_at, now, zone) for row in waiting)
        if not is_morning or session.scalar(taken) is not None:
            waiting, today = _leaving(waiting, now), None
        if not waiting:
            return False
        waits = _unsent(session, user_id) if today else None
        bundle = waits or _queue(session, user_id, now)
        bundle.day = today
        for row in waiting:
            row.bundle_id = bundle.id
    return waits is None


def _leaving(waiting: Sequence[Notice], now: datetime) -> list[Notice]:
    """What does not wait for the morning: the urgent, and once an hour has passed all hourly."""
    hourly = [row for row in waiting if KINDS[row.kind].hourly]
    is_hour = any(_is_hour(row.created_at, now) for row in hourly)
    return [row for row in waiting if row.urgent or (is_hour and row in hourly)]


def _unsent(session: Session, user_id: uuid.UUID) -> NoticeBundle | None:
    """The mail of an earlier day that could not leave yet: it takes today's lines along."""
    query = (
        select(NoticeBundle.id, NoticeBundle.outbox_id)
        .join(Outbox, Outbox.id == NoticeBundle.outbox_id)
        .where(
            NoticeBundle.user_id == user_id,
            NoticeBundle.day.is_not(None),
            Outbox.state == mail.WAITING,
        )
    )
    for bundle_id, outbox_id in session.execute(query).all():
        letter = session.get(Outbox, outbox_id, with_for_update=True, populate_existing=True)
        if letter is not None and letter.state == mail.WAITING:
            return session.get(NoticeBundle, bundle_id)
    return None


def _queue(session: Session, user_id: uuid.UUID, now: datetime) -> NoticeBundle:
    key = new_id()
    letter = mail.queue(session, message="notices", user_id=user_id, params={"bundle": str(key)})
    bundle = NoticeBundle(id=key, user_id=user_id, created_at=now, outbox_id=letter.id)
    session.add(bundle)
    session.flush()
    return bundle


# --- the mail -----------------------------------------------------------------------------------


def sections(session: Session, user: User, rows: Sequence[Notice]) -> list[Section]:
    """What some notices say now, by kind; what is settled is left out."""
    found = []
    for kind in KINDS.values():
        mine = [row for row in rows if row.kind == kind.name]
        lines = kind.describe(session, user, mine) if mine else []
        if lines:
            more = max(0, len(lines) - MAX_LINES)
            found.append(Section(str(kind.title), lines[:MAX_LINES], more, kind.path))
    return found


@mail.prepares("notices")
def prepare_notices(
    session: Session, user: User, params: dict[str, str]
) -> dict[str, object] | None:
    """The daily mail, or what is urgent; None when everything is settled by now."""
    bundle = session.get_one(NoticeBundle, uuid.UUID(params["bundle"]))
    _date(session, bundle, clock.now())
    query = select(Notice).where(Notice.bundle_id == bundle.id)
    rows = session.scalars(query.order_by(Notice.created_at, Notice.id)).all()
    found = sections(session, user, rows)
    if not found:
        return None
    n = sum(len(section.lines) + section.more for section in found)
    return {
        "sections": found,
        "n": n,
        # Of what was opened, the title says more than that these are things.
        "title": "" if any(not KINDS[row.kind].hourly for row in rows) else found[0].title,
        "first": found[0].lines[0].text,
        "absolute": mail.absolute,
        "choices": mail.absolute("/account/notices"),
        "company": accounts.company(),
    }


def _date(session: Session, bundle: NoticeBundle, now: datetime) -> None:
    """A mail that waited for its server counts on the day it leaves."""
    if bundle.day is None:
        return
    today = clock.local_day(now, zone_of(choice_of(session, bundle.user_id).timezone))
    taken = select(NoticeBundle.id).where(
        NoticeBundle.user_id == bundle.user_id, NoticeBundle.day == today
    )
    if session.scalar(taken) is None:
        bundle.day = today
        session.flush()
