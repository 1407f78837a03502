"""Leads: possible customers, what they asked, the offers of them to partners, and their rules.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-25 21:10:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def _keys(table: str, **keys: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [f'{other}.id'], name=op.f(f'fk_{table}_{column}'))
        for column, other in keys.items()
    ]


def _index(table: str, *columns: str, name: str = '', **more: object) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f(name or f"ix_{table}_{'_'.join(columns)}"), list(columns),
            **{'unique': False, **more},
        )


def upgrade() -> None:
    """Change the tables."""
    op.create_table('lead',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('external_id', sa.String(length=100), nullable=True),
    sa.Column('partner_id', portal.db.Key(), nullable=True),
    sa.Column('source', sa.String(length=10), nullable=False),
    sa.Column('stage', sa.String(length=15), nullable=False),
    sa.Column('created_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('created_by_id', portal.db.Key(), nullable=True),
    sa.Column('named_at', portal.db.UTCDateTime(), nullable=True),
    sa.Column('erased_at', portal.db.UTCDateTime(), nullable=True),
    sa.Column('company', sa.String(length=200), nullable=False),
    sa.Column('contact', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('phone', sa.String(length=40), nullable=False),
    sa.Column('country', sa.String(length=2), nullable=False),
    sa.Column('region', sa.String(length=40), nullable=False),
    sa.Column('product_family_id', portal.db.Key(), nullable=True),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('share_id', portal.db.Key(), nullable=True),
    sa.Column('recipient_id', portal.db.Key(), nullable=True),
    *_keys('lead', partner_id='partner', created_by_id='user',
           product_family_id='product_family', share_id='share_link', recipient_id='recipient'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lead')),
    sa.UniqueConstraint('external_id', name=op.f('uq_lead_external_id'))
    )
    for columns in (('partner_id', 'stage'), ('partner_id', 'email'), ('stage',), ('created_at',),
                    ('created_by_id',), ('product_family_id',), ('share_id',)):
        _index('lead', *columns)

    op.create_table('lead_history',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('lead_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('actor_id', portal.db.Key(), nullable=True),
    sa.Column('partner_id', portal.db.Key(), nullable=True),
    sa.Column('side', sa.String(length=10), nullable=False),
    sa.Column('move', sa.String(length=20), nullable=False),
    sa.Column('from_stage', sa.String(length=15), nullable=False),
    sa.Column('to_stage', sa.String(length=15), nullable=False),
    sa.Column('reason_code', sa.String(length=30), nullable=True),
    sa.Column('score', sa.Integer(), nullable=True),
    sa.Column('rules_version', sa.Integer(), nullable=True),
    *_keys('lead_history', lead_id='lead', actor_id='user', partner_id='partner'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lead_history'))
    )
    for columns in (('lead_id', 'at'), ('at',), ('actor_id',)):
        _index('lead_history', *columns)

    op.create_table('lead_note',
    sa.Column('history_id', portal.db.Key(), nullable=False),
    sa.Column('lead_id', portal.db.Key(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    *_keys('lead_note', history_id='lead_history', lead_id='lead'),
    sa.PrimaryKeyConstraint('history_id', name=op.f('pk_lead_note'))
    )
    _index('lead_note', 'lead_id')

    op.create_table('lead_offer',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('lead_id', portal.db.Key(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('offered_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('due_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('ended_at', portal.db.UTCDateTime(), nullable=True),
    sa.Column('ended_by_id', portal.db.Key(), nullable=True),
    sa.Column('reason_code', sa.String(length=30), nullable=True),
    *_keys('lead_offer', lead_id='lead', partner_id='partner', ended_by_id='user'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lead_offer')),
    sa.UniqueConstraint('lead_id', 'partner_id', 'offered_at',
                        name=op.f('uq_lead_offer_lead_id_partner_id_offered_at'))
    )
    _index('lead_offer', 'lead_id', name='ix_lead_offer_open', unique=True,
           sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))
    _index('lead_offer', 'partner_id', 'state')
    _index('lead_offer', 'state', 'due_at')

    op.create_table('enquiry',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('lead_id', portal.db.Key(), nullable=False),
    sa.Column('share_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('question', sa.Text(), nullable=False),
    sa.Column('consent', sa.Text(), nullable=False),
    *_keys('enquiry', lead_id='lead', share_id='share_link'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_enquiry'))
    )
    _index('enquiry', 'lead_id')
    _index('enquiry', 'share_id')

    op.create_table('lead_rules',
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('by_id', portal.db.Key(), nullable=False),
    sa.Column('threshold', sa.Integer(), nullable=False),
    sa.Column('accept_hours', sa.Integer(), nullable=False),
    sa.Column('rules', sa.JSON(), nullable=False),
    *_keys('lead_rules', by_id='user'),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_lead_rules'))
    )

    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.add_column(sa.Column('lead_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_deal_lead_id'), 'lead', ['lead_id'], ['id'])
        batch_op.create_index(batch_op.f('ix_deal_lead_id'), ['lead_id'], unique=False)


def downgrade() -> None:
    """Change them back."""
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_deal_lead_id'))
        batch_op.drop_constraint(batch_op.f('fk_deal_lead_id'), type_='foreignkey')
        batch_op.drop_column('lead_id')

    for table in ('lead_rules', 'enquiry', 'lead_offer', 'lead_note', 'lead_history', 'lead'):
        op.drop_table(table)
