"""The numbers of days and months: rollups, derived from base rows and written by
`tracking.rollups` alone.

Context: a report over a year of ten million views must not read ten million rows, and people and
medians cannot be added up. Most periods begin and end within a month: with rows of days and months
alone, nine tenths of what was read were the days beside the months.
Decision: one table for each question that reports ask (a partner, an asset, the two together, a
page, an area, a search). All but the pairs and the areas have a row for each day, each dekad (a
third of a month) and each month, the sum of the next finer. People are kept as sets of numbers,
dwell as a histogram in whole seconds, so that both can be united exactly. A row for everyone
together has the partner `EVERYONE`. Sets stand last in a row: SQLite follows a chain of pages to
get past them.
Consequences: a period is whole months with the dekads and days beside them; nothing is counted
twice, and each row can be checked against the finer ones.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Date, Index, Integer, LargeBinary, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock
from portal.db import Base, Key, Milliseconds, UTCDateTime


class Grain(StrEnum):
    """What a row sums up, from fine to coarse; its `day` is the first of them.

    A dekad is a third of a month, as meteorologists count: from the 1st, the 11th, and the 21st to
    the end.
    """

    day = "day"
    dekad = "dekad"
    month = "month"

    @property
    def finer(self) -> Grain:
        """The grain whose rows add up to those of this one."""
        return Grain.day if self is Grain.dekad else Grain.dekad

    def first(self, day: date) -> date:
        """The first day of the dekad or month that holds `day`."""
        if self is Grain.month:
            return day.replace(day=1)
        return day.replace(day=min(day.day - 1, 20) // 10 * 10 + 1) if self is Grain.dekad else day

    def after(self, first: date) -> date:
        """The first day of the next one."""
        if self is Grain.day:
            return first + timedelta(days=1)
        if self is Grain.dekad and first.day < 21:
            return first + timedelta(days=10)
        return clock.add_months(first.replace(day=1), 1)


COARSE = (Grain.dekad, Grain.month)


class _Attention:
    """Milliseconds by bucket, after the cap per person; `overlap` is what was beyond it."""

    active: Mapped[int] = mapped_column(Milliseconds)
    reading: Mapped[int] = mapped_column(Milliseconds)
    idle: Mapped[int] = mapped_column(Milliseconds)
    glance: Mapped[int] = mapped_column(Milliseconds)
    overlap: Mapped[int] = mapped_column(Milliseconds)


class _Figures(_Attention):
    """What was done: views (`engaged`: 10 s of dwell and more; `ended`: measured to the end),
    downloads (`started`: the first byte was sent; `completed`: all were), shares (links made: of an
    asset those with it, so that a partner's are fewer than its assets' together), likes (given, and
    not taken back before the day was over)."""

    views: Mapped[int] = mapped_column(Integer)
    engaged_views: Mapped[int] = mapped_column(Integer)
    ended_views: Mapped[int] = mapped_column(Integer)
    downloads: Mapped[int] = mapped_column(Integer)
    downloads_started: Mapped[int] = mapped_column(Integer)
    downloads_completed: Mapped[int] = mapped_column(Integer)
    shares: Mapped[int] = mapped_column(Integer)
    likes: Mapped[int] = mapped_column(Integer)


class PartnerSum(_Figures, Base):
    """What a partner (or its customers, by audience) did; and EVERYONE together.

    `people` is the set of readers with a view, as `tracking.packing.packed` makes it.
    """

    __tablename__ = "sum_partner"
    __table_args__ = (
        Index("ix_sum_partner_partner", "partner_id", "grain", "day"),
        {"sqlite_with_rowid": False},
    )

    grain: Mapped[str] = mapped_column(String(5), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    people: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)


class AssetSum(_Figures, Base):
    """What all partners (or all customers) did with an asset.

    `partners` is the set of partners with a view, `dwells` the histogram of its views: pairs of
    whole seconds and how many views.
    """

    __tablename__ = "sum_asset"
    __table_args__ = (
        Index("ix_sum_asset_asset", "asset_id", "grain", "day"),
        {"sqlite_with_rowid": False},
    )

    grain: Mapped[str] = mapped_column(String(5), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    people: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)
    partners: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)
    dwells: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)


class PairSum(_Figures, Base):
    """What one partner (or its customers) did with one asset on a day."""

    __tablename__ = "sum_pair"
    # Clustered by asset on SQLite: an asset's page reads the most rows.
    __table_args__ = (
        Index("ix_sum_pair_partner", "partner_id", "day"),
        {"sqlite_with_rowid": False},
    )

    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)


class PageSum(_Attention, Base):
    """The attention of an asset's views by page; `readers` are views with 2 s of dwell on it."""

    __tablename__ = "sum_page"
    # Clustered by asset on SQLite, too.
    __table_args__ = (
        Index("ix_sum_page_day", "grain", "day"),
        {"sqlite_with_rowid": False},
    )

    asset_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    grain: Mapped[str] = mapped_column(String(5), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    version_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    audience: Mapped[str] = mapped_column(String(10), primary_key=True)
    page: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    readers: Mapped[int] = mapped_column(Integer)


class AreaSum(_Attention, Base):
    """Page views and attention of a partner (or EVERYONE) in an area of the portal."""

    __tablename__ = "sum_area"
    __table_args__ = (
        Index("ix_sum_area_day", "day"),
        {"sqlite_with_rowid": False},
    )

    partner_id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    area: Mapped[str] = mapped_column(String(10), primary_key=True)
    views: Mapped[int] = mapped_column(Integer)


class SearchSum(Base):
    """How often partners looked for these words; how often in vain, who did (a histogram of their
    numbers), and on which day last."""

    __tablename__ = "sum_search"
    __table_args__ = ({"sqlite_with_rowid": False},)

    grain: Mapped[str] = mapped_column(String(5), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    words: Mapped[str] = mapped_column(String(100), primary_key=True)
    searches: Mapped[int] = mapped_column(Integer)
    in_vain: Mapped[int] = mapped_column(Integer)
    seekers: Mapped[bytes] = mapped_column(LargeBinary)
    last: Mapped[date | None] = mapped_column(Date)


class DayState(Base):
    """How far a day is: open; closed and then folded 48 hours after its end; sealed and then
    emptied by retention.

    Of each two, the first is written before any row is touched, and takes effect at once: a closed
    day takes no more slots, the numbers of a sealed one are final. The second is written when all
    is done: a kill between them is made good by the next run.

    `generation` moves with every write of a rebuild, so that two rebuilds of one day cannot mix;
    `across` is a digest of its views that touch other days.
    """

    __tablename__ = "day_state"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    rebuilt_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    took_ms: Mapped[int] = mapped_column(Integer, default=0)
    across: Mapped[str] = mapped_column(String(64), default="")
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    folded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    sealed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    emptied_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
