"""Migrations with data in the tables, on both engines, up and down and up again."""

from __future__ import annotations

import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import func, inspect, select, text

from portal import create_app
from portal.accounts.models import Partner, User
from portal.accounts.service import set_up
from portal.db import db, write
from portal.health import migrations_are_current
from tests import engines
from tests.factories import make_asset
from tests.people import anna, lena


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_the_newest_migration_keeps_what_is_there_and_can_go_back(engine: str) -> None:
    settings = engines.settings_for(engine, engines.folder() / f"migrate_{engine}")
    app = create_app(settings, testing=True)
    with app.app_context():
        upgrade()
        with write() as session:
            set_up(session, company="N", timezone="UTC", privacy_mode="person")
        person, manager = lena(), anna()
        with write((Partner, person.partner_id)) as session:
            row = session.get_one(Partner, person.partner_id)
            row.channel_manager_id = manager.id
        make_asset()
        db.session.remove()
        upgrade()
        with db.engine.connect() as connection:
            assert migrations_are_current(connection)
        assert db.session.scalar(select(func.count()).select_from(User)) == 2
        db.session.remove()
        downgrade()
        assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
        with db.engine.connect() as connection:
            assert not migrations_are_current(connection)
        upgrade()
        with db.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM partner")) == 0
        db.session.remove()
        db.engine.dispose()
