"""Every kind of page, in both themes and at both widths: axe finds nothing, nothing overflows, and
the keyboard reaches the one action."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browsers import FLAGS, executable
from tests.live import Live, portal_on

SIZES = {"desktop": (1366, 768), "phone": (390, 844)}
PARTNER = [
    "/", "/library", "/leads", "/leads/new", "/deals", "/deals/new", "/shares", "/account",
    "/account/notices",
]  # fmt: skip
MANAGER = [
    "/", "/library", "/deals", "/deals/queue", "/deals/list", "/deals/board", "/deals/months",
    "/deals/wins", "/account/absence", "/surveys", "/surveys/new", "/people", "/reports/days",
    "/leads/rules",
]  # fmt: skip
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
    live: Live, browser: Browser, size: str, theme: str
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
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
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
