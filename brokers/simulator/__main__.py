"""Run programs written for the MetaTrader5 module on a simulated terminal: `python -m brokers.simulator run SCRIPT`."""

import argparse
import re
import runpy
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers.simulator.account import AccountSpec, SymbolSetup, create_account, demo_symbols
from brokers.simulator.feed import FeedSpec
from brokers.simulator.module import install
from brokers.simulator.recordings import (
    HistoryError,
    Recording,
    TickRecording,
    has_ticks,
    keep,
    keep_ticks,
    read_history,
    read_ticks,
)
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock

DATASET = "eurusd-h1-2017"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments say; the script's own exit code becomes this process's."""
    parser = argparse.ArgumentParser(prog="python -m brokers.simulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run an unmodified program that imports MetaTrader5")
    run.add_argument("--account", type=Path, help="state file of the account; made when missing (default: a new one)")
    run.add_argument("--login", type=int, default=5_000_002, help="login of a new account (default 5000002)")
    run.add_argument("--password", default="demo", help="password of a new account (default demo)")
    run.add_argument("--server", default="Simulated-Demo", help="server of a new account")
    run.add_argument("--balance", type=float, default=10_000.0, help="first deposit of a new account, USD")
    prices = run.add_mutually_exclusive_group()
    prices.add_argument("--seed", type=int, help="prices of a model with this seed instead of recorded EURUSD of 2017")
    prices.add_argument(
        "--history", type=Path, help="bars or ticks of MetaTrader 5, HistData, Dukascopy, or a plain CSV"
    )
    run.add_argument("--symbol", help="symbol of --history (default: read from the file's name)")
    run.add_argument("--start", type=datetime.fromisoformat, help="where in --history prices begin, UTC")
    run.add_argument("--speed", type=float, default=1.0, help="recorded prices run so many times faster than life")
    run.add_argument("script", type=Path, help="the program")
    run.add_argument("args", nargs=argparse.REMAINDER, help="its own arguments")
    options = parser.parse_args(arguments)
    if not options.script.is_file():
        run.error(f"SCRIPT: there is no file {options.script}")
    if not options.speed > 0:
        run.error("--speed: give a number above 0")
    if not 0 < options.balance < 1e12:
        run.error("--balance: give a number above 0")
    if options.start is not None and options.history is None:
        run.error("--start: works with --history only")
    with TemporaryDirectory() as folder:
        try:
            _run(options, options.account or Path(folder) / "terminal.sqlite")
        except HistoryError as problem:
            run.error(f"--history: {problem}")


def _run(options: argparse.Namespace, state_file: Path) -> None:
    clock = SystemClock()
    symbols = demo_symbols()
    if options.history is not None:
        feed, symbols = _from_history(options, state_file, clock.now())
    elif options.seed is not None:
        feed = FeedSpec.model(anchor=clock.now(), seed=options.seed)
    else:
        feed = FeedSpec.recorded(DATASET, anchor=clock.now(), speed=options.speed)
    currency = symbols[0].currency_profit
    spec = AccountSpec(options.login, options.password, options.server, currency, options.balance)
    create_account(state_file, spec, symbols, feed, clock=clock)
    install(SimulatedTerminal(state_file, clock=clock))
    sys.argv = [str(options.script), *options.args]
    sys.path[0] = str(options.script.resolve().parent)
    runpy.run_path(str(options.script), run_name="__main__")


def _from_history(
    options: argparse.Namespace, state_file: Path, anchor: datetime
) -> tuple[FeedSpec, list[SymbolSetup]]:
    """Keep a file's prices beside the account, which needs them as long as it lives. Raises HistoryError."""
    named = re.search(r"[A-Za-z]{6}", options.history.name)
    name = options.symbol or (named[0].upper() if named else "")
    if not re.fullmatch(r"[A-Z]{6}", name):
        raise HistoryError("the file's name tells no symbol: add --symbol, for example --symbol GBPUSD")
    start = options.start.replace(tzinfo=options.start.tzinfo or UTC) if options.start is not None else None
    kept = state_file.resolve().with_suffix(f".{name.lower()}.npz")
    recording: Recording | TickRecording
    if has_ticks(options.history):
        recording = read_ticks(options.history)
        keep_ticks(recording, kept)
        first = recording.index_at(start) if start is not None else 0
        feed = FeedSpec.ticks(str(kept), anchor=anchor, speed=options.speed, first_tick=first)
    else:
        recording = read_history(options.history)
        keep(recording, kept)
        first = recording.index_at(start) if start is not None else 0
        feed = FeedSpec.recorded(str(kept), anchor=anchor, speed=options.speed, first_bar=first)
    setup = SymbolSetup(name, digits=recording.digits, currency_base=name[:3], currency_profit=name[3:])
    return feed, [setup]


if __name__ == "__main__":
    main()
