"""The account as a state machine: whatever is asked for in whatever order, the books add up (hypothesis).

`make soak-simulator` runs ten thousand examples of it.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from brokers.simulator.account import EXCHANGE, HEDGING, NETTING, SymbolSetup
from brokers.simulator.server_time import to_server
from brokers.simulator.truth import read_truth
from tests.brokers.simulator.conftest import Rig

EXAMPLES = int(os.environ.get("SIMULATOR_EXAMPLES", "25"))
STEPS = 30
FINAL = {2, 4, 5, 6}
RESTING = {1, 3}
CENT = 0.005
EURUSD = SymbolSetup("EURUSD", depth_lots=1.0, depth_steps=4, slippage_points=3, execution=3, filling_mask=7)
USDJPY = SymbolSetup(
    "USDJPY", digits=3, currency_base="USD", currency_profit="JPY", sessions="Mon-Fri 00:05-23:55", swap_mode=7,
    margin_hedged=50_000.0, margin_hedged_use_leg=False, filling_mask=7,
)  # fmt: skip
AROUND = {"EURUSD": 1.1, "USDJPY": 150.0}

names = st.sampled_from(sorted(AROUND))
sides = st.integers(0, 1)
lots = st.integers(1, 300).map(lambda n: round(n * 0.01, 2))
moves = st.integers(-1500, 1500)
# Mostly ahead of the price on the side that is allowed, now and then not
distances = st.integers(-30, 300)
stops = st.tuples(distances, distances)
# On which side of the price a resting order waits: limits of buys below it, stops above
AHEAD = {2: -1, 3: 1, 4: 1, 5: -1, 6: 1, 7: -1}
which = st.integers(0, 30)


class Account(RuleBasedStateMachine):
    """An account whose owner does anything, on a market that does anything."""

    margin_mode = HEDGING

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        account = {"balance": 3000.0, "leverage": 500, "margin_mode": self.margin_mode}
        self.rig = Rig(Path(self.folder.name), symbols=(EURUSD, USDJPY), **account)
        # Nothing has to survive a crash of this machine
        exchange = self.rig.mt5._exchange
        assert exchange is not None
        exchange.state._db.execute("PRAGMA synchronous=OFF")
        self.bids = dict(AROUND)
        for name, bid in AROUND.items():
            self.rig.price(bid, spread=self.spread(name), symbol=name)

    def teardown(self) -> None:
        self.rig.mt5.shutdown()
        self.folder.cleanup()

    @staticmethod
    def point(name: str) -> float:
        return 1e-5 if name == "EURUSD" else 1e-3

    def spread(self, name: str) -> float:
        return 10 * self.point(name)

    def near(self, name: str, points: int) -> float:
        """Return a price so many points away; 0.0 for none."""
        return round(self.bids[name] + points * self.point(name), 5 if name == "EURUSD" else 3) if points else 0.0

    def levels(self, name: str, kind: int, stop: tuple[int, int]) -> tuple[float, float]:
        """Return stop loss and take profit so far behind and ahead of the price."""
        side = 1 if kind == 0 else -1
        return self.near(name, -side * stop[0]), self.near(name, side * stop[1])

    def pick(self, number: int) -> Any:
        positions = self.rig.mt5.positions_get() or ()
        return positions[number % len(positions)] if positions else None

    def open_positions(self) -> int:
        return len(self.rig.mt5.positions_get() or ())

    # The market

    @rule(name=names, move=moves, after=st.integers(1, 4000))
    def tick(self, name: str, move: int, after: int) -> None:
        self.bids[name] = self.near(name, move) or self.bids[name]
        self.rig.price(self.bids[name], spread=self.spread(name), symbol=name, after=float(after))

    @rule(hours=st.integers(1, 80))
    def time(self, hours: int) -> None:
        self.rig.clock.advance(hours * 3600.0)

    # The owner

    @rule(name=names, kind=sides, volume=lots, stop=stops, filling=st.integers(0, 2))
    def trade(self, name: str, kind: int, volume: float, stop: tuple[int, int], filling: int) -> None:
        sl, tp = self.levels(name, kind, stop)
        self.rig.send(action=1, symbol=name, volume=volume, type=kind, sl=sl, tp=tp, type_filling=filling, magic=3)

    @rule(
        name=names, kind=st.integers(2, 7), volume=lots, away=distances, limit=distances, filling=st.integers(0, 3),
        life=st.integers(0, 3), seconds=st.integers(-100, 200_000),
    )  # fmt: skip
    def rest(
        self, name: str, kind: int, volume: float, away: int, limit: int, filling: int, life: int, seconds: int
    ) -> None:
        expiration = int(to_server("ny+7", self.rig.clock.now().timestamp())) + seconds
        self.rig.send(
            action=5, symbol=name, volume=volume, type=kind, price=self.near(name, AHEAD[kind] * away),
            stoplimit=self.near(name, AHEAD[kind] * (away - limit)) if kind > 5 else 0.0, type_filling=filling,
            type_time=life, expiration=expiration if life > 1 else 0,
        )  # fmt: skip

    @precondition(lambda self: self.open_positions())
    @rule(number=which, volume=lots, whole=st.booleans(), filling=st.integers(0, 2))
    def close(self, number: int, volume: float, whole: bool, filling: int) -> None:
        p = self.pick(number)
        lots_ = p.volume if whole else volume
        self.rig.send(
            action=1, symbol=p.symbol, volume=lots_, type=1 - p.type, position=p.ticket, type_filling=filling
        )  # fmt: skip

    @precondition(lambda self: self.open_positions() > 1)
    @rule(one=which, other=which)
    def close_by(self, one: int, other: int) -> None:
        first = self.pick(one)
        opposite = [p for p in self.rig.mt5.positions_get(symbol=first.symbol) or () if p.type != first.type]
        second = opposite[other % len(opposite)] if opposite else self.pick(other)
        self.rig.send(action=10, position=first.ticket, position_by=second.ticket)

    @precondition(lambda self: self.open_positions())
    @rule(number=which, stop=stops)
    def change_stops(self, number: int, stop: tuple[int, int]) -> None:
        p = self.pick(number)
        sl, tp = self.levels(p.symbol, p.type, stop)
        self.rig.send(action=6, symbol=p.symbol, position=p.ticket, sl=sl, tp=tp)

    @rule(number=which, away=moves, remove=st.booleans())
    def change_order(self, number: int, away: int, remove: bool) -> None:
        orders = self.rig.mt5.orders_get() or ()
        if orders:
            o = orders[number % len(orders)]
            price = self.near(o.symbol, AHEAD.get(o.type, 1) * away)
            self.rig.send(action=8 if remove else 7, order=o.ticket, price=price, stoplimit=o.price_stoplimit)

    @rule()
    def restart(self) -> None:
        self.rig.mt5.shutdown()
        assert self.rig.mt5.initialize()

    # What must hold whatever happens

    @invariant()
    def the_ledger_is_the_balance(self) -> None:
        info, deals = self.rig.mt5.account_info(), self.rig.mt5.history_deals_get(0, 2**31 - 1)
        assert info is not None
        assert deals is not None
        assert abs(sum(d.profit + d.swap + d.commission + d.fee for d in deals) - info.balance) < CENT
        positions = self.rig.mt5.positions_get() or ()
        assert abs(info.balance + sum(p.profit + p.swap for p in positions) - info.equity) < CENT
        assert info.margin >= 0
        assert abs(info.equity - info.margin - info.margin_free) < CENT

    @invariant()
    def every_position_follows_from_its_deals(self) -> None:
        truth = read_truth(self.rig.file)
        held: dict[int, float] = {}
        for deal in truth.deals:
            if deal.position_id:
                signed = deal.volume if deal.type == 0 else -deal.volume
                held[deal.position_id] = round(held.get(deal.position_id, 0.0) + signed, 8)
        open_ = {p.identifier: p.volume if p.type == 0 else -p.volume for p in truth.positions}
        assert {i: v for i, v in held.items() if v} == open_
        if self.margin_mode != HEDGING:
            assert len({p.symbol for p in truth.positions}) == len(truth.positions)

    @invariant()
    def every_order_rests_or_ended_once(self) -> None:
        truth = read_truth(self.rig.file)
        resting, ended = [o.ticket for o in truth.orders], [o.ticket for o in truth.history]
        assert len({*resting, *ended}) == len(resting) + len(ended)
        assert {o.state for o in truth.orders} <= RESTING
        assert {o.state for o in truth.history} <= FINAL
        filled: dict[int, float] = {}
        for deal in truth.deals:
            # Both deals of a close-by are of the same lots
            counted = deal.volume / 2 if deal.entry == 3 else deal.volume
            filled[deal.order] = round(filled.get(deal.order, 0.0) + counted, 8)
        for o in (*truth.orders, *truth.history):
            assert abs(filled.get(o.ticket, 0.0) - (o.volume - o.volume_left)) < 1e-6, o
            assert o.state != 4 or o.volume_left == 0, o


class NettingAccount(Account):
    margin_mode = NETTING


class ExchangeAccount(Account):
    margin_mode = EXCHANGE


PROFILE = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
TestHedging = Account.TestCase
TestHedging.settings = PROFILE
TestNetting = NettingAccount.TestCase
TestNetting.settings = PROFILE
TestExchange = ExchangeAccount.TestCase
TestExchange.settings = PROFILE
