"""Trades by instance, with the same meaning at every broker (S2: getTrades, openTrade, closeTrade, getTradeHistory).

An instance is a bot, by its number: the magic, or the tag that stands for it. A trade that a person opened with the
number as its comment belongs to it too. For scripts and tools; the engine goes through intents and its send path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from brokers.domain import ClosePosition, Deal, DealEntry, DealKind, OpenPosition, Position, Side
from brokers.gateway import Gateway, Permit
from core.outcome import Outcome, Refused

ALL_OF_INSTANCE = -1
TRADES_MAX = 1000
# Rounding of volumes that were closed in parts
VOLUME_TOLERANCE = 1e-6

Permits = Callable[[], Permit]


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A position that is wholly closed; prices are averages over its deals, `net` is in account currency."""

    position_id: int
    symbol: str
    side: Side
    volume: float
    price_open: float
    price_close: float
    net: float
    magic: int
    comment: str
    opened_at: datetime
    closed_at: datetime


def belongs(magic: int, comment: str, instance_id: int) -> bool:
    """Tell whether a trade is of an instance: by its magic, or a manual one by its comment."""
    return magic == instance_id or (magic == 0 and comment == str(instance_id))


def get_trades(gateway: Gateway, instance_id: int, *, limit: int = TRADES_MAX) -> tuple[Position, ...]:
    """Return an instance's open positions, newest first. Raises ReadError."""
    found = (p for p in gateway.book().positions if belongs(p.magic, p.comment, instance_id))
    return tuple(sorted(found, key=lambda p: (p.opened_at, p.identifier), reverse=True)[:limit])


def open_trade(
    gateway: Gateway, *, lots: float, direction: Side, pair: str, instance_id: int, permits: Permits, comment: str = "",
    stop_loss: float = 0.0, take_profit: float = 0.0,
) -> Outcome:  # fmt: skip
    """Open a position for an instance at the market; stops are prices, 0.0 means none."""
    request = OpenPosition(pair, direction, lots, instance_id, comment or str(instance_id), stop_loss, take_profit)
    return gateway.send(request, permits())


def close_trade(gateway: Gateway, ticket: int, instance_id: int, *, permits: Permits) -> tuple[Outcome, ...]:
    """Close one position of an instance, or all of them, oldest first, when the ticket is -1. Raises ReadError.

    A ticket of another instance is refused. Each position is asked for once, whatever comes of it.
    """
    mine = get_trades(gateway, instance_id)
    chosen = [p for p in reversed(mine) if ticket in (ALL_OF_INSTANCE, p.ticket)]
    if not chosen and ticket != ALL_OF_INSTANCE:
        return (Refused("no_such_trade", 0, text=f"instance {instance_id} has no open trade {ticket}"),)
    return tuple(
        gateway.send(ClosePosition(p.symbol, p.side, p.volume, p.ticket, instance_id, p.comment), permits())
        for p in chosen
    )


def trade_history(
    gateway: Gateway, instance_id: int, *, since: datetime, until: datetime, symbol: str = "", limit: int = TRADES_MAX
) -> tuple[ClosedTrade, ...]:
    """Return an instance's positions that closed in a period, newest first. Raises ReadError.

    A closing deal often bears no mark of its own, so whose it is, is read from the deal that opened the position.
    """
    closing = [d for d in gateway.deals(since, until) if d.position_id and d.entry is not DealEntry.IN]
    ids = dict.fromkeys(d.position_id for d in closing if symbol in ("", d.symbol))
    found = (_closed(gateway.deals_of(position_id)) for position_id in ids)
    mine = [t for t in found if t is not None and belongs(t.magic, t.comment, instance_id) and t.closed_at <= until]
    return tuple(sorted(mine, key=lambda t: (t.closed_at, t.position_id), reverse=True)[:limit])


def _closed(deals: tuple[Deal, ...]) -> ClosedTrade | None:
    """Fold the deals of one position; None while some of it is open."""
    opening = [d for d in deals if d.entry is DealEntry.IN]
    closing = [d for d in deals if d.entry is not DealEntry.IN]
    opened, closed = (sum(d.volume for d in part) for part in (opening, closing))
    if not opening or abs(opened - closed) > VOLUME_TOLERANCE:
        return None
    first, last = min(opening, key=lambda d: d.at), max(closing, key=lambda d: d.at)
    return ClosedTrade(
        position_id=first.position_id,
        symbol=first.symbol,
        side=Side.BUY if first.kind is DealKind.BUY else Side.SELL,
        volume=round(opened, 8),
        price_open=sum(d.price * d.volume for d in opening) / opened,
        price_close=sum(d.price * d.volume for d in closing) / closed,
        net=round(sum(d.net for d in deals), 2),
        magic=first.magic,
        comment=first.comment,
        opened_at=first.at,
        closed_at=last.at,
    )
