"""The module's functions that read: terminal, account, symbols, charts, positions, orders and history."""

from collections.abc import Collection
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from brokers.simulator import datareads, rows
from brokers.simulator.arguments import epoch, matches_group
from brokers.simulator.exchange import Exchange
from brokers.simulator.server_time import to_server
from brokers.simulator.session import CALL_FAILED, INVALID_ARGUMENTS, NOT_FOUND, Connection
from brokers.simulator.state import OpenPosition
from brokers.simulator.structs import Struct

Array = NDArray[np.void]
HISTORY_FILTERS = {"group", "ticket", "position"}


class Reading(Connection):
    """Every call answers None when it failed, and an empty tuple when there is nothing."""

    def version(self, /) -> tuple[int, int, str] | None:
        """Return terminal version, build and release date."""
        return None if self._enter("version") is None else (500, 6231, "21 Nov 2025")

    def terminal_info(self, /) -> Struct | None:
        """Return the terminal's state."""
        exchange = self._enter("terminal_info")
        if exchange is None:
            return None
        faults = self.faults
        return rows.terminal(
            exchange, self._state_file, connected=faults.is_online, trade_allowed=not faults.is_trading_disabled
        )

    def account_info(self, /) -> Struct | None:
        """Return the account."""
        exchange = self._enter("account_info")
        return (
            None
            if exchange is None
            else rows.account(exchange, self.faults.login_shown, trade_allowed=not self._is_investor)
        )

    # Symbols

    def symbols_total(self, /) -> int | None:
        """Count all symbols."""
        exchange = self._enter("symbols_total")
        return None if exchange is None else len(exchange.symbols)

    def symbols_get(self, group: object = "*", /, **named: Any) -> tuple[Struct, ...] | None:
        """Return the symbols that match a group."""
        exchange = self._enter("symbols_get")
        if exchange is None:
            return None
        group = named.pop("group", group)
        if named or not isinstance(group, str):
            self._fail(INVALID_ARGUMENTS)
            return None
        return tuple(
            rows.symbol(exchange, name, selected=name in self._selected)
            for name in exchange.symbols
            if matches_group(name, group)
        )

    def symbol_info(self, symbol: str, /) -> Struct | None:
        """Return a symbol's specification."""
        exchange = self._enter("symbol_info")
        if exchange is None:
            return None
        if symbol not in exchange.symbols:
            self._fail(NOT_FOUND)
            return None
        return rows.symbol(exchange, symbol, selected=symbol in self._selected)

    def symbol_info_tick(self, symbol: str, /) -> Struct | None:
        """Return a symbol's last tick."""
        exchange = self._enter("symbol_info_tick")
        if exchange is None:
            return None
        is_shown = symbol in self._selected or any(p.symbol == symbol for p in exchange.state.positions.values())
        tick = exchange.tick(symbol) if is_shown else None
        if tick is None:
            self._fail(NOT_FOUND)
            return None
        return rows.tick(exchange, *tick)

    def symbol_select(self, symbol: str, enable: bool = True, /) -> bool:
        """Show or hide a symbol in the Market Watch; one with open positions stays."""
        exchange = self._enter("symbol_select")
        if exchange is None:
            return False
        if symbol not in exchange.symbols:
            return self._fail(NOT_FOUND)
        if enable:
            self._selected.add(symbol)
        elif any(p.symbol == symbol for p in exchange.state.positions.values()):
            return self._fail(CALL_FAILED)
        else:
            self._selected.discard(symbol)
        return True

    def market_book_add(self, symbol: str, /) -> bool:
        """Begin to show a symbol's market depth; one that has none can't be shown."""
        exchange = self._enter("market_book_add")
        if exchange is None:
            return False
        if symbol not in exchange.symbols or not exchange.symbols[symbol].depth_lots:
            return self._fail(CALL_FAILED)
        self._shown_books.add(symbol)
        return True

    def market_book_release(self, symbol: str, /) -> bool:
        """Stop showing a symbol's market depth."""
        if self._enter("market_book_release") is None:
            return False
        if symbol not in self._shown_books:
            return self._fail(CALL_FAILED)
        self._shown_books.discard(symbol)
        return True

    def market_book_get(self, symbol: str, /) -> tuple[Struct, ...] | None:
        """Return the market depth of a symbol that it was begun for."""
        exchange = self._enter("market_book_get")
        if exchange is None:
            return None
        if symbol not in self._shown_books or symbol not in exchange.symbols:
            self._fail(CALL_FAILED)
            return None
        return rows.market_book(*exchange.market_depth(symbol))

    # Charts

    def _chart(self, function: str, symbol: str, timeframe: int) -> Any:
        exchange = self._enter(function)
        if exchange is None:
            return None
        if symbol not in exchange.symbols or timeframe not in datareads.TIMEFRAME_SECONDS:
            self._fail(CALL_FAILED)
            return None
        return exchange

    def copy_rates_from_pos(self, symbol: str, timeframe: int, start_pos: int, count: int, /) -> Array | None:
        """Return `count` bars, the last of which is `start_pos` bars before the current one."""
        exchange = self._chart("copy_rates_from_pos", symbol, timeframe)
        counts = None if exchange is None else self._counts(start_pos, count)
        if counts is None:
            return None
        now = to_server(exchange.account.server_clock, self._clock.now().timestamp())
        seconds = datareads.TIMEFRAME_SECONDS[timeframe]
        return self._found(datareads.last_bars(exchange, symbol, seconds, now, *counts))

    def copy_rates_from(self, symbol: str, timeframe: int, date_from: object, count: int, /) -> Array | None:
        """Return `count` bars up to a time."""
        exchange = self._chart("copy_rates_from", symbol, timeframe)
        until = epoch(date_from)
        counts = None if exchange is None else self._counts(0, count)
        if counts is None:
            return None
        if until is None:
            self._fail(INVALID_ARGUMENTS)
            return None
        seconds = datareads.TIMEFRAME_SECONDS[timeframe]
        return self._found(datareads.last_bars(exchange, symbol, seconds, until, *counts))

    def copy_rates_range(self, symbol: str, timeframe: int, date_from: object, date_to: object, /) -> Array | None:
        """Return the bars that open in a period."""
        exchange = self._chart("copy_rates_range", symbol, timeframe)
        first, last = epoch(date_from), epoch(date_to)
        if exchange is None:
            return None
        if first is None or last is None:
            self._fail(INVALID_ARGUMENTS)
            return None
        return datareads.bars(exchange, symbol, datareads.TIMEFRAME_SECONDS[timeframe], first, last)

    def copy_ticks_from(self, symbol: str, date_from: object, count: int, flags: int, /) -> Array | None:
        """Return at most `count` ticks from a time on."""
        exchange = self._chart("copy_ticks_from", symbol, 1)
        first = None if exchange is None else self._utc(exchange, date_from)
        counts = None if first is None else self._counts(0, count)
        if first is None or counts is None:
            return None
        return datareads.ticks(exchange, symbol, first, self._clock.now().timestamp(), counts[1], flags)

    def copy_ticks_range(self, symbol: str, date_from: object, date_to: object, flags: int, /) -> Array | None:
        """Return the ticks of a period."""
        exchange = self._chart("copy_ticks_range", symbol, 1)
        first = None if exchange is None else self._utc(exchange, date_from)
        last = None if exchange is None else self._utc(exchange, date_to)
        if first is None or last is None:
            return None
        return datareads.ticks(exchange, symbol, first, last, datareads.TICKS_MAX, flags)

    def _counts(self, start: SupportsIndex, count: SupportsIndex) -> tuple[int, int] | None:
        """Return both as integers; the extension reads them as Python's own functions do, so NumPy's will do."""
        try:
            found = index(start), index(count)
        except TypeError:
            found = (0, 0)
        if found[0] >= 0 and found[1] > 0:
            return found
        self._fail((-2, "Terminal: Invalid params"))
        return None

    def _found(self, array: Array | None) -> Array | None:
        if array is None:
            self._fail(NOT_FOUND)
        return array

    # Positions and orders

    def positions_total(self, /) -> int | None:
        """Count the open positions."""
        exchange = self._enter("positions_total")
        return None if exchange is None else len(self._shown(exchange))

    def positions_get(self, *args: Any, **filters: Any) -> tuple[Struct, ...] | None:
        """Return open positions: all, or by symbol, ticket or group."""
        exchange = self._enter("positions_get")
        if exchange is None or not self._filters_fit(args, filters):
            return None
        found = [p for p in self._shown(exchange) if self._chosen(exchange, p, filters)]
        return rows.positions(exchange, found)

    def _shown(self, exchange: Exchange) -> Collection[OpenPosition]:
        """Leave out the positions that come late."""
        positions, late = exchange.state.positions.values(), self.faults.positions_late_seconds
        if not late:
            return positions
        newest = self._clock.now().timestamp() - late
        return [p for p in positions if p.opened <= newest]

    def orders_total(self, /) -> int | None:
        """Count the resting orders."""
        exchange = self._enter("orders_total")
        return None if exchange is None else len(exchange.state.orders)

    def orders_get(self, *args: Any, **filters: Any) -> tuple[Struct, ...] | None:
        """Return resting orders: all, or by symbol, ticket or group."""
        exchange = self._enter("orders_get")
        if exchange is None or not self._filters_fit(args, filters):
            return None
        found = [o for o in exchange.state.orders.values() if self._chosen(exchange, o, filters)]
        return tuple(rows.order(exchange, o) for o in found)

    # History

    def history_orders_total(self, date_from: object, date_to: object, /) -> int | None:
        """Count the orders that ended in a period."""
        found = self._history("history_orders_total", "orders", (date_from, date_to), {})
        return None if found is None else len(found)

    def history_deals_total(self, date_from: object, date_to: object, /) -> int | None:
        """Count the deals of a period."""
        found = self._history("history_deals_total", "deals", (date_from, date_to), {})
        return None if found is None else len(found)

    def history_orders_get(self, *dates: object, **filters: Any) -> tuple[Struct, ...] | None:
        """Return orders that ended: of a period and a group, or by ticket or position."""
        return self._history("history_orders_get", "orders", dates, filters)

    def history_deals_get(self, *dates: object, **filters: Any) -> tuple[Struct, ...] | None:
        """Return deals: of a period and a group, or by their order's ticket, or by position."""
        return self._history("history_deals_get", "deals", dates, filters)

    def _history(
        self, function: str, what: str, dates: tuple[object, ...], filters: dict[str, Any]
    ) -> tuple[Struct, ...] | None:
        exchange = self._enter(function)
        if exchange is None:
            return None
        keys = {"ticket": "order_ticket", "position": "position_id"}
        by_key = [name for name in keys if name in filters]
        if filters.keys() - HISTORY_FILTERS or len(dates) not in (0, 2) or (not dates and not by_key):
            self._fail(INVALID_ARGUMENTS)
            return None
        read: Any = exchange.state.deals if what == "deals" else exchange.state.history
        make: Any = rows.deal if what == "deals" else rows.order
        if by_key:
            name, value = by_key[0], filters[by_key[0]]
            if type(value) is not int:
                self._fail((-2, f'Invalid "{name}" argument'))
                return None
            column = "ticket" if (name, what) == ("ticket", "orders") else keys[name]
            return tuple(make(exchange, row) for row in self._known(what, read(f"{column} = ?", value)))
        first, last = self._utc(exchange, dates[0]), self._utc(exchange, dates[1])
        if first is None or last is None:
            return None
        column = "at" if what == "deals" else "done"
        found = self._known(what, read(f"{column} >= ? AND {column} < ?", first, last + 1))
        group = str(filters.get("group", "*"))
        return tuple(make(exchange, row) for row in found if group == "*" or matches_group(row.symbol, group))

    def _known(self, what: str, found: Any) -> list[Any]:
        """Leave out what a late history does not show yet."""
        newest = self._clock.now().timestamp() - self.faults.history_late_seconds
        return [row for row in found if (row.at if what == "deals" else row.done) <= newest]
