"""The demo's deals: 24 months of registrations in all states, and three told by hand."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.content.models import Recipient, ShareLink
from portal.deals import policy, policy_versions, reasons
from portal.deals.customer_models import KnownAccount
from portal.deals.keys import name_key
from portal.deals.models import Customer, Deal, DealHistory, Protection
from portal.deals.pipeline import Side, Stage, Status
from portal.demo.attention import CUSTOMERS
from portal.demo.cast import Cast, Organisation, Person
from portal.demo.contents import Library
from portal.demo.ids import key
from portal.demo.rows import put

MONTHS = 24
RATE_BEFORE, RATE_AFTER = 0.55, 0.72
WON_BEFORE, WON_AFTER = 0.31, 0.37
CURRENCIES = {"CH": "CHF"}
PLACES = [
    "Nord",
    "Süd",
    "West",
    "Ost",
    "Mitte",
    "Hafen",
    "Tal",
    "Berg",
    "See",
    "Wald",
    "Feld",
    "Ufer",
    "Stadt",
    "Land",
]


@dataclass
class Record:
    """Rows to write, by table."""

    customers: list[dict[str, Any]] = field(default_factory=list)
    deals: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    protections: list[dict[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


@dataclass
class _Story:
    """One deal as it is being told."""

    rng: random.Random
    now: datetime
    zone: ZoneInfo
    terms: policy.Terms
    partner: Organisation
    person: Person
    manager: Person
    row: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)

    def move(self, name: str, person: Person, at: datetime, **more: Any) -> None:
        """Add a step to the history, from where the deal stands to where `more` says."""
        status, stage = more.pop("status", self.row["status"]), more.pop("stage", self.row["stage"])
        vendor = person.partner is None
        self.history.append(
            {
                "id": key(self.rng, at),
                "deal_id": self.row["id"],
                "at": at,
                "actor_id": person.id,
                "side": (Side.vendor if vendor else Side.partner).value,
                "move": name,
                "from_status": self.row["status"],
                "to_status": str(status),
                "from_stage": self.row["stage"],
                "to_stage": None if stage is None else str(stage),
                "reason_code": None,
                "sentence": "",
                "note": "",
                **more,
            }
        )
        self.row["status"], self.row["stage"] = str(status), None if stage is None else str(stage)


def build(
    rng: random.Random,
    now: datetime,
    zone: ZoneInfo,
    session: Session,
    cast: Cast,
    library: Library,
) -> Record:
    """Registrations by every partner, more of them after the rollout."""
    record = Record()
    rules = policy_versions.current_policy(session, now)
    terms = rules.terms
    managers = {person.id: person for person in cast.managers}
    families = list(library.families.values())
    for partner in cast.partners:
        manager = managers[partner.row["channel_manager_id"]]
        for month in range(MONTHS, 0, -1):
            begin = now - timedelta(days=30.4 * month)
            rate = RATE_AFTER if begin.date() >= partner.rollout else RATE_BEFORE
            wanted = rate * partner.size
            for _deal in range(int(wanted) + (rng.random() < wanted % 1)):
                at = _office(rng, begin + timedelta(days=rng.uniform(0, 30)), zone)
                if at < now - timedelta(hours=2):
                    row = _claim(rng, record, partner, at, rng.choice(families), rules.id)
                    person = partner.people[rng.randrange(len(partner.people))]
                    row["submitted_by_id"] = person.id
                    story = _Story(rng, now, zone, terms, partner, person, manager, row)
                    _tell(story, record)
    _by_hand(rng, now, zone, record, cast, library, terms, rules.id)
    return record


def _office(rng: random.Random, at: datetime, zone: ZoneInfo) -> datetime:
    day = at.astimezone(zone).date()
    while day.weekday() > 4:
        day -= timedelta(days=1)
    local = datetime.combine(day, time(8)) + timedelta(minutes=rng.randrange(540))
    return clock.resolve_local(local, zone)


def _claim(
    rng: random.Random,
    record: Record,
    partner: Organisation,
    at: datetime,
    family: uuid.UUID,
    policy_id: uuid.UUID,
    name: str = "",
) -> dict[str, Any]:
    while not name or name in record.names:
        name = f"{rng.choice(CUSTOMERS)} {rng.choice(PLACES)}"
        if name in record.names:
            name = f"{name} {rng.randint(2, 99)}"
    record.names.add(name)
    country = partner.row["country"]
    domain = "".join(c for c in name.lower() if c.isascii() and c.isalnum())
    return {
        "id": key(rng, at),
        "reference": "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=8)),
        "partner_id": partner.id,
        "assignee_id": partner.row["channel_manager_id"],
        "created_at": at,
        "customer_name": name,
        "domain": f"{domain}.example",
        "country": country,
        "postcode": str(rng.randint(10000, 99999)),
        "contact": "",
        "product_family_id": family,
        "deal_type": rng.choices(["new", "renewal", "upsell", "cross_sell"], (6, 1, 2, 1))[0],
        "expected_close": (at + timedelta(days=rng.randint(30, 150))).date(),
        "amount_minor": int(rng.lognormvariate(9.4, 0.8)) * 100,
        "currency": CURRENCIES.get(country, "EUR"),
        "first_contact": (at - timedelta(days=rng.randint(0, 25))).date(),
        "status": Status.draft.value,
        "stage": None,
        "customer_id": None,
        "policy_id": policy_id,
        "submitted_at": None,
        "decision_due_at": None,
        "decided_at": None,
        "decided_by_id": None,
        "seen_at": None,
        "seen_by_id": None,
        "won_amount_minor": None,
        "won_currency": None,
        "won_at": None,
        "won_confirmed_by_id": None,
        "order_number": "",
        "lost_at": None,
        "loss_reason": None,
    }


def _tell(story: _Story, record: Record) -> None:
    """Let a deal live until now."""
    rng, row, at = story.rng, story.row, story.row["created_at"]
    if rng.random() < 0.03:
        return _close(story, record)
    _submit(story, at)
    seen = at + timedelta(hours=rng.lognormvariate(1.8, 0.8))
    if rng.random() < 0.03 and seen < story.now:
        story.move("withdraw", story.person, seen, status=Status.withdrawn)
        return _close(story, record)
    if seen >= story.now:
        return _close(story, record)
    row["seen_at"], row["seen_by_id"] = seen, story.manager.id
    story.move("take_in_review", story.manager, seen, status=Status.in_review)
    decided = seen + timedelta(hours=rng.lognormvariate(2.3, 0.9))
    if decided >= story.now:
        return _close(story, record)
    if rng.random() < 0.04:
        row["decision_due_at"] = None
        sentence = "Who at the customer decides, and by when?"
        story.move("ask", story.manager, decided, status=Status.returned, sentence=sentence)
        return _close(story, record)
    row["decided_at"], row["decided_by_id"] = decided, story.manager.id
    if rng.random() < 0.14:
        code = rng.choice(["other_partner", "existing_customer", "no_evidence", "below_minimum"])
        sentence = reasons.sentence_for(code)
        story.move(
            "reject", story.manager, decided, status=Status.rejected, reason_code=code,
            sentence=sentence,
        )  # fmt: skip
        return _close(story, record)
    _approve(story, record, decided)
    _sell(story, record, decided)
    return _close(story, record)


def _submit(story: _Story, at: datetime) -> None:
    story.row["submitted_at"] = at
    due = policy.decision_due(at, story.terms, story.zone)
    story.row["decision_due_at"] = due
    story.move("submit", story.person, at, status=Status.submitted)


def _approve(story: _Story, record: Record, at: datetime) -> None:
    row = story.row
    customer = {
        "id": key(story.rng, at),
        "name": row["customer_name"],
        "name_key": name_key(row["customer_name"]),
        "domain": row["domain"],
        "country": row["country"],
        "postcode": row["postcode"],
        "created_at": at,
    }
    record.customers.append(customer)
    row["customer_id"] = customer["id"]
    story.move("approve", story.manager, at, status=Status.approved, stage=Stage.qualified)
    record.protections.append(
        {
            "id": key(story.rng, at),
            "customer_id": customer["id"],
            "product_family_id": row["product_family_id"],
            "deal_id": row["id"],
            "starts_at": at,
            "ends_at": policy.protected_until(at, story.terms.protection_days, story.zone),
        }
    )


def _sell(story: _Story, record: Record, approved: datetime) -> None:
    """From qualified to the end, or as far as it has come."""
    rng, row, now = story.rng, story.row, story.now
    after = approved.date() >= story.partner.rollout
    days = rng.lognormvariate(4.2, 0.5)
    ends = approved + timedelta(days=days)
    for part, stage in ((0.3, Stage.proposal), (0.65, Stage.negotiation)):
        at = approved + timedelta(days=days * part)
        if at < now:
            story.move(f"to_{stage}", story.person, at, stage=stage)
    if ends >= now:
        return
    if rng.random() < (WON_AFTER if after else WON_BEFORE) * 1.6:
        _win(story, ends)
    elif rng.random() < 0.85:
        row["loss_reason"] = rng.choice(list(reasons.LOSS_LABELS))
        row["lost_at"] = ends
        story.move("lose", story.person, ends, status=Status.closed, stage=Stage.lost)
        protection = record.protections[-1]
        protection["ends_at"] = max(protection["starts_at"], min(protection["ends_at"], ends))
    elif record.protections[-1]["ends_at"] + timedelta(days=3) < now:
        at = record.protections[-1]["ends_at"] + timedelta(days=3)
        if at > ends:
            story.move("expire", story.manager, at, status=Status.expired)


def _win(story: _Story, at: datetime) -> None:
    row, rng = story.row, story.rng
    row["won_amount_minor"] = int(row["amount_minor"] / 100 * rng.uniform(0.7, 1.2)) * 100
    row["won_currency"] = row["currency"]
    row["order_number"] = f"PO-{row['reference'][:5]}"
    day = clock.local_day(at, story.zone)
    row["won_at"] = clock.resolve_local(datetime.combine(day, time(12)), story.zone)
    story.move("report_won", story.person, at, stage=Stage.won)
    confirmed = at + timedelta(hours=rng.uniform(2, 60))
    if confirmed < story.now:
        row["won_confirmed_by_id"] = story.manager.id
        story.move("confirm_win", story.manager, confirmed, status=Status.closed, stage=Stage.won)


def _close(story: _Story, record: Record) -> None:
    record.deals.append(story.row)
    record.history += story.history


def _by_hand(
    rng: random.Random,
    now: datetime,
    zone: ZoneInfo,
    record: Record,
    cast: Cast,
    library: Library,
    terms: policy.Terms,
    policy_id: uuid.UUID,
) -> None:
    """Two rivals with the same customer; of Lena's deals one is protected, one has a question."""
    kuehn, rival, anna = cast.partner("Kühn"), cast.partner("Pumpen Nord"), cast.managers[0]
    pumps = library.families["Pumps NPX-200"]
    plans = library.families["Service plans"]

    def story(
        partner: Organisation, name: str, family: uuid.UUID, hours: float, amount: int
    ) -> _Story:
        at = now - timedelta(hours=hours)
        row = _claim(rng, record, partner, at, family, policy_id, name)
        person = partner.people[0]
        row |= {"submitted_by_id": person.id, "amount_minor": amount, "deal_type": "new"}
        told = _Story(rng, now, zone, terms, partner, person, anna, row)
        _submit(told, at)
        return told

    brandt = story(kuehn, "Brandt & Söhne", pumps, 20, 1_840_000)
    other = story(rival, "Brandt Soehne GmbH", pumps, 26, 1_790_000)
    for told, domain in ((brandt, "brandt-soehne.example"), (other, "www.brandt-soehne.example")):
        told.row |= {"domain": domain, "country": "DE", "postcode": "26721"}
        _close(told, record)
    lingen = story(kuehn, "Stadtwerke Lingen", plans, 30 * 24, 2_460_000)
    decided = now - timedelta(days=29)
    lingen.row |= {
        "seen_at": decided - timedelta(hours=3),
        "seen_by_id": anna.id,
        "decided_at": decided,
        "decided_by_id": anna.id,
    }
    lingen.move("take_in_review", anna, decided - timedelta(hours=3), status=Status.in_review)
    _approve(lingen, record, decided)
    lingen.move("to_proposal", lingen.person, decided + timedelta(days=9), stage=Stage.proposal)
    _close(lingen, record)
    emden = story(kuehn, "Hafen Emden", plans, 70, 920_000)
    seen = now - timedelta(hours=50)
    emden.row |= {"seen_at": seen, "seen_by_id": anna.id, "decision_due_at": None}
    emden.move("take_in_review", anna, seen, status=Status.in_review)
    sentence = "Is this the terminal in the east harbour? Please add who you spoke to."
    emden.move("ask", anna, seen + timedelta(hours=1), status=Status.returned, sentence=sentence)
    _close(emden, record)


ACCOUNTS = (
    ("NW-1001", "Hafen Emden GmbH & Co. KG", "hafen-emden.example", "DE", "26723", "Ida Boysen"),
    ("NW-1002", "Brandt Chemie AG", "brandt-chemie.example", "DE", "67056", "Ida Boysen"),
    ("NW-1003", "Waterschap Noord", "waterschap-noord.example", "NL", "9712", "Jan Visser"),
    ("NW-1004", "Vesilaitos Tampere Oy", "vesi-tampere.example", "FI", "33100", "Jan Visser"),
    ("NW-1005", "Acquedotto Lario S.p.A.", "acquedotto-lario.example", "IT", "22100", ""),
)


def save(session: Session, record: Record) -> None:
    """Write them down, with a few accounts that the vendor's own sellers look after."""
    names = ("external_id", "name", "domain", "country", "postcode", "owner")
    moment = max(row["at"] for row in record.history)
    session.execute(
        insert(KnownAccount),
        [{**dict(zip(names, row, strict=True)), "imported_at": moment} for row in ACCOUNTS],
    )
    put(
        session,
        (Customer, record.customers),
        (Deal, record.deals),
        (DealHistory, record.history),
        (Protection, record.protections),
    )
    _tie_links(session, record)


def _tie_links(session: Session, record: Record) -> None:
    """What was shared with a customer who is registered belongs to that deal."""
    deals = {(row["partner_id"], row["customer_name"]): row["id"] for row in record.deals}
    query = select(ShareLink).join(Recipient, ShareLink.recipient_id == Recipient.id)
    for link in session.scalars(query.options(joinedload(ShareLink.recipient))):
        if link.recipient is not None:
            link.deal_id = deals.get((link.partner_id, link.recipient.name))
    session.flush()
