"""Turn a request into the module's dict, with the exact types it wants, after checking it against the specification."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

ACTION_DEAL, ACTION_PENDING, ACTION_SLTP, ACTION_REMOVE = 1, 5, 6, 8
FILL_FOK, FILL_IOC, FILL_RETURN = 0, 1, 2
MASK_FOK, MASK_IOC = 1, 2
EXECUTION_MARKET, EXECUTION_EXCHANGE = 2, 3
MARKET_TYPE = {Side.BUY: 0, Side.SELL: 1}
PENDING_TYPE = {
    (Side.BUY, OrderKind.LIMIT): 2,
    (Side.SELL, OrderKind.LIMIT): 3,
    (Side.BUY, OrderKind.STOP): 4,
    (Side.SELL, OrderKind.STOP): 5,
}
COMMENT_MAX = 26


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is not sent: a stable code and words."""

    code: str
    text: str


def filling_candidates(spec: SymbolSpec, *, closing: bool = False) -> list[int]:
    """Return the filling modes that the symbol's mask allows for market orders, best first.

    Market execution: FOK if bit 1, IOC if bit 2; exchange: RETURN first; request and instant execution behave as FOK.
    A close takes what a thin book gives (IOC) rather than nothing: what is left is closed next.
    """
    modes = [m for bit, m in ((MASK_FOK, FILL_FOK), (MASK_IOC, FILL_IOC)) if spec.filling_mask & bit]
    if closing:
        modes.reverse()
    if spec.execution_mode == EXECUTION_EXCHANGE:
        return [FILL_RETURN, *modes]
    return modes or [FILL_FOK]


def objection(request: Request, spec: SymbolSpec, quote: Quote) -> Problem | None:
    """Check volume, comment and stops before anything leaves."""
    if isinstance(request, CancelOrder):
        return None
    if isinstance(request, OpenPosition | PlaceOrder | ClosePosition):
        problem = _volume_objection(request.volume, spec, closing=isinstance(request, ClosePosition))
        if problem is not None:
            return problem
        if len(request.comment) > COMMENT_MAX or not request.comment.isascii():
            return Problem("comment", f"a comment has at most {COMMENT_MAX} ASCII characters")
    if isinstance(request, OpenPosition):
        base = quote.bid if request.side is Side.BUY else quote.ask
        return _stops_objection(request.side, request.sl, request.tp, base, spec)
    if isinstance(request, PlaceOrder):
        return _resting_objection(request, spec, quote)
    return None


def _volume_objection(volume: float, spec: SymbolSpec, *, closing: bool) -> Problem | None:
    low, high = (spec.volume_step, float("inf")) if closing else (spec.volume_min, spec.volume_max)
    if not low - 1e-9 <= volume <= high + 1e-9:
        return Problem(
            "invalid_volume", f"{volume:g} lots of {spec.name}: it takes {spec.volume_min:g} to {spec.volume_max:g}"
        )
    if abs(spec.volume(volume) - volume) > 1e-9:
        return Problem("invalid_volume", f"{volume:g} lots of {spec.name}: the step is {spec.volume_step:g}")
    return None


def _stops_objection(side: Side, sl: float, tp: float, base: float, spec: SymbolSpec) -> Problem | None:
    least = spec.stops_level_points * spec.point
    for name, level, sign in (("SL", sl, -1), ("TP", tp, 1)):
        if level and (level - base) * side.sign * sign < max(least, spec.point / 2):
            return Problem("invalid_stops", f"{name} {level:g} is too near to, or on the wrong side of, {base:g}")
    return None


def _resting_objection(request: PlaceOrder, spec: SymbolSpec, quote: Quote) -> Problem | None:
    base = quote.ask if request.side is Side.BUY else quote.bid
    toward = request.side.sign * (1 if request.kind is OrderKind.STOP else -1)
    if (request.price - base) * toward < max(spec.stops_level_points * spec.point, spec.point / 2):
        return Problem(
            "invalid_price", f"{request.kind} {request.price:g} is too near to, or on the wrong side of, {base:g}"
        )
    return _stops_objection(request.side, request.sl, request.tp, request.price, spec)


def netting_objection(request: OpenPosition, rows: Iterable[Any]) -> Problem | None:
    """Say why an entry's lots would not be its bot's own among a symbol's positions (MT5's rows), or None."""
    for row in rows:
        held = f"{row.volume:g} lots of {row.symbol}"
        if int(row.type) != (0 if request.side is Side.BUY else 1):
            return Problem("would_net", f"the account nets: it would take from {held}")
        if int(row.magic) != request.magic:
            return Problem("would_join", f"the account nets: it would join {held} that are not this bot's")
    return None


def build(request: Request, name: str, spec: SymbolSpec, quote: Quote, filling: int) -> Mapping[str, Any]:
    """Build the dict for order_send: floats where it wants float, int where it wants int."""
    match request:
        case OpenPosition() | ClosePosition():
            closing = isinstance(request, ClosePosition)
            side = request.side.opposite if closing else request.side
            built: dict[str, Any] = {
                "action": ACTION_DEAL,
                "symbol": name,
                "volume": float(request.volume),
                "type": MARKET_TYPE[side],
                "price": float(quote.ask if side is Side.BUY else quote.bid),
                "deviation": int(request.deviation_points),
                "magic": int(request.magic),
                "comment": request.comment,
                "type_time": 0,
                "type_filling": filling,
            }
            if isinstance(request, ClosePosition):
                return built | {"position": int(request.ticket)}
            return built | {"sl": spec.price(request.sl), "tp": spec.price(request.tp)}
        case PlaceOrder():
            return {
                "action": ACTION_PENDING,
                "symbol": name,
                "volume": float(request.volume),
                "type": PENDING_TYPE[request.side, request.kind],
                "price": spec.price(request.price),
                "sl": spec.price(request.sl),
                "tp": spec.price(request.tp),
                "magic": int(request.magic),
                "comment": request.comment,
                "type_time": 0,
                "type_filling": FILL_RETURN,
            }
        case CancelOrder():
            return {"action": ACTION_REMOVE, "order": int(request.ticket), "magic": int(request.magic)}
        case ChangeStops():
            return {
                "action": ACTION_SLTP,
                "symbol": name,
                "position": int(request.ticket),
                "sl": spec.price(request.sl),
                "tp": spec.price(request.tp),
                "magic": int(request.magic),
            }
