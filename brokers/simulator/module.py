"""The simulated terminal as the module `MetaTrader5`, for programs that import it."""

import sys
import threading
from collections.abc import Callable
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from brokers.simulator.constants import CONSTANTS
from brokers.simulator.structs import TYPES
from brokers.simulator.terminal import SimulatedTerminal

NAME = "MetaTrader5"
FUNCTIONS = (
    "initialize", "login", "shutdown", "version", "last_error", "terminal_info", "account_info", "symbols_total",
    "symbols_get", "symbol_info", "symbol_info_tick", "symbol_select", "market_book_add", "market_book_get",
    "market_book_release", "copy_rates_from", "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from",
    "copy_ticks_range", "orders_total", "orders_get", "order_calc_margin", "order_calc_profit", "order_check",
    "order_send", "positions_total", "positions_get", "history_orders_total", "history_orders_get",
    "history_deals_total", "history_deals_get", "Buy", "Sell", "Close",
)  # fmt: skip


def as_module(terminal: SimulatedTerminal) -> ModuleType:
    """Return a module whose functions are the terminal's, with all constants and struct types.

    Programs call the module from any of their threads; as there, one call runs at a time.
    """
    module = ModuleType(NAME, "A simulated MetaTrader 5 terminal with the MetaTrader5 module's surface.")
    module.__spec__ = ModuleSpec(NAME, None)
    turn = threading.RLock()
    names = {name: _in_turn(getattr(terminal, name), turn) for name in FUNCTIONS} | CONSTANTS | TYPES
    module.__dict__.update(names, __version__=terminal.__version__, __author__=terminal.__author__)
    return module


def _in_turn(function: Callable[..., Any], turn: threading.RLock) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with turn:
            return function(*args, **options)

    return call


def install(terminal: SimulatedTerminal) -> ModuleType:
    """Let `import MetaTrader5` find the terminal in this process."""
    module = sys.modules[NAME] = as_module(terminal)
    return module
