"""Attention finished: what a partner's named people read is found without looking at everyone's.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25 09:00:00.000000
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

_READER = "audience = 'partner' AND asset_id IS NOT NULL"


def upgrade() -> None:
    """Change the tables."""
    # --- the people of one partner ---
    with op.batch_alter_table('load', schema=None) as batch_op:
        batch_op.create_index('ix_load_reader', ['partner_id', 'issued_at'], unique=False, sqlite_where=sa.text(_READER), postgresql_where=sa.text(_READER))


def downgrade() -> None:
    """Change them back."""
    # --- the people of one partner ---
    with op.batch_alter_table('load', schema=None) as batch_op:
        batch_op.drop_index('ix_load_reader', sqlite_where=sa.text(_READER), postgresql_where=sa.text(_READER))
