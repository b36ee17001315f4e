"""The trading of one account, or of one bot on it: what its admin page shows above its settings, live."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from accounts.equity import equity_lines
from accounts.models import Symbol, TradingAccount, User
from core.clock import Clock, SystemClock
from dashboard.selectors import live_snapshot
from dashboard.statistics import plain, share, signed, tone
from dashboard.views import links
from engine.models import EngineState
from events.live import encode
from orders.selectors import closed_trades
from orders.statistics import Trade, figures, grouped
from strategies.models import Bot

CLOCK: Clock = SystemClock()
DAYS = 30
CLOSED_SHOWN = 10
BY_HAND = "By hand"


def desk_of(user: User, account: TradingAccount, bot: Bot | None = None) -> dict[str, Any]:
    """Return what the page shows of an account, or of one bot; `live` is what its script starts with."""
    now = CLOCK.now()
    trades = closed_trades([account.pk], since=_midnight(now) - timedelta(days=DAYS - 1), until=None)
    if bot is not None:
        trades = [trade for trade in trades if trade.magic == bot.magic]
    lines = equity_lines([account.pk], until=now) if bot is None else {}
    return {
        "account": account,
        "bot": bot,
        "days": DAYS,
        "live": _live(user, account, bot, now)
        | {
            "daily": daily_results(trades, now),
            "equity": [[int(p.at.timestamp() * 1000), float(p.equity)] for p in lines.get(account.pk, [])],
        },
        "cards": _cards(trades),
        "health": _health(account) if bot is None else [],
        "bots": _bots(account, trades) if bot is None else [],
        "closed": [_closed(trade) for trade in trades[: -CLOSED_SHOWN - 1 : -1]],
        "has_trades": bool(trades),
        "more": _more(account, bot),
    }


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _live(user: User, account: TradingAccount, bot: Bot | None, now: datetime) -> dict[str, Any]:
    snapshot = {
        "type": "snapshot",
        "server_time": now.isoformat(),
        "epoch": 0,
        **live_snapshot(user, frozenset({account.pk})),
    }
    terms = {
        name: {"contract": contract, "base": found.get("currency_base", ""), "profit": found.get("currency_profit", "")}
        for name, contract, found in Symbol.objects.filter(account=account).values_list(
            "name", "contract_size", "terms"
        )
    }
    return {
        "socket": "/ws/live/",
        "login": reverse("admin:login"),
        "links": links(),
        "only": [account.pk],
        "bot": None if bot is None else bot.pk,
        "currency": account.currency,
        "terms": terms,
        "snapshot": json.loads(encode(snapshot)),
    }


def daily_results(trades: Sequence[Trade], now: datetime) -> list[tuple[str, float]]:
    """Return (day, result) of the last 30 UTC days, oldest first, days without a trade too; money as `Trade.result`."""
    sums: defaultdict[str, float] = defaultdict(float)
    for trade in trades:
        sums[f"{trade.closed_at:%Y-%m-%d}"] += trade.result
    days = [f"{now - timedelta(days=back):%Y-%m-%d}" for back in range(DAYS - 1, -1, -1)]
    return [(day, round(sums[day], 2)) for day in days]


def _cards(trades: Sequence[Trade]) -> list[tuple[str, str, str]]:
    seen = figures(trades)
    return [
        ("Net", signed(seen.net), tone(seen.net)),
        ("Trades", f"{seen.trades}", ""),
        ("Won", share(seen.win_rate), ""),
        ("Profit factor", plain(seen.profit_factor), ""),
        ("Expectancy", signed(seen.expectancy), tone(seen.expectancy)),
        ("Best, worst", f"{signed(seen.best)} / {signed(seen.worst)}" if trades else "–", ""),
    ]


def _bots(account: TradingAccount, trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """Return each bot with what it brought; what no bot of the account did comes last, if there is any."""
    by_magic = grouped(trades, lambda trade: trade.magic)
    found: list[tuple[Bot | None, int]] = [(bot, bot.magic) for bot in account.bots.order_by("name")]
    known = {magic for _, magic in found}
    others = figures([trade for trade in trades if trade.magic not in known])
    rows = [(bot, by_magic.get(magic)) for bot, magic in found]
    if others.trades:
        rows.append((None, others))
    return [
        {
            "bot": bot,
            "title": bot.name if bot else BY_HAND,
            "trades": seen.trades if seen else 0,
            "won": share(seen.win_rate) if seen else "–",
            "net": signed(seen.net) if seen else "–",
            "tone": tone(seen.net) if seen else "",
            "factor": plain(seen.profit_factor) if seen else "–",
        }
        for bot, seen in rows
    ]


def _closed(trade: Trade) -> dict[str, Any]:
    position = reverse("admin:orders_order_changelist") + "?" + urlencode({"q": trade.position_id})
    return {
        "url": position,
        "position": trade.position_id,
        "symbol": trade.symbol,
        "lots": f"{trade.volume_lots:.2f}",
        "opened": f"{trade.opened_at:%m-%d %H:%M:%S}",
        "closed": f"{trade.closed_at:%m-%d %H:%M:%S}",
        "result": signed(trade.result),
        "tone": tone(trade.result),
    }


def _health(account: TradingAccount) -> list[tuple[str, str, str]]:
    """Return (what, how it is, healthy | degraded | unhealthy | nothing) as the account's session last said."""
    state = EngineState.objects.filter(account=account).first()
    if state is None:
        return []
    parts = [("Engine", state.error_message or state.get_status_display(), state.manager_health_status)]
    parts += [
        (str(part.get("name", "")).replace("_", " ").capitalize(), part.get("reason") or "fine", part.get("health", ""))
        for part in state.statistics.get("components", [])
    ]
    jobs = state.statistics.get("jobs", {})
    if "realtime" in jobs:
        parts.append(("Prices and positions read in", f"{jobs['realtime'].get('p50_ms', 0):.1f} ms (p50)", ""))
    skew = state.statistics.get("clock_skew_seconds")
    if skew is not None:
        parts.append(("Clock skew", f"{skew:+.3f} s", ""))
    grades = [check.get("grade") for check in state.doctor]
    if grades:
        bad = grades.count("block")
        text = f"{grades.count('pass')} pass, {grades.count('warn')} warn, {bad} block"
        health = "unhealthy" if bad else "degraded" if "warn" in grades else "healthy"
        parts.append(("Doctor", text, health))
        trading = next((check for check in state.doctor if check.get("name") == "trading"), None)
        if trading is not None:
            parts.append(("Trade allowed", trading["found"], "healthy" if trading["grade"] == "pass" else "unhealthy"))
    return parts


def _more(account: TradingAccount, bot: Bot | None) -> list[tuple[str, str]]:
    """Return (title, address) of what else there is to see of it, each list filtered to it."""
    about = {"bot__id__exact": bot.pk} if bot is not None else {"account__id__exact": account.pk}
    counted = {"account": account.pk} | ({"magic": bot.magic} if bot is not None else {})
    lists = [("Orders", "orders_order"), ("Cycles", "cycles_cycle"), ("Intents", "orders_orderintent")]
    lists += [("Events", "events_event")] + ([("Deals", "orders_deal")] if bot is None else [])
    statistics = reverse("statistics")
    return [
        *((title, f"{reverse(f'admin:{name}_changelist')}?{urlencode(about)}") for title, name in lists),
        ("Statistics", f"{statistics}?{urlencode(counted)}"),
        ("Statement CSV ↓", f"{statistics}?{urlencode({**counted, 'period': 'all', 'format': 'csv'})}"),
        ("Statement XLSX ↓", f"{statistics}?{urlencode({**counted, 'period': 'all', 'format': 'xlsx'})}"),
    ]
