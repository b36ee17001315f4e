"""Open the gateway of an account by the kind of its broker."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from brokers.gateway import ConnectError, Gateway
from brokers.mt5.gateway import Mt5Gateway
from core.clock import Clock


def open_gateway(
    kind: str,
    *,
    login: int,
    password: str,
    server: str,
    options: Mapping[str, Any],
    symbol_map: Mapping[str, str],
    clock: Clock,
) -> Gateway:
    """Make a gateway, without connecting it yet.

    Options: `path` is the simulator's state file, or the full path of terminal64.exe. Raises ConnectError.
    """
    path = str(options.get("path") or "")
    if kind == "simulator":
        terminal: Any = _simulator(path, clock)
        return Mt5Gateway(
            terminal, login=login, password=password, server=server, path=None, clock=clock, symbol_map=symbol_map
        )
    if kind == "mt5":
        terminal = _module()
        return Mt5Gateway(
            terminal,
            login=login,
            password=password,
            server=server,
            path=path or None,
            clock=clock,
            symbol_map=symbol_map,
        )
    raise ConnectError(f"There is no gateway for brokers of kind {kind!r}.", "Choose simulator or mt5.")


def needs_own_process(kind: str) -> bool:
    """Tell whether a process can be connected to one account of this kind only, as with the real module."""
    return kind == "mt5"


def _simulator(path: str, clock: Clock) -> Any:
    from brokers.simulator.terminal import SimulatedTerminal

    if not path or not Path(path).exists():
        raise ConnectError(
            f"The simulated terminal has no state file at {path or '(no path)'}.",
            "Set the account's terminal path, or run `manage.py runengine --demo`, which makes one.",
        )
    return SimulatedTerminal(Path(path), clock=clock)


def _module() -> Any:
    try:
        return import_module("MetaTrader5")
    except ImportError:
        raise ConnectError(
            "The MetaTrader5 module is not installed; it exists for Windows only.",
            "Run this engine on the terminal's Windows machine, or use the simulated terminal.",
        ) from None
