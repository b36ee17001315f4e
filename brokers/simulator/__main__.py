"""The simulated MetaTrader 5 terminal: run programs written for the MetaTrader5 module on it, or let it try itself."""

import argparse
import json
import runpy
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers.simulator.account import AccountSpec, create_account
from brokers.simulator.module import install
from brokers.simulator.recordings import HistoryError
from brokers.simulator.running import Market, from_files, modelled, recorded_demo
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock

MARGIN_MODES = {"netting": 0, "exchange": 1, "hedging": 2}
LEVERAGE_MAX = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the arguments say. The selftest ends with 0 when everything passed, else 1; wrong arguments end with 2.

    A script's own exit code becomes this process's.
    """
    parser = argparse.ArgumentParser(prog="python -m brokers.simulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run an unmodified program that imports MetaTrader5")
    _add_run_options(run)
    selftest = commands.add_parser("selftest", help="try every function of the module and every fault")
    selftest.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    if options.command == "selftest":
        sys.exit(_selftest(as_json=options.json))
    problem = _objection(options)
    if problem:
        run.error(problem)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            terminal = _make_account(options, options.account or Path(folder) / "terminal.sqlite")
        except HistoryError as wrong:
            run.error(f"--history: {wrong}")
        except ValueError as wrong:
            run.error(str(wrong))
        sys.argv = [str(options.script), *options.args]
        sys.path[0] = str(options.script.resolve().parent)
        try:
            runpy.run_path(str(options.script), run_name="__main__")
        finally:
            # Windows deletes no file that is open
            terminal.shutdown()


def _add_run_options(run: argparse.ArgumentParser) -> None:
    account = run.add_argument_group("account")
    account.add_argument("--account", type=Path, help="its state file; made when missing (default: a new one)")
    account.add_argument("--login", type=int, default=5_000_002, help="login of a new account (default 5000002)")
    account.add_argument("--password", default="demo", help="password of a new account (default demo)")
    account.add_argument("--server", default="Simulated-Demo", help="server of a new account")
    account.add_argument("--balance", type=float, default=10_000.0, help="first deposit (default 10000)")
    account.add_argument("--currency", help="its currency (default: the profit currency of the first symbol)")
    account.add_argument("--leverage", type=int, default=100, help="default 100")
    account.add_argument("--margin-mode", choices=MARGIN_MODES, default="hedging", help="default hedging")
    prices = run.add_argument_group("prices", "of a new account; without any, recorded EURUSD of 2017")
    source = prices.add_mutually_exclusive_group()
    source.add_argument("--seed", type=int, help="prices of the model with this seed")
    source.add_argument(
        "--history",
        action="append",
        metavar="[SYMBOL=]FILE",
        help="bars or ticks of MetaTrader 5, HistData, Dukascopy, or a plain CSV; repeat it for each symbol",
    )
    prices.add_argument("--symbols", help="with --seed: symbols of the catalogue, EURUSD,XAUUSD (default EURUSD)")
    prices.add_argument("--hours", action="store_true", help="with --seed: trade in each symbol's hours only")
    prices.add_argument("--symbol", help="symbol of the only --history (default: read from the file's name)")
    prices.add_argument("--start", type=datetime.fromisoformat, help="where in --history prices begin, UTC")
    prices.add_argument("--speed", type=float, default=1.0, help="recorded prices run so many times faster than life")
    faults = run.add_argument_group("faults")
    faults.add_argument("--faults", type=int, metavar="SEED", help="let things go wrong, chosen by this seed")
    faults.add_argument("--fault-share", type=float, default=0.02, help="at which share of all calls (default 0.02)")
    run.add_argument("script", type=Path, help="the program")
    run.add_argument("args", nargs=argparse.REMAINDER, help="its own arguments")


def _objection(options: argparse.Namespace) -> str | None:
    """Return what is wrong with the options of a run."""
    wrong = {
        f"SCRIPT: there is no file {options.script}": not options.script.is_file(),
        "--speed: give a number above 0": not options.speed > 0,
        "--balance: give a number above 0": not 0 < options.balance < 1e12,
        f"--leverage: give a number from 1 to {LEVERAGE_MAX}": not 1 <= options.leverage <= LEVERAGE_MAX,
        "--fault-share: give a number from 0 to 1": not 0 <= options.fault_share <= 1,
        "--start: works with --history only": options.start is not None and not options.history,
        "--symbols: works with --seed only": options.symbols is not None and options.seed is None,
        "--hours: works with --seed only": options.hours and options.seed is None,
        "--symbol: works with one --history only": options.symbol is not None and len(options.history or ()) != 1,
    }
    return next((text for text, is_wrong in wrong.items() if is_wrong), None)


def _make_account(options: argparse.Namespace, state_file: Path) -> SimulatedTerminal:
    """Make the account unless it is there, and the module that the script imports. Raises ValueError, HistoryError."""
    clock = SystemClock()
    market = _market(options, state_file, clock.now())
    spec = AccountSpec(
        options.login, options.password, options.server, options.currency or market.symbols[0].currency_profit,
        options.balance, options.leverage, MARGIN_MODES[options.margin_mode],
    )  # fmt: skip
    create_account(state_file, spec, market.symbols, market.feeds, clock=clock)
    terminal = SimulatedTerminal(state_file, clock=clock)
    if options.faults is not None:
        terminal.faults.by_seed(options.faults, share=options.fault_share)
    install(terminal)
    return terminal


def _market(options: argparse.Namespace, state_file: Path, anchor: datetime) -> Market:
    if options.history:
        start = options.start.replace(tzinfo=options.start.tzinfo or UTC) if options.start is not None else None
        return from_files(
            options.history, options.symbol, state_file=state_file, anchor=anchor, start=start, speed=options.speed
        )
    if options.seed is not None:
        names = [name.strip() for name in (options.symbols or "EURUSD").split(",") if name.strip()]
        return modelled(names, anchor, options.seed, has_hours=options.hours)
    return recorded_demo(anchor, options.speed)


def _selftest(*, as_json: bool) -> int:
    if not __debug__:
        sys.stderr.write("The checks are assertions, which -O and PYTHONOPTIMIZE leave out: run it without.\n")
        return 1
    from brokers.simulator.selftest import report

    results = report.run()
    sys.stdout.write(json.dumps(report.as_json(results)) if as_json else report.as_table(results))
    sys.stdout.write("\n")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    main()
