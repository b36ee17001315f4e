"""Opens the gateway that an account's row describes."""

from datetime import timedelta
from pathlib import Path

from django.conf import settings

from accounts.models import Symbol, TradingAccount
from accounts.selectors import latest_snapshot, pairing_of, password_of, reading_password_of, server_offsets
from brokers.factory import open_gateway
from brokers.gateway import Gateway
from brokers.paper.gateway import PaperAccount, PaperGateway, paper_gateway
from core.clock import Clock
from marketdata.quotes import Market
from marketdata.selectors import candle_store, tick_store
from marketdata.tickstore import TickRecorder


def gateway_of(account: TradingAccount, clock: Clock, *, is_for_reading: bool = False) -> Gateway:
    """Make the gateway of an account, not connected yet. One that only reads takes the investor's password, if any.

    Raises ConnectError, CredentialError.
    """
    if account.source is not None:
        return _paper_gateway_of(account, account.source, clock, is_for_reading=is_for_reading)
    symbols = Symbol.objects.filter(account=account).exclude(broker_name="")
    return open_gateway(
        account.broker,
        login=account.login,
        password=reading_password_of(account) if is_for_reading else password_of(account),
        server=account.server,
        options={"path": account.terminal_path, "pairing": pairing_of(account), "currency": account.currency},
        symbol_map=dict(symbols.values_list("name", "broker_name")),
        clock=clock,
        clock_history=server_offsets(account.pk),
        is_for_reading=is_for_reading,
    )


def _paper_gateway_of(
    account: TradingAccount, source: TradingAccount, clock: Clock, *, is_for_reading: bool
) -> PaperGateway:
    """Make the gateway of a paper account. Of its source it reads only: that one is opened to send nothing."""
    deposit = account.paper_deposit
    return paper_gateway(
        gateway_of(source, clock, is_for_reading=True),
        PaperAccount(
            login=account.login,
            server=account.server,
            state_file=paper_file(account.pk),
            deposit=None if deposit is None else float(deposit),
            commission_per_lot=settings.PAPER_COMMISSION_PER_LOT,
            may_begin=latest_snapshot(account.pk) is None,
        ),
        clock=clock,
        is_for_reading=is_for_reading,
    )


def paper_file(account_id: int) -> Path:
    """Return where the terminal of a paper account keeps its state."""
    return Path(settings.VAR_DIR) / "paper" / f"account-{account_id}.sqlite"


def market_of(account_id: int, gateway: Gateway, clock: Clock) -> Market:
    """Return the market as an account sees it, with the candles that are kept on disk."""
    return Market(
        gateway,
        clock,
        store=candle_store(),
        source=TradingAccount.objects.values_list("server", flat=True).get(pk=account_id),
        quote_valid=timedelta(seconds=settings.QUOTE_SECONDS),
        recorder=TickRecorder(tick_store(account_id), clock) if settings.TICKS_DAYS else None,
        streams=settings.STREAM_PRICES,
    )
