"""Each integrity check alone: what it finds, what it repairs, and what it leaves to a person (S0)."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from cycles.models import Cycle
from engine.reconciling import check_integrity
from events.models import Command, Event
from events.services import ask
from orders.models import Order
from tests.world import World

ONE_CYCLE: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0}


@pytest.fixture
def held(world: World) -> World:
    """A world with one cycle of two legs."""
    world.bot(**ONE_CYCLE)
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    return world


def found(world: World, name: str, *, fix: bool = False) -> tuple[list[str], int]:
    """Run one check alone; return the checks that found something, and how much was repaired."""
    world.session.orders.run()
    verdict = world.session.cycles.examine([name], fix=fix)
    return [p.check for p in verdict.problems], verdict.fixed


@pytest.mark.requirement("S0-43", "S0-46", "S0-96")
@pytest.mark.parametrize("name", ["orphaned", "misplaced", "missing", "levels", "closed", "misbooked", "figures"])
def test_a_sound_account_has_no_problem(held: World, name: str) -> None:
    assert found(held, name) == ([], 0)


@pytest.mark.requirement("S0-44", "S0-76", "S0-96")
def test_orphaned_orders_are_told_and_with_fix_given_back(held: World) -> None:
    Order.objects.filter(pk=held.open_orders()[1].pk).update(cycle=None)
    assert found(held, "orphaned") == (["orphaned"], 0)
    assert found(held, "orphaned", fix=True) == (["orphaned"], 1)
    assert found(held, "orphaned") == ([], 0)


@pytest.mark.requirement("S0-35", "S0-46")
def test_misplaced_orders_go_back_to_the_cycle_of_their_intent(held: World) -> None:
    right = held.cycles("open")[0]
    wrong = Cycle.objects.create(
        account=held.account, bot=right.bot, config=right.config, number=99, symbol="EURUSD", side="buy",
        opened_at=held.clock.now(),
    )  # fmt: skip
    order = held.open_orders()[1]
    Order.objects.filter(pk=order.pk).update(cycle=wrong)
    assert found(held, "misplaced", fix=True) == (["misplaced"], 1)
    order.refresh_from_db()
    assert order.cycle == right


@pytest.mark.requirement("S0-43", "S0-45", "S0-73", "S0-75")
def test_orders_that_the_broker_does_not_show_are_told_and_never_dropped_unproved(held: World) -> None:
    order = held.open_orders()[1]
    Order.objects.filter(pk=order.pk).update(identifier=1, ticket=1)
    names, fixed = found(held, "missing", fix=True)
    assert (set(names), fixed) == ({"missing"}, 0)
    assert Order.objects.get(pk=order.pk).status == "open"


@pytest.mark.requirement("S0-35", "S0-45", "S0-75")
def test_hedge_levels_without_an_order_are_dropped_and_a_level_held_twice_is_told(held: World) -> None:
    cycle = held.cycles("open")[0]
    ghost = {"level": 9, "ticket": 1}
    Cycle.objects.filter(pk=cycle.pk).update(kind="HEDGE", hedge_levels=[ghost])
    assert found(held, "levels", fix=True) == (["levels"], 1)
    cycle.refresh_from_db()
    assert [row["level"] for row in cycle.hedge_levels] == [1]
    Order.objects.filter(cycle=cycle).update(level=1)
    Cycle.objects.filter(pk=cycle.pk).update(kind="CT", hedge_levels=[])
    assert found(held, "levels", fix=True) == (["levels"], 0)


@pytest.mark.requirement("S0-36", "S0-48", "S0-49", "S0-77")
def test_a_wrongly_closed_cycle_is_reopened_only_when_the_broker_shows_an_order_of_it(held: World) -> None:
    Cycle.objects.update(status="closed", closed_at=held.clock.now(), close_reason="by mistake")
    assert found(held, "closed") == (["closed"], 0)
    assert found(held, "closed", fix=True) == (["closed"], 1)
    assert [c.status for c in held.cycles()] == ["open"]
    ended = {"status": "closed", "volume": 0, "price_close": 1, "closed_at": held.clock.now(), "close_reason": "bot"}
    Order.objects.filter(level=1).update(**ended)
    Order.objects.filter(level=0).update(identifier=1, ticket=1)
    Cycle.objects.update(status="closed", closed_at=held.clock.now(), close_reason="by mistake")
    verdict = held.session.cycles.examine(["closed"], fix=True)
    assert verdict.problems == ()


@pytest.mark.requirement("S0-50", "S0-52")
def test_wrong_figures_are_computed_anew_and_told(held: World) -> None:
    Cycle.objects.update(realized_profit=77, total_volume=9)
    assert found(held, "figures", fix=True) == (["figures"], 1)
    cycle = held.cycles("open")[0]
    assert (float(cycle.realized_profit), float(cycle.total_volume)) == (0.0, 0.2)
    assert Event.objects.filter(kind="CYCLE_RECALCULATE_PROFIT", cycle=cycle).exists()


@pytest.mark.requirement("S0-92", "S0-96")
def test_a_running_engine_checks_when_it_is_asked_and_names_an_unknown_check(held: World) -> None:
    Cycle.objects.update(realized_profit=77)
    at = held.clock.now()
    ask(account_id=held.account.pk, kind="integrity", args={"checks": ["figures"], "fix": True}, by=held.ada, at=at)
    ask(account_id=held.account.pk, kind="integrity", args={"checks": ["nonsense"]}, by=held.ada, at=at)
    held.session.loop.hurry("commands")
    held.session.step()
    good, bad = Command.objects.filter(kind="integrity").order_by("id")
    assert json.loads(good.result)["fixed"] in (0, 1)
    assert (good.state, bad.state) == ("done", "failed")
    assert "checks: there is no nonsense; known: orphaned" in bad.result


class Meanwhile:
    """A clock by which waiting lets the account's engine work."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.clock, name)

    def sleep(self, seconds: float) -> None:
        self._world.run(seconds)


def test_an_engine_answers_whole_however_much_it_found(held: World) -> None:
    cycle = held.cycles("open")[0]
    Order.objects.bulk_create(
        Order(
            account=held.account, cycle=cycle, bot=cycle.bot, ticket=n, identifier=n, symbol="EURUSD", side="buy",
            status="pending", level=n, volume=1, volume_initial=1, price_open=1, opened_at=held.clock.now(),
        )
        for n in range(100, 130)
    )  # fmt: skip
    clock: Any = Meanwhile(held)
    answer = check_integrity(held.account.pk, ["missing"], fix=False, clock=clock, ids=held.ids)
    assert answer["by"] == "engine"
    assert len(answer["problems"]) == 30


@pytest.mark.requirement("S0-81", "S0-96")
def test_the_command_finds_repairs_and_answers_by_its_exit_code(held: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.management.commands import integrity

    monkeypatch.setattr(integrity, "CLOCK", held.clock)
    held.crash()
    Order.objects.filter(level=1).update(cycle=None)

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        out, code = StringIO(), 0
        try:
            call_command("integrity", "--json", *arguments, stdout=out)
        except SystemExit as ended:
            code = int(str(ended.code))
        return code, json.loads(out.getvalue())["Sim"]

    code, verdict = run("--check", "orphaned")
    assert (code, verdict["found"], verdict["left"]) == (2, {"orphaned": 1}, 1)
    assert run("--fix")[0] == 0
    assert run()[1]["found"] == {}


def test_the_admin_asks_the_engine_for_one_check(held: World) -> None:
    client = Client()
    client.force_login(held.ada)
    url = reverse("admin:cycles_cycle_check_integrity")
    client.post(url, {"_form_submitted": "1", "account": held.account.pk, "check": "closed", "fix": "on"})
    command = Command.objects.get(kind="integrity")
    assert (command.kind, command.args) == ("integrity", {"checks": ["closed"], "fix": True})
