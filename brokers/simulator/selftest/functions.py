"""The selftest's checks of the module's functions."""

from functools import partial

from brokers.simulator.selftest.bench import (
    ASK,
    BID,
    DONE,
    FAIL,
    LOGIN,
    NO_IPC,
    NOT_FOUND,
    PASSWORD,
    SERVER,
    START,
    Bench,
    Check,
    collect,
)

FUNCTION_CHECKS: dict[str, Check] = {}
check = partial(collect, FUNCTION_CHECKS)

NINE_AT_THE_SERVER = int(START.timestamp()) + 2 * 3600
ALL_TIME = (0, 2**31 - 1)


@check("initialize")
def _initialize(bench: Bench) -> None:
    bench.mt5.shutdown()
    assert bench.mt5.initialize(login=LOGIN, password=PASSWORD + "!", server=SERVER) is False
    assert bench.error() == -6
    assert bench.mt5.initialize(login=LOGIN, password=PASSWORD, server=SERVER) is True


@check("login")
def _login(bench: Bench) -> None:
    assert bench.mt5.login(LOGIN + 1, password=PASSWORD, server=SERVER) is False
    assert bench.mt5.account_info() is None
    assert bench.mt5.login(LOGIN, password=PASSWORD, server=SERVER) is True
    assert bench.mt5.account_info().login == LOGIN


@check("shutdown")
def _shutdown(bench: Bench) -> None:
    bench.mt5.shutdown()
    assert bench.mt5.positions_get() is None
    assert bench.error() == NO_IPC


@check("version")
def _version(bench: Bench) -> None:
    terminal, build, released = bench.mt5.version()
    assert (terminal, build) == (500, 6231)
    assert isinstance(released, str)


@check("last_error")
def _last_error(bench: Bench) -> None:
    assert bench.mt5.symbol_info("NOPE") is None
    assert bench.error() == NOT_FOUND
    assert bench.mt5.symbols_total() == 2
    assert bench.mt5.last_error() == (1, "Success")


@check("terminal_info")
def _terminal_info(bench: Bench) -> None:
    info = bench.mt5.terminal_info()
    assert info.connected
    assert info.trade_allowed
    assert info.build == 6231


@check("account_info")
def _account_info(bench: Bench) -> None:
    info = bench.mt5.account_info()
    assert (info.login, info.server, info.balance, info.equity, info.margin) == (LOGIN, SERVER, 10_000.0, 10_000.0, 0.0)
    bench.buy()
    info = bench.mt5.account_info()
    assert (info.profit, info.equity, info.margin) == (-1.0, 9999.0, 110.01)


@check("symbols_total", "symbols_get")
def _symbols(bench: Bench) -> None:
    assert bench.mt5.symbols_total() == 2
    assert [s.name for s in bench.mt5.symbols_get()] == ["EURUSD", "GBPUSD"]
    assert [s.name for s in bench.mt5.symbols_get("*,!EUR*")] == ["GBPUSD"]


@check("symbol_info")
def _symbol_info(bench: Bench) -> None:
    info = bench.mt5.symbol_info("EURUSD")
    assert (info.name, info.digits, info.bid, info.ask, info.spread) == ("EURUSD", 5, BID, ASK, 10)
    assert (info.volume_step, info.trade_contract_size, info.ticks_bookdepth) == (0.01, 100_000.0, 10)


@check("symbol_info_tick")
def _symbol_info_tick(bench: Bench) -> None:
    bench.tick(1.2)
    tick = bench.mt5.symbol_info_tick("EURUSD")
    assert (tick.bid, tick.ask, tick.time) == (1.2, 1.2001, NINE_AT_THE_SERVER + 1)


@check("symbol_select")
def _symbol_select(bench: Bench) -> None:
    assert bench.mt5.symbol_select("EURUSD", False) is True
    assert bench.mt5.symbol_info_tick("EURUSD") is None
    assert bench.mt5.symbol_select("EURUSD") is True
    bench.buy()
    assert bench.mt5.symbol_select("EURUSD", False) is False


@check("market_book_add", "market_book_get", "market_book_release")
def _market_book(bench: Bench) -> None:
    assert bench.mt5.market_book_get("EURUSD") is None
    assert bench.mt5.market_book_add("GBPUSD") is False
    assert bench.error() == FAIL
    assert bench.mt5.market_book_add("EURUSD") is True
    rows = bench.mt5.market_book_get("EURUSD")
    assert [r.type for r in rows] == [1] * 10 + [2] * 10
    assert (rows[9].price, rows[10].price) == (ASK, BID)
    assert bench.mt5.market_book_release("EURUSD") is True
    assert bench.mt5.market_book_get("EURUSD") is None


@check("copy_rates_from", "copy_rates_from_pos", "copy_rates_range")
def _copy_rates(bench: Bench) -> None:
    for n in range(1, 8):
        bench.tick(round(BID + n * 0.001, 5), after=60.0)
    last = bench.mt5.copy_rates_from_pos("EURUSD", 1, 0, 3)
    assert [round(float(o), 5) for o in last["open"]] == [1.105, 1.106, 1.107]
    assert int(last["time"][-1]) == NINE_AT_THE_SERVER + 7 * 60
    until = bench.mt5.copy_rates_from("EURUSD", 1, NINE_AT_THE_SERVER + 125, 2)
    assert [int(t) - NINE_AT_THE_SERVER for t in until["time"]] == [60, 120]
    between = bench.mt5.copy_rates_range("EURUSD", 1, NINE_AT_THE_SERVER + 60, NINE_AT_THE_SERVER + 180)
    assert [int(t) - NINE_AT_THE_SERVER for t in between["time"]] == [60, 120, 180]


@check("copy_ticks_from", "copy_ticks_range")
def _copy_ticks(bench: Bench) -> None:
    for n in range(1, 6):
        bench.tick(round(BID + n * 0.001, 5))
    found = bench.mt5.copy_ticks_from("EURUSD", NINE_AT_THE_SERVER + 2, 3, -1)
    assert [round(float(b), 5) for b in found["bid"]] == [1.102, 1.103, 1.104]
    between = bench.mt5.copy_ticks_range("EURUSD", NINE_AT_THE_SERVER + 4, NINE_AT_THE_SERVER + 9, -1)
    assert [round(float(b), 5) for b in between["bid"]] == [1.104, 1.105]


@check("orders_total", "orders_get")
def _orders(bench: Bench) -> None:
    assert (bench.mt5.orders_total(), bench.mt5.orders_get()) == (0, ())
    placed = bench.mt5.order_send({"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.09})
    assert bench.mt5.orders_total() == 1
    (order,) = bench.mt5.orders_get(symbol="EURUSD")
    assert (order.ticket, order.price_open, order.state) == (placed.order, 1.09, 1)
    assert bench.mt5.orders_get(group="GBP*") == ()


@check("order_calc_margin")
def _order_calc_margin(bench: Bench) -> None:
    assert bench.mt5.order_calc_margin(0, "EURUSD", 1.0, 1.1) == 1100.0
    assert bench.mt5.order_calc_margin(0, "NOPE", 1.0, 1.1) is None


@check("order_calc_profit")
def _order_calc_profit(bench: Bench) -> None:
    assert bench.mt5.order_calc_profit(0, "EURUSD", 1.0, 1.1, 1.103) == 300.0
    assert bench.mt5.order_calc_profit(1, "EURUSD", 1.0, 1.1, 1.103) == -300.0


@check("order_check")
def _order_check(bench: Bench) -> None:
    found = bench.mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 1.0, "type": 0})
    assert (found.retcode, found.comment, found.margin) == (0, "Done", 1100.1)
    assert bench.mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 100.0, "type": 0}).retcode == 10019
    assert bench.mt5.positions_total() == 0


@check("order_send")
def _order_send(bench: Bench) -> None:
    opened = bench.buy(sl=1.09, tp=1.2, magic=7, comment="selftest")
    assert (opened.retcode, opened.price, opened.volume, opened.request.magic) == (DONE, ASK, 0.1, 7)
    (position,) = bench.mt5.positions_get(ticket=opened.order)
    assert (position.sl, position.tp, position.magic, position.comment) == (1.09, 1.2, 7, "selftest")
    closed = bench.buy(type=1, position=opened.order)
    assert closed.retcode == DONE
    assert bench.mt5.positions_total() == 0
    assert bench.mt5.account_info().balance == 9999.0


@check("positions_total", "positions_get")
def _positions(bench: Bench) -> None:
    assert (bench.mt5.positions_total(), bench.mt5.positions_get()) == (0, ())
    ticket = bench.buy().order
    assert bench.mt5.positions_total() == 1
    bench.tick(1.101)
    (position,) = bench.mt5.positions_get(symbol="EURUSD")
    assert (position.ticket, position.price_open, position.price_current, position.profit) == (ticket, ASK, 1.101, 9.0)
    assert bench.mt5.positions_get(symbol="GBPUSD") == ()


@check("history_orders_total", "history_orders_get")
def _history_orders(bench: Bench) -> None:
    assert bench.mt5.history_orders_total(*ALL_TIME) == 0
    ticket = bench.buy().order
    assert bench.mt5.history_orders_total(*ALL_TIME) == 1
    (order,) = bench.mt5.history_orders_get(*ALL_TIME, group="*USD*")
    assert (order.ticket, order.state, order.position_id) == (ticket, 4, ticket)
    assert bench.mt5.history_orders_get(ticket=ticket) == (order,)


@check("history_deals_total", "history_deals_get")
def _history_deals(bench: Bench) -> None:
    assert bench.mt5.history_deals_total(*ALL_TIME) == 1
    ticket = bench.buy().order
    bench.tick(1.101)
    bench.mt5.Close("EURUSD")
    deposit, entry, out = bench.mt5.history_deals_get(*ALL_TIME)
    assert (deposit.type, deposit.profit) == (2, 10_000.0)
    assert (entry.entry, out.entry, out.profit) == (0, 1, 9.0)
    assert bench.mt5.history_deals_get(position=ticket) == (entry, out)


@check("Buy", "Sell")
def _helpers(bench: Bench) -> None:
    bought, sold = bench.mt5.Buy("EURUSD", 0.1, comment="b"), bench.mt5.Sell("EURUSD", 0.2)
    assert (bought.retcode, bought.price, sold.retcode, sold.price) == (DONE, ASK, DONE, BID)
    assert [(p.type, p.volume) for p in bench.mt5.positions_get()] == [(0, 0.1), (1, 0.2)]


@check("Close")
def _close(bench: Bench) -> None:
    assert bench.mt5.Close("EURUSD") is False
    first = bench.buy().order
    bench.buy()
    assert bench.mt5.Close("EURUSD", ticket=first) is True
    assert bench.mt5.positions_total() == 1
    assert bench.mt5.Close("EURUSD") is True
    assert bench.mt5.positions_total() == 0
