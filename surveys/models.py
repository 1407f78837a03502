"""Surveys, their questionnaires, waves and invitations, and what people answered."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import User
from portal.db import Base, Key, UTCDateTime, new_id

OPEN, SKIPPED = "open", "skipped"
SCHEDULED, MANUAL, BASELINE = "scheduled", "manual", "baseline"
BEFORE, AFTER = "before", "after"


class Mode(StrEnum):
    """Who sees an answer; printed in the invitation and fixed for a wave.

    Attributed: channel managers, with name and company. Confidential: nobody sees an answer, only
    sums of at least the minimum n; the portal knows who answered what. Anonymous: nobody, and once
    the wave has closed nothing ties an answer to a person but their partner and language: where
    only one of a partner answered, whoever reads the database can tell.
    """

    attributed = "attributed"
    confidential = "confidential"
    anonymous = "anonymous"


class Questionnaire(Base):
    """One version of the questions, never changed once used. Waves are comparable only when their
    questionnaires have the same `core_hash`. `body` is read through `surveys.definitions`."""

    __tablename__ = "questionnaire"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(Integer, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    # The version that this one was made from.
    follows_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("questionnaire.id"))
    core_hash: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Survey(Base):
    """A recurring survey: whom, when and how it asks, and for how long one may answer.

    `starts_local` is the first due time on a wall clock in `timezone`, ISO without offset. An
    empty `rrule` never comes due: such a survey is opened by hand.
    """

    __tablename__ = "survey"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120))
    questionnaire_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("questionnaire.id"))
    mode: Mapped[str] = mapped_column(String(12), default=Mode.attributed)
    # {"tiers": [...], "regions": [...], "roles": [...], "partners": [ids], "never_asked": bool};
    # what is missing or empty asks everyone.
    audience: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    rrule: Mapped[str] = mapped_column(String(200))
    starts_local: Mapped[str] = mapped_column(String(19))
    timezone: Mapped[str] = mapped_column(String(64))
    open_days: Mapped[int] = mapped_column(Integer)
    # Days after opening on which those who have not answered are reminded.
    reminder_days: Mapped[list[int]] = mapped_column(JSON, default=list)
    # Nobody is asked who was asked by any survey in so many days before.
    quarantine_days: Mapped[int] = mapped_column(Integer, default=0)
    # No figure is shown of fewer people than this.
    minimum_n: Mapped[int] = mapped_column(Integer, default=5)
    # Occurrences up to here are settled: opened, skipped, or passed while paused.
    settled_until: Mapped[str] = mapped_column(String(19), default="")
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    questionnaire: Mapped[Questionnaire] = relationship()


class Wave(Base):
    """One round of a survey. Its identity is the local time it was due; that of a wave opened by
    hand begins with `m`, so that it never takes the place of a scheduled one.

    Mode, reminders and minimum n are frozen when it opens: what people were promised holds.
    """

    __tablename__ = "wave"
    __table_args__ = (UniqueConstraint("survey_id", "occurrence_local"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    survey_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("survey.id"))
    kind: Mapped[str] = mapped_column(String(10), default=SCHEDULED)
    occurrence_local: Mapped[str] = mapped_column(String(24))
    state: Mapped[str] = mapped_column(String(10))
    questionnaire_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("questionnaire.id"))
    mode: Mapped[str] = mapped_column(String(12), default=Mode.attributed)
    minimum_n: Mapped[int] = mapped_column(Integer, default=5)
    reminder_days: Mapped[list[int]] = mapped_column(JSON, default=list)
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    closes_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    # When the job has seen that it is over, and cut what tied anonymous answers to a mail.
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # How many people of the audience were not asked, by reason: quarantine, mailbox, opted_out.
    left_out: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    rollout_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("rollout.id"))
    rollout_side: Mapped[str | None] = mapped_column(String(6))
    # "You said, we did": shown to those who are asked next.
    said: Mapped[str] = mapped_column(Text, default="")

    survey: Mapped[Survey] = relationship()
    questionnaire: Mapped[Questionnaire] = relationship()


class Invitation(Base):
    """A person is asked in a wave; partner, tier, region and language as they were when it opened.

    `mailbox` is a hash of the normalised address: two people who share one are asked once.
    `answered` says that an answer is there, never which: in an anonymous wave nothing else does.
    """

    __tablename__ = "survey_invitation"
    __table_args__ = (
        UniqueConstraint("wave_id", "user_id"),
        UniqueConstraint("wave_id", "mailbox"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    wave_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wave.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    mailbox: Mapped[str | None] = mapped_column(String(64))
    tier: Mapped[str] = mapped_column(String(40))
    region: Mapped[str] = mapped_column(String(40))
    locale: Mapped[str] = mapped_column(String(10), default="en")
    # The mail that asks; None where nobody was written to.
    mail_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("outbox.id"))
    reminders: Mapped[int] = mapped_column(Integer, default=0)
    reminded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # `partial` while a required question is open, else `complete`; None without an answer.
    answered: Mapped[str | None] = mapped_column(String(10))
    # The person said no to this wave, or put the banner aside.
    declined_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    dismissed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    wave: Mapped[Wave] = relationship()
    user: Mapped[User] = relationship()
    response: Mapped[Response | None] = relationship(back_populates="invitation")


class SurveyLink(Base):
    """The hash of a token that was mailed: the token itself exists only there. Each mail of an
    invitation has its own, and all of them work."""

    __tablename__ = "survey_link"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    invitation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("survey_invitation.id"), index=True)

    invitation: Mapped[Invitation] = relationship()


class SurveyOptOut(Base):
    """A person wants no more mail about surveys (RFC 8058, or on the page of notices)."""

    __tablename__ = "survey_opt_out"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Response(Base):
    """What one invited person answered; a later submission replaces it until the wave closes.

    An anonymous one has no invitation and no time; until the wave closes it is found by
    `answer_key`, a hash of the mailed token that differs from the one of its link.
    """

    __tablename__ = "response"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    invitation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("survey_invitation.id"), unique=True
    )
    answer_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    wave_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wave.id"), index=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    locale: Mapped[str] = mapped_column(String(10), default="en")
    submission_id: Mapped[str] = mapped_column(String(40))
    complete: Mapped[bool] = mapped_column(Boolean, default=True)
    comment: Mapped[str] = mapped_column(Text, default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    wave: Mapped[Wave] = relationship()
    invitation: Mapped[Invitation | None] = relationship(back_populates="response")
    answers: Mapped[list[Answer]] = relationship(cascade="all, delete-orphan")


class Answer(Base):
    """The answer to one question: a whole number from 1 to 10, the chosen options, a text, or a
    code for why there is none (`cannot_say`)."""

    __tablename__ = "answer"
    __table_args__ = (CheckConstraint("value BETWEEN 1 AND 10", name="on_the_scale"),)

    response_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("response.id"), primary_key=True)
    question: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[int | None] = mapped_column(SmallInteger)
    choices: Mapped[list[str]] = mapped_column(JSON, default=list)
    text: Mapped[str] = mapped_column(Text, default="")
    missing: Mapped[str | None] = mapped_column(String(20))


class FollowUp(Base):
    """Somebody answered low, or lower than before: the channel manager is to call, by a day."""

    __tablename__ = "survey_follow_up"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    wave_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wave.id"), index=True)
    response_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("response.id"), unique=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"), index=True)
    # Who closed it; while it is open it is whose the partner is.
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    # `low` or `fall`
    reason: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10), default="opened")
    due_on: Mapped[date]
    note: Mapped[str] = mapped_column(Text, default="")
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    contacted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    wave: Mapped[Wave] = relationship()
    response: Mapped[Response] = relationship()
