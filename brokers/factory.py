"""Open the gateway of an account by the kind of its broker."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from brokers.crypto.gateway import CryptoGateway
from brokers.gateway import ClockOffset, ConnectError, Gateway
from brokers.jforex.gateway import JForexGateway
from brokers.mt5.agentstate import AgentError, Pairing
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.line import parse_address
from brokers.mt5.local import LocalMt5Gateway
from brokers.mt5.remote import RemoteMt5Gateway, RemoteTerminal
from brokers.oanda.gateway import OandaGateway
from core.clock import Clock

KIND_NAMES = "simulator, mt5, remote, oanda, jforex or crypto"


def open_gateway(
    kind: str,
    *,
    login: int,
    password: str,
    server: str,
    options: Mapping[str, Any],
    symbol_map: Mapping[str, str],
    clock: Clock,
    clock_history: Sequence[ClockOffset] = (),
    is_for_reading: bool = False,
) -> Gateway:
    """Make a gateway, without connecting it yet.

    Options: `path` is the simulator's state file, the full path of terminal64.exe, the host:port of a remote
    terminal's agent, OANDA's account id, or the address of a JForex bridge; `pairing` is that agent's pairing code;
    `currency` is what a crypto exchange's swaps settle in.
    With `is_for_reading` a MetaTrader's password may be the investor's, and nothing is ever sent to it. Raises
    ConnectError.
    """
    path = str(options.get("path") or "")
    given: dict[str, Any] = {
        "login": login, "password": password, "server": server, "path": None, "clock": clock, "symbol_map": symbol_map,
        "clock_history": clock_history, "is_for_reading": is_for_reading,
    }  # fmt: skip
    if kind == "simulator":
        return Mt5Gateway(_simulator(path, clock), **given)
    if kind == "mt5":
        return LocalMt5Gateway(_module(), **given | {"path": path or None})
    if kind == "remote":
        return RemoteMt5Gateway(_remote(path, str(options.get("pairing") or ""), clock), **given)
    if kind == "oanda":
        return OandaGateway(
            account_id=path, login=login, token=password, server=server, clock=clock, symbol_map=symbol_map
        )
    if kind == "jforex":
        return JForexGateway(
            address=path, login=login, token=password, server=server, clock=clock, symbol_map=symbol_map
        )
    if kind == "crypto":
        return CryptoGateway(
            login=login, secret=password, server=server, currency=str(options.get("currency") or ""), clock=clock,
            symbol_map=symbol_map,
        )  # fmt: skip
    raise ConnectError(f"There is no gateway for brokers of kind {kind!r}.", f"Choose {KIND_NAMES}.")


def needs_own_process(kind: str) -> bool:
    """Tell whether a process can be connected to one account of this kind only, as with the real module."""
    return kind == "mt5"


def answers_at_once(kind: str) -> bool:
    """Tell whether a call takes the processor's time and nobody else's: the terminal is simulated in this process."""
    return kind == "simulator"


def _simulator(path: str, clock: Clock) -> Any:
    from brokers.simulator.terminal import SimulatedTerminal

    if not path or not Path(path).exists():
        raise ConnectError(
            f"The simulated terminal has no state file at {path or '(no path)'}.",
            "Set the account's terminal path, or run `manage.py runengine --demo`, which makes one.",
        )
    return SimulatedTerminal(Path(path), clock=clock)


def _remote(address: str, pairing: str, clock: Clock) -> RemoteTerminal:
    try:
        return RemoteTerminal(parse_address(address), Pairing.parse(pairing), clock=clock)
    except AgentError as problem:
        raise ConnectError(f"The remote terminal is not set up: {problem}.", "Correct the account's page.") from None


def _module() -> Any:
    try:
        return import_module("MetaTrader5")
    except ImportError:
        raise ConnectError(
            "The MetaTrader5 module is not installed; it exists for Windows only.",
            "Run this engine on the terminal's Windows machine, or use the simulated terminal.",
        ) from None
