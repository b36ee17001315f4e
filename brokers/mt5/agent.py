"""Serve a MetaTrader 5 terminal to an engine elsewhere: `python -m brokers.mt5.agent --login 1001`.

Runs beside the terminal: on Windows, under Wine, or on a simulated terminal (`--simulator FILE`). On first start it
makes a certificate and a key in its folder; `--pairing` prints what the account's page asks for. Exit codes: 0 ended,
2 wrong arguments, 3 the folder is held by another agent or damaged, or the terminal is held by another process.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from brokers.gateway import ConnectError
from brokers.mt5.agentserver import AgentServer, Served
from brokers.mt5.agentstate import AgentError, AgentState
from brokers.mt5.line import parse_address
from brokers.terminallock import DEFAULT, TerminalHold
from core.clock import SystemClock

DEFAULT_LISTEN = "127.0.0.1:18840"


def arguments_of(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; what is wrong names the option."""
    parser = argparse.ArgumentParser(prog="python -m brokers.mt5.agent", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--login", type=int, required=True, help="the account's login: this agent serves no other")
    parser.add_argument("--listen", default=DEFAULT_LISTEN, help=f"address to listen on (default {DEFAULT_LISTEN})")
    parser.add_argument("--folder", type=Path, help="certificate, key, journal (default var/agents/LOGIN)")
    terminal = parser.add_mutually_exclusive_group()
    terminal.add_argument("--path", help="full path of terminal64.exe")
    terminal.add_argument("--simulator", type=Path, help="state file of a simulated terminal")
    parser.add_argument("--pairing", action="store_true", help="print the pairing code (a secret) and end")
    parser.add_argument("--accept-token", action="store_true", help="let an engine with a lower token in, once")
    options = parser.parse_args(given)
    if options.login < 1:
        parser.error("--login: give the number that the terminal shows")
    try:
        options.listen = parse_address(options.listen, is_listener=True)
    except AgentError as problem:
        parser.error(f"--listen: {problem}")
    if options.simulator is not None and not options.simulator.is_file():
        parser.error(f"--simulator: there is no file {options.simulator}")
    options.folder = options.folder or Path("var") / "agents" / str(options.login)
    return options


def main(given: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    options = arguments_of(given)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    clock = SystemClock()
    os.umask(0o077)
    try:
        state = AgentState(options.folder, now=clock.now())
        if options.pairing:
            sys.stdout.write(f"{state.pairing.text}\n")
            return 0
        state.hold()
        hold = TerminalHold(f"the agent of login {options.login}")
        hold.take(str(options.simulator or options.path or DEFAULT))
        if options.accept_token:
            state.write_fence(0)
        terminal = _terminal(options.simulator, clock)
    except (AgentError, ConnectError, OSError, ValueError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    host, port = options.listen
    served = Served(terminal, options.login, options.path, hold if options.simulator is None else None)
    server = AgentServer(served, state, clock=clock, host=host, port=port)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdout.write(f"serving login {options.login} on {server.address[0]}:{server.address[1]}\n")
    sys.stdout.flush()
    while not over.wait(1.0):
        pass
    server.stop()
    hold.let_go()
    state.let_go()
    return 0


def _terminal(state_file: Path | None, clock: SystemClock) -> Any:
    if state_file is not None:
        from brokers.simulator.terminal import SimulatedTerminal

        return SimulatedTerminal(state_file, clock=clock)
    try:
        return import_module("MetaTrader5")
    except ImportError:
        raise AgentError(
            "the MetaTrader5 module is missing: `pip install MetaTrader5` with Windows' Python, or use --simulator FILE"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
