"""Faults of the catalogue that no other test rehearses on a whole account."""

from typing import Any

from accounts.models import TradingAccount
from core import crashpoints
from core.clock import SystemClock, VirtualClock
from core.ids import SeededIds
from engine.registry import register
from engine.runner import STUCK_SECONDS, Runner
from engine.tasks import run_runner
from orders.models import OrderIntent
from orders.services import settle
from risk.models import Block
from risk.selectors import standing_blocks
from strategies.models import BotConfig
from tests.world import START, World

HELD: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0}


def states() -> list[str]:
    return list(OrderIntent.objects.order_by("id").values_list("state", flat=True))


def test_a_take_profit_that_fires_while_a_close_is_sent_closes_once(world: World) -> None:
    world.bot(**{**HELD, "target_profit": 5.0, "take_profit": 20.0})
    world.run(3)
    assert len(world.open_orders()) == 1

    def fire(name: str) -> None:
        if name == "send:passed":
            world.clock.advance(0.001)
            world.by_hand().push_tick("EURUSD", 1.1050, 1.1051)

    with crashpoints.rehearsed(fire):
        world.move(+15)
    world.run(5)
    assert world.truth.positions == ()
    assert sum(deal.entry == 1 for deal in world.truth.deals) == 1
    assert not OrderIntent.objects.exclude(state__in=("filled", "adopted", "refused")).exists()
    world.assert_equal()


def test_nothing_is_entered_on_prices_that_stand_still(world: World) -> None:
    world.start()
    world.clock.advance(30)
    world.bot(**HELD)
    session = world.session
    for _ in range(20):
        world.clock.advance(max(session.step(), 0.05))
    assert OrderIntent.objects.count() == 0
    world.run(30)
    assert states() == ["filled"]


def test_a_strategy_that_raises_is_parked_and_others_go_on(world: World) -> None:
    broken = world.bot("Broken", **HELD)
    BotConfig.objects.filter(bot=broken).update(values={"distance": "far"})
    world.bot("Whole", **HELD)
    world.run(3)
    assert states() == ["filled"]
    assert OrderIntent.objects.get().bot is not None
    assert OrderIntent.objects.get().bot != broken
    assert Block.objects.filter(bot=broken, cause="strategy", lifted_at__isnull=True).count() == 1


def test_a_person_who_was_wrong_is_corrected_by_evidence(world: World) -> None:
    world.terminal.faults.delayed_execution(30.0)
    world.bot(**HELD)
    world.run(5)
    (intent,) = OrderIntent.objects.all()
    assert settle(intent_id=intent.pk, reason="surely lost", by=world.ada, at=world.clock.now())
    world.run(40)
    assert states() == ["adopted"]
    assert len(world.open_orders()) == len(world.truth.positions) == 1
    assert "late_execution" in {block[1] for block in standing_blocks(world.account.pk)}


class HungThread:
    """Stands where an account's thread does whose call to the broker has not come back since `stepping_since`."""

    def __init__(self, stepping_since: float) -> None:
        self.stepping_since = stepping_since
        self.is_asked = False
        self.is_starting = False

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        self.is_asked = True

    def join(self, timeout: float) -> None:
        """It never ends."""


def test_a_call_to_the_broker_that_never_returns_ends_the_runner(world: World) -> None:
    TradingAccount.objects.update(desired_state="stopped")
    clock = VirtualClock(START)
    clock.advance(STUCK_SECONDS + 10)
    runner = Runner(clock=clock, ids=SeededIds(1), token="t", labels=[], is_orphan=lambda: False)
    hung = HungThread(clock.ticks() - STUCK_SECONDS - 1)
    runner.threads[world.account.pk] = hung  # type: ignore[assignment]
    assert runner.run() == f"a call to the broker of account {world.account.pk} does not return"
    assert hung.is_asked


def test_a_runner_that_is_delivered_twice_is_harmless(transactional_db: None) -> None:
    at = SystemClock().now()
    register("here:runner:1:abc", "runner", [], at)
    assert run_runner("abc") == "runner abc runs already"
