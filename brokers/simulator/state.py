"""The terminal's state file: one SQLite database, durable at every commit, readable by another process at any time."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE positions (identifier INTEGER PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE orders (ticket INTEGER PRIMARY KEY, row TEXT NOT NULL);
CREATE TABLE history_orders (ticket INTEGER PRIMARY KEY, position_id INTEGER, done REAL, row TEXT NOT NULL);
CREATE TABLE deals (ticket INTEGER PRIMARY KEY, position_id INTEGER, order_ticket INTEGER, at REAL, row TEXT NOT NULL);
CREATE INDEX deals_at ON deals (at);
CREATE INDEX deals_position ON deals (position_id);
CREATE INDEX history_at ON history_orders (done);
"""
FIRST_ORDER, FIRST_DEAL = 50_000_001, 90_000_001
# Version 1 knew one price source, and neither market depth nor resting parts of orders; it is read as it is
VERSION = 2
# What changes while the account lives; all of it is written with every change
LIVING: dict[str, Any] = {
    "balance": 0.0, "credit": 0.0, "processed": 0.0, "order": FIRST_ORDER, "deal": FIRST_DEAL,
    "day_ended": 0.0, "pushed": [], "delayed": [], "taken": {},
}  # fmt: skip


@dataclass(slots=True)
class OpenPosition:
    """An open position; times in UTC epoch seconds, type 0 buy or 1 sell, swap in account currency."""

    identifier: int
    ticket: int
    symbol: str
    type: int
    volume: float
    price_open: float
    sl: float
    tp: float
    swap: float
    magic: int
    comment: str
    opened: float
    updated: float
    reason: int = 3


@dataclass(slots=True)
class Order:
    """A resting or finished order; times in UTC epoch seconds. `price` is 0.0 for a market order.

    `expiration` is as it was asked for, on the server's clock; `expires` is when it takes effect, 0.0 for never.
    """

    ticket: int
    symbol: str
    type: int
    volume: float
    volume_left: float
    price: float
    sl: float
    tp: float
    magic: int
    comment: str
    placed: float
    state: int = 1
    done: float = 0.0
    position_id: int = 0
    reason: int = 3
    filling: int = 0
    type_time: int = 0
    expiration: int = 0
    stoplimit: float = 0.0
    expires: float = 0.0
    position_by: int = 0


@dataclass(slots=True)
class Deal:
    """A line of the ledger; `at` in UTC epoch seconds, type and entry as the module numbers them."""

    ticket: int
    order: int
    position_id: int
    symbol: str
    type: int
    entry: int
    reason: int
    volume: float
    price: float
    profit: float
    swap: float
    commission: float
    magic: int
    comment: str
    at: float


class StateError(ValueError):
    """A state file can't be used; the text says why and what to do."""


class Moved(Exception):
    """Another process changed the file since it was last read; what was decided on the old figures does not hold."""


class State:
    """The file, and what is open as objects. Every change happens inside `change()`, which is one durable commit."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not create and not path.exists():
            raise FileNotFoundError(path)
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.DatabaseError as problem:
            raise StateError(f"{path} is no account of the simulated terminal: {problem}") from None
        self._db.execute("PRAGMA synchronous=FULL")
        self.meta: dict[str, Any] = {}
        self.positions: dict[int, OpenPosition] = {}
        self.orders: dict[int, Order] = {}
        self.revision = 0
        self._version = -1
        if not create:
            self.reload_if_changed()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def begin(self, *, meta: dict[str, Any], at: float) -> None:
        """Write a new account: its description and the deal of its first deposit."""
        self._db.executescript(SCHEMA)
        self.meta = {**meta, **deepcopy(LIVING), "processed": at, "version": VERSION}
        with self.change():
            for key in (*meta, "version"):
                self._put(key)
            deposit = float(meta["account"]["balance"])
            self.add_deal(Deal(self.next("deal"), 0, 0, "", 2, 0, 0, 0.0, 0.0, deposit, 0.0, 0.0, 0, "Deposit", at))

    def reload_if_changed(self) -> bool:
        """Read everything again when another process has written; tell whether it had."""
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return False
        self._load()
        self._version = version
        return True

    def _load(self) -> None:
        self.revision += 1
        self.meta = deepcopy(LIVING) | self._meta()
        version = self.meta.get("version", 1)
        if version > VERSION:
            raise StateError(f"{self._path} is of version {version}, this program reads up to {VERSION}: update it")
        rows = self._db.execute("SELECT row FROM positions ORDER BY identifier")
        self.positions = {p.identifier: p for p in (OpenPosition(**json.loads(r[0])) for r in rows)}
        rows = self._db.execute("SELECT row FROM orders ORDER BY ticket")
        self.orders = {o.ticket: o for o in (Order(**json.loads(r[0])) for r in rows)}

    def _meta(self) -> dict[str, Any]:
        try:
            return {k: json.loads(v) for k, v in self._db.execute("SELECT key, value FROM meta")}
        except (sqlite3.DatabaseError, ValueError) as problem:
            if isinstance(problem, sqlite3.OperationalError) and "locked" in str(problem):
                raise
            raise StateError(f"{self._path} is no account of the simulated terminal: {problem}") from None

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run one change: all of it is on disk afterwards, or nothing of it happened.

        Raises Moved, having changed nothing but what is in memory, when another process was faster.
        """
        self._db.execute("BEGIN IMMEDIATE")
        self.revision += 1
        try:
            if self._version != -1 and self.reload_if_changed():
                raise Moved
            yield
            if self.meta.get("version") != VERSION:
                self.describe("version", VERSION)
            for key in LIVING:
                self._put(key)
        except BaseException:
            self._db.execute("ROLLBACK")
            if self._version != -1:
                self._load()
            raise
        self._db.execute("COMMIT")
        self.revision += 1

    def next(self, counter: str) -> int:
        """Take the next order or deal ticket."""
        value: int = self.meta[counter]
        self.meta[counter] = value + 1
        return value

    def put_position(self, position: OpenPosition) -> None:
        """Store a new or changed position."""
        is_late = position.identifier not in self.positions and position.identifier < max(self.positions, default=0)
        self.positions[position.identifier] = position
        if is_late:  # a resting order that filled: every process shows positions in the same order
            self.positions = dict(sorted(self.positions.items()))
        self._db.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?)", (position.identifier, json.dumps(asdict(position)))
        )

    def drop_position(self, identifier: int) -> None:
        """Forget a closed position."""
        del self.positions[identifier]
        self._db.execute("DELETE FROM positions WHERE identifier = ?", (identifier,))

    def put_order(self, order: Order) -> None:
        """Store a resting order."""
        self.orders[order.ticket] = order
        self._db.execute("INSERT OR REPLACE INTO orders VALUES (?, ?)", (order.ticket, json.dumps(asdict(order))))

    def finish_order(self, order: Order) -> None:
        """Move an order into the history."""
        if self.orders.pop(order.ticket, None) is not None:
            self._db.execute("DELETE FROM orders WHERE ticket = ?", (order.ticket,))
        self._db.execute(
            "INSERT INTO history_orders VALUES (?, ?, ?, ?)",
            (order.ticket, order.position_id, order.done, json.dumps(asdict(order))),
        )

    def add_deal(self, deal: Deal) -> None:
        """Append to the ledger and move the balance by the deal's money."""
        self._db.execute(
            "INSERT INTO deals VALUES (?, ?, ?, ?, ?)",
            (deal.ticket, deal.position_id, deal.order, deal.at, json.dumps(asdict(deal))),
        )
        self.meta["balance"] = round(self.meta["balance"] + deal.profit + deal.swap + deal.commission, 2)

    def describe(self, key: str, value: Any) -> None:
        """Change a part of the account's description ("account", "symbols"), inside a change."""
        self.meta[key] = value
        self._put(key)

    def deals(self, where: str, *args: float) -> list[Deal]:
        """Read deals by a condition on position_id, order_ticket or at."""
        rows = self._db.execute(f"SELECT row FROM deals WHERE {where} ORDER BY ticket", args)  # noqa: S608 - a condition written here
        return [Deal(**json.loads(r[0])) for r in rows]

    def history(self, where: str, *args: float) -> list[Order]:
        """Read finished orders by a condition on ticket, position_id or done."""
        rows = self._db.execute(f"SELECT row FROM history_orders WHERE {where} ORDER BY ticket", args)  # noqa: S608 - a condition written here
        return [Order(**json.loads(r[0])) for r in rows]

    def _put(self, key: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(self.meta[key])))
