"""What tests of leads have in common."""

from __future__ import annotations

import re
import uuid
from typing import Any

from portal.accounts.models import User
from portal.content.models import ShareLink
from portal.db import db
from portal.leads.models import Lead
from tests.conftest import Browse


def write_down(browse: Browse, person: User, **more: Any) -> uuid.UUID:
    """`person` writes a lead down; its key."""
    data = {"company": "Hafen Emden", "contact": "Ole Harms", "email": "ole@hafen.example", **more}
    answer = browse(person).post("/leads/new", data=data)
    assert answer.status_code == 302, re.findall(r'class="error"[^<]+', answer.text)
    return uuid.UUID(answer.location.rsplit("/", 1)[1])


QUESTION = {
    "name": "Ida Frank",
    "email": "Ida@Stadtwerke.example",
    "question": "Does it fit shaft four?",
    "consent": "y",
}


def ask(browse: Browse, link: ShareLink, **more: Any) -> Any:
    """A customer asks through a link."""
    return browse(None).post(f"/s/{link.slug}/ask", data={**QUESTION, **more})


def lead_of(lead_id: uuid.UUID) -> Lead:
    """The lead as it is now."""
    db.session.rollback()
    return db.session.get_one(Lead, lead_id)


def the_lead() -> Lead:
    """The only lead there is."""
    db.session.rollback()
    return db.session.query(Lead).one()
