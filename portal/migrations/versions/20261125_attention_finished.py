"""Attention: steps of a day that survive a kill; the rows of a person, the links of an asset and the
partners that viewed it, each found at once.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25 18:40:03.271904
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import msgspec
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

    # --- the partners that viewed an asset, as a set for each day and month ---
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.add_column(sa.Column('partners', sa.LargeBinary(), nullable=True))
    _fill_partners(op.get_bind())
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.alter_column('partners', existing_type=sa.LargeBinary(), nullable=False)

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


def _fill_partners(connection: sa.Connection) -> None:
    """Sets from the rows of partner and asset, which are there for every day, sealed or not."""
    connection.execute(sa.text(
        "INSERT INTO reader (subject) SELECT DISTINCT partner_id FROM sum_pair WHERE views > 0"
        " AND partner_id NOT IN (SELECT subject FROM reader)"
    ))
    numbers = {_plain(row[0]): row[1] for row in connection.execute(sa.text("SELECT subject, number FROM reader"))}
    connection.execute(sa.text("UPDATE sum_asset SET partners = :nobody"), {"nobody": msgspec.msgpack.encode([])})
    pairs = sa.text("SELECT day, audience, partner_id FROM sum_pair WHERE asset_id = :asset AND views > 0")
    change = sa.text(
        "UPDATE sum_asset SET partners = :partners WHERE grain = :grain AND day = :day"
        " AND asset_id = :asset AND audience = :audience"
    )
    for (asset,) in connection.execute(sa.text("SELECT DISTINCT asset_id FROM sum_pair")).all():
        sets: dict[tuple[str, object, str], set[int]] = {}
        for day, audience, partner in connection.execute(pairs, {"asset": asset}):
            month = f"{day[:8]}01" if isinstance(day, str) else day.replace(day=1)
            for key in (("day", day, audience), ("month", month, audience)):
                sets.setdefault(key, set()).add(numbers[_plain(partner)])
        connection.execute(change, [
            {"grain": grain, "day": day, "asset": asset, "audience": audience,
             "partners": msgspec.msgpack.encode(sorted(found))}
            for (grain, day, audience), found in sets.items()
        ])


def _plain(key: object) -> object:
    return bytes(key) if isinstance(key, (bytes, memoryview)) else key


def downgrade() -> None:
    """Change them back. Numbers that were given to partners stay: nobody is counted under them."""
    # --- the partners that viewed an asset ---
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.drop_column('partners')

    with op.batch_alter_table('share_event', schema=None) as batch_op:
        batch_op.drop_index('ix_share_event_partner_at')
        batch_op.drop_index('ix_share_event_asset_at')

    with op.batch_alter_table('load', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_load_subject'))

    with op.batch_alter_table('day_state', schema=None) as batch_op:
        batch_op.drop_column('emptied_at')
        batch_op.drop_column('closed_at')

    _mark_every_day()
