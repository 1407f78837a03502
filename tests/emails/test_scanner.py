"""Programs that look at mail for viruses open every link in it, at once and more than once. Nothing
may come of it: no answer, no visit, no used-up invitation, nobody unsubscribed."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import Table, select

from portal import clock, mail
from portal.accounts import service as accounts
from portal.accounts.models import Role, User
from portal.db import Base, db, write
from surveys.models import Mode
from surveys.reminders import remind_answers
from tests.conftest import Browse
from tests.deals.test_deals import approve, register
from tests.deals.test_queue import manage
from tests.factories import make_user
from tests.mailbox import deliver, deliver_daily, links_of, mailbox
from tests.people import ada, anna, kuehn, lena
from tests.surveys.asking import ask, later, make_survey, send


def contents() -> dict[str, list[str]]:
    """Every row of every table."""
    db.session.rollback()

    def rows(table: Table) -> list[str]:
        return sorted(map(repr, db.session.execute(select(table))))

    return {name: rows(table) for name, table in Base.metadata.tables.items()}


def addresses_of(letter: Any) -> set[str]:
    """Every address in a mail, also those that only programs read."""
    unsubscribe = letter["List-Unsubscribe"]
    heads = {urlsplit(unsubscribe.strip("<>")).path} if unsubscribe else set()
    return {*links_of(letter), *heads}


def links_in(page: Any) -> set[str]:
    """Where the links of a page lead."""
    found = {unescape(link) for link in re.findall(r'<a [^>]*href="([^"]+)"', page.text)}
    path = urlsplit(page.request.path).path
    return {path + link if link.startswith("?") else link for link in found if link[0] in "/?"}


def noa() -> User:
    """Invited by mail, and not here yet."""
    return make_user("Noa New", Role.partner_user, kuehn(), email="noa@kuehn.example",
                     joined_at=None)  # fmt: skip


def test_a_scanner_that_follows_every_link_of_every_mail_changes_nothing(
    app: Flask, browse: Browse
) -> None:
    new, inviter = noa().id, ada()
    people = [lena().id, new]
    waves = [
        ask(make_survey(clock.now(), name=mode, mode=mode, reminder_days=[1])) for mode in Mode
    ]
    with write() as session:
        accounts.invite(session, session.get_one(User, new), inviter)
        mail.queue(session, message="sign_in_code", user_id=people[0], params={"next": "/deals"})
    with mailbox(app) as box:
        deliver()
        # One mail of surveys a day: three invitations, and then a reminder.
        for days in (1, 2):
            with clock.at(later(waves[0], days=days, minutes=1)):
                deliver()
        with clock.at(later(waves[0], days=3, minutes=1)):
            remind_answers(clock.now())
            deliver()
            assert len(box.letters) == (len(Mode) + 1) * len(people) + 2
            found = {link for letter in box.letters for link in addresses_of(letter)}
            before = contents()
            scanner = browse(None)
            pages = [scanner.get(link, follow_redirects=True) for link in sorted(found)]
            second = {link for page in pages for link in links_in(page)} - found
            for link in sorted(found):
                scanner.head(link, follow_redirects=True)
            for link in sorted(second):
                scanner.get(link, follow_redirects=True)
            after = contents()
    assert all(page.status_code == 200 for page in pages)
    assert len(found) > 8 * 12
    assert any("unsubscribe" in link for link in found)
    assert {name for name in before if before[name] != after[name]} == set()


def write_about_deals(browse: Browse) -> None:
    """Deals that are asked about, talked about and approved, and a low score: what makes the mails
    that people get besides."""
    manage(kuehn(), anna())
    manager, partner = browse(anna()), browse(lena())
    asked, said, approved = (
        register(browse, lena(), customer_name=name, domain="") for name in ("Ask", "Say", "Yes")
    )
    manager.post(f"/deals/{asked}/move/take_in_review")
    manager.post(f"/deals/{asked}/ask", data={"sentence": "Who decides there?"})
    manager.post(f"/deals/{said}/comments", data={"text": "A word."})
    approve(browse, approved)
    partner.post(f"/deals/{approved}/say/ask_extension", data={"text": "Budget."})
    ask(make_survey(clock.now()))
    link = next(it for it in links_in(partner.get("/")) if it.startswith("/survey/invitation/"))
    partner.post(link, data=send(partner.get(link), experience="2"))


def test_a_scanner_that_follows_every_link_of_notices_and_deals_changes_nothing(
    app: Flask, browse: Browse
) -> None:
    with mailbox(app) as box:
        write_about_deals(browse)
        deliver()
        deliver_daily()
        before = contents()
        kinds = {row.message for row in db.session.scalars(select(mail.Outbox))}
        assert {"deal_question", "deal_comment", "deal_decided", "notices"} <= kinds
        for person, expected in ((lena(), "/deals/"), (anna(), "/account/notices")):
            found = {link for letter in box.to(person.email) for link in addresses_of(letter)}
            assert any(link.startswith(expected) for link in found)
            scanner = browse(None)
            for link in sorted(found):
                assert scanner.head(link, follow_redirects=True).status_code == 200
                page = scanner.get(link, follow_redirects=True)
                assert page.status_code == 200
                for second in sorted(links_in(page) - found):
                    scanner.get(second, follow_redirects=True)
        after = contents()
    assert {name for name in before if before[name] != after[name]} == set()
