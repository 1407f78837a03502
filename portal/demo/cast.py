"""Who is in the demo: 48 partners in seven countries and 170 people."""

from __future__ import annotations

import random
import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Update, insert, update
from sqlalchemy.orm import Session

from portal.accounts.models import Partner, Role, User
from portal.clock import add_months
from portal.demo.ids import key

PEOPLE = 170
FIRST_WAVE = 24
# The partner experience was rolled out 11 months ago to half of the partners, then to the rest.
ROLLOUT_MONTHS, LATER_MONTHS = 11, 7

COUNTRIES = {
    "DE": (
        "DACH",
        "de",
        17,
        ["Technik", "Pumpen", "Anlagenbau", "Wasser", "Industrie"],
        [
            "Kühn",
            "Albers",
            "Petersen",
            "Hoffmann",
            "Riedel",
            "Vogt",
            "Ziegler",
            "Lorenz",
            "Busch",
            "Engel",
            "Thiel",
            "Wolff",
            "Arndt",
            "Fiedler",
            "Kraft",
            "Seidel",
            "Brandt",
        ],
    ),
    "AT": (
        "DACH",
        "de",
        5,
        ["Pumpen", "Haustechnik", "Anlagen"],
        ["Gruber", "Moser", "Steiner", "Huber", "Leitner"],
    ),
    "CH": (
        "DACH",
        "de",
        5,
        ["Pumpen", "Technik", "Wasser"],
        ["Meier", "Keller", "Frei", "Baumann", "Zürcher"],
    ),
    "NL": (
        "Benelux",
        "nl",
        6,
        ["Pompen", "Techniek", "Water"],
        ["Van_Dijk", "De_Vries", "Jansen", "Bakker", "Visser", "Smit"],
    ),
    "BE": ("Benelux", "nl", 4, ["Pompen", "Industrie"], ["Peeters", "Janssens", "Maes", "Claes"]),
    "FI": (
        "Nordics",
        "fi",
        5,
        ["Nord", "Pumppu", "Vesi"],
        ["Aqua", "Korhonen", "Virtanen", "Lahti", "Salo"],
    ),
    "IT": (
        "South",
        "it",
        6,
        ["Pompe", "Impianti", "Acqua"],
        ["Rossi", "Bianchi", "Ferrari", "Romano", "Greco", "Conti"],
    ),
}
FORMS = {"DE": "GmbH", "AT": "GmbH", "CH": "AG", "NL": "B.V.", "BE": "NV", "FI": "Oy", "IT": "Srl"}
FIRST_NAMES = {
    "de": [
        "Anja",
        "Bernd",
        "Carla",
        "Dirk",
        "Eva",
        "Frank",
        "Greta",
        "Hannes",
        "Ina",
        "Jens",
        "Katja",
        "Lars",
        "Mara",
        "Nils",
        "Olga",
        "Paul",
        "Rita",
        "Sven",
        "Tanja",
        "Uwe",
    ],
    "nl": [
        "Anouk",
        "Bram",
        "Daan",
        "Eline",
        "Femke",
        "Gijs",
        "Joost",
        "Lotte",
        "Maud",
        "Niels",
        "Roos",
        "Sanne",
        "Thijs",
    ],
    "fi": [
        "Aino",
        "Eero",
        "Helmi",
        "Ilona",
        "Jari",
        "Kaisa",
        "Mikko",
        "Outi",
        "Pekka",
        "Sanna",
        "Timo",
    ],
    "it": [
        "Alessia",
        "Bruno",
        "Chiara",
        "Dario",
        "Elena",
        "Fabio",
        "Giulia",
        "Luca",
        "Marta",
        "Paolo",
    ],
}
LAST_NAMES = {
    "de": [
        "Adam",
        "Bauer",
        "Conrad",
        "Dietz",
        "Ebert",
        "Fuchs",
        "Götz",
        "Haas",
        "Jung",
        "Kern",
        "Lang",
        "Mohr",
        "Noll",
        "Otto",
        "Pohl",
        "Roth",
        "Sauer",
        "Timm",
        "Ulrich",
        "Weiß",
    ],
    "nl": [
        "Bos",
        "Dekker",
        "Hendriks",
        "Kok",
        "Mulder",
        "Peters",
        "Schouten",
        "Vermeer",
        "Wouters",
    ],
    "fi": ["Heikkinen", "Järvinen", "Laine", "Mäkinen", "Nieminen", "Rantanen", "Saarinen"],
    "it": ["Barbieri", "Costa", "De_Luca", "Esposito", "Gallo", "Marino", "Rinaldi"],
}
TIERS = ("Platinum", "Gold", "Silver")


@dataclass
class Person:
    """Someone of the demo and how busy they are (1 is usual)."""

    row: dict[str, Any]
    partner: Organisation | None = None
    energy: float = 1.0

    @property
    def id(self) -> uuid.UUID:
        """Their key."""
        found: uuid.UUID = self.row["id"]
        return found


@dataclass
class Organisation:
    """A partner of the demo: its row, its people, and when it got the new experience."""

    row: dict[str, Any]
    language: str
    rollout: date
    size: float
    people: list[Person] = field(default_factory=list)

    @property
    def id(self) -> uuid.UUID:
        """Its key."""
        found: uuid.UUID = self.row["id"]
        return found

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.row["name"])


@dataclass
class Cast:
    """Everyone."""

    partners: list[Organisation]
    vendor: list[Person]

    @property
    def managers(self) -> list[Person]:
        """The channel managers; Anna Keller is the first."""
        return [person for person in self.vendor if person.row["role"] == Role.channel_manager]

    def partner(self, name: str) -> Organisation:
        """The partner whose name begins like this."""
        return next(row for row in self.partners if row.name.startswith(name))


def plain(name: str) -> str:
    """A name as it stands in an address."""
    for letter, instead in {"ü": "ue", "ö": "oe", "ä": "ae", "ß": "ss"}.items():
        name = name.lower().replace(letter, instead)
    name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def build(
    rng: random.Random,
    now: datetime,
    passwords: dict[str, str],
    hash_password: Callable[[str], str],
) -> Cast:
    """The whole cast; the people in `passwords` (by address) can sign in with theirs."""
    began = now - timedelta(days=760)
    vendor = _vendor(rng, began)
    managers = [person for person in vendor if person.row["role"] == Role.channel_manager]
    partners = _partners(rng, now, began, managers)
    _staff(rng, began, partners, PEOPLE - len(vendor))
    everyone = [*vendor, *(person for partner in partners for person in partner.people)]
    for person in everyone:
        password = passwords.get(person.row["email"])
        person.row["password_hash"] = hash_password(password) if password else None
    return Cast(partners, vendor)


def _person(
    rng: random.Random, began: datetime, name: str, email: str, role: str, **more: Any
) -> Person:
    row = {
        "id": key(rng, began),
        "name": name,
        "email": email,
        "role": str(role),
        "partner_id": None,
        "phone": None,
        "locale": "en",
        "created_at": began,
        "joined_at": began,
        "deactivated_at": None,
        **more,
    }
    return Person(row, energy=rng.lognormvariate(0, 0.6))


def _vendor(rng: random.Random, began: datetime) -> list[Person]:
    names = ["Anna Keller", "Henrik Sand", "Claire Dumont", "Marco Villa"]
    managers = [
        _person(
            rng,
            began,
            name,
            f"{plain(name).replace('-', '.')}@nordwerk.example",
            Role.channel_manager,
            phone=f"+49 40 5550 {10 + index}",
        )
        for index, name in enumerate(names)
    ]
    admin = _person(rng, began, "Jonas Admin", "admin@nordwerk.example", Role.admin)
    admin.row["name"] = "Tilda Berg"
    return [*managers, admin]


def _partners(
    rng: random.Random, now: datetime, began: datetime, managers: list[Person]
) -> list[Organisation]:
    found = []
    for country, (region, language, n, trades, names) in COUNTRIES.items():
        for index in range(n):
            name = f"{names[index].replace('_', ' ')} {trades[index % len(trades)]}"
            name = "Kühn Technik" if name.startswith("Kühn") else f"{name} {FORMS[country]}"
            if name.startswith("Brandt"):
                name = "Pumpen Nord GmbH"
            manager = managers[0] if country == "DE" else rng.choice(managers)
            row = {
                "id": key(rng, began),
                "name": name,
                "tier": rng.choices(TIERS, (1, 3, 4))[0],
                "region": region,
                "country": country,
                "kind": rng.choice(["reseller", "reseller", "distributor"]),
                "languages": [language],
                "channel_manager_id": manager.id,
                "joined_on": began.date(),
                "created_at": began,
            }
            found.append(Organisation(row, language, now.date(), rng.lognormvariate(0, 0.5)))
    found[0].row["tier"] = "Gold"
    early = {id(found[0]), *(id(row) for row in rng.sample(found[1:], FIRST_WAVE - 1))}
    for partner in found:
        months = ROLLOUT_MONTHS if id(partner) in early else LATER_MONTHS
        partner.rollout = add_months(now.date(), -months)
    return found


def _staff(rng: random.Random, began: datetime, partners: list[Organisation], people: int) -> None:
    sizes = [2] * len(partners)
    for _extra in range(people - sum(sizes)):
        sizes[rng.choices(range(len(partners)), [p.size for p in partners])[0]] += 1
    used: set[str] = set()
    for partner, n in zip(partners, sizes, strict=True):
        for index in range(n):
            name = _name(rng, partner, index, used)
            domain = plain(partner.name.removesuffix(FORMS[partner.row["country"]]))
            person = _person(
                rng,
                began,
                name,
                f"{plain(name).replace('-', '.')}@{domain}.example",
                Role.partner_admin if index == 1 else Role.partner_user,
                partner_id=partner.id,
                locale="en",
            )
            person.partner = partner
            partner.people.append(person)


def _name(rng: random.Random, partner: Organisation, index: int, used: set[str]) -> str:
    if partner.name == "Kühn Technik" and index < 2:
        return ("Lena Kühn", "Jonas Kühn")[index]
    while True:
        first = rng.choice(FIRST_NAMES[partner.language])
        name = f"{first} {rng.choice(LAST_NAMES[partner.language]).replace('_', ' ')}"
        if name not in used:
            used.add(name)
            return name


def save(session: Session, cast: Cast) -> None:
    """Write everyone down."""
    session.execute(insert(User), [person.row for person in cast.vendor])
    session.execute(insert(Partner), [partner.row for partner in cast.partners])
    people = [person.row for partner in cast.partners for person in partner.people]
    session.execute(insert(User), people)


def loosen() -> Update:
    """Partners and people refer to each other; without this neither could go first."""
    return update(Partner).values(channel_manager_id=None)
