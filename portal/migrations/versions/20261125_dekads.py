"""Attention: rows for a third of a month, so that reports read fewer; sets stand last in a row.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-25 21:20:11.480312
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

FIGURES = (
    'views', 'engaged_views', 'ended_views', 'downloads', 'downloads_started', 'downloads_completed',
    'shares', 'likes', 'active', 'reading', 'idle', 'glance', 'overlap',
)
SETS = {'sum_partner': ('partner_id', ['people']), 'sum_asset': ('asset_id', ['people', 'partners', 'dwells'])}


def upgrade() -> None:
    """Change the tables."""
    for name, (_key, sets) in SETS.items():
        if op.get_bind().dialect.name == 'sqlite':
            with op.batch_alter_table(
                name, recreate='always', partial_reordering=[('overlap', *sets)],
                table_kwargs={'sqlite_with_rowid': False},
            ):
                pass
        _add_dekads(name)
    # --- PostgreSQL: room for a new version of a row beside the old one, so that no index changes
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE slot SET (fillfactor = 70)')
        op.execute('ALTER TABLE load SET (fillfactor = 90)')


def _table(name: str) -> sa.TableClause:
    key, sets = SETS[name]
    return sa.table(
        name,
        sa.column('grain', sa.String()),
        sa.column('day', sa.Date()),
        sa.column(key, portal.db.Key()),
        sa.column('audience', sa.String()),
        *(sa.column(figure, sa.BigInteger()) for figure in FIGURES),
        *(sa.column(column, sa.LargeBinary()) for column in sets),
    )


def _add_dekads(name: str) -> None:
    connection, table = op.get_bind(), _table(name)
    key, sets = SETS[name]
    days = sorted(connection.scalars(sa.select(table.c.day).where(table.c.grain == 'day').distinct()))
    dekads: dict[date, list[date]] = defaultdict(list)
    for day in days:
        dekads[day.replace(day=min(day.day - 1, 20) // 10 * 10 + 1)].append(day)
    for first, some in dekads.items():
        found: dict[Any, list[Any]] = defaultdict(list)
        query = sa.select(table).where(table.c.grain == 'day', table.c.day.in_(some))
        for row in connection.execute(query).mappings():
            found[row[key], row['audience']].append(row)
        rows = [
            {
                'grain': 'dekad', 'day': first, key: owner, 'audience': audience,
                **{figure: sum(row[figure] for row in mine) for figure in FIGURES},
                **{column: _united(column, [row[column] for row in mine]) for column in sets},
            }
            for (owner, audience), mine in found.items()
        ]
        connection.execute(sa.insert(table), rows)


def _united(column: str, packs: list[bytes]) -> bytes:
    parts = [msgspec.msgpack.decode(pack) for pack in packs]
    if column != 'dwells':
        return msgspec.msgpack.encode(sorted({number for some in parts for number in some}))
    bars: dict[int, int] = defaultdict(int)
    for some in parts:
        for value, n in zip(some[::2], some[1::2], strict=True):
            bars[value] += n
    return msgspec.msgpack.encode([part for pair in sorted(bars.items()) for part in pair])


def downgrade() -> None:
    """Change them back."""
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE load RESET (fillfactor)')
        op.execute('ALTER TABLE slot RESET (fillfactor)')
    for name in SETS:
        op.execute(f"DELETE FROM {name} WHERE grain = 'dekad'")
