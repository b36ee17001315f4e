"""The first steps of an installation, from nothing to a bot that trades, and on to real money."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from accounts.models import BrokerKind, Symbol, User
from accounts.permissions import accounts_of, can_anywhere, is_superuser
from backtesting.models import Backtest
from engine.models import EngineState
from strategies.models import Bot

KINDS = (
    ("Simulated", BrokerKind.SIMULATOR), ("MT5 on this machine", BrokerKind.MT5), ("MT5 elsewhere", BrokerKind.REMOTE),
    ("OANDA", BrokerKind.OANDA), ("JForex", BrokerKind.JFOREX), ("Crypto", BrokerKind.CRYPTO),
    ("Paper", BrokerKind.PAPER),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do, why, where, and whether it is done."""

    title: str
    text: str
    url: str
    done: bool
    ways: tuple[tuple[str, str], ...] = ()


def first_steps(user: User) -> list[Step]:
    """Return the steps for who may take them; none when real money is traded, or the person may add nothing."""
    if not (is_superuser(user) or can_anywhere(user, "manager")):
        return []
    accounts = list(accounts_of(user).order_by("pk"))
    ids = [account.pk for account in accounts]
    bots = Bot.objects.filter(account_id__in=ids)
    account_list = reverse("admin:accounts_tradingaccount_changelist")
    bot_list = reverse("admin:strategies_bot_changelist")
    account = reverse("admin:accounts_tradingaccount_change", args=(ids[0],)) if ids else account_list
    examined = EngineState.objects.filter(account_id__in=ids).exclude(examined_at=None)
    running = bots.filter(desired_state="running", account__desired_state="running")
    if running.filter(account__demo=False).exists():
        return []
    add = reverse("admin:accounts_tradingaccount_add")
    return [
        Step("Add an account", "Simulated, MT5 here or elsewhere, OANDA, JForex, a crypto exchange. A demo one first.",
             add, bool(ids), tuple((title, f"{add}?{urlencode({'broker': kind.value})}") for title, kind in KINDS)),
        Step("Let the doctor look", "Start the account: the engine logs in and checks money, trading and clock.",
             account, examined.exists()),
        Step("See its symbols", "The engine asks the broker what a bot's symbols are called and how they trade.",
             reverse("admin:accounts_symbol_changelist"),
             Symbol.objects.filter(account_id__in=ids).exclude(digits=None).exists()),
        Step("Add a bot", "Choose a strategy; its form starts with values that work.",
             reverse("admin:strategies_bot_add"), bots.exclude(config=None).exists()),
        Step("Try it on history", "A backtest asks the bot's own decisions before money is at stake.",
             reverse("admin:backtesting_backtest_changelist"), Backtest.objects.filter(config__bot__in=bots).exists()),
        Step("Trade without real money", "Start bot and account, a demo one, or one on paper at a real one's prices.",
             bot_list, running.exists(),
             (("Bots", bot_list), ("Paper account", f"{add}?{urlencode({'broker': BrokerKind.PAPER.value})}"))),
        Step("Go live", "After a paper run that closed trades, two people agree that a real account may trade.",
             reverse("admin:risk_liverequest_changelist"), False),
    ]  # fmt: skip
