"""Measure a bot's day: replay it on what was recorded, compare, keep the report, and tell of a drift too large."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from accounts.models import TradingAccount
from backtesting.domain import BacktestError, LegRecord, Plan, Result
from backtesting.history import History
from backtesting.models import ParityReport
from backtesting.parity import books
from backtesting.parity.domain import Cause, Step, TradedLeg, as_row, compare, totals
from backtesting.parity.prices import Recorded, recorded
from backtesting.replay import Replay
from backtesting.services import LOGIN, QUEUE, SERVER
from brokers.simulator.account import AccountSpec
from core.clock import Clock
from events.services import record
from marketdata.selectors import candle_store, tick_store
from risk.peaks import peak_at
from risk.selectors import current_config, news_between
from strategies.models import Bot, BotConfig

DRIFTED = "PARITY_DRIFT"
TASK = "backtesting.tasks.measure_parity"
SETTLE = timedelta(minutes=10)
BALANCE, LEVERAGE = 10_000.0, 500
ROWS_MAX = 500
REASON_LENGTH_MAX = 300
Status = ParityReport.Status


def measure(bot: Bot, day: date, *, clock: Clock) -> ParityReport:
    """Measure one day of the broker's clock, again when it was measured before."""
    begin, end = books.span_of(bot.account_id, day)
    values: dict[str, Any]
    try:
        values = _measured(bot, begin, end)
    except BacktestError as problem:
        values = {**NOTHING, "status": Status.SKIPPED, "note": str(problem)[:REASON_LENGTH_MAX]}
    return _keep(bot, day, values, at=clock.now())


NOTHING: Mapping[str, Any] = {
    "config": None, "begin": None, "end": None, "live_legs": 0, "replay_legs": 0, "live_net": 0, "replay_net": 0,
    "drift": 0, "limit": 0, "is_over": False, "causes": {}, "rows": [], "data_hash": "",
}  # fmt: skip


def _measured(bot: Bot, begin: datetime, end: datetime) -> dict[str, Any]:
    config = books.config_of(bot, end)
    if config is None:
        raise BacktestError("the bot had no configuration on that day")
    prices = _prices(bot, config, begin, end)
    from_at = books.flat_from(bot, begin, end, earliest=_earliest(config, prices))
    if from_at is None:
        raise BacktestError("the bot was never without an open cycle since ticks are recorded: nothing to replay from")
    plan, history = _plan(bot, config, prices, from_at, end)
    replay = Replay(plan, history)
    result = replay.run()
    worth = {symbol: replay.desk.spec(symbol).value_per_price for symbol in prices}
    first = max(begin, from_at)
    live = books.live_legs(bot, first, end, prices, worth)
    ideal = [leg for leg in _ideal(result, prices, worth, end) if leg.opened_at >= first.timestamp()]
    pairs = compare(live, ideal, books.evidence_of(bot, first, end, prices))
    causes = totals(pairs)
    drift = round(sum(pair.drift for pair in pairs), 2) + 0.0
    # Cents that the rounding of each cause left over
    causes[Cause.OTHER] = round(causes[Cause.OTHER] + drift - sum(causes.values()), 2) + 0.0
    limit = (books.balance_before(bot.account_id, begin) or 0.0) * settings.PARITY_LIMIT / 100
    moved = sorted(pairs, key=lambda pair: -abs(pair.drift))[:ROWS_MAX]
    return {
        "status": Status.MEASURED,
        "note": f"compared from {first:%H:%M:%S} UTC on" if first > begin else "",
        "config": config,
        "begin": first,
        "end": end,
        "live_legs": len(live),
        "replay_legs": len(ideal),
        "live_net": round(sum(leg.net for leg in live), 2),
        "replay_net": round(sum(leg.net for leg in ideal), 2),
        "drift": drift,
        "limit": round(limit, 2),
        "is_over": limit > 0 and abs(drift) > limit,
        "causes": {cause.value: part for cause, part in causes.items()},
        "rows": [as_row(pair) for pair in moved],
        "data_hash": history.digest(),
    }


def _prices(bot: Bot, config: BotConfig, begin: datetime, end: datetime) -> dict[str, Recorded]:
    """Read what was recorded of the day; and of the days before it, as long as nothing is missing in between."""
    store, candles = tick_store(bot.account_id), candle_store()
    since = max(begin - timedelta(days=settings.TICKS_DAYS), min(begin, config.created_at))
    found = {}
    for symbol in bot.symbols:
        if not len(store.between(symbol, begin, end)):
            raise BacktestError(f"{symbol}: no ticks were recorded on that day")
        found[symbol] = recorded(
            store, candles, bot.account.server, symbol, since.timestamp(), end.timestamp(),
            fresh_seconds=settings.QUOTE_SECONDS,
        )  # fmt: skip
    return found


def _earliest(config: BotConfig, prices: Mapping[str, Recorded]) -> datetime:
    """Return from when on every symbol has prices and the configuration was in force."""
    first = max(float(known.seen.at[0]) for known in prices.values())
    return max(config.created_at, datetime.fromtimestamp(first, UTC))


def _plan(
    bot: Bot, config: BotConfig, prices: Mapping[str, Recorded], begin: datetime, end: datetime
) -> tuple[Plan, History]:
    balance = books.balance_before(bot.account_id, begin) or BALANCE
    limits, demo = current_config(bot.account_id), bot.account.demo
    plan = Plan(
        strategy=config.strategy,
        values=config.values,
        account=AccountSpec(LOGIN, "", SERVER, bot.account.currency, balance, LEVERAGE),
        setups=tuple(books.setup_of(bot, symbol) for symbol in prices),
        interval_seconds=bot.interval_seconds,
        limits=limits,
        news=news_between(begin, end),
        peak=peak_at(bot.account_id, begin, demo=demo, needed=limits.peak_readings),
    )
    ticks = {symbol: known.full for symbol, known in prices.items()}
    return plan, History.of(ticks, begin=begin.timestamp(), end=end.timestamp())


def _ideal(
    result: Result, prices: Mapping[str, Recorded], worth: Mapping[str, float], end: datetime
) -> list[TradedLeg]:
    return [_ideal_leg(leg, prices[leg.symbol], worth[leg.symbol], end.timestamp()) for leg in result.legs]


def _ideal_leg(leg: LegRecord, prices: Recorded, worth: float, end: float) -> TradedLeg:
    volume = leg.volume + leg.volume_closed if leg.state == "open" else leg.volume
    money, opened = volume * worth, prices.full_at(leg.opened_at)
    entry, left = Step(leg.price_open, opened, opened), None
    net = books.marked(leg.side == "buy", leg.price_open, money, prices, end)
    if leg.state == "closed":
        closed = prices.full_at(leg.closed_at)
        left, net = Step(leg.price_close, closed, closed), leg.net
    return TradedLeg(leg.symbol, leg.side, leg.level, volume, money, net, entry, left)


@transaction.atomic
def _keep(bot: Bot, day: date, values: dict[str, Any], *, at: datetime) -> ParityReport:
    before = ParityReport.objects.filter(bot=bot, day=day).values_list("is_over", flat=True).first()
    report, _ = ParityReport.objects.update_or_create(bot=bot, day=day, defaults={**values, "measured_at": at})
    if report.is_over and not before:
        worst = max(report.causes, key=lambda cause: abs(report.causes[cause]))
        record(
            kind=DRIFTED,
            level="warning",
            text=f"{bot} drifted by {report.drift:+,.2f} {bot.account.currency} from its replay on {day} "
            f"(limit {report.limit:,.2f}), most of it {worst.replace('_', ' ')}",
            account_id=bot.account_id,
            bot_id=bot.pk,
            data={"day": day.isoformat(), "drift": float(report.drift), "causes": report.causes},
            at=at,
        )
    return report


def ask_for_due(*, clock: Clock) -> int:
    """Put every bot whose last day is over and not measured into the jobs queue; return how many."""
    asked = 0
    for account in TradingAccount.objects.order_by("pk"):
        # What happened in the last moments of a day is booked a little later
        day = books.day_of(account.pk, clock.now() - SETTLE)
        for bot in bots_to_measure(account.pk, day):
            async_task(TASK, bot.pk, day.isoformat(), cluster=QUEUE, task_name=f"parity {bot.pk} {day}")
            asked += 1
    return asked


def bots_to_measure(account_id: int, day: date) -> list[Bot]:
    """Return the bots of an account that have a configuration, and no report of a day."""
    done = ParityReport.objects.filter(day=day).values("bot_id")
    bots = Bot.objects.filter(account_id=account_id, config__isnull=False).exclude(pk__in=done)
    return list(bots.select_related("account").order_by("pk"))
