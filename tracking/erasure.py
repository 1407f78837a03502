"""Erasing what was recorded about a person's reading, so that late reports cannot undo it.

The rows stay, because the numbers of the organisation are made of them; the person does not: their
subject becomes a fresh random id, and the old one a tombstone under which nothing is taken again.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable

from sqlalchemy import select, text, union, update
from sqlalchemy.engine import Connection

from portal import clock
from portal.db import hold, insert_once
from tracking.models import Download, Load, Reader, Tombstone
from tracking.retention import note_removal


def erase(connection: Connection, subjects: Iterable[uuid.UUID]) -> Counter[str]:
    """Cut the tie between what was read and who read it; says how many rows of which table."""
    subjects = sorted(subjects)
    _come_between(connection, subjects)
    cut: Counter[str] = Counter()
    for subject in subjects:
        fresh = uuid.uuid4()
        for model in (Load, Download, Reader):
            values: dict[str, object] = {"subject": fresh}
            if model is not Reader:
                # A customer's reading is also known by their link, and by their device.
                values["share_id"] = None
            if model is Load:
                values["device"] = None
            changed = update(model).where(model.subject == subject).values(**values)
            cut[model.__tablename__] += connection.execute(changed).rowcount
        stone = {"subject": subject, "at": clock.now()}
        connection.execute(insert_once(connection, Tombstone), [stone])
    note_removal(connection, "erasure", cut)
    return cut


def erase_link(connection: Connection, share_id: uuid.UUID) -> Counter[str]:
    """The same for everyone who opened a link, on whichever device, and for the link itself:
    nothing is taken under it any more."""
    _come_between(connection, [share_id])
    readers = union(
        select(Load.subject).where(Load.share_id == share_id),
        select(Download.subject).where(Download.share_id == share_id),
    )
    return erase(connection, {share_id, *connection.scalars(readers)})


def _come_between(connection: Connection, keys: Iterable[uuid.UUID]) -> None:
    """Whatever is being written about `keys` comes before this, or sees the tombstone."""
    for key in keys:
        hold(connection, key)
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE load IN SHARE ROW EXCLUSIVE MODE"))
