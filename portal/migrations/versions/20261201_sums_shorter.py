"""Attention: pages and searches by dekad and month, and sets as bits where that is shorter.

Revision ID: 0017
Revises: 0016
Create Date: 2026-12-01 04:55:00
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

KEYS = ('asset_id', 'version_id', 'audience', 'page')
FIGURES = ('readers', 'active', 'reading', 'idle', 'glance', 'overlap')
PAGES = sa.table(
    'sum_page',
    sa.column('grain', sa.String()),
    sa.column('day', sa.Date()),
    *(sa.column(name) for name in (*KEYS, *FIGURES)),
)
SEARCHES = sa.table(
    'sum_search',
    sa.column('grain', sa.String()),
    sa.column('day', sa.Date()),
    sa.column('words', sa.String()),
    sa.column('searches', sa.Integer()),
    sa.column('in_vain', sa.Integer()),
    sa.column('seekers', sa.LargeBinary()),
    sa.column('last', sa.Date()),
)
SEARCHES_BEFORE = sa.table(
    'sum_search_before',
    sa.column('day', sa.Date()),
    sa.column('words', sa.String()),
    sa.column('partner_id', portal.db.Key()),
    sa.column('found', sa.Boolean()),
    sa.column('searches', sa.Integer()),
)
READERS = sa.table('reader', sa.column('number', sa.Integer()), sa.column('subject', portal.db.Key()))
# Whoever found something is not known after going back.
SOMEBODY = uuid.UUID(int=0)
_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.decode


def upgrade() -> None:
    """Sum pages and searches up, and pack sets again."""
    _pages_by_grain()
    _searches_by_grain()
    _repack(_shortest)


def downgrade() -> None:
    """Change it back: pages and searches by day alone, sets as lists."""
    _repack(_list_of)
    _searches_by_day()
    _replace(['asset_id', 'day', 'version_id', 'audience', 'page'])
    op.create_index('ix_sum_page_day', 'sum_page', ['day'])


# --- pages ----------------------------------------------------------------------------------------


def _pages_by_grain() -> None:
    """Make the table anew, clustered by asset and grain."""
    _replace(['asset_id', 'grain', 'day', 'version_id', 'audience', 'page'])
    op.create_index('ix_sum_page_day', 'sum_page', ['grain', 'day'])
    connection, day = op.get_bind(), PAGES.c.day
    first, last = connection.execute(sa.select(sa.func.min(day), sa.func.max(day))).one()
    keys = [PAGES.c[name] for name in KEYS]
    for grain, begin, until in _spans(first, last) if first else ():
        summed = (
            sa.select(sa.literal(grain), sa.literal(begin, sa.Date()), *keys)
            .add_columns(*(sa.func.sum(PAGES.c[name]) for name in FIGURES))
            .where(PAGES.c.grain == 'day', day >= begin, day < until)
            .group_by(*keys)
        )
        names = ('grain', 'day', *KEYS, *FIGURES)
        connection.execute(sa.insert(PAGES).from_select(names, summed))


def _spans(first: date, last: date) -> Iterator[tuple[str, date, date]]:
    """Every dekad and month between two days: its first day, and the day after it."""
    month = first.replace(day=1)
    while month <= last:
        after = (month + timedelta(days=31)).replace(day=1)
        edges = [month, month.replace(day=11), month.replace(day=21), after]
        yield from (('dekad', edges[n], edges[n + 1]) for n in range(3))
        yield 'month', month, after
        month = after


def _replace(key: list[str]) -> None:
    """Move the rows of days to a table with this key, with a grain if that is part of it."""
    is_postgres = op.get_bind().dialect.name == 'postgresql'
    grain = [sa.Column('grain', sa.String(length=5), nullable=False)] if 'grain' in key else []
    op.drop_index('ix_sum_page_day', table_name='sum_page')
    op.create_table(
        'sum_page_new',
        sa.Column('asset_id', portal.db.Key(), nullable=False),
        *grain,
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('version_id', portal.db.Key(), nullable=False),
        sa.Column('audience', sa.String(length=10), nullable=False),
        sa.Column('page', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('readers', sa.Integer(), nullable=False),
        *(sa.Column(name, portal.db.Milliseconds, nullable=False) for name in FIGURES[1:]),
        sa.PrimaryKeyConstraint(*key, name='pk_sum_page_new' if is_postgres else 'pk_sum_page'),
        sqlite_with_rowid=False,
    )
    columns = ', '.join(('day', *KEYS, *FIGURES))
    if grain:
        op.execute(f"INSERT INTO sum_page_new ({columns}, grain) SELECT {columns}, 'day' FROM sum_page")
    else:
        days = f"SELECT {columns} FROM sum_page WHERE grain = 'day'"
        op.execute(f'INSERT INTO sum_page_new ({columns}) {days}')
    op.drop_table('sum_page')
    op.rename_table('sum_page_new', 'sum_page')
    if is_postgres:
        op.execute('ALTER TABLE sum_page RENAME CONSTRAINT pk_sum_page_new TO pk_sum_page')


# --- searches -------------------------------------------------------------------------------------


def _searches_by_grain() -> None:
    """One row for the words of a day, with who looked for them in vain, and their sums."""
    connection = op.get_bind()
    op.rename_table('sum_search', 'sum_search_before')
    _free_the_name('sum_search_before')
    op.create_table(
        'sum_search',
        sa.Column('grain', sa.String(length=5), nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('words', sa.String(length=100), nullable=False),
        sa.Column('searches', sa.Integer(), nullable=False),
        sa.Column('in_vain', sa.Integer(), nullable=False),
        sa.Column('seekers', sa.LargeBinary(), nullable=False),
        sa.Column('last', sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint('grain', 'day', 'words', name='pk_sum_search'),
        sqlite_with_rowid=False,
    )
    before = SEARCHES_BEFORE.c
    known = set(connection.scalars(sa.select(READERS.c.subject)))
    seekers = set(connection.scalars(sa.select(before.partner_id).where(sa.not_(before.found))))
    if seekers - known:
        rows = [{'subject': key} for key in sorted(seekers - known)]
        connection.execute(sa.insert(sa.table('reader', READERS.c.subject)), rows)
    numbers = dict(connection.execute(sa.select(READERS.c.subject, READERS.c.number)).all())
    first, last = connection.execute(sa.select(sa.func.min(before.day), sa.func.max(before.day))).one()
    spans = [*_days(first, last), *_spans(first, last)] if first else []
    for grain, begin, until in spans:
        query = sa.select(SEARCHES_BEFORE).where(before.day >= begin, before.day < until)
        found: dict[str, list[Any]] = defaultdict(lambda: [0, 0, defaultdict(int), None])
        for day, words, partner, was_found, n in connection.execute(query):
            row = found[words]
            row[0] += n
            if not was_found:
                row[1] += n
                row[2][numbers[partner]] += n
                row[3] = max(day, row[3] or day)
        values = [
            {
                'grain': grain, 'day': begin, 'words': words, 'searches': n, 'in_vain': in_vain,
                'seekers': _pack([part for pair in sorted(some.items()) for part in pair]),
                'last': latest,
            }
            for words, (n, in_vain, some, latest) in found.items()
        ]
        if values:
            connection.execute(sa.insert(SEARCHES), values)
    op.drop_table('sum_search_before')


def _searches_by_day() -> None:
    connection = op.get_bind()
    op.create_table(
        'sum_search_before',
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('words', sa.String(length=100), nullable=False),
        sa.Column('partner_id', portal.db.Key(), nullable=False),
        sa.Column('found', sa.Boolean(), nullable=False),
        sa.Column('searches', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('day', 'words', 'partner_id', 'found', name='pk_sum_search_before'),
        sqlite_with_rowid=False,
    )
    numbers = dict(connection.execute(sa.select(READERS.c.number, READERS.c.subject)).all())
    rows = []
    for row in connection.execute(sa.select(SEARCHES).where(SEARCHES.c.grain == 'day')):
        parts, key = _unpack(row.seekers), {'day': row.day, 'words': row.words}
        for number, n in zip(parts[::2], parts[1::2], strict=True):
            rows.append({**key, 'partner_id': numbers[number], 'found': False, 'searches': n})
        if n := row.searches - row.in_vain:
            rows.append({**key, 'partner_id': SOMEBODY, 'found': True, 'searches': n})
    if rows:
        connection.execute(sa.insert(SEARCHES_BEFORE), rows)
    op.drop_table('sum_search')
    op.rename_table('sum_search_before', 'sum_search')
    if connection.dialect.name == 'postgresql':
        op.execute('ALTER TABLE sum_search RENAME CONSTRAINT pk_sum_search_before TO pk_sum_search')


def _free_the_name(table: str) -> None:
    """Of a table that was renamed, the name of its key on PostgreSQL."""
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(f'ALTER TABLE {table} RENAME CONSTRAINT pk_sum_search TO pk_{table}')


def _days(first: date, last: date) -> Iterator[tuple[str, date, date]]:
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        yield 'day', day, day + timedelta(days=1)


# --- sets -----------------------------------------------------------------------------------------


def _repack(pack: Callable[[list[int]], bytes]) -> None:
    """Pack every set of readers again."""
    connection = op.get_bind()
    for name, key, sets in (
        ('sum_partner', 'partner_id', ['people']),
        ('sum_asset', 'asset_id', ['people', 'partners']),
    ):
        keys = [sa.column('grain', sa.String()), sa.column('day', sa.Date())]
        keys += [sa.column(key, portal.db.Key()), sa.column('audience', sa.String())]
        table = sa.table(name, *keys, *(sa.column(one, sa.LargeBinary()) for one in sets))
        names = [column.name for column in keys]
        change = (
            sa.update(table)
            .where(*(table.c[one] == sa.bindparam(f'b_{one}') for one in names))
            .values({one: sa.bindparam(f'v_{one}') for one in sets})
        )
        days = connection.execute(sa.select(table.c.grain, table.c.day).distinct()).all()
        for grain, day in days:
            query = sa.select(table).where(table.c.grain == grain, table.c.day == day)
            changed = []
            for row in connection.execute(query).mappings():
                values = {one: pack(_numbers(row[one])) for one in sets}
                if any(values[one] != row[one] for one in sets):
                    changed.append(
                        {f'b_{one}': row[one] for one in names}
                        | {f'v_{one}': value for one, value in values.items()}
                    )
            if changed:
                connection.execute(change, changed)


def _numbers(pack: bytes) -> list[int]:
    found = _unpack(pack)
    if isinstance(found, list):
        return found
    bits = bin(int.from_bytes(found, 'little'))
    return [number for number, bit in enumerate(reversed(bits)) if bit == '1']


def _list_of(numbers: Iterable[int]) -> bytes:
    return _pack(sorted(numbers))


def _shortest(numbers: list[int]) -> bytes:
    listed = _list_of(numbers)
    if not numbers or numbers[-1] // 8 >= len(listed):
        return listed
    bits = bytearray(numbers[-1] // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    as_bits = _pack(bytes(bits))
    return as_bits if len(as_bits) < len(listed) else listed
