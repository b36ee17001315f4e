"""The two managers of an account: whose they are, when they run, and what they load (S0)."""

import pytest
from django.conf import settings

from cycles.models import Cycle
from orders.models import Order
from orders.selectors import known_orders
from tests.world import World

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
