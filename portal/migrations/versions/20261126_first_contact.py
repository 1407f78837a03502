"""Known accounts with the day of the vendor's first contact: what was brought in before this version
was known on the day it was last imported.

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-26 00:50:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the table."""
    with op.batch_alter_table('known_account', schema=None) as batch_op:
        batch_op.add_column(sa.Column('first_contact', sa.Date(), nullable=True))
    op.execute("UPDATE known_account SET first_contact = date(imported_at)")
    with op.batch_alter_table('known_account', schema=None) as batch_op:
        batch_op.alter_column('first_contact', existing_type=sa.Date(), nullable=False)


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table('known_account', schema=None) as batch_op:
        batch_op.drop_column('first_contact')
