"""The guards: pure functions from what was seen to what was found. One that raises means no entries, never "fine"."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta

from risk.domain.calendar import IMPACTS
from risk.domain.circuit import circuit_of
from risk.domain.exposure import currency_exposure
from risk.domain.readings import Finding, Held, Level, Seen, Tier
from risk.domain.settings import GuardSettings, minute_of_day

LEDGER_GRACE_SECONDS = 60.0
PARTS = (Level.POSITION, Level.CYCLE, Level.BOT)
Guard = Callable[[GuardSettings, Seen], Iterator[Finding]]


def tier_of(settings: GuardSettings, guard: str, figure: float, *, falling: bool = False) -> tuple[Tier, float]:
    """Return the highest tier whose limit a figure passed, with that limit: above it, or below it when `falling`.

    Raises ValueError when the figure is no number: no comparison with it would ever pass a limit.
    """
    if math.isnan(figure):
        raise ValueError(f"{guard}: its figure is no number")
    found = (Tier.CLEAR, 0.0)
    for tier, (_, limit) in zip((Tier.WARN, Tier.REDUCE, Tier.CLOSE), settings.tiers(guard), strict=True):
        if limit is not None and ((figure < limit) if falling else (figure > limit)):
            found = (tier, limit)
    return found


def least_limit(settings: GuardSettings, guard: str) -> float:
    """Return the limit of a rising guard's mildest tier that is on; infinity when all are off."""
    return min((limit for _, limit in settings.tiers(guard) if limit is not None), default=math.inf)


def drawdown(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Compare equity with its clean peak (DrawdownGuard). Figures that don't agree allow exits only."""
    if not seen.worth.complete or seen.peak is None:
        text = "account and positions don't agree" if not seen.worth.complete else "no peak is known yet"
        yield Finding("drawdown", Level.ACCOUNT, "", Tier.REDUCE, 0.0, 0.0, f"drawdown can't be told: {text}")
        return
    base = seen.worth.base
    fall = max(0.0, (seen.peak - base) / seen.peak * 100) if seen.peak > 0 else (0.0 if base >= 0 else 100.0)
    tier, limit = tier_of(settings, "drawdown", fall)
    text = f"equity {base:.2f} is {fall:.2f} % below its peak {seen.peak:.2f}"
    if tier is Tier.CLOSE and 0.0 < seen.ledger_gap_seconds < LEDGER_GRACE_SECONDS:
        tier, text = Tier.REDUCE, f"{text}; waiting for the ledger to explain the balance"
    if tier:
        yield Finding("drawdown", Level.ACCOUNT, "", tier, fall, limit, text, countdown=True)


def daily_loss(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Compare equity with what the account had at the broker's midnight (DailyLossGuard)."""
    if all(limit is None for _, limit in settings.tiers("daily")):
        return
    if seen.day_base is None or not seen.worth.complete:
        yield Finding(
            "daily_loss", Level.ACCOUNT, "", Tier.REDUCE, 0.0, 0.0, "what the account had at midnight is not known yet"
        )
        return
    loss = (seen.day_base - seen.worth.base) / seen.day_base * 100 if seen.day_base > 0 else 0.0
    tier, limit = tier_of(settings, "daily", loss)
    if tier:
        text = f"{loss:.2f} % lost since the broker's midnight ({seen.day_base:.2f} → {seen.worth.base:.2f})"
        yield Finding("daily_loss", Level.ACCOUNT, "", tier, loss, limit, text, countdown=True)


def margin(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Watch the margin level (MarginGuard); 0 means that no margin is used."""
    if seen.worth.margin <= 0:
        return
    tier, limit = tier_of(settings, "margin", seen.worth.margin_level, falling=True)
    if tier:
        text = f"margin level {seen.worth.margin_level:.0f} % is below {limit:.0f} %"
        yield Finding("margin", Level.ACCOUNT, "", tier, seen.worth.margin_level, limit, text)


def parts(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Watch the loss of each position, cycle and bot, in percent of the balance."""
    base = seen.worth.balance
    if base <= 0:
        if seen.positions and any(least_limit(settings, level) < math.inf for level in PARTS):
            text = f"losses can't be told in percent of a balance of {base:.2f}"
            yield Finding("loss", Level.ACCOUNT, "", Tier.REDUCE, 0.0, 0.0, text)
        return
    cycles, bots = defaultdict(float, seen.cycle_realized), defaultdict(float, seen.bot_realized)
    mildest = least_limit(settings, Level.POSITION)
    for held in seen.positions:
        if -held.profit / base * 100 > mildest:
            yield from _part(settings, Level.POSITION, str(held.identifier), held.profit, base, held.bot_id)
        if held.cycle_id is not None:
            cycles[held.cycle_id] += held.profit
        if held.bot_id is not None:
            bots[held.bot_id] += held.profit
    for cycle_id, net in cycles.items():
        yield from _part(settings, Level.CYCLE, str(cycle_id), net, base, seen.cycle_bots.get(cycle_id))
    for bot_id, net in bots.items():
        yield from _part(settings, Level.BOT, str(bot_id), net, base, bot_id)


def _part(
    settings: GuardSettings, level: Level, subject: str, net: float, base: float, bot_id: int | None
) -> Iterator[Finding]:
    loss = -net / base * 100
    tier, limit = tier_of(settings, level.value, loss)
    if tier:
        text = f"{level.value} {subject} has lost {-net:.2f}, {loss:.2f} % of the balance"
        yield Finding("loss", level, subject, tier, loss, limit, text, bot_id)


def portfolio(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Watch all accounts of the same currency and the same kind of money together, against the sum of their peaks.

    One that holds positions and that no engine looks at counts as it last stood, and allows exits only meanwhile.
    """
    fall = seen.portfolio_drawdown
    if least_limit(settings, "portfolio") == math.inf:
        return
    if fall is None:
        text = "what all accounts have together is not known yet"
        yield Finding("portfolio", Level.PORTFOLIO, "", Tier.REDUCE, 0.0, 0.0, text)
        return
    tier, limit = tier_of(settings, "portfolio", fall)
    text = f"all accounts together are {fall:.2f} % below the sum of their peaks"
    if seen.portfolio_silent and tier < Tier.REDUCE:
        silent = ", ".join(seen.portfolio_silent)
        tier, text = Tier.REDUCE, f"{text}, as far as is known: no engine looks at the positions of {silent}"
    if tier:
        yield Finding("portfolio", Level.PORTFOLIO, "", tier, fall, limit, text, countdown=True)


def spread_limit(settings: GuardSettings, usual: float | None, pip: float) -> float:
    """Return the widest spread that is not dangerous, in pips; `usual` is the median in price units."""
    return max(settings.spread_floor, settings.spread_multiple * (usual or 0.0) / pip)


def market(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Watch gaps at a candle's open, spreads, and thin books, for each symbol (MarketGuard)."""
    for symbol, m in seen.markets.items():
        if settings.gap_close is not None and len(m.candles) >= 2 and m.candles[-2].close > 0:
            gap = abs(m.candles[-1].open - m.candles[-2].close) / m.candles[-2].close * 100
            if gap > settings.gap_close:
                text = f"{symbol} opened {gap:.2f} % away from the close before"
                yield Finding("gap", Level.SYMBOL, symbol, Tier.CLOSE, gap, settings.gap_close, text)
        pips = m.quote.spread / m.spec.pip
        limit = spread_limit(settings, m.spread_median, m.spec.pip)
        if pips > limit:
            tier = Tier.CLOSE if settings.spread_close else Tier.REDUCE
            text = f"{symbol} has a spread of {pips:.1f} pips, dangerous above {limit:.1f}"
            yield Finding("spread", Level.SYMBOL, symbol, tier, pips, limit, text)
        yield from _thin_book(settings.thin_book_lots, symbol, m.best_lots)


def _thin_book(least: float, symbol: str, lots: float | None) -> Iterator[Finding]:
    """Stop entries into a thin book. Where the broker shows none it is said, and the spread alone speaks for it."""
    if least <= 0:
        return
    if lots is None:
        text = f"{symbol}: the broker shows no market depth, so only the spread tells of a thin book"
        yield Finding("thin_book", Level.SYMBOL, symbol, Tier.WARN, 0.0, least, text)
    elif lots < least:
        text = f"{symbol} has {lots:g} lots at the best price, at least {least:g} are wanted"
        yield Finding("thin_book", Level.SYMBOL, symbol, Tier.REDUCE, lots, least, text)


def stale_data(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Stop entries on a symbol without a tick for too long in its session, or without any (StaleDataGuard)."""
    for symbol in sorted({held.symbol for held in seen.positions} - seen.markets.keys()):
        text = f"{symbol} is held, and the broker gives no price of it"
        yield Finding("stale_data", Level.SYMBOL, symbol, Tier.REDUCE, 0.0, settings.stale_seconds, text)
    for symbol, m in seen.markets.items():
        age = (seen.now - m.quote.at).total_seconds()
        if m.in_session and age > settings.stale_seconds:
            text = f"{symbol} has had no tick for {age:.0f} s"
            yield Finding("stale_data", Level.SYMBOL, symbol, Tier.REDUCE, age, settings.stale_seconds, text)


def errors(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Stop entries while the broker refuses too often (ErrorGuard)."""
    window, pause = timedelta(seconds=settings.error_window), timedelta(seconds=settings.error_pause)
    circuit = circuit_of(seen.requests, failures=settings.error_failures, window=window, pause=pause)
    if circuit.open_until is not None and circuit.blocks(seen.now):
        text = f"the broker failed {settings.error_failures} requests; next trial at {circuit.open_until:%H:%M:%S}"
        left = (circuit.open_until - seen.now).total_seconds()
        yield Finding("errors", Level.ACCOUNT, "", Tier.REDUCE, left, 0.0, text)


def order_rate(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Stop entries when too many were sent (OrderRateGuard)."""
    for name, limit, span in (
        ("minute", settings.orders_per_minute, timedelta(minutes=1)),
        ("day", settings.orders_per_day, timedelta(days=1)),
    ):
        count = sum(seen.now - at < span for at in seen.entries)
        if count >= limit:
            text = f"{count} entries in the last {name}, at most {limit}"
            yield Finding("order_rate", Level.ACCOUNT, name, Tier.REDUCE, count, limit, text)


def exposure(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Warn of a currency whose net exposure is above its limit (ExposureGuard); the review refuses what would add."""
    if seen.worth.equity <= 0:
        if seen.positions:
            text = "there is no equity for what is open"
            yield Finding("exposure", Level.ACCOUNT, "", Tier.REDUCE, 0.0, settings.max_currency_leverage, text)
        return
    for currency, amount in currency_exposure(seen.positions, seen.markets).items():
        leverage = abs(amount) / seen.worth.equity
        if leverage > settings.max_currency_leverage:
            text = f"{amount:+,.0f} net in {currency} is {leverage:.1f} times the equity"
            yield Finding(
                "exposure", Level.ACCOUNT, currency, Tier.REDUCE, leverage, settings.max_currency_leverage, text
            )


def session(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Allow entries only inside the session of the broker's day; it may span midnight."""
    start, end = minute_of_day(settings.session_start), minute_of_day(settings.session_end)
    if start is None or end is None:
        return
    now = seen.broker_minute
    inside = start <= now < end if start <= end else now >= start or now < end
    if not inside:
        text = f"outside the session {settings.session_start} to {settings.session_end} of the broker's day"
        yield Finding("session", Level.ACCOUNT, "", Tier.REDUCE, now, 0.0, text)


def news(settings: GuardSettings, seen: Seen) -> Iterator[Finding]:
    """Stop entries around news events of the calendar on symbols that hold their currency."""
    before, after = timedelta(minutes=settings.news_before), timedelta(minutes=settings.news_after)
    least = IMPACTS.index(settings.news_impact)
    for item in seen.news:
        if IMPACTS.index(item.impact) < least or not item.at - before <= seen.now < item.at + after:
            continue
        for symbol, m in seen.markets.items():
            if item.currency in ("", m.spec.currency_base, m.spec.currency_profit):
                text = f"{item.title or 'news'} ({item.currency or 'all'}) at {item.at:%H:%M} UTC"
                yield Finding("news", Level.SYMBOL, symbol, Tier.REDUCE, 0.0, 0.0, text)


GUARDS: tuple[Guard, ...] = (
    drawdown,
    daily_loss,
    margin,
    parts,
    portfolio,
    market,
    stale_data,
    errors,
    order_rate,
    exposure,
    session,
    news,
)


def evaluate(settings: GuardSettings, seen: Seen, guards: tuple[Guard, ...] = GUARDS) -> tuple[Finding, ...]:
    """Ask every guard; the worst finding of a guard on a subject counts. A guard that raises allows exits only."""
    found: dict[tuple[str, Level, str], Finding] = {}
    for guard in guards:
        try:
            findings = list(guard(settings, seen))
        except Exception as problem:  # noqa: BLE001 - an error is a finding: no entries, and the other guards go on
            name = getattr(guard, "__name__", "guard")
            text = f"the guard {name} failed: {type(problem).__name__}: {problem}"
            findings = [Finding("broken", Level.ACCOUNT, name, Tier.REDUCE, 0.0, 0.0, text)]
        for finding in findings:
            key = (finding.guard, finding.level, finding.subject)
            known = found.get(key)
            if known is None or finding.tier > known.tier:
                found[key] = finding
    return tuple(found.values())


def marked_by(finding: Finding, held: Held) -> bool:
    """Tell whether a finding that closes is about a position."""
    match finding.level:
        case Level.POSITION:
            return finding.subject == str(held.identifier)
        case Level.CYCLE:
            return finding.subject == str(held.cycle_id)
        case Level.BOT:
            return finding.subject == str(held.bot_id)
        case Level.SYMBOL:
            return finding.subject == held.symbol
        case _:
            return True
