"""Every kind of page, in both themes and at both widths: axe finds nothing, nothing overflows, and
the keyboard reaches the one action. A survey is answered from its mail by the keyboard alone, and
on a phone without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import func, select

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import has_access
from portal.db import db
from tests import engines
from tests.browsers import FLAGS, executable
from tests.live import Live, portal_on
from tests.mailbox import deliver, mailbox, text_of
from tests.surveys.asking import MORE_QUESTIONS, ask, make_survey

SIZES = {"desktop": (1366, 768), "phone": (390, 844)}
PARTNER = [
    "/", "/library", "/leads", "/leads/new", "/deals", "/deals/new", "/shares", "/account",
    "/account/notices",
]  # fmt: skip
MANAGER = [
    "/", "/library", "/deals", "/deals/queue", "/deals/list", "/deals/board", "/deals/months",
    "/deals/wins", "/account/absence", "/surveys", "/surveys/new", "/surveys/follow-ups",
    "/people", "/reports/days",
    "/leads/rules",
]  # fmt: skip
VERSION = "main section a[href*='/surveys/q']"
ADMIN = ["/jobs", "/library/new", "/people/held"]


# In the worker that has filled the demo company.
pytestmark = pytest.mark.xdist_group("the demo company")


@pytest.fixture(scope="module")
def live(demo_folder: Path) -> Iterator[Live]:
    """A portal with the demo company."""
    with portal_on("sqlite", "accessibility", copy_of=demo_folder) as running:
        running.start("serve")
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def asked(live: Live) -> list[str]:
    """The links in the mails to three people of one partner that a survey asks."""
    with engines.opened(live.settings) as app:
        many = select(User.partner_id).where(User.partner_id.is_not(None), *has_access())
        many = many.group_by(User.partner_id).having(func.count() >= 3)
        partner = db.session.scalars(many.order_by(User.partner_id)).first()
        audience = {"partners": [str(partner)]}
        ask(make_survey(clock.now(), questions=MORE_QUESTIONS, audience=audience, name="By mail"))
        with mailbox(app) as box:
            while deliver():
                pass
        found = re.findall(
            re.escape(live.url) + r"/survey/[\w-]+(?=\s)", "\n".join(map(text_of, box.letters))
        )
    assert len(found) >= 3
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--headless"]
        running = playwright.chromium.launch(executable_path=executable(), args=flags)
        yield running
        running.close()


def enter(page: Page, live: Live, who: str) -> None:
    """Come in by the button of the demo."""
    page.context.clear_cookies()
    page.goto(f"{live.url}/sign-in")
    page.click(f"form[action='/demo/enter/{who}'] button")


def first_link(page: Page, live: Live, path: str, selector: str = ".todo .what a") -> str:
    """Where the first row of a list leads."""
    page.goto(live.url + path)
    found = page.get_attribute(selector, "href")
    assert found
    return found


def paths_of(page: Page, live: Live, who: str) -> list[str]:
    """The pages of one person, with one of each kind behind their lists."""
    if who == "partner":
        share = first_link(page, live, "/shares")
        page.goto(live.url + share)
        address = page.input_value("#address")
        asset = first_link(page, live, "/library")
        survey = first_link(page, live, "/", "a[href*='/survey/']")
        slug = address.removeprefix(live.url)
        return [
            *PARTNER,
            asset,
            f"{asset}/share",
            share,
            first_link(page, live, "/deals"),
            survey,
            slug,
            f"{slug}/recorded",
            f"{slug}/ask",
            first_link(page, live, "/leads"),
            "/account/recorded",
        ]
    if who == "manager":
        return [
            *MANAGER,
            first_link(page, live, "/deals"),
            "/deals/accounts",
            first_link(page, live, "/deals/customers", "table.plain td a"),
            first_link(page, live, "/surveys", "table.plain td a"),
            # No wave of the second one is open, so that one can be opened.
            first_link(page, live, "/surveys", "tbody tr:nth-child(2) td a") + "/open",
            # Of the wave before the last one: the last was opened for `asked` a moment ago.
            first_link(page, live, "/surveys", "section:nth-of-type(2) tr:nth-child(2) td a"),
            first_link(page, live, "/surveys/follow-ups?whose=all"),
            first_link(page, live, "/surveys/follow-ups?whose=all&state=closed"),
            "/surveys/follow-ups?whose=all",
            "/surveys/questionnaires",
            version := first_link(page, live, "/surveys/questionnaires", VERSION),
            f"{version}/next",
            "/reports/satisfaction/trend",
            "/reports/rollouts",
            "/reports/content",
            "/reports/areas",
            "/reports/results",
            "/reports/baselines",
            first_link(page, live, "/leads", "table.plain td a"),
            first_link(page, live, "/reports/content", "table.plain td a"),
            first_link(page, live, "/reports/partners", "table.plain td a"),
        ]
    edit = first_link(page, live, "/library", ".todo .acts a")
    return [*ADMIN, edit]


# Both themes and both sizes; colours do not depend on the size, nor sizes on colours.
@pytest.mark.parametrize(("theme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_axe_finds_nothing_and_nothing_overflows(
    live: Live, browser: Browser, asked: list[str], size: str, theme: str
) -> None:
    width, height = SIZES[size]
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text)
            if message.type == "error" else None)  # fmt: skip
    page.goto(f"{live.url}/sign-in")
    found = problems(page, "/sign-in", width)
    for address in (f"{asked[2]}?company=7", f"{asked[2]}/unsubscribe"):
        page.goto(address)
        found += problems(page, address, width)
    for who in ("partner", "manager", "admin"):
        enter(page, live, who)
        for path in paths_of(page, live, who):
            page.goto(live.url + path)
            if who == "manager" and path == "/":
                page.locator("[data-chart] svg").nth(2).wait_for()
            found += problems(page, f"{who} {path}", width)
    context.close()
    assert found == []
    assert troubles == []


def problems(page: Page, where: str, width: int) -> list[str]:
    """What is wrong with the page that is open."""
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    result = Axe().run(page, options=options)
    found = [
        f"{where}: {violation['id']} {[node['target'] for node in violation['nodes']][:3]}"
        for violation in result.response["violations"]
    ]
    if page.evaluate("document.documentElement.scrollWidth") > width:
        found.append(f"{where}: wider than the screen")
    return found


def test_the_keyboard_alone_shares_a_document(live: Live, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    enter(page, live, "partner")
    page.goto(live.url + first_link(page, live, "/library") + "/share")
    tab_to(page, "recipient")
    page.keyboard.type("Hafen Emden")
    page.keyboard.press("Enter")
    page.wait_for_url("**/shares/*")
    assert "Link for Hafen Emden" in page.inner_text("h1")
    context.close()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the field has the focus."""
    for _press in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == name:
            return
    raise AssertionError(f"the keyboard does not reach {name}")


def test_the_keyboard_alone_answers_a_survey_from_its_mail(
    asked: list[str], browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.goto(asked[0])
    tab_to(page, "company")
    for key in [" ", *["ArrowRight"] * 6]:
        page.keyboard.press(key)
    tab_to(page, "experience")
    page.keyboard.press("ArrowLeft")
    tab_to(page, "why")
    page.keyboard.type("More drawings")
    tab_to(page, "wish")
    page.keyboard.press(" ")
    tab_to(page, "channel")
    page.keyboard.press(" ")
    # What a screen reader says of the scales: the question, which number of how many is selected.
    nodes = spoken(page)
    assert "How satisfied are you with working with Nordwerk?" in nodes["group"]
    assert {"1 of 10, not at all satisfied", "7 of 10", "10 of 10, very satisfied"} <= {
        *nodes["radio"]
    }
    assert nodes["selected"] == ["7 of 10", "Cannot say", "Phone"]
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Thank you")
    page.goto(asked[0])
    assert spoken(page)["selected"] == ["7 of 10", "Cannot say", "Phone"]
    expect(page.get_by_label("What is behind it?")).to_have_value("More drawings")
    context.close()


def spoken(page: Page) -> dict[str, list[str]]:
    """What the browser tells a screen reader: groups, radio buttons, and which are selected."""
    client = page.context.new_cdp_session(page)
    tree: list[dict[str, Any]] = client.send("Accessibility.getFullAXTree")["nodes"]
    found: dict[str, list[str]] = {"group": [], "radio": [], "selected": []}
    for node in tree:
        role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
        if role in ("group", "radiogroup"):
            found["group"].append(name)
        elif role == "radio":
            found["radio"].append(name)
            states = {row["name"]: row["value"].get("value") for row in node["properties"]}
            if states.get("checked") == "true":
                found["selected"].append(name)
    return found


def test_a_phone_without_script_answers_a_survey_from_its_mail(
    asked: list[str], browser: Browser
) -> None:
    width, height = SIZES["phone"]
    context = browser.new_context(
        viewport={"width": width, "height": height}, java_script_enabled=False, has_touch=True
    )
    page = context.new_page()
    page.goto(f"{asked[1]}?company=3")
    expect(page.get_by_label("3 of 10").first).to_be_checked()
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    page.get_by_label("9 of 10").nth(1).tap()
    page.get_by_label("What should we do better?").fill("Answer sooner")
    # The core questions are there, one that is required is not: nothing that was given is lost.
    page.get_by_role("button", name="Send").tap()
    expect(page.get_by_role("alert")).to_contain_text("How do you reach us?")
    expect(page.get_by_label("3 of 10").first).to_be_checked()
    expect(page.get_by_label("9 of 10").nth(1)).to_be_checked()
    expect(page.get_by_label("What should we do better?")).to_have_value("Answer sooner")
    page.get_by_label("Mail", exact=True).tap()
    page.get_by_role("button", name="Send").tap()
    expect(page.locator("h1")).to_have_text("Thank you")
    context.close()
