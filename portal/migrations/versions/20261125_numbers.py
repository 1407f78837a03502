"""Partners known by a key elsewhere, people whose invitations are held, imports of several kinds.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-25 21:30:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table('partner', schema=None) as batch_op:
        batch_op.add_column(sa.Column('external_id', sa.String(length=100), nullable=True))
        batch_op.create_unique_constraint(batch_op.f('uq_partner_external_id'), ['external_id'])

    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.add_column(sa.Column('held_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.create_index(batch_op.f('ix_user_held_at'), ['held_at'], unique=False)

    # What was imported until now were deals.
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.add_column(
            sa.Column('kind', sa.String(length=20), nullable=False, server_default='deals')
        )
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.alter_column('kind', server_default=None)

    op.create_table('baseline',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('metric', sa.String(length=30), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('hundredths', sa.BigInteger(), nullable=True),
    sa.Column('entered_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('entered_by_id', portal.db.Key(), nullable=True),
    sa.Column('source', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['entered_by_id'], ['user.id'], name=op.f('fk_baseline_entered_by_id')),
    sa.ForeignKeyConstraint(['partner_id'], ['partner.id'], name=op.f('fk_baseline_partner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_baseline'))
    )
    with op.batch_alter_table('baseline', schema=None) as batch_op:
        batch_op.create_index('ix_baseline_metric_month', ['metric', 'month'], unique=False)
        batch_op.create_index(batch_op.f('ix_baseline_entered_by_id'), ['entered_by_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_baseline_partner_id'), ['partner_id'], unique=False)


def downgrade() -> None:
    """Change them back; refused while invitations wait, because they would be lost."""
    held = op.get_bind().scalar(
        sa.text('SELECT count(*) FROM "user" WHERE held_at IS NOT NULL')
    )
    if held:
        raise RuntimeError(f"{held} invitations wait: release them first")
    op.drop_table('baseline')
    op.execute("DELETE FROM import_run WHERE kind <> 'deals'")
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.drop_column('kind')

    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_user_held_at'))
        batch_op.drop_column('held_at')

    with op.batch_alter_table('partner', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_partner_external_id'), type_='unique')
        batch_op.drop_column('external_id')
