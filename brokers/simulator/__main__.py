"""Run programs written for the MetaTrader5 module on a simulated terminal: `python -m brokers.simulator run SCRIPT`."""

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers.simulator.account import AccountSpec, create_account, demo_symbols
from brokers.simulator.feed import FeedSpec
from brokers.simulator.module import install
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
    run.add_argument("--seed", type=int, help="prices of a model with this seed instead of recorded EURUSD of 2017")
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
    with TemporaryDirectory() as folder:
        _run(options, options.account or Path(folder) / "terminal.sqlite")


def _run(options: argparse.Namespace, state_file: Path) -> None:
    clock = SystemClock()
    if options.seed is None:
        feed = FeedSpec.recorded(DATASET, anchor=clock.now(), speed=options.speed)
    else:
        feed = FeedSpec.model(anchor=clock.now(), seed=options.seed)
    spec = AccountSpec(options.login, options.password, options.server, balance=options.balance)
    create_account(state_file, spec, demo_symbols(), feed, clock=clock)
    install(SimulatedTerminal(state_file, clock=clock))
    sys.argv = [str(options.script), *options.args]
    sys.path[0] = str(options.script.resolve().parent)
    runpy.run_path(str(options.script), run_name="__main__")


if __name__ == "__main__":
    main()
