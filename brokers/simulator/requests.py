"""What the simulated trade server answers to a request: checks in its order, then execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokers.simulator import checks
from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY
from brokers.simulator.chance import chance
from brokers.simulator.checks import EXCHANGE_EXECUTION, INSTANT, MASK_OF_TYPE, ORDER_CLOSE_BY, REQUEST, Wish
from brokers.simulator.dealing import BOC, CLOSE_BY, PARTIAL, PLACED
from brokers.simulator.exchange import Exchange
from brokers.simulator.fills import Fill
from brokers.simulator.state import OpenPosition, Order

DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY_ACTION = 1, 5, 6, 7, 8, 10
RETCODE_PLACED, DONE, DONE_PARTIAL = 10008, 10009, 10010
EXECUTED = "Request executed"
ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Answer:
    """A trade server's answer."""

    retcode: int
    text: str
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    price: float = 0.0


TEXTS = {
    10004: "Requote", 10006: "Request rejected", 10013: "Invalid request", 10014: "Invalid volume",
    10015: "Invalid price", 10016: "Invalid stops", 10017: "Trade disabled", 10018: "Market closed",
    10019: "No money", 10021: "No prices", 10022: "Invalid expiration", 10024: "Too many requests",
    10025: "No changes", 10027: "AutoTrading disabled by client", 10029: "Position frozen",
    10030: "Unsupported filling mode", 10031: "No connection", 10033: "Limit of pending orders reached",
    10034: "Limit of volume reached", 10035: "Invalid order", 10036: "Position closed",
    10038: "Invalid close volume", 10039: "Close order exists already", 10040: "Limit of positions reached",
    10042: "Only long positions allowed", 10043: "Only short positions allowed", 10044: "Only position closing allowed",
    10045: "Position closing by FIFO rule only", 10046: "Opposite positions prohibited",
}  # fmt: skip


def refuse(code: int) -> Answer:
    """Return a refusal with its text."""
    return Answer(code, TEXTS[code])


def handle(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    """Check a request and, with `execute`, carry it out. Prices and positions are those of this moment."""
    action = request.get("action", 0)
    if action in (SLTP, MODIFY, REMOVE):
        return _change(exchange, request, execute=execute)
    if action == CLOSE_BY_ACTION:
        return _close_by(exchange, request, execute=execute)
    setup = exchange.symbols.get(str(request.get("symbol", "")))
    if action not in (DEAL, PENDING) or setup is None:
        return refuse(10013)
    code = _closed(exchange, setup.name)
    if code is not None:
        return refuse(code)
    wish = Wish.of(request, setup)
    if action == PENDING:
        return _place(exchange, setup, wish, execute=execute)
    return _deal(exchange, setup, wish, int(request.get("position", 0)), execute=execute)


def _closed(exchange: Exchange, symbol: str) -> int | None:
    """Return why nothing can be done with a symbol now."""
    if exchange.symbols[symbol].trade_mode == checks.DISABLED:
        return 10017
    if exchange.books.price(symbol) is None or not exchange.books.can_convert(exchange.symbols[symbol]):
        return 10021
    return None if exchange.is_open(symbol, exchange.clock.now().timestamp()) else 10018


def _quote(exchange: Exchange, symbol: str) -> tuple[float, float]:
    quote = exchange.books.price(symbol)
    assert quote is not None, "_closed refuses symbols without a price"
    return quote


def _deal(exchange: Exchange, setup: SymbolSetup, wish: Wish, ticket: int, *, execute: bool) -> Answer:
    """Open, close, add, reduce or reverse at the market."""
    position = exchange.position_with(ticket) if ticket else None
    if ticket and position is None:
        return refuse(10036)
    if position is None and not exchange.account.is_hedging:
        position = exchange.position_in(setup.name)
    elif position is not None and position.symbol != setup.name:
        return refuse(10013)
    bid, ask = _quote(exchange, setup.name)
    price = ask if wish.kind == BUY else bid
    code = _deal_code(exchange, setup, wish, position, price, is_named=bool(ticket))
    if code is not None:
        return refuse(code)
    if not execute:
        return Answer(0, "Done", volume=wish.volume, price=price)
    is_closing = position is not None and exchange.account.is_hedging
    order = _order(exchange, setup, wish, position_id=position.identifier if is_closing and position is not None else 0)
    return _answer(*exchange.market(order), wish.volume)


def _deal_code(
    exchange: Exchange, setup: SymbolSetup, wish: Wish, position: OpenPosition | None, price: float, *, is_named: bool
) -> int | None:
    whole = position is not None and is_named and abs(wish.volume - position.volume) < ENOUGH
    code = None if whole else checks.volume_code(wish.volume, setup)
    if code is not None:
        return code
    if wish.kind not in (0, 1) or not setup.order_mask & MASK_OF_TYPE[wish.kind]:
        return 10035
    code = checks.filling_code(wish.filling, setup, is_pending=False) or _price_code(exchange, setup, wish, price)
    if code is not None:
        return code
    if position is not None and is_named:
        return checks.close_code(exchange, position, wish.kind, wish.volume)
    opposite = position.volume if position is not None and position.type != wish.kind else 0.0
    added = wish.volume - opposite
    if position is not None and opposite:
        code = checks.frozen_code(exchange, position)
    if code is None and added > ENOUGH:
        bid, ask = _quote(exchange, setup.name)
        code = (
            checks.stops_code(wish.kind, wish, bid if wish.kind == BUY else ask, setup)
            or checks.direction_code(exchange, setup, wish.kind, added)
            or checks.money_code(exchange, setup, wish.kind, wish.volume, price)
        )
    return code


def _price_code(exchange: Exchange, setup: SymbolSetup, wish: Wish, price: float) -> int | None:
    """Instant execution: the wished price must be near the current one, and even then it may be quoted anew."""
    if setup.execution not in (REQUEST, INSTANT):
        return None
    if wish.price <= 0:
        return 10015
    if abs(wish.price - price) > (wish.deviation + 0.5) * setup.point:
        return 10004
    now = exchange.clock.now().timestamp()
    return 10004 if chance("requote", setup.name, now) * 100 < setup.requote_percent else None


def _order(
    exchange: Exchange, setup: SymbolSetup, wish: Wish, *, position_id: int = 0, expires: float = 0.0
) -> Order:  # fmt: skip
    is_resting = wish.kind > 1
    return Order(
        ticket=0, symbol=setup.name, type=wish.kind, volume=wish.volume, volume_left=wish.volume,
        price=wish.price if is_resting else 0.0, sl=wish.sl, tp=wish.tp, magic=wish.magic, comment=wish.comment,
        placed=0.0, position_id=position_id, filling=wish.filling, type_time=wish.type_time if is_resting else 0,
        expiration=wish.expiration if wish.type_time > 1 and is_resting else 0,
        stoplimit=wish.stoplimit if wish.kind > 5 else 0.0, expires=expires,
        reason=exchange.reason,
    )  # fmt: skip


def _answer(fill: Fill, state: int, volume: float) -> Answer:
    """Return what came of a market order: all of it, a part, resting for lots, or none."""
    if fill.volume >= volume - ENOUGH:
        return Answer(DONE, EXECUTED, fill.order, fill.deal, fill.volume, fill.price)
    if fill.volume:
        return Answer(DONE_PARTIAL, "Request executed partially", fill.order, fill.deal, fill.volume, fill.price)
    if state in (PLACED, PARTIAL):
        return Answer(RETCODE_PLACED, "Order placed", fill.order, 0, volume, 0.0)
    return Answer(10006, TEXTS[10006], fill.order)


def _place(exchange: Exchange, setup: SymbolSetup, wish: Wish, *, execute: bool) -> Answer:
    if wish.kind not in MASK_OF_TYPE or wish.kind < 2 or not setup.order_mask & MASK_OF_TYPE[wish.kind]:
        return refuse(10035)
    quote, side = _quote(exchange, setup.name), wish.kind % 2
    expires = checks.expires_at(exchange, wish, setup)
    account, orders = exchange.account, exchange.state.orders
    code = (
        checks.volume_code(wish.volume, setup)
        or checks.filling_code(wish.filling, setup, is_pending=True, is_limit=wish.kind not in (4, 5))
        or checks.resting_price_code(wish.kind, wish, quote, setup)
        or checks.stops_code(side, wish, wish.stoplimit or wish.price, setup)
        or (10022 if expires is None else None)
        or (10033 if account.limit_orders and len(orders) >= account.limit_orders else None)
        or checks.direction_code(exchange, setup, side, wish.volume)
    )
    is_marketable = setup.execution == EXCHANGE_EXECUTION and wish.kind in (2, 3)
    if code is None and is_marketable and wish.filling != BOC:
        code = checks.money_code(exchange, setup, side, wish.volume, wish.price)
    if code is not None or expires is None:
        return refuse(code or 10022)
    if not execute:
        return Answer(0, "Done", volume=wish.volume, price=wish.price)
    fill, state = exchange.place(_order(exchange, setup, wish, expires=expires))
    if fill.volume:
        return _answer(fill, state, wish.volume)
    if state in (PLACED, PARTIAL):
        return Answer(DONE, EXECUTED, fill.order, 0, wish.volume, wish.price)
    return Answer(10006, TEXTS[10006], fill.order)


def _close_by(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    """Close two opposite positions of a symbol against each other; only hedging accounts have them."""
    pair = [exchange.position_with(int(request.get(name, 0))) for name in ("position", "position_by")]
    position, other = pair
    if not exchange.account.is_hedging:
        return refuse(10013)
    if position is None or other is None:
        return refuse(10036)
    if position.symbol != other.symbol or position.type == other.type:
        return refuse(10013)
    setup = exchange.symbols[position.symbol]
    if not setup.order_mask & ORDER_CLOSE_BY:
        return refuse(10035)
    volume = min(position.volume, other.volume)
    code = _closed(exchange, setup.name)
    for each in (position, other):
        code = code or checks.close_code(exchange, each, 1 - each.type, volume)
    if code is not None:
        return refuse(code)
    if not execute:
        return Answer(0, "Done", volume=volume)
    wish = Wish.of({**request, "type": CLOSE_BY, "volume": volume}, setup)
    order = _order(exchange, setup, wish, position_id=position.identifier)
    order.price, order.position_by = other.price_open, other.identifier
    return _answer(exchange.close_together(order, position, other), PLACED, volume)


def _change(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    """Change or remove something that is there, unless it is not traded now or frozen."""
    row: OpenPosition | Order | None
    if request["action"] == SLTP:
        ticket = int(request.get("position", 0))
        row = exchange.position_with(ticket)
        if not ticket and not exchange.account.is_hedging:
            row = exchange.position_in(str(request.get("symbol", "")))
    else:
        row = exchange.state.orders.get(int(request.get("order", 0)))
    if row is None:
        return refuse(10036 if request["action"] == SLTP else 10035)
    setup = exchange.symbols[row.symbol]
    wish = Wish.of(request, setup)
    code = _closed(exchange, row.symbol)
    if code is None:
        code = _change_code(exchange, request["action"], setup, wish, row)
    if code is not None:
        return refuse(code)
    if not execute:
        return Answer(0, "Done")
    if isinstance(row, OpenPosition):
        exchange.change_stops(row, wish.sl, wish.tp)
        return Answer(DONE, EXECUTED)
    if request["action"] == REMOVE:
        exchange.cancel(row)
    else:
        expires = checks.expires_at(exchange, wish, setup) or 0.0
        exchange.change_order(
            row, price=wish.price, sl=wish.sl, tp=wish.tp, stoplimit=wish.stoplimit if row.type > 5 else 0.0,
            type_time=wish.type_time, expiration=wish.expiration if wish.type_time > 1 else 0, expires=expires,
        )  # fmt: skip
    return Answer(DONE, EXECUTED, row.ticket)


def _change_code(
    exchange: Exchange, action: int, setup: SymbolSetup, wish: Wish, row: OpenPosition | Order
) -> int | None:
    quote = _quote(exchange, row.symbol)
    if isinstance(row, OpenPosition):
        if (wish.sl, wish.tp) == (row.sl, row.tp):
            return 10025
        base = quote[0] if row.type == BUY else quote[1]
        return checks.frozen_code(exchange, row) or checks.stops_code(row.type, wish, base, setup)
    frozen = checks.frozen_code(exchange, row)
    if action == REMOVE or frozen is not None:
        return frozen
    if row.type not in MASK_OF_TYPE or row.type < 2:
        return 10035
    same = (wish.price, wish.sl, wish.tp, wish.type_time) == (row.price, row.sl, row.tp, row.type_time)
    expiration = wish.expiration if wish.type_time > 1 else 0
    if same and (wish.stoplimit if row.type > 5 else 0.0, expiration) == (row.stoplimit, row.expiration):
        return 10025
    return (
        checks.resting_price_code(row.type, wish, quote, setup)
        or checks.stops_code(row.type % 2, wish, wish.stoplimit or wish.price, setup)
        or (10022 if checks.expires_at(exchange, wish, setup) is None else None)
    )
