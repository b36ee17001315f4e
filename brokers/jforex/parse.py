"""Turn a bridge's answers into frozen facts; amounts are units of the base currency, times are UTC milliseconds."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

EPOCH = datetime.fromtimestamp(0, UTC)
# The books keep lots with four decimals
LOT_STEP = 0.0001
# An order's deals are numbered after it: its fills from 0 on, its closes from 500 on; money that moved has 999
DEALS_PER_ORDER, FIRST_CLOSE, PARTS_MAX, MONEY = 1000, 500, 499, 999
COMMANDS = {
    "BUY": (Side.BUY, OrderKind.MARKET), "SELL": (Side.SELL, OrderKind.MARKET),
    "BUYLIMIT": (Side.BUY, OrderKind.LIMIT), "SELLLIMIT": (Side.SELL, OrderKind.LIMIT),
    "BUYSTOP": (Side.BUY, OrderKind.STOP), "SELLSTOP": (Side.SELL, OrderKind.STOP),
}  # fmt: skip
COMMAND_OF = {what: command for command, what in COMMANDS.items()}
RESTING, OPEN, CLOSED, CANCELLED = "OPENED", "FILLED", "CLOSED", "CANCELED"
REASONS = {"stop_loss": Reason.STOP_LOSS, "take_profit": Reason.TAKE_PROFIT, "margin": Reason.STOP_OUT}
LABEL = re.compile(r"td_[A-Za-z0-9_]{1,60}\Z")
MARK = re.compile(r"([0-9]{1,18}) (.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose an order is, and what was said of it."""

    magic: int
    comment: str


def guarded(what: str, parse: Callable[..., T], *args: Any) -> T:
    """Run a parser; whatever goes wrong in it is a ReadError that says what could not be read."""
    return facts.guarded(f"The bridge's {what}", "", lambda: facts.keepable(parse(*args)))


def number(value: Any) -> float:
    """Return a finite float of an amount that an account can have. Raises ReadError."""
    return facts.number(value, "a figure of the bridge")


def label(intent: str) -> str:
    """Return the label of an intent: JForex takes letters, digits and underscores, no digit first."""
    return f"td_{intent}"


def mark_text(magic: int, comment: str) -> str:
    """Return the comment that an order bears at JForex: the magic, then our own comment."""
    return f"{magic} {comment}"


def mark(row: Row) -> Mark:
    """Read whose an order is: ours has a label of ours, and a comment that begins with a magic."""
    said = text(row.get("comment") or "")
    found = MARK.match(said) if LABEL.match(str(row.get("label") or "")) else None
    return Mark(int(found[1]), found[2]) if found else Mark(0, said)


def moment(milliseconds: Any) -> datetime:
    """Return a time as aware UTC."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or milliseconds <= 0:
        raise ReadError(f"a time of the broker is {milliseconds!r}.")
    return EPOCH + timedelta(milliseconds=milliseconds)


def number_of(row: Row) -> int:
    """Return an order's number. Raises ReadError."""
    found = row["id"]
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**63 // DEALS_PER_ORDER:
        raise ReadError(f"an order's number is {found!r}.")
    return found


def account(row: Row) -> AccountState:
    """Parse an account."""
    margin, equity = number(row["margin"]), number(row["equity"])
    return AccountState(
        login=facts.ticket(row["login"], "the login"),
        server=server(row),
        currency=text(row["currency"]),
        balance=number(row["balance"]),
        credit=0.0,
        profit=number(row["profit"]),
        equity=equity,
        margin=margin,
        margin_free=number(row["margin_free"]),
        margin_level=equity / margin * 100 if margin else 0.0,
        leverage=round(number(row["leverage"])),
        margin_mode=MarginMode.HEDGING,
        demo=row["demo"] is True,
        trade_allowed=row["trade_allowed"] is True,
    )


def server(row: Row) -> str:
    """Return which of Dukascopy's servers an account is on. Raises ReadError."""
    if not isinstance(row["demo"], bool):
        raise ReadError("the bridge does not say whether the money is real.")
    return "demo" if row["demo"] else "live"


def symbol(row: Row, name: str, price: Row, worth: float, leverage: int) -> SymbolSpec:
    """Parse an instrument; `worth` is account currency per unit of its quote currency."""
    units, digits = number(row["lot_units"]), int(row["digits"])
    middle = (number(price["bid"]) + number(price["ask"])) / 2
    step = max(LOT_STEP, number(row["units_step"]) / units)
    return SymbolSpec(
        name=name,
        digits=digits,
        point=round(10.0**-digits, digits),
        contract_size=units,
        volume_min=max(step, number(row["units_min"]) / units),
        volume_max=number(row["units_max"]) / units,
        volume_step=step,
        stops_level_points=0,
        freeze_level_points=0,
        value_per_price=units * worth,
        currency_base=text(row["base"]),
        currency_profit=text(row["quoted"]),
        filling_mask=2,
        execution_mode=2,
        tradable=row["tradable"] is True,
        margin_per_lot=units * middle * worth / leverage if leverage else 0.0,
    )


def quote(row: Row, name: str) -> Quote:
    """Parse a price."""
    bid, ask = number(row["bid"]), number(row["ask"])
    if not 0 < bid <= ask:
        raise ReadError(f"The price of {name} is {bid:g}/{ask:g}.")
    return Quote(name, bid, ask, moment(row["at"]))


def position(row: Row, name: str, lot_units: float) -> Position:
    """Parse an order that is filled: at JForex it is the position."""
    made, order, units = mark(row), number_of(row), number(row["units"])
    return Position(
        identifier=order,
        ticket=order,
        symbol=name,
        side=COMMANDS[row["command"]][0],
        volume=_lots(units, lot_units),
        price_open=number(row["price"]),
        price_current=number(row["price_now"]),
        sl=number(row["sl"] or 0),
        tp=number(row["tp"] or 0),
        profit=number(row["profit"]),
        swap=number(row["swap"]),
        magic=made.magic,
        comment=made.comment,
        opened_at=moment(row["fills"][0]["at"]),
    )


def pending(row: Row, name: str, lot_units: float) -> PendingOrder:
    """Parse an order that rests."""
    made, (side, kind) = mark(row), COMMANDS[row["command"]]
    return PendingOrder(
        ticket=number_of(row),
        symbol=name,
        side=side,
        kind=kind,
        volume=_lots(number(row["requested_units"]), lot_units),
        price=number(row["price"]),
        sl=number(row["sl"] or 0),
        tp=number(row["tp"] or 0),
        magic=made.magic,
        comment=made.comment,
        placed_at=moment(row["created_at"]),
    )


def historic_order(row: Row, name: str, lot_units: float) -> HistoricOrder | None:
    """Parse an order that was filled or cancelled; None while it is neither."""
    if row["state"] not in (OPEN, CLOSED, CANCELLED):
        return None
    made, order, (side, kind), fills = mark(row), number_of(row), COMMANDS[row["command"]], row["fills"]
    asked, filled = number(row["requested_units"]), sum(number(part["units"]) for part in fills)
    return HistoricOrder(
        ticket=order,
        position_id=order if fills else 0,
        symbol=name,
        side=side,
        kind=kind,
        state=OrderState.FILLED if fills else OrderState.CANCELLED,
        reason=Reason.EXPERT if made.magic else Reason.MANUAL,
        volume=_lots(asked, lot_units),
        volume_left=_lots(max(0.0, asked - filled), lot_units),
        price=number(row["price"]),
        magic=made.magic,
        comment=made.comment,
        placed_at=moment(row["created_at"]),
        done_at=moment(fills[-1]["at"] if fills else row["ended_at"]),
    )


def deals(row: Row, name: str, lot_units: float) -> Iterator[Deal]:
    """Parse what an order brought to the ledger: a deal for each fill and for each close."""
    made, order, (side, _) = mark(row), number_of(row), COMMANDS[row["command"]]
    if max(len(row["fills"]), len(row["closes"])) > PARTS_MAX:
        raise ReadError(f"order {order} has more than {PARTS_MAX} parts.")
    parts = [(DealEntry.IN, n, part) for n, part in enumerate(row["fills"])]
    parts += [(DealEntry.OUT, FIRST_CLOSE + n, part) for n, part in enumerate(row["closes"])]
    for entry, n, part in parts:
        yield Deal(
            ticket=order * DEALS_PER_ORDER + n,
            order=order,
            position_id=order,
            symbol=name,
            kind=DealKind.BUY if (side is Side.BUY) == (entry is DealEntry.IN) else DealKind.SELL,
            entry=entry,
            reason=REASONS.get(part.get("reason", ""), Reason.EXPERT if made.magic else Reason.MANUAL),
            volume=_lots(number(part["units"]), lot_units),
            price=number(part["price"]),
            profit=number(part.get("profit", 0)),
            swap=number(part.get("swap", 0)),
            commission=-number(part["commission"]),
            fee=0.0,
            magic=made.magic,
            comment=made.comment,
            at=moment(part["at"]),
        )


def money(row: Row) -> Deal:
    """Parse a movement of money that is no trade."""
    return Deal(
        ticket=number_of(row) * DEALS_PER_ORDER + MONEY,
        order=0,
        position_id=0,
        symbol="",
        kind=DealKind.BALANCE,
        entry=DealEntry.IN,
        reason=Reason.OTHER,
        volume=0.0,
        price=0.0,
        profit=number(row["amount"]),
        swap=0.0,
        commission=0.0,
        fee=0.0,
        magic=0,
        comment=text(row.get("text") or ""),
        at=moment(row["at"]),
    )


def candle(row: Row, point: float) -> Candle:
    """Parse a closed candle of bid prices."""
    return Candle(
        at=moment(row["at"]),
        open=number(row["open"]),
        high=number(row["high"]),
        low=number(row["low"]),
        close=number(row["close"]),
        ticks=int(row["ticks"]),
        spread_points=round((number(row["ask_close"]) - number(row["close"])) / point),
    )


def _lots(units: float, lot_units: float) -> float:
    return round(units / lot_units, 8)
