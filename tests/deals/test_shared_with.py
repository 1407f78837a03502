"""From a link to a registration in two touches; and what the customer read, on the deal."""

from __future__ import annotations

import uuid
from typing import Any

from portal import clock
from portal.content.models import ShareLink
from portal.db import db
from tests.conftest import Browse
from tests.content.test_sharing import attention_token, share
from tests.deals.test_deals import claim, deal, register
from tests.factories import make_asset, make_family
from tests.pages import text_of
from tests.people import anna, jonas, lena, mia
from tests.tracking.reports import post, row, slot_now


def deal_of(link: ShareLink) -> uuid.UUID | None:
    """The deal that a link belongs to now."""
    db.session.rollback()
    return db.session.get_one(ShareLink, link.id).deal_id


def begun(browse: Browse, link: ShareLink, **more: Any) -> uuid.UUID:
    """Lena registers the customer of a link; the deal's key."""
    answer = browse(lena()).post(f"/deals/new?share={link.id}", data=claim(**more))
    assert answer.status_code == 302, text_of(answer)
    return uuid.UUID(answer.location.rsplit("/", 1)[1])


def read(browse: Browse, link: ShareLink, page: int = 3, milliseconds: int = 4000) -> None:
    """The customer opens a link and reads up to a page."""
    html = browse(None).get(f"/s/{link.slug}").text
    seen = row(slot_now(), page, active=milliseconds)
    post(attention_token(html), seen, activated=clock.now_ms() + 1)


def test_a_shared_customer_is_registered_in_two_touches(browse: Browse) -> None:
    family = make_family()
    asset = make_asset(families=(family,))
    data = {"recipient": "Brandt & Söhne", "days": "90"}
    made = browse(lena()).post(f"/library/{asset.id}/share", data=data).location
    link = db.session.get_one(ShareLink, uuid.UUID(made.rsplit("/", 1)[1]))
    address = f"/deals/new?share={link.id}"
    for page in ("/shares", made):
        assert f'href="{address}"' in browse(jonas()).get(page).text
    form = browse(lena()).get(address).text
    assert 'value="Brandt &amp; Söhne"' in form
    assert f'selected value="{family.id}"' in form
    key = begun(browse, link)
    assert deal_of(link) == key
    assert f'href="/deals/{key}"' in browse(lena()).get("/shares").text
    # The link is registered: the same address leads there now.
    assert browse(jonas()).get(address).location == f"/deals/{key}"


def test_what_is_known_of_a_customer_is_filled_in_from_the_partners_own_deals(
    browse: Browse,
) -> None:
    register(browse, mia(), customer_name="Hafen Emden", postcode="SECRET", currency="CHF")
    link = share(browse, lena(), "Hafen Emden")
    assert "SECRET" not in browse(lena()).get(f"/deals/new?share={link.id}").text
    register(browse, lena(), customer_name="Hafen Emden", postcode="26721", currency="CHF")
    form = browse(lena()).get(f"/deals/new?share={link.id}").text
    assert 'value="26721"' in form
    assert 'selected value="CHF"' in form


def test_a_draft_from_a_link_is_gone_on_with_and_a_withdrawn_one_is_begun_anew(
    browse: Browse,
) -> None:
    link = share(browse, lena())
    draft = begun(browse, link, then="draft")
    path = f"/deals/new?share={link.id}"
    assert browse(lena()).get(path).location == f"/deals/{draft}/edit"
    browse(lena()).post(f"/deals/{draft}/move/withdraw")
    assert browse(lena()).get(path).status_code == 200
    fresh = begun(browse, link)
    assert deal_of(link) == fresh != draft


def test_all_that_was_shared_with_the_customer_belongs_to_the_deal(browse: Browse) -> None:
    first, second = share(browse, lena(), "Brandt"), share(browse, jonas(), "brandt")
    other, rivals = share(browse, lena(), "Emden"), share(browse, mia(), "Brandt")
    key = begun(browse, first)
    assert deal_of(second) == key
    later = share(browse, jonas(), "Brandt")
    assert deal_of(later) == key
    assert deal_of(other) is None
    assert deal_of(rivals) is None
    named = share(browse, lena(), "The engineer", deal=str(key))
    assert deal_of(named) == key
    browse(lena()).post(f"/deals/{key}/move/withdraw")
    assert deal_of(share(browse, lena(), "Brandt")) is None


def test_a_link_is_made_for_ones_own_deals_only(browse: Browse) -> None:
    asset, key = make_asset(), register(browse, lena())
    path = f"/library/{asset.id}/share"
    assert "Brandt & Söhne" in text_of(browse(jonas()).get(f"{path}?deal={key}"))
    assert "Brandt & Söhne" not in text_of(browse(mia()).get(f"{path}?deal={key}"))
    refused = browse(mia()).post(path, data={"days": "90", "deal": str(key)})
    assert refused.status_code == 400
    assert db.session.query(ShareLink).count() == 0


def test_a_rivals_link_registers_nothing(browse: Browse) -> None:
    link = share(browse, lena(), "Geheimkunde")
    for answer in (
        browse(mia()).get(f"/deals/new?share={link.id}"),
        browse(mia()).post(f"/deals/new?share={link.id}", data=claim()),
        browse(lena()).get("/deals/new?share=nonsense"),
    ):
        assert answer.status_code == 404
        assert "Geheimkunde" not in answer.text
    assert deal_of(link) is None


def test_the_deal_shows_at_once_what_the_customer_read(browse: Browse) -> None:
    link = share(browse, lena(), "Frau Brandt")
    key = begun(browse, link)
    unread = text_of(browse(lena()).get(f"/deals/{key}"))
    assert "not yet" in unread
    read(browse, link, page=3, milliseconds=4000)
    for person in (lena(), jonas(), anna()):
        page = text_of(browse(person).get(f"/deals/{key}"))
        assert "What the customer read" in page
        assert "once 4 s 3 of 5" in page
    # The vendor reads counts, never for whom a link was, nor its address.
    vendor = browse(anna()).get(f"/deals/{key}").text
    assert "Frau Brandt" not in vendor
    assert str(link.id) not in vendor
    assert link.slug not in vendor
    assert "Frau Brandt" in browse(lena()).get(f"/deals/{key}").text
    assert browse(mia()).get(f"/deals/{key}").status_code == 404


def test_the_home_page_offers_to_register_who_opened(browse: Browse) -> None:
    link = share(browse, lena(), "Brandt")
    read(browse, link)
    assert f'href="/deals/new?share={link.id}"' in browse(lena()).get("/").text
    key = begun(browse, link)
    home = browse(lena()).get("/").text
    assert f'href="/deals/new?share={link.id}"' not in home
    assert f'href="/deals/{key}"' in home


def test_what_helped_and_whether_it_would_have_been_pursued_are_later_and_optional(
    browse: Browse,
) -> None:
    used, other = make_asset("Price list"), make_asset("Manual")
    hidden = make_asset("Secret", audience=(("partner", str(mia().partner_id)),))
    browse(jonas()).post(f"/library/{used.id}/share", data={"days": "90"})
    key = register(browse, lena())
    path = f"/deals/{key}/helped"
    form = browse(lena()).get(f"/deals/{key}").text.split("Which content helped?")[1]
    assert "Price list" in form
    # Of all content only what this partner used lately is asked about.
    assert "Manual" not in form
    answer = {"helped": [str(used.id), str(other.id)], "pursued": "unsure"}
    assert browse(lena()).post(path, data=answer).status_code == 302
    page = text_of(browse(anna()).get(f"/deals/{key}"))
    assert "Manual, Price list" in page
    assert "Would have pursued it: Not sure" in page
    browse(jonas()).post(path, data={"helped": [str(used.id)], "pursued": "no"})
    assert "Manual, Price list" not in text_of(browse(anna()).get(f"/deals/{key}"))
    assert deal(key).pursued_anyway == "no"
    for wrong, status in (({"helped": str(hidden.id)}, 404), ({"helped": "x"}, 404),
                          ({"pursued": "perhaps"}, 409)):  # fmt: skip
        assert browse(lena()).post(path, data=wrong).status_code == status
    assert browse(mia()).post(path, data=answer).status_code == 404
