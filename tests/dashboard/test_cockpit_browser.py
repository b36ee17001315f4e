"""The cockpit in Chromium, on a real engine: chart, cycle, keys; in light, dark and on a phone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Page, Request, expect

from tests.dashboard.test_browser import PHONE, SOON, desk
from tests.processes.engine import Engine

__all__ = ["desk"]
pytestmark = pytest.mark.browser
CYCLES_TRIED = 10
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

            open_a_cycle(page, address)
            expect(page.locator("#cycle-net")).to_have_text(re.compile("[▲▼] [+−]|0.00"), timeout=SOON)
            expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1280, "height": 800})
        trading_moves(page, address)
        by_keyboard(page, address)


def open_a_cycle(page: Page, address: str) -> None:
    """Open the page of an open cycle; one that closes while it is opened has no legs to draw, so take the next."""
    chart = page.locator("#price-chart")
    for _ in range(CYCLES_TRIED):
        page.goto(f"{address}/admin/cycles/cycle/?status__exact=open")
        listed = page.locator('#result_list a[href*="/change/"]')
        if listed.count() == 0:
            continue
        listed.first.click()
        with suppress(AssertionError):
            expect(chart).to_have_attribute("data-lines", re.compile("Buy|Sell"), timeout=SOON / CYCLES_TRIED)
            return
    expect(chart).to_have_attribute("data-lines", re.compile("Buy|Sell"), timeout=SOON)


def trading_moves(page: Page, address: str) -> None:
    """Look at an account's page and a bot's, whose figures and positions move, and at the journal's tail."""
    page.goto(f"{address}/admin/accounts/tradingaccount/")
    page.locator('#result_list a[href*="/change/"]').first.click()
    expect(page.locator("#figure-equity")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"), timeout=SOON)
    expect(page.locator("#positions tr").first).to_be_visible(timeout=SOON)
    assets = page.locator("#exposure [data-field=asset]")
    expect(assets).to_have_text(["EUR", "USD"], timeout=SOON)
    page.evaluate("window.same_page = true")
    total = page.locator("#total-profit")
    expect(total).not_to_have_text(total.inner_text(), timeout=SOON)
    assert page.evaluate("window.same_page") is True
    expect(page.get_by_text("Trade allowed")).to_be_visible()
    page.locator("[data-bot-floating]").first.locator("xpath=ancestor::tr").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("/strategies/bot/"))
    expect(page.locator("#figure-lots")).to_have_text(re.compile(r"^\d+\.\d\d$"), timeout=SOON)
    page.goto(f"{address}/admin/events/event/")
    page.locator("#tail summary").click()
    expect(page.locator("#tail-events tr").first).to_be_visible(timeout=SOON)
    page.locator("#tail-pause").click()
    expect(page.locator("#tail-pause")).to_have_text(re.compile("^Go on"))


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
