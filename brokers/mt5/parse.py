"""Turn the module's structs into frozen facts; what does not parse is a ReadError, never a guess."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from brokers import facts
from brokers.domain import (
    AccountState,
    Deal,
    DealEntry,
    DealKind,
    HistoricOrder,
    MarginMode,
    OrderKind,
    OrderState,
    PendingOrder,
    Position,
    Quote,
    Reason,
    Side,
    SymbolSpec,
)
from brokers.facts import AMOUNT_MAX, number, positive, text, ticket, whole
from brokers.gateway import ReadError
from brokers.mt5.server_clock import ServerClock

T = TypeVar("T")
TIME_MAX = 4_102_444_800  # 2100-01-01

MARGIN_MODES = {0: MarginMode.NETTING, 1: MarginMode.EXCHANGE, 2: MarginMode.HEDGING}
SIDES = {0: Side.BUY, 1: Side.SELL}
ORDER_TYPES: dict[int, tuple[Side, OrderKind]] = {
    0: (Side.BUY, OrderKind.MARKET),
    1: (Side.SELL, OrderKind.MARKET),
    2: (Side.BUY, OrderKind.LIMIT),
    3: (Side.SELL, OrderKind.LIMIT),
    4: (Side.BUY, OrderKind.STOP),
    5: (Side.SELL, OrderKind.STOP),
    6: (Side.BUY, OrderKind.STOP),
    7: (Side.SELL, OrderKind.STOP),
    8: (Side.BUY, OrderKind.MARKET),
}
ORDER_STATES = {
    2: OrderState.CANCELLED,
    3: OrderState.PARTIAL,
    4: OrderState.FILLED,
    5: OrderState.REJECTED,
    6: OrderState.EXPIRED,
}
REASONS = {
    0: Reason.MANUAL,
    1: Reason.MANUAL,
    2: Reason.MANUAL,
    3: Reason.EXPERT,
    4: Reason.STOP_LOSS,
    5: Reason.TAKE_PROFIT,
    6: Reason.STOP_OUT,
}
DEAL_KINDS = {0: DealKind.BUY, 1: DealKind.SELL, 2: DealKind.BALANCE, 3: DealKind.CREDIT}
DEAL_ENTRIES = {0: DealEntry.IN, 1: DealEntry.OUT, 2: DealEntry.INOUT, 3: DealEntry.OUT_BY}


def guarded(what: str, parse: Callable[..., T], *args: Any) -> T:
    """Run a parser; whatever goes wrong in it is a ReadError that says what could not be read."""
    return facts.guarded(f"The terminal's {what}", "Update the terminal and the module.", parse, *args)


def server_time(seconds: Any, clock: ServerClock) -> datetime:
    """Convert a time of the server's clock to UTC. Raises ReadError outside 1970…2100."""
    value = float(seconds)
    return _moment(value, clock.offset_at(value))


@lru_cache(maxsize=65_536)
def _moment(seconds: float, offset: timedelta) -> datetime:
    """Convert once for each time: open positions show the same one at every read."""
    if not 0 <= seconds <= TIME_MAX:
        raise ReadError(f"a time of the server is {seconds}.")
    return datetime.fromtimestamp(seconds, UTC) - offset


def account(info: Any, programs_allowed: bool = True) -> AccountState:
    """Parse account_info()."""
    return AccountState(
        login=whole(info.login, "login"),
        server=text(info.server),
        currency=text(info.currency),
        balance=number(info.balance, "balance"),
        credit=number(info.credit, "credit"),
        profit=number(info.profit, "profit"),
        equity=number(info.equity, "equity"),
        margin=number(info.margin, "margin"),
        margin_free=number(info.margin_free, "margin_free"),
        margin_level=number(info.margin_level, "margin_level"),
        leverage=whole(info.leverage, "leverage"),
        margin_mode=MARGIN_MODES[int(info.margin_mode)],
        demo=int(info.trade_mode) != 2,
        trade_allowed=bool(info.trade_allowed) and bool(info.trade_expert),
        programs_allowed=programs_allowed,
    )


def symbol(info: Any, name: str, margin_per_lot: float) -> SymbolSpec:
    """Parse symbol_info(); `value_per_price` is tick value over tick size, in account currency per lot."""
    tick_size = positive(info.trade_tick_size, "trade_tick_size")
    return SymbolSpec(
        name=name,
        digits=whole(info.digits, "digits"),
        point=positive(info.point, "point"),
        contract_size=positive(info.trade_contract_size, "trade_contract_size"),
        volume_min=positive(info.volume_min, "volume_min"),
        volume_max=positive(info.volume_max, "volume_max"),
        volume_step=positive(info.volume_step, "volume_step"),
        stops_level_points=whole(info.trade_stops_level, "trade_stops_level"),
        freeze_level_points=whole(info.trade_freeze_level, "trade_freeze_level"),
        value_per_price=positive(positive(info.trade_tick_value, "trade_tick_value") / tick_size, "value_per_price"),
        currency_base=text(info.currency_base),
        currency_profit=text(info.currency_profit),
        filling_mask=whole(info.filling_mode, "filling_mode"),
        execution_mode=whole(info.trade_exemode, "trade_exemode"),
        tradable=int(info.trade_mode) == 4,
        margin_per_lot=margin_per_lot,
        swap_long=number(info.swap_long, "swap_long"),
        swap_short=number(info.swap_short, "swap_short"),
        swap_mode=whole(info.swap_mode, "swap_mode"),
        triple_swap_day=whole(info.swap_rollover3days, "swap_rollover3days"),
    )


def quote(tick: Any, name: str, clock: ServerClock) -> Quote:
    """Parse symbol_info_tick()."""
    at = tick.time_msc / 1000
    bid, ask = positive(tick.bid, "bid"), positive(tick.ask, "ask")
    return Quote(name, bid, ask, server_time(at, clock), clock.offset_at(at))


def position(row: Any, name: str, clock: ServerClock) -> Position:
    """Parse one row of positions_get()."""
    floats = (row.volume, row.price_open, row.price_current, row.sl, row.tp, row.profit, row.swap)
    if not all(-AMOUNT_MAX < x < AMOUNT_MAX for x in floats) or row.volume <= 0 or row.price_open <= 0:
        raise ReadError(f"position {row.identifier} has a figure that is none, or no volume or price.")
    return Position(
        ticket(row.identifier, "identifier"),
        ticket(row.ticket),
        name,
        SIDES[row.type],
        float(row.volume),
        float(row.price_open),
        float(row.price_current),
        float(row.sl),
        float(row.tp),
        float(row.profit),
        float(row.swap),
        whole(row.magic, "magic"),
        text(row.comment),
        server_time(row.time_msc / 1000, clock),
        clock.offset_at(row.time_msc / 1000),
    )


def pending(row: Any, name: str, clock: ServerClock) -> PendingOrder:
    """Parse one row of orders_get()."""
    side, kind = ORDER_TYPES[int(row.type)]
    return PendingOrder(
        ticket=ticket(row.ticket),
        symbol=name,
        side=side,
        kind=kind,
        volume=positive(row.volume_current, "volume_current"),
        price=number(row.price_open, "price_open"),
        sl=number(row.sl, "sl"),
        tp=number(row.tp, "tp"),
        magic=whole(row.magic, "magic"),
        comment=text(row.comment),
        placed_at=server_time(row.time_setup_msc / 1000, clock),
    )


def historic_order(row: Any, name: str, clock: ServerClock) -> HistoricOrder:
    """Parse one row of history_orders_get()."""
    side, kind = ORDER_TYPES[int(row.type)]
    return HistoricOrder(
        ticket=ticket(row.ticket),
        position_id=whole(row.position_id, "position_id"),
        symbol=name,
        side=side,
        kind=kind,
        state=ORDER_STATES.get(int(row.state), OrderState.WORKING),
        reason=REASONS.get(int(row.reason), Reason.OTHER),
        volume=number(row.volume_initial, "volume_initial"),
        volume_left=number(row.volume_current, "volume_current"),
        price=number(row.price_open, "price_open"),
        magic=whole(row.magic, "magic"),
        comment=text(row.comment),
        placed_at=server_time(row.time_setup_msc / 1000, clock),
        done_at=server_time(row.time_done_msc / 1000, clock),
        server_offset=clock.offset_at(row.time_done_msc / 1000),
    )


def deal(row: Any, name: str, clock: ServerClock) -> Deal:
    """Parse one row of history_deals_get(); a deal type we do not know is a movement of money, not a trade."""
    return Deal(
        ticket=ticket(row.ticket),
        order=whole(row.order, "order"),
        position_id=whole(row.position_id, "position_id"),
        symbol=name,
        kind=DEAL_KINDS.get(int(row.type), DealKind.OTHER),
        entry=DEAL_ENTRIES[int(row.entry)],
        reason=REASONS.get(int(row.reason), Reason.OTHER),
        volume=number(row.volume, "volume"),
        price=number(row.price, "price"),
        profit=number(row.profit, "profit"),
        swap=number(row.swap, "swap"),
        commission=number(row.commission, "commission"),
        fee=number(row.fee, "fee"),
        magic=whole(row.magic, "magic"),
        comment=text(row.comment),
        at=server_time(row.time_msc / 1000, clock),
        server_offset=clock.offset_at(row.time_msc / 1000),
    )
