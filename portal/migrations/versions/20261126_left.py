"""Deals with the moment at which they were given up: withdrawn, expired or revoked.

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-26 01:45:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the table; what was given up here is known from its history."""
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.add_column(sa.Column('left_at', portal.db.UTCDateTime(), nullable=True))
    op.execute(
        "UPDATE deal SET left_at = (SELECT max(h.at) FROM deal_history h WHERE h.deal_id = deal.id"
        " AND h.to_status = deal.status AND h.from_status <> h.to_status AND h.move <> 'import')"
        " WHERE status IN ('withdrawn', 'expired', 'revoked')"
    )


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.drop_column('left_at')
