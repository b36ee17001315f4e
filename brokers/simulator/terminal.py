"""A simulated MetaTrader 5 terminal: an object with the names, conventions and answers of the MetaTrader5 module."""

from typing import Any

from brokers.simulator.arguments import bad_field
from brokers.simulator.books import BUY, SELL, sign
from brokers.simulator.exchange import Exchange
from brokers.simulator.reading import Reading
from brokers.simulator.requests import DEAL, DONE, Answer, handle, refuse
from brokers.simulator.session import CALL_FAILED, IPC_TIMEOUT
from brokers.simulator.state import Moved
from brokers.simulator.structs import DEFAULTS, Struct, make

HELPER_TRIES = 10
HELPER_DEVIATION = 10
REQUOTE, PRICE_OFF, TOO_MANY = 10004, 10021, 10024
NO_CONNECTION, TRADING_DISABLED, INVESTOR = 10031, 10027, 10017
SUCCESSES = {10008, 10009, 10010}


class SimulatedTerminal(Reading):
    """One account of the state file. Every trade is on disk before its answer; `faults` makes things go wrong."""

    # Sending

    def order_check(self, *args: Any, **fields: Any) -> Struct | None:
        """Tell what would come of a request, without sending it; retcode 0 means that it passes."""
        request = self._request(args, fields)
        exchange = self._enter("order_check")
        if request is None or exchange is None:
            return None
        answer = handle(exchange, request, execute=False)
        margin, equity = exchange.margin(), exchange.equity()
        if answer.retcode == 0 and request.get("action") == DEAL and not request.get("position"):
            setup = exchange.symbols[request["symbol"]]
            margin = round(exchange.margin_with(setup, int(request["type"]), answer.volume, answer.price), 2)
        balance = exchange.state.meta["balance"]
        values = {
            "retcode": answer.retcode,
            "balance": balance,
            "equity": equity,
            "profit": round(equity - balance, 2),
            "margin": margin,
            "margin_free": round(equity - margin, 2),
            "margin_level": equity / margin * 100 if margin else 0.0,
            "comment": answer.text,
            "request": self._echo(request),
        }
        return make("OrderCheckResult", values)

    def order_send(self, *args: Any, **fields: Any) -> Struct | None:
        """Send a request. None means that it did not arrive, or that the reply was lost: see last_error."""
        request = self._request(args, fields)
        if request is None:
            return None
        exchange = self._enter("order_send")
        if exchange is None:
            return None
        if self.faults.take("reply_lost_before_execution"):
            self._fail(IPC_TIMEOUT)
            return None
        refusal = self._refusal(request)
        if refusal is not None:
            return self._result(exchange, request, refuse(refusal))
        if self.faults.take("delayed_execution"):
            self._delay(exchange, request)
            self._fail(IPC_TIMEOUT)
            return None
        answer = self._execute(exchange, request)
        if answer.retcode in SUCCESSES and self.faults.take("reply_lost_after_execution"):
            self._fail(IPC_TIMEOUT)
            return None
        return self._result(exchange, request, answer)

    def _refusal(self, request: dict[str, Any]) -> int | None:
        """Return the code with which a fault, or an investor's log-in, answers a request that goes no further."""
        if self._is_investor:
            return INVESTOR
        if not self.faults.is_online:
            return NO_CONNECTION
        if self.faults.is_trading_disabled:
            return TRADING_DISABLED
        is_storming = self._clock.now().timestamp() < self.faults.storm_until
        if request.get("action") == DEAL and (is_storming or self.faults.take("requote")):
            return REQUOTE
        return TOO_MANY if self.faults.take("too_many_requests") else None

    def _execute(self, exchange: Exchange, request: dict[str, Any]) -> Answer:
        """Carry a request out on the figures of this moment; when another process was faster, look at them again."""
        stored = dict(request)
        if self.faults.comment_text is not None:
            stored["comment"] = self.faults.comment_text
        if self.faults.comment_length is not None and "comment" in stored:
            stored["comment"] = stored["comment"][: self.faults.comment_length]
        if self.faults.is_magic_lost:
            stored.pop("magic", None)
        while True:
            try:
                return handle(exchange, stored, execute=True)
            except Moved:
                exchange.advance()

    def _delay(self, exchange: Exchange, request: dict[str, Any]) -> None:
        """Keep a request in the state file until its time has come."""
        due = self._clock.now().timestamp() + self.faults.delay_seconds
        with exchange.state.change():
            exchange.state.meta["delayed"].append([due, request])

    def _execute_delayed(self, exchange: Exchange) -> None:
        now = self._clock.now().timestamp()
        waiting = exchange.state.meta["delayed"]
        for entry in [entry for entry in waiting if entry[0] <= now]:
            with exchange.state.change():
                exchange.state.meta["delayed"] = [e for e in exchange.state.meta["delayed"] if e != entry]
            self._execute(exchange, entry[1])

    def _request(self, args: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any] | None:
        if (args and fields) or len(args) > 1 or (args and not isinstance(args[0], dict)):
            self._fail((-2, "Unnamed arguments not allowed"))
            return None
        request: dict[str, Any] = dict(args[0]) if args else fields
        wrong = bad_field(request)
        if wrong is not None:
            self._fail((-2, f'Invalid "{wrong}" argument'))
            return None
        return request

    def _echo(self, request: dict[str, Any]) -> Struct:
        known = DEFAULTS["TradeRequest"].keys()
        return make("TradeRequest", {name: value for name, value in request.items() if name in known})

    def _result(self, exchange: Exchange, request: dict[str, Any], answer: Answer) -> Struct:
        self._requests += 1
        bid, ask = exchange.books.price(str(request.get("symbol", ""))) or (0.0, 0.0)
        values = {
            "retcode": answer.retcode,
            "deal": answer.deal,
            "order": answer.order,
            "volume": answer.volume,
            "price": answer.price,
            "bid": bid,
            "ask": ask,
            "comment": answer.text,
            "request_id": self._requests,
            "request": self._echo(request),
        }
        return make("OrderSendResult", values)

    # Arithmetic

    def order_calc_margin(self, action: int, symbol: str, volume: float, price: float, /) -> float | None:
        """Return the margin of a trade in account currency, as if nothing else were open."""
        exchange = self._enter("order_calc_margin")
        if exchange is None:
            return None
        if not self._calculates(exchange, symbol, action):
            return None
        return round(exchange.books.margin_for(exchange.symbols[symbol], action, float(volume), float(price)), 2)

    def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float, /
    ) -> float | None:
        """Return the profit of a move in account currency."""
        exchange = self._enter("order_calc_profit")
        if exchange is None:
            return None
        if not self._calculates(exchange, symbol, action):
            return None
        setup = exchange.symbols[symbol]
        return exchange.books.profit(setup, action, float(volume), float(price_open), float(price_close))

    def _calculates(self, exchange: Exchange, symbol: str, action: int) -> bool:
        setup = exchange.symbols.get(symbol)
        fits = setup is not None and action in (BUY, SELL) and exchange.books.can_convert(setup)
        return fits or self._fail(CALL_FAILED)

    # The Python helpers of the package

    def Buy(
        self, symbol: str, volume: float, price: float | None = None, *,
        comment: str | None = None, ticket: int | None = None,
    ) -> Struct | None:  # fmt: skip
        """Buy at the market; without a price, again while the price moves away."""
        return self._market(BUY, symbol, volume, price, comment, ticket)

    def Sell(
        self, symbol: str, volume: float, price: float | None = None, *,
        comment: str | None = None, ticket: int | None = None,
    ) -> Struct | None:  # fmt: skip
        """Sell at the market; without a price, again while the price moves away."""
        return self._market(SELL, symbol, volume, price, comment, ticket)

    def _market(
        self, side: int, symbol: str, volume: float, price: float | None, comment: str | None, ticket: int | None
    ) -> Struct | None:
        request: dict[str, Any] = {
            "action": DEAL, "symbol": symbol, "volume": volume, "type": side, "deviation": HELPER_DEVIATION
        }  # fmt: skip
        request |= {} if comment is None else {"comment": comment}
        request |= {} if ticket is None else {"position": ticket}
        result: Struct | None = None
        for _ in range(HELPER_TRIES if price is None else 1):
            tick = self.symbol_info_tick(symbol)
            if tick is None:
                return None
            request["price"] = price if price is not None else tick.ask if side == BUY else tick.bid
            result = self.order_send(request)
            if result is None or result.retcode not in (REQUOTE, PRICE_OFF):
                break
        return result

    def Close(self, symbol: str, *, comment: str | None = None, ticket: int | None = None) -> bool | str | None:
        """Close the positions of a symbol (or one of them); True, False, or 'Partially'."""
        found = self.positions_get(symbol=symbol)
        if found is None:
            return None
        chosen = [p for p in found if ticket is None or p.ticket == ticket]
        closed = 0
        for position in chosen:
            side = SELL if sign(position.type) == 1 else BUY
            result = self._market(side, symbol, position.volume, None, comment, position.ticket)
            closed += result is not None and result.retcode == DONE
        if closed == len(chosen) and chosen:
            return True
        return "Partially" if closed else False
