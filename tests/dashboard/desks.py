"""A small desk for tests of pages: people, an account, a bot and an open cycle with two legs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from accounts.models import AccountRole, Symbol, TradingAccount, User
from cycles.models import Cycle
from engine.models import EngineProcess, EngineState
from orders.models import AccountMarks, Order
from strategies.models import Bot, BotConfig

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Desk:
    """Ada trades, Ben may only look, Cem is outside."""

    ada: User
    ben: User
    cem: User
    account: TradingAccount
    bot: Bot
    cycle: Cycle
    legs: tuple[Order, Order]


def person(name: str) -> User:
    return User.objects.create_user(name, password="a long test password", is_staff=True)


def build_desk(*, name: str = "Demo", login: int = 1001, at: datetime = START) -> Desk:
    """Create the desk, the engine having looked at it at `at`."""
    suffix = "" if login == 1001 else str(login)
    ada, ben, cem = (person(who + suffix) for who in ("ada", "ben", "cem"))
    account = TradingAccount.objects.create(
        name=name, login=login, server="Demo-Server", desired_state="running", currency="USD"
    )
    AccountRole.objects.create(user=ada, account=account, role="trader")
    AccountRole.objects.create(user=ben, account=account, role="viewer")
    Symbol.objects.create(account=account, name="EURUSD", digits=5)
    bot = Bot.objects.create(account=account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], magic=7)
    config = BotConfig.objects.create(bot=bot, version=1, strategy="cycle-trader", strategy_version=1, values={})
    cycle = Cycle.objects.create(
        account=account, bot=bot, config=config, number=1, symbol="EURUSD", side="buy", opened_at=at
    )
    first, second = (
        Order.objects.create(
            account=account,
            bot=bot,
            cycle=cycle,
            ticket=login * 100 + level,
            identifier=login * 100 + level,
            symbol="EURUSD",
            side="buy",
            status="open",
            level=level,
            volume="0.01",
            volume_initial="0.01",
            price_open="1.08000",
            opened_at=at,
        )
        for level in (0, 1)
    )
    AccountMarks.objects.create(
        account=account,
        seq=1,
        at=at,
        identifiers=[first.identifier, second.identifier],
        profits=[1.5, -0.5],
        swaps=[0.0, -0.25],
        prices=[1.0815, 1.0815],
        balance=10_000.0,
        equity=10_000.75,
        margin=21.6,
        margin_level=46_299.77,
    )
    EngineState.objects.create(
        account=account,
        status="running",
        updated_at=at,
        statistics={
            "jobs": {
                "orders": {
                    "passes": 120,
                    "errors": 0,
                    "overruns": 0,
                    "last_ms": 3.2,
                    "p50_ms": 3.0,
                    "p99_ms": 6.5,
                    "last_error": "",
                }
            }
        },
    )
    return Desk(ada, ben, cem, account, bot, cycle, (first, second))


def build_process(*, at: datetime = START) -> EngineProcess:
    return EngineProcess.objects.create(
        name="host:runner:42:abc",
        role="runner",
        host="host",
        pid=42,
        started_at=at - timedelta(minutes=5),
        seen_at=at,
        rss_bytes=90 * 1024 * 1024,
    )
