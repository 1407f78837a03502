"""The demo's leads: where many of its deals came from, those that came to nothing, and what waits
for Lena today."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from portal.demo import attention
from portal.demo.attention import CUSTOMERS
from portal.demo.cast import Cast, Organisation, Person
from portal.demo.contents import Library
from portal.demo.deals import PLACES
from portal.demo.ids import key
from portal.demo.rows import put
from portal.leads.asking import consent
from portal.leads.models import Enquiry, Lead, LeadHistory, LeadOffer
from portal.leads.rules import USUAL
from portal.leads.stages import Side, Source, Stage

MONTHS = 24
# Of the deals, how many came of a lead; and leads per partner and month that came to nothing.
OF_DEALS = 0.35
IN_VAIN_BEFORE, IN_VAIN_AFTER = 0.25, 0.4
FIRST = ("Ida", "Ole", "Marta", "Jan", "Silke", "Timo", "Petra", "Aino", "Luca", "Sofie")
LAST = ("Frank", "Harms", "Vogel", "de Boer", "Lund", "Rossi", "Peeters", "Weiss", "Aalto", "Kern")


@dataclass
class Record:
    """Rows to write, by table."""

    leads: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    offers: list[dict[str, Any]] = field(default_factory=list)
    enquiries: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _World:
    rng: random.Random
    now: datetime
    company: str
    cast: Cast
    library: Library
    record: Record = field(default_factory=Record)


def build(
    seed: int,
    now: datetime,
    company: str,
    cast: Cast,
    library: Library,
    reading: attention.Record,
    deals: Iterable[dict[str, Any]],
) -> Record:
    """Leads of every kind; `deals` are told which lead they came of."""
    world = _World(random.Random(seed), now, company, cast, library)
    partners = {partner.id: partner for partner in cast.partners}
    for deal in deals:
        deal["lead_id"] = None
        if deal["submitted_at"] is not None and world.rng.random() < OF_DEALS:
            _of_deal(world, partners[deal["partner_id"]], deal)
    for partner in cast.partners:
        _in_vain(world, partner)
    _lenas_day(world, reading)
    return world.record


def _lead(
    world: _World,
    at: datetime,
    company: str,
    source: Source,
    partner: Organisation | None,
    **more: Any,
) -> dict[str, Any]:
    """A lead that comes in."""
    rng = world.rng
    contact = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    domain = "".join(c for c in company.lower() if c.isascii() and c.isalnum())
    person = partner.people[0].id if partner and source == Source.partner else None
    row = {
        "id": key(rng, at),
        "external_id": None,
        "partner_id": partner.id if partner else None,
        "source": source.value,
        "stage": Stage.new.value,
        "created_at": at,
        "created_by_id": world.cast.managers[0].id if source == Source.hand else person,
        "named_at": None if source == Source.share else at,
        "company": company,
        "contact": contact,
        "email": f"{contact.split()[0].lower()}@{domain}.example",
        "phone": "",
        "country": partner.row["country"] if partner else "DE",
        "region": partner.row["region"] if partner else "DACH",
        "product_family_id": rng.choice(list(world.library.families.values())),
        "note": "",
        "share_id": None,
        "recipient_id": None,
        **more,
    }
    world.record.leads.append(row)
    side = Side.customer if source == Source.share else Side.partner
    side = Side.vendor if source == Source.hand else side
    name = "ask" if source == Source.share else "capture"
    _step(world, row, name, at, side, row["created_by_id"])
    return row


def _step(
    world: _World,
    row: dict[str, Any],
    name: str,
    at: datetime,
    side: Side,
    actor_id: uuid.UUID | None = None,
    to: Stage | None = None,
    **more: Any,
) -> None:
    before, row["stage"] = row["stage"], to.value if to else row["stage"]
    world.record.history.append(
        {
            "id": key(world.rng, at),
            "lead_id": row["id"],
            "at": at,
            "actor_id": actor_id,
            "partner_id": row["partner_id"],
            "side": side.value,
            "move": name,
            "from_stage": before,
            "to_stage": row["stage"],
            "reason_code": None,
            "score": None,
            "rules_version": None,
            **more,
        }
    )


def _qualify(world: _World, row: dict[str, Any], at: datetime) -> None:
    score = USUAL.threshold + world.rng.randrange(25)
    _step(
        world, row, "qualify", at, Side.portal, to=Stage.mql, score=score,
        rules_version=USUAL.version,
    )  # fmt: skip


def _person(world: _World, partner: Organisation) -> Person:
    return partner.people[world.rng.randrange(len(partner.people))]


def _of_deal(world: _World, partner: Organisation, deal: dict[str, Any]) -> None:
    """A lead that became a deal."""
    rng, end = world.rng, deal["submitted_at"]
    at = end - timedelta(days=rng.uniform(4, 60))
    source = rng.choices([Source.partner, Source.hand, Source.share], (6, 3, 2))[0]
    row = _lead(world, at, deal["customer_name"], source, partner)
    row["product_family_id"] = deal["product_family_id"]
    length = end - at
    if source == Source.hand:
        _taken(world, row, partner, at, at + length * 0.1)
    if rng.random() < 0.8:
        _qualify(world, row, at + length * 0.3)
    if rng.random() < 0.6:
        accepted, actor = at + length * 0.7, _person(world, partner).id
        _step(world, row, "accept", accepted, Side.partner, actor, Stage.sql)
        row["named_at"] = row["named_at"] or accepted
    _step(world, row, "convert", end, Side.partner, deal["submitted_by_id"], Stage.converted)
    row["named_at"] = row["named_at"] or end
    deal["lead_id"] = row["id"]
    deal["first_contact"] = min(deal["first_contact"], at.date())


def _taken(
    world: _World, row: dict[str, Any], partner: Organisation, at: datetime, until: datetime
) -> None:
    """The vendor's lead was offered to a partner, who took it in time."""
    until = min(until, at + timedelta(hours=USUAL.accept_hours - 1))
    actor = _person(world, partner).id
    _offer(world, row, partner, at, state="taken", ended_at=until, ended_by_id=actor)
    _step(world, row, "take", until, Side.partner, actor)


def _offer(
    world: _World, row: dict[str, Any], partner: Organisation, at: datetime, **more: Any
) -> None:
    world.record.offers.append(
        {
            "id": key(world.rng, at),
            "lead_id": row["id"],
            "partner_id": partner.id,
            "state": "open",
            "offered_at": at,
            "due_at": at + timedelta(hours=USUAL.accept_hours),
            "ended_at": None,
            "ended_by_id": None,
            "reason_code": None,
            **more,
        }
    )
    _step(world, row, "offer", at, Side.portal, partner_id=partner.id)


def _in_vain(world: _World, partner: Organisation) -> None:
    """Leads that were given up, and young ones that are still open."""
    rng = world.rng
    for month in range(MONTHS, 0, -1):
        at = world.now - timedelta(days=30.4 * month - rng.uniform(0, 29))
        rate = IN_VAIN_AFTER if at.date() >= partner.rollout else IN_VAIN_BEFORE
        if at >= world.now - timedelta(days=1) or rng.random() > rate:
            continue
        company = f"{rng.choice(CUSTOMERS)} {rng.choice(PLACES)} {rng.randint(100, 999)}"
        row = _lead(world, at, company, Source.partner, partner)
        for name, chance, to in (
            ("qualify", 0.6, Stage.mql),
            ("accept", 0.4, Stage.sql),
            ("disqualify", 0.8, Stage.disqualified),
        ):
            at += timedelta(days=rng.lognormvariate(2.2, 0.7))
            if at >= world.now:
                break
            if rng.random() > chance:
                continue
            if name == "qualify":
                _qualify(world, row, at)
                continue
            reason = rng.choice(["no_need", "no_budget", "not_reachable", "competitor"])
            code = reason if name == "disqualify" else None
            actor = _person(world, partner).id
            _step(world, row, name, at, Side.partner, actor, to, reason_code=code)


def _lenas_day(world: _World, reading: attention.Record) -> None:
    """A customer asked Lena this morning, and the vendor offers her team a lead."""
    lena = world.cast.partner("Kühn")
    names = {row["id"]: row["name"] for row in reading.recipients}
    link = [
        row
        for row in reading.links
        if row["partner_id"] == lena.id and names.get(row["recipient_id"]) == "Hafen Emden"
    ][-1]
    at = world.now - timedelta(hours=3)
    row = _lead(
        world, at, "Hafen Emden", Source.share, lena, contact="Ole Harms",
        email="ole.harms@hafen-emden.example", share_id=link["id"],
        recipient_id=link["recipient_id"],
    )  # fmt: skip
    world.record.enquiries.append(
        {
            "id": key(world.rng, at),
            "lead_id": row["id"],
            "share_id": link["id"],
            "at": at,
            "question": "Does the service price include the pumps in the east harbour?",
            "consent": consent(lena.name, world.company),
        }
    )
    offered = _lead(
        world, at, "Klärwerk Leer", Source.hand, None, note="Met at the fair in Munich: plans two "
        "new pumps next year.", contact="Marta Vogel", email="vogel@klaerwerk-leer.example",
    )  # fmt: skip
    _offer(world, offered, lena, at)


def save(session: Session, record: Record) -> None:
    """Write them down."""
    put(
        session,
        (Lead, record.leads),
        (LeadHistory, record.history),
        (LeadOffer, record.offers),
        (Enquiry, record.enquiries),
    )
