"""A strategy that hangs is ended, and neither guards nor kill switch wait for it."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from engine.watchdog import TookTooLong, limited
from orders.models import OrderIntent
from risk.models import Block
from risk.services.killing import kill
from strategies import registry
from strategies.domain import Decision, View
from strategies.params import StrategyParams
from tests.world import World

HANGING = {"now": False}


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """Register a strategy that trades as a grid does, and hangs from when the test says so."""
    grid = registry.get("cycle-trader")

    def decide(view: View, params: StrategyParams) -> Decision:
        while HANGING["now"]:
            pass
        return grid.decide(view, params)

    registry.strategy(slug="hanging", version=1, params=grid.params)(decide)
    monkeypatch.setattr("engine.trading.DECISION_SECONDS", 0.2)
    yield HANGING
    HANGING["now"] = False
    del registry._registered["hanging"]


def hang() -> None:
    with limited(0.2):
        while True:
            pass


def test_a_block_that_takes_too_long_is_ended_and_the_next_one_is_not() -> None:
    started = time.monotonic()
    with pytest.raises(TookTooLong):
        hang()
    assert time.monotonic() - started < 5
    for _ in range(200):
        with limited(0.2):
            pass
    total = sum(range(2_000_000))
    assert total > 0


PROFILED = """
import time
from engine.watchdog import TookTooLong, limited
for seconds, block in ((60, 0.0), (0.2, 60.0)):
    try:
        with limited(seconds):
            until = time.monotonic() + block
            while time.monotonic() < until:
                pass
    except TookTooLong:
        print("ended")
print(sum(len(str(number)) for number in range(1000)))
"""


def test_a_profiler_goes_on_after_a_block_that_was_in_time_and_after_one_that_was_not() -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import cProfile; cProfile.run({PROFILED!r})"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert run.stdout.split()[:2] == ["ended", "2890"]


def test_a_hanging_strategy_is_parked_and_flattened_by_the_kill_switch(world: World, hanging: dict[str, bool]) -> None:
    bot = world.bot(strategy="hanging")
    world.run(3)
    assert len(world.truth.positions) == 1
    hanging["now"] = True
    world.run(3)
    assert Block.objects.get(lifted_at=None, cause="strategy").bot_id == bot.pk
    kill(mode="flatten", reason="hangs", confirmation="Sim", account=world.account, by=world.ada, at=world.clock.now())
    world.run(3)
    assert not world.truth.positions
    assert OrderIntent.objects.filter(kind="close", why="kill switch").count() == 1
