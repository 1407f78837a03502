"""Settings, the write door, times, keys, errors: what everything else stands on."""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from flask import Flask, g
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from portal import clock, create_app
from portal.accounts.models import Partner, User
from portal.accounts.service import installation
from portal.accounts.sessions import set_cookie
from portal.cli import portal
from portal.config import Settings, save_settings
from portal.db import UTCDateTime, db, write
from portal.errors import BadSetting, Busy
from portal.formatting import ago, count, duration, initials, money, soon, sort_by_name
from portal.logs import JsonLines
from portal.security import Keys
from tests import engines
from tests.conftest import Browse
from tests.factories import LONG_AGO, make_partner
from tests.pages import text_of
from tests.people import ada, anna, lena

BERLIN = ZoneInfo("Europe/Berlin")


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTAL_PORT", "eighty"),
        ("PORTAL_PORT", "70000"),
        ("PORTAL_WORKERS", "0"),
        ("PORTAL_DATABASE_URL", "mysql://x"),
        ("PORTAL_URL", "partners.example.com"),
        ("PORTAL_URL", "https://example.com/partners"),
        ("PORTAL_URL", "https://example.com?x=1"),
        ("PORTAL_URL", "https://ada:secret@example.com"),
        ("PORTAL_URL", "https://example.com:high"),
        ("PORTAL_URL", "https://pörtal.example"),
        ("PORTAL_URL", "https://[::1"),
        ("PORTAL_URL", "ftp://example.com"),
        ("PORTAL_SMTP_URL", "mail.example.com"),
        ("PORTAL_DEMO", "yes"),
        ("PORTAL_LOG_LEVEL", "loud"),
        ("PORTAL_PROT", "8000"),
    ],
)
def test_nonsense_is_refused_with_the_settings_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=name):
        Settings.from_environ({"PORTAL_DATA_DIR": str(tmp_path), name: value})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Partners.Example.com/", "https://partners.example.com"),
        ("HTTPS://partners.example.com:443", "https://partners.example.com"),
        ("http://partners.example.com:80/", "http://partners.example.com"),
        ("https://partners.example.com:8443", "https://partners.example.com:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_address_is_kept_as_browsers_name_it(given: str, kept: str, tmp_path: Path) -> None:
    environ = {"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_URL": given}
    assert Settings.from_environ(environ).url == kept


def test_without_an_address_it_is_the_one_listened_on(tmp_path: Path) -> None:
    environ = {"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_HOST": "::1", "PORTAL_PORT": "80"}
    assert Settings.from_environ(environ).url == "http://[::1]"


def test_the_environment_wins_over_the_settings_file_which_only_its_owner_reads(
    tmp_path: Path,
) -> None:
    save_settings(tmp_path, {"PORTAL_MAIL_FROM": "a@example.com", "PORTAL_PORT": "9000"})
    assert (tmp_path / "settings.env").stat().st_mode & 0o777 == 0o600
    environ = {"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_PORT": "9001"}
    settings = Settings.from_environ(environ)
    assert (settings.mail_from, settings.port) == ("a@example.com", 9001)
    assert settings.url == "http://127.0.0.1:9001"
    assert not settings.secure


def test_keys_are_written_once_for_their_owner_and_older_ones_still_verify(tmp_path: Path) -> None:
    keys = Keys.load(tmp_path)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert Keys.load(tmp_path).all == keys.all
    signed = keys.sign("x", "purpose")
    (tmp_path / "keys.json").write_text(json.dumps(["a new key", *keys.all]))
    rotated = Keys.load(tmp_path)
    assert rotated.unsign(signed, "purpose") == "x"
    assert rotated.pseudonym("a") == keys.pseudonym("a")
    with pytest.raises(ValueError, match="signature"):
        rotated.unsign(signed, "another purpose")


# --- the write door -----------------------------------------------------------------------------


def test_outside_the_door_nothing_can_be_written(app: Flask) -> None:
    db.session.add(Partner(name="X", tier="x", region="x", country="DE", created_at=LONG_AGO))
    with pytest.raises(SQLAlchemyError, match=r"readonly|read-only"):
        db.session.flush()
    db.session.rollback()
    assert db.session.query(Partner).count() == 0


def test_an_error_inside_the_door_leaves_nothing_behind(app: Flask) -> None:
    def half() -> None:
        with write() as session:
            session.add(Partner(name="X", tier="x", region="x", country="DE", created_at=LONG_AGO))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert db.session.query(Partner).count() == 0


def test_the_door_is_not_entered_twice(app: Flask) -> None:
    with pytest.raises(RuntimeError, match="one door"), write(), write():
        pass


def test_writers_that_read_first_do_not_lose_each_others_changes(app: Flask) -> None:
    key = make_partner("0").id
    db.session.remove()

    def add_one() -> None:
        with app.app_context():
            for _time in range(10):
                with write((Partner, key)) as session:
                    row = session.get_one(Partner, key)
                    row.name = str(int(row.name) + 1)
            db.session.remove()

    threads = [threading.Thread(target=add_one) for _n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.session.get_one(Partner, key).name == "40"


def test_a_writer_that_waits_too_long_is_told_so_and_changes_nothing(app: Flask) -> None:
    key = make_partner("Kühn Technik").id
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with app.app_context(), write((Partner, key)):
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5)
    try:
        with pytest.raises(Busy), write((Partner, key), deadline=0.05) as session:
            session.get_one(Partner, key).name = "Changed"
    finally:
        done.set()
        thread.join()
    db.session.rollback()
    assert db.session.get_one(Partner, key).name == "Kühn Technik"


def test_a_stranger_who_holds_the_database_is_waited_for_no_longer(app: Flask) -> None:
    key = make_partner("Kühn Technik").id
    with db.engine.connect().execution_options(portal_write=True) as stranger, stranger.begin():
        if db.engine.dialect.name == "postgresql":
            stranger.execute(text("LOCK TABLE partner"))
        began = time.monotonic()
        with pytest.raises(Busy), write((Partner, key), deadline=0.05):
            pass
        assert time.monotonic() - began < 1


# --- times, names, numbers ----------------------------------------------------------------------


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        UTCDateTime().process_bind_param(datetime(2026, 1, 1), None)  # type: ignore[arg-type]  # noqa: DTZ001


def test_moments_come_back_as_they_were_kept(app: Flask) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=ZoneInfo("America/New_York"))
    key = make_partner(created_at=moment).id
    db.session.remove()
    kept = db.session.get_one(Partner, key).created_at
    assert kept == moment
    assert kept.tzinfo == UTC


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_milliseconds_and_moments_are_the_same_thing(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert clock.to_ms(moment) == clock.to_ms(whole)
    assert abs(clock.from_ms(clock.to_ms(whole)) - whole) < timedelta(milliseconds=1)
    assert clock.slot_start(clock.slot_of(whole)) <= whole


def test_days_begin_at_midnight_where_they_are_counted() -> None:
    assert clock.day_start(date(2026, 3, 29), BERLIN) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert clock.day_start(date(2026, 3, 30), BERLIN) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert clock.add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert clock.add_months(date(2026, 1, 31), -11) == date(2025, 2, 28)


def test_names_are_sorted_the_same_way_everywhere(app: Flask) -> None:
    rows = [make_partner(name) for name in ("Zeta", "äpfel", "Apfel", "Ärger", "bär")]
    names = [row.name for row in sort_by_name(rows, lambda row: row.name)]
    assert names == ["Apfel", "äpfel", "Ärger", "bär", "Zeta"]


def test_figures_are_written_as_people_read_them(app: Flask) -> None:
    assert [duration(ms) for ms in (0, 14_400, 65_000, 3_900_000)] == [
        "0 s", "14 s", "1 min 05 s", "1 h 05 min",
    ]  # fmt: skip
    assert money(1_240_050, "EUR") == "€\u00a012\u202f400.50"
    assert money(None, "EUR") == "–"
    assert count(1, "%(num)s view", "%(num)s views") == "1 view"
    assert count(1203, "%(num)s view", "%(num)s views") == "1\u202f203 views"
    assert initials("Lena Maria Kühn") == "LK"
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    spans = [ago(now - timedelta(seconds=s), now, BERLIN) for s in (5, 700, 9000, 90_000, 9e5)]
    assert spans == ["just now", "11 min ago", "today 10:30", "yesterday", "28 Feb 2026"]
    # As it is said after "Decision by": a Tuesday, 13:00.
    promises = [soon(now + timedelta(hours=h), now, BERLIN) for h in (4, 20, 49, 168, -24)]
    assert promises == [
        "17:00 today", "09:00 tomorrow", "Thursday 14:00", "Tue 17 Mar 2026, 13:00",
        "Mon 9 Mar 2026, 13:00",
    ]  # fmt: skip


# --- answers to mistakes ------------------------------------------------------------------------


def test_every_answer_carries_the_strict_headers(browse: Browse) -> None:
    for path in ("/sign-in", "/nothing", "/healthz"):
        headers = browse(None).get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert uuid.UUID(headers["X-Request-Id"])


def test_a_form_without_its_token_is_refused_in_our_own_words(app: Flask, browse: Browse) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    answer = browse(lena()).post("/sign-out")
    assert answer.status_code == 400
    assert "This form is too old" in text_of(answer)


def test_a_file_that_is_too_large_is_refused(app: Flask, browse: Browse) -> None:
    before = app.config["MAX_CONTENT_LENGTH"]
    app.config["MAX_CONTENT_LENGTH"] = 1000
    try:
        data = {"title": "Sheet", "file": (io.BytesIO(b"x" * 2000), "sheet.pdf")}
        answer = browse(ada()).post("/library/new", data=data)
    finally:
        app.config["MAX_CONTENT_LENGTH"] = before
    assert answer.status_code == 413
    assert "larger than this portal accepts" in text_of(answer)


def test_our_own_fault_is_said_without_details(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError("secret detail")

    browser = browse(lena())
    monkeypatch.setattr("portal.content.library.find", broken)
    answer = browser.get("/library")
    assert answer.status_code == 500
    assert "The fault is ours" in text_of(answer)
    assert "secret detail" not in answer.text


def test_a_busy_database_is_said_and_loses_nothing(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_more: object) -> None:
        raise Busy("The portal is busy. Nothing was changed; please try again in a moment.")

    browser = browse(lena())
    monkeypatch.setattr("portal.content.library.find", busy)
    answer = browser.get("/library")
    assert answer.status_code == 503
    assert "Nothing was changed" in text_of(answer)


def test_hostile_values_in_addresses_are_a_404(browse: Browse) -> None:
    browser = browse(lena())
    for path in (
        "/library/not-a-key",
        "/library/00000000-0000-0000-0000-000000000000",
        "/deals/%00",
        "/deals/..%2f..%2fetc%2fpasswd",
        "/s/" + "x" * 3000,
        "/reports/<script>",
    ):
        assert browser.get(path).status_code == 404, path


def test_a_zero_byte_is_no_text(browse: Browse) -> None:
    assert browse(anna()).get("/deals/list?q=%00x").status_code == 400
    sent = {"email": "a\0@kuehn.example", "password": "x"}
    assert browse(None).post("/sign-in", data=sent).status_code == 400


def test_what_people_write_is_never_markup(browse: Browse) -> None:
    key = lena().id
    with write() as session:
        session.get_one(User, key).name = "<img src=x onerror=alert(1)>"
    for path in ("/", "/account"):
        assert "<img src=x" not in browse(lena()).get(path).text


# --- setting up ---------------------------------------------------------------------------------


def test_setup_asks_for_everything_and_the_administrator_can_sign_in(tmp_path: Path) -> None:
    answers = ["Nordwerk", "Mars/Base", "Europe/Berlin", "Ada Berg", "ada@nordwerk.example"]
    answers += ["smtp://mail.example.com", "portal@nordwerk.example", "person"]
    answers += ["a-long-password", "a-long-password"]
    environ = {"PORTAL_DATA_DIR": str(tmp_path)}
    words = [
        "setup",
        "--privacy-country",
        "DE=organisation",
        "--privacy-country",
        "FI=pseudonymous",
    ]
    done = CliRunner().invoke(portal, words, input="\n".join(answers) + "\n", env=environ)
    assert done.exit_code == 0, done.output
    assert "Use a name such as Europe/Berlin." in done.output
    assert "a-long-password" not in done.output
    settings = Settings.from_environ(environ)
    assert settings.smtp_url == "smtp://mail.example.com"
    app = create_app(settings, testing=True)
    app.config["WTF_CSRF_ENABLED"] = False
    data = {"email": "ada@nordwerk.example", "password": "a-long-password"}
    assert app.test_client().post("/sign-in", data=data).location == "/"
    with app.app_context():
        row = installation()
        assert row is not None
        assert (row.timezone, row.privacy_mode, row.demo) == ("Europe/Berlin", "person", False)
        assert row.privacy_by_country == {"DE": "organisation", "FI": "pseudonymous"}
        db.session.remove()
        db.engine.dispose()
    again = CliRunner().invoke(portal, ["setup"], input="\n".join(answers) + "\n", env=environ)
    assert again.exit_code != 0
    assert "already set up" in str(again.exception)


@pytest.mark.parametrize("wrong", ["DE", "Germany=person", "de=person", "DE=secret", "ZZ=person"])
def test_setup_refuses_a_privacy_mode_that_means_nothing(tmp_path: Path, wrong: str) -> None:
    words = ["setup", "--privacy-country", "FR=organisation", "--privacy-country", wrong]
    done = CliRunner().invoke(portal, words, env={"PORTAL_DATA_DIR": str(tmp_path)})
    assert done.exit_code == 2
    assert "DE=organisation" in done.output


def test_before_setup_the_sign_in_page_is_there_and_nothing_else(tmp_path: Path) -> None:
    settings = engines.settings_for("sqlite", tmp_path, migrated=True)
    client = (app := create_app(settings, testing=True)).test_client()
    assert client.get("/sign-in").status_code == 200
    assert client.get("/").status_code == 302
    with app.app_context():
        db.engine.dispose()


# --- what a monitor and a log see -----------------------------------------------------------------


def test_a_portal_whose_database_lacks_its_tables_is_not_ready(tmp_path: Path) -> None:
    app = create_app(Settings.from_environ({"PORTAL_DATA_DIR": str(tmp_path)}), testing=True)
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "unavailable", "reason": "migrations"}
    assert app.test_client().get("/healthz").status_code == 200
    with app.app_context():
        db.engine.dispose()


def test_where_people_come_by_https_the_cookies_insist_on_it(tmp_path: Path) -> None:
    environ = {"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_URL": "https://partners.example.com"}
    app = create_app(Settings.from_environ(environ), testing=True)
    assert app.config["SESSION_COOKIE_SECURE"]
    with app.test_request_context("/"):
        response = app.make_response("")
        set_cookie("token", response)
    header = response.headers["Set-Cookie"]
    assert "Secure" in header
    assert "HttpOnly" in header


def test_a_line_of_the_log_is_json_and_carries_the_id_of_its_request(
    app: Flask, browse: Browse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="portal")
    answer = browse(lena()).get("/library?q=secret+words")
    record = next(line for line in caplog.records if line.getMessage() == "request")
    with app.test_request_context("/"):
        g.request_id = "abc"
        line = json.loads(JsonLines().format(record))
    assert (line["request"], line["route"], line["status"]) == ("abc", "/library", 200)
    assert "secret" not in json.dumps(line)
    assert answer.headers["X-Request-Id"]
