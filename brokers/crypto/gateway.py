"""The ccxt gateway: swaps of one exchange, settled in the account's currency. Whose a position is, client ids say."""

from importlib import import_module
from typing import Any

from brokers.crypto.ledger import FOREIGN, NOISE, Folded, client_id, fold, mark, number_of
from brokers.crypto.reading import ENDED, PAUSE_SECONDS, CryptoReader, number
from brokers.domain import (
    CancelOrder,
    ClosePosition,
    OpenPosition,
    OrderKind,
    PlaceOrder,
    Quote,
    Request,
    Side,
    SymbolSpec,
)
from brokers.gateway import Permit, ReadError, SymbolError
from brokers.mt5.requests import objection
from core.outcome import Accepted, Outcome, Refused, Unknown

ORDER_READS = 4
# With these the exchange says that it did not take the order. InvalidOrder is none of them: okx answers so, too, to a
# client id that it has taken already
REFUSING = ("InsufficientFunds", "AuthenticationError", "BadSymbol", "MarketClosed")


class CryptoGateway(CryptoReader):
    """Implements brokers.gateway.Gateway."""

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Send once. What did not leave is refused; what nobody answered is Unknown, and is found by its client id."""
        try:
            spec, quote = self.spec(request.symbol), self.quote(request.symbol)
            name, states = self.broker_name(request.symbol), self._agreed()[1]
        except (ReadError, SymbolError) as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        problem_found = objection(request, spec, quote)
        if problem_found is not None:
            return Refused(problem_found.code, 0, text=problem_found.text)
        if permit is None:
            return Refused("no_permit", 0, text="an order at an exchange is found again by its intent")
        if self._clock.now() >= permit.deadline:
            return Refused("expired", 0, text="its deadline has passed")
        held = states.get(name, Folded())
        match request:
            case CancelOrder():
                return self._cancel(request, name)
            case ClosePosition():
                if abs(held.lots) <= NOISE or held.position_id != request.ticket:
                    return Accepted(0, 0, 0.0, 0.0, 0, text="it is gone")
                if (held.lots > 0) != (request.side is Side.BUY) or request.volume > abs(held.lots) + 1e-9:
                    return Refused("invalid_volume", 0, text=f"{abs(held.lots):g} lots are open")
                return self._create(request, permit, spec, quote, name)
            case OpenPosition() | PlaceOrder():
                refused = self._why_not(request, held, name)
                return refused or self._create(request, permit, spec, quote, name)
        return Refused("not_supported", 0, text="stops are kept by us, not at the exchange")

    def _why_not(self, request: OpenPosition | PlaceOrder, held: Folded, name: str) -> Refused | None:
        """Say why an entry must not leave: it could not be told apart from what another holds."""
        if request.sl or request.tp:
            return Refused("not_supported", 0, text="stops are kept by us, not at the exchange")
        if isinstance(request, PlaceOrder) and request.kind is not OrderKind.LIMIT:
            return Refused("not_supported", 0, text="only limit orders rest at the exchange")
        if abs(held.lots) <= NOISE or getattr(request, "may_reduce", False):
            return None
        text = f"{abs(held.lots):g} lots of {request.symbol}"
        if (held.lots > 0) != (request.side is Side.BUY):
            return Refused("would_net", 0, text=f"the account nets: it would take from {text}")
        try:
            magic = self._mark(held.opened_by, name).magic
        except ReadError as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        if held.position_id == FOREIGN or magic != request.magic:
            return Refused("would_join", 0, text=f"the account nets: it would join {text} that are not this bot's")
        return None

    def _create(
        self, request: OpenPosition | PlaceOrder | ClosePosition, permit: Permit, spec: SymbolSpec, quote: Quote,
        name: str,
    ) -> Outcome:  # fmt: skip
        """Send an order: a limit that rests, or one at the worst price that is taken, of which the rest is dropped."""
        closes = isinstance(request, ClosePosition)
        client = client_id(permit.intent, request.magic, "" if closes else request.comment)
        if client is None:
            return Refused("comment", 0, text="a client order id carries the intent's own comment only")
        side = request.side.opposite if closes else request.side
        params: dict[str, Any] = {"clientOrderId": client}
        if isinstance(request, PlaceOrder):
            price = request.price
        else:
            touch, reach = (quote.ask, 1) if side is Side.BUY else (quote.bid, -1)
            price = touch + reach * request.deviation_points * spec.point
            params["timeInForce"] = "IOC"
        if closes:
            params["reduceOnly"] = True
        try:
            answer = self._exchange.create_order(name, "limit", str(side), request.volume, spec.price(price), params)
            order = str(answer["id"])
            self._marks[order] = mark(client)
            return self._outcome(request, order, name, client)
        except Exception as problem:  # noqa: BLE001 - after the call nothing is certain, whatever was raised
            return _failed(problem)

    def _outcome(
        self, request: OpenPosition | PlaceOrder | ClosePosition, order: str, name: str, client: str
    ) -> Outcome:
        """Ask what became of an order that the exchange took. Raises whatever ccxt raises."""
        ticket = number_of(order)
        for attempt in range(ORDER_READS):
            if attempt:
                self._clock.sleep(PAUSE_SECONDS)
            try:
                row = self._exchange.fetch_order(order, name)
            except Exception as problem:  # noqa: BLE001 - it was taken: no error of reading refuses it any more
                return Unknown(f"order {order} was taken, {type(problem).__name__} since")
            if row.get("clientOrderId") != client:
                return Unknown("the answer is to another order")
            status, filled = row["status"], number(row["filled"])
            if isinstance(request, PlaceOrder) and status == "open":
                return Accepted(ticket, 0, 0.0, 0.0, 0)
            if status in ENDED and filled:
                partial = filled < request.volume - 1e-9
                return self._filled(request, ticket, name, filled, number(row["average"]), partial=partial)
            if status in ENDED:
                return Refused("not_filled", 0, fresh_price=True, text=f"the order is {status}, nothing was filled")
        return Unknown(f"order {order} is still open")

    def _filled(
        self, request: OpenPosition | PlaceOrder | ClosePosition, ticket: int, name: str, lots: float, price: float,
        *, partial: bool,
    ) -> Outcome:  # fmt: skip
        """Name the position that an entry opened or joined: its fills must be seen before anything is said."""
        if isinstance(request, ClosePosition):
            return Accepted(ticket, 0, lots, price, 0, partial)
        try:
            self._agreed()
        except ReadError:
            return Unknown("filled, but its fills can't be seen yet")
        booked = fold(self._sorted(name), self._carried[name])[1]
        position = next((each.position_id for each in booked if number_of(each.fill.order) == ticket), 0)
        if not position:
            return Unknown("filled, but its fills can't be seen yet")
        return Accepted(position, 0, lots, price, 0, partial)

    def _cancel(self, request: CancelOrder, name: str) -> Outcome:
        try:
            rows = self._exchange.fetch_open_orders(name)
            order = next((str(row["id"]) for row in rows if number_of(str(row["id"])) == request.ticket), None)
        except Exception as problem:  # noqa: BLE001 - nothing left yet
            return Refused("not_ready", 0, fresh_price=True, text=f"{type(problem).__name__}: {problem}")
        if order is None:
            return Refused("no_such_order", 0, text="it does not rest any more")
        try:
            self._exchange.cancel_order(order, name)
            row = self._exchange.fetch_order(order, name)
        except Exception as problem:  # noqa: BLE001 - after the call nothing is certain, whatever was raised
            return _failed(problem)
        is_done = row.get("status") == "canceled"
        return Accepted(request.ticket, 0, 0.0, 0.0, 0) if is_done else Unknown(f"the order is {row.get('status')}")


def _failed(problem: Exception) -> Outcome:
    """Tell what an error of ccxt proves: only what is listed is a refusal."""
    ccxt, text = import_module("ccxt"), f"{type(problem).__name__}: {problem}"[:200]
    if isinstance(problem, tuple(getattr(ccxt, name) for name in REFUSING)):
        return Refused(type(problem).__name__.lower(), 0, text=text)
    return Unknown(text)
