"""Programs that import MetaTrader5 and know of nothing else."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from brokers.simulator.truth import read_truth

ROOT = Path(__file__).resolve().parent.parent.parent.parent

PROGRAM = """
    import sys
    from datetime import datetime, timedelta

    import MetaTrader5 as mt5
    from MetaTrader5 import ORDER_TYPE_BUY, TradePosition, order_send
    import numpy as np

    print("MetaTrader5 package version:", mt5.__version__, sys.argv[1:])
    if not mt5.initialize(login=int(sys.argv[1]), password=sys.argv[2]):
        print("initialize() failed, error code =", mt5.last_error())
        sys.exit(3)
    symbol = "EURUSD"
    info = mt5.symbol_info(symbol)
    if not info.visible and not mt5.symbol_select(symbol, True):
        sys.exit(4)
    price = mt5.symbol_info_tick(symbol).ask
    request = {
        "action": mt5.TRADE_ACTION_DEAL, "symbol": symbol, "volume": 0.1, "type": ORDER_TYPE_BUY, "price": price,
        "sl": price - 1000 * info.point, "tp": price + 1000 * info.point, "deviation": 20, "magic": 234000,
        "comment": "python script open", "type_time": mt5.ORDER_TIME_GTC, "type_filling": mt5.ORDER_FILLING_IOC,
    }
    result = order_send(request)
    assert result.retcode == mt5.TRADE_RETCODE_DONE, result
    assert result._asdict()["request"].comment == "python script open"
    (position,) = mt5.positions_get(symbol=symbol)
    assert isinstance(position, TradePosition)
    rates = mt5.copy_rates_from_pos(symbol, mt5.TIMEFRAME_M5, 0, 50)
    assert rates.dtype.names[:2] == ("time", "open") and np.all(rates["high"] >= rates["low"])
    deals = mt5.history_deals_get(datetime.now() - timedelta(days=2), datetime.now() + timedelta(days=2))
    print("deals:", len(deals), "equity above:", mt5.account_info().equity > 9000)
    mt5.shutdown()
    sys.exit(7)
"""


def run(tmp_path: Path, *options: str, args: tuple[str, ...] = ("42", "pw")) -> "subprocess.CompletedProcess[str]":
    script = tmp_path / "bot.py"
    script.write_text(dedent(PROGRAM), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "brokers.simulator", "run", *options, str(script), *args],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--seed", "7"), ("--speed", "300")])
def test_an_unmodified_program_trades_and_keeps_its_arguments_and_exit_code(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    state = tmp_path / "account.sqlite"
    done = run(tmp_path, "--login", "42", "--password", "pw", "--account", str(state), *options)
    assert done.returncode == 7, done.stderr
    assert "MetaTrader5 package version: 5.0.6231 ['42', 'pw']" in done.stdout
    assert "deals: 2 equity above: True" in done.stdout
    (position,) = read_truth(state).positions
    assert (position.magic, position.comment, position.reason) == (234000, "python script open", 3)


def test_an_account_is_kept_from_run_to_run(tmp_path: Path) -> None:
    options = ("--login", "42", "--password", "pw", "--account", str(tmp_path / "account.sqlite"))
    assert run(tmp_path, *options).returncode == 7
    again = run(tmp_path, *options)
    assert again.returncode == 1
    assert "too many values to unpack" in again.stderr
    assert len(read_truth(tmp_path / "account.sqlite").positions) == 2


def test_a_wrong_login_is_refused_as_a_broker_would(tmp_path: Path) -> None:
    done = run(tmp_path, args=("1", "wrong"))
    assert done.returncode == 3
    assert "(-6, 'Terminal: Authorization failed')" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--speed", "0"), "--speed"), (("--balance", "-5"), "--balance"), (("--seed", "x"), "--seed")],
)
def test_wrong_options_are_named(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


HISTORY = """timestamp,open,high,low,close
2012-02-01 00:00:00,1.57608,1.57610,1.57585,1.57586
2012-02-01 00:01:00,1.37585,1.37591,1.37552,1.37553
2012-02-01 00:02:00,1.37552,1.37560,1.37550,1.37551
"""
TELL = (
    "import MetaTrader5 as mt5; mt5.initialize(); print(mt5.symbols_get()[0].name, mt5.symbol_info_tick('GBPUSD').ask)"
)


def tell(tmp_path: Path, name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / name).write_text(HISTORY, "utf-8")
    (tmp_path / "tell.py").write_text(TELL, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "brokers.simulator", "run", "--history", str(tmp_path / name), *options, "tell.py"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def test_prices_come_from_a_file_of_bars_from_a_time_on(tmp_path: Path) -> None:
    assert tell(tmp_path, "gbpusd-m1.csv").stdout.startswith("GBPUSD 1.576")
    assert tell(tmp_path, "gbpusd-m1.csv", "--start", "2012-02-01T00:01").stdout.startswith("GBPUSD 1.375")
    assert tell(tmp_path, "1.csv", "--symbol", "GBPUSD").stdout.startswith("GBPUSD 1.576")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("1.csv", (), "the file's name tells no symbol: add --symbol"),
        ("gbpusd.csv", ("--start", "2020-01-01"), "the recording ends at 2012-02-01 00:02"),
        ("gbpusd.csv", ("--start", "soon"), "--start"),
        ("gbpusd.csv", ("--seed", "1"), "not allowed with"),
    ],
)
def test_histories_that_can_not_be_used_are_named(
    tmp_path: Path, name: str, options: tuple[str, ...], said: str
) -> None:
    done = tell(tmp_path, name, *options)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
