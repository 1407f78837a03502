"""The demo company Nordwerk, pumps and spare parts: 48 partners, 24 months, the same every time.

Everything is relative to today and drawn from one seed. It goes in as one transaction with the
installation's own row, so that a demo is there completely or not at all.
"""

from __future__ import annotations

import random
from datetime import timedelta

from flask import current_app, g
from flask_babel import gettext as _
from sqlalchemy import delete, func, select, update

from portal import clock
from portal.accounts.models import Installation, PrivacyMode
from portal.accounts.service import installation, set_up, zone
from portal.accounts.views import DEMO_PEOPLE
from portal.content.models import ShareLink
from portal.content.storage import storage
from portal.db import Base, db, write
from portal.deals import checks
from portal.deals.policy_versions import ensure_policy
from portal.demo import attention, cast, contents, deals, leads, opinions, rates
from portal.errors import Refused
from portal.security import hash_password
from tracking import rollups

SEED = 20_24
COMPANY = "Nordwerk"
TIMEZONE = "Europe/Berlin"
PASSWORDS = {
    "Partner": (DEMO_PEOPLE["partner"], "lena-demo-2026"),
    "Channel manager": (DEMO_PEOPLE["manager"], "anna-demo-2026"),
    "Administrator": (DEMO_PEOPLE["admin"], "admin-demo-2026"),
}


def fill() -> None:
    """Fill an empty portal. Raises Refused when it is set up already."""
    if installation() is not None:
        raise Refused(_("This portal is in use. The demo company fills only an empty one."))
    db.session.rollback()
    now, rng = clock.now(), random.Random(SEED)
    people = cast.build(rng, now, dict(PASSWORDS.values()), hash_password)
    library = contents.build(rng, now, storage())
    with contents.drawing(storage(), library):
        with write() as session:
            set_up(
                session,
                company=COMPANY,
                timezone=TIMEZONE,
                privacy_mode=PrivacyMode.pseudonymous,
                demo=True,
            )
            ensure_policy(session, now - timedelta(days=800))
            cast.save(session, people)
            contents.save(session, library)
            keys = current_app.extensions["portal_keys"]
            reading = attention.build(rng, now, zone(), keys, people, library)
            attention.save(session, reading)
            registered = deals.build(rng, now, zone(), session, people, library)
            possible = leads.build(SEED, now, COMPANY, people, library, reading, registered.deals)
            leads.save(session, possible)
            deals.save(session, registered)
            opinions.fill(rng, session, people, now, zone())
            rates.fill(session, clock.local_day(now, zone()))
        rollups.rebuild_marked(db.engine, zone(), at_once=True)
        checks.run_waiting(clock.now())
    # What was read before belongs to a transaction that is over.
    g.pop("installation", None)


def remove() -> dict[str, int]:
    """Take the demo away: every row and every file. Says what was removed, by table.

    Refused in a portal that was not filled by the demo. What people added to the demo since goes
    with it: the portal is empty afterwards and can be set up.
    """
    row = installation()
    if row is None or not row.demo:
        raise Refused(_("This portal does not hold the demo company."))
    removed: dict[str, int] = {}
    with write() as session:
        counts = {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.tables.values()
        }
        session.execute(cast.loosen())
        session.execute(update(ShareLink).values(deal_id=None))
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
            if counts[table.name]:
                removed[table.name] = counts[table.name]
        session.execute(delete(Installation))
    g.pop("installation", None)
    for entry in storage().listing():
        storage().remove(str(entry["name"]).rsplit("/", 1)[-1])
    return removed
