"""Two browsers side by side: who trades sees and does what who may only look can't, and both see what came of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.models import TradingAccount
from events.models import AuditEntry
from tests.admin.conftest import Desk

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(
    transactional_db: None,
    desk: Desk,
    as_: Callable[..., Client],
    live_server: object,
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Page]:
    """Open a browser of one's own for a person who is logged in; the log on the pages is this test's."""
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)

    def open_for(name: str) -> Page:
        context = browser.new_context(base_url=str(live_server))
        key = as_(name).cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": str(live_server)}])
        return context.new_page()

    return open_for


def test_a_trader_and_a_viewer_side_by_side(desk: Desk, opened: Callable[[str], Page]) -> None:
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="running")
    account = f"/admin/accounts/tradingaccount/{desk.account.pk}/change/"
    ada, ben, cem = opened("ada"), opened("ben"), opened("cem")
    for page in (ada, ben):
        page.goto(account)
        expect(page.locator("#positions tr")).to_have_count(1)
    pause = ada.get_by_role("link", name="Pause", exact=False).first
    expect(pause).to_be_visible()
    expect(ben.get_by_role("link", name="Pause")).to_have_count(0)
    expect(ben.get_by_role("button", name="Save")).to_have_count(0)
    expect(ben.get_by_text("Re-arm", exact=True)).to_have_count(0)
    answer = cem.goto(account)
    assert answer is not None
    assert answer.status == 404

    # A switched-off control says why, in both senses of the word
    resume = ada.get_by_role("link", name="Resume").first
    expect(resume).to_have_attribute("title", "Only a paused account can be resumed")
    pause.click()
    dialog = ada.locator("#modal-content")
    expect(dialog).to_contain_text("position(s) are open")
    dialog.get_by_label(re.compile("Reason")).fill("the news")
    dialog.get_by_role("button", name="Pause the account").click()
    expect(ada.get_by_text("Main is to be paused").first).to_be_visible()
    ben.reload()
    expect(ben.get_by_text("Paused (no new entries)").first).to_be_visible()
    assert AuditEntry.objects.filter(action="ACCOUNT_STATE", reason="the news", actor_name="ada").count() == 1

    # What Ben can't press he can't send either: the address itself refuses him
    refused = ben.goto(account.replace("change", "resume"))
    assert refused is not None
    assert refused.status == 403
    assert TradingAccount.objects.get(pk=desk.account.pk).desired_state == "paused"
