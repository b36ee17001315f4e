"""An account that lives in memory only: what a backtest trades on, where nothing has to survive a crash."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.feed import FeedSpec
from brokers.simulator.state import LIVING, Deal, OpenPosition, Order, State


class MemoryState(State):
    """The same books as a state file's, without the file. `ledger` and `finished` hold what a file keeps on disk."""

    def __init__(self, meta: Mapping[str, Any], *, at: float) -> None:
        self.ledger: list[Deal] = []
        self.finished: list[Order] = []
        self.positions: dict[int, OpenPosition] = {}
        self.orders: dict[int, Order] = {}
        self.revision = 0
        self.meta = {**meta, **deepcopy(LIVING), "processed": at}
        deposit = float(meta["account"]["balance"])
        self.add_deal(Deal(self.next("deal"), 0, 0, "", 2, 0, 0, 0.0, 0.0, deposit, 0.0, 0.0, 0, "Deposit", at))

    @classmethod
    def opened(cls, spec: AccountSpec, symbols: Sequence[SymbolSetup], feed: FeedSpec, *, at: float) -> "MemoryState":
        """Open an account; `at` in UTC epoch seconds."""
        return cls({"account": asdict(spec), "symbols": [asdict(s) for s in symbols], "feed": feed.to_json()}, at=at)

    def close(self) -> None:
        """Nothing is held."""

    def reload_if_changed(self) -> bool:
        """Nobody else can write."""
        return False

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run one change. One that fails is a programming error, and leaves the books as they are then."""
        self.revision += 1
        yield
        self.revision += 1

    def put_position(self, position: OpenPosition) -> None:
        """Keep a new or changed position."""
        is_late = position.identifier not in self.positions and position.identifier < max(self.positions, default=0)
        self.positions[position.identifier] = position
        if is_late:
            self.positions = dict(sorted(self.positions.items()))

    def drop_position(self, identifier: int) -> None:
        """Forget a closed position."""
        del self.positions[identifier]

    def put_order(self, order: Order) -> None:
        """Keep a resting order."""
        self.orders[order.ticket] = order

    def finish_order(self, order: Order) -> None:
        """Move an order into the history."""
        self.orders.pop(order.ticket, None)
        self.finished.append(order)

    def add_deal(self, deal: Deal) -> None:
        """Append to the ledger and move the balance by the deal's money."""
        self.ledger.append(deal)
        self.meta["balance"] = round(self.meta["balance"] + deal.profit + deal.swap + deal.commission, 2)
