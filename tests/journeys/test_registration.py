"""From a share to a decision: the partner on a phone, the manager at a desk, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from portal.accounts.models import Role
from portal.security import hash_password
from tests import engines
from tests.browsers import FLAGS, executable
from tests.factories import make_asset, make_family, make_partner, make_user
from tests.live import Live, portal_on

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1366, "height": 768}
LENA, ANNA, PASSWORD = "lena@kuehn.example", "anna@nordwerk.example", "a-password-2026"

# What is waited for comes at once, unless the machine is busy with other tests.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)

# One worker starts the portal for both.
pytestmark = pytest.mark.xdist_group("registration")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """The portal with Kühn Technik, its Lena, and Anna at the vendor."""
    with portal_on("sqlite", "registration") as running:
        with engines.opened(running.settings):
            secret = hash_password(PASSWORD)
            kuehn = make_partner("Kühn Technik")
            make_user("Lena Kühn", Role.partner_user, kuehn, email=LENA, password_hash=secret)
            make_user("Anna Keller", Role.channel_manager, email=ANNA, password_hash=secret)
            make_asset("Pump datasheet", families=(make_family("Pumps"),))
        running.start("serve")
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--headless"]
        running = playwright.chromium.launch(executable_path=executable(), args=flags)
        yield running
        running.close()


def enter(browser: Browser, live: Live, email: str, size: dict[str, int]) -> Page:
    """Somebody who has signed in, and their page."""
    context: BrowserContext = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{live.url}/sign-in")
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in with password").click()
    page.wait_for_url(f"{live.url}/")
    return page


def test_a_shared_customer_is_registered_on_a_phone_and_decided_at_a_desk(
    live: Live, browser: Browser
) -> None:
    lena = enter(browser, live, LENA, PHONE)
    lena.goto(f"{live.url}/library")
    lena.get_by_role("link", name="Share Pump datasheet").click()
    lena.fill("[name=recipient]", "Brandt & Söhne")
    lena.get_by_role("button", name="Make the link").click()
    # The first touch: everything that is known is there already.
    lena.get_by_role("link", name="Register this customer").click()
    expect(lena.locator("[name=customer_name]")).to_have_value("Brandt & Söhne")
    expect(lena.locator("[name=product_family] option:checked")).to_have_text("Pumps")
    expect(lena.locator("[name=deal_type] option:checked")).to_have_text("Proposed: New business")
    # Three answers are left.
    expect(lena.locator("[name=first_contact]")).to_be_hidden()
    lena.select_option("[name=country]", "DE")
    lena.fill("[name=amount]", "18 400")
    expect(lena.locator("[data-saved]")).to_have_text(re.compile(r"^Saved \d\d:\d\d$"))
    lena.fill("[name=expected_close]", "2099-03-01")
    # The tab is closed and the form opened again: nothing is lost.
    expect(lena.locator("[name=version]")).to_have_value("2")
    lena.goto(f"{live.url}/shares")
    lena.get_by_role("link", name="Open the deal with Brandt & Söhne").click()
    lena.get_by_role("link", name="Edit").click()
    expect(lena.locator("[name=amount]")).to_have_value("18400.00")
    expect(lena.locator("[name=expected_close]")).to_have_value("2099-03-01")
    assert lena.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    submit = lena.get_by_role("button", name="Submit")
    expect(submit).to_be_in_viewport()
    submit.click()
    lena.wait_for_url(re.compile(r"/deals/[0-9a-f-]{36}$"))
    expect(lena.get_by_text("Decision by").first).to_be_visible()

    anna = enter(browser, live, ANNA, DESK)
    anna.goto(f"{live.url}/deals")
    anna.get_by_role("link", name="Decide on Brandt & Söhne").click()
    anna.get_by_role("button", name="Start review").click()
    lena.reload()
    expect(lena.get_by_text("Seen by Anna Keller")).to_be_visible()
    # What the scheduler does within seconds: nothing is approved before.
    live.command("jobs", "run", "check_conflicts")
    anna.reload()
    expect(anna.get_by_text("Nobody else")).to_be_visible()
    anna.get_by_role("button", name="Approve", exact=True).click()
    expect(anna.get_by_text("Approved. The partner has been told.")).to_be_visible()
    lena.reload()
    expect(lena.get_by_text("the customer is reserved for you until")).to_be_visible()


def test_what_was_typed_when_the_session_ended_is_there_after_signing_in(
    live: Live, browser: Browser
) -> None:
    page = enter(browser, live, LENA, PHONE)
    page.goto(f"{live.url}/deals/new")
    form = page.url
    page.context.clear_cookies(name="portal_session")
    page.fill("[name=customer_name]", "Hafen Emden")
    expect(page.locator("[data-saved]")).to_contain_text("you were signed out")
    page.goto(f"{live.url}/sign-in?next=/deals/new")
    page.fill("[name=email]", LENA)
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in with password").click()
    page.wait_for_url(form)
    expect(page.locator("[name=customer_name]")).to_have_value("Hafen Emden")
    expect(page.locator("[data-saved]")).to_contain_text("not saved yet")
    page.get_by_role("button", name="Save draft").click()
    page.goto(form)
    expect(page.locator("[name=customer_name]")).to_have_value("")


def test_a_question_becomes_a_deal_on_a_phone_and_its_win_is_confirmed_from_the_list_at_a_desk(
    live: Live, browser: Browser
) -> None:
    lena = enter(browser, live, LENA, PHONE)
    lena.goto(f"{live.url}/library")
    lena.get_by_role("link", name="Share Pump datasheet").click()
    lena.get_by_role("button", name="Make the link").click()
    link = re.search(r"/s/[\w-]+", lena.content())
    assert link is not None
    customer = browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
    customer.goto(live.url + link[0])
    customer.get_by_role("link", name="Ask Lena").first.click()
    customer.fill("[name=name]", "Ida Frank")
    customer.fill("[name=email]", "ida@emden.example")
    customer.fill("[name=company]", "Hafen Emden")
    customer.fill("[name=question]", "Does it fit shaft four?")
    customer.check("[name=consent]")
    customer.get_by_role("button", name="Send to Lena").click()
    expect(customer.get_by_text("has your question")).to_be_visible()

    lena.goto(live.url)
    lena.get_by_role("link", name="Open the lead Hafen Emden").click()
    lena.get_by_role("link", name="Register a deal").locator("visible=true").click()
    expect(lena.locator("[name=customer_name]")).to_have_value("Hafen Emden")
    lena.select_option("[name=country]", "DE")
    lena.fill("[name=amount]", "12 000")
    lena.fill("[name=expected_close]", "2099-03-01")
    assert lena.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    lena.get_by_role("button", name="Submit").click()
    lena.wait_for_url(re.compile(r"/deals/[0-9a-f-]{36}$"))
    # What was shared with whoever asked belongs to the deal.
    expect(lena.get_by_role("heading", name="What the customer read")).to_be_visible()

    anna = enter(browser, live, ANNA, DESK)
    live.command("jobs", "run", "check_conflicts")
    anna.goto(f"{live.url}/deals/queue?whose=all")
    anna.get_by_role("link", name="Decide on Hafen Emden").click()
    anna.get_by_role("button", name="Start review").click()
    anna.get_by_role("button", name="Approve", exact=True).click()
    expect(anna.get_by_text("Approved. The partner has been told.")).to_be_visible()

    lena.reload()
    lena.get_by_text("It is won").click()
    lena.locator("#won [name=contract_ends]").fill("2099-12-31")
    lena.get_by_role("button", name="Report the order").click()
    expect(lena.get_by_text("Congratulations.")).to_be_visible()
    anna.goto(f"{live.url}/deals")
    anna.get_by_role("link", name="Confirm them in one list").click()
    expect(anna.locator("[name=contract_ends]")).to_have_value("2099-12-31")
    anna.get_by_role("button", name="Confirm", exact=True).click()
    expect(anna.get_by_text("No win waits to be confirmed.")).to_be_visible()
    lena.reload()
    expect(lena.get_by_text("Contract until")).to_be_visible()
