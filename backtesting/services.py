"""Named writes of backtests: begin one, run it, keep what came of it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from accounts.models import User
from backtesting.domain import Plan
from backtesting.models import Backtest
from backtesting.replay import Replay
from backtesting.report import plain
from backtesting.sources import Source
from brokers.simulator.account import AccountSpec
from core.clock import Clock
from risk.selectors import current_config
from strategies.models import BotConfig

LOGIN, SERVER = 1, "Backtest"


def account_of(source: Source, *, balance: float, leverage: int) -> AccountSpec:
    """Return the account to trade on: its currency is the one that the first symbol's profits come in."""
    return AccountSpec(LOGIN, "", SERVER, source.setups[0].currency_profit, balance, leverage)


def plan_of(config: BotConfig, source: Source, account: AccountSpec) -> Plan:
    """Put together what is to be replayed; entries are limited as the bot's account limits them."""
    return Plan(
        strategy=config.strategy,
        values=config.values,
        account=account,
        setups=source.setups,
        interval_seconds=config.bot.interval_seconds,
        limits=current_config(config.bot.account_id),
    )


def begin(*, config: BotConfig, source: Source, plan: Plan, by: User | None, clock: Clock) -> Backtest:
    """Write down that a backtest runs."""
    return Backtest.objects.create(
        config=config,
        source=source.text[:200],
        seed=source.seed,
        data_hash=source.history.digest(),
        plan=described(plan),
        created_by=by,
        created_at=clock.now(),
    )


def described(plan: Plan) -> dict[str, Any]:
    """Return what was assumed, as plain values; the account's password is not part of it."""
    account = {name: value for name, value in asdict(plan.account).items() if name != "password"}
    return {
        "strategy": plan.strategy,
        "values": dict(plan.values),
        "account": account,
        "symbols": [asdict(setup) for setup in plan.setups],
        "limits": plan.limits.model_dump(mode="json"),
    }


def run(
    backtest: Backtest, plan: Plan, source: Source, *, clock: Clock, told: Callable[[float], None] = lambda share: None
) -> Backtest:
    """Replay, and keep the result; a failure is kept with its reason and raised again."""

    def progress(share: float) -> None:
        Backtest.objects.filter(pk=backtest.pk).update(progress=share)
        told(share)

    try:
        backtest.result = plain(Replay(plan, source.history, progress=progress).run())
    except Exception as problem:
        backtest.status, backtest.error = Backtest.Status.FAILED, f"{type(problem).__name__}: {problem}"[:500]
        backtest.finished_at = clock.now()
        backtest.save(update_fields=["status", "error", "finished_at"])
        raise
    backtest.status, backtest.progress, backtest.finished_at = Backtest.Status.DONE, 1.0, clock.now()
    backtest.save(update_fields=["status", "progress", "result", "finished_at"])
    return backtest


def about(backtest: Backtest) -> dict[str, Any]:
    """Say what a report is of, for its head."""
    result = backtest.result or {}
    account = backtest.plan["account"]
    return {
        "Bot": f"{backtest.config}",
        "Strategy": f"{backtest.config.strategy} version {backtest.config.strategy_version}",
        "Prices": f"{backtest.source}, {result.get('ticks', 0):,} ticks",
        "Data hash": backtest.data_hash,
        "Account": f"{account['balance']:,.2f} {account['currency']}, leverage {account['leverage']}",
        "Parameters": backtest.plan["values"],
        "Refused": result.get("refused", {}),
        "Asked": f"{result.get('asked', 0):,} times at {result.get('looked', 0):,} ticks",
    }
