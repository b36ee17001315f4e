"""Opens the gateway that an account's row describes."""

from accounts.models import Symbol, TradingAccount
from accounts.selectors import pairing_of, password_of, server_offsets
from brokers.factory import open_gateway
from brokers.gateway import Gateway
from core.clock import Clock


def gateway_of(account: TradingAccount, clock: Clock) -> Gateway:
    """Make the gateway of an account, not connected yet. Raises ConnectError, CredentialError."""
    symbols = Symbol.objects.filter(account=account).exclude(broker_name="")
    return open_gateway(
        account.broker,
        login=account.login,
        password=password_of(account),
        server=account.server,
        options={"path": account.terminal_path, "pairing": pairing_of(account)},
        symbol_map=dict(symbols.values_list("name", "broker_name")),
        clock=clock,
        clock_history=server_offsets(account.pk),
    )
