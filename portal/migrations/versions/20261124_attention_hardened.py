"""Attention: folding, sealed days, machine loads, recordings, areas, searches, erasure.

Rollups are thrown away and computed again: every day gets a mark.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-24 14:24:12.814669
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table('reader',
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('subject', portal.db.Key(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_reader')),
    sa.UniqueConstraint('subject', name=op.f('uq_reader_subject'))
    )
    op.create_table('refused_reports',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('reason', sa.String(length=20), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'reason', name=op.f('pk_refused_reports'))
    )
    op.create_table('removal',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('why', sa.String(length=10), nullable=False),
    sa.Column('rows', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_removal'))
    )
    with op.batch_alter_table('removal', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_removal_at'), ['at'], unique=False)

    op.create_table('sum_area',
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('area', sa.String(length=10), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('partner_id', 'day', 'area', name=op.f('pk_sum_area')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('sum_area', schema=None) as batch_op:
        batch_op.create_index('ix_sum_area_day', ['day'], unique=False)

    op.create_table('sum_asset',
    sa.Column('grain', sa.String(length=5), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('people', sa.LargeBinary(), nullable=False),
    sa.Column('dwells', sa.LargeBinary(), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('engaged_views', sa.Integer(), nullable=False),
    sa.Column('ended_views', sa.Integer(), nullable=False),
    sa.Column('downloads', sa.Integer(), nullable=False),
    sa.Column('downloads_started', sa.Integer(), nullable=False),
    sa.Column('downloads_completed', sa.Integer(), nullable=False),
    sa.Column('shares', sa.Integer(), nullable=False),
    sa.Column('likes', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('grain', 'day', 'asset_id', 'audience', name=op.f('pk_sum_asset')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('sum_asset', schema=None) as batch_op:
        batch_op.create_index('ix_sum_asset_asset', ['asset_id', 'grain', 'day'], unique=False)

    op.create_table('sum_page',
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('version_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('page', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('readers', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('asset_id', 'day', 'version_id', 'audience', 'page', name=op.f('pk_sum_page')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('sum_page', schema=None) as batch_op:
        batch_op.create_index('ix_sum_page_day', ['day'], unique=False)

    op.create_table('sum_pair',
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('engaged_views', sa.Integer(), nullable=False),
    sa.Column('ended_views', sa.Integer(), nullable=False),
    sa.Column('downloads', sa.Integer(), nullable=False),
    sa.Column('downloads_started', sa.Integer(), nullable=False),
    sa.Column('downloads_completed', sa.Integer(), nullable=False),
    sa.Column('shares', sa.Integer(), nullable=False),
    sa.Column('likes', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('asset_id', 'day', 'partner_id', 'audience', name=op.f('pk_sum_pair')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('sum_pair', schema=None) as batch_op:
        batch_op.create_index('ix_sum_pair_partner', ['partner_id', 'day'], unique=False)

    op.create_table('sum_partner',
    sa.Column('grain', sa.String(length=5), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('people', sa.LargeBinary(), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('engaged_views', sa.Integer(), nullable=False),
    sa.Column('ended_views', sa.Integer(), nullable=False),
    sa.Column('downloads', sa.Integer(), nullable=False),
    sa.Column('downloads_started', sa.Integer(), nullable=False),
    sa.Column('downloads_completed', sa.Integer(), nullable=False),
    sa.Column('shares', sa.Integer(), nullable=False),
    sa.Column('likes', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('grain', 'day', 'partner_id', 'audience', name=op.f('pk_sum_partner')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('sum_partner', schema=None) as batch_op:
        batch_op.create_index('ix_sum_partner_partner', ['partner_id', 'grain', 'day'], unique=False)

    op.create_table('sum_search',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('words', sa.String(length=100), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('found', sa.Boolean(), nullable=False),
    sa.Column('searches', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'words', 'partner_id', 'found', name=op.f('pk_sum_search')),
    sqlite_with_rowid=False
    )
    op.create_table('tombstone',
    sa.Column('subject', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_tombstone'))
    )
    op.create_table('folded',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('load_id', portal.db.Key(), nullable=False),
    sa.Column('pages', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['load_id'], ['load.id'], name=op.f('fk_folded_load_id')),
    sa.PrimaryKeyConstraint('day', 'load_id', name=op.f('pk_folded')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('folded', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_folded_load_id'), ['load_id'], unique=False)

    op.create_table('library_search',
    sa.Column('load_id', portal.db.Key(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=True),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('words', sa.String(length=100), nullable=False),
    sa.Column('results', sa.Integer(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['load_id'], ['load.id'], name=op.f('fk_library_search_load_id')),
    sa.ForeignKeyConstraint(['partner_id'], ['partner.id'], name=op.f('fk_library_search_partner_id')),
    sa.PrimaryKeyConstraint('load_id', name=op.f('pk_library_search'))
    )
    with op.batch_alter_table('library_search', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_library_search_at'), ['at'], unique=False)

    op.create_table('watched',
    sa.Column('load_id', portal.db.Key(), nullable=False),
    sa.Column('seconds', sa.LargeBinary(), nullable=False),
    sa.Column('played_ms', sa.BigInteger(), nullable=False),
    sa.Column('length', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['load_id'], ['load.id'], name=op.f('fk_watched_load_id')),
    sa.PrimaryKeyConstraint('load_id', name=op.f('pk_watched'))
    )
    with op.batch_alter_table('day_page', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_day_page_asset'))

    op.drop_table('day_page')
    op.drop_table('day_people')
    with op.batch_alter_table('day_asset', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_day_asset_asset'))
        batch_op.drop_index(batch_op.f('ix_day_asset_partner'))

    op.drop_table('day_asset')
    op.drop_table('day_dwell')
    with op.batch_alter_table('day_state', schema=None) as batch_op:
        batch_op.add_column(sa.Column('folded_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('sealed_at', portal.db.UTCDateTime(), nullable=True))

    with op.batch_alter_table('download', schema=None) as batch_op:
        batch_op.add_column(sa.Column('subject_kind', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
        batch_op.add_column(sa.Column('size', sa.BigInteger(), server_default=sa.text('0'), nullable=False))
        batch_op.add_column(sa.Column('ranges', sa.Text(), server_default=sa.text("''"), nullable=False))
        batch_op.add_column(sa.Column('started_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('completed_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.create_index('ix_download_again', ['subject', 'version_id', 'granted_at'], unique=False)
        batch_op.drop_constraint(batch_op.f('fk_download_user_id'), type_='foreignkey')
        batch_op.drop_column('user_id')

    with op.batch_alter_table('load', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.add_column(sa.Column('subject_kind', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
        batch_op.add_column(sa.Column('area', sa.String(length=10), nullable=True))
        batch_op.add_column(sa.Column('left_at', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('machine', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))
        batch_op.add_column(sa.Column('device', sa.Integer(), nullable=True))
        batch_op.alter_column('asset_id',
               existing_type=portal.db.Key(),
               nullable=True)
        batch_op.alter_column('version_id',
               existing_type=portal.db.Key(),
               nullable=True)
        batch_op.drop_index('ix_load_share_id')
        batch_op.create_index('ix_load_share_id', ['share_id'], unique=False, sqlite_where=sa.text('share_id IS NOT NULL'), postgresql_where=sa.text('share_id IS NOT NULL'))
        batch_op.create_index('ix_load_daily', ['subject'], unique=False, sqlite_where=sa.text('subject_kind = 1'), postgresql_where=sa.text('subject_kind = 1'))

    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.add_column(sa.Column('erasures', sa.Integer(), server_default=sa.text('0'), nullable=False))

    _mark_every_day()


def _mark_every_day() -> None:
    connection = op.get_bind()
    days = sa.table('day_state', sa.column('day', sa.Date()))
    mark = sa.table('mark', sa.column('id', portal.db.Key()), sa.column('day', sa.Date()), sa.column('at', portal.db.UTCDateTime()))
    at = datetime.now(UTC)
    rows = [{'id': portal.db.new_id(), 'day': day, 'at': at} for day in connection.scalars(sa.select(days.c.day))]
    if rows:
        connection.execute(sa.insert(mark), rows)


def downgrade() -> None:
    """Change them back. What only the new tables can say is lost: portal pages, folded days."""
    connection = op.get_bind()
    for table in ('watched', 'library_search', 'folded'):
        connection.execute(sa.text(f'DELETE FROM {table}'))  # noqa: S608 - fixed names
    connection.execute(sa.text('DELETE FROM slot WHERE load_id IN (SELECT id FROM load WHERE asset_id IS NULL)'))
    connection.execute(sa.text('DELETE FROM load WHERE asset_id IS NULL'))
    _mark_every_day()
    with op.batch_alter_table('user', schema=None) as batch_op:
        batch_op.drop_column('erasures')

    with op.batch_alter_table('load', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.drop_index('ix_load_share_id')
        batch_op.create_index('ix_load_share_id', ['share_id'], unique=False)
        batch_op.drop_index('ix_load_daily', sqlite_where=sa.text('subject_kind = 1'), postgresql_where=sa.text('subject_kind = 1'))
        batch_op.alter_column('version_id',
               existing_type=portal.db.Key(),
               nullable=False)
        batch_op.alter_column('asset_id',
               existing_type=portal.db.Key(),
               nullable=False)
        batch_op.drop_column('device')
        batch_op.drop_column('machine')
        batch_op.drop_column('left_at')
        batch_op.drop_column('area')
        batch_op.drop_column('subject_kind')

    with op.batch_alter_table('download', schema=None) as batch_op:
        batch_op.add_column(sa.Column('user_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_download_user_id'), 'user', ['user_id'], ['id'])
        batch_op.drop_index('ix_download_again')
        batch_op.drop_column('completed_at')
        batch_op.drop_column('started_at')
        batch_op.drop_column('ranges')
        batch_op.drop_column('size')
        batch_op.drop_column('subject_kind')

    with op.batch_alter_table('day_state', schema=None) as batch_op:
        batch_op.drop_column('sealed_at')
        batch_op.drop_column('folded_at')

    op.create_table('day_dwell',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'asset_id', 'audience', 'seconds', name=op.f('pk_day_dwell'))
    )
    op.create_table('day_asset',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('engaged_views', sa.Integer(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.Column('downloads', sa.Integer(), nullable=False),
    sa.Column('shares', sa.Integer(), nullable=False),
    sa.Column('likes', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'partner_id', 'asset_id', 'audience', name=op.f('pk_day_asset'))
    )
    with op.batch_alter_table('day_asset', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_day_asset_partner'), ['partner_id', 'day'], unique=False)
        batch_op.create_index(batch_op.f('ix_day_asset_asset'), ['asset_id', 'day'], unique=False)

    op.create_table('day_people',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('people', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'partner_id', 'asset_id', 'audience', name=op.f('pk_day_people'))
    )
    op.create_table('day_page',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('asset_id', portal.db.Key(), nullable=False),
    sa.Column('version_id', portal.db.Key(), nullable=False),
    sa.Column('audience', sa.String(length=10), nullable=False),
    sa.Column('page', sa.SmallInteger(), nullable=False),
    sa.Column('active', sa.BigInteger(), nullable=False),
    sa.Column('reading', sa.BigInteger(), nullable=False),
    sa.Column('idle', sa.BigInteger(), nullable=False),
    sa.Column('glance', sa.BigInteger(), nullable=False),
    sa.Column('overlap', sa.BigInteger(), nullable=False),
    sa.Column('readers', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'partner_id', 'asset_id', 'version_id', 'audience', 'page', name=op.f('pk_day_page'))
    )
    with op.batch_alter_table('day_page', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_day_page_asset'), ['asset_id', 'day'], unique=False)

    op.drop_table('watched')
    with op.batch_alter_table('library_search', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_library_search_at'))

    op.drop_table('library_search')
    with op.batch_alter_table('folded', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_folded_load_id'))

    op.drop_table('folded')
    op.drop_table('tombstone')
    op.drop_table('sum_search')
    with op.batch_alter_table('sum_partner', schema=None) as batch_op:
        batch_op.drop_index('ix_sum_partner_partner')

    op.drop_table('sum_partner')
    with op.batch_alter_table('sum_pair', schema=None) as batch_op:
        batch_op.drop_index('ix_sum_pair_partner')

    op.drop_table('sum_pair')
    with op.batch_alter_table('sum_page', schema=None) as batch_op:
        batch_op.drop_index('ix_sum_page_day')

    op.drop_table('sum_page')
    with op.batch_alter_table('sum_asset', schema=None) as batch_op:
        batch_op.drop_index('ix_sum_asset_asset')

    op.drop_table('sum_asset')
    with op.batch_alter_table('sum_area', schema=None) as batch_op:
        batch_op.drop_index('ix_sum_area_day')

    op.drop_table('sum_area')
    with op.batch_alter_table('removal', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_removal_at'))

    op.drop_table('removal')
    op.drop_table('refused_reports')
    op.drop_table('reader')
