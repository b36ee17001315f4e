"""The desk as its pages see it: Ada trades, Ben may only look, Mia manages, Cem is outside, Root may everything."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts import services as account_services
from accounts.adminkit import CLOCK
from accounts.models import AccountSnapshot, ApiRequest, LoginSession, ServerOffset, TradingAccount, User
from accounts.tokens import create_token
from backtesting.models import Backtest, ParityReport
from backtesting.parity.domain import Cause
from copying.models import Copy, Subscription
from core.ids import SystemIds
from cycles.models import Cycle
from engine.models import EngineHost, EngineProcess, EngineState, Lease
from events.models import Command, Event
from exports.services import ask as export
from notifications.models import Delivery
from notifications.services import create_target
from orders.models import AccountMarks, Deal, IntentHistory, NotSent, Order, OrderIntent
from reconciliation.models import (
    AccountCheck,
    BookSnapshot,
    Claim,
    Divergence,
    DivergenceStep,
    PolicyRule,
    ThresholdRule,
)
from risk.models import Block, DayStart, EquityPeak, GuardAlarm, LiveRequest, NewsEvent, RiskProjection
from risk.services import raise_block
from risk.services.configs import save_guards
from risk.services.killing import kill
from signals.models import Signal
from signals.services import create_source
from strategies import services as bot_services
from strategies.models import Bot, SignalSettings
from strategies.pseudo.sets import SymbolSets
from strategies.pseudo.store import grid_of, store
from telegram.models import Chat

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@dataclass
class Desk:
    """Two accounts with everything that can be seen on them; Cem has a role only in the other one."""

    account: TradingAccount
    other: TradingAccount
    bot: Bot
    cycle: Cycle
    order: Order
    intent: OrderIntent
    block: Block
    people: dict[str, User]


def make_person(name: str, is_superuser: bool = False) -> User:
    return User.objects.create_user(name, password="correct horse", is_staff=True, is_superuser=is_superuser)


def make_account(name: str, login: int, **fields: object) -> TradingAccount:
    return account_services.create_account(name=name, login=login, server="Sim-Demo", at=AT, **fields)  # type: ignore[arg-type]


def make_bot(account: TradingAccount, name: str = "MyBot_EURUSD", strategy: str = "cycle-trader") -> Bot:
    return bot_services.create_bot(account=account, name=name, strategy=strategy, symbols=["EURUSD"], values={}, at=AT)


def make_intent(bot: Bot, cycle: Cycle | None, token: str) -> OrderIntent:
    intent = OrderIntent.objects.create(
        account=bot.account,
        bot=bot,
        cycle=cycle,
        kind="open",
        cause_key=f"cause:{token}",
        token=token,
        state="filled",
        symbol="EURUSD",
        side="buy",
        level=0,
        volume=Decimal("0.01"),
        magic=bot.magic,
        comment=token,
        why="flat: first leg",
        trace={"tick": {"bid": 1.08421}, "woken_by": "level 3 at 1.08421"},
        fence=1,
        created_at=AT,
        sent_at=AT,
        deadline=AT + timedelta(seconds=10),
        done_at=AT,
        reply_code=10009,
    )
    IntentHistory.objects.create(intent=intent, to_state="planned", why="decided", at=AT)
    IntentHistory.objects.create(intent=intent, from_state="sent", to_state="filled", fence=1, why="10009", at=AT)
    return intent


def fill(account: TradingAccount, bot: Bot, ticket: int) -> tuple[Cycle, Order, OrderIntent]:
    """Put one row of every model on an account."""
    assert bot.config is not None
    cycle = Cycle.objects.create(
        account=account, bot=bot, config=bot.config, number=1, symbol="EURUSD", side="buy", opened_at=AT
    )
    intent = make_intent(bot, cycle, f"t{ticket}")
    order = Order.objects.create(
        account=account,
        bot=bot,
        cycle=cycle,
        intent=intent,
        ticket=ticket,
        identifier=ticket,
        symbol="EURUSD",
        side="buy",
        status="open",
        magic=bot.magic,
        volume=Decimal("0.01"),
        volume_initial=Decimal("0.01"),
        price_open=Decimal("1.08421"),
        opened_at=AT,
    )
    NotSent.objects.create(
        account=account, bot=bot, symbol="EURUSD", side="buy", code="spread", detail="4.2 pips are dangerous",
        correlation=f"n{ticket}", first_at=AT, last_at=AT,
    )  # fmt: skip
    Deal.objects.create(
        account=account,
        ticket=ticket + 1,
        order_ticket=ticket,
        position_id=ticket,
        symbol="EURUSD",
        kind="buy",
        entry="in",
        reason="expert",
        volume=Decimal("0.01"),
        price=Decimal("1.08421"),
        profit=0,
        swap=0,
        commission=Decimal("-0.07"),
        fee=0,
        at=AT,
    )
    signals = SignalSettings.objects.create(account=account)
    store(account.pk, "EURUSD", SymbolSets(grid_of(signals, 0.0001)), at=AT)
    AccountMarks.objects.create(
        account=account,
        at=AT,
        identifiers=[ticket, ticket + 7],
        profits=[12.3, 1.0],
        swaps=[-0.2, 0.0],
        prices=[1.09, 1.09],
        equity=10_012.1,
    )
    AccountSnapshot.objects.create(
        account=account,
        at=AT,
        balance=10_000,
        equity=10_012,
        margin=10,
        margin_level=1000,
        positions=1,
        total_open_volume=Decimal("0.01"),
    )
    Event.objects.create(at=AT, kind="CYCLE_OPENED", text="first leg", account=account, bot=bot, cycle=cycle)
    Command.objects.create(account=account, kind="force_order_sync", requested_at=AT)
    ServerOffset.objects.create(account=account, since=AT, seconds=7200)
    Lease.objects.create(account=account, holder="host:runner:1", token=3, expires_at=AT)
    EngineState.objects.create(account=account, status="running", statistics={"jobs": {}}, updated_at=AT)
    snapshot = BookSnapshot.objects.create(
        account=account, at=AT, balance=1, equity=1, unrealized_pnl=0, total_open_volume=0, broker=[], books=[]
    )
    divergence = Divergence.objects.create(
        account=account,
        kind="unmatched",
        key=f"unmatched:{ticket + 7}",
        mark="1",
        severity=1,
        identifier=ticket + 7,
        ticket=ticket + 7,
        symbol="EURUSD",
        rule="opened by hand or by another program",
        theirs={
            "ticket": ticket + 7,
            "symbol": "EURUSD",
            "side": "buy",
            "volume": 0.1,
            "price": 1.1,
            "sl": 0.0,
            "tp": 0.0,
            "magic": 0,
            "comment": "",
            "opened_at": AT.isoformat(),
        },
        policy="alert",
        automatic="none",
        snapshot=snapshot,
        opened_at=AT,
        updated_at=AT,
    )
    DivergenceStep.objects.create(divergence=divergence, at=AT, action="note", text="mine")
    Claim.objects.create(account=account, order=order, cycle=cycle, at=AT, why="mine")
    PolicyRule.objects.create(account=account, kind="unmatched", policy="ignore")
    ThresholdRule.objects.create(account=account, symbol="EURUSD")
    AccountCheck.objects.create(account=account, checked_at=AT)
    Backtest.objects.create(config=bot.config, status="failed", error="no history", source="x", created_at=AT)
    ParityReport.objects.create(
        bot=bot, day=AT.date(), status="measured", config=bot.config, begin=AT, end=AT, measured_at=AT, live_legs=1,
        live_net="-12.30", replay_net="0", drift="-12.30", limit="5", is_over=True,
        causes={cause: -12.3 if cause == "gap" else 0.0 for cause in Cause},
        rows=[
            {
                "symbol": "EURUSD", "side": "buy", "level": 0, "volume": 0.1, "drift": -12.3, "parts": {"gap": -12.3},
                "live": {"at": AT.timestamp(), "open": 1.1, "close": None, "closed_at": None, "net": -12.3},
                "replay": None,
            }
        ],
    )  # fmt: skip
    copied = Subscription.objects.create(
        name="Mirror", provider=account, bot=bot, scaling="fixed", factor="0.1", volume_max="1", since=AT
    )
    Copy.objects.create(
        subscription=copied, source=order, state="skipped", reason="too late", seen_at=AT, decided_at=AT, ended_at=AT
    )
    raise_block(account_id=account.pk, bot_id=bot.pk, cause="person", reason="news at 14:30", at=AT)
    fill_risk(account, bot)
    fill_signals(bot)
    return cycle, order, intent


def fill_signals(bot: Bot) -> None:
    """Put a source of signals on a bot, with one that waits for approval."""
    source, _ = create_source(
        bot=bot, name="Alerts", volume=Decimal("0.01"), volume_max=Decimal("0.10"), approval_seconds=60.0,
        by=User.objects.get(username="root"), at=AT, ids=SystemIds(),
    )  # fmt: skip
    Signal.objects.create(
        source=source, key="a1", action="buy", symbol="EURUSD", volume=Decimal("0.01"), sent_at=AT, received_at=AT,
        follow_until=CLOCK.now() + timedelta(days=1), state="waiting",
    )  # fmt: skip


def fill_news(person: User, account: TradingAccount) -> None:
    """Give a person a place for news, and one that was sent there."""
    target, _ = create_target(
        user=person, name="Hook", kind="webhook", url="https://example.com/", account=account, at=AT
    )
    event = Event.objects.filter(account=account).latest("id")
    export(account=account, kind="statement", filetype="csv", since=None, until=None, by=person, clock=CLOCK)
    Delivery.objects.create(target=target, event=event, state="sent", due_at=AT, done_at=AT)
    Chat.objects.create(user=person, name="Phone", chat_id=person.pk, created_at=AT)
    target.is_active = False
    target.save()


def fill_risk(account: TradingAccount, bot: Bot) -> None:
    """Put one row of every model of the guards on an account."""
    save_guards(account=account, values={"drawdown_close": 25.0}, at=AT)
    EquityPeak.objects.create(account=account, demo=account.demo, value=10_100, at=AT, start_value=10_000, start_at=AT)
    DayStart.objects.create(account=account, day=AT.date(), equity=10_000, balance=10_000, flow_total=10_000, at=AT)
    GuardAlarm.objects.create(
        account=account,
        guard="drawdown",
        level="account",
        tier=3,
        phase="closed",
        figure=21.0,
        limit=20.0,
        text="equity 7900.00 is 21.00 % below its peak",
        since=AT,
    )
    kill(mode="no_entries", reason="trying it", confirmation=bot.name, bot=bot, at=AT)
    figures = {"to_stop_out": 9_500.0, "stop_out": 50.0, "cost_to_close": -12.5, "worst_equity": 9_100.0}
    worst = {"worst_change": -88.0, "worst_level": 812.0, "is_stop_out": False}
    stop = {"stop_out_price": 1.0211, "pips": 631.0, "pip": 0.0001}
    RiskProjection.objects.create(
        account=account,
        at=AT,
        data={**figures, **worst, "bots": {str(bot.pk): worst}, "cycles": {}, "symbols": {"EURUSD": stop}},
    )
    asker = User.objects.get(username="root")
    LiveRequest.objects.create(account=account, reason="it ran well", asked_by=asker, asked_at=AT)
    NewsEvent.objects.get_or_create(at=AT, currency="USD", impact="high", title="Non-farm payrolls")


@pytest.fixture
def desk(db: None) -> Desk:
    people = {name: make_person(name) for name in ("ada", "ben", "mia", "cem")}
    people["root"] = make_person("root", is_superuser=True)
    account, other = make_account("Main", 1001, password="broker-secret-1"), make_account("Elsewhere", 1002, demo=False)
    for name, role in (("ada", "trader"), ("ben", "viewer"), ("mia", "manager")):
        account_services.grant_role(user=people[name], account=account, role=role, at=AT)
    account_services.grant_role(user=people["cem"], account=other, role="manager", at=AT)
    bot = make_bot(account)
    cycle, order, intent = fill(account, bot, 5001)
    fill(other, make_bot(other, "Foreign"), 6001)
    LoginSession.objects.create(user=people["cem"], session_key="k", address="192.0.2.7", since=AT)
    EngineProcess.objects.create(name="h:runner:1:x", role="runner", host="h", pid=1, started_at=AT, seen_at=AT)
    EngineHost.objects.create(host="h", runners=1, seen_at=AT)
    at = CLOCK.now()
    token, _ = create_token(
        user=people["root"], name="t", scope="read", expires_at=at + timedelta(1), ids=SystemIds(), at=at
    )
    ApiRequest.objects.create(user=people["root"], token=token, key="12345678", route="POST /", created_at=AT)
    for name, place in (("ben", account), ("cem", other)):
        fill_news(people[name], place)
    block = Block.objects.get(account=account)
    return Desk(account, other, bot, cycle, order, intent, block, people)


@pytest.fixture
def as_(desk: Desk) -> Callable[[str], Client]:
    """Log a person in."""

    def log_in(name: str, **options: bool) -> Client:
        client = Client(**options)  # type: ignore[arg-type]
        client.force_login(desk.people[name])
        return client

    return log_in
