"""The cockpit in Chromium, on a real engine: chart, cycle, keys; in light, dark and on a phone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Request, expect

from tests.dashboard.test_browser import PHONE, SOON, desk
from tests.processes.engine import Engine

__all__ = ["desk"]
pytestmark = pytest.mark.browser
THEMES = (("light", None), ("dark", None), ("light", PHONE))


@contextmanager
def quiet(page: Page, address: str) -> Iterator[None]:
    """See that a page says no error, and asks no other host for anything."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    own = (address, address.replace("http", "ws"), "data:", "blob:")

    def asked(request: Request) -> None:
        if not request.url.startswith(own):
            said.append(request.url)

    page.on("request", asked)
    yield
    assert said == []


def test_charts_cycle_and_keys(desk: tuple[Engine, Page, str]) -> None:
    _, page, address = desk
    with quiet(page, address):
        page.goto(f"{address}/admin/")
        for theme, size in THEMES:
            page.evaluate("theme => localStorage.setItem('adminTheme', JSON.stringify(theme))", theme)
            page.set_viewport_size(size or {"width": 1280, "height": 800})  # type: ignore[arg-type]
            page.goto(f"{address}/admin/chart/")
            chart = page.locator("#price-chart")
            # Bars come from the engine, then the last one follows the feed
            expect(chart).to_have_attribute("data-bars", re.compile("^[1-9]"), timeout=60_000)
            expect(chart).to_have_attribute("data-close", re.compile(r"^1\.\d{5}$"), timeout=SOON)
            expect(chart.locator("canvas").first).to_be_visible()
            assert page.evaluate("document.documentElement.classList.contains('dark')") is (theme == "dark")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

            page.goto(f"{address}/admin/cycles/cycle/?status__exact=open")
            page.locator('#result_list a[href*="/change/"]').first.click()
            expect(page.locator("#price-chart")).to_have_attribute("data-lines", re.compile("Buy|Sell"), timeout=SOON)
            expect(page.locator("#cycle-net")).to_have_text(re.compile("[▲▼] [+−]|0.00"), timeout=SOON)
            expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1280, "height": 800})
        by_keyboard(page, address)


def by_keyboard(page: Page, address: str) -> None:
    """Go to a list, move in it, open a row, look at the help and at the palette, all by keys."""
    page.goto(f"{address}/admin/")
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Next and previous row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/orders/order/"))
    page.wait_for_load_state()
    rows = page.locator("#result_list tbody tr")
    for key, place in (("j", 0), ("j", 1), ("k", 0)):
        page.keyboard.press(key)
        expect(rows.nth(place)).to_have_class(re.compile("is-current"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/orders/order/\d+/change/"))
    page.wait_for_load_state()
    page.keyboard.press("Control+k")
    # The palette takes the focus a moment after it opened; what is typed before that goes nowhere
    box = page.locator("#search-input-command")
    expect(box).to_be_focused()
    box.press_sequentially("Statistics")
    expect(box).to_have_value("Statistics")
    found = page.locator("#command-results").get_by_role("link", name="Statistics")
    expect(found).to_be_visible(timeout=SOON)
    found.click()
    expect(page).to_have_url(re.compile("/admin/statistics/"))
