"""What the jobs queue runs of backtests."""

from backtesting.services import run_asked
from core.clock import SystemClock


def run_backtest(backtest_id: int) -> str:
    """Run a backtest that a person asked for. Harmless when delivered twice."""
    return run_asked(backtest_id, clock=SystemClock())
