"""What the jobs queue runs of backtests."""

from datetime import date

from backtesting.parity.measuring import ask_for_due, measure
from backtesting.services import run_asked
from core.clock import SystemClock
from strategies.models import Bot


def run_backtest(backtest_id: int) -> str:
    """Run a backtest that a person asked for. Harmless when delivered twice."""
    return run_asked(backtest_id, clock=SystemClock())


def parity_round() -> int:
    """Ask for the parity of every day that is over and not measured; return of how many bots. Runs every hour."""
    return ask_for_due(clock=SystemClock())


def measure_parity(bot_id: int, day: str) -> str:
    """Measure one bot's day (ISO date of the broker's clock). Harmless when delivered twice."""
    bot = Bot.objects.select_related("account").get(pk=bot_id)
    return str(measure(bot, date.fromisoformat(day), clock=SystemClock()).status)
