"""Every page of the admin in Chromium: light, dark and on a phone; nothing foreign, nothing wrong, nothing cut off."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, Page, Request

from tests.admin.conftest import Desk
from tests.admin.pages import pages
from tests.admin.trades import month_of_trades

pytestmark = pytest.mark.browser
DESKTOP = {"width": 1366, "height": 900}
PHONE = {"width": 390, "height": 844}
PAGES_MIN = 120
# A page with less text has lost its content: the frame of the site alone has more
WORDS_MIN = 150
# SCREENSHOTS=folder keeps a picture of each page in each look, for people to judge
SHOTS = os.environ.get("SCREENSHOTS", "")
# What a person who can't see the page, or uses no mouse, would miss; each finding names its element
LACKS = (Path(__file__).parent / "lacks.js").read_text()
WIDER = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture
def seeded(transactional_db: None, desk: Desk) -> Desk:
    """Give the desk with a month of trades, so that figures, tables and charts have something to show."""
    month_of_trades(desk.bot)
    return desk


@pytest.fixture
def logged_in(seeded: Desk, as_: Callable[..., Client], live_server: object, context: BrowserContext) -> Page:
    """Give a browser's page on which the superuser is logged in."""
    key = as_("root").cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": str(live_server)}])
    return context.new_page()


class Ear:
    """Hears what a page says to the console and whom it asks."""

    def __init__(self, page: Page, own: str) -> None:
        self.said: list[str] = []
        self.own = (own, own.replace("http", "ws"), "data:", "blob:")
        # The live socket is not served here: pytest's server speaks WSGI
        page.on(
            "console", lambda m: self.said.append(m.text) if m.type == "error" and "WebSocket" not in m.text else None
        )
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(self.own):
            self.said.append(f"asked {request.url}")


def test_every_page_in_every_look(
    seeded: Desk, as_: Callable[..., Client], live_server: object, logged_in: Page
) -> None:
    page, wrong = logged_in, dict[str, list[str]]()
    found = pages(as_("root"))
    assert len(found) >= PAGES_MIN
    ear = Ear(page, str(live_server))
    for address in found:
        ear.said = []
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        answer = page.goto(f"{live_server}{address}")
        problems = [] if answer is not None and answer.status == 200 else ["no answer"]
        problems += look(page, address, "light")
        # What the switch in the corner does; to load each page three times would take three times as long
        page.evaluate("document.documentElement.classList.add('dark')")
        problems += look(page, address, "dark")
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        page.wait_for_function(f"window.innerWidth === {PHONE['width']}")
        problems += look(page, address, "phone")
        problems += page.evaluate(LACKS) + ear.said
        if len(page.locator("body").inner_text()) < WORDS_MIN:
            problems.append("empty")
        if problems:
            wrong[address] = problems
    assert not wrong, "\n".join(f"{address}: {problem}" for address, found in wrong.items() for problem in found)


def look(page: Page, address: str, name: str) -> list[str]:
    """Return what does not fit on the screen; keep a picture where a person asked for them."""
    wider = page.evaluate(WIDER)
    if SHOTS:
        file = (address.strip("/").replace("/", "_") or "root") + f".{name}.png"
        page.screenshot(path=Path(SHOTS) / file, full_page=True)
    return [f"{name}: {wider} px wider than the screen"] if wider > 0 else []
