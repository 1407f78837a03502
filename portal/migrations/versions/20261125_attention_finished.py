"""Attention finished: the links of an asset or a partner are found at once.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25 18:30:00.000000
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    # --- the links of one asset, or of one partner ---
    with op.batch_alter_table('share_event', schema=None) as batch_op:
        batch_op.create_index('ix_share_event_asset_at', ['asset_id', 'at'], unique=False)
        batch_op.create_index('ix_share_event_partner_at', ['partner_id', 'at'], unique=False)

    # --- shares and likes are counted by other rules from now on ---
    _mark_every_day()


def _mark_every_day() -> None:
    connection = op.get_bind()
    days = sa.table('day_state', sa.column('day', sa.Date()))
    mark = sa.table('mark', sa.column('id', portal.db.Key()), sa.column('day', sa.Date()), sa.column('at', portal.db.UTCDateTime()))
    at = datetime.now(UTC)
    rows = [{'id': portal.db.new_id(), 'day': day, 'at': at} for day in connection.scalars(sa.select(days.c.day))]
    if rows:
        connection.execute(sa.insert(mark), rows)


def downgrade() -> None:
    """Change them back."""
    # --- the links of one asset, or of one partner ---
    with op.batch_alter_table('share_event', schema=None) as batch_op:
        batch_op.drop_index('ix_share_event_partner_at')
        batch_op.drop_index('ix_share_event_asset_at')

    _mark_every_day()
