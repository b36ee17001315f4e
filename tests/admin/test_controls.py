"""Controls that ask the engine: a double click asks once, the reason is kept, a dialog begins with what it is about."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import TradingAccount
from events.models import AuditEntry, Command
from tests.admin.conftest import Desk

CONFIRMED = {"_form_submitted": "1"}


@pytest.mark.parametrize("control", ["force_order_sync", "examine"])
def test_a_double_click_asks_once_and_the_reason_is_kept(control: str, desk: Desk, as_: Callable[..., Client]) -> None:
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="running")
    Command.objects.all().delete()
    address = reverse(f"admin:accounts_tradingaccount_{control}", args=(desk.account.pk,))
    assert "position(s) are open" in as_("ada").get(address).content.decode()
    for _ in range(2):
        as_("ada").post(address, {**CONFIRMED, "reason": "it looks odd"})
    command = Command.objects.get()
    assert (command.account, command.requested_by) == (desk.account, desk.people["ada"])
    assert AuditEntry.objects.filter(action="COMMAND", reason="it looks odd").count() == 1


def test_what_is_flattened_from_a_bots_page_is_that_bot(desk: Desk, as_: Callable[..., Client]) -> None:
    address = reverse("admin:risk_killswitch_throw")
    about = f"account={desk.account.pk}&amp;bot={desk.bot.pk}&amp;mode=flatten"
    page = reverse("admin:strategies_bot_change", args=(desk.bot.pk,))
    assert f"{address}?{about}" in as_("ada").get(page).content.decode()
    assert address not in as_("ben").get(page).content.decode()
    dialog = as_("ada").get(f"{address}?{about.replace('&amp;', '&')}").content.decode()
    for value in (str(desk.account.pk), str(desk.bot.pk), "flatten"):
        assert f'<option value="{value}" selected' in dialog
