"""Named writes of backtests: ask for one, run it, cancel it, keep what came of it."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django_q.tasks import async_task

from accounts.models import User
from backtesting.domain import Asked, BacktestError, Cancelled, Plan
from backtesting.models import Backtest
from backtesting.replay import Replay
from backtesting.report import guards_said, plain
from backtesting.sources import Source, from_candles, from_model
from brokers.simulator.account import AccountSpec
from core.clock import Clock
from marketdata.selectors import candle_store
from risk.selectors import current_config, news_between
from strategies.models import Bot, BotConfig

LOGIN, SERVER = 1, "Backtest"
QUEUE = "jobs"
TASK = "backtesting.tasks.run_backtest"
# A running backtest says how far it is many times a minute; one that is silent for so long has lost its worker
SILENT = timedelta(minutes=5)
Status = Backtest.Status


def account_of(source: Source, *, balance: float, leverage: int) -> AccountSpec:
    """Return the account to trade on: its currency is the one that the first symbol's profits come in."""
    return AccountSpec(LOGIN, "", SERVER, source.setups[0].currency_profit, balance, leverage)


def plan_of(config: BotConfig, source: Source, account: AccountSpec) -> Plan:
    """Put together what is to be replayed; entries are limited as the bot's account limits them."""
    return plan_for(config.bot, config.strategy, config.values, source, account)


def plan_for(bot: Bot, strategy: str, values: dict[str, Any], source: Source, account: AccountSpec) -> Plan:
    """Put together a replay of values that need not be saved."""
    return Plan(
        strategy=strategy,
        values=values,
        account=account,
        setups=source.setups,
        interval_seconds=bot.interval_seconds,
        limits=current_config(bot.account_id),
        news=news_between(*source.history.span),
    )


def source_of(bot: Bot, asked: Asked) -> Source:
    """Return the prices that a person asked for. Raises BacktestError."""
    if asked.seed is not None:
        return from_model(bot.symbols, seed=asked.seed, begin=asked.begin, end=asked.end)
    return from_candles(
        candle_store(), bot.account.server, bot.symbols,
        spread_pips=asked.spread_pips, begin=asked.begin, end=asked.end,
    )  # fmt: skip


def ask(*, config: BotConfig, asked: Asked, by: User, clock: Clock) -> Backtest:
    """Put a backtest into the queue; a worker of the jobs runs it."""
    with transaction.atomic():
        backtest = Backtest.objects.create(
            config=config, status=Status.QUEUED, asked=asked.as_json(), seed=asked.seed, created_by=by,
            created_at=clock.now(),
        )  # fmt: skip
        async_task(TASK, backtest.pk, cluster=QUEUE, task_name=f"backtest {backtest.pk}")
    return backtest


def cancel(*, backtest: Backtest, clock: Clock) -> bool:
    """End a backtest that waits or runs; tell whether there was one to end. A running one ends within moments."""
    ended = {"status": Status.CANCELLED, "cancel_asked": True, "finished_at": clock.now()}
    same = Backtest.objects.filter(pk=backtest.pk)
    if same.filter(status=Status.QUEUED).update(**ended):
        return True
    if same.filter(status=Status.RUNNING, heard_at__lt=clock.now() - SILENT).update(**ended):
        return True
    return bool(same.filter(status=Status.RUNNING).update(cancel_asked=True))


def run_asked(backtest_id: int, *, clock: Clock) -> str:
    """Run what was asked for, once however often the queue delivers it; return how it ended."""
    waiting = Backtest.objects.filter(pk=backtest_id, status=Status.QUEUED)
    if not waiting.update(status=Status.RUNNING, heard_at=clock.now()):
        return "nothing to do"
    backtest = Backtest.objects.select_related("config__bot__account").get(pk=backtest_id)
    asked = Asked.of_json(backtest.asked)
    try:
        source = source_of(backtest.config.bot, asked)
        plan = plan_of(backtest.config, source, account_of(source, balance=asked.balance, leverage=asked.leverage))
        _note(backtest, source, plan)
        run(backtest, plan, source, clock=clock)
    except BacktestError as problem:
        _end(backtest, Status.FAILED, clock, error=str(problem)[:500])
    except Cancelled:
        pass
    return str(backtest.status)


def begin(*, config: BotConfig, source: Source, plan: Plan, by: User | None, clock: Clock) -> Backtest:
    """Write down that a backtest runs."""
    backtest = Backtest(config=config, created_by=by, created_at=clock.now(), heard_at=clock.now())
    _note(backtest, source, plan)
    return backtest


def _note(backtest: Backtest, source: Source, plan: Plan) -> None:
    backtest.source, backtest.seed = source.text[:200], source.seed
    backtest.data_hash, backtest.plan = source.history.digest(), described(plan)
    backtest.save()


def described(plan: Plan) -> dict[str, Any]:
    """Return what was assumed, as plain values; the account's password is not part of it."""
    account = {name: value for name, value in asdict(plan.account).items() if name != "password"}
    return {
        "strategy": plan.strategy,
        "values": dict(plan.values),
        "account": account,
        "symbols": [asdict(setup) for setup in plan.setups],
        "limits": plan.limits.model_dump(mode="json"),
        "news": len(plan.news),
    }


def run(
    backtest: Backtest, plan: Plan, source: Source, *, clock: Clock, told: Callable[[float], None] = lambda share: None
) -> Backtest:
    """Replay, and keep the result; a failure is kept with its reason and raised again, as is Cancelled."""

    def progress(share: float) -> None:
        same = Backtest.objects.filter(pk=backtest.pk, status=Status.RUNNING, cancel_asked=False)
        if not same.update(progress=share, heard_at=clock.now()):
            raise Cancelled
        told(share)

    try:
        result = plain(Replay(plan, source.history, progress=progress).run())
    except Cancelled:
        _end(backtest, Status.CANCELLED, clock)
        raise
    except Exception as problem:
        _end(backtest, Status.FAILED, clock, error=f"{type(problem).__name__}: {problem}"[:500])
        raise
    _end(backtest, Status.DONE, clock, progress=1.0, result=result)
    return backtest


def _end(backtest: Backtest, status: str, clock: Clock, **fields: Any) -> None:
    """Write the end of a running backtest; one that was given up in the meantime stays as it is."""
    fields |= {"status": status, "finished_at": clock.now()}
    if Backtest.objects.filter(pk=backtest.pk, status=Status.RUNNING).update(**fields):
        for name, value in fields.items():
            setattr(backtest, name, value)


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
        "Guards": guards_said(result.get("guards", ())),
        "Asked": f"{result.get('asked', 0):,} times at {result.get('looked', 0):,} ticks",
    }
