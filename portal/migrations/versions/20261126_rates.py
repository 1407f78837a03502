"""Exchange rates to the currency that reports add up in, and which one that is.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-26 00:58:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table('report_settings',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_report_settings'))
    )
    op.create_table('exchange_rate',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('target', sa.String(length=3), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('rate_e8', sa.BigInteger(), nullable=True),
    sa.Column('entered_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('entered_by_id', portal.db.Key(), nullable=True),
    sa.Column('source', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['entered_by_id'], ['user.id'], name=op.f('fk_exchange_rate_entered_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exchange_rate'))
    )
    with op.batch_alter_table('exchange_rate', schema=None) as batch_op:
        batch_op.create_index('ix_exchange_rate_target_currency_day', ['target', 'currency', 'day'], unique=False)
        batch_op.create_index(batch_op.f('ix_exchange_rate_entered_by_id'), ['entered_by_id'], unique=False)


def downgrade() -> None:
    """Change them back. Rates go with their table: export them first."""
    op.execute("DELETE FROM import_run WHERE kind = 'rates'")
    op.drop_table('exchange_rate')
    op.drop_table('report_settings')
