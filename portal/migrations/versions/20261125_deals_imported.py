"""Deals from files: their key elsewhere, nobody who submitted them, the day they were lost.
Rules in business hours, extensions, two approvers, revocation by two.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-25 18:40:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


POLICY = {
    'opens': '540', 'closes': '1020', 'extension_days': '60', 'max_extensions': '1',
    'max_resubmissions': '2',
}


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
        batch_op.add_column(sa.Column('extension_asked_at', portal.db.UTCDateTime(), nullable=True))
        for name in ('first_approved_by_id', 'revocation_by_id'):
            batch_op.add_column(sa.Column(name, portal.db.Key(), nullable=True))
            batch_op.create_foreign_key(batch_op.f(f'fk_deal_{name}'), 'user', [name], ['id'])
        batch_op.alter_column('submitted_by_id', existing_type=portal.db.Key(), nullable=True)
        batch_op.create_unique_constraint(batch_op.f('uq_deal_external_id'), ['external_id'])
        batch_op.create_index(batch_op.f('ix_deal_lost_at'), ['lost_at'], unique=False)

    with op.batch_alter_table('deal_history', schema=None) as batch_op:
        batch_op.alter_column('actor_id', existing_type=portal.db.Key(), nullable=True)

    with op.batch_alter_table('policy', schema=None) as batch_op:
        # A working day had eight hours, and the rules that are new come with their usual values.
        batch_op.alter_column('decision_days', new_column_name='decision_hours')
        for name, usual in POLICY.items():
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=usual))
        batch_op.add_column(sa.Column('two_person_minor', sa.BigInteger(), nullable=True))
        for name, length, usual in (('holiday_country', 2, ''), ('two_person_currency', 3, 'EUR')):
            batch_op.add_column(
                sa.Column(name, sa.String(length=length), nullable=False, server_default=usual)
            )
        batch_op.add_column(sa.Column('benefits', sa.Text(), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('created_by_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f('fk_policy_created_by_id'), 'user', ['created_by_id'], ['id']
        )

    op.execute("UPDATE policy SET decision_hours = decision_hours * 8")
    with op.batch_alter_table('policy', schema=None) as batch_op:
        for name in (*POLICY, 'holiday_country', 'two_person_currency', 'benefits'):
            batch_op.alter_column(name, server_default=None)

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
        for name in ('first_approved_by_id', 'revocation_by_id'):
            batch_op.drop_constraint(batch_op.f(f'fk_deal_{name}'), type_='foreignkey')
            batch_op.drop_column(name)
        batch_op.drop_column('extension_asked_at')
        batch_op.drop_column('lost_at')
        batch_op.drop_column('external_id')

    op.execute("UPDATE policy SET decision_hours = (decision_hours + 7) / 8")
    with op.batch_alter_table('policy', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_policy_created_by_id'), type_='foreignkey')
        for name in (*POLICY, 'two_person_minor', 'holiday_country', 'two_person_currency',
                     'benefits', 'created_by_id'):
            batch_op.drop_column(name)
        batch_op.alter_column('decision_hours', new_column_name='decision_days')

    with op.batch_alter_table('import_run', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_import_run_by_id'))

    op.drop_table('import_run')
