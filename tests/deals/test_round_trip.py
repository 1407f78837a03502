"""What is exported from one portal goes into an empty one, and says the same there."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import select

from portal.accounts.models import Partner, User
from portal.accounts.service import set_up
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import service
from portal.deals.models import Customer, Deal, Protection
from portal.deals.policy_versions import ensure_policy
from portal.deals.record import Given
from portal.reports import outcomes
from portal.reports.filters import Filters
from portal.reports.periods import Period
from tests import engines
from tests.conftest import Browse
from tests.deals.test_deals import look_for_conflicts
from tests.deals.test_import import bring_in
from tests.factories import LONG_AGO, make_customer, make_family
from tests.imports.test_partners_and_people import bring_in as bring_in_kind
from tests.people import ada, anna, lena, mia, otto

BERLIN = ZoneInfo("Europe/Berlin")
ORDER = Given(won_amount=1_700_050, won_currency="CHF", won_on=date(2026, 5, 2))
# What a file of deals does not tell: how long this portal took to decide, whom it told the
# customer first, who had access to it.
NOT_OF_DEALS = {
    "decided_in_time", "decisions_not_measured", "decision_hours_median", "decision_hours_p90",
    "partners_with_access", "partners_stop", "sourced", "sourced_not_known", "per_partner_30_days",
}  # fmt: skip


def at(month: int, day: int, hour: int = 9) -> datetime:
    """A moment of 2026 in UTC; at 23 the next day has begun in Berlin."""
    return datetime(2026, month, day, hour, 17, 3, 250, tzinfo=UTC)


def claimed(person: User, name: str, when: datetime, **more: Any) -> uuid.UUID:
    """A registration that was submitted then."""
    claim = {
        "customer_name": name, "country": "DE", "postcode": "20095", "contact": "", "tax_id": "",
        "domain": "", "product_family_id": make_family_once("Pumps"), "deal_type": "new",
        "amount_minor": 1_840_000, "currency": "EUR", "expected_close": date(2026, 12, 1),
        "first_contact": date(2026, 1, 5), **more,
    }  # fmt: skip
    with write() as session:
        user = session.get_one(User, person.id)
        deal = service.start(session, user, claim, when)
        service.move(session, deal, user, "submit", when)
        return deal.id


def make_family_once(name: str) -> uuid.UUID:
    """The family of this name."""
    return next((key for key, known in _families() if known == name), None) or make_family(name).id


def _families() -> list[tuple[uuid.UUID, str]]:
    return [(row.id, row.name) for row in db.session.scalars(select(ProductFamily))]


def moved(key: uuid.UUID, person: User, name: str, when: datetime, **given: Any) -> None:
    """One move of a deal."""
    with write((Deal, key)) as session:
        user = session.get_one(User, person.id)
        service.move(session, session.get_one(Deal, key), user, name, when, Given(**given))


def approved(key: uuid.UUID, when: datetime, **given: Any) -> None:
    """Anna reviews and approves, for a new customer unless one is given."""
    look_for_conflicts()
    moved(key, anna(), "take_in_review", when)
    known = given or {"new_customer": True}
    moved(key, anna(), "approve", when, confirmation="They work elsewhere.", **known)


def fill() -> None:
    """Deals that ended in every way, and some that have not."""
    ada()
    otto()
    won = claimed(
        lena(), "Stadtwerke Köln", at(1, 31, 23), tax_id="DE 811 907 980", deal_type="upsell",
        contact='Frau Löwe, "Chefin"; loewe@stadtwerke.example', domain="stadtwerke.example",
    )  # fmt: skip
    approved(won, at(2, 28, 23))
    moved(won, lena(), "report_won", at(5, 3), **_order("PO-1"))
    moved(won, anna(), "confirm_win", at(5, 4), **_order("PO-1", date(2027, 5, 1)))
    lost = claimed(mia(), "Hafen Emden", at(3, 1), currency="USD", deal_type="cross_sell")
    approved(lost, at(3, 4))
    moved(lost, mia(), "lose", at(4, 30, 22), loss_reason="price")
    going_on = claimed(
        lena(), '=HYPERLINK("http://x")', at(3, 2), contact="'+49 30 1", amount_minor=99
    )
    kept = make_customer("Die Rechnende AG", "DE")
    approved(going_on, at(3, 5), customer_id=kept.id)
    moved(going_on, lena(), "to_proposal", at(3, 6))
    rejected = claimed(mia(), "-5 Grad Kälte", at(3, 7), product_family_id=make_family("+Öl").id)
    look_for_conflicts()
    moved(rejected, anna(), "take_in_review", at(3, 8))
    moved(rejected, anna(), "reject", at(3, 9), reason_code="no_evidence")
    moved(claimed(lena(), "Withdrawn & Sons", at(3, 10)), lena(), "withdraw", at(3, 11))
    revoked = claimed(lena(), "@Home", at(3, 12))
    approved(revoked, at(3, 13))
    moved(revoked, anna(), "propose_revocation", at(5, 20), sentence="Not so.")
    moved(revoked, otto(), "revoke", at(5, 20, 10))
    # The same customer and family on the same day, for somebody else.
    approved(claimed(mia(), "@Home", at(5, 20, 11)), at(5, 20, 12))
    expired = claimed(mia(), "Expired Ltd", at(1, 2))
    approved(expired, at(1, 3))
    moved(expired, mia(), "to_negotiation", at(2, 1))
    moved(expired, anna(), "expire", at(11, 1))
    reported = claimed(mia(), "Reported SE", at(6, 1))
    approved(reported, at(6, 2))
    moved(reported, mia(), "report_won", at(6, 3), **_order(""))
    returned = claimed(lena(), "Returned", at(7, 1))
    moved(returned, anna(), "take_in_review", at(7, 2))
    moved(returned, anna(), "ask", at(7, 3), sentence="Who?")
    claimed(lena(), "Waits", at(8, 31, 23))
    db.session.rollback()
    bring_in(
        "id,partner,customer,product,stage,created,closed,value,currency\n"
        "F1,Kühn Technik,,Pumps,Won,2026-02-02,2026-03-03,100,USD\n"
        "F2,Brandt Pumpen,Hafen Emden,Valves,Won,2026-02-02,2026-03-30,250.25,USD\n"
        "F3,Brandt Pumpen,Hafen Emden,Valves,Engaging,,,,\n",
        create=True,
    )


def _order(number: str, contract_ends: date | None = None) -> dict[str, Any]:
    return {**vars(ORDER), "order_number": number, "contract_ends": contract_ends}


def reported_figures() -> Any:
    """What `portal report deals --json` prints, without what no file of deals can tell."""
    db.session.rollback()
    period = Period(date(2025, 1, 1), date(2027, 1, 1), "days")
    return of_deals(outcomes.as_json(outcomes.found(db.session(), period, BERLIN, Filters())))


def of_deals(values: Any) -> Any:
    """Figures of deals, at every depth."""
    if not isinstance(values, dict):
        return values
    return {key: of_deals(value) for key, value in values.items() if key not in NOT_OF_DEALS}


def test_deals_go_into_an_empty_portal_and_say_the_same_there(app: Flask, browse: Browse) -> None:
    with app.test_request_context():
        fill()
    text, said = browse(anna()).get("/deals/export.csv").text, reported_figures()
    reserved = {(row.deal.reference, row.starts_at, row.ends_at) for row in _reserved()}
    assert len(reserved) == 7
    tiers = "name,tier,region\n" + "".join(f"{p.name},{p.tier},{p.region}\n" for p in _partners())
    rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))
    assert {row["status"] for row in rows} == {
        "approved", "closed", "expired", "rejected", "returned", "revoked", "submitted",
        "withdrawn",
    }  # fmt: skip
    assert {'\'=HYPERLINK("http://x")', "'@Home"} < {row["customer"] for row in rows}
    db.session.remove()
    engines.empty(app)
    with write() as session:
        set_up(session, company="Other", timezone="Europe/Berlin", privacy_mode="organisation")
        ensure_policy(session, LONG_AGO)
    with app.test_request_context():
        told = bring_in(text, create=True)
        assert told.refused == []
        assert told.created == len(rows)
        bring_in_kind("partners", tiers)
        assert reported_figures() == said
        assert {(row.deal.reference, row.starts_at, row.ends_at) for row in _reserved()} == reserved
        assert bring_in(text).unchanged == len(rows)
    again = browse(anna()).get("/deals/export.csv").text
    assert sorted(again.splitlines()) == sorted(text.splitlines())
    names = set(db.session.scalars(select(Customer.name)))
    assert {"Die Rechnende AG", "@Home", "Stadtwerke Köln"} < names


def _reserved() -> list[Protection]:
    return list(db.session.scalars(select(Protection)))


def _partners() -> list[Partner]:
    return list(db.session.scalars(select(Partner)))
