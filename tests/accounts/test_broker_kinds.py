"""Accounts of each kind of broker: their settings are checked, and their gateway is the one that was meant."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts import services
from accounts.admin.forms import AccountForm
from accounts.models import BrokerKind, TradingAccount
from brokers.catalogue import CATALOGUE
from brokers.crypto.gateway import CryptoGateway
from brokers.jforex.gateway import JForexGateway
from core.clock import SystemClock
from engine.opening import gateway_of

JFOREX: dict[str, Any] = {
    "name": "Duka", "broker": "jforex", "login": 2_345_678, "server": "demo", "terminal_path": "http://127.0.0.1:7080",
    "margin_mode": "hedging", "currency": "USD", "demo": True, "restart_policy": "resume",
}  # fmt: skip
CRYPTO: dict[str, Any] = JFOREX | {
    "name": "Coins", "broker": "crypto", "login": 1, "server": "okx-demo", "terminal_path": "", "currency": "USDT",
    "margin_mode": "netting",
}  # fmt: skip


@pytest.mark.django_db
def test_an_account_of_each_new_kind_is_added_in_the_admin_and_opens_its_gateway() -> None:
    form = AccountForm(JFOREX)
    assert form.is_valid(), form.errors
    account: TradingAccount = form.save()
    gateway = gateway_of(account, SystemClock())
    assert isinstance(gateway, JForexGateway)
    assert repr(gateway) == "JForexGateway(address='http://127.0.0.1:7080', login=2345678)"
    gateway.close()
    form = AccountForm(CRYPTO)
    assert form.is_valid(), form.errors
    account = form.save()
    assert account.merges_positions
    gateway = gateway_of(account, SystemClock())
    assert isinstance(gateway, CryptoGateway)
    assert repr(gateway) == "CryptoGateway(server='okx-demo', login=1)"
    gateway.close()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "change", "field"),
    [
        (JFOREX, {"terminal_path": "127.0.0.1"}, "terminal_path"),
        (JFOREX, {"terminal_path": "http://bridge.example"}, "terminal_path"),
        (JFOREX, {"server": "Dukascopy-demo"}, "server"),
        (JFOREX, {"margin_mode": "netting"}, "margin_mode"),
        (JFOREX, {"investor_password": "reads"}, "investor_password"),
        (CRYPTO, {"server": "https://okx.com"}, "server"),
        (CRYPTO, {"margin_mode": "hedging"}, "margin_mode"),
        (CRYPTO, {"investor_password": "reads"}, "investor_password"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], change: dict[str, Any], field: str) -> None:
    form = AccountForm(values | change)
    assert not form.is_valid()
    assert list(form.errors) == [field]
    if field != "investor_password":
        with pytest.raises(ValidationError) as caught:
            services.create_account(**(values | change | {"at": SystemClock().now()}))
        assert list(caught.value.message_dict) == [field]


def test_the_brokers_page_compares_every_kind_that_can_be_chosen() -> None:
    # The simulated terminal is a MetaTrader 5
    assert len(CATALOGUE) == len(BrokerKind) - 1
