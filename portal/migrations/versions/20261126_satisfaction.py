"""Satisfaction: modes, audiences, reminders and follow-ups of surveys, and rollouts.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-26 00:20:00
"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op
import portal.db

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

# What rows that are there get; the models give new ones their own.
_STEPS: dict[str, list[tuple[str, Any, str]]] = {
    'questionnaire': [('name', sa.String(length=120), 'Standard')],
    'survey': [
        ('mode', sa.String(length=12), 'attributed'), ('audience', sa.JSON(), '{}'),
        ('reminder_days', sa.JSON(), '[]'), ('quarantine_days', sa.Integer(), '0'),
        ('minimum_n', sa.Integer(), '5'),
    ],
    'wave': [
        ('kind', sa.String(length=10), 'scheduled'), ('mode', sa.String(length=12), 'attributed'),
        ('minimum_n', sa.Integer(), '5'), ('reminder_days', sa.JSON(), '[]'),
        ('left_out', sa.JSON(), '{}'), ('said', sa.Text(), ''),
    ],
    'survey_invitation': [
        ('locale', sa.String(length=10), 'en'), ('reminders', sa.Integer(), '0'),
    ],
    'response': [('locale', sa.String(length=10), 'en'), ('complete', sa.Boolean(), '1')],
    'answer': [('choices', sa.JSON(), '[]'), ('text', sa.Text(), '')],
}


def upgrade() -> None:
    """Change the tables."""
    op.create_table('rollout',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('declared_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('declared_by_id', portal.db.Key(), nullable=True),
    sa.ForeignKeyConstraint(['declared_by_id'], ['user.id'], name=op.f('fk_rollout_declared_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rollout'))
    )
    with op.batch_alter_table('rollout', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_rollout_day'), ['day'], unique=False)
        batch_op.create_index(batch_op.f('ix_rollout_declared_by_id'), ['declared_by_id'], unique=False)
    op.create_table('rollout_partner',
    sa.Column('rollout_id', portal.db.Key(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.ForeignKeyConstraint(['partner_id'], ['partner.id'], name=op.f('fk_rollout_partner_partner_id')),
    sa.ForeignKeyConstraint(['rollout_id'], ['rollout.id'], name=op.f('fk_rollout_partner_rollout_id')),
    sa.PrimaryKeyConstraint('rollout_id', 'partner_id', name=op.f('pk_rollout_partner'))
    )
    for table, columns in _STEPS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, kind, default in columns:
                if isinstance(kind, sa.Boolean):
                    batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=sa.true()))
                else:
                    batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=default))
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, _kind, _default in columns:
                batch_op.alter_column(name, server_default=None)
    with op.batch_alter_table('questionnaire', schema=None) as batch_op:
        batch_op.add_column(sa.Column('follows_id', portal.db.Key(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f('fk_questionnaire_follows_id'), 'questionnaire', ['follows_id'], ['id']
        )
    with op.batch_alter_table('wave', schema=None) as batch_op:
        batch_op.alter_column('occurrence_local', existing_type=sa.String(length=19), type_=sa.String(length=24))
        batch_op.add_column(sa.Column('closed_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('rollout_id', portal.db.Key(), nullable=True))
        batch_op.add_column(sa.Column('rollout_side', sa.String(length=6), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_wave_rollout_id'), 'rollout', ['rollout_id'], ['id'])
        batch_op.create_index(batch_op.f('ix_wave_closes_at'), ['closes_at'], unique=False)
    with op.batch_alter_table('survey_invitation', schema=None) as batch_op:
        batch_op.add_column(sa.Column('mailbox', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('mail_id', portal.db.Key(), nullable=True))
        batch_op.add_column(sa.Column('reminded_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('answered', sa.String(length=10), nullable=True))
        batch_op.add_column(sa.Column('declined_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column('dismissed_at', portal.db.UTCDateTime(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_survey_invitation_mail_id'), 'outbox', ['mail_id'], ['id'])
        batch_op.create_unique_constraint(batch_op.f('uq_survey_invitation_wave_id_mailbox'), ['wave_id', 'mailbox'])
    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.add_column(sa.Column('answer_key', sa.String(length=64), nullable=True))
        batch_op.create_unique_constraint(batch_op.f('uq_response_answer_key'), ['answer_key'])
        batch_op.alter_column('invitation_id', existing_type=portal.db.Key(), nullable=True)
    op.create_table('survey_link',
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('invitation_id', portal.db.Key(), nullable=False),
    sa.ForeignKeyConstraint(['invitation_id'], ['survey_invitation.id'], name=op.f('fk_survey_link_invitation_id')),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_survey_link'))
    )
    with op.batch_alter_table('survey_link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_survey_link_invitation_id'), ['invitation_id'], unique=False)
    op.create_table('survey_opt_out',
    sa.Column('user_id', portal.db.Key(), nullable=False),
    sa.Column('at', portal.db.UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_survey_opt_out_user_id')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_survey_opt_out'))
    )
    op.create_table('survey_follow_up',
    sa.Column('id', portal.db.Key(), nullable=False),
    sa.Column('wave_id', portal.db.Key(), nullable=False),
    sa.Column('response_id', portal.db.Key(), nullable=False),
    sa.Column('partner_id', portal.db.Key(), nullable=False),
    sa.Column('owner_id', portal.db.Key(), nullable=True),
    sa.Column('reason', sa.String(length=10), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('opened_at', portal.db.UTCDateTime(), nullable=False),
    sa.Column('contacted_at', portal.db.UTCDateTime(), nullable=True),
    sa.Column('closed_at', portal.db.UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['owner_id'], ['user.id'], name=op.f('fk_survey_follow_up_owner_id')),
    sa.ForeignKeyConstraint(['partner_id'], ['partner.id'], name=op.f('fk_survey_follow_up_partner_id')),
    sa.ForeignKeyConstraint(['response_id'], ['response.id'], name=op.f('fk_survey_follow_up_response_id')),
    sa.ForeignKeyConstraint(['wave_id'], ['wave.id'], name=op.f('fk_survey_follow_up_wave_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_survey_follow_up')),
    sa.UniqueConstraint('response_id', name=op.f('uq_survey_follow_up_response_id'))
    )
    with op.batch_alter_table('survey_follow_up', schema=None) as batch_op:
        for column in ('owner_id', 'partner_id', 'wave_id'):
            batch_op.create_index(batch_op.f(f'ix_survey_follow_up_{column}'), [column], unique=False)
    _fill()
    with op.batch_alter_table('survey_invitation', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_survey_invitation_token_hash'), type_='unique')
        batch_op.drop_column('token_hash')


def _mailbox(email: str) -> str:
    local, _at, host = email.strip().casefold().rpartition('@')
    return hashlib.sha256(f"{local.partition('+')[0]}@{host}".encode()).hexdigest()


def _fill() -> None:
    bind = op.get_bind()
    bind.execute(sa.text(
        'INSERT INTO survey_link (token_hash, invitation_id)'
        ' SELECT token_hash, id FROM survey_invitation WHERE token_hash IS NOT NULL'
    ))
    bind.execute(sa.text(
        "UPDATE survey_invitation SET answered = 'complete'"
        ' WHERE id IN (SELECT invitation_id FROM response)'
    ))
    invitation = sa.table('survey_invitation', *map(sa.column, ('id', 'user_id', 'wave_id', 'mailbox', 'locale')))
    people = bind.execute(sa.text('SELECT id, email, locale FROM "user" ORDER BY created_at')).all()
    taken: set[tuple[object, str]] = set()
    for person, email, locale in people:
        box = _mailbox(email)
        asked = sa.select(invitation.c.id, invitation.c.wave_id).where(invitation.c.user_id == person)
        for key, wave in bind.execute(asked).all():
            # Two who share a mailbox were asked twice until now: the second stays without one.
            own = None if (wave, box) in taken else box
            taken.add((wave, box))
            bind.execute(invitation.update().where(invitation.c.id == key).values(mailbox=own, locale=locale))
    questionnaire = sa.table(
        'questionnaire', sa.column('id'), sa.column('body', sa.JSON()),
    )
    for key, body in bind.execute(sa.select(questionnaire)).all():
        bind.execute(questionnaire.update().where(questionnaire.c.id == key).values(body=_by_question(body)))


def _by_question(body: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        'ends': {lang: [words['low'], words['high']] for lang, words in body.items()},
        'questions': [
            {
                'key': name, 'kind': 'scale', 'required': True,
                'texts': {lang: words[name] for lang, words in body.items()},
            }
            for name in ('company', 'experience')
        ],
    }


def _by_language(body: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        lang: {
            'low': low, 'high': high,
            **{row['key']: row['texts'][lang] for row in body['questions']
               if row['key'] in ('company', 'experience') and lang in row['texts']},
        }
        for lang, (low, high) in body['ends'].items()
    }


def downgrade() -> None:
    """Change them back; refused while there is what the older tables cannot hold."""
    bind = op.get_bind()
    lost = {
        'anonymous answers': 'SELECT count(*) FROM response WHERE invitation_id IS NULL',
        'waves opened by hand': "SELECT count(*) FROM wave WHERE kind <> 'scheduled'",
        'answers to further questions':
            "SELECT count(*) FROM answer WHERE question NOT IN ('company', 'experience')",
    }
    found = [what for what, query in lost.items() if bind.scalar(sa.text(query))]
    if found:
        raise RuntimeError(f'There are {", ".join(found)}: going back would lose them.')
    op.drop_table('survey_follow_up')
    op.drop_table('survey_opt_out')
    with op.batch_alter_table('survey_invitation', schema=None) as batch_op:
        batch_op.add_column(sa.Column('token_hash', sa.String(length=64), nullable=True))
    # One link of an invitation is kept: the older tables hold one.
    bind.execute(sa.text(
        'UPDATE survey_invitation SET token_hash = (SELECT max(token_hash) FROM survey_link'
        ' WHERE survey_link.invitation_id = survey_invitation.id)'
    ))
    op.drop_table('survey_link')
    with op.batch_alter_table('survey_invitation', schema=None) as batch_op:
        batch_op.create_unique_constraint(batch_op.f('uq_survey_invitation_token_hash'), ['token_hash'])
        batch_op.drop_constraint(batch_op.f('fk_survey_invitation_mail_id'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('uq_survey_invitation_wave_id_mailbox'), type_='unique')
        for column in ('mailbox', 'mail_id', 'reminded_at', 'answered', 'declined_at', 'dismissed_at'):
            batch_op.drop_column(column)
    with op.batch_alter_table('response', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_response_answer_key'), type_='unique')
        batch_op.drop_column('answer_key')
        batch_op.alter_column('invitation_id', existing_type=portal.db.Key(), nullable=False)
    with op.batch_alter_table('wave', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_wave_closes_at'))
        batch_op.drop_constraint(batch_op.f('fk_wave_rollout_id'), type_='foreignkey')
        for column in ('closed_at', 'rollout_id', 'rollout_side'):
            batch_op.drop_column(column)
        batch_op.alter_column('occurrence_local', existing_type=sa.String(length=24), type_=sa.String(length=19))
    with op.batch_alter_table('questionnaire', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_questionnaire_follows_id'), type_='foreignkey')
        batch_op.drop_column('follows_id')
    questionnaire = sa.table('questionnaire', sa.column('id'), sa.column('body', sa.JSON()))
    for key, body in bind.execute(sa.select(questionnaire)).all():
        bind.execute(questionnaire.update().where(questionnaire.c.id == key).values(body=_by_language(body)))
    for table, columns in _STEPS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, _kind, _default in columns:
                batch_op.drop_column(name)
    op.drop_table('rollout_partner')
    op.drop_table('rollout')
