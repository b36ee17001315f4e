"""A small world to trade in: people, an account, a simulated broker on scripted prices, a virtual clock, a session."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accounts import services as account_services
from accounts.models import AccountRole, TradingAccount, User
from brokers.factory import open_gateway
from brokers.mt5.gateway import Mt5Gateway
from brokers.simulator.account import HEDGING, NETTING, AccountSpec, SymbolSetup, create_account, demo_symbols
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from brokers.simulator.truth import Truth, read_truth
from core.clock import VirtualClock
from core.ids import SeededIds
from cycles.models import Cycle
from engine.lease import HeldLease
from engine.report import compare_with_truth
from engine.session import AccountSession
from events.models import Event
from orders.models import Order
from strategies.models import Bot
from strategies.services import create_bot, set_bot_state

START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
BID, ASK = 1.10000, 1.10010
SPREAD = ASK - BID
# Ticks as (seconds after the start, bid, ask)
Script = Sequence[tuple[float, float, float]]
# Ten pips of distance and of profit, one order a side, nothing that depends on the hour
VALUES: dict[str, Any] = {"lot_size": 0.1, "distance": 10.0, "target_profit": 10.0, "direction": "buy", "max_cycles": 1}


class World:
    """Ada manages the account, Ben may look, Cem is outside. The broker's prices move when the test says so."""

    def __init__(
        self, folder: Path, *, balance: float = 10_000.0, past: Sequence[tuple[float, float]] = (), depth: float = 0.0,
        is_netting: bool = False, others: Sequence[tuple[SymbolSetup, float]] = (),
        markets: Mapping[SymbolSetup, Script] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Make the world; `past` are (seconds before the start, bid) of ticks that came before it, `depth` usual lots
        at each price of EURUSD (0: the broker shows none), `others` symbols whose price stands still, `markets` symbols
        whose prices are all said beforehand."""
        self.clock = VirtualClock(START)
        self.ids = SeededIds(7)
        self.ada, self.ben, self.cem = (
            User.objects.create_user(name, password="a long test password", is_staff=True)
            for name in ("ada", "ben", "cem")
        )
        self.state_file = folder / "terminal.sqlite"
        before = [(-seconds, bid, round(bid + SPREAD, 5)) for seconds, bid in past]
        script = {"EURUSD": [*sorted(before), (0.0, BID, ASK)]}
        script |= {one.name: [(0.0, bid, bid)] for one, bid in others}
        script |= {one.name: list(ticks) for one, ticks in markets.items()}
        mode = NETTING if is_netting else HEDGING
        spec = AccountSpec(
            1001, "pw", "Sim-Server", balance=balance, server_clock="ny+7", margin_mode=mode, investor="look only"
        )
        symbols = [replace(one, depth_lots=depth) if one.name == "EURUSD" else one for one in demo_symbols()]
        symbols += [*(one for one, _ in others), *markets]
        create_account(self.state_file, spec, symbols, FeedSpec.script(script, anchor=START), clock=self.clock)
        self.account: TradingAccount = account_services.create_account(
            name="Sim", login=1001, server="Sim-Server", password="pw",
            terminal_path=str(self.state_file), at=START, by=self.ada,
            margin_mode="netting" if is_netting else "hedging",
        )  # fmt: skip
        AccountRole.objects.create(user=self.ben, account=self.account, role="viewer")
        account_services.set_desired_state(account=self.account, state="running", at=START, by=self.ada)
        self.bid = BID
        self._said_at = 0.0
        self._session: AccountSession | None = None

    # Things to set up

    def bot(
        self, name: str = "Grid", strategy: str = "cycle-trader", symbols: Sequence[str] = ("EURUSD",), **values: Any
    ) -> Bot:
        """Create a running bot."""
        bot = create_bot(
            account=self.account, name=name, strategy=strategy, symbols=symbols,
            values={**(VALUES if strategy == "cycle-trader" else {}), **values}, at=self.clock.now(), by=self.ada,
        )  # fmt: skip
        set_bot_state(bot=bot, state="running", at=self.clock.now(), by=self.ada)
        return bot

    # The session

    @property
    def session(self) -> AccountSession:
        """The running session; started at the first use."""
        if self._session is None:
            self.start()
        assert self._session is not None
        return self._session

    def start(self, *, password: str = "pw") -> AccountSession:
        """Take the lease and start a session on a terminal of its own."""
        lease = HeldLease.acquire(self.account.pk, f"test:{self.ids.token(6)}", clock=self.clock)
        assert lease is not None, "another session holds the account"
        gateway = open_gateway(
            "simulator", login=1001, password=password, server="Sim-Server",
            options={"path": str(self.state_file)}, symbol_map={}, clock=self.clock,
        )  # fmt: skip
        self._session = AccountSession(self.account.pk, gateway=gateway, clock=self.clock, ids=self.ids, lease=lease)
        self._session.start()
        return self._session

    def run(self, seconds: float = 1.0) -> None:
        """Let the session work and the clock run; the market repeats its price once a second."""
        until = self.clock.ticks() + seconds
        while self.clock.ticks() < until:
            if self.clock.ticks() - self._said_at >= 1.0:
                self._say()
            delay = self.session.step()
            self.clock.advance(min(max(delay, 0.01), until - self.clock.ticks() + 1e-9))

    def crash(self) -> None:
        """Let the session vanish as SIGKILL would: nothing is closed, nothing released; the lease must run out."""
        self._session = None
        self.clock.advance(11)
        # The database's clock does not follow the virtual one
        from engine.models import Lease

        Lease.objects.filter(account=self.account).update(expires_at=None)

    def restart(self) -> AccountSession:
        """Crash, and start again."""
        self.crash()
        return self.start()

    # The market and the broker

    @property
    def terminal(self) -> SimulatedTerminal:
        """The terminal that the session talks to."""
        gateway = self.session.gateway
        assert isinstance(gateway, Mt5Gateway)
        terminal = gateway._terminal
        assert isinstance(terminal, SimulatedTerminal)
        return terminal

    def price(self, bid: float, *, run: float = 0.0) -> None:
        """Move the price; with `run`, let the session see it for that many seconds."""
        self.clock.advance(0.001)
        self.bid = round(bid, 5)
        self._say()
        if run:
            self.run(run)

    def _say(self) -> None:
        self.terminal.push_tick("EURUSD", self.bid, round(self.bid + SPREAD, 5))
        self._said_at = self.clock.ticks()

    def move(self, pips: float, *, run: float = 2.0) -> None:
        """Move the price by pips and let the session see it."""
        self.price(self.bid + pips * 0.0001, run=run)

    def by_hand(self) -> SimulatedTerminal:
        """Return a second terminal on the account, as a person at the broker would use it."""
        terminal = SimulatedTerminal(self.state_file, clock=self.clock, by_hand=True)
        assert terminal.initialize(login=1001, password="pw")
        return terminal

    # What came of it

    @property
    def truth(self) -> Truth:
        """What the broker has."""
        return read_truth(self.state_file)

    def open_orders(self) -> list[Order]:
        """The books' open orders, oldest first."""
        return list(Order.objects.filter(status="open").order_by("identifier"))

    def cycles(self, *statuses: str) -> list[Cycle]:
        """The cycles of these statuses (all when none is named), oldest first."""
        found = Cycle.objects.order_by("id")
        return list(found.filter(status__in=statuses) if statuses else found)

    def kinds(self) -> list[str]:
        """The journal's kinds, oldest first."""
        return list(Event.objects.order_by("id").values_list("kind", flat=True))

    def assert_equal(self) -> None:
        """Books equal broker: positions, ledger, and every order from exactly one intent."""
        compared = compare_with_truth(self.account.pk, self.truth)
        assert compared.equal, compared


def later(seconds: float) -> datetime:
    """Return the start of the world plus seconds."""
    return START + timedelta(seconds=seconds)
