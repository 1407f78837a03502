"""Customers and conflicts: keys that companies are compared by, known accounts of the vendor, checks
with their matches, merges, teaming.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-25 21:15:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
import portal.db
from portal.deals import conflicts

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

KEYS = {'company_key': 400, 'domain_key': 253, 'tax_key': 42}


def upgrade() -> None:
    """Change the tables."""
    for table in ('customer', 'deal'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column('tax_id', sa.String(length=40), nullable=False, server_default=''))
            for name, length in KEYS.items():
                batch_op.add_column(
                    sa.Column(name, sa.String(length=length), nullable=False, server_default='')
                )
                batch_op.create_index(batch_op.f(f'ix_{table}_{name}'), [name], unique=False)
    with op.batch_alter_table('customer', schema=None) as batch_op:
        batch_op.add_column(sa.Column('merged_into_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f('fk_customer_merged_into_id'), 'customer', ['merged_into_id'], ['id']
        )
        batch_op.create_index(batch_op.f('ix_customer_merged_into_id'), ['merged_into_id'], unique=False)
    _fill_keys('customer', 'name')
    _fill_keys('deal', 'customer_name')
    for table in ('customer', 'deal'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, length in {'tax_id': 40, **KEYS}.items():
                batch_op.alter_column(name, existing_type=sa.String(length=length), server_default=None)

    _create('known_account',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('external_id', sa.String(length=100), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('domain', sa.String(length=253), nullable=False),
    sa.Column('tax_id', sa.String(length=40), nullable=False),
    sa.Column('country', sa.String(length=2), nullable=False),
    sa.Column('postcode', sa.String(length=20), nullable=False),
    sa.Column('owner', sa.String(length=200), nullable=False),
    sa.Column('product_family_id', portal.db.Key(), nullable=True),
    sa.Column('imported_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('company_key', sa.String(length=400), nullable=False),
    sa.Column('domain_key', sa.String(length=253), nullable=False),
    sa.Column('tax_key', sa.String(length=42), nullable=False),
    sa.ForeignKeyConstraint(['product_family_id'], ['product_family.id'], name=op.f('fk_known_account_product_family_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_known_account')),
    sa.UniqueConstraint('external_id', name=op.f('uq_known_account_external_id')),
    indexed=('product_family_id', *KEYS),
    )
    _create('conflict_check',
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('checked_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('error', sa.String(length=500), nullable=False),
    sa.Column('keys_version', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_conflict_check_deal_id')),
    sa.PrimaryKeyConstraint('deal_id', name=op.f('pk_conflict_check')),
    indexed=('state',),
    )
    _create('conflict_match',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('other_deal_id', portal.db.Key(), nullable=True),
    sa.Column('account_id', portal.db.Key(), nullable=True),
    sa.Column('customer_id', portal.db.Key(), nullable=True),
    sa.Column('band', sa.String(length=10), nullable=False),
    sa.Column('score', sa.Integer(), nullable=False),
    sa.Column('is_rival', sa.Boolean(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['known_account.id'], name=op.f('fk_conflict_match_account_id')),
    sa.ForeignKeyConstraint(['customer_id'], ['customer.id'], name=op.f('fk_conflict_match_customer_id')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_conflict_match_deal_id')),
    sa.ForeignKeyConstraint(['other_deal_id'], ['deal.id'], name=op.f('fk_conflict_match_other_deal_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conflict_match')),
    indexed=('deal_id', 'other_deal_id', 'account_id', 'customer_id'),
    )
    _create('customer_merge',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('survivor_id', portal.db.Key(), nullable=False),
    sa.Column('merged_id', portal.db.Key(), nullable=False),
    sa.Column('by_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('deals', sa.Integer(), nullable=False),
    sa.Column('protections', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['by_id'], ['user.id'], name=op.f('fk_customer_merge_by_id')),
    sa.ForeignKeyConstraint(['merged_id'], ['customer.id'], name=op.f('fk_customer_merge_merged_id')),
    sa.ForeignKeyConstraint(['survivor_id'], ['customer.id'], name=op.f('fk_customer_merge_survivor_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_customer_merge')),
    indexed=('survivor_id', 'merged_id', 'by_id'),
    )
    _create('teaming',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('other_deal_id', portal.db.Key(), nullable=False),
    sa.Column('by_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('sentence', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['by_id'], ['user.id'], name=op.f('fk_teaming_by_id')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_teaming_deal_id')),
    sa.ForeignKeyConstraint(['other_deal_id'], ['deal.id'], name=op.f('fk_teaming_other_deal_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_teaming')),
    sa.UniqueConstraint('deal_id', 'other_deal_id', name=op.f('uq_teaming_deal_id_other_deal_id')),
    indexed=('other_deal_id', 'by_id'),
    )


def _create(table: str, *columns: sa.Column | sa.Constraint, indexed: tuple[str, ...]) -> None:
    op.create_table(table, *columns)
    with op.batch_alter_table(table, schema=None) as batch_op:
        for name in indexed:
            batch_op.create_index(batch_op.f(f'ix_{table}_{name}'), [name], unique=False)


def _fill_keys(name: str, company: str) -> None:
    """Keys of the rows that are there already; tax numbers are not known yet."""
    connection = op.get_bind()
    table = sa.table(
        name, sa.column('id', portal.db.Key()), sa.column(company), sa.column('domain'),
        sa.column('company_key'), sa.column('domain_key'),
    )
    rows = [
        {'of': row[0], 'by_name': conflicts.company_key(row[1]), 'by_domain': conflicts.domain_key(row[2])}
        for row in connection.execute(sa.select(table.c.id, table.c[company], table.c.domain))
    ]
    if rows:
        change = sa.update(table).where(table.c.id == sa.bindparam('of', type_=portal.db.Key()))
        keys = {'company_key': sa.bindparam('by_name'), 'domain_key': sa.bindparam('by_domain')}
        connection.execute(change.values(keys), rows)


def downgrade() -> None:
    """Change them back; refused where customers were merged or partners work together."""
    for table in ('customer_merge', 'teaming'):
        if op.get_bind().scalar(sa.text(f'SELECT count(*) FROM {table}')):
            raise RuntimeError(f'{table} holds what has no place in the version before')
    for table in ('teaming', 'customer_merge', 'conflict_match', 'conflict_check', 'known_account'):
        op.drop_table(table)
    with op.batch_alter_table('customer', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_customer_merged_into_id'))
        batch_op.drop_constraint(batch_op.f('fk_customer_merged_into_id'), type_='foreignkey')
        batch_op.drop_column('merged_into_id')
    for table in ('customer', 'deal'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name in KEYS:
                batch_op.drop_index(batch_op.f(f'ix_{table}_{name}'))
                batch_op.drop_column(name)
            batch_op.drop_column('tax_id')
