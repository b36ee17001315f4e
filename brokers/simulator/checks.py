"""What a trade server looks at in a request before it deals: each check returns the code of its refusal, or None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY, sign
from brokers.simulator.dealing import BOC, FOK, IOC, RETURN
from brokers.simulator.exchange import Exchange
from brokers.simulator.server_time import to_server, to_utc
from brokers.simulator.state import OpenPosition, Order

REQUEST, INSTANT, MARKET_EXECUTION, EXCHANGE_EXECUTION = range(4)
MASK_FOK, MASK_IOC, MASK_BOC = 1, 2, 4
ORDER_MARKET, ORDER_LIMIT, ORDER_STOP, ORDER_STOP_LIMIT, ORDER_SL, ORDER_TP, ORDER_CLOSE_BY = (2**n for n in range(7))
MASK_OF_TYPE = {
    0: ORDER_MARKET, 1: ORDER_MARKET, 2: ORDER_LIMIT, 3: ORDER_LIMIT, 4: ORDER_STOP, 5: ORDER_STOP,
    6: ORDER_STOP_LIMIT, 7: ORDER_STOP_LIMIT,
}  # fmt: skip
GTC, DAY, SPECIFIED, SPECIFIED_DAY = range(4)
DISABLED, LONG_ONLY, SHORT_ONLY, CLOSE_ONLY = range(4)
SECONDS_OF_DAY = 86_400
ENOUGH = 1e-9
Quote = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wish:
    """A request's figures, with prices rounded to the symbol's digits."""

    kind: int
    volume: float
    price: float
    stoplimit: float
    sl: float
    tp: float
    filling: int
    type_time: int
    expiration: int
    deviation: int
    magic: int
    comment: str

    @classmethod
    def of(cls, request: Mapping[str, Any], setup: SymbolSetup) -> "Wish":
        """Read a request; what it leaves out is 0, or empty."""
        prices = {n: round(float(request.get(n, 0.0)), setup.digits) for n in ("price", "stoplimit", "sl", "tp")}
        numbers = ("type_filling", "type_time", "expiration", "deviation", "magic")
        filling, type_time, expiration, deviation, magic = (int(request.get(n, 0)) for n in numbers)
        return cls(
            int(request.get("type", 0)), float(request.get("volume", 0.0)), prices["price"], prices["stoplimit"],
            prices["sl"], prices["tp"], filling, type_time, expiration, deviation, magic,
            str(request.get("comment", "")),
        )  # fmt: skip


def volume_code(volume: float, setup: SymbolSetup) -> int | None:
    """Within the limits, and on the step."""
    steps = volume / setup.volume_step
    fits = setup.volume_min - ENOUGH <= volume <= setup.volume_max + ENOUGH and abs(steps - round(steps)) < 1e-6
    return None if fits else 10014


def filling_code(filling: int, setup: SymbolSetup, *, is_pending: bool, is_limit: bool = False) -> int | None:
    """Market execution takes FOK and IOC by the mask; RETURN is for exchanges and pending orders, BOC for limits.

    Request and instant execution take what they get (brokers reference §5.5).
    """
    if filling == BOC:
        return None if is_limit and setup.filling_mask & MASK_BOC else 10030
    if filling == RETURN:
        return 10030 if setup.execution == MARKET_EXECUTION and not is_pending else None
    if filling not in (FOK, IOC):
        return 10030
    is_by_mask = setup.execution in (MARKET_EXECUTION, EXCHANGE_EXECUTION)
    return 10030 if is_by_mask and not setup.filling_mask & (MASK_FOK if filling == FOK else MASK_IOC) else None


def price_code(setup: SymbolSetup, *prices: float) -> int | None:
    """Prices of a symbol whose tick is larger than its point lie on ticks."""
    off = [p for p in prices if p and abs(p / setup.tick - round(p / setup.tick)) > 1e-4]
    return 10015 if off else None


def stops_code(kind: int, wish: Wish, base: float, setup: SymbolSetup) -> int | None:
    """A buy's stop loss below and take profit above `base`, by the stops level at least; a sell's the other way."""
    if (wish.sl and not setup.order_mask & ORDER_SL) or (wish.tp and not setup.order_mask & ORDER_TP):
        return 10035
    least = max(setup.stops_level * setup.point, setup.point / 2)
    fits = (not wish.sl or (base - wish.sl) * sign(kind) >= least - ENOUGH) and (
        not wish.tp or (wish.tp - base) * sign(kind) >= least - ENOUGH
    )
    return None if fits and price_code(setup, wish.sl, wish.tp) is None else 10016


def resting_price_code(kind: int, wish: Wish, quote: Quote, setup: SymbolSetup) -> int | None:
    """Buy limit below ask, sell limit above bid, buy stop above ask, sell stop below bid, by the stops level.

    An exchange takes limits at any price. A stop-limit's limit lies on the side of its stop that a limit is on.
    """
    price = wish.price
    least = max(setup.stops_level * setup.point, setup.point / 2)
    gaps = {2: quote[1] - price, 3: price - quote[0], 4: price - quote[1], 5: quote[0] - price}
    gap = gaps[kind if kind < 6 else kind - 2]
    is_free = kind in (2, 3) and setup.execution == EXCHANGE_EXECUTION
    if price <= 0 or (gap < least - ENOUGH and not is_free):
        return 10015
    if kind > 5 and not (wish.stoplimit > 0 and (price - wish.stoplimit) * sign(kind % 2) >= least - ENOUGH):
        return 10015
    return price_code(setup, price, wish.stoplimit)


def direction_code(exchange: Exchange, setup: SymbolSetup, kind: int, volume: float) -> int | None:
    """What an account or a symbol lets nobody open: a side, an opposite position, too much of it."""
    if setup.trade_mode == CLOSE_ONLY:
        return 10044
    if setup.trade_mode == LONG_ONLY and kind != BUY:
        return 10042
    if setup.trade_mode == SHORT_ONLY and kind == BUY:
        return 10043
    positions = [p for p in exchange.state.positions.values() if p.symbol == setup.name]
    account = exchange.account
    if account.is_hedging and account.hedge_prohibited and any(p.type != kind for p in positions):
        return 10046
    same = [p.volume for p in positions if p.type == kind]
    same += [o.volume_left for o in exchange.state.orders.values() if o.symbol == setup.name and o.type % 2 == kind]
    if setup.volume_limit and sum(same) + volume > setup.volume_limit + ENOUGH:
        return 10034
    if account.limit_positions and len(exchange.state.positions) >= account.limit_positions:
        return 10040 if account.is_hedging or not positions else None
    return None


def money_code(exchange: Exchange, setup: SymbolSetup, kind: int, volume: float, price: float) -> int | None:
    """Free margin for what the trade adds, and no margin call."""
    needed = exchange.margin_with(setup, kind, volume, price) - exchange.margin()
    lacks = needed > 0 and (needed > exchange.free_margin() or exchange.is_called())
    return 10019 if lacks else None


def close_code(exchange: Exchange, position: OpenPosition, kind: int, volume: float) -> int | None:
    """What speaks against closing a position by a trade of this kind."""
    if kind != 1 - position.type:
        return 10013
    if volume > position.volume + ENOUGH:
        return 10038
    if any(o.position_id == position.identifier and o.type == kind for o in exchange.state.orders.values()):
        return 10039
    same = [
        p.identifier
        for p in exchange.state.positions.values()
        if p.symbol == position.symbol and p.type == position.type
    ]
    if exchange.account.fifo_close and position.identifier != min(same):
        return 10045
    return frozen_code(exchange, position)


def frozen_code(exchange: Exchange, row: OpenPosition | Order) -> int | None:
    """A position whose stops, or an order whose price, are within the freeze level can't be touched."""
    setup, quote = exchange.symbols[row.symbol], exchange.books.price(row.symbol)
    zone = setup.freeze_level * setup.point
    if not zone or quote is None:
        return None
    if isinstance(row, OpenPosition):
        levels, market = (row.sl, row.tp), quote[0] if row.type == BUY else quote[1]
    else:
        levels, market = (row.price, 0.0), quote[1] if row.type % 2 == BUY else quote[0]
    return 10029 if any(level and abs(level - market) <= zone + ENOUGH for level in levels) else None


def expires_at(exchange: Exchange, wish: Wish, setup: SymbolSetup) -> float | None:
    """Return when an order of this life time ends, in UTC epoch seconds, 0.0 for never; None if it can't be placed."""
    if wish.type_time not in (GTC, DAY, SPECIFIED, SPECIFIED_DAY) or not setup.expiration_mask & (1 << wish.type_time):
        return None
    if wish.type_time == GTC:
        return 0.0
    clock, now = exchange.account.server_clock, exchange.clock.now().timestamp()
    server = to_server(clock, now)
    wanted = server if wish.type_time == DAY else float(wish.expiration)
    if wish.type_time != SPECIFIED:
        wanted = (wanted // SECONDS_OF_DAY + 1) * SECONDS_OF_DAY
    return to_utc(clock, wanted) if wanted > server else None
