"""The checks against lying can fail: each is red once the property that it holds is broken on purpose."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from backtesting.history import Charts
from backtesting.replay import Replay
from brokers.domain import Side
from marketdata.indications import average_true_range
from strategies import registry
from strategies.domain import Decide, Decision, OpenCycle, PriceTouch, View
from tests.backtesting import test_replay as checks
from tests.backtesting.markets import history, plan, traded
from tests.strategies import contract
from tests.strategies.test_cycle_trader import PARAMS

TRADER = "cycle-trader"
SEEDS = range(3)
# The first example that fails will do
UNSHRUNK = settings(
    contract.EXAMPLES,
    # The same examples each time: by chance, a broken rule is once in a while not met
    derandomize=True,
    phases=[Phase.generate],
    max_examples=1500,
    suppress_health_check=list(HealthCheck),
    database=None,
)
Change = Callable[[Decide], Decide]


@pytest.fixture
def swap(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], registry.StrategySpec]:
    """Give what puts another decision in the place of CycleTrader's, and returns the strategy as it then is."""
    spec = registry.get(TRADER)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def put(change: Change) -> registry.StrategySpec:
        made = registry._registered[TRADER] = replace(spec, decide=change(spec.decide))
        return made

    return put


def is_red(run: Callable[[int], None]) -> bool:
    """Tell whether a check fails for one of a few markets."""
    for seed in SEEDS:
        try:
            run(seed)
        except AssertionError:
            return True
    return False


def forgetful(decide: Decide) -> Decide:
    """Keep the watch on the next level to oneself."""

    def deciding(view: View, params: Any) -> Decision:
        found = decide(view, params)
        return replace(found, watches=tuple(w for w in found.watches if not isinstance(w, PriceTouch)))

    return deciding


def blind(decide: Decide) -> Decide:
    """Name no watch at all."""
    return lambda view, params: replace(decide(view, params), watches=())


def moody(decide: Decide) -> Decide:
    """Be tired after a while of being asked."""
    questions = count()
    return lambda view, params: decide(view, params) if next(questions) < 40 else Decision()


def fickle(decide: Decide) -> Decide:
    """Answer only two times out of three."""
    questions = count()
    return lambda view, params: decide(view, params) if next(questions) % 3 else Decision()


def greedy(decide: Decide) -> Decide:
    """Ask for a volume that the symbol does not take."""
    return lambda view, params: Decision((OpenCycle(Side.BUY, 0.015, "too fine"),))


def headstrong(decide: Decide) -> Decide:
    """Enter while entries are blocked."""
    return lambda view, params: decide(replace(view, entries_blocked=None), params)


def test_a_forgotten_watch_shows_where_jumping_is_compared_with_every_tick(swap: Any) -> None:
    def run(seed: int) -> None:
        checks.assert_jumping_is_asking_at_every_tick("grid", seed, 10_000.0)

    assert not is_red(run)
    swap(forgetful)
    assert is_red(run)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (blind, contract.watchful),
        (fickle, contract.pure),
        (greedy, contract.bounded),
        (headstrong, contract.obedient),
    ],
)
def test_the_contract_refuses_a_strategy_that_breaks_it(change: Change, rule: Any, swap: Any) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)):
        contract.check(swap(change), PARAMS, rules=[rule], examples=UNSHRUNK)


def test_a_strategy_that_remembers_by_itself_shows_in_a_rerun(swap: Any) -> None:
    def rerun(seed: int) -> None:
        first, second = (Replay(plan(**checks.PLANS["grid"]), history(seed)).run() for _ in range(2))
        assert traded(first) == traded(second)

    assert not is_red(rerun)
    swap(moody)
    assert is_red(rerun)


def test_an_average_range_of_candles_to_come_shows_as_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int) -> None:
        checks.assert_the_future_is_unknown("atr", seed, cut=120)

    assert not is_red(run)

    def of_everything(self: Charts, at: float) -> float | None:
        return average_true_range(self.high.tolist()[-80:], self.low.tolist()[-80:], self.close.tolist()[-80:])

    monkeypatch.setattr(Charts, "atr", of_everything)
    assert is_red(run)


def test_a_signal_of_the_candles_to_come_shows_as_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int) -> None:
        checks.assert_the_future_is_unknown("signal", seed, cut=120)

    assert not is_red(run)
    indicated = Charts.indicated

    def early(self: Charts) -> tuple[Any, Any]:
        known, values = indicated(self)
        return np.maximum(known - 3600.0, known[0]), values

    monkeypatch.setattr(Charts, "indicated", early)
    assert is_red(run)
