"""Opens the gateway that an account's row describes."""

from datetime import timedelta
from pathlib import Path

from django.conf import settings

from accounts.models import Symbol, TradingAccount
from accounts.selectors import pairing_of, password_of, reading_password_of, server_offsets
from brokers.factory import open_gateway
from brokers.gateway import Gateway
from core.clock import Clock
from marketdata.candlestore import CandleStore
from marketdata.quotes import Market


def gateway_of(account: TradingAccount, clock: Clock, *, is_for_reading: bool = False) -> Gateway:
    """Make the gateway of an account, not connected yet. One that only reads takes the investor's password, if any.

    Raises ConnectError, CredentialError.
    """
    symbols = Symbol.objects.filter(account=account).exclude(broker_name="")
    return open_gateway(
        account.broker,
        login=account.login,
        password=reading_password_of(account) if is_for_reading else password_of(account),
        server=account.server,
        options={"path": account.terminal_path, "pairing": pairing_of(account)},
        symbol_map=dict(symbols.values_list("name", "broker_name")),
        clock=clock,
        clock_history=server_offsets(account.pk),
        is_for_reading=is_for_reading,
    )


def market_of(account_id: int, gateway: Gateway, clock: Clock) -> Market:
    """Return the market as an account sees it, with the candles that are kept on disk."""
    return Market(
        gateway,
        clock,
        store=CandleStore(Path(settings.VAR_DIR) / "candles"),
        source=TradingAccount.objects.values_list("server", flat=True).get(pk=account_id),
        quote_valid=timedelta(seconds=settings.QUOTE_SECONDS),
    )
