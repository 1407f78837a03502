"""Drafts save themselves and lose nothing; the kind of deal comes from the partner's own wins."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from portal import clock
from portal.accounts.models import User
from portal.db import db, new_id, write
from portal.deals import drafts, kinds, metrics
from portal.deals.drafts import Claim
from portal.deals.kinds import Win
from portal.deals.models import Deal, DealHistory
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, deal, register
from tests.factories import make_family
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia

PUMPS, PLANS = uuid.UUID(int=1), uuid.UUID(int=2)
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


# --- the kind of deal -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "amount", "currency", "wins", "kind"),
    [
        (PUMPS, 500, "EUR", [], "new"),
        (PUMPS, 500, "EUR", [Win(PLANS, 100, "EUR", MAY)], "cross_sell"),
        (PUMPS, 500, "EUR", [Win(PUMPS, 400, "EUR", MAY)], "upsell"),
        (PUMPS, 400, "EUR", [Win(PUMPS, 400, "EUR", MAY)], "renewal"),
        # The latest order counts, and currencies are not compared.
        (PUMPS, 500, "EUR", [Win(PUMPS, 900, "EUR", JUNE), Win(PUMPS, 100, "EUR", MAY)], "renewal"),
        (PUMPS, 500, "EUR", [Win(PUMPS, 400, "CHF", MAY)], "renewal"),
        (PUMPS, None, "EUR", [Win(PUMPS, 400, "EUR", MAY)], "renewal"),
        (PUMPS, 500, "EUR", [Win(PUMPS, None, "EUR", MAY)], "renewal"),
        (None, 500, "EUR", [Win(PUMPS, 400, "EUR", MAY)], "cross_sell"),
    ],
)
def test_the_kind_is_what_earlier_wins_say(
    family: uuid.UUID | None, amount: int | None, currency: str, wins: list[Win], kind: str
) -> None:
    assert kinds.propose(family, amount, currency, wins) == kind


WINS = st.lists(
    st.builds(
        Win, st.sampled_from([PUMPS, PLANS, None]), st.none() | st.integers(0, 9),
        st.sampled_from(["EUR", "CHF"]), st.sampled_from([MAY, JUNE]),
    ),
    max_size=4,
)  # fmt: skip


@given(st.sampled_from([PUMPS, PLANS]), st.none() | st.integers(0, 9), WINS)
def test_the_kind_keeps_its_definition(
    family: uuid.UUID, amount: int | None, wins: list[Win]
) -> None:
    kind = kinds.propose(family, amount, "EUR", wins)
    owned = family in {win.family_id for win in wins}
    assert kind in kinds.KINDS
    assert (kind == "new") == (not wins)
    assert (kind == "cross_sell") == (bool(wins) and not owned)
    assert kind != "upsell" or (owned and amount is not None)


def won(browse: Browse, person: User, **more: Any) -> uuid.UUID:
    """`person` wins a deal, and the vendor confirms it."""
    key = register(browse, person, **more)
    approve(browse, key)
    order = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20", "order_number": "PO-7"}
    browse(person).post(f"/deals/{key}/won", data=order)
    browse(anna()).post(f"/deals/{key}/won", data=order)
    return key


def test_only_the_partners_own_wins_are_looked_at(browse: Browse) -> None:
    won(browse, mia())
    assert deal(register(browse, lena(), deal_type="")).deal_type == "new"
    won(browse, lena(), customer_name="Hafen Emden", domain="emden.example")
    more = {"customer_name": "HAFEN  emden", "domain": "", "deal_type": ""}
    assert deal(register(browse, lena(), **more, amount="901")).deal_type == "upsell"
    assert deal(register(browse, lena(), **more, amount="900")).deal_type == "renewal"
    plans = str(make_family("Plans").id)
    other = {"customer_name": "Port of Emden", "domain": "emden.example", "deal_type": ""}
    key = register(browse, jonas(), **other, product_family=plans)
    assert deal(key).deal_type == "cross_sell"
    # What a partner chooses is what is claimed.
    assert deal(register(browse, lena(), **{**more, "deal_type": "new"})).deal_type == "new"


def test_a_reviewer_corrects_the_kind_and_the_history_keeps_both(browse: Browse) -> None:
    key = register(browse, lena())
    browse(anna()).post(f"/deals/{key}/move/take_in_review")
    data = {"customer": "new", "deal_type": "upsell"}
    assert browse(anna()).post(f"/deals/{key}/approve", data=data).status_code == 302
    assert deal(key).deal_type == "upsell"
    words = "Claimed as: New business. Approved as: Upsell: more of what they have."
    for person in (lena(), anna()):
        assert words in text_of(browse(person).get(f"/deals/{key}"))


# --- saving by itself -----------------------------------------------------------------------------


def saved(browse: Browse, person: User, key: uuid.UUID, **more: Any) -> Any:
    """What the form sends while `person` types."""
    data = {**dict.fromkeys(claim(), ""), "currency": "EUR", **more}
    return browse(person).post(f"/deals/{key}/draft", data=data)


def test_a_draft_saves_itself_and_is_one_deal_however_often_it_is_sent(browse: Browse) -> None:
    key = new_id()
    with clock.at(datetime(2026, 11, 25, 9, 42, tzinfo=UTC)):
        answer = saved(browse, lena(), key, customer_name="Bra")
    assert answer.json["message"] == "Saved 10:42"
    assert answer.json["version"] == 1
    assert answer.json["proposal"] == "Proposed: New business"
    assert answer.json["action"] == f"/deals/{key}/edit"
    family = str(make_family().id)
    saved(browse, lena(), key, customer_name="Brandt", product_family=family, version="1")
    assert "Brandt" in text_of(browse(jonas()).get("/deals"))
    form = browse(jonas()).get(f"/deals/{key}/edit").text
    assert 'value="Brandt"' in form
    assert f'selected value="{family}"' in form
    for _press in range(2):
        sent = browse(lena()).post("/deals/new", data=claim(key=str(key), version="2"))
        assert sent.location == f"/deals/{key}"
    assert db.session.scalar(select(func.count()).select_from(Deal)) == 1
    assert [row.move for row in db.session.scalars(select(DealHistory))] == ["submit"]
    late = saved(browse, lena(), key, customer_name="Late", version="3")
    assert late.status_code == 409
    assert "has been submitted already" in late.json["error"]
    assert deal(key).customer_name == "Brandt & Söhne"


def test_one_new_form_sent_twice_at_the_same_moment_makes_one_draft(
    app: Flask, browse: Browse
) -> None:
    person, key, together = lena().id, new_id(), threading.Barrier(2)
    said = Claim({"customer_name": "Brandt", "currency": "EUR"})
    db.session.remove()

    def send() -> None:
        with app.app_context():
            together.wait()
            with write((Deal, key)) as session:
                drafts.save(session, session.get_one(User, person), key, said, clock.now())
            db.session.remove()

    threads = [threading.Thread(target=send) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (deal(key).version, deal(key).customer_name) == (2, "Brandt")


def test_two_tabs_do_not_overwrite_each_other_unnoticed(browse: Browse) -> None:
    key = new_id()
    saved(browse, lena(), key, customer_name="Mine", version="0")
    saved(browse, jonas(), key, customer_name="Theirs", version="1")
    refused = saved(browse, lena(), key, customer_name="Mine again", version="1")
    assert refused.status_code == 409
    assert "in another tab or by a colleague" in refused.json["error"]
    page = browse(lena()).post(
        f"/deals/{key}/edit", data=claim(customer_name="Mine again", version="1", then="draft")
    )
    assert page.status_code == 409
    assert "in another tab or by a colleague" in text_of(page)
    assert 'value="Mine again"' in page.text
    assert deal(key).customer_name == "Theirs"
    # Whoever has read it may replace it.
    again = claim(customer_name="Mine again", version="2", then="draft")
    assert browse(lena()).post(f"/deals/{key}/edit", data=again).status_code == 302
    assert deal(key).customer_name == "Mine again"


def test_what_cannot_be_read_yet_is_kept_as_it_was_typed(browse: Browse) -> None:
    key, long = new_id(), "x" * 300
    answer = saved(browse, lena(), key, amount="about 5k", expected_close="soon", contact=long)
    assert answer.status_code == 200
    page = browse(lena()).get(f"/deals/{key}/edit").text
    for text in ("about 5k", "soon", long):
        assert f'value="{text}"' in page
    refused = browse(lena()).post(f"/deals/{key}/move/submit")
    assert refused.status_code == 409
    # A form that is sent with mistakes has them still, each with its sentence.
    wrong = browse(lena()).post("/deals/new", data=claim(key=str(key), amount="about 5k"))
    assert "Write the amount in figures" in text_of(wrong)
    browse(lena()).post("/deals/new", data=claim(key=str(key)))
    assert (deal(key).typed, deal(key).amount_minor) == ({}, 1_840_000)


def test_nothing_typed_makes_no_draft_and_drafts_are_counted_nowhere(browse: Browse) -> None:
    assert saved(browse, lena(), new_id()).json == {"message": ""}
    assert db.session.scalar(select(func.count()).select_from(Deal)) == 0
    key = new_id()
    saved(browse, lena(), key, contact="Frau Brandt")
    assert "A customer without a name yet" in text_of(browse(lena()).get("/deals"))
    for path in ("/", "/deals", "/deals/list", "/deals/board", "/deals/months"):
        assert "Frau Brandt" not in browse(anna()).get(path).text
    assert browse(anna()).get(f"/deals/{key}").status_code == 404
    end = clock.now() + timedelta(days=1)
    assert metrics.by_status(db.session(), end - timedelta(days=9), end) == []


def test_the_vendor_never_hears_of_a_draft_that_was_given_up(browse: Browse) -> None:
    key = new_id()
    saved(browse, lena(), key, customer_name="Geheimkunde")
    browse(lena()).post(f"/deals/{key}/move/withdraw")
    assert "Withdrawn" in text_of(browse(lena()).get(f"/deals/{key}"))
    for path in ("/", "/deals", "/deals/list", "/deals.csv", "/deals/export.csv"):
        assert "Geheimkunde" not in browse(anna()).get(path).text, path
    assert browse(anna()).get(f"/deals/{key}").status_code == 404
    assert metrics.facts(db.session(), date(2100, 1, 1), ZoneInfo("Europe/Berlin")) == []


def test_a_rival_cannot_write_into_a_draft(browse: Browse) -> None:
    key = new_id()
    saved(browse, lena(), key, customer_name="Geheimkunde")
    for answer in (
        saved(browse, mia(), key, customer_name="Mine"),
        browse(mia()).post("/deals/new", data=claim(key=str(key))),
        browse(anna()).post(f"/deals/{key}/draft", data=claim()),
    ):
        assert answer.status_code == 404
        assert "Geheimkunde" not in answer.text
    assert deal(key).customer_name == "Geheimkunde"


def test_saving_needs_the_token_of_the_form_and_a_session(app: Flask, browse: Browse) -> None:
    path, data = f"/deals/{new_id()}/draft", {"customer_name": "Brandt", "currency": "EUR"}
    assert browse(None).post(path, data=data).status_code == 302
    app.config["WTF_CSRF_ENABLED"] = True
    assert browse(lena()).post(path, data=data).status_code == 400
    assert db.session.scalar(select(func.count()).select_from(Deal)) == 0


def test_first_contact_is_today_with_one_touch_or_a_day(browse: Browse) -> None:
    with clock.at(datetime(2026, 11, 25, 9, tzinfo=UTC)):
        today = register(browse, lena(), contact_when="today", first_contact="2026-01-01")
        earlier = register(browse, lena(), contact_when="earlier", first_contact="2026-11-02")
        for wrong in ("", "2026-11-26"):
            data = claim(contact_when="earlier", first_contact=wrong)
            assert browse(lena()).post("/deals/new", data=data).status_code == 400
    assert deal(today).first_contact == date(2026, 11, 25)
    assert deal(earlier).first_contact == date(2026, 11, 2)


def test_an_approval_brings_what_the_rules_say_for_the_tier(browse: Browse) -> None:
    from tests.deals.test_policy import set_rules

    lena()
    more = {"tier": ["Gold", "Silver"], "tier_benefits": ["3 % more for Gold.", ""]}
    set_rules(browse, **more)
    assert "3 % more for Gold." in text_of(browse(lena()).get("/deals/new"))
    with_default = {"tier": ["Gold"], "tier_benefits": [""]}
    set_rules(browse, **with_default)
    page = text_of(browse(lena()).get("/deals/new"))
    assert "2 % more margin." in page
    assert "Gold" not in page
