"""The live page as a person sees it: a real engine, a real site, and Chromium."""

import os
import re
import signal
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.processes.engine import Engine

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
SOON = 60_000
PAGES = ("/admin/", "/admin/live/", "/admin/strategies/bot/", "/admin/cycles/cycle/", "/admin/orders/order/")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(site_environment: dict[str, str], page: Page) -> Iterator[tuple[Engine, Page, str]]:
    """Give a running engine with its site, a logged-in page, and the site's address."""
    port = free_port()
    engine = Engine(site_environment, "--web", f"127.0.0.1:{port}")
    try:
        engine.until_it_trades_on()
        address = f"http://127.0.0.1:{port}"
        engine.until(lambda: answers(port), "the site")
        page.goto(f"{address}/admin/login/")
        page.fill("#id_username", "demo")
        page.fill("#id_password", (engine.folder / "demo_password").read_text().strip())
        page.click("button[type=submit]")
        expect(page).to_have_title(re.compile("Overview"))
        yield engine, page, address
    finally:
        engine.close()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_profit_changes_without_a_reload(desk: tuple[Engine, Page, str]) -> None:
    engine, page, address = desk
    page.goto(f"{address}/admin/live/")
    page.evaluate("window.same_page = true")
    floating = page.locator("#desk-accounts tr").first.locator('[data-label="Floating"]')
    expect(page.locator("#desk-pill")).to_contain_text("Live", timeout=SOON)
    expect(page.locator("#desk-cycles table tbody tr").first).to_be_visible(timeout=SOON)
    seen = floating.inner_text()
    expect(floating).not_to_have_text(seen, timeout=SOON)
    assert page.evaluate("window.same_page") is True
    risk_figures_move_too(page, address)
    page.goto(f"{address}/admin/live/")
    page.evaluate("window.same_page = true")
    expect(page.locator("#desk-pill")).to_contain_text("Live", timeout=SOON)

    # An engine that stands still is said to be silent; the figures stay, marked as old
    for pid in engine.pids("runner"):
        os.kill(pid, signal.SIGSTOP)
    expect(page.locator("#desk-accounts tr").first).to_have_class(re.compile("is-stale"), timeout=SOON)
    expect(page.locator("#desk-banner")).to_be_visible(timeout=SOON)
    for pid in engine.pids("runner"):
        os.kill(pid, signal.SIGCONT)
    expect(page.locator("#desk-accounts tr").first).not_to_have_class(re.compile("is-stale"), timeout=SOON)

    # A site that is killed comes back, and the page finds it again by itself
    os.kill(engine.pids("web")[0], signal.SIGKILL)
    expect(page.locator("#desk-pill")).not_to_contain_text("Live", timeout=SOON)
    expect(page.locator("#desk-pill")).to_contain_text("Live", timeout=SOON)
    assert page.evaluate("window.same_page") is True


def risk_figures_move_too(page: Page, address: str) -> None:
    """Look at distance to stop-out, cost to close and worst case of an account; and at a bot, which may be flat."""
    moving = {
        "to-stop-out": r"[\d,.]+ USD above 50 % of the margin in use",
        "cost-to-close": r"[+−]?[\d,.]+",
        "worst": r"equity [\d,.]+",
    }
    for listed, figures in (("accounts/tradingaccount/", moving), ("strategies/bot/", ("to-stop-out",))):
        page.goto(f"{address}/admin/{listed}")
        page.locator('#result_list a[href*="/change/"]').first.click()
        page.evaluate("window.same_page = true")
        for figure in figures:
            shown = page.locator(f'[data-risk="{figure}"]:visible').first
            expect(shown).to_have_text(re.compile(moving[figure]), timeout=SOON)
            expect(shown).not_to_have_text(shown.inner_text(), timeout=SOON)
            expect(shown).to_have_text(re.compile(moving[figure]), timeout=SOON)
        assert page.evaluate("window.same_page") is True


def test_pages_fit_a_phone_and_say_nothing_to_the_console(desk: tuple[Engine, Page, str]) -> None:
    _, page, address = desk
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in PAGES:
        page.goto(address + path)
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    page.goto(f"{address}/api/docs/")
    expect(page.locator(".swagger-ui .info .title")).to_be_visible(timeout=SOON)
    assert said == []


def test_an_account_is_paused_and_resumed_from_the_admin(desk: tuple[Engine, Page, str]) -> None:
    _, page, address = desk
    for action, shown in (("Pause", "Paused"), ("Resume", "Running")):
        page.goto(f"{address}/admin/accounts/tradingaccount/")
        page.locator('#result_list a[href*="/change/"]').first.click()
        page.locator("a:visible, button:visible").filter(has_text=action).first.click()
        page.get_by_role("button", name=f"{action} the account").click()
        # What is said when the page has come again: until then it would break off what is navigated to
        expect(page.get_by_text(re.compile(f"is to be {shown}", re.IGNORECASE)).first).to_be_visible()
        page.goto(f"{address}/admin/live/")
        state = page.locator("#desk-accounts tr").first.locator('[data-label="State"]')
        expect(state).to_contain_text(shown, timeout=SOON, ignore_case=True)
