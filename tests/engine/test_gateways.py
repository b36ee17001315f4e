"""The whole engine, unchanged, on every gateway's fake: cycles open and close, and books equal broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts import services
from accounts.models import TradingAccount
from brokers.domain import Side
from brokers.gateway import StreamSource
from core.clock import SystemClock
from core.ids import SeededIds
from cycles.models import Cycle
from engine.lease import HeldLease
from engine.session import AccountSession
from events.models import Event
from orders.models import Deal, Order, OrderIntent
from strategies.services import create_bot, set_bot_state
from tests.brokers.conformance.bench import BID, Bench
from tests.brokers.conformance.table import BENCHES, titles
from tests.world import VALUES

SPREAD = 0.0001


class Desk:
    """A session on a bench, and a market that repeats its price once a second."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.bid = BID
        self.lots = 0
        gateway = bench.gateway()
        gateway.connect()
        state = gateway.account()
        gateway.close()
        self.account: TradingAccount = services.create_account(
            name="Any", login=state.login, server=state.server, terminal_path="x", at=bench.clock.now(),
            margin_mode=state.margin_mode, currency=state.currency,
        )  # fmt: skip
        services.set_desired_state(account=self.account, state="running", at=bench.clock.now())
        lease = HeldLease.acquire(self.account.pk, "test", clock=bench.clock)
        assert lease is not None
        self.session = AccountSession(
            self.account.pk, gateway=bench.gateway(), clock=bench.clock, ids=SeededIds(3), lease=lease
        )
        self.session.start()

    def bot(self, **values: Any) -> None:
        now = self.bench.clock.now()
        bot = create_bot(
            account=self.account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], at=now,
            values={**VALUES, **values},
        )  # fmt: skip
        set_bot_state(bot=bot, state="running", at=now)

    def run(self, seconds: int, *, pips: float = 0.0) -> None:
        """Move the price, then let the session work."""
        self.bid = round(self.bid + pips * 1e-4, 5)
        for _ in range(seconds):
            self.bench.price(self.bid, round(self.bid + SPREAD, 5))
            self._until_heard()
            for _ in range(2):
                self.session.step()

    def _until_heard(self) -> None:
        """Wait until a gateway whose prices come by themselves, in a thread, has heard the price that was said."""
        clock, gateway = SystemClock(), self.session.gateway
        began = clock.ticks()
        while isinstance(gateway, StreamSource) and (quote := gateway.streamed("EURUSD")) is not None:
            if quote.bid == pytest.approx(self.bid):
                return
            assert clock.ticks() - began < 60, "the stream does not bring the price"
            clock.sleep(0.005)

    def assert_equal(self) -> None:
        """What the books have open is what the broker has, and every deal is in the books once."""
        opened = Order.objects.filter(status="open")
        books = sum(float(o.volume) * (1 if o.side == "buy" else -1) for o in opened)
        assert books == pytest.approx(self.bench.open_lots())
        book = self.session.gateway.book()
        assert {o.identifier for o in opened} == {p.identifier for p in book.positions}
        net = sum(d.profit + d.swap + d.commission + d.fee for d in Deal.objects.all())
        assert float(net) + self.bench.untold_deposit == pytest.approx(book.account.balance, abs=0.02)


@pytest.fixture(params=BENCHES, ids=titles())
def desk(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Desk]:
    settings.VAR_DIR = tmp_path
    make: Callable[[Path], Bench] = request.param
    bench = make(tmp_path)
    made = Desk(bench)
    yield made
    made.session.gateway.close()
    bench.close()


@pytest.mark.requirement("S1-68")
def test_a_cycle_opens_adds_a_leg_and_closes_at_its_target(desk: Desk) -> None:
    desk.bot()
    desk.run(3)
    desk.run(3, pips=-11)
    # An account that nets has one position: the second leg joins it
    assert Order.objects.filter(status="open").count() == (1 if desk.account.merges_positions else 2)
    assert OrderIntent.objects.count() == 2
    desk.assert_equal()
    desk.run(5, pips=25)
    assert Cycle.objects.filter(status="closed").exists()
    assert set(OrderIntent.objects.values_list("state", flat=True)) == {"filled"}
    desk.assert_equal()


def test_a_lost_reply_is_adopted_and_a_lost_request_ends_in_a_new_try(desk: Desk) -> None:
    desk.bench.lose_reply()
    desk.bot(target_profit=1000.0, entry_cooldown=5)
    desk.run(12)
    assert OrderIntent.objects.order_by("id")[0].state == "adopted"
    assert Order.objects.filter(status="open").count() == 1
    desk.bench.lose_request()
    desk.run(70, pips=-11)
    assert list(OrderIntent.objects.order_by("id").values_list("state", flat=True))[1] == "absent"
    desk.assert_equal()


def test_a_hand_at_the_broker_is_no_bots_order(desk: Desk) -> None:
    desk.bot(target_profit=1000.0)
    desk.run(3)
    desk.bench.by_hand(Side.BUY, 0.05)
    desk.run(5)
    assert Order.objects.filter(status="open", bot__isnull=False).count() == 1
    assert not Event.objects.filter(level="error").exists()
