"""Turn OANDA's answers into frozen facts; numbers are texts there, units are signed, times are UTC."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from brokers import facts
from brokers.domain import (
    AccountState,
    Candle,
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
from brokers.facts import text
from brokers.gateway import ReadError

T = TypeVar("T")
Row = Mapping[str, Any]

CURRENCY_LOT = 100_000.0
# The books keep lots with four decimals: ten units of a currency
LOT_STEP = 0.0001
# A fill can open one trade, close several and reduce one: each is a deal of its own
DEALS_PER_FILL = 1000
# More than a double has
DECIMALS_MAX = 16
ORDER_KINDS = {"LIMIT": OrderKind.LIMIT, "STOP": OrderKind.STOP, "MARKET": OrderKind.MARKET}
ORDER_STATES = {
    "PENDING": OrderState.WORKING, "FILLED": OrderState.FILLED, "TRIGGERED": OrderState.FILLED,
    "CANCELLED": OrderState.CANCELLED,
}  # fmt: skip
REASONS = {
    "TAKE_PROFIT_ORDER": Reason.TAKE_PROFIT, "STOP_LOSS_ORDER": Reason.STOP_LOSS,
    "TRAILING_STOP_LOSS_ORDER": Reason.STOP_LOSS, "GUARANTEED_STOP_LOSS_ORDER": Reason.STOP_LOSS,
    "MARKET_ORDER_MARGIN_CLOSEOUT": Reason.STOP_OUT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose a trade is."""

    magic: int = 0
    comment: str = ""


def guarded(what: str, parse: Callable[..., T], *args: Any) -> T:
    """Run a parser; whatever goes wrong in it is a ReadError that says what could not be read."""
    return facts.guarded(f"OANDA's {what}", "", lambda: facts.keepable(parse(*args)))


def number(value: Any) -> float:
    """Return a finite float of an amount that an account can have. Raises ReadError."""
    return facts.number(value, "a figure of OANDA")


def ticket(value: Any) -> int:
    """Return a number of an order, trade or transaction in 1…2^63-1. Raises ReadError."""
    return facts.ticket(value, "a number of OANDA")


def precision(value: Any) -> int:
    """Return a number of decimals. Raises ReadError."""
    result = facts.whole(value, "a precision of OANDA")
    if not 0 <= result <= DECIMALS_MAX:
        raise ReadError(f"a precision of OANDA is {result}.")
    return result


def moment(text: str) -> datetime:
    """Return a time, which comes with nine decimals, as aware UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}").replace(tzinfo=UTC)


def mark(extensions: Row | None) -> Mark:
    """Read our mark; a trade without one, or with somebody else's, is nobody's."""
    given = extensions or {}
    tag = text(given.get("tag", ""))
    return Mark(int(tag) if tag.isdigit() and len(tag) < 19 else 0, text(given.get("comment", "")))


def account(row: Row, login: int, server: str) -> AccountState:
    """Parse an account or its summary."""
    margin, equity = number(row["marginUsed"]), number(row["NAV"])
    return AccountState(
        login=login,
        server=server,
        currency=text(row["currency"]),
        balance=number(row["balance"]),
        credit=0.0,
        profit=number(row["unrealizedPL"]),
        equity=equity,
        margin=margin,
        margin_free=number(row["marginAvailable"]),
        margin_level=number(equity / margin * 100) if margin else 0.0,
        leverage=round(number(1 / number(row["marginRate"]))) if number(row.get("marginRate", 0)) else 0,
        margin_mode=MarginMode.HEDGING if row["hedgingEnabled"] else MarginMode.NETTING,
        demo=server != "live",
        trade_allowed=True,
    )


def lot_units(instrument: Row) -> float:
    """Return the units of one lot: 100,000 of a currency, one of anything else."""
    return CURRENCY_LOT if instrument["type"] == "CURRENCY" else 1.0


def symbol(row: Row, name: str, price: Row, conversion: float) -> SymbolSpec:
    """Parse an instrument; `conversion` is account currency per unit of its quote currency."""
    digits, units = precision(row["displayPrecision"]), lot_units(row)
    base, _, quote_currency = text(row["name"]).partition("_")
    step = max(LOT_STEP, 10.0 ** -precision(row["tradeUnitsPrecision"]) / units)
    middle = (number(price["bids"][0]["price"]) + number(price["asks"][0]["price"])) / 2
    return SymbolSpec(
        name=name,
        digits=digits,
        point=round(10.0**-digits, digits),
        contract_size=units,
        volume_min=max(step, number(row["minimumTradeSize"]) / units),
        volume_max=number(row["maximumOrderUnits"]) / units,
        volume_step=step,
        stops_level_points=0,
        freeze_level_points=0,
        value_per_price=units * conversion,
        currency_base=base,
        currency_profit=quote_currency,
        filling_mask=2,
        execution_mode=2,
        tradable=bool(price.get("tradeable", True)),
        margin_per_lot=number(units * middle * number(row["marginRate"]) * conversion),
    )


def quote(row: Row, name: str) -> Quote:
    """Parse a price; its ladders may be empty, and then there is none."""
    if not row["bids"] or not row["asks"]:
        raise ReadError(f"OANDA has no price of {name}.", "The market may be closed.")
    return Quote(name, number(row["bids"][0]["price"]), number(row["asks"][0]["price"]), moment(row["time"]))


def side_of(units: float) -> Side:
    return Side.BUY if units > 0 else Side.SELL


def position(row: Row, name: str, units_per_lot: float, stops: Mapping[str, Row], current: float) -> Position:
    """Parse an open trade; `stops` are the account's orders by id, `current` the price at which it would close."""
    units, made = number(row["currentUnits"]), mark(row.get("clientExtensions"))
    sl, tp = (stops.get(str(row.get(key))) for key in ("stopLossOrderID", "takeProfitOrderID"))
    return Position(
        identifier=ticket(row["id"]),
        ticket=ticket(row["id"]),
        symbol=name,
        side=side_of(units),
        volume=round(abs(units) / units_per_lot, 8),
        price_open=number(row["price"]),
        price_current=current or number(row["price"]),
        sl=number(sl["price"]) if sl else 0.0,
        tp=number(tp["price"]) if tp else 0.0,
        profit=number(row["unrealizedPL"]),
        swap=number(row.get("financing", 0)),
        magic=made.magic,
        comment=made.comment,
        opened_at=moment(row["openTime"]),
    )


def pending(row: Row, name: str, units_per_lot: float) -> PendingOrder:
    """Parse a resting limit or stop order."""
    units, made = number(row["units"]), mark(row.get("clientExtensions"))
    return PendingOrder(
        ticket=ticket(row["id"]),
        symbol=name,
        side=side_of(units),
        kind=ORDER_KINDS[row["type"]],
        volume=round(abs(units) / units_per_lot, 8),
        price=number(row["price"]),
        sl=number((row.get("stopLossOnFill") or {}).get("price", 0)),
        tp=number((row.get("takeProfitOnFill") or {}).get("price", 0)),
        magic=made.magic,
        comment=made.comment,
        placed_at=moment(row["createTime"]),
    )


def historic_order(row: Row, name: str, units_per_lot: float) -> HistoricOrder:
    """Parse an order that ended."""
    units, made, state = number(row["units"]), mark(row.get("clientExtensions")), ORDER_STATES[row["state"]]
    lots = round(abs(units) / units_per_lot, 8)
    return HistoricOrder(
        ticket=ticket(row["id"]),
        position_id=ticket(row["tradeOpenedID"]) if row.get("tradeOpenedID") else 0,
        symbol=name,
        side=side_of(units),
        kind=ORDER_KINDS[row["type"]],
        state=state,
        reason=Reason.EXPERT if made.magic else Reason.MANUAL,
        volume=lots,
        volume_left=0.0 if state is OrderState.FILLED else lots,
        price=number(row.get("price", 0)),
        magic=made.magic,
        comment=made.comment,
        placed_at=moment(row["createTime"]),
        done_at=moment(row.get("filledTime") or row["cancelledTime"]),
    )


def deals(row: Row, name: str, units_per_lot: float, marks: Mapping[int, Mark]) -> tuple[Deal, ...]:
    """Parse a fill: a deal for each trade that it opened, closed or reduced. Its commission is on the first."""
    opened = [(DealEntry.IN, row["tradeOpened"])] if row.get("tradeOpened") else []
    parts = [*((DealEntry.OUT, part) for part in row.get("tradesClosed") or ()), *opened]
    if row.get("tradeReduced"):
        parts.append((DealEntry.OUT, row["tradeReduced"]))
    at, reason = moment(row["time"]), REASONS.get(str(row.get("reason")))
    made = []
    for index, (entry, part) in enumerate(parts):
        trade, units = ticket(part["tradeID"]), number(part["units"])
        whose = marks.get(trade, Mark())
        made.append(
            Deal(
                ticket=ticket(ticket(row["id"]) * DEALS_PER_FILL + index),
                order=ticket(row["orderID"]),
                position_id=trade,
                symbol=name,
                kind=DealKind.BUY if units > 0 else DealKind.SELL,
                entry=entry,
                reason=reason or (Reason.EXPERT if whose.magic else Reason.MANUAL),
                volume=round(abs(units) / units_per_lot, 8),
                price=number(part["price"]),
                profit=number(part.get("realizedPL", 0)),
                swap=number(part.get("financing", 0)),
                commission=-number(row.get("commission", 0)) if index == 0 else 0.0,
                fee=-number(part.get("guaranteedExecutionFee", 0)),
                magic=whose.magic,
                comment=whose.comment,
                at=at,
            )
        )
    return tuple(made)


def money(row: Row) -> Deal:
    """Parse a movement of money that is no trade."""
    is_transfer = row["type"] == "TRANSFER_FUNDS"
    return Deal(
        ticket=ticket(ticket(row["id"]) * DEALS_PER_FILL),
        order=0,
        position_id=0,
        symbol="",
        kind=DealKind.BALANCE if is_transfer else DealKind.OTHER,
        entry=DealEntry.IN,
        reason=Reason.OTHER,
        volume=0.0,
        price=0.0,
        profit=number(row["amount"]) if is_transfer else 0.0,
        swap=0.0 if is_transfer else number(row["financing"]),
        commission=0.0,
        fee=0.0,
        magic=0,
        comment=text(row.get("comment", "")),
        at=moment(row["time"]),
    )


def candle(row: Row, point: float) -> Candle:
    """Parse a closed candle of bid prices."""
    bid, ask = row["bid"], row["ask"]
    return Candle(
        at=moment(row["time"]),
        open=number(bid["o"]),
        high=number(bid["h"]),
        low=number(bid["l"]),
        close=number(bid["c"]),
        ticks=facts.whole(row["volume"], "a candle's volume"),
        spread_points=round((number(ask["c"]) - number(bid["c"])) / point),
    )
