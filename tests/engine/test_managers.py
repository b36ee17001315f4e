"""The two managers of an account: whose they are, when they run, what they load, and what they cost (S0)."""

import gc
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.passes import START, build
from brokers.sendjournal import SendJournal
from core.clock import VirtualClock
from cycles.manager import CyclesManager
from cycles.models import Cycle
from engine.gate import SendGate
from engine.lease import HeldLease
from events.models import Event
from orders.manager import OrdersManager
from orders.models import AccountMarks, Order
from orders.selectors import known_orders
from risk.models import Block
from tests.world import World
from tradingsite.env import Env

DOCUMENTED = {"orders": 0.5, "cycles": 1.0, "integrity": 30.0, "reconciliation": 10.0, "heartbeat": 60.0}


@pytest.mark.requirement("S0-02", "S0-29")
def test_the_managers_are_one_account_s_and_the_second_stands_on_the_first(world: World) -> None:
    session = world.session
    assert session.orders.gate.account_id == session.cycles.gate.account_id == world.account.pk
    assert session.cycles.orders_manager is session.orders


@pytest.mark.requirement("S0-31", "S0-32", "S0-55", "X-05")
def test_the_managers_are_jobs_by_name_at_the_documented_intervals(world: World) -> None:
    jobs = world.session.loop.jobs
    assert {name: jobs[name].interval_seconds for name in DOCUMENTED} == DOCUMENTED
    world.run(61)
    assert jobs["cycles"].passes == pytest.approx(61, abs=2)
    assert jobs["integrity"].passes == pytest.approx(3, abs=1)


@pytest.mark.requirement("S0-74", "S0-87", "X-05")
def test_the_managers_intervals_are_settings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ORDERS_INTERVAL", 2.0), ("CYCLES_INTERVAL", 4.0), ("VALIDATION_INTERVAL", 20.0)):
        monkeypatch.setattr(settings, name, value)
    jobs = world.session.loop.jobs
    assert [jobs[name].interval_seconds for name in ("orders", "cycles", "integrity")] == [2.0, 4.0, 20.0]
    world.run(20)
    assert jobs["orders"].passes == pytest.approx(10, abs=2)


@pytest.mark.requirement("S0-09", "S0-33", "S0-40")
def test_orders_are_loaded_by_account_and_state_and_cycles_on_demand(world: World) -> None:
    bot = world.bot(max_cycles=1, entry_cooldown=86400, target_profit=1000.0)
    world.run(3)
    (order,) = world.open_orders()
    assert [(k.id, k.cycle_id, k.status) for k in known_orders(world.account.pk)] == [
        (order.pk, order.cycle_id, "open")
    ]
    assert known_orders(world.account.pk + 1) == ()
    loaded = world.session.cycles.get_cycle_statistics()["total_active_cycles"]
    assert bot.config is not None
    more = Cycle.objects.create(
        account=world.account, bot=bot, config=bot.config, number=99, symbol="EURUSD", side="buy",
        opened_at=world.clock.now(),
    )  # fmt: skip
    Order.objects.filter(pk=order.pk).update(cycle=more)
    world.session.cycles.run()
    assert world.session.cycles.get_cycle_statistics()["cycles_created"] >= loaded + 1
    more.refresh_from_db()
    assert (more.status, float(more.total_volume)) == ("open", 0.1)
    world.by_hand().Close("EURUSD")
    world.run(3)
    assert known_orders(world.account.pk) == ()


@pytest.mark.requirement("S0-83", "S0-84", "S0-85")
def test_hundreds_of_orders_in_fifty_cycles_are_followed_with_few_statements_and_kept_nowhere(
    transactional_db: None, tmp_path: Path
) -> None:
    clock = VirtualClock(START)
    terminal, gateway, account = build(tmp_path, 500, clock)
    lease = HeldLease.acquire(account.pk, "test", clock=clock)
    assert lease is not None
    gate = SendGate(lease, SendJournal(tmp_path / "journal"), clock)
    orders = OrdersManager(gateway=gateway, gate=gate, clock=clock)
    cycles = CyclesManager(gate=gate, clock=clock, orders_manager=orders)

    def look(pips: int) -> int:
        clock.advance(0.5)
        bid = round(1.1 + pips * 0.0001, 5)
        terminal.push_tick("EURUSD", bid, round(bid + 0.0001, 5))
        with CaptureQueriesContext(connection) as seen:
            orders.run()
            cycles.run()
        return len(seen)

    for pips in range(10):
        look(pips)
    gc.collect()
    tracemalloc.start()
    try:
        statements = [look(pips) for pips in range(10, 40)]
        connection.queries_log.clear()
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert max(statements) < 30
    assert kept < 1_000_000
    assert cycles.get_cycle_statistics()["total_active_cycles"] == 50
    marks, book = AccountMarks.objects.get(account=account), gateway.book()
    assert len(marks.profits) == 500
    assert sum(marks.profits) == pytest.approx(sum(p.profit for p in book.positions))
    assert marks.seq == 40


@pytest.mark.requirement("S0-89")
def test_errors_beyond_the_threshold_are_an_alert_and_stop_entries(world: World) -> None:
    world.bot()
    world.run(3)
    world.terminal.faults.none_from("positions_get", 10_000)
    world.run(60)
    assert Block.objects.filter(cause="circuit", lifted_at=None).exists()
    alert = Event.objects.filter(text__startswith="No new entries (circuit)").latest("id")
    assert "orders: ReadError" in alert.text
    assert alert.level in ("warning", "error")
    world.terminal.faults.armed.clear()
    world.run(70)
    assert not Block.objects.filter(cause="circuit", lifted_at=None).exists()


@pytest.mark.requirement("S0-90")
def test_a_slow_database_is_seen_in_the_health(world: World) -> None:
    world.run(3)
    queries = world.session.monitor.queries

    def health() -> str:
        return next(c.health for c in world.session.reporter.components() if c.name == "database")

    asked = queries.samples.count
    world.run(1)
    assert queries.samples.count > asked
    seen = [health()]
    for seconds in (1.5, 3.0):
        for _ in range(100):
            queries.samples.add(seconds * 1000)
        seen.append(health())
    assert seen == ["healthy", "degraded", "unhealthy"]


SYMPTOMS = (
    "many suspicious orders", "slow updates", "memory grows", "a cycle is missing", "profits differ",
    "an integrity check finds something",
)  # fmt: skip


@pytest.mark.requirement("S0-102", "S0-103")
def test_the_help_names_every_symptom_and_only_what_exists() -> None:
    text = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    shown = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    for symptom in SYMPTOMS:
        assert any(symptom in one for one in shown), symptom
    assert set(re.findall(r"manage\.py (\w+)", text)) <= set(get_commands())
    known: Any = {name.upper() for name in Env.model_fields}
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)`", text)) <= known
