"""Attention by page: rows for dekads and months, so that reports over a year read fewer.

Revision ID: 0017
Revises: 0016
Create Date: 2026-12-01 04:55:00
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

KEYS = ('asset_id', 'version_id', 'audience', 'page')
FIGURES = ('readers', 'active', 'reading', 'idle', 'glance', 'overlap')
PAGES = sa.table(
    'sum_page',
    sa.column('grain', sa.String()),
    sa.column('day', sa.Date()),
    *(sa.column(name) for name in (*KEYS, *FIGURES)),
)


def upgrade() -> None:
    """Make the table anew, clustered by asset and grain, and sum the days up."""
    _replace(['asset_id', 'grain', 'day', 'version_id', 'audience', 'page'])
    op.create_index('ix_sum_page_day', 'sum_page', ['grain', 'day'])
    connection, day = op.get_bind(), PAGES.c.day
    first, last = connection.execute(sa.select(sa.func.min(day), sa.func.max(day))).one()
    keys = [PAGES.c[name] for name in KEYS]
    for grain, begin, until in _spans(first, last) if first else ():
        summed = (
            sa.select(sa.literal(grain), sa.literal(begin, sa.Date()), *keys)
            .add_columns(*(sa.func.sum(PAGES.c[name]) for name in FIGURES))
            .where(PAGES.c.grain == 'day', day >= begin, day < until)
            .group_by(*keys)
        )
        names = ('grain', 'day', *KEYS, *FIGURES)
        connection.execute(sa.insert(PAGES).from_select(names, summed))


def _spans(first: date, last: date) -> Iterator[tuple[str, date, date]]:
    """Every dekad and month between two days: its first day, and the day after it."""
    month = first.replace(day=1)
    while month <= last:
        after = (month + timedelta(days=31)).replace(day=1)
        edges = [month, month.replace(day=11), month.replace(day=21), after]
        yield from (('dekad', edges[n], edges[n + 1]) for n in range(3))
        yield 'month', month, after
        month = after


def _replace(key: list[str]) -> None:
    """Move the rows of days to a table with this key, with a grain if that is part of it."""
    is_postgres = op.get_bind().dialect.name == 'postgresql'
    grain = [sa.Column('grain', sa.String(length=5), nullable=False)] if 'grain' in key else []
    op.drop_index('ix_sum_page_day', table_name='sum_page')
    op.create_table(
        'sum_page_new',
        sa.Column('asset_id', portal.db.Key(), nullable=False),
        *grain,
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('version_id', portal.db.Key(), nullable=False),
        sa.Column('audience', sa.String(length=10), nullable=False),
        sa.Column('page', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('readers', sa.Integer(), nullable=False),
        *(sa.Column(name, portal.db.Milliseconds, nullable=False) for name in FIGURES[1:]),
        sa.PrimaryKeyConstraint(*key, name='pk_sum_page_new' if is_postgres else 'pk_sum_page'),
        sqlite_with_rowid=False,
    )
    columns = ', '.join(('day', *KEYS, *FIGURES))
    if grain:
        op.execute(f"INSERT INTO sum_page_new ({columns}, grain) SELECT {columns}, 'day' FROM sum_page")
    else:
        days = f"SELECT {columns} FROM sum_page WHERE grain = 'day'"
        op.execute(f'INSERT INTO sum_page_new ({columns}) {days}')
    op.drop_table('sum_page')
    op.rename_table('sum_page_new', 'sum_page')
    if is_postgres:
        op.execute('ALTER TABLE sum_page RENAME CONSTRAINT pk_sum_page_new TO pk_sum_page')


def downgrade() -> None:
    """Change it back: days alone."""
    _replace(['asset_id', 'day', 'version_id', 'audience', 'page'])
    op.create_index('ix_sum_page_day', 'sum_page', ['day'])
