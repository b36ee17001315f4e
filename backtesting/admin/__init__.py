"""Admin of backtests: started, watched, looked at, compared; and a draft configuration tried on history."""

from backtesting.admin.runs import BacktestAdmin

__all__ = ["BacktestAdmin"]
