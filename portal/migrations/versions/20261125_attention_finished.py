"""Attention: which partners viewed an asset.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25 09:00:00.000000
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    # --- the partners that viewed an asset, as a set for each day and month ---
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.add_column(sa.Column('partners', sa.LargeBinary(), nullable=True))
    _fill_partners(op.get_bind())
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.alter_column('partners', existing_type=sa.LargeBinary(), nullable=False)


def downgrade() -> None:
    """Change them back. Numbers that were given to partners stay: nobody is counted under them."""
    # --- the partners that viewed an asset ---
    with op.batch_alter_table('sum_asset', schema=None, table_kwargs={'sqlite_with_rowid': False}) as batch_op:
        batch_op.drop_column('partners')


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
