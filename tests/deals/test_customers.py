"""Customers of the vendor: found in every spelling, merged for good, never reserved twice."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.db import db, write
from portal.deals import checks
from portal.deals.customer_models import CustomerMerge
from portal.deals.models import Customer, Deal, Protection
from tests.conftest import Browse
from tests.deals.test_deals import APPROVAL, approve, claim, deal, look_for_conflicts, register
from tests.deals.test_import import SMALL, bring_in
from tests.factories import make_family
from tests.pages import text_of
from tests.people import anna, lena, mia


def customer_of(deal_id: uuid.UUID) -> uuid.UUID:
    """The customer that a deal was approved for."""
    key = deal(deal_id).customer_id
    assert key is not None
    return key


@pytest.fixture
def two(browse: Browse) -> tuple[uuid.UUID, uuid.UUID]:
    """One customer twice, under names that nothing connects, for two families."""
    first = register(browse, lena(), customer_name="Hafen Emden", domain="", postcode="")
    parts = str(make_family("Spare parts").id)
    second = register(
        browse, mia(), customer_name="Seaport Authority GmbH", domain="", product_family=parts
    )
    approve(browse, first)
    approve(browse, second)
    return customer_of(first), customer_of(second)


def merge(browse: Browse, survivor: uuid.UUID, merged: uuid.UUID) -> str:
    """Anna merges two customers; what she reads."""
    path = f"/deals/customers/{survivor}/merge/{merged}"
    return text_of(browse(anna()).post(path, follow_redirects=True))


def test_customers_are_listed_and_found_in_every_spelling(
    browse: Browse, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    page = text_of(browse(anna()).get("/deals/customers"))
    assert "2 customers" in page
    assert page.index("Hafen Emden") < page.index("Seaport Authority")
    found = text_of(browse(anna()).get("/deals/customers?q=SEAPORT authority AG"))
    assert "Seaport Authority GmbH" in found
    assert "Hafen Emden" not in found
    assert "No customer fits." in text_of(browse(anna()).get("/deals/customers?q=xyz"))
    shown = text_of(browse(anna()).get(f"/deals/customers/{two[0]}"))
    assert "1 reservation runs. 1 deal in all." in shown
    assert "Kühn Technik" in shown
    for path in ("/deals/customers", f"/deals/customers/{two[0]}", "/deals/accounts"):
        assert browse(mia()).get(path).status_code == 404


def test_merging_moves_everything_and_old_links_lead_to_the_survivor(
    app: Flask, browse: Browse, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    survivor, merged = two
    asked = text_of(browse(anna()).get(f"/deals/customers/{survivor}/merge/{merged}"))
    assert "This cannot be taken back." in asked
    page = merge(browse, survivor, merged)
    assert "Seaport Authority GmbH is part of this customer now. Deals moved: 1." in page
    assert "2 reservations run. 2 deals in all." in page
    assert "Merged into this one Seaport Authority GmbH Anna Keller" in page
    db.session.rollback()
    assert {row.customer_id for row in db.session.scalars(select(Deal))} == {survivor}
    assert {row.customer_id for row in db.session.scalars(select(Protection))} == {survivor}
    kept = db.session.get_one(Customer, survivor)
    assert (kept.merged_into_id, kept.postcode) == (None, "20095")
    assert db.session.get_one(Customer, merged).merged_into_id == survivor
    old = browse(anna()).get(f"/deals/customers/{merged}")
    assert old.location == f"/deals/customers/{survivor}"
    assert "1 customer" in text_of(browse(anna()).get("/deals/customers"))
    again = browse(anna()).post(f"/deals/customers/{survivor}/merge/{merged}")
    assert "has been merged already" in text_of(again)
    row = db.session.scalars(select(CustomerMerge)).one()
    with pytest.raises(TypeError, match="append-only"), write() as session:
        session.get_one(CustomerMerge, row.id).deals = 7


def test_the_name_of_a_merged_customer_means_the_survivor(
    app: Flask, browse: Browse, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    survivor, merged = two
    merge(browse, survivor, merged)
    later = register(
        browse, lena(), customer_name="Seaport Authority GmbH", domain="", amount="5",
        product_family=str(make_family("Service").id),
    )  # fmt: skip
    refused = browse(anna())
    refused.post(f"/deals/{later}/move/take_in_review")
    answer = refused.post(f"/deals/{later}/approve", data={**APPROVAL, "customer": str(merged)})
    assert answer.status_code == 400
    assert approve(browse, later).status_code == 302
    assert customer_of(later) == survivor
    with app.test_request_context():
        bring_in(SMALL.replace("Hafen Emden", "Seaport Authority GmbH"), create=True)
    imported = select(Deal.customer_id).where(Deal.external_id == "A1")
    assert db.session.scalars(imported).one() == survivor


def test_customers_reserved_for_the_same_family_are_not_merged(browse: Browse) -> None:
    keys = [
        register(browse, person, customer_name=name, domain="")
        for person, name in ((lena(), "Hafen Emden"), (mia(), "Seaport Authority"))
    ]
    for key in keys:
        approve(browse, key)
    one, other = (customer_of(key) for key in keys)
    page = merge(browse, one, other)
    assert "Pumps is reserved for Kühn Technik until" in page
    assert f"(deal {deal(keys[0]).reference}) and for Brandt Pumpen until" in page
    assert "Nothing was merged" in page
    db.session.rollback()
    assert db.session.query(CustomerMerge).count() == 0
    assert customer_of(keys[1]) == other
    assert db.session.get_one(Customer, other).merged_into_id is None
    # What has ended does not stand in the way.
    browse(mia()).post(f"/deals/{keys[1]}/lost", data={"loss_reason": "price"})
    assert "is part of this customer now" in merge(browse, one, other)


def test_a_customer_is_never_merged_with_itself_or_with_nothing(
    browse: Browse, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    assert "two different customers" in merge(browse, two[0], two[0])
    assert "There is no such customer." in merge(browse, two[0], uuid.uuid4())


def test_customers_that_may_be_the_same_are_offered(browse: Browse) -> None:
    first = register(browse, lena(), customer_name="Brandt & Söhne", country="DE")
    approve(browse, first)
    parts = str(make_family("Spare parts").id)
    second = register(
        browse, mia(), customer_name="Brandt Soehne GmbH", country="DE", product_family=parts
    )
    page = browse(anna()).get(f"/deals/{second}")
    assert "Brandt & Söhne, DE" not in text_of(page)
    browse(anna()).post(f"/deals/{second}/move/take_in_review")
    assert "Brandt & Söhne, DE" in text_of(browse(anna()).get(f"/deals/{second}"))
    approve(browse, second)
    page = browse(anna()).get(f"/deals/customers/{customer_of(first)}")
    assert f"/deals/customers/{customer_of(first)}/merge/{customer_of(second)}" in page.text


def test_checks_look_again_after_a_merge(
    app: Flask, browse: Browse, two: tuple[uuid.UUID, uuid.UUID]
) -> None:
    register(
        browse, lena(), customer_name="Seaport Authority", domain="",
        product_family=str(make_family("Service").id),
    )  # fmt: skip
    look_for_conflicts()
    merge(browse, *two)
    db.session.rollback()
    assert checks.run_waiting(clock.now()) == 1


def test_keys_follow_what_is_changed(browse: Browse) -> None:
    key = register(browse, lena(), then="draft", tax_id="DE 123.456.789")
    assert (deal(key).company_key, deal(key).tax_key) == ("brandt soehne", "DE123456789")
    changed = claim(customer_name="Löwe AG", domain="www.loewe.de", tax_id="", then="draft")
    browse(lena()).post(f"/deals/{key}/edit", data=changed)
    row = deal(key)
    assert (row.company_key, row.domain_key, row.tax_key) == ("loewe", "loewe.de", "")
