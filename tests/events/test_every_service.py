"""Every service that changes something for a person leaves exactly one entry in the audit trail."""

import inspect
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from accounts import secondfactor, tokens
from accounts import services as accounts
from accounts.models import AccountSnapshot, AppDevice, TradingAccount, User
from copying import services as copying
from copying.models import Subscription
from core.ids import SystemIds
from cycles import requests as cycle_requests
from cycles.models import Cycle
from engine import coordinator
from engine.models import EngineHost, EngineState
from events.audit import verify
from events.models import AuditEntry
from notifications import services as notifications
from orders import requests as order_requests
from orders import services as orders
from orders.models import Order, OrderIntent
from reconciliation.models import Divergence
from reconciliation.services import claims, settling
from risk.models import GuardAlarm
from risk.services import alarms, configs, golive, killing, news
from signals import services as signals
from signals.models import Signal, SignalSource
from strategies import services as strategies
from strategies.models import Bot
from telegram import services as telegram
from tests.admin.conftest import make_intent
from tests.reconciliation.test_pass import by_hand, check, held, opened
from tests.world import World

__all__ = ["held"]
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LOTS = Decimal("0.01")
TOMORROW = AT + timedelta(days=1)
# Parts of other services, which write the entry; and those that write several, one for each row
PARTS = {
    "events.audit.record_change",
    "events.services.ask",
    "events.services.ask_once",
    "accounts.requests.request_command",
    "reconciliation.services.claims.adopt_positions",
    "engine.coordinator.coordinate",
    "engine.managerconfig.import_manager_config",
    "strategies.rollout.roll_out",
}
NOT_SERVICES = (".migrations", ".admin", ".management", ".api", ".views")


class Desk:
    """One account with a bot of two versions, and people; each call says which rows it needs."""

    def __init__(self) -> None:
        self.ada = User.objects.create_superuser("ada", password="correct horse")
        self.ben = User.objects.create_user("ben")
        self.account: TradingAccount = accounts.create_account(name="Main", login=1001, server="Sim-Demo", at=AT)
        self.bot: Bot = strategies.create_bot(
            account=self.account, name="First", strategy="cycle-trader", symbols=["EURUSD"], values={}, at=AT
        )
        strategies.save_config(bot=self.bot, values={"lot_size": 0.02}, at=AT)
        accounts.grant_role(user=self.ben, account=self.account, role="viewer", at=AT)

    @property
    def who(self) -> dict[str, Any]:
        return {"by": self.ada, "at": AT}

    def copier(self) -> Bot:
        """Return a bot of another account that could copy this one."""
        account = accounts.create_account(name="Copies", login=1002, server="Sim-Demo", at=AT)
        return strategies.create_bot(
            account=account, name="Copier", strategy="copier", symbols=["EURUSD"], values={}, at=AT
        )

    def subscribed(self, copier: Bot) -> Subscription:
        return copying.subscribe(
            name="Follow", provider=self.account, bot=copier, scaling="multiplier", factor=Decimal(1),
            volume_max=Decimal(1), **self.who,
        )  # fmt: skip

    def unknown_intent(self) -> int:
        intent = make_intent(self.bot, None, "t1")
        OrderIntent.objects.filter(pk=intent.pk).update(state="unknown", done_at=None)
        return intent.pk

    def filled(self) -> tuple[Cycle, Order]:
        """Return an open cycle and its leg, of a running account."""
        accounts.set_desired_state(account=self.account, state="running", at=AT)
        common: dict[str, Any] = {"account": self.account, "bot": self.bot, "symbol": "EURUSD", "side": "buy"}
        cycle = Cycle.objects.create(config=self.bot.configs.get(version=1), number=1, opened_at=AT, **common)
        order = Order.objects.create(
            cycle=cycle, ticket=7, identifier=7, status="open", volume=Decimal("0.1"), volume_initial=Decimal("0.1"),
            price_open=Decimal("1.1"), opened_at=AT, **common,
        )  # fmt: skip
        return cycle, order

    def alarm(self, phase: str, **fields: Any) -> int:
        row = GuardAlarm.objects.create(
            account=self.account, guard="drawdown", level="account", tier=3, phase=phase, since=AT,
            figure=0.25, limit=0.2, text="fell", **fields,
        )  # fmt: skip
        return int(row.pk)

    def switched(self) -> int:
        kill = killing.kill(mode="no_entries", reason="test", confirmation="Main", account=self.account, at=AT)
        return int(kill.pk)

    def real(self) -> int:
        """Return a real account, after a paper run on the other one."""
        for n in range(14):
            AccountSnapshot.objects.create(
                account=self.account, at=AT - timedelta(days=n), balance=1, equity=1, margin=0, margin_level=0,
                positions=0, total_open_volume=0,
            )  # fmt: skip
        Order.objects.create(
            account=self.account, ticket=8, identifier=8, symbol="EURUSD", side="buy", status="closed", volume=0,
            volume_initial=LOTS, price_open=Decimal("1.1"), price_close=Decimal("1.2"), close_reason="target",
            opened_at=AT, closed_at=AT,
        )  # fmt: skip
        real = accounts.create_account(name="Real", login=1009, server="Live", at=AT, demo=False)
        EngineState.objects.create(account=real, doctor=[], examined_at=AT)
        return int(real.pk)

    def asked(self) -> int:
        """Return a request to go live, asked by somebody else."""
        account = TradingAccount.objects.get(pk=self.real())
        request = golive.ask_live(account=account, paper=self.account, reason="well", by=self.ben, at=AT)
        return int(request.pk)

    def token(self) -> Any:
        made, _ = tokens.create_token(
            user=self.ada, name="t", scope="read", expires_at=TOMORROW, ids=SystemIds(), at=AT
        )
        return made

    def source(self) -> SignalSource:
        made, _ = signals.create_source(
            bot=self.bot, name="TV", volume=LOTS, volume_max=LOTS, ids=SystemIds(), **self.who
        )
        return made

    def signal(self) -> Signal:
        return Signal.objects.create(
            source=self.source(), key="a", action="buy", symbol="EURUSD", volume=LOTS, sent_at=AT, received_at=AT,
            follow_until=TOMORROW, state="waiting",
        )  # fmt: skip

    def with_factor(self) -> User:
        AppDevice.objects.create(user=self.ben, name="app", confirmed=True)
        return self.ben


def _prepared(prepare: Callable[[Desk], Any], call: Callable[[Desk, Any], Any]) -> Callable[[Desk], Callable[[], Any]]:
    """Return what makes the rows that a call needs, and then the call."""

    def make(desk: Desk) -> Callable[[], Any]:
        found = prepare(desk)
        return lambda: call(desk, found)

    return make


def _plain(call: Callable[[Desk], Any]) -> Callable[[Desk], Callable[[], Any]]:
    return _prepared(lambda desk: None, lambda desk, _: call(desk))


CALLS: dict[str, Callable[[Desk], Callable[[], Any]]] = {
    "accounts.services.create_account": _plain(
        lambda d: accounts.create_account(name="Other", login=2, server="S", password="x", **d.who)
    ),
    "accounts.services.register_account": _plain(lambda d: accounts.register_account(account=d.account, **d.who)),
    "accounts.services.set_password": _plain(lambda d: accounts.set_password(account=d.account, password="x", **d.who)),
    "accounts.services.set_investor_password": _plain(
        lambda d: accounts.set_investor_password(account=d.account, password="x", **d.who)
    ),
    "accounts.services.set_pairing": _plain(lambda d: accounts.set_pairing(account=d.account, pairing="", **d.who)),
    "accounts.services.set_desired_state": _plain(
        lambda d: accounts.set_desired_state(account=d.account, state="paused", **d.who)
    ),
    "accounts.services.wind_down": _prepared(
        lambda d: accounts.set_desired_state(account=d.account, state="running", at=AT),
        lambda d, _: accounts.wind_down(account=d.account, close=True, **d.who),
    ),
    "accounts.services.request_order_sync": _plain(lambda d: accounts.request_order_sync(account=d.account, **d.who)),
    "accounts.services.request_examination": _plain(lambda d: accounts.request_examination(account=d.account, **d.who)),
    "accounts.services.grant_role": _plain(
        lambda d: accounts.grant_role(user=d.ben, account=d.account, role="trader", **d.who)
    ),
    "accounts.services.revoke_role": _plain(lambda d: accounts.revoke_role(user=d.ben, account=d.account, **d.who)),
    "accounts.services.note_changes": _plain(
        lambda d: accounts.note_changes(account=d.account, before={"name": "Old"}, **d.who)
    ),
    "accounts.secondfactor.remove": _prepared(
        lambda d: d.with_factor(), lambda d, ben: secondfactor.remove(user=ben, **d.who)
    ),
    "accounts.tokens.create_token": _plain(
        lambda d: tokens.create_token(user=d.ben, name="t", scope="read", expires_at=TOMORROW, ids=SystemIds(), **d.who)
    ),
    "accounts.tokens.revoke_token": _prepared(
        lambda d: d.token(), lambda d, token: tokens.revoke_token(token=token, **d.who)
    ),
    "copying.services.subscribe": _prepared(lambda d: d.copier(), lambda d, copier: d.subscribed(copier)),
    "copying.services.unsubscribe": _prepared(
        lambda d: d.subscribed(d.copier()),
        lambda d, subscription: copying.unsubscribe(subscription=subscription, **d.who),
    ),
    "telegram.services.unlink_chat": _prepared(
        lambda d: telegram.link_chat(user=d.ben, name="Phone", chat_id=77, at=AT),
        lambda d, chat: telegram.unlink_chat(chat=chat, **d.who),
    ),
    "cycles.requests.request_cycle_close": _prepared(
        lambda d: d.filled()[0],
        lambda d, cycle: cycle_requests.request_cycle_close(cycle=cycle, reason="enough", **d.who),
    ),
    "orders.requests.request_order_close": _prepared(
        lambda d: d.filled()[1],
        lambda d, order: order_requests.request_order_close(
            order=order, volume=None, reason="enough", ids=SystemIds(), **d.who
        ),
    ),
    "orders.requests.request_stops": _prepared(
        lambda d: d.filled()[1],
        lambda d, order: order_requests.request_stops(
            order=order, sl=Decimal("1.0"), tp=Decimal(0), reason="the news", **d.who
        ),
    ),
    "strategies.services.create_bot": _plain(
        lambda d: strategies.create_bot(
            account=d.account, name="Second", strategy="cycle-trader", symbols=["EURUSD"], **d.who
        )
    ),
    "strategies.services.register_bot": _plain(lambda d: strategies.register_bot(bot=d.bot, **d.who)),
    "strategies.services.save_config": _plain(
        lambda d: strategies.save_config(bot=d.bot, values={"lot_size": 0.05}, **d.who)
    ),
    "strategies.services.revert": _plain(lambda d: strategies.revert(bot=d.bot, version=1, **d.who)),
    "strategies.services.set_bot_state": _plain(
        lambda d: strategies.set_bot_state(bot=d.bot, state="running", **d.who)
    ),
    "strategies.services.change_bot": _plain(lambda d: strategies.change_bot(bot=d.bot, name="Renamed", **d.who)),
    "signals.services.create_source": _plain(
        lambda d: signals.create_source(bot=d.bot, name="TV", volume=LOTS, volume_max=LOTS, ids=SystemIds(), **d.who)
    ),
    "signals.services.stop_source": _prepared(
        lambda d: d.source(), lambda d, source: signals.stop_source(source=source, **d.who)
    ),
    "signals.services.approve": _prepared(
        lambda d: d.signal(), lambda d, signal: signals.approve(signal=signal, **d.who)
    ),
    "signals.services.reject": _prepared(
        lambda d: d.signal(), lambda d, signal: signals.reject(signal=signal, **d.who)
    ),
    "notifications.services.stop_target": _prepared(
        lambda d: notifications.create_target(
            user=d.ada, name="Hook", kind="webhook", url="https://example.com/", at=AT
        )[0],
        lambda d, target: notifications.stop_target(target=target, **d.who),
    ),
    "orders.services.settle": _prepared(
        lambda d: d.unknown_intent(), lambda d, pk: orders.settle(intent_id=pk, reason="seen at the broker", **d.who)
    ),
    "engine.coordinator.set_capacity": _prepared(
        lambda d: EngineHost.objects.create(host="h", seen_at=AT),
        lambda d, row: coordinator.set_capacity(host="h", runners=3, **d.who),
    ),
    "risk.services.alarms.veto_alarm": _prepared(
        lambda d: d.alarm("countdown", deadline=AT + timedelta(seconds=10)),
        lambda d, pk: alarms.veto_alarm(alarm_id=pk, reason="news", **d.who),
    ),
    "risk.services.alarms.rearm_alarm": _prepared(
        lambda d: d.alarm("closed"), lambda d, pk: alarms.rearm_alarm(alarm_id=pk, reason="looked at", **d.who)
    ),
    "risk.services.alarms.acknowledge_alarm": _prepared(
        lambda d: d.alarm("closed"), lambda d, pk: alarms.acknowledge_alarm(alarm_id=pk, reason="seen", **d.who)
    ),
    "risk.services.configs.save_guards": _plain(
        lambda d: configs.save_guards(account=d.account, values={"drawdown_warn": 5.0}, **d.who)
    ),
    "risk.services.killing.kill": _plain(
        lambda d: killing.kill(mode="exits_only", reason="test", confirmation="Main", account=d.account, **d.who)
    ),
    "risk.services.killing.release": _prepared(
        lambda d: d.switched(), lambda d, pk: killing.release(switch_id=pk, reason="over", **d.who)
    ),
    "risk.services.golive.ask_live": _prepared(
        lambda d: d.real(),
        lambda d, pk: golive.ask_live(
            account=TradingAccount.objects.get(pk=pk), paper=d.account, reason="it ran well", **d.who
        ),
    ),
    "risk.services.golive.approve_live": _prepared(
        lambda d: d.asked(), lambda d, pk: golive.approve_live(request_id=pk, reason="looked at", **d.who)
    ),
    "risk.services.golive.end_live": _prepared(
        lambda d: d.asked(), lambda d, pk: golive.end_live(request_id=pk, reason="not now", **d.who)
    ),
    "risk.services.news.import_calendar": _plain(
        lambda d: news.import_calendar(
            text="time,currency,impact,title\n2026-03-06T13:30:00Z,USD,high,Payrolls\n", **d.who
        )
    ),
}

# What is settled about a divergence: which one, and how
SETTLED: dict[str, tuple[str, Callable[[World, Divergence, dict[str, Any]], Any]]] = {
    "accept_broker": ("stops", lambda w, row, said: settling.accept_broker(divergence=row, why="so be it", **said)),
    "accept_ours": ("stops", lambda w, row, said: settling.accept_ours(divergence=row, why="ours", **said)),
    "mark_manual": ("manual", lambda w, row, said: settling.mark_manual(divergence=row, why="mine", **said)),
    "ignore_until": (
        "manual",
        lambda w, row, said: settling.ignore_until(
            divergence=row, until=said["at"] + timedelta(hours=1), why="later", **said
        ),
    ),
    "assign": ("manual", lambda w, row, said: settling.assign(divergence=row, assignee=w.ada, why="yours", **said)),
    "add_note": ("manual", lambda w, row, said: settling.add_note(divergence=row, text="called the broker", **said)),
    "undo": ("undone", lambda w, row, said: settling.undo(divergence=row, why="a mistake", **said)),
    "claim": ("manual", lambda w, row, said: claims.claim(divergence=row, cycle=w.cycles("open")[0], why="x", **said)),
    "release": ("claimed", lambda w, row, said: claims.release(claim=row, why="not ours", **said)),  # type: ignore[arg-type]
}
WALKED_ON_A_WORLD = {
    f"reconciliation.services.{'claims' if name in ('claim', 'release') else 'settling'}.{name}" for name in SETTLED
}


def services_for_people() -> set[str]:
    """Return every function of the product that does something for a person at a moment."""
    found = set()
    for app in apps.get_app_configs():
        if (import_module(app.name).__file__ or "").find("site-packages") >= 0:
            continue
        for module in pkgutil.walk_packages(import_module(app.name).__path__, f"{app.name}."):
            if any(part in module.name for part in NOT_SERVICES):
                continue
            for name, function in vars(import_module(module.name)).items():
                is_own = inspect.isfunction(function) and function.__module__ == module.name
                if is_own and name[0] != "_" and {"by", "at"} <= inspect.signature(function).parameters.keys():
                    found.add(f"{module.name}.{name}")
    return found - PARTS


def test_every_service_for_people_is_walked_here() -> None:
    assert services_for_people() == CALLS.keys() | WALKED_ON_A_WORLD


@pytest.mark.django_db
@pytest.mark.parametrize("name", CALLS)
def test_it_leaves_exactly_one_entry(name: str) -> None:
    desk = Desk()
    call = CALLS[name](desk)
    before = AuditEntry.objects.count()
    call()
    entries = list(AuditEntry.objects.order_by("pk"))[before:]
    assert [entry.actor_name for entry in entries] == ["ada"]
    assert not any(chain.problem for chain in verify())


@pytest.mark.parametrize("name", SETTLED)
def test_what_is_settled_leaves_exactly_one_entry(name: str, held: World) -> None:
    which, call = SETTLED[name]
    said: dict[str, Any] = {"by": held.ada, "at": held.clock.now()}
    if which == "stops":
        by_hand(held, action=6, position=held.open_orders()[0].ticket, sl=1.05)
        check(held)
        row: Any = opened(held, "stop_loss")
    else:
        by_hand(held, action=1, volume=0.2, type=0)
        check(held)
        row = opened(held, "unmatched")
    if which == "undone":
        row = settling.mark_manual(divergence=row, why="mine", **said)
    if which == "claimed":
        row = claims.claim(divergence=row, cycle=held.cycles("open")[0], why="x", **said)
    before = AuditEntry.objects.count()
    call(held, row, said)
    assert [entry.actor_name for entry in AuditEntry.objects.order_by("pk")][before:] == ["ada"]
