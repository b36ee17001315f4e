"""Named reads of backtests."""

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.models import AccountSnapshot, TradingAccount
from backtesting.domain import BacktestError
from backtesting.models import Backtest
from strategies.models import Bot, BotConfig


def config_called(text: str) -> BotConfig:
    """Find a configuration by its bot's name or number, or by NAME@VERSION. Raises BacktestError."""
    name, _, version = text.partition("@")
    bots = list(Bot.objects.select_related("config").order_by("id"))
    found = [b for b in bots if b.name == name] or [b for b in bots if str(b.pk) == name]
    if len(found) != 1:
        known = ", ".join(f"{b.name} ({b.pk})" for b in bots) or "none yet"
        problem = f"several bots are called {name!r}, give a number" if found else f"there is no bot {name!r}"
        raise BacktestError(f"{problem}; known: {known}")
    (bot,) = found
    configs = bot.configs.select_related("bot__account")
    wanted = {"version": int(version)} if version.isdigit() else {"pk": bot.config_id or 0}
    chosen = configs.filter(**wanted).first()
    if chosen is None:
        versions = ", ".join(str(v) for v in configs.order_by("version").values_list("version", flat=True)) or "none"
        raise BacktestError(f"{name} has no version {version or 'in use'}; it has {versions}")
    return chosen


def config_of(bot: Bot, version: int | None) -> BotConfig:
    """Return a bot's configuration of a version, or the one in use. Raises ValidationError that names the field."""
    found = bot.configs.filter(**({"version": version} if version else {"pk": bot.config_id or 0})).first()
    if found is None:
        text = f"{bot} has no version {version}." if version else f"{bot} has no configuration yet."
        raise ValidationError({"version" if version else "bot": text})
    return found


def balance_of(account: TradingAccount) -> float | None:
    """Return an account's newest known balance; None while it has none above zero."""
    newest = AccountSnapshot.objects.filter(account=account).order_by("-at").values_list("balance", flat=True).first()
    return float(newest) if newest is not None and newest > 0 else None


def comparable_with(backtest: Backtest, among: QuerySet[Backtest]) -> QuerySet[Backtest]:
    """Return the finished backtests that one may be compared with, newest first."""
    others = among.filter(status=Backtest.Status.DONE).exclude(pk=backtest.pk)
    return others.defer("result", "plan").select_related("config__bot").order_by("-created_at")
