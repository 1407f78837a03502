"""Rivals and reviewers press whatever they find, in any order, and no rule breaks on the way."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import pytest
from sqlalchemy import select

from portal import clock
from portal.accounts.models import User
from portal.content.models import ProductFamily
from portal.db import db, new_id, write
from portal.deals import drafts, record, service
from portal.deals.customers import WHO_IS_WHO
from portal.deals.drafts import Claim
from portal.deals.models import Deal, DealHistory, Protection
from portal.deals.pipeline import TABLE, Status
from portal.deals.record import Given
from portal.errors import NotFound, Refused
from tests.deals.test_deals import look_for_conflicts
from tests.factories import make_family
from tests.people import anna, lena, mia, otto

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
STEPS, DEALS = 90, 3
# Everything that any move may ask for.
GIVEN = Given(
    sentence="Why?", reason_code="no_evidence", note="Because.", new_customer=True,
    deal_type="renewal", won_amount=90_000, won_currency="EUR", won_on=START.date(),
    order_number="PO-1", loss_reason="price",
    confirmation="They were first.",
)  # fmt: skip


def claimed(family: ProductFamily, rng: random.Random) -> Claim:
    """A complete claim on the one customer that everyone wants."""
    values = {
        "customer_name": "Brandt & Söhne", "domain": "", "country": "DE", "postcode": "",
        "contact": "", "product_family_id": family.id, "deal_type": rng.choice(["", "new"]),
        "expected_close": START.date(), "amount_minor": rng.randint(1, 10**6),
        "currency": "EUR", "first_contact": START.date(),
    }  # fmt: skip
    return Claim(values, {"amount": "some"} if rng.random() < 0.3 else {})


def press(name: str, deal_id: uuid.UUID, person: User, claim: Claim, now: datetime) -> str:
    """One press of one person: the sentence that refuses it, or nothing."""
    try:
        with write((Deal, deal_id), holding=WHO_IS_WHO) as session:
            actor = session.get_one(User, person.id)
            if name == "edit":
                drafts.save(session, actor, deal_id, claim, now)
                return ""
            deal = service.get(session, actor, deal_id)
            if name == "submit":
                drafts.submit(session, deal, actor, now)
            else:
                service.move(session, deal, actor, name, now, GIVEN)
    except (Refused, NotFound) as refusal:
        return str(refusal)
    return ""


def look(deal_id: uuid.UUID) -> tuple[Deal, list[DealHistory]]:
    """A deal and what happened to it, as they are stored now."""
    db.session.rollback()
    return db.session.get_one(Deal, deal_id), record.history(db.session(), deal_id)


def keeps_the_rules(deal_id: uuid.UUID, partner_of: dict[uuid.UUID, uuid.UUID | None]) -> None:
    """Raise when a deal is where its history cannot have brought it."""
    deal, rows = look(deal_id)
    assert all(one.to_status == two.from_status for one, two in pairwise(rows))
    assert deal.status == (rows[-1].to_status if rows else Status.draft)
    assert (deal.submitted_at is not None) == any(row.move == "submit" for row in rows)
    assert not deal.is_registered or (deal.typed == {} and deal.deal_type)
    for row in rows:
        side = partner_of[row.actor_id] if row.actor_id else None
        assert (side is None) == (row.side == "vendor")
        assert side in (None, deal.partner_id)
    if deal.status == Status.closed and deal.stage == "won":
        assert partner_of[deal.won_confirmed_by_id or uuid.UUID(int=0)] is None
        assert deal.order_number == "PO-1"
    if deal.status == Status.approved:
        assert deal.customer_id is not None
        assert deal.deal_type == "renewal"


@pytest.mark.parametrize("seed", [1, 2])
def test_no_order_of_presses_breaks_a_rule(app: object, seed: int) -> None:
    rng, family, now = random.Random(seed), make_family(), START
    people = [lena(), mia(), anna(), otto()]
    partner_of = {person.id: person.partner_id for person in people}
    keys, made = [new_id() for _n in range(DEALS)], set()
    for key, person in zip(keys, (lena(), mia(), lena()), strict=True):
        press("edit", key, person, claimed(family, rng), now)
    for _step in range(STEPS):
        now += timedelta(hours=rng.randint(1, 30))
        key, person = rng.choice(keys), rng.choice(people)
        tried = [*sorted(TABLE), *offered(key, person, now) * 15]
        name, before = rng.choice(tried), len(look(key)[1])
        with clock.at(now):
            look_for_conflicts()
            refusal = press(name, key, person, claimed(family, rng), now)
        keeps_the_rules(key, partner_of)
        if refusal:
            assert refusal.endswith(".")
            assert len(look(key)[1]) == before
        else:
            made.add(name)
        rows = db.session.scalars(select(Protection)).all()
        for one, two in combinations(rows, 2):
            assert one.ends_at <= two.starts_at or two.ends_at <= one.starts_at
    assert {"edit", "submit", "take_in_review", "approve"} <= made


def offered(key: uuid.UUID, person: User, now: datetime) -> list[str]:
    """What this person's page offers but for giving up, so that the walk gets anywhere."""
    moves = service.moves(db.session(), look(key)[0], person, now)
    return sorted(moves - {"withdraw", "reject", "lose"})
