"""Links keep when they were first opened, so that whoever made them is told once.

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-26 00:45:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table('share_link', schema=None) as batch_op:
        batch_op.add_column(sa.Column('opened_at', portal.db.UTCDateTime(), nullable=True))

    # What was opened before this version is no news.
    op.execute(
        "UPDATE share_link SET opened_at = created_at WHERE EXISTS (SELECT 1 FROM load "
        "WHERE load.share_id = share_link.id AND load.activated_at IS NOT NULL "
        "AND load.machine = 0)"
    )


def downgrade() -> None:
    """Change them back."""
    with op.batch_alter_table('share_link', schema=None) as batch_op:
        batch_op.drop_column('opened_at')
