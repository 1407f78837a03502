"""Surveys, their questionnaires, waves and invitations, and what people answered."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    JSON,
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


class Questionnaire(Base):
    """One version of the questions, never changed once used. Waves are comparable only when their
    questionnaires have the same `core_hash`."""

    __tablename__ = "questionnaire"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(Integer, unique=True)
    core_hash: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, dict[str, str]]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Survey(Base):
    """A recurring survey: when it is asked, and for how long one may answer.

    `starts_local` is the first due time on a wall clock in `timezone`, ISO without offset.
    """

    __tablename__ = "survey"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120))
    questionnaire_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("questionnaire.id"))
    rrule: Mapped[str] = mapped_column(String(200))
    starts_local: Mapped[str] = mapped_column(String(19))
    timezone: Mapped[str] = mapped_column(String(64))
    open_days: Mapped[int] = mapped_column(Integer)
    # Occurrences up to here are settled: opened, skipped, or passed while paused.
    settled_until: Mapped[str] = mapped_column(String(19), default="")
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Wave(Base):
    """One round of a survey. Its identity is the local time it was due."""

    __tablename__ = "wave"
    __table_args__ = (UniqueConstraint("survey_id", "occurrence_local"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    survey_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("survey.id"))
    occurrence_local: Mapped[str] = mapped_column(String(19))
    state: Mapped[str] = mapped_column(String(10))
    questionnaire_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("questionnaire.id"))
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    closes_at: Mapped[datetime] = mapped_column(UTCDateTime)

    survey: Mapped[Survey] = relationship()
    questionnaire: Mapped[Questionnaire] = relationship()


class Invitation(Base):
    """A person is asked in a wave; partner, tier and region as they were when it opened.

    `token_hash` comes to be when the mail is sent: the token itself exists only there.
    """

    __tablename__ = "survey_invitation"
    __table_args__ = (UniqueConstraint("wave_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    wave_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wave.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    tier: Mapped[str] = mapped_column(String(40))
    region: Mapped[str] = mapped_column(String(40))
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)

    wave: Mapped[Wave] = relationship()
    user: Mapped[User] = relationship()
    response: Mapped[Response | None] = relationship(back_populates="invitation")


class Response(Base):
    """What one invited person answered; a later submission replaces it until the wave closes."""

    __tablename__ = "response"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    invitation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("survey_invitation.id"), unique=True
    )
    wave_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wave.id"), index=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"))
    submission_id: Mapped[str] = mapped_column(String(40))
    comment: Mapped[str] = mapped_column(Text, default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    invitation: Mapped[Invitation] = relationship(back_populates="response")
    answers: Mapped[list[Answer]] = relationship(cascade="all, delete-orphan")


class Answer(Base):
    """The answer to one question: a whole number from 1 to 10, or a code for why there is none."""

    __tablename__ = "answer"
    __table_args__ = (CheckConstraint("value BETWEEN 1 AND 10", name="on_the_scale"),)

    response_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("response.id"), primary_key=True)
    question: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[int | None] = mapped_column(SmallInteger)
    missing: Mapped[str | None] = mapped_column(String(20))
