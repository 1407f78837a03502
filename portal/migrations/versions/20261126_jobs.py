"""Jobs: whose claim it is, and when a run ended without a word.

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-26 01:00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the table."""
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.add_column(sa.Column('claim', portal.db.Key(), nullable=True))
        batch_op.add_column(
            sa.Column('claimed_by', sa.String(length=80), nullable=False, server_default='')
        )
        batch_op.add_column(sa.Column('lost_at', portal.db.UTCDateTime(), nullable=True))
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.alter_column('claimed_by', server_default=None)


def downgrade() -> None:
    """Change it back; a claim that is held ends with its lease."""
    with op.batch_alter_table('job', schema=None) as batch_op:
        for name in ('lost_at', 'claimed_by', 'claim'):
            batch_op.drop_column(name)
