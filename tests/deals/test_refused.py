"""A step that is refused says why and loses nothing that was typed; and none is taken on a page
that is no longer true."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from portal.accounts.models import User
from tests.conftest import Browse
from tests.deals.test_deals import approve, deal, register
from tests.leads.leads import lead_of, write_down
from tests.pages import text_of
from tests.people import anna, jonas, lena, otto

TODAY = {"currency": "EUR", "won_on": "2026-11-20"}
CHANGED = "This has changed since you opened the page."


def seen_on(page: Any) -> str:
    """The stamp that the forms of a page carry."""
    found = re.search(r'name="seen" value="(\w+)"', page.text)
    assert found
    return found[1]


def in_review(browse: Browse) -> uuid.UUID:
    """Lena's registration, taken in review by Anna."""
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    return key


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("ask", {"sentence": "Typed at length."}),
        ("reject", {"reason_code": "other", "sentence": "Typed at length."}),
        ("approve", {"customer": "new", "confirmation": "Typed at length."}),
    ],
)
def test_words_to_the_partner_survive_a_colleague_who_was_faster(
    browse: Browse, path: str, data: dict[str, str]
) -> None:
    key = in_review(browse)
    faster = {"reason_code": "other", "sentence": "No."}
    assert browse(otto()).post(f"/deals/{key}/reject", data=faster).status_code == 302
    answer = browse(anna()).post(f"/deals/{key}/{path}", data=data)
    assert answer.status_code == 409
    assert "This registration was already rejected." in text_of(answer)
    assert "Typed at length." in answer.text
    assert deal(key).status == "rejected"


def test_an_order_survives_a_day_in_the_future_and_a_colleague_who_was_faster(
    browse: Browse,
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    order = {**TODAY, "amount": "98 765", "order_number": "PO-4711"}
    answer = browse(lena()).post(f"/deals/{key}/won", data={**order, "won_on": "2099-01-01"})
    assert answer.status_code == 409
    assert "lies in the future" in text_of(answer)
    assert 'value="98 765"' in answer.text
    assert 'value="PO-4711"' in answer.text
    browse(jonas()).post(f"/deals/{key}/lost", data={"loss_reason": "price"})
    answer = browse(lena()).post(f"/deals/{key}/won", data=order)
    assert answer.status_code == 409
    assert "This deal is already closed." in text_of(answer)
    assert "PO-4711" in answer.text


def test_a_few_words_survive(browse: Browse) -> None:
    key = register(browse, lena())
    approve(browse, key)
    page, data = browse(lena()), {"text": "Budget comes in May."}
    for expected in (302, 409):
        answer = page.post(f"/deals/{key}/say/ask_extension", data=data)
        assert answer.status_code == expected
    assert "You have asked for an extension already" in text_of(answer)
    assert "Budget comes in May." in answer.text


def test_a_comment_on_a_draft_survives(browse: Browse) -> None:
    key = register(browse, lena(), then="draft")
    answer = browse(lena()).post(f"/deals/{key}/comments", data={"text": "Typed at length."})
    assert answer.status_code == 409
    assert "This was not submitted" in text_of(answer)
    assert "Typed at length." in answer.text


@pytest.mark.parametrize("place", ["/deals/wins", ""])
def test_a_win_is_not_confirmed_on_a_page_that_is_out_of_date(browse: Browse, place: str) -> None:
    key = register(browse, lena())
    approve(browse, key)
    browse(lena()).post(f"/deals/{key}/won", data={**TODAY, "amount": "900"})
    manager: Any = browse(anna())
    seen = seen_on(manager.get(place or f"/deals/{key}"))
    # A colleague asks about it, and the partner reports another order.
    browse(otto()).post(f"/deals/{key}/say/question_win", data={"text": "Net?"})
    order = {**TODAY, "amount": "900", "then": "wins", "seen": seen}
    for reported in (False, True):
        if reported:
            browse(lena()).post(f"/deals/{key}/won", data={**TODAY, "amount": "750"})
        answer = manager.post(f"/deals/{key}/won", data=order)
        assert answer.status_code == 409
        assert CHANGED in text_of(answer)
        assert 'value="900"' in answer.text
        assert deal(key).status == "approved"
    fresh = {**order, "amount": "750", "seen": seen_on(manager.get("/deals/wins"))}
    assert manager.post(f"/deals/{key}/won", data=fresh).status_code == 302
    assert (deal(key).status, deal(key).won_amount_minor) == ("closed", 75_000)


def test_a_win_is_confirmed_of_approved_deals_only(browse: Browse) -> None:
    key, order = in_review(browse), {**TODAY, "amount": "900"}
    assert browse(anna()).post(f"/deals/{key}/won", data=order).status_code == 409
    assert deal(key).status == "in_review"


def test_what_the_vendor_settles_inside_does_not_change_the_stamp_of_a_partner(
    browse: Browse,
) -> None:
    key = register(browse, lena())
    approve(browse, key)
    before = seen_on(browse(lena()).get(f"/deals/{key}"))
    browse(anna()).post(f"/deals/{key}/say/propose_revocation", data={"text": "Not theirs."})
    assert deal(key).revocation_by_id == anna().id
    assert seen_on(browse(lena()).get(f"/deals/{key}")) == before


def moved_on(browse: Browse, person: User) -> tuple[uuid.UUID, str]:
    """A lead of Lena's that a colleague accepted while `person` looked at it."""
    key = write_down(browse, lena())
    seen = seen_on(browse(person).get(f"/leads/{key}"))
    browse(jonas()).post(f"/leads/{key}/move/accept")
    return key, seen


@pytest.mark.parametrize("who", [lena, anna])
def test_a_lead_that_moved_on_is_not_given_up_on_an_old_page(browse: Browse, who: Any) -> None:
    key, seen = moved_on(browse, who())
    data = {"reason_code": "no_need", "note": "Typed at length.", "seen": seen}
    answer = browse(who()).post(f"/leads/{key}/give-up/disqualify", data=data)
    assert answer.status_code in (400, 409), text_of(answer)
    if answer.status_code == 409:
        assert CHANGED in text_of(answer)
    assert "Typed at length." in answer.text
    assert lead_of(key).stage == "sql"
