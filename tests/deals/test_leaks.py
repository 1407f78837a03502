"""A rival's registration changes nothing that a partner can see: not a word, a number, an address,
a header, or how much the database is asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Flask

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import set_up
from portal.db import db, write
from portal.deals.policy_versions import ensure_policy
from tests import engines
from tests.conftest import Browse
from tests.deals.test_checks import counted_queries
from tests.deals.test_deals import APPROVAL, claim, look_for_conflicts, register
from tests.factories import LONG_AGO, make_family
from tests.people import anna, lena, mia

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
# Drawn anew each time: keys, references, tokens of forms and of attention.
DRAWN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\b[A-HJ-NP-Z2-9]{8}\b"
    r"|(?<=/s/)[\w\-]{20,}"
    r'|(content|value|data-attention|data-now)="[\w.\-]{13,}"'
)


class Answer(NamedTuple):
    """All that a partner gets, and what it cost."""

    path: str
    status: int
    headers: dict[str, str]
    body: str
    statements: list[str]


def ask(browser: Any, method: str, path: str, **more: Any) -> Answer:
    """One request, without what is drawn anew each time."""
    with counted_queries() as said:
        answer = browser.open(path, method=method, **more)
    headers = {
        name: DRAWN.sub("*", value)
        for name, value in answer.headers.items()
        if name not in ("Set-Cookie", "X-Request-Id", "Content-Length")
    }
    body = DRAWN.sub("*", answer.text)
    return Answer(DRAWN.sub("*", path), answer.status_code, headers, body, said)


def everything_mia_does(browse: Browse) -> list[Answer]:
    """Every page and step of deals, from the claim to the decision and beyond."""
    mine, manager, seen = browse(mia()), browse(anna()), list[Answer]()

    def do(method: str, path: str, **more: Any) -> Answer:
        answer = ask(mine, method, path, **more)
        seen.append(answer)
        return answer

    def look(path: str) -> None:
        for page in (path, f"{path}/edit", "/deals", "/deals.csv", "/", "/deals?status=approved"):
            do("GET", page)

    do("GET", "/deals/new")
    do("POST", "/deals/new", data=claim(amount="a lot"))
    key = register(browse, mia(), customer_name="Brandt Soehne GmbH", then="draft")
    path = f"/deals/{key}"
    look(path)
    do("POST", f"{path}/move/submit")
    look(path)
    look_for_conflicts()
    look(path)
    manager.post(f"{path}/move/take_in_review")
    manager.post(f"{path}/ask", data={"sentence": "Who decides?"})
    look(path)
    do("POST", f"{path}/edit", data=claim(customer_name="Brandt Soehne", note="Frau Brandt."))
    look_for_conflicts()
    look(path)
    manager.post(f"{path}/reject", data={"reason_code": "other_partner"})
    look(path)
    do("POST", f"{path}/move/withdraw")
    do("POST", "/deals/new", data=claim(customer_name="Brandt Söhne KG"))
    do("GET", "/deals")
    for name in ("/deals/customers", "/deals/accounts", "/deals/import", f"{path}/check"):
        do("GET", name)
    return seen


def lena_was_there_first(browse: Browse) -> None:
    """The rival has the customer reserved, and another registration open."""
    for family in ("Pumps", "Spare parts"):
        register(browse, lena(), product_family=str(make_family(family).id))
    reserved = register(browse, lena(), amount="1")
    browse(anna()).post(f"/deals/{reserved}/move/take_in_review")
    answer = browse(anna()).post(f"/deals/{reserved}/approve", data=APPROVAL)
    assert answer.status_code == 302


def start_afresh(app: Flask) -> None:
    """An empty portal, as the fixture makes it."""
    db.session.rollback()
    engines.empty(app)
    with write() as session:
        set_up(session, company="Nordwerk", timezone="Europe/Berlin", privacy_mode="pseudonymous")
        ensure_policy(session, LONG_AGO)


def cast() -> list[User]:
    """Everybody is there in both worlds, and so are the families."""
    make_family("Pumps")
    make_family("Spare parts")
    return [anna(), lena(), mia()]


def test_a_partner_gets_the_same_with_and_without_a_rival(app: Flask, browse: Browse) -> None:
    with clock.at(NOON):
        cast()
        alone = everything_mia_does(browse)
        start_afresh(app)
        cast()
        lena_was_there_first(browse)
        beside = everything_mia_does(browse)
    assert len(alone) > 40
    assert_the_same(alone, beside)


def assert_the_same(alone: list[Answer], beside: list[Answer]) -> None:
    """Nothing tells the one from the other."""
    assert [one.path for one in alone] == [other.path for other in beside]
    assert [
        f"{one.path}: {name}"
        for one, other in zip(alone, beside, strict=True)
        for name in Answer._fields
        if getattr(one, name) != getattr(other, name)
    ] == []
    assert alone == beside
