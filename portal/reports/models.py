"""What reports keep of their own: figures of the time before the portal, rollouts, and rates."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.accounts.models import Partner, User
from portal.db import Base, Key, UTCDateTime, new_id


class Baseline(Base):
    """A figure of a month before the portal, as somebody knows it from elsewhere.

    Rows are only ever added: the latest of a metric, month, partner and currency counts, and one
    without a value takes it back. `hundredths` of the metric's unit; without a partner it is the
    figure of all together. `source` is the file that it came from.
    """

    __tablename__ = "baseline"
    __table_args__ = (Index("ix_baseline_metric_month", "metric", "month"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    metric: Mapped[str] = mapped_column(String(30))
    month: Mapped[date]
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("partner.id"), index=True)
    currency: Mapped[str] = mapped_column(String(3), default="")
    hundredths: Mapped[int | None] = mapped_column(BigInteger)
    entered_at: Mapped[datetime] = mapped_column(UTCDateTime)
    entered_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    source: Mapped[str] = mapped_column(String(200), default="")

    partner: Mapped[Partner | None] = relationship()
    entered_by: Mapped[User | None] = relationship()


class Rollout(Base):
    """The introduction of a new partner experience: the line between before and after.

    It is declared before it happens (`declared_at` is printed); `day` is that of the partners that
    have none of their own in `rollout_partner`.
    """

    __tablename__ = "rollout"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120))
    day: Mapped[date] = mapped_column(index=True)
    declared_at: Mapped[datetime] = mapped_column(UTCDateTime)
    declared_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)

    declared_by: Mapped[User | None] = relationship()


class RolloutPartner(Base):
    """A partner that gets a rollout on a day of its own."""

    __tablename__ = "rollout_partner"

    rollout_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("rollout.id"), primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("partner.id"), primary_key=True)
    day: Mapped[date]


class ReportSettings(Base):
    """One row, once it was chosen: the currency that reports add up in."""

    __tablename__ = "report_settings"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3))


class ExchangeRate(Base):
    """What one unit of `currency` is worth in `target` from a day on, in hundred-millionths.

    Rows are only ever added: the latest of two currencies and a day counts, and one without a rate
    takes it back. `source` is the file that it came from.
    """

    __tablename__ = "exchange_rate"
    __table_args__ = (Index("ix_exchange_rate_target_currency_day", "target", "currency", "day"),)

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    currency: Mapped[str] = mapped_column(String(3))
    target: Mapped[str] = mapped_column(String(3))
    day: Mapped[date]
    rate_e8: Mapped[int | None] = mapped_column(BigInteger)
    entered_at: Mapped[datetime] = mapped_column(UTCDateTime)
    entered_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user.id"), index=True)
    source: Mapped[str] = mapped_column(String(200), default="")

    entered_by: Mapped[User | None] = relationship()
