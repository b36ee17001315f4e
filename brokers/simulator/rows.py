"""Turn the simulator's rows into the module's structs, with times on the server's clock."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from brokers.simulator.books import BUY
from brokers.simulator.exchange import Exchange
from brokers.simulator.formulas import margin_currency, value_per_price
from brokers.simulator.liquidity import Step
from brokers.simulator.server_time import to_server
from brokers.simulator.state import Deal, OpenPosition, Order
from brokers.simulator.structs import TYPES, Struct, make

# BOOK_TYPE_SELL, BOOK_TYPE_BUY
SELL_SIDE, BUY_SIDE = 1, 2


def times(exchange: Exchange, name: str, at: float) -> dict[str, int]:
    """Return a time as the pair of fields that structs have: seconds, and milliseconds."""
    server = to_server(exchange.account.server_clock, at) if at else 0.0
    return {name: int(server), f"{name}_msc": round(server * 1000)}


def positions(exchange: Exchange, found: Iterable[OpenPosition]) -> tuple[Struct, ...]:
    """Make TradePositions, in the order of FIELDS and without names: this is read several times a second."""
    profits = exchange.profits()
    to_struct, kind = TYPES["TradePosition"], exchange.account.server_clock
    made = []
    for p in found:
        quote = exchange.books.price(p.symbol)
        now = 0.0 if quote is None else quote[0] if p.type == BUY else quote[1]
        opened, updated = _server_ms(kind, p.opened), _server_ms(kind, p.updated)
        made.append(
            to_struct(
                (
                    p.ticket, opened // 1000, opened, updated // 1000, updated, p.type, p.magic, p.identifier, p.reason,
                    p.volume, p.price_open, p.sl, p.tp, now, p.swap, profits[p.identifier], p.symbol, p.comment, "",
                )
            )
        )  # fmt: skip
    return tuple(made)


@lru_cache(maxsize=65_536)
def _server_ms(kind: str, at: float) -> int:
    return round(to_server(kind, at) * 1000)


def order(exchange: Exchange, o: Order) -> Struct:
    """Make a TradeOrder."""
    quote = exchange.books.price(o.symbol)
    return make(
        "TradeOrder",
        {
            "ticket": o.ticket,
            **times(exchange, "time_setup", o.placed),
            **times(exchange, "time_done", o.done),
            "time_expiration": o.expiration,
            "type": o.type,
            "type_time": o.type_time,
            "type_filling": o.filling,
            "state": o.state,
            "magic": o.magic,
            "position_id": o.position_id,
            "position_by_id": o.position_by,
            "reason": o.reason,
            "volume_initial": o.volume,
            "volume_current": o.volume_left,
            "price_open": o.price,
            "sl": o.sl,
            "tp": o.tp,
            "price_current": 0.0 if quote is None else quote[1] if o.type % 2 == BUY else quote[0],
            "price_stoplimit": o.stoplimit,
            "symbol": o.symbol,
            "comment": o.comment,
        },
    )


def deal(exchange: Exchange, d: Deal) -> Struct:
    """Make a TradeDeal."""
    return make(
        "TradeDeal",
        {
            "ticket": d.ticket,
            "order": d.order,
            **times(exchange, "time", d.at),
            "type": d.type,
            "entry": d.entry,
            "magic": d.magic,
            "position_id": d.position_id,
            "reason": d.reason,
            "volume": d.volume,
            "price": d.price,
            "commission": d.commission,
            "swap": d.swap,
            "profit": d.profit,
            "symbol": d.symbol,
            "comment": d.comment,
        },
    )


def tick(exchange: Exchange, at: float, bid: float, ask: float) -> Struct:
    """Make a Tick."""
    return make("Tick", {**times(exchange, "time", at), "bid": bid, "ask": ask, "flags": 6})


def market_book(bids: Iterable[Step], asks: Iterable[Step]) -> tuple[Struct, ...]:
    """Make BookInfos, from the highest price that somebody asks to the lowest that somebody bids."""
    rows = [(SELL_SIDE, step) for step in reversed(tuple(asks))] + [(BUY_SIDE, step) for step in bids]
    return tuple(
        make("BookInfo", {"type": side, "price": step.price, "volume": int(step.lots), "volume_dbl": step.lots})
        for side, step in rows
    )


def symbol(exchange: Exchange, name: str, *, selected: bool) -> Struct:
    """Make a SymbolInfo."""
    s = exchange.symbols[name]
    at, bid, ask = exchange.tick(name) or (0.0, 0.0, 0.0)
    value = value_per_price(s) * s.tick
    try:
        value *= exchange.books.profit_rate(s)
    except ValueError:
        value = 0.0
    return make(
        "SymbolInfo",
        {
            "select": selected,
            "visible": selected,
            "time": times(exchange, "time", at)["time"],
            "digits": s.digits,
            "spread": round((ask - bid) / s.point),
            "spread_float": True,
            "ticks_bookdepth": s.depth_steps if s.depth_lots else 0,
            "trade_calc_mode": s.calc_mode,
            "trade_mode": s.trade_mode,
            "trade_stops_level": s.stops_level,
            "trade_freeze_level": s.freeze_level,
            "trade_exemode": s.execution,
            "swap_mode": s.swap_mode,
            "swap_rollover3days": s.triple_swap_day,
            "margin_hedged_use_leg": s.margin_hedged_use_leg,
            "expiration_mode": s.expiration_mask,
            "filling_mode": s.filling_mask,
            "order_mode": s.order_mask,
            "order_gtc_mode": s.gtc_mode,
            "bid": bid,
            "ask": ask,
            "point": s.point,
            "trade_tick_value": value,
            "trade_tick_value_profit": value,
            "trade_tick_value_loss": value,
            "trade_tick_size": s.tick,
            "trade_contract_size": s.contract_size,
            "trade_face_value": s.face_value,
            "volume_min": s.volume_min,
            "volume_max": s.volume_max,
            "volume_step": s.volume_step,
            "volume_limit": s.volume_limit,
            "swap_long": s.swap_long,
            "swap_short": s.swap_short,
            "margin_initial": s.margin_initial,
            "margin_maintenance": s.margin_maintenance,
            "margin_hedged": s.contract_size if s.margin_hedged is None else s.margin_hedged,
            "currency_base": s.currency_base,
            "currency_profit": s.currency_profit,
            "currency_margin": margin_currency(s),
            "description": f"{s.currency_base} against {s.currency_profit}",
            "name": name,
            "path": f"{s.path or 'Forex'}\\{name}",
        },
    )


def account(exchange: Exchange, login_shown: int | None, *, trade_allowed: bool) -> Struct:
    """Make an AccountInfo."""
    spec, meta = exchange.account, exchange.state.meta
    equity, margin = exchange.equity(), exchange.margin()
    return make(
        "AccountInfo",
        {
            "login": login_shown or spec.login,
            "trade_mode": 0 if spec.demo else 2,
            "leverage": spec.leverage,
            "limit_orders": spec.limit_orders,
            "margin_so_mode": spec.stop_out_mode,
            "fifo_close": spec.fifo_close,
            "trade_allowed": trade_allowed,
            "trade_expert": True,
            "margin_mode": spec.margin_mode,
            "currency_digits": 2,
            "balance": meta["balance"],
            "credit": meta["credit"],
            "profit": round(equity - meta["balance"] - meta["credit"], 2),
            "equity": equity,
            "margin": margin,
            "margin_free": round(equity - margin, 2),
            "margin_level": exchange.margin_level(),
            "margin_so_call": spec.margin_call_level,
            "margin_so_so": spec.stop_out_level,
            "name": spec.name,
            "server": spec.server,
            "currency": spec.currency,
            "company": spec.company,
        },
    )


def terminal(exchange: Exchange, state_file: Path, *, connected: bool, trade_allowed: bool) -> Struct:
    """Make a TerminalInfo."""
    return make(
        "TerminalInfo",
        {
            "connected": connected,
            "dlls_allowed": True,
            "trade_allowed": trade_allowed,
            "build": 6231,
            "maxbars": 100_000,
            "ping_last": 1000,
            "company": exchange.account.company,
            "name": "Simulated terminal",
            "language": "English",
            "path": str(state_file.parent),
            "data_path": str(state_file.parent),
            "commondata_path": str(state_file.parent),
        },
    )
