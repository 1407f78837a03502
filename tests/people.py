"""The standing cast. Each is made when first named in a test.

Lena sells for Kühn Technik, where Jonas is partner admin. Mia sells for Brandt Pumpen, their
rival: she must never see anything of theirs. Anna and Otto are channel managers at the vendor,
Ada is its administrator.
"""

from __future__ import annotations

from sqlalchemy import select

from portal.accounts.models import Partner, Role, User
from portal.db import db
from tests.factories import make_partner, make_user


def _partner(name: str) -> Partner:
    known = db.session.scalars(select(Partner).where(Partner.name == name)).one_or_none()
    return known or make_partner(name)


def _person(name: str, email: str, role: str, partner: str = "") -> User:
    known = db.session.scalars(select(User).where(User.email == email)).one_or_none()
    organisation = _partner(partner) if partner else None
    return known or make_user(name, role, organisation, email=email)


def kuehn() -> Partner:
    """Lena's and Jonas's organisation."""
    return _partner("Kühn Technik")


def brandt() -> Partner:
    """The rival."""
    return _partner("Brandt Pumpen")


def lena() -> User:
    """Sells for Kühn Technik."""
    return _person("Lena Kühn", "lena@kuehn.example", Role.partner_user, "Kühn Technik")


def jonas() -> User:
    """Runs the team at Kühn Technik."""
    return _person("Jonas Weber", "jonas@kuehn.example", Role.partner_admin, "Kühn Technik")


def mia() -> User:
    """Sells for Brandt Pumpen, the rival."""
    return _person("Mia Brandt", "mia@brandt.example", Role.partner_user, "Brandt Pumpen")


def anna() -> User:
    """Channel manager at the vendor."""
    return _person("Anna Keller", "anna@nordwerk.example", Role.channel_manager)


def otto() -> User:
    """A second channel manager."""
    return _person("Otto Lang", "otto@nordwerk.example", Role.channel_manager)


def ada() -> User:
    """Administrator at the vendor."""
    return _person("Ada Berg", "ada@nordwerk.example", Role.admin)
