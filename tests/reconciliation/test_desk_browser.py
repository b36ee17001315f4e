"""The divergence desk in Chromium: a person settles a divergence with a reason, and books and broker agree."""

import re

import pytest
from playwright.sync_api import Page, expect

from reconciliation.models import Divergence
from tests.reconciliation.test_pass import by_hand, check, held
from tests.world import World

__all__ = ["held"]
pytestmark = pytest.mark.browser
SIZES = ({"width": 390, "height": 844}, {"width": 1366, "height": 768})


@pytest.fixture
def seeded(held: World, live_server: object, page: Page) -> Page:
    """A logged-in page, a stop loss set by hand and a position opened by hand."""
    by_hand(held, action=6, position=held.open_orders()[0].ticket, sl=1.05)
    by_hand(held, action=1, volume=0.2, type=0)
    check(held)
    held.run(2)
    page.goto(f"{live_server}/admin/login/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "a long test password")
    page.click("button[type=submit]")
    page.goto(f"{live_server}/admin/reconciliation/divergence/")
    return page


def test_a_person_settles_a_divergence_and_the_terminal_and_the_books_agree(held: World, seeded: Page) -> None:
    page = seeded
    row = page.locator("#result_list tr", has_text="Stop loss")
    expect(row.locator(".recon-diff").first).to_have_text(re.compile("SL –"))
    expect(row.locator(".recon-diff").last).to_have_text("SL 1.05")
    expect(page.locator("[data-divergences]")).to_have_text("2")
    page.keyboard.press("j")
    expect(row).to_have_class(re.compile("is-current"))
    page.keyboard.press("a")
    dialog = page.locator("#modal-content")
    expect(dialog.locator(".is-different")).to_contain_text("SL")
    expect(dialog.locator(".recon-preview")).to_contain_text("asks the broker once to set SL none")
    dialog.get_by_label("Reason").fill("the bot has no stop on purpose")
    dialog.get_by_role("button", name="Let the engine ask the broker").click()
    expect(page.get_by_text("the engine was asked")).to_be_visible()
    held.run(2)
    check(held)
    assert held.truth.positions[0].sl == 0.0
    held_row = Divergence.objects.get(kind="stop_loss")
    assert (held_row.closed_how, held_row.closed_by) == ("enforced", held.ada)
    page.reload()
    expect(page.locator("#result_list tr", has_text="Stop loss")).to_have_count(0)
    expect(page.locator("#result_list")).to_contain_text("Manual or foreign")
    page.goto(page.url.partition("?")[0] + f"{held_row.pk}/change/")
    expect(page.get_by_text("the bot has no stop on purpose").first).to_be_visible()
    expect(page.get_by_text("the broker did it").first).to_be_visible()


def test_the_desk_fits_phones_and_small_screens_and_says_nothing_to_the_console(held: World, seeded: Page) -> None:
    page = seeded
    said: list[str] = []
    # The live socket is not served here: pytest's server speaks WSGI
    page.on("console", lambda m: said.append(m.text) if m.type == "error" and "WebSocket" not in m.text else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    address = page.url.partition("?")[0]
    pk = Divergence.objects.get(kind="stop_loss").pk
    for size in SIZES:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for place in (address, f"{address}{pk}/change/"):
            page.goto(place)
            page.wait_for_load_state("load")
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], place
        page.goto(address)
        settle = page.locator("[data-key=i]").first.bounding_box()
        assert settle is not None
        assert settle["x"] + settle["width"] <= size["width"], "the buttons are in sight"
    expect(page.locator("[data-divergences]")).to_be_visible()
    Divergence.objects.update(state="closed", closed_how="gone", closed_at=held.clock.now())
    page.reload()
    expect(page.locator("[data-divergences]")).to_be_hidden()
    expect(page.get_by_text("Books and broker agree")).to_be_visible()
    assert said == []
