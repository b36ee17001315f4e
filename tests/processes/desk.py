"""Accounts on simulated terminals whose prices are recorded ones, for engines in processes of their own."""

from pathlib import Path

from accounts.models import TradingAccount
from accounts.services import create_account, set_desired_state
from brokers.simulator.account import AccountSpec, demo_symbols
from brokers.simulator.account import create_account as create_terminal
from brokers.simulator.feed import FeedSpec
from brokers.simulator.truth import read_truth
from core.clock import SystemClock
from engine.demo import GRID, SPEED
from engine.models import Lease
from engine.report import compare_with_truth
from orders.models import IntentHistory, OrderIntent
from strategies.services import create_bot, set_bot_state

PASSWORD, SERVER = "pw", "Sim-Server"


def make_account(folder: Path, number: int, *, placement: str = "") -> TradingAccount:
    """Make an account that shall run, with a grid that opens and closes cycles all the time."""
    clock = SystemClock()
    at, login, path = clock.now(), 8000 + number, folder / "terminals" / f"{number}.sqlite"
    feed = FeedSpec.recorded("eurusd-h1-2017", anchor=at, speed=SPEED)
    create_terminal(path, AccountSpec(login, PASSWORD, SERVER), demo_symbols(), feed, clock=clock)
    account = create_account(
        name=f"Account {number}", login=login, server=SERVER, password=PASSWORD, terminal_path=str(path),
        placement=placement, at=at,
    )  # fmt: skip
    bot = create_bot(account=account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], values=GRID, at=at)
    set_bot_state(bot=bot, state="running", at=at)
    set_desired_state(account=account, state="running", at=at)
    return account


def holding_hosts() -> dict[int, str]:
    """Return the host that holds each account that is held."""
    rows = Lease.objects.exclude(holder="").values_list("account_id", "holder")
    return {account_id: holder.split(":")[0] for account_id, holder in rows}


def all_traded_since_they_changed_hands() -> bool:
    """Tell whether the present holder of every account has had a request answered."""
    leases = Lease.objects.exclude(holder="").values_list("account_id", "token")
    return all(
        OrderIntent.objects.filter(account_id=pk, fence=token, state__in=("filled", "accepted")).exists()
        for pk, token in leases
    )


def assert_whole(account: TradingAccount) -> None:
    """Books equal broker, nothing was sent twice, and no holder wrote after the next one had begun."""
    compared = compare_with_truth(account.pk, read_truth(Path(account.terminal_path)))
    assert compared.equal, compared
    steps = IntentHistory.objects.filter(intent__account=account, fence__isnull=False).order_by("id")
    fences = [fence for fence in steps.values_list("fence", flat=True) if fence is not None]
    assert fences == sorted(fences)
    assert not OrderIntent.objects.filter(account=account, state__in=("planned", "claimed", "sent")).exists()
