"""Coming in: by a mailed code, by password, by invitation; and going out."""

from __future__ import annotations

import re
import time
from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from portal import clock, mail
from portal.accounts.models import User, UserSession
from portal.accounts.sessions import COOKIE
from portal.db import db, write
from portal.security import hash_password
from tests.conftest import Browse
from tests.mailbox import deliver, links_of, mailbox
from tests.mailbox import text_of as mail_text
from tests.pages import text_of
from tests.people import ada, anna, jonas, kuehn, lena, mia


def with_password(user: User, password: str = "a-long-password") -> User:
    """The same person, who has set a password."""
    hashed = hash_password(password)
    with write((User, user.id)) as session:
        session.get_one(User, user.id).password_hash = hashed
    return user


def code_in(text: str) -> str:
    """The six digits of a mail."""
    found = re.search(r"\b(\d{6})\b", text)
    assert found
    return found[1]


def test_a_code_comes_by_mail_works_once_and_leads_to_the_page_wanted(
    app: Flask, browse: Browse
) -> None:
    lena()
    browser = browse(None)
    with mailbox(app) as box:
        asked = browser.post(
            "/sign-in", data={"email": " Lena@Kuehn.example", "way": "code", "next": "/deals"}
        )
        assert asked.status_code == 302
        assert deliver() == 1
    letter = box.to("lena@kuehn.example")[0]
    code = code_in(mail_text(letter))
    assert code in letter["Subject"]
    assert links_of(letter)[0].startswith("/sign-in?email=lena@kuehn.example")
    answer = browser.post(asked.location, data={"code": code})
    assert answer.location == "/deals"
    assert "Welcome, Lena" in text_of(browser.get("/deals"))
    again = browse(None).post(asked.location, data={"code": code})
    assert again.status_code == 400
    assert "does not fit or is too old" in text_of(again)


def test_a_code_does_not_work_for_somebody_else_nor_later(app: Flask, browse: Browse) -> None:
    lena(), mia()
    with mailbox(app) as box:
        browse(None).post("/sign-in", data={"email": "lena@kuehn.example", "way": "code"})
        deliver()
    code = code_in(mail_text(box.letters[0]))
    path = "/sign-in/enter?email="
    assert browse(None).post(path + "mia@brandt.example", data={"code": code}).status_code == 400
    with clock.at(clock.now() + timedelta(minutes=16)):
        late = browse(None).post(path + "lena@kuehn.example", data={"code": code})
    assert late.status_code == 400


def test_an_unknown_address_gets_the_same_answer_and_no_mail(app: Flask, browse: Browse) -> None:
    lena()
    answers = [
        browse(None).post("/sign-in", data={"email": address, "way": "code"})
        for address in ("lena@kuehn.example", "nobody@kuehn.example")
    ]
    pages = [browse(None).get(answer.location) for answer in answers]
    texts = [text_of(page).replace("nobody@", "lena@") for page in pages]
    assert texts[0] == texts[1]
    assert len(db.session.scalars(select(mail.Outbox)).all()) == 1


def test_a_password_works_and_a_wrong_one_takes_as_long_as_an_unknown_address(
    app: Flask, browse: Browse
) -> None:
    with_password(lena())
    good = {"email": "lena@kuehn.example", "password": "a-long-password"}
    assert browse(None).post("/sign-in", data=good).location == "/"

    def took(address: str) -> float:
        began = time.perf_counter()
        answer = browse(None).post("/sign-in", data={"email": address, "password": "wrong"})
        assert answer.status_code == 400
        assert "do not fit" in text_of(answer)
        return time.perf_counter() - began

    known = min(took("lena@kuehn.example") for _n in range(3))
    unknown = min(took("nobody@kuehn.example") for _n in range(3))
    assert 0.4 < known / unknown < 2.5


def test_what_was_typed_stays_when_the_address_is_wrong(browse: Browse) -> None:
    answer = browse(None).post("/sign-in", data={"email": "lena at home", "way": "code"})
    assert answer.status_code == 400
    assert 'value="lena at home"' in answer.get_data(as_text=True)
    assert "not an e-mail address" in text_of(answer)


def test_attempts_are_throttled_per_address(browse: Browse) -> None:
    lena()
    codes = [
        browse(None)
        .post("/sign-in/enter?email=lena@kuehn.example", data={"code": "000000"})
        .status_code
        for _n in range(11)
    ]
    assert codes == [400] * 10 + [429]
    with clock.at(clock.now() + timedelta(minutes=16)):
        later = browse(None).post(
            "/sign-in/enter?email=lena@kuehn.example", data={"code": "000000"}
        )
        assert later.status_code == 400


def test_links_lead_nowhere_else(browse: Browse) -> None:
    with_password(lena())
    for path in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"):
        data = {"email": "lena@kuehn.example", "password": "a-long-password", "next": path}
        assert browse(None).post("/sign-in", data=data).location == "/"


def test_the_cookie_is_kept_from_scripts_and_the_table_keeps_no_token(
    app: Flask, browse: Browse
) -> None:
    with_password(lena())
    data = {"email": "lena@kuehn.example", "password": "a-long-password"}
    browser = browse(None)
    header = browser.post("/sign-in", data=data).headers["Set-Cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    token = browser.get_cookie(COOKIE)
    assert token is not None
    assert db.session.scalars(select(UserSession)).one().token_hash != token.value


def test_signing_out_here_leaves_the_other_device_and_everywhere_leaves_none(
    browse: Browse,
) -> None:
    desk, phone, tablet = (browse(lena()) for _device in range(3))
    desk.post("/sign-out")
    assert desk.get("/").status_code == 302
    assert phone.get("/").status_code == 200
    phone.post("/sign-out/everywhere")
    assert phone.get("/").status_code == 302
    assert tablet.get("/").status_code == 302


def test_a_session_ends_after_12_idle_hours_and_after_30_days(browse: Browse) -> None:
    browser, now = browse(lena()), clock.now()
    with clock.at(now + timedelta(hours=11)):
        assert browser.get("/").status_code == 200
    with clock.at(now + timedelta(hours=24)):
        assert browser.get("/").status_code == 302
    other = browse(lena())
    for hours in range(0, 31 * 24, 11):
        with clock.at(now + timedelta(hours=hours)):
            code = other.get("/").status_code
    assert code == 302


def test_a_partner_admin_invites_a_colleague_who_comes_in_by_a_single_use_link(
    app: Flask, browse: Browse
) -> None:
    person = {
        "name": "Eva Neu",
        "email": "eva@kuehn.example",
        "role": "partner_user",
        "partner": str(kuehn().id),
    }
    with mailbox(app) as box:
        assert browse(jonas()).post("/people", data=person).status_code == 302
        deliver()
    path = next(link for link in links_of(box.letters[0]) if "/welcome/" in link)
    # Scanners look at links: looking uses nothing up.
    assert browse(None).get(path).status_code == 200
    eva = browse(None)
    assert eva.post(path, data={"password": "evas-long-password"}).location == "/"
    assert "Good" in text_of(eva.get("/"))
    assert browse(None).post(path, data={}).status_code == 404
    again = browse(None).post("/sign-in", data={
        "email": "eva@kuehn.example", "password": "evas-long-password",
    })  # fmt: skip
    assert again.location == "/"


def test_nobody_invites_beyond_their_own(app: Flask, browse: Browse) -> None:
    mia()
    other = str(mia().partner_id)
    data = {"name": "X", "email": "x@x.example", "role": "partner_user", "partner": other}
    assert browse(jonas()).post("/people", data=data).status_code == 400
    data |= {"role": "admin", "partner": ""}
    assert browse(anna()).post("/people", data=data).status_code == 400
    assert browse(lena()).get("/people").status_code == 404
    assert browse(ada()).post("/people", data=data).status_code == 302


def test_ended_access_ends_at_once(browse: Browse) -> None:
    browser = browse(lena())
    browse(jonas()).post(f"/people/{lena().id}/deactivate")
    assert browser.get("/").status_code == 302


def test_a_partner_admin_cannot_touch_other_partners_people(browse: Browse) -> None:
    lena()
    for action in ("invite", "deactivate"):
        answer = browse(jonas()).post(f"/people/{mia().id}/{action}")
        assert answer.status_code == 404
        assert "Mia" not in text_of(answer)
    page = text_of(browse(jonas()).get("/people"))
    assert "Lena" in page
    assert "Mia" not in page


def test_demo_buttons_do_nothing_outside_the_demo(browse: Browse) -> None:
    assert browse(None).post("/demo/enter/admin").status_code == 404
