"""What keeps backtests from lying, and what takes its place."""

from tools.mutant import Mutant, removed

REPLAY, BITE = "tests/backtesting/test_replay.py", "tests/backtesting/test_checks_bite.py"
FUTURE = f"{REPLAY}::test_truncating_the_future_changes_nothing_before_it"
JUMPING = f"{REPLAY}::test_jumping_comes_to_the_same_as_asking_at_every_tick"
ENGINE = "tests/backtesting/test_engine.py::test_a_backtest_comes_to_the_cycles_legs_and_prices_of_the_engine"
FORGETFUL = f"{BITE}::test_the_contract_refuses_a_strategy_that_breaks_it"

REPLAY_MUTANTS: tuple[Mutant, ...] = (
    removed(
        "a candle is known once it has closed", "backtesting/history.py",
        "count = bisect_right(self.opened, at - CANDLE_SECONDS)", FUTURE,
        by="count = bisect_right(self.opened, at)",
    ),
    removed(
        "a replay jumps no further than a level", "backtesting/replay.py",
        "        row[column] = max(row[column], watch.level + SLACK)", JUMPING,
        by="        pass",
    ),
    removed(
        "the best net of a cycle follows every tick", "backtesting/replay.py",
        "                cycle.best_net = cycle.best", ENGINE,
        by="                pass",
    ),
    removed(
        "the broker's own events are looked at", "backtesting/replay.py",
        "        touches = broker.touches.copy()", JUMPING,
        by="        touches = broker.touches.copy() * 0 + np.array([-NEVER, NEVER, -NEVER, NEVER, -NEVER])",
    ),
    removed(
        "the contract asks at other prices", "tests/strategies/contract.py",
        "        for price in (other, *ladder(here.quote)):", FORGETFUL,
        by="        for price in ():",
    ),
    removed(
        "the contract asks twice", "tests/strategies/contract.py",
        "    assert spec.decide(seen, params) == first\n", FORGETFUL,
    ),
    removed(
        "the optimiser's figures are of this code", "backtesting/management/commands/optimize.py",
        '            "code": code_hash(spec),\n',
        "tests/backtesting/test_optimize.py::test_figures_of_other_code_are_not_taken",
    ),
)  # fmt: skip
