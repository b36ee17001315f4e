"""Programs as people write them for the MetaTrader5 module, unmodified, on accounts of every margin mode."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from brokers.simulator.truth import read_truth

ROOT = Path(__file__).resolve().parent.parent.parent.parent

GRID = """
    # A grid of limits below the price; everything is closed by hand at the end
    import MetaTrader5 as mt5

    if not mt5.initialize():
        print("initialize() failed, error code =", mt5.last_error())
        quit()
    symbol, lot, magic = "EURUSD", 0.02, 20240
    point = mt5.symbol_info(symbol).point

    def send(request):
        check = mt5.order_check(request)
        if check is None or check.retcode != 0:
            print("order_check failed", check and check._asdict() or mt5.last_error())
            quit(1)
        result = mt5.order_send(request)
        if result.retcode != mt5.TRADE_RETCODE_DONE:
            print("order_send failed, retcode={}".format(result.retcode))
            for field, value in result._asdict().items():
                if field == "request":
                    value = value._asdict()
                print("   {}={}".format(field, value))
            quit(1)
        return result

    tickets = []
    for level in range(1, 6):
        price = round(mt5.symbol_info_tick(symbol).ask - level * 200 * point, 5)
        tickets.append(send({
            "action": mt5.TRADE_ACTION_PENDING, "symbol": symbol, "volume": lot, "type": mt5.ORDER_TYPE_BUY_LIMIT,
            "price": price, "sl": price - 500 * point, "tp": price + 100 * point, "magic": magic, "comment": "grid",
            "type_time": mt5.ORDER_TIME_GTC, "type_filling": mt5.ORDER_FILLING_RETURN,
        }).order)
    orders = [o for o in mt5.orders_get(symbol=symbol) if o.magic == magic]
    assert [o.ticket for o in orders] == tickets and mt5.orders_total() == 5
    send({"action": mt5.TRADE_ACTION_MODIFY, "order": tickets[0], "price": orders[0].price_open - 50 * point,
          "sl": orders[0].sl - 50 * point, "tp": orders[0].tp, "type_time": mt5.ORDER_TIME_GTC})
    for order in mt5.orders_get(group="*EUR*"):
        send({"action": mt5.TRADE_ACTION_REMOVE, "order": order.ticket})
    print("resting:", mt5.orders_total(), "ended:", len(mt5.history_orders_get(0, 2000000000, group="*USD*")))
    mt5.shutdown()
"""

HEDGE = """
    # Hedge, look at the statistics, and close the pair against each other
    from datetime import datetime, timedelta
    import MetaTrader5 as mt5
    from MetaTrader5 import *
    import numpy as np

    assert initialize(login=77, password="pw", server="Simulated-Demo"), last_error()
    account = account_info()._asdict()
    if account["margin_mode"] != ACCOUNT_MARGIN_MODE_RETAIL_HEDGING:
        raise SystemExit("needs a hedging account")
    symbols = [s.name for s in symbols_get("*USD*,!XAU*")]
    rates = copy_rates_from_pos(symbols[0], TIMEFRAME_M1, 0, 30)
    close = rates["close"]
    sma = np.convolve(close, np.ones(5) / 5, mode="valid")
    assert len(sma) == len(close) - 4
    ticks = copy_ticks_from(symbols[0], int(rates["time"][0]), 100, COPY_TICKS_ALL)
    assert np.all(ticks["ask"] > ticks["bid"])
    lot = 0.5
    margin = order_calc_margin(ORDER_TYPE_BUY, symbols[0], lot, symbol_info_tick(symbols[0]).ask)
    assert 0 < margin < account["margin_free"]
    long = Buy(symbols[0], lot, comment="hedge")
    short = Sell(symbols[0], 0.2)
    assert long.retcode == short.retcode == TRADE_RETCODE_DONE
    done = order_send({"action": TRADE_ACTION_CLOSE_BY, "position": long.order, "position_by": short.order})
    assert done.retcode == TRADE_RETCODE_DONE, done
    (rest,) = positions_get(symbol=symbols[0])
    assert rest.ticket == long.order and abs(rest.volume - 0.3) < 1e-9
    assert Close(symbols[0], ticket=rest.ticket) is True
    deals = history_deals_get(datetime.now() - timedelta(days=3), datetime.now() + timedelta(days=3), group="*USD*")
    by = [d for d in deals if d.entry == DEAL_ENTRY_OUT_BY]
    total = sum(d.profit + d.swap + d.commission + d.fee for d in deals)
    print("by:", len(by), "total:", round(total, 2) == round(account_info().balance - account["balance"], 2))
    shutdown()
"""

NETTING = """
    # Turn a position round and round on a netting account
    import MetaTrader5 as mt5
    mt5.initialize()
    symbol = "XAUUSD"
    mt5.symbol_select(symbol, True)
    info = mt5.symbol_info(symbol)

    def market(side, volume, position=0):
        tick = mt5.symbol_info_tick(symbol)
        request = {"action": mt5.TRADE_ACTION_DEAL, "symbol": symbol, "volume": volume, "type": side,
                   "price": tick.ask if side == mt5.ORDER_TYPE_BUY else tick.bid, "deviation": 50,
                   "type_filling": mt5.ORDER_FILLING_IOC if info.filling_mode & 2 else mt5.ORDER_FILLING_FOK}
        if position:
            request["position"] = position
        return mt5.order_send(request)

    results = [market(mt5.ORDER_TYPE_BUY, 0.1), market(mt5.ORDER_TYPE_SELL, 0.3), market(mt5.ORDER_TYPE_BUY, 0.4)]
    if any(r.retcode != mt5.TRADE_RETCODE_DONE for r in results):
        print([(r.retcode, r.comment) for r in results])
    (position,) = mt5.positions_get(symbol=symbol)
    closed = market(mt5.ORDER_TYPE_SELL, position.volume, position.ticket)
    deals = mt5.history_deals_get(position=position.identifier)
    print("turned:", sum(d.entry == mt5.DEAL_ENTRY_INOUT for d in deals),
          "ticket:", position.ticket == results[2].order, "identifier:", position.identifier == results[0].order,
          "left:", mt5.positions_total(), closed.retcode)
"""

BOOK = """
    # Watch the market depth, as the documentation's example does, and take the best lots
    import MetaTrader5 as mt5
    import time
    mt5.initialize()
    symbol = "ACME"
    if not mt5.market_book_add(symbol):
        print("market_book_add failed, error code =", mt5.last_error())
        raise SystemExit(2)
    for i in range(3):
        items = mt5.market_book_get(symbol)
        best = max(it.price for it in items if it.type == mt5.BOOK_TYPE_BUY)
        ask = min(it.price for it in items if it.type == mt5.BOOK_TYPE_SELL)
        assert best < ask, (best, ask)
        for it in items:
            it._asdict()
        time.sleep(0.05)
    mt5.market_book_release(symbol)
    print("book:", len(items), mt5.market_book_get(symbol), mt5.last_error()[0])
"""


def run(tmp_path: Path, program: str, *options: str) -> "subprocess.CompletedProcess[str]":
    script = tmp_path / "bot.py"
    script.write_text(dedent(program), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "brokers.simulator", "run", *options, str(script)],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--history", "GBPUSD=pounds.csv", "--history", "EURUSD=euros.csv")])
def test_a_grid_of_resting_orders(tmp_path: Path, options: tuple[str, ...]) -> None:
    written = bars(tmp_path)
    done = run(tmp_path, GRID, *(written.get(option, option) for option in options))
    assert (done.returncode, done.stdout) == (0, "resting: 0 ended: 5\n"), done.stdout + done.stderr


def test_a_hedge_that_is_closed_by_itself(tmp_path: Path) -> None:
    account = tmp_path / "account.sqlite"
    options = ("--login", "77", "--password", "pw", "--account", str(account), "--seed", "3")
    done = run(tmp_path, HEDGE, *options, "--symbols", "EURUSD,XAUUSD,GBPUSD", "--leverage", "200")
    assert (done.returncode, done.stdout) == (0, "by: 2 total: True\n"), done.stdout + done.stderr
    assert [d.entry for d in read_truth(account).deals] == [0, 0, 0, 3, 3, 1]


def test_a_position_that_turns_round_and_round(tmp_path: Path) -> None:
    written = bars(tmp_path, XAUUSD=2000.0)
    history = ("--history", f"XAUUSD={written['XAUUSD']}", "--margin-mode", "netting", "--balance", "100000")
    done = run(tmp_path, NETTING, *history)
    expected = "turned: 2 ticket: True identifier: True left: 0 10009\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stdout + done.stderr


def test_the_depth_of_an_exchanges_market(tmp_path: Path) -> None:
    done = run(tmp_path, BOOK, "--seed", "1", "--symbols", "ACME", "--margin-mode", "exchange")
    assert (done.returncode, done.stdout) == (0, "book: 20 None -1\n"), done.stdout + done.stderr


def bars(folder: Path, **prices: float) -> dict[str, str]:
    """Write some minutes of each symbol; return what an option's words stand for, and the paths by symbol."""
    found = {}
    for name, price in (prices or {"EURUSD": 1.1, "GBPUSD": 1.3}).items():
        path = folder / f"{name.lower()}.csv"
        rows = [
            f"2024-02-01 00:{minute:02}:00,{price:.5f},{price * 1.0001:.5f},{price * 0.9999:.5f},{price:.5f}"
            for minute in range(30)
        ]
        path.write_text("timestamp,open,high,low,close\n" + "\n".join(rows) + "\n", "utf-8")
        found[name] = str(path)
    words = {"GBPUSD": "pounds", "EURUSD": "euros"}
    return found | {f"{name}={words[name]}.csv": f"{name}={path}" for name, path in found.items() if name in words}


TELL = "import MetaTrader5 as mt5; mt5.initialize(); print([(s.name, round(s.ask, 1)) for s in mt5.symbols_get()])"


def test_several_histories_are_one_market_that_begins_together(tmp_path: Path) -> None:
    early, late = tmp_path / "eurusd.csv", tmp_path / "usdjpy.csv"
    head = "timestamp,open,high,low,close\n"
    euros = (f"2024-02-01 00:0{m}:00,1.{m}1000,1.{m}1001,1.{m}0999,1.{m}1000\n" for m in range(8))
    yen = (f"2024-02-01 00:0{m}:00,150.000,150.001,149.999,150.000\n" for m in range(5, 9))
    early.write_text(head + "".join(euros), "utf-8")
    late.write_text(head + "".join(yen), "utf-8")
    files = ("--history", str(early), "--history", str(late))
    assert run(tmp_path, TELL, *files).stdout == "[('EURUSD', 1.5), ('USDJPY', 150.0)]\n"
    started = run(tmp_path, TELL, *files, "--start", "2024-02-01T00:06")
    assert started.stdout == "[('EURUSD', 1.6), ('USDJPY', 150.0)]\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--history", "EURUSD=a.csv", "--history", "EURUSD=b.csv"), "two files are of one symbol"),
        (("--history", "EURUSD=nowhere.csv"), "nowhere.csv: can't be read"),
        (("--history", "a.csv", "--history", "b.csv", "--symbol", "EURUSD"), "--symbol: works with one --history"),
        (("--symbols", "EURUSD"), "--symbols: works with --seed only"),
        (("--seed", "1", "--symbols", "EURUSD,NOPE"), "no symbol NOPE in the catalogue"),
        (("--seed", "1", "--symbols", "DE40", "--currency", "USD"), "DE40 earns EUR: add one like EURUSD"),
        (("--leverage", "0"), "--leverage: give a number from 1"),
        (("--fault-share", "3"), "--fault-share: give a number from 0 to 1"),
        (("--margin-mode", "fifo"), "--margin-mode: invalid choice"),
    ],
)
def test_what_can_not_be_run_is_said(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, "print('ran')", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]


def test_faults_come_by_seed(tmp_path: Path) -> None:
    program = """
        import MetaTrader5 as mt5
        mt5.initialize()
        print([mt5.symbols_total() is None for _ in range(50)].count(True) > 5, mt5.last_error()[0] < 0)
    """
    assert run(tmp_path, program).stdout.startswith("False")
    assert run(tmp_path, program, "--faults", "7", "--fault-share", "0.5").stdout.startswith("True")


def test_an_account_of_a_newer_program_is_refused_with_words(tmp_path: Path) -> None:
    import sqlite3

    account = tmp_path / "a.sqlite"
    tell = "import MetaTrader5 as mt5; print(mt5.initialize(), mt5.last_error())"
    assert run(tmp_path, tell, "--account", str(account)).stdout.startswith("True")
    with sqlite3.connect(account) as db:
        db.execute("UPDATE meta SET value = '3' WHERE key = 'version'")
    db.close()
    found = run(tmp_path, tell, "--account", str(account)).stdout
    assert found.startswith("False (-10003, 'IPC initialize failed")
    assert "is of version 3, this program reads up to 2: update it" in found
    account.write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    assert "is no account of the simulated terminal" in run(tmp_path, tell, "--account", str(account)).stdout
