"""A partner's day and the manager's Monday, in a real browser against the running portal."""

from __future__ import annotations

import csv
import io
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from portal import clock
from portal.db import write
from surveys.schedule import iso
from tests import engines
from tests.browsers import chrome, screen
from tests.engines import ENGINES
from tests.factories import make_family, make_partner, make_pdf
from tests.live import Live, portal_on
from tests.surveys.asking import set_up

pytestmark = pytest.mark.takes_long

PAGES = 6


@pytest.fixture(params=ENGINES)
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """The portal with its scheduler, on each engine, made from nothing by its own commands."""
    with portal_on(request.param, f"journey_{request.param}", from_nothing=True) as running:
        running.start("serve")
        running.start("scheduler")
        running.wait_until_ready()
        yield running


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A browser in which pages can really be hidden."""
    with screen() as display, chrome(display) as running:
        yield running


class Person:
    """Somebody who uses the portal in a browser."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser, self.url = browser, url

    def visit(self, path: str) -> None:
        """Open a page."""
        self.browser.get(path if path.startswith("http") else self.url + path)

    def fill(self, **values: str) -> None:
        """Fill in fields by name."""
        for name, value in values.items():
            element = self.browser.find_element(By.CSS_SELECTOR, f"main [name={name}]")
            if element.tag_name == "select":
                Select(element).select_by_visible_text(value)
            elif element.get_attribute("type") == "date":
                script = "arguments[0].value = arguments[1]"
                self.browser.execute_script(script, element, value)
            else:
                element.clear()
                element.send_keys(value)

    def press(self, text: str) -> None:
        """Press the button or link with this text."""
        self._click(f"//main//*[self::button or self::a][normalize-space()='{text}']", text)

    def unfold(self, text: str) -> None:
        """Open a folded part."""
        self._click(f"//summary[normalize-space()='{text}']", text)

    def _click(self, path: str, text: str) -> None:
        """Click what is shown at `path`, on the page that is coming if this one is just going."""

        def click(_driver: object) -> bool:
            shown = [e for e in self.browser.find_elements(By.XPATH, path) if e.is_displayed()]
            if shown:
                into_view = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
                self.browser.execute_script(into_view, shown[0])
                shown[0].click()
            return bool(shown)

        going = [StaleElementReferenceException]
        WebDriverWait(self.browser, 5, ignored_exceptions=going).until(
            click, f"no {text!r} on {self.browser.current_url}: {self.text()[:600]}"
        )

    def text(self) -> str:
        """What the page says."""
        return str(self.browser.execute_script("return document.body?.innerText || ''"))

    def sees(self, text: str, seconds: float = 10) -> None:
        """Wait until the page says it."""
        WebDriverWait(self.browser, seconds).until(
            lambda _driver: text in self.text(), f"{text!r} is not in: {self.text()[:1500]}"
        )

    def comes_to_see(self, text: str, seconds: float = 30) -> None:
        """Load the page again until it says what a job has found out meanwhile."""

        def look(_driver: object) -> bool:
            if text in self.text():
                return True
            self.browser.refresh()
            return text in self.text()

        WebDriverWait(self.browser, seconds).until(look, f"no {text!r} in: {self.text()[:1500]}")

    def since_shown(self) -> float:
        """The moment of the test's clock at which this page was there to be read."""
        entry = "performance.getEntriesByType('navigation')[0].domInteractive"
        shown = self.browser.execute_script(f"return performance.now() - {entry}")
        return time.monotonic() - float(shown) / 1000

    def waits_for(self, text: str, seconds: float = 30) -> None:
        """Reload the page until it says it."""
        until = time.monotonic() + seconds
        while text not in self.text():
            assert time.monotonic() < until, f"{text!r} never came: {self.text()[:1500]}"
            time.sleep(0.5)
            self.browser.refresh()

    def sign_in(self, email: str, password: str) -> None:
        """Come in with a password."""
        self.browser.delete_all_cookies()
        self.visit("/sign-in")
        self.fill(email=email, password=password)
        self.press("Sign in with password")
        self.sees("Welcome, ")


def add_people(live: Live) -> None:
    """Anna at the vendor; Lena at Kühn Technik, which is new."""
    with engines.opened(live.settings):
        make_partner("Kühn Technik")
        make_family("Pumps")
    for email, name, role, more in (
        ("anna@nordwerk.example", "Anna Keller", "channel_manager", []),
        ("lena@kuehn.example", "Lena Kühn", "partner_user", ["--partner", "Kühn Technik"]),
    ):
        live.command(
            "users", "add", email, "--name", name, "--role", role, "--password",
            f"{name.split()[0].lower()}-password", *more,
        )  # fmt: skip


def ask_everyone(live: Live) -> None:
    """A survey that was due yesterday, so that the scheduler opens it now."""
    zone = ZoneInfo("Europe/Berlin")
    began = clock.now() - timedelta(days=1)
    start = began.astimezone(zone).replace(tzinfo=None, microsecond=0)
    with engines.opened(live.settings), write() as session:
        survey = set_up(session, start, began - timedelta(days=1), name="First pulse", open_days=7)
        survey.rrule, survey.starts_local = "FREQ=DAILY;COUNT=1", iso(start)


def test_a_partners_day_and_the_managers_monday(
    live: Live, browser: Chrome, tmp_path: Path
) -> None:
    add_people(live)
    ask_everyone(live)
    person = Person(browser, live.url)
    publish_a_document(person, tmp_path)
    dwell = lena_reads_downloads_and_likes(person)
    link = lena_shares(person)
    opened = a_customer_reads(person, link)
    lena_registers_a_deal_and_sees_the_open(person)
    anna_decides(person)
    lena_wins(person)
    anna_confirms(person)
    lena_answers_the_survey(person)
    anna_sets_up_a_survey(person)
    anna_reads_her_numbers(person, dwell, opened)
    assert live.command("verify") == ""


def publish_a_document(person: Person, folder: Path) -> None:
    file = folder / "Energy deck.pdf"
    file.write_bytes(make_pdf(PAGES))
    person.sign_in("ada@nordwerk.example", "ada-password")
    person.visit("/library/new")
    person.fill(title="Deck: energy savings", summary="Where pumps waste energy.")
    person.fill(content_type="Presentation", families="Pumps")
    person.press("Continue")
    person.sees("No file yet")
    person.browser.find_element(By.NAME, "file").send_keys(str(file))
    person.press("Upload")
    person.sees("The file is here")
    person.waits_for("ready", 60)
    person.press("Publish")
    person.sees("published")


def lena_reads_downloads_and_likes(person: Person) -> float:
    """Reads with page turns and another tab in front for a while; returns the seconds read."""
    person.sign_in("lena@kuehn.example", "lena-password")
    person.visit("/library?q=energy")
    person.press("Deck: energy savings")
    person.sees(f"Page 1 of {PAGES}")
    began = person.since_shown()
    for _turn in range(3):
        time.sleep(2)
        person.press("Next")
    person.sees("Page 4 of")
    read = time.monotonic() - began
    reader = person.browser.current_window_handle
    person.browser.switch_to.new_window("tab")
    away = time.monotonic()
    time.sleep(6)
    person.browser.switch_to.window(reader)
    back = time.monotonic()
    assert back - away > 5
    time.sleep(3)
    person.press("Like")
    read += time.monotonic() - back
    person.sees("Liked")
    again = person.since_shown()
    person.press("Download")
    time.sleep(1)
    person.visit("/library")
    return read + time.monotonic() - again


def lena_shares(person: Person) -> str:
    person.press("Share")
    person.fill(recipient="Stadtwerke Lingen")
    person.press("Make the link")
    person.sees("Nobody has opened it yet")
    address = person.browser.find_element(By.ID, "address").get_attribute("value")
    assert address
    return address


def a_customer_reads(person: Person, link: str) -> float:
    """A scanner's look counts nothing, a person's does; returns the seconds read."""
    for method in ("HEAD", "GET"):
        with urllib.request.urlopen(urllib.request.Request(link, method=method)) as answer:
            assert answer.status == 200
    person.browser.delete_all_cookies()
    person.visit(link)
    person.sees("Sent to you by Lena Kühn of Kühn Technik")
    began = person.since_shown()
    time.sleep(2)
    person.press("Next")
    time.sleep(3)
    person.visit("/sign-in")
    return time.monotonic() - began


def lena_registers_a_deal_and_sees_the_open(person: Person) -> None:
    person.sign_in("lena@kuehn.example", "lena-password")
    person.sees("Opened by your customers")
    person.waits_for("Stadtwerke Lingen", 5)
    person.sees(f"page 2 of {PAGES}")
    person.press("Register a deal")
    person.fill(customer_name="Stadtwerke Lingen", amount="24 600,50", country="Germany")
    person.press("Submit")
    person.sees("Please choose a product family.")
    field = person.browser.find_element(By.NAME, "amount")
    assert field.get_attribute("value") == "24 600,50"
    person.fill(product_family="Pumps", deal_type="New business", expected_close="2027-03-01")
    person.press("Submit")
    person.sees("Decision by")


def anna_decides(person: Person) -> None:
    person.sign_in("anna@nordwerk.example", "anna-password")
    person.sees("Needs you today")
    person.press("Decide")
    person.press("Start review")
    person.sees("Seen by Anna Keller")
    person.comes_to_see("Nobody else:")
    person.press("Approve")
    person.sees("Approved: the customer is reserved")


def lena_wins(person: Person) -> None:
    person.sign_in("lena@kuehn.example", "lena-password")
    person.press("Open")
    person.press("Proposal sent")
    person.sees("moved it to proposal")
    person.unfold("It is won")
    person.press("Report the order")
    person.sees("Reported as won")


def anna_confirms(person: Person) -> None:
    person.sign_in("anna@nordwerk.example", "anna-password")
    person.visit("/deals")
    person.press("Confirm")
    person.press("Confirm")
    person.sees("Won: €")


def lena_answers_the_survey(person: Person) -> None:
    person.sign_in("lena@kuehn.example", "lena-password")
    person.waits_for("Two questions, 20 seconds.", 60)
    person.press("Answer")
    person.sees("see your answer with your name and your company")
    for question, score in (("company", 9), ("experience", 8)):
        field = f"input[name={question}][value='{score}']"
        person.browser.find_element(By.CSS_SELECTOR, field).click()
    person.fill(comment="Quick and clear.")
    person.press("Send")
    person.sees("Your answer is saved")
    person.sign_in("anna@nordwerk.example", "anna-password")


def anna_sets_up_a_survey(person: Person) -> None:
    person.visit("/surveys/new")
    person.fill(name="Partner pulse")
    person.press("Show what would happen")
    person.sees("What would happen")
    person.press("Save")
    person.sees("Its waves open by themselves")


def seconds(text: str) -> float:
    """`1 min 05 s` or `14 s` as seconds."""
    minutes = re.search(r"(\d+) min", text)
    rest = re.search(r"(\d+) s", text)
    return 60 * int(minutes[1] if minutes else 0) + int(rest[1] if rest else 0)


def anna_reads_her_numbers(person: Person, dwell: float, opened: float) -> None:
    person.visit("/reports/content?period=30d")
    person.waits_for("Deck: energy savings", 40)
    time.sleep(3)
    rows = csv_of(person, "/reports/content.csv?period=30d")
    assert len(rows) == 1
    row = rows[0]
    assert (row["Views"], row["Downloads"], row["Shares"], row["Opens"], row["Likes"]) == (
        "1", "1", "1", "1", "1",
    )  # fmt: skip
    counted = float(row["Dwell time (s)"])
    assert abs(counted - dwell) <= 1 + 0.02 * dwell, f"{counted} s counted, {dwell:.1f} s read"
    person.visit("/?period=30d")
    person.sees("1 of 1")
    person.sees("€\u00a024\u202f600")
    WebDriverWait(person.browser, 15).until(
        lambda driver: len(driver.find_elements(By.CSS_SELECTOR, "[data-chart] svg")) >= 3
    )
    # The form that Lena sent incomplete was answered with 400, as it should be.
    logs = person.browser.get_log("browser")  # type: ignore[no-untyped-call]
    severe = [entry["message"] for entry in logs if entry["level"] == "SEVERE"]
    assert [message for message in severe if "/deals/new" not in message] == []
    assert opened > 5


def csv_of(person: Person, path: str) -> list[dict[str, str]]:
    """A CSV file as the person signed in gets it."""
    cookies = "; ".join(f"{c['name']}={c['value']}" for c in person.browser.get_cookies())
    request = urllib.request.Request(person.url + path, headers={"Cookie": cookies})
    with urllib.request.urlopen(request) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode("utf-8-sig"))))
