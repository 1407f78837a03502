"""Links for customers: they count when a person looks, end when they should, and belong to the
partner who made them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from flask import Flask, current_app
from sqlalchemy import select

from portal import clock
from portal.accounts.models import User
from portal.content.models import ShareLink
from portal.db import db, new_id, write
from tests.conftest import Browse
from tests.factories import days_ago, make_asset, version_of
from tests.pages import text_of
from tests.people import ada, anna, jonas, lena, mia
from tests.tracking.reports import BROWSER, post, post_body, row, slot_now, token_for
from tests.tracking.test_rollups import differences, rebuild
from tracking import metrics
from tracking.metrics import Scope
from tracking.models import Download, Load


def share(
    browse: Browse, person: User, recipient: str = "Stadtwerke Lingen", **more: Any
) -> ShareLink:
    """`person` shares a case study."""
    asset = make_asset()
    data = {"recipient": recipient, "days": "90", "allow_download": "y", **more}
    answer = browse(person).post(f"/library/{asset.id}/share", data=data)
    assert answer.status_code == 302, text_of(answer)
    key = answer.location.rsplit("/", 1)[1]
    return next(link for link in db.session.scalars(select(ShareLink)) if str(link.id) == key)


def attention_token(html: str) -> str:
    """What the page gives the script that measures."""
    return html.split('data-attention="', 1)[1].split('"', 1)[0]


def test_only_a_person_looking_is_an_open(browse: Browse) -> None:
    link = share(browse, lena())
    customer = browse(None)
    for _scan in range(10):
        customer.head(f"/s/{link.slug}")
        page = customer.get(f"/s/{link.slug}")
    assert "Sent to you by Lena Kühn of Kühn Technik" in text_of(page)
    mine = browse(lena())
    assert "not opened yet" in text_of(mine.get("/shares"))
    token = attention_token(page.text)
    post(token, row(slot_now(), 3, active=4000), activated=clock.now_ms() + 1)
    assert "not opened yet" not in text_of(mine.get("/shares"))
    shown = text_of(mine.get(f"/shares/{link.id}"))
    assert "4 s" in shown
    assert "3 of 5" in shown
    assert "Stadtwerke Lingen" in text_of(mine.get("/"))


def test_a_customer_may_read_without_being_measured(browse: Browse) -> None:
    link = share(browse, lena())
    assert "data-attention" in browse(None).get(f"/s/{link.slug}").text
    asset_id = link.items[0].asset_id
    for page in (
        browse(None).get(f"/s/{link.slug}/{asset_id}?measure=0"),
        browse(None).get(f"/s/{link.slug}", headers={"Sec-GPC": "1"}),
    ):
        assert "data-attention" not in page.text
        assert "without being measured" in text_of(page)


def test_who_reads_without_being_measured_does_so_on_every_page_of_the_link(
    browse: Browse,
) -> None:
    link = share(browse, lena(), also=[str(make_asset("Price list").id)])
    customer = browse(None)
    pages, new = {}, [f"/s/{link.slug}/{link.items[0].asset_id}?measure=0"]
    while new:
        path = new.pop()
        pages[path] = customer.get(path).text
        shown = unescape(pages[path])
        posted = re.findall(r'action="(/s/[^"]*/download[^"]*)"', shown)
        for form in posted:
            assert customer.post(form, follow_redirects=True).data == b"%PDF-1.7 test"
        new += set(re.findall(r'href="(/s/[^"]*)"', shown)) - pages.keys() - set(new)
    # The two documents, their list, the question, what is recorded, and that as two files.
    assert len(pages) == 7
    assert sum("without being measured" in page for page in pages.values()) == 3
    assert not any("data-attention" in page for page in pages.values())
    assert list(db.session.scalars(select(Download))) == []


def test_whoever_tries_a_link_of_their_own_side_has_not_opened_it(browse: Browse) -> None:
    link = share(browse, lena(), also=[str(make_asset("Price list").id)])
    path = f"/s/{link.slug}/{link.items[0].asset_id}"
    for person in (lena(), jonas(), anna()):
        for page in (f"/s/{link.slug}", path):
            shown = browse(person).get(page).text
            assert "this does not count as opened" in shown
            assert "data-attention" not in shown
            assert "measure=0" not in shown
        assert browse(person).post(path + "/download").data == b"%PDF-1.7 test"
    assert list(db.session.scalars(select(Download))) == []
    # Somebody of another partner may well be whom it was sent to.
    assert "data-attention" in browse(mia()).get(path).text


def test_a_link_ends_when_it_expires_and_when_it_is_ended(browse: Browse) -> None:
    link = share(browse, lena(), days="7")
    asset_id = link.items[0].asset_id
    paths = [f"/s/{link.slug}", f"/s/{link.slug}/{asset_id}", f"/s/{link.slug}/{asset_id}/1.webp"]
    with clock.at(clock.now() + timedelta(days=8)):
        assert [browse(None).get(path).status_code for path in paths] == [410] * 3
    assert [browse(None).get(path).status_code for path in paths] == [200] * 3
    browse(jonas()).post(f"/shares/{link.id}/revoke")
    assert [browse(None).get(path).status_code for path in paths] == [410] * 3
    assert "Please ask whoever sent it" in text_of(browse(None).get(paths[0]))


def test_a_link_shows_nothing_but_its_own_documents(browse: Browse) -> None:
    link, other = share(browse, lena()), make_asset("Secret price list")
    assert browse(None).get(f"/s/{link.slug}/{other.id}").status_code == 404
    assert browse(None).get(f"/s/{link.slug}x").status_code == 404


def test_retired_content_is_gone_behind_its_links(browse: Browse) -> None:
    link = share(browse, lena())
    browse(ada()).post(f"/library/{link.items[0].asset_id}/retire")
    assert browse(None).get(f"/s/{link.slug}").status_code == 410


def test_a_download_needs_a_click_and_the_partners_permission(browse: Browse) -> None:
    link = share(browse, lena())
    path = f"/s/{link.slug}/{link.items[0].asset_id}/download"
    assert browse(None).get(path).status_code == 405
    stranger = browse(None)
    assert stranger.post(path, follow_redirects=True).data == b"%PDF-1.7 test"
    assert db.session.scalars(select(Download)).one().audience == "customer"
    closed = share(browse, lena(), allow_download="")
    answer = browse(None).post(f"/s/{closed.slug}/{closed.items[0].asset_id}/download")
    assert answer.status_code == 409


def test_a_link_can_hold_several_documents(browse: Browse) -> None:
    more = make_asset("Price list")
    link = share(browse, lena(), also=[str(more.id)])
    page = text_of(browse(None).get(f"/s/{link.slug}"))
    assert "Documents for you" in page
    assert "Price list" in page
    assert browse(None).get(f"/s/{link.slug}/{more.id}").status_code == 200


def test_the_vendor_never_sees_a_recipient(app: Flask, browse: Browse) -> None:
    link = share(browse, lena(), "Geheimkunde AG")
    page = browse(None).get(f"/s/{link.slug}")
    post(attention_token(page.text), row(slot_now(), active=4000), activated=clock.now_ms() + 1)
    asset_id = link.items[0].asset_id
    paths = [
        "/", "/library", f"/library/{asset_id}", "/deals", "/deals.csv", "/people", "/surveys",
        "/reports/content", "/reports/content.csv", "/reports/partners", "/reports/partners.csv",
        f"/reports/content/{asset_id}", f"/reports/partners/{lena().partner_id}",
        f"/reports/content/{asset_id}/partners.csv", "/reports/days.csv", "/jobs",
    ]  # fmt: skip
    for person in (anna(), ada()):
        browser = browse(person)
        for path in paths:
            answer = browser.get(path)
            assert "Geheimkunde" not in answer.text, path
            assert link.slug not in answer.text, path
        for path in ("/shares", f"/shares/{link.id}"):
            assert browser.get(path).status_code == 404


def test_another_partner_sees_nothing_of_a_link(browse: Browse) -> None:
    link = share(browse, lena(), "Geheimkunde AG")
    browser = browse(mia())
    assert "Geheimkunde" not in browser.get("/shares").text
    for answer in (
        browser.get(f"/shares/{link.id}"),
        browser.post(f"/shares/{link.id}/revoke"),
    ):
        assert answer.status_code == 404
        assert "Geheimkunde" not in answer.text
    assert browse(None).get(f"/s/{link.slug}").status_code == 200


def test_the_same_customer_is_one_recipient(browse: Browse) -> None:
    one, other = share(browse, lena(), "Brauerei Löns"), share(browse, jonas(), " brauerei  lons")
    assert one.recipient_id == other.recipient_id
    assert share(browse, mia(), "Brauerei Löns").recipient_id != one.recipient_id


def test_the_token_of_a_link_says_customer_and_never_who(app: Flask, browse: Browse) -> None:
    link = share(browse, lena())
    page = browse(None).get(f"/s/{link.slug}")
    post(attention_token(page.text), row(slot_now(), active=1000), activated=clock.now_ms() + 1)
    load = db.session.scalars(select(Load)).one()
    assert (load.audience, load.share_id) == ("customer", link.id)
    assert load.partner_id == lena().partner_id
    # The reader is a device of this link, and nobody's id.
    assert load.subject not in (link.id, link.user_id, link.recipient_id)


def test_a_link_shows_its_own_opens_however_many_others_have(browse: Browse) -> None:
    old, busy = share(browse, lena()), share(browse, lena(), "Hafen Emden")
    page = browse(None).get(f"/s/{old.slug}")
    post(attention_token(page.text), row(slot_now(), 3, active=4000), activated=clock.now_ms() + 1)
    crowd = [
        Load(
            id=new_id(), subject=busy.id, partner_id=lena().partner_id, audience="customer",
            asset_id=busy.items[0].asset_id, version_id=version_of(busy.items[0].asset).id,
            share_id=busy.id, page_count=5, issued_at=clock.now_ms() + n, last_slot=0,
        )
        for n in range(1, 1002)
    ]  # fmt: skip
    with write() as session:
        session.add_all(crowd)
    assert "3 of 5" in text_of(browse(lena()).get(f"/shares/{old.id}"))


def opened_on(link: ShareLink, device: str) -> str:
    """The token of the page that a customer opens on this device."""
    headers = {"User-Agent": f"Mozilla/5.0 {device}"}
    client = current_app.test_client()
    return attention_token(client.get(f"/s/{link.slug}", headers=headers).text)


def test_two_devices_at_the_same_moment_are_two_opens(browse: Browse) -> None:
    with clock.at(clock.now() - timedelta(hours=1)) as forward:
        link = share(browse, lena())
        for device, milliseconds in (("Laptop", 9_000), ("Phone", 12_000)):
            opened = row(slot_now(), active=milliseconds)
            post(opened_on(link, device), opened, activated=clock.now_ms())
            forward(timedelta(milliseconds=1))
        # A reload on the same device within 30 s of reading is the same open.
        forward(timedelta(seconds=20))
        post(opened_on(link, "Phone"), row(slot_now(), 2, active=3_000), activated=clock.now_ms())
        rebuild()
    opens = metrics.recent_opens(db.session(), link.partner_id, link.created_at, 9, link.id)
    assert [(found.dwell, found.page, found.device) for found in opens] == [
        (15_000, 2, 2),
        (9_000, 1, 1),
    ]
    assert text_of(browse(lena()).get(f"/shares/{link.id}")).count("other device") == 1
    assert differences() == []


def test_many_who_read_one_public_link_have_each_their_own_time(browse: Browse) -> None:
    link = share(browse, lena(), "")
    with clock.at(clock.now()):
        tokens = [opened_on(link, f"Device {n}") for n in range(10)]
        now, answers = clock.now_ms(), []
        for report in range(1, 11):
            read = row(slot_now(), active=1_500 * report)
            answers += [post(token, read, activated=now).status_code for token in tokens]
        rebuild()
        today = clock.local_day(clock.now(), ZoneInfo("Europe/Berlin"))
        found = metrics.total(db.session(), Scope(today, today + timedelta(days=1)))
    assert answers == [200] * 100
    assert (found.opens, found.customer_dwell) == (10, 150_000)


def test_what_a_program_reads_behind_a_link_is_said_nowhere(browse: Browse) -> None:
    link, played = share(browse, lena()), {"b": "AQ==", "p": 900, "d": 8}
    asset_id, now = link.items[0].asset_id, clock.now()
    day = timedelta(days=1)

    def said() -> list[Any]:
        session, links = db.session(), [link.id]
        return [
            len(metrics.recent_opens(session, link.partner_id, now - day, 9)),
            len(metrics.opens_of_links(session, links)),
            metrics.shares_opened(session, links).get(link.id, 0),
            len(metrics.first_opened(session, select(ShareLink.id))),
            [read.page for read in metrics.links_read_up_to(session, links)],
            list(metrics.devices_of_links(session, links).values()),
            metrics.recording(session, asset_id, now - day, now + day),
        ]

    nobody, body = said(), {"s": [row(slot_now(), 3, active=9_000)], "v": played}
    with clock.at(now + timedelta(seconds=2)):
        for agent in ("Barracuda Sentinel", BROWSER):
            assert said() == nobody
            token = opened_on(link, "Laptop" if agent == BROWSER else "Scanner")
            report = {"t": token, "a": clock.now_ms(), **body}
            assert post_body(msgspec.json.encode(report), agent=agent).status_code == 200
        *opens, recorded = said()
    assert opens == [1, 1, 1, 1, [3], [1]]
    assert recorded is not None
    assert recorded.loads == 1


def test_what_a_program_reads_as_a_person_is_not_what_they_read(browse: Browse) -> None:
    seen, scanned, since = make_asset("Seen"), make_asset("Scanned"), days_ago(1)
    for asset, agent in ((seen, BROWSER), (scanned, "HeadlessChrome/142")):
        read = row(slot_now(), active=900)
        post(token_for(lena(), asset), read, activated=clock.now_ms() + 1, agent=agent)
    assert metrics.assets_read(db.session(), [lena().id], since) == {seen.id}


def test_erasing_a_link_drops_what_every_device_reports_later(browse: Browse) -> None:
    link = share(browse, lena())
    tokens = [opened_on(link, device) for device in ("Laptop", "Phone", "Tablet")]
    for token in tokens[:2]:
        post(token, row(slot_now(), active=5_000), activated=clock.now_ms())
    before = [load.subject for load in db.session.scalars(select(Load))]
    browse(None).post(f"/s/{link.slug}/recorded/erase")
    # Also what is reported for the first time only now.
    late = [
        post(token, row(slot_now(), 2, active=9_000), activated=clock.now_ms()) for token in tokens
    ]
    assert [answer.status_code for answer in late] == [400] * 3
    loads = db.session.scalars(select(Load)).all()
    assert [load.share_id for load in loads] == [None, None]
    # Still two readers, whom nothing leads back to.
    assert len({load.subject for load in loads} | set(before)) == 4
    assert "data-attention" not in browse(None).get(f"/s/{link.slug}").text


def test_links_are_counted_as_opened_by_people_out_of_those_made(browse: Browse) -> None:
    zone, more = ZoneInfo("Europe/Berlin"), make_asset("Price list")
    with clock.at(clock.now() - timedelta(days=40)):
        old = share(browse, lena())
    links = [
        share(browse, lena()),
        share(browse, lena(), also=[str(more.id)]),
        share(browse, mia()),
    ]
    for link, device in (
        (old, "Phone"),
        (links[0], "Phone"),
        (links[0], "Laptop"),
        (links[2], "Tablet"),
    ):
        post(opened_on(link, device), row(slot_now(), active=900), activated=clock.now_ms())
    # Behind the second a program read one document, and a person only came to the list.
    page = browse(None).get(f"/s/{links[1].slug}/{more.id}").text
    post(attention_token(page), row(slot_now(), active=900), activated=clock.now_ms(), agent="bot")
    today = clock.local_day(clock.now(), zone)
    period = Scope(today - timedelta(days=7), today + timedelta(days=1))
    for scope, answer in (
        (period, (2, 3)),
        (replace(period, partner_id=lena().partner_id), (1, 2)),
        (replace(period, asset_id=links[0].items[0].asset_id), (1, 1)),
        (replace(period, asset_id=more.id), (0, 1)),
        (replace(period, since=today - timedelta(days=60)), (3, 4)),
        (replace(period, since=today + timedelta(days=1)), (0, 0)),
    ):
        assert metrics.links_opened(db.session(), scope, zone) == answer
