"""Deals from files: their key elsewhere, nobody who submitted them, the day they were lost.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-25 18:40:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0004'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table('import_run',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('by_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('filename', sa.String(length=200), nullable=False),
    sa.Column('file_key', sa.String(length=200), nullable=False),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('imported_at', portal.db.UTCDateTime(), nullable=True),
    sa.Column('result', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['by_id'], ['user.id'], name=op.f('fk_import_run_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_run'))
    )
    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_import_run_by_id'), ['by_id'], unique=False)

    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.add_column(sa.Column('external_id', sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column('lost_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.alter_column('submitted_by_id', existing_type=portal.db.Key(), nullable=True)
        batch_op.create_unique_constraint(batch_op.f('uq_deal_external_id'), ['external_id'])
        batch_op.create_index(batch_op.f('ix_deal_lost_at'), ['lost_at'], unique=False)

    with op.batch_alter_table('deal_history', schema=None) as batch_op:
        batch_op.alter_column('actor_id', existing_type=portal.db.Key(), nullable=True)

    # What was lost before this version was lost when somebody said so.
    op.execute(
        "UPDATE deal SET lost_at = (SELECT max(h.at) FROM deal_history h "
        "WHERE h.deal_id = deal.id AND h.move = 'lose') WHERE stage = 'lost'"
    )


def downgrade() -> None:
    """Change them back; refused where deals were imported."""
    imported = op.get_bind().scalar(
        sa.text("SELECT count(*) FROM deal WHERE submitted_by_id IS NULL")
    )
    if imported:
        raise RuntimeError(f"{imported} imported deals have no place in the version before")
    with op.batch_alter_table('deal_history', schema=None) as batch_op:
        batch_op.alter_column('actor_id', existing_type=portal.db.Key(), nullable=False)

    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_deal_lost_at'))
        batch_op.drop_constraint(batch_op.f('uq_deal_external_id'), type_='unique')
        batch_op.alter_column('submitted_by_id', existing_type=portal.db.Key(), nullable=False)
        batch_op.drop_column('lost_at')
        batch_op.drop_column('external_id')

    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_import_run_by_id'))

    op.drop_table('import_run')
