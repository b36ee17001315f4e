"""Requests as OANDA wants them, and what its answers mean; what is not listed is Unknown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokers.domain import (
    CancelOrder,
    ChangeStops,
    ClosePosition,
    OpenPosition,
    PlaceOrder,
    Quote,
    Request,
    Side,
    SymbolSpec,
)
from brokers.oanda.client import Answer
from core.outcome import Accepted, Outcome, Refused, Unknown

GONE = frozenset({"TRADE_DOESNT_EXIST", "NO_SUCH_TRADE"})
FRESH_PRICE = frozenset({"BOUNDS_VIOLATION", "INSUFFICIENT_LIQUIDITY", "MARKET_HALTED"})
REFUSING = frozenset({400, 401, 403, 404, 405, 416})
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request under the account's path."""

    method: str
    path: str
    body: Mapping[str, Any]


def call_of(request: Request, spec: SymbolSpec, quote: Quote, instrument: str, intent: str) -> Call:
    """Build the request. An order never reduces another's trade (OPEN_ONLY); a close names its trade."""
    match request:
        case OpenPosition():
            reach = request.deviation_points * spec.point
            bound = quote.ask + reach if request.side is Side.BUY else quote.bid - reach
            order = _order(request, spec, instrument, intent)
            order |= {"type": "MARKET", "timeInForce": "IOC", "priceBound": _price(bound, spec)}
            return Call("POST", "orders", {"order": order})
        case PlaceOrder():
            order = _order(request, spec, instrument, intent)
            order |= {"type": request.kind.upper(), "timeInForce": "GTC", "price": _price(request.price, spec)}
            return Call("POST", "orders", {"order": order})
        case ClosePosition():
            return Call("PUT", f"trades/{request.ticket}/close", {"units": _units(request.volume, spec)})
        case CancelOrder():
            return Call("PUT", f"orders/{request.ticket}/cancel", {})
        case ChangeStops():
            levels = (("stopLoss", request.sl), ("takeProfit", request.tp))
            body = {key: _level(value, spec) if value else None for key, value in levels}
            return Call("PUT", f"trades/{request.ticket}/orders", body)


def _order(request: OpenPosition | PlaceOrder, spec: SymbolSpec, instrument: str, intent: str) -> dict[str, Any]:
    mark = {"id": intent, "tag": str(request.magic), "comment": request.comment}
    sign = "" if request.side is Side.BUY else "-"
    order: dict[str, Any] = {
        "instrument": instrument,
        "units": sign + _units(request.volume, spec),
        "positionFill": "OPEN_ONLY",
        "clientExtensions": mark,
        "tradeClientExtensions": mark,
    }
    for key, value in (("stopLossOnFill", request.sl), ("takeProfitOnFill", request.tp)):
        if value:
            order[key] = _level(value, spec)
    return order


def _units(lots: float, spec: SymbolSpec) -> str:
    return f"{lots * spec.contract_size:.4f}".rstrip("0").rstrip(".")


def _price(value: float, spec: SymbolSpec) -> str:
    return f"{value:.{spec.digits}f}"


def _level(value: float, spec: SymbolSpec) -> dict[str, str]:
    return {"price": _price(value, spec), "timeInForce": "GTC"}


def outcome_of(request: Request, answer: Answer, spec: SymbolSpec, intent: str) -> Outcome:
    """Say what an answer means. 201 alone says nothing: the order may have been cancelled at once."""
    body = answer.body
    if answer.status == TOO_MANY:
        return Refused("too_many_requests", answer.status, fresh_price=True, text=answer.error)
    if answer.status in REFUSING and answer.is_readable:
        return _refusal(request, answer)
    if answer.status not in (200, 201) or not answer.is_readable:
        return Unknown(f"OANDA answers {answer.status}: {answer.error}", answer.status)
    fill, cancelled, created = (
        body.get(f"order{what}Transaction") for what in ("Fill", "Cancel", "Create")
    )  # fmt: skip
    if isinstance(request, OpenPosition | PlaceOrder):
        echoed = ((created or {}).get("clientExtensions") or {}).get("id", intent)
        if echoed != intent:
            return Unknown("the answer is to another order", answer.status)
    if fill:
        return _filled(request, fill, spec, answer.status)
    if isinstance(request, CancelOrder):
        return Accepted(request.ticket, 0, 0.0, 0.0, answer.status) if cancelled else Unknown("no cancellation named")
    if isinstance(request, ChangeStops):
        return Accepted(0, 0, 0.0, 0.0, answer.status)
    if cancelled:
        reason = str(cancelled.get("reason", "cancelled"))
        return Refused(reason.lower(), answer.status, fresh_price=reason in FRESH_PRICE, text=reason)
    if created and isinstance(request, PlaceOrder):
        return Accepted(int(created["id"]), 0, 0.0, 0.0, answer.status)
    return Unknown("the answer names neither a fill nor a cancellation", answer.status)


def _refusal(request: Request, answer: Answer) -> Outcome:
    rejected: Mapping[str, Any] = next((v for k, v in answer.body.items() if k.endswith("RejectTransaction")), {})
    reason = str(rejected.get("rejectReason") or answer.body.get("errorCode") or f"http_{answer.status}")
    if isinstance(request, ClosePosition) and reason in GONE:
        return Accepted(0, 0, 0.0, 0.0, answer.status, text=reason)
    return Refused(reason.lower(), answer.status, text=answer.error)


def _filled(request: Request, fill: Mapping[str, Any], spec: SymbolSpec, status: int) -> Outcome:
    """Read a fill: an opening is known by its trade, which is the position from now on."""
    opened = fill.get("tradeOpened")
    parts = [opened] if opened else [*(fill.get("tradesClosed") or ()), *filter(None, [fill.get("tradeReduced")])]
    if not parts:
        return Unknown("a fill without trades", status)
    units = sum(abs(float(part["units"])) for part in parts)
    price = sum(abs(float(part["units"])) * float(part["price"]) for part in parts) / units
    lots = round(units / spec.contract_size, 8)
    asked = request.volume if isinstance(request, OpenPosition | PlaceOrder | ClosePosition) else lots
    order = int(opened["tradeID"]) if opened else int(fill["orderID"])
    return Accepted(order, int(fill["id"]), lots, spec.price(price), status, lots < asked - 1e-9)
