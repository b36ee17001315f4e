"""Admin of backtests: started, watched, looked at, compared; and a draft tried on history; and parity."""

from backtesting.admin.parity import ParityAdmin
from backtesting.admin.runs import BacktestAdmin

__all__ = ["BacktestAdmin", "ParityAdmin"]
