"""Attention: steps of a day that survive a kill, and a person's rows found at once.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25 18:40:03.271904
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    # --- days: a mark before and after each step of growing old
    with op.batch_alter_table('day_state', schema=None) as batch_op:
        batch_op.add_column(sa.Column('closed_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('emptied_at', portal.db.UTCDateTime(), nullable=True))

    op.execute('UPDATE day_state SET closed_at = folded_at')
    # --- people: their rows are found at once; who has none left is not known any more
    with op.batch_alter_table('load', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_load_subject'), ['subject'], unique=False)

    _forget_readers()
    # --- links: those of one asset, or of one partner
    with op.batch_alter_table('share_event', schema=None) as batch_op:
        batch_op.create_index('ix_share_event_asset_at', ['asset_id', 'at'], unique=False)
        batch_op.create_index('ix_share_event_partner_at', ['partner_id', 'at'], unique=False)

    # --- numbers: counted by other rules from now on
    _mark_every_day()


def _forget_readers() -> None:
    connection = op.get_bind()
    reader = sa.table('reader', sa.column('number', sa.Integer()), sa.column('subject', portal.db.Key()))
    load = sa.table('load', sa.column('subject', portal.db.Key()))
    gone = sa.select(reader.c.number).where(~sa.exists().where(load.c.subject == reader.c.subject))
    for number in list(connection.scalars(gone)):
        connection.execute(sa.update(reader).where(reader.c.number == number).values(subject=uuid.uuid4()))


def _mark_every_day() -> None:
    connection = op.get_bind()
    days = sa.table('day_state', sa.column('day', sa.Date()))
    mark = sa.table('mark', sa.column('id', portal.db.Key()), sa.column('day', sa.Date()), sa.column('at', portal.db.UTCDateTime()))
    at = datetime.now(UTC)
    rows = [{'id': portal.db.new_id(), 'day': day, 'at': at} for day in connection.scalars(sa.select(days.c.day))]
    if rows:
        connection.execute(sa.insert(mark), rows)


def downgrade() -> None:
    """Change them back."""
    with op.batch_alter_table('share_event', schema=None) as batch_op:
        batch_op.drop_index('ix_share_event_partner_at')
        batch_op.drop_index('ix_share_event_asset_at')

    with op.batch_alter_table('load', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_load_subject'))

    with op.batch_alter_table('day_state', schema=None) as batch_op:
        batch_op.drop_column('emptied_at')
        batch_op.drop_column('closed_at')

    _mark_every_day()
