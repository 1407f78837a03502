"""Deals: drafts that save themselves, comments, files, what helped, order numbers, benefits by tier;
links know the deal they were made for.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-25 21:10:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table('deal_comment',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('author_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['author_id'], ['user.id'], name=op.f('fk_deal_comment_author_id')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_comment_deal_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_comment'))
    )
    with op.batch_alter_table('deal_comment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_comment_author_id'), ['author_id'], unique=False)
        batch_op.create_index('ix_deal_comment_deal_id_at', ['deal_id', 'at'], unique=False)

    op.create_table('deal_file',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('by_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('filename', sa.String(length=200), nullable=False),
    sa.Column('media_type', sa.String(length=100), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('file_key', sa.String(length=200), nullable=False),
    sa.Column('removed_at', portal.db.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['by_id'], ['user.id'], name=op.f('fk_deal_file_by_id')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_file_deal_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_file'))
    )
    with op.batch_alter_table('deal_file', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_file_by_id'), ['by_id'], unique=False)
        batch_op.create_index('ix_deal_file_deal_id_at', ['deal_id', 'at'], unique=False)

    op.create_table('deal_helped',
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_deal_helped_asset_id')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_helped_deal_id')),
    sa.PrimaryKeyConstraint('deal_id', 'asset_id', name=op.f('pk_deal_helped'))
    )
    with op.batch_alter_table('deal_helped', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_helped_asset_id'), ['asset_id'], unique=False)

    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.add_column(sa.Column('version', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('typed', sa.JSON(), nullable=False, server_default='{}'))
        for name, length in (('order_number', 60), ('pursued_anyway', 10)):
            batch_op.add_column(
                sa.Column(name, sa.String(length=length), nullable=False, server_default='')
            )
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.alter_column('typed', server_default=None)

    with op.batch_alter_table('policy', schema=None) as batch_op:
        batch_op.add_column(
            sa.Column('tier_benefits', sa.JSON(), nullable=False, server_default='{}')
        )
    with op.batch_alter_table('policy', schema=None) as batch_op:
        batch_op.alter_column('tier_benefits', server_default=None)

    with op.batch_alter_table('share_link', schema=None) as batch_op:
        batch_op.add_column(sa.Column('deal_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_share_link_deal_id'), 'deal', ['deal_id'], ['id'])
        batch_op.create_index(batch_op.f('ix_share_link_deal_id'), ['deal_id'], unique=False)


def downgrade() -> None:
    """Change them back; refused where something would be lost."""
    for table in ('deal_comment', 'deal_file', 'deal_helped'):
        kept = op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {table}"))
        if kept:
            raise RuntimeError(f"{kept} rows of {table} have no place in the version before")
    with op.batch_alter_table('share_link', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_share_link_deal_id'))
        batch_op.drop_constraint(batch_op.f('fk_share_link_deal_id'), type_='foreignkey')
        batch_op.drop_column('deal_id')

    with op.batch_alter_table('policy', schema=None) as batch_op:
        batch_op.drop_column('tier_benefits')

    with op.batch_alter_table('deal', schema=None) as batch_op:
        for name in ('version', 'typed', 'order_number', 'pursued_anyway'):
            batch_op.drop_column(name)

    op.drop_table('deal_helped')
    op.drop_table('deal_file')
    op.drop_table('deal_comment')
