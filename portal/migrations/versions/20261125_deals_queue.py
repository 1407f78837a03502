"""Who looks after a deal, absences and deputies, reminders that come once, notices in one mail a
day, contracts that end.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-25 21:20:00
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op
import portal.db
from portal.db import new_id

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


POLICY = {
    'remind_percent': '75', 'remind_first_days': '30', 'remind_last_days': '7',
    'stale_days': '30', 'renewal_days': '120',
}
# Mails of before that are in the daily one now.
NOTICES = {
    'deal_submitted': 'deal_submitted', 'extension_asked': 'extension_asked',
    'protection_ends': 'protection_ends', 'deal_news': 'extension_decided',
}


def upgrade() -> None:
    """Change the tables."""
    op.create_table('absence',
    sa.Column('user_id', portal.db.Key(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('deputy_id', portal.db.Key(), nullable=False),
    sa.ForeignKeyConstraint(['deputy_id'], ['user.id'], name=op.f('fk_absence_deputy_id')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_absence_user_id')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_absence'))
    )
    with op.batch_alter_table('absence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_absence_deputy_id'), ['deputy_id'], unique=False)

    op.create_table('kept_promise',
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('decisions', sa.Integer(), nullable=False),
    sa.Column('partners', sa.Integer(), nullable=False),
    sa.Column('in_time', sa.Integer(), nullable=False),
    sa.Column('timed', sa.Integer(), nullable=False),
    sa.Column('median_minutes', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('month', name=op.f('pk_kept_promise'))
    )
    op.create_table('notice_choice',
    sa.Column('user_id', portal.db.Key(), nullable=False),
    sa.Column('timezone', sa.String(length=64), nullable=False),
    sa.Column('muted', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_notice_choice_user_id')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_notice_choice'))
    )
    op.create_table('notice_bundle',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('user_id', portal.db.Key(), nullable=False),
    sa.Column('day', sa.Date(), nullable=True),
    sa.Column('created_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('outbox_id', portal.db.Key(), nullable=False),
    sa.ForeignKeyConstraint(['outbox_id'], ['outbox.id'], name=op.f('fk_notice_bundle_outbox_id')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_notice_bundle_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notice_bundle')),
    sa.UniqueConstraint('user_id', 'day', name=op.f('uq_notice_bundle_user_id_day'))
    )
    op.create_table('notice',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('user_id', portal.db.Key(), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('subject_id', portal.db.Key(), nullable=False),
    sa.Column('params', sa.JSON(), nullable=False),
    sa.Column('urgent', sa.Boolean(), nullable=False),
    sa.Column('created_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('bundle_id', portal.db.Key(), nullable=True),
    sa.ForeignKeyConstraint(['bundle_id'], ['notice_bundle.id'], name=op.f('fk_notice_bundle_id')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_notice_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notice'))
    )
    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.create_index('ix_notice_bundle_id_user_id', ['bundle_id', 'user_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_notice_user_id'), ['user_id'], unique=False)

    op.create_table('deal_reminder',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('deal_id', portal.db.Key(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('noted_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('sent_at', portal.db.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_reminder_deal_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_reminder')),
    sa.UniqueConstraint('deal_id', 'kind', 'round', 'step', name=op.f('uq_deal_reminder_deal_id_kind_round_step'))
    )
    # A protection has one deal; its round is how often it had been extended by then.
    op.execute(
        "INSERT INTO deal_reminder (id, deal_id, kind, round, step, noted_at, sent_at) "
        "SELECT r.id, p.deal_id, 'protection', (SELECT count(*) FROM deal_history h WHERE "
        "h.deal_id = p.deal_id AND h.move = 'extend' AND h.at <= r.sent_at), r.days_before, "
        "r.sent_at, r.sent_at FROM protection_reminder r "
        "JOIN protection p ON p.id = r.protection_id"
    )
    op.drop_table('protection_reminder')

    with op.batch_alter_table('policy', schema=None) as batch_op:
        for name, usual in POLICY.items():
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=usual))
        batch_op.add_column(
            sa.Column('escalate_to', sa.String(length=10), nullable=False, server_default='everyone')
        )
    with op.batch_alter_table('policy', schema=None) as batch_op:
        for name in (*POLICY, 'escalate_to'):
            batch_op.alter_column(name, server_default=None)

    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.add_column(sa.Column('assignee_id', portal.db.Key(), nullable=True))
        batch_op.add_column(sa.Column('contract_ends', sa.Date(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_deal_assignee_id'), 'user', ['assignee_id'], ['id'])
        batch_op.create_index(batch_op.f('ix_deal_assignee_id'), ['assignee_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_deal_contract_ends'), ['contract_ends'], unique=False)

    # What is not over is looked after by the partner's channel manager, as it was.
    op.execute(
        "UPDATE deal SET assignee_id = (SELECT p.channel_manager_id FROM partner p "
        "WHERE p.id = deal.partner_id) "
        "WHERE status IN ('submitted', 'in_review', 'returned', 'approved')"
    )
    _move_mails()


def _move_mails() -> None:
    """What waits for the mail server in words that are no more: into the daily mail."""
    key, at = portal.db.Key(), portal.db.UTCDateTime()
    outbox = sa.table(
        'outbox', sa.column('id', key), sa.column('user_id', key), sa.column('message', sa.String),
        sa.column('state', sa.String), sa.column('params', sa.JSON), sa.column('created_at', at),
    )
    notice = sa.table(
        'notice', sa.column('id', key), sa.column('user_id', key), sa.column('kind', sa.String),
        sa.column('subject_id', key), sa.column('params', sa.JSON), sa.column('urgent', sa.Boolean),
        sa.column('created_at', at),
    )
    deal = sa.table('deal', sa.column('id', key), sa.column('status', sa.String))
    connection = op.get_bind()
    revoked = set(connection.scalars(sa.select(deal.c.id).where(deal.c.status == 'revoked')))
    waiting = sa.and_(outbox.c.state == 'waiting', outbox.c.message.in_(list(NOTICES)))
    rows = connection.execute(sa.select(outbox).where(waiting)).all()
    for row in rows:
        subject = uuid.UUID(row.params['deal'])
        if row.message == 'deal_news' and subject in revoked:
            new = {'message': 'deal_revoked'}
        else:
            new = {'state': 'expired'}
            connection.execute(notice.insert().values(
                id=new_id(), user_id=row.user_id, kind=NOTICES[row.message], subject_id=subject,
                params={}, urgent=False, created_at=row.created_at,
            ))
        connection.execute(outbox.update().where(outbox.c.id == row.id).values(**new))


def downgrade() -> None:
    """Change them back."""
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_deal_contract_ends'))
        batch_op.drop_index(batch_op.f('ix_deal_assignee_id'))
        batch_op.drop_constraint(batch_op.f('fk_deal_assignee_id'), type_='foreignkey')
        batch_op.drop_column('contract_ends')
        batch_op.drop_column('assignee_id')

    with op.batch_alter_table('policy', schema=None) as batch_op:
        for name in (*POLICY, 'escalate_to'):
            batch_op.drop_column(name)

    op.create_table('protection_reminder',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('protection_id', portal.db.Key(), nullable=False),
    sa.Column('days_before', sa.Integer(), nullable=False),
    sa.Column('sent_at', portal.db.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['protection_id'], ['protection.id'], name=op.f('fk_protection_reminder_protection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_protection_reminder')),
    sa.UniqueConstraint('protection_id', 'days_before', name=op.f('uq_protection_reminder_protection_id_days_before'))
    )
    op.execute(
        "INSERT INTO protection_reminder (id, protection_id, days_before, sent_at) "
        "SELECT r.id, p.id, r.step, r.noted_at FROM deal_reminder r "
        "JOIN protection p ON p.deal_id = r.deal_id WHERE r.kind = 'protection' AND r.round = "
        "(SELECT max(o.round) FROM deal_reminder o WHERE o.deal_id = r.deal_id "
        "AND o.kind = 'protection' AND o.step = r.step)"
    )
    op.execute("UPDATE outbox SET state = 'expired' WHERE state = 'waiting' "
               "AND message IN ('notices', 'deal_revoked')")
    op.drop_table('deal_reminder')
    op.drop_table('notice')
    op.drop_table('notice_bundle')
    op.drop_table('notice_choice')
    op.drop_table('kept_promise')
    op.drop_table('absence')
