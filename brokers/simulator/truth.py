"""What the broker really has: the state file read without the terminal, for proofs that books equal broker."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from brokers.simulator.state import Deal, OpenPosition, Order


@dataclass(frozen=True, slots=True)
class Truth:
    """Positions, resting orders and the whole ledger; `balance` in account currency."""

    balance: float
    positions: tuple[OpenPosition, ...]
    orders: tuple[Order, ...]
    history: tuple[Order, ...]
    deals: tuple[Deal, ...]


def read_truth(state_file: Path) -> Truth:
    """Read a state file in one transaction. Raises FileNotFoundError when there is none."""
    if not state_file.exists():
        raise FileNotFoundError(state_file)
    with closing(sqlite3.connect(state_file, timeout=10, isolation_level=None)) as db:
        db.execute("BEGIN")
        balance = json.loads(db.execute("SELECT value FROM meta WHERE key = 'balance'").fetchone()[0])
        table = {
            name: [json.loads(row) for (row,) in db.execute(f"SELECT row FROM {name} ORDER BY 1")]  # noqa: S608 - one of our tables
            for name in ("positions", "orders", "history_orders", "deals")
        }
        db.execute("COMMIT")
    return Truth(
        balance,
        tuple(OpenPosition(**row) for row in table["positions"]),
        tuple(Order(**row) for row in table["orders"]),
        tuple(Order(**row) for row in table["history_orders"]),
        tuple(Deal(**row) for row in table["deals"]),
    )
