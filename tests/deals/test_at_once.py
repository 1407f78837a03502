"""What two people do at the same moment: exactly one succeeds, and nothing overlaps."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.accounts.models import User
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import checks, customers, service
from portal.deals.customer_models import ConflictMatch
from portal.deals.models import Customer, Deal, Protection
from portal.deals.record import Given
from portal.errors import PortalError
from tests.conftest import Browse
from tests.deals.test_checks import RIVAL
from tests.deals.test_customers import customer_of
from tests.deals.test_deals import approve, deal, look_for_conflicts, register
from tests.factories import make_family
from tests.people import anna, lena, mia, otto

SURE = Given(new_customer=True, confirmation="Both asked.")


def at_once(app: Flask, *acts: Callable[[], None]) -> list[str]:
    """What came of acts that all begin at the same moment: done, or the sentence that refused."""
    together, said = threading.Barrier(len(acts)), [""] * len(acts)
    db.session.remove()

    def run(n: int, act: Callable[[], None]) -> None:
        with app.app_context():
            together.wait()
            try:
                act()
                said[n] = "done"
            except PortalError as refusal:
                said[n] = str(refusal)
            db.session.remove()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    return said


def approving(deal_id: uuid.UUID, manager: User, given: Given = SURE) -> Callable[[], None]:
    """A manager approves, as the page does."""
    person_id = manager.id

    def act() -> None:
        row = db.session.get_one(Deal, deal_id)
        lock = customers.locks(db.session(), row, given.customer_id)
        with write((Deal, deal_id), *lock, holding=customers.WHO_IS_WHO) as session:
            person = session.get_one(User, person_id)
            row = service.get(session, person, deal_id)
            service.move(session, row, person, "approve", clock.now(), given)

    return act


def in_review(browse: Browse, *keys: uuid.UUID) -> None:
    """Anna has taken them in review, and all checks are done."""
    for key in keys:
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
    look_for_conflicts()


@pytest.mark.parametrize("_round", range(2))
def test_of_two_spellings_of_one_customer_one_is_approved(
    app: Flask, browse: Browse, _round: int
) -> None:
    keys = [register(browse, lena()), register(browse, mia(), **RIVAL)]
    in_review(browse, *keys)
    said = at_once(app, approving(keys[0], anna()), approving(keys[1], otto()))
    assert said.count("done") == 1
    assert "check for conflicts" in "".join(said)
    assert db.session.query(Protection).count() == 1


@pytest.mark.parametrize("_round", range(2))
def test_one_name_approved_in_two_families_at_the_same_moment_is_one_customer(
    app: Flask, browse: Browse, _round: int
) -> None:
    parts = str(make_family("Spare parts").id)
    keys = [register(browse, lena()), register(browse, mia(), product_family=parts)]
    in_review(browse, *keys)
    said = at_once(app, approving(keys[0], anna()), approving(keys[1], otto()))
    assert said == ["done", "done"]
    assert db.session.query(Customer).count() == 1


@pytest.mark.parametrize("_round", range(2))
def test_of_approving_and_merging_exactly_one_succeeds(
    app: Flask, browse: Browse, _round: int
) -> None:
    parts = str(make_family("Spare parts").id)
    first = register(browse, lena(), customer_name="Hafen Emden", domain="")
    other = register(
        browse, mia(), customer_name="Seaport Authority", domain="", product_family=parts
    )
    for key in (first, other):
        approve(browse, key)
    one, two = customer_of(first), customer_of(other)
    later = register(browse, mia(), customer_name="Seaport Authority", domain="", amount="7")
    in_review(browse, later)
    person_id = otto().id

    def merging() -> None:
        lock = customers.merge_locks(db.session(), one, two)
        with (
            app.test_request_context(),
            write(*lock, holding=customers.WHO_IS_WHO) as session,
        ):
            person = session.get_one(User, person_id)
            customers.merge(session, one, two, person, clock.now())

    given = Given(customer_id=two, confirmation="They asked.")
    said = at_once(app, approving(later, anna(), given), merging)
    assert said.count("done") == 1, said
    merged = db.session.get_one(Customer, two).merged_into_id is not None
    assert merged == (said[1] == "done")
    assert (deal(later).status == "approved") == (said[0] == "done")
    assert_no_overlap()


def assert_no_overlap() -> None:
    """No customer is reserved twice for one family at the same time."""
    rows = list(db.session.scalars(select(Protection)))
    for row in rows:
        for other in rows:
            if row is not other and row.customer_id == other.customer_id:
                same = row.product_family_id == other.product_family_id
                assert not (
                    same and row.starts_at < other.ends_at and other.starts_at < row.ends_at
                )


@pytest.mark.parametrize("_round", range(2))
def test_of_extending_and_letting_expire_exactly_one_succeeds(
    app: Flask, browse: Browse, _round: int
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    browse(lena()).post(f"/deals/{key}/say/ask_extension", data={"text": "Budget."})
    family = deal(key).product_family_id
    ends = db.session.scalars(select(Protection.ends_at)).one()
    people = {"extend": anna().id, "expire": otto().id}
    # Two machines whose clocks stand on both sides of the end.
    moments = {"extend": ends - timedelta(seconds=1), "expire": ends + timedelta(seconds=1)}

    def acting(name: str) -> Callable[[], None]:
        def act() -> None:
            with (
                app.test_request_context(),
                write((Deal, key), (ProductFamily, family)) as session,
            ):
                person = session.get_one(User, people[name])
                row = service.get(session, person, key)
                service.move(session, row, person, name, moments[name])

        return act

    said = at_once(app, acting("extend"), acting("expire"))
    assert said.count("done") == 1, said
    status = "approved" if said[0] == "done" else "expired"
    assert deal(key).status == status
    moved = db.session.scalars(select(Protection.ends_at)).one() > ends
    assert moved == (status == "approved")


def test_two_runners_check_the_same_registrations_and_nothing_is_doubled(
    app: Flask, browse: Browse
) -> None:
    keys = [register(browse, person, amount=str(n)) for n in range(3) for person in (lena(), mia())]
    now = clock.now()

    def run() -> None:
        for key in keys:
            checks.run_one(key, now)

    assert at_once(app, run, run) == ["done", "done"]
    look_for_conflicts()
    rows = db.session.scalars(select(ConflictMatch)).all()
    assert len(rows) == len({(row.deal_id, row.other_deal_id) for row in rows}) == 30
