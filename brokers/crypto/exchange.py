"""An exchange of ccxt: made by name, with the one rate budget of its key, read in whole windows of time."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from brokers.budget import budget_of
from brokers.gateway import ConnectError, ReadError
from core.clock import Clock

NEEDED = (
    "createOrder", "cancelOrder", "fetchBalance", "fetchMyTrades", "fetchOHLCV", "fetchOpenOrders", "fetchOrder",
    "fetchOrderBook", "fetchPositions", "swap",
)  # fmt: skip
TIMEOUT_MS = 15_000
TICK_SIZE = 4
SANDBOX = "-demo"
Rows = list[dict[str, Any]]


def make(server: str, secret: str, *, clock: Clock, address: str | None = None) -> Any:
    """Make the exchange that a server names: okx, or okx-demo for its sandbox. Raises ConnectError.

    `secret` is key:secret, or key:secret:passphrase; `address` stands in for the exchange's own.
    """
    try:
        ccxt = import_module("ccxt")
    except ImportError:
        raise ConnectError("ccxt is not installed.", "Install it: pip install -r requirements-crypto.in.") from None
    name = server.removesuffix(SANDBOX)
    if name not in ccxt.exchanges:
        raise ConnectError(f"ccxt has no exchange {name!r}.", "Write its name as ccxt does, for example okx.")
    key, _, rest = secret.partition(":")
    password, _, passphrase = rest.partition(":")
    made = getattr(ccxt, name)({
        "apiKey": key, "secret": password, "password": passphrase or None, "timeout": TIMEOUT_MS,
        "enableRateLimit": True, "options": {"maxRetriesOnFailure": 0},
    })  # fmt: skip
    missing = [need for need in NEEDED if made.has.get(need) not in (True, "emulated")]
    if missing or made.precisionMode != TICK_SIZE:
        raise ConnectError(f"{name} lacks {', '.join(missing) or 'tick sizes'}.", "Choose another exchange.")
    if server.endswith(SANDBOX):
        try:
            made.set_sandbox_mode(True)
        except ccxt.NotSupported:
            raise ConnectError(f"{name} has no sandbox.", f"Write the server as {name}.") from None
    if address is not None:
        made.urls["api"] = dict.fromkeys(made.urls["api"], address)
    budget = budget_of(key, max(1, round(1000 / made.rateLimit)))

    def throttle(cost: float | None = None) -> None:
        for _ in range(max(1, math.ceil(cost or 1))):
            budget.take(clock)

    made.throttle = throttle
    return made


def read(what: str, function: Callable[..., Any], *args: Any, **rest: Any) -> Any:
    """Ask for one thing. Raises ReadError, whatever went wrong."""
    try:
        return function(*args, **rest)
    except Exception as problem:  # noqa: BLE001 - ccxt's parsers raise anything over an answer of another shape
        raise ReadError(
            f"The exchange's {what} can't be read: {type(problem).__name__} {str(problem)[:200]}.", "It is tried again."
        ) from None


def windowed(exchange: Any, method: str, feature: str, symbol: str, since: datetime, until: datetime) -> Rows:
    """Read all rows of a period. A window that may have been cut off is halved. Raises ReadError."""
    told = exchange.feature_value(symbol, feature) or {}
    most = told.get("limit")
    if not most:
        raise ReadError(f"ccxt does not say how much {exchange.id} gives at once of {feature}.")
    step = timedelta(days=min(30, told.get("untilDays") or 7))
    found: dict[str, dict[str, Any]] = {}
    spans = []
    while since < until:
        spans.append((since, min(until, since + step)))
        since += step
    while spans:
        low, high = spans.pop()
        rows = read(
            feature, getattr(exchange, method), symbol, int(low.timestamp() * 1000), int(most),
            {"until": int(high.timestamp() * 1000)},
        )  # fmt: skip
        if len(rows) >= most:
            if high - low <= timedelta(milliseconds=2):
                raise ReadError(f"{exchange.id} has more than {most} rows of one moment, or ignores its end.")
            middle = low + (high - low) / 2
            spans += [(low, middle), (middle, high)]
            continue
        found |= {str(row["id"]): row for row in rows}
    return list(found.values())
