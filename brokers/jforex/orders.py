"""Requests as a bridge wants them, and what its answers mean; what is not listed is Unknown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from brokers.domain import (
    CancelOrder,
    ChangeStops,
    ClosePosition,
    OpenPosition,
    OrderKind,
    PlaceOrder,
    Quote,
    Request,
    Side,
    SymbolSpec,
)
from brokers.gateway import Permit
from brokers.jforex.client import Answer
from brokers.jforex.parse import (
    CANCELLED,
    CLOSED,
    COMMAND_OF,
    DEALS_PER_ORDER,
    EPOCH,
    FIRST_CLOSE,
    OPEN,
    RESTING,
    label,
    mark_text,
    number,
    number_of,
)
from core.outcome import Accepted, Outcome, Refused, Unknown

# With each of these the bridge swears that nothing happened and nothing will (docs/jforex.md)
REFUSING = frozenset({
    "bad_request", "bad_price", "bad_units", "expired", "market_closed", "no_margin", "no_such_order",
    "not_allowed", "not_connected", "price_moved", "rejected", "stale_fence", "too_many", "unauthorised",
    "unknown_instrument",
})  # fmt: skip
FRESH_PRICE = frozenset({"price_moved", "market_closed"})
GONE = "already_closed"


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request: a POST with a body."""

    path: str
    body: Mapping[str, Any]


def call_of(request: Request, spec: SymbolSpec, quote: Quote, instrument: str, permit: Permit) -> Call:
    """Build the request; the bridge submits none after its deadline, and none of an older holder."""
    guard = {"deadline": (permit.deadline - EPOCH) // timedelta(milliseconds=1), "fence": permit.fence}
    match request:
        case OpenPosition() | PlaceOrder():
            is_market = isinstance(request, OpenPosition)
            kind = OrderKind.MARKET if is_market else request.kind  # type: ignore[union-attr]
            price = _touch(request.side, quote) if isinstance(request, OpenPosition) else request.price
            order = {
                "label": label(permit.intent), "comment": mark_text(request.magic, request.comment),
                "instrument": instrument, "command": COMMAND_OF[request.side, kind],
                "units": _units(request.volume, spec), "price": spec.price(price),
                "sl": _level(request.sl, spec), "tp": _level(request.tp, spec),
            }  # fmt: skip
            if isinstance(request, OpenPosition):
                order["slippage"] = _slippage(request.deviation_points, spec)
            return Call("orders", order | guard)
        case ClosePosition():
            body = {
                "units": _units(request.volume, spec), "price": spec.price(_touch(request.side.opposite, quote)),
                "slippage": _slippage(request.deviation_points, spec),
            }  # fmt: skip
            return Call(f"orders/{request.ticket}/close", body | guard)
        case CancelOrder():
            return Call(f"orders/{request.ticket}/cancel", guard)
        case ChangeStops():
            stops = {"sl": _level(request.sl, spec), "tp": _level(request.tp, spec)}
            return Call(f"orders/{request.ticket}/stops", stops | guard)


def _touch(side: Side, quote: Quote) -> float:
    return quote.ask if side is Side.BUY else quote.bid


def _units(lots: float, spec: SymbolSpec) -> float:
    return round(lots * spec.contract_size, 4)


def _level(value: float, spec: SymbolSpec) -> float | None:
    return spec.price(value) if value else None


def _slippage(points: int, spec: SymbolSpec) -> float:
    """Return how far the price may run away, in price units: a bridge makes pips of it."""
    return round(points * spec.point, spec.digits)


def outcome_of(request: Request, answer: Answer, spec: SymbolSpec, permit: Permit) -> Outcome:
    """Read an answer. Raises what a body of another shape raises: the caller takes that for Unknown."""
    if answer.error:
        if answer.error == GONE and isinstance(request, ClosePosition):
            return Accepted(0, 0, 0.0, 0.0, answer.status, text=answer.text)
        if answer.error in REFUSING:
            return Refused(answer.error, answer.status, fresh_price=answer.error in FRESH_PRICE, text=answer.text)
        return Unknown(answer.text, answer.status)
    if answer.status != 200:
        return Unknown(answer.text, answer.status)
    order = answer.body["order"]
    ticket = number_of(order)
    if isinstance(request, OpenPosition | PlaceOrder):
        if order["label"] != label(permit.intent):
            return Unknown("the answer is to another order", answer.status)
        return _opened(request, order, ticket, spec, answer.status)
    if ticket != request.ticket:
        return Unknown("the answer is to another order", answer.status)
    match request:
        case ClosePosition():
            return _closed(request, order, answer, spec)
        case CancelOrder():
            is_done = order["state"] == CANCELLED
            return Accepted(ticket, 0, 0.0, 0.0, answer.status) if is_done else Unknown("it is not cancelled")
        case ChangeStops():
            shown = tuple(spec.price(number(order[key] or 0)) for key in ("sl", "tp"))
            is_done = shown == (spec.price(request.sl), spec.price(request.tp))
            return Accepted(0, 0, 0.0, 0.0, answer.status) if is_done else Unknown("the stops are others")


def _opened(
    request: OpenPosition | PlaceOrder, order: Mapping[str, Any], ticket: int, spec: SymbolSpec, status: int
) -> Outcome:
    fills, state = order["fills"], order["state"]
    if fills and state in (OPEN, CLOSED):
        units = sum(number(part["units"]) for part in fills)
        price = sum(number(part["units"]) * number(part["price"]) for part in fills) / units
        lots = round(units / spec.contract_size, 8)
        partial = lots < request.volume - 1e-9
        return Accepted(ticket, ticket * DEALS_PER_ORDER, lots, spec.price(price), status, partial)
    if state == RESTING and isinstance(request, PlaceOrder):
        return Accepted(ticket, 0, 0.0, 0.0, status)
    return Unknown(f"the order is {state}", status)


def _closed(request: ClosePosition, order: Mapping[str, Any], answer: Answer, spec: SymbolSpec) -> Outcome:
    """Read a close: `close` is which of the order's closes it made."""
    which = int(answer.body["close"])
    if which < 0:
        return Unknown("the answer names no close", answer.status)
    part = order["closes"][which]
    lots = round(number(part["units"]) / spec.contract_size, 8)
    deal = request.ticket * DEALS_PER_ORDER + FIRST_CLOSE + which
    price = spec.price(number(part["price"]))
    return Accepted(request.ticket, deal, lots, price, answer.status, lots < request.volume - 1e-9)
