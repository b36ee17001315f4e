"""What the simulated trade server answers to a request: checks in its order, then execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY, SELL
from brokers.simulator.exchange import Exchange
from brokers.simulator.fills import Fill
from brokers.simulator.state import OpenPosition

DEAL, PENDING, SLTP, MODIFY, REMOVE = 1, 5, 6, 7, 8
DONE, PLACED = 10009, 10009


@dataclass(frozen=True, slots=True)
class Answer:
    """A trade server's answer."""

    retcode: int
    text: str
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    price: float = 0.0


INVALID = Answer(10013, "Invalid request")
TEXTS = {
    10004: "Requote", 10014: "Invalid volume", 10015: "Invalid price", 10016: "Invalid stops", 10018: "Market closed",
    10019: "No money", 10021: "No prices", 10024: "Too many requests", 10025: "No changes",
    10027: "AutoTrading disabled by client",
    10029: "Position frozen", 10030: "Unsupported filling mode", 10035: "Invalid order", 10036: "Position closed",
    10038: "Invalid close volume",
}  # fmt: skip


def refuse(code: int) -> Answer:
    """Return a refusal with its text."""
    return Answer(code, TEXTS[code])


def handle(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    """Check a request and, with `execute`, carry it out. Prices and positions are those of this moment."""
    action = request.get("action", 0)
    if action in (DEAL, PENDING):
        return _trade(exchange, request, execute=execute)
    if action == SLTP:
        return _stops(exchange, request, execute=execute)
    if action in (MODIFY, REMOVE):
        return _resting(exchange, request, execute=execute)
    return INVALID


def _trade(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    setup = exchange.symbols.get(str(request.get("symbol", "")))
    if setup is None:
        return INVALID
    quote = exchange.books.price(setup.name)
    if quote is None:
        return refuse(10021)
    volume = float(request.get("volume", 0.0))
    closing = exchange.state.positions.get(int(request.get("position", 0)))
    if request.get("position", 0) and closing is None:
        return refuse(10036)
    if not _volume_fits(volume, setup):
        return refuse(10014)
    if request["action"] == DEAL:
        if not _filling_fits(int(request.get("type_filling", 0)), setup):
            return refuse(10030)
        if closing is not None:
            return _close(exchange, closing, request, volume, execute=execute)
        return _open(exchange, setup, request, volume, quote, execute=execute)
    return _place(exchange, setup, request, volume, quote, execute=execute)


def _volume_fits(volume: float, setup: SymbolSetup) -> bool:
    steps = volume / setup.volume_step
    return setup.volume_min - 1e-9 <= volume <= setup.volume_max + 1e-9 and abs(steps - round(steps)) < 1e-6


def _filling_fits(filling: int, setup: SymbolSetup) -> bool:
    """Market execution wants FOK (bit 1) or IOC (bit 2) by the mask; other executions take what they get."""
    return setup.execution != 2 or (filling in (0, 1) and bool(setup.filling_mask & (filling + 1)))


def _open(
    exchange: Exchange,
    setup: SymbolSetup,
    request: Mapping[str, Any],
    volume: float,
    quote: tuple[float, float],
    *,
    execute: bool,
) -> Answer:
    kind = int(request.get("type", 0))
    if kind not in (BUY, SELL):
        return refuse(10035)
    sl, tp = float(request.get("sl", 0.0)), float(request.get("tp", 0.0))
    if not _stops_fit(kind, sl, tp, quote[0] if kind == BUY else quote[1], setup):
        return refuse(10016)
    price = quote[1] if kind == BUY else quote[0]
    if exchange.books.margin_for(setup, volume, price) > exchange.equity() - exchange.margin() and not _hedges(
        exchange, setup.name, kind, volume
    ):
        return refuse(10019)
    if not execute:
        return Answer(0, "Done", volume=volume, price=price)
    fill = exchange.market(
        setup.name, kind, volume, sl, tp, int(request.get("magic", 0)), str(request.get("comment", ""))
    )
    return _done(fill)


def _hedges(exchange: Exchange, symbol: str, kind: int, volume: float) -> bool:
    """Tell whether a trade needs no new margin because the other side is at least as large."""
    sides = [0.0, 0.0]
    for p in exchange.state.positions.values():
        if p.symbol == symbol:
            sides[p.type] += p.volume
    return sides[kind] + volume <= sides[1 - kind] + 1e-9


def _close(
    exchange: Exchange, position: OpenPosition, request: Mapping[str, Any], volume: float, *, execute: bool
) -> Answer:
    if request.get("symbol") != position.symbol or int(request.get("type", 0)) != 1 - position.type:
        return INVALID
    if volume > position.volume + 1e-9:
        return refuse(10038)
    if not execute:
        return Answer(0, "Done", volume=volume)
    return _done(exchange.close(position, volume, int(request.get("magic", 0)), str(request.get("comment", ""))))


def _place(
    exchange: Exchange,
    setup: SymbolSetup,
    request: Mapping[str, Any],
    volume: float,
    quote: tuple[float, float],
    *,
    execute: bool,
) -> Answer:
    kind, price = int(request.get("type", 0)), float(request.get("price", 0.0))
    if kind not in (2, 3, 4, 5):
        return refuse(10035)
    side = kind % 2
    if not _resting_price_fits(kind, price, quote, setup):
        return refuse(10015)
    sl, tp = float(request.get("sl", 0.0)), float(request.get("tp", 0.0))
    if not _stops_fit(side, sl, tp, price, setup):
        return refuse(10016)
    if not execute:
        return Answer(0, "Done", volume=volume, price=price)
    magic, comment = int(request.get("magic", 0)), str(request.get("comment", ""))
    return Answer(
        DONE,
        "Request executed",
        exchange.place(setup.name, kind, volume, price, sl, tp, magic, comment),
        0,
        volume,
        price,
    )


def _resting_price_fits(kind: int, price: float, quote: tuple[float, float], setup: SymbolSetup) -> bool:
    """Buy limit below ask, sell limit above bid, buy stop above ask, sell stop below bid, by the stops level."""
    gap = {2: quote[1] - price, 3: price - quote[0], 4: price - quote[1], 5: quote[0] - price}[kind]
    return price > 0 and gap >= max(setup.stops_level * setup.point, setup.point / 2)


def _stops_fit(kind: int, sl: float, tp: float, base: float, setup: SymbolSetup) -> bool:
    """A buy's stop loss below and take profit above `base`, by the stops level at least; a sell's the other way."""
    least = max(setup.stops_level * setup.point, setup.point / 2)
    sign = 1 if kind == BUY else -1
    return (not sl or (base - sl) * sign >= least) and (not tp or (tp - base) * sign >= least)


def _stops(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    position = exchange.state.positions.get(int(request.get("position", 0)))
    if position is None:
        return refuse(10036)
    setup = exchange.symbols[position.symbol]
    quote = exchange.books.price(position.symbol)
    sl, tp = round(float(request.get("sl", 0.0)), setup.digits), round(float(request.get("tp", 0.0)), setup.digits)
    if (sl, tp) == (position.sl, position.tp):
        return refuse(10025)
    if quote is None:
        return refuse(10021)
    if not _stops_fit(position.type, sl, tp, quote[0] if position.type == BUY else quote[1], setup):
        return refuse(10016)
    if not execute:
        return Answer(0, "Done")
    exchange.change_stops(position, sl, tp)
    return Answer(DONE, "Request executed")


def _resting(exchange: Exchange, request: Mapping[str, Any], *, execute: bool) -> Answer:
    order = exchange.state.orders.get(int(request.get("order", 0)))
    if order is None:
        return refuse(10035)
    if not execute:
        return Answer(0, "Done")
    if request["action"] == REMOVE:
        exchange.cancel(order)
        return Answer(DONE, "Request executed", order.ticket)
    setup = exchange.symbols[order.symbol]
    price = round(float(request.get("price", 0.0)), setup.digits)
    sl, tp = float(request.get("sl", 0.0)), float(request.get("tp", 0.0))
    quote = exchange.books.price(order.symbol)
    if (price, sl, tp) == (order.price, order.sl, order.tp):
        return refuse(10025)
    if quote is None or not _resting_price_fits(order.type, price, quote, setup):
        return refuse(10015)
    if not _stops_fit(order.type % 2, sl, tp, price, setup):
        return refuse(10016)
    exchange.change_order(order, price, sl, tp)
    return Answer(DONE, "Request executed", order.ticket)


def _done(fill: Fill) -> Answer:
    return Answer(DONE, "Request executed", fill.order, fill.deal, fill.volume, fill.price)
