"""Why an order was sent, or not, is told from the tick to the cycle's change under one correlation id."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cycles.models import Cycle
from orders import notsent
from orders.models import NotSent, OrderIntent
from orders.notsent import Skipped, note_not_sent
from orders.tracing import trace_of_decision
from tests.world import World

WHOLE = ["tick", "signal", "decision", "verdict", "intent", "request", "reply", "deal", "cycle"]
HELD: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 0.0, "target_profit": 5.0}


def steps(world: World, correlation: str) -> list[str]:
    return [step.what for step in trace_of_decision(world.account.pk, correlation)]


def test_an_order_is_told_from_the_tick_to_the_cycle_s_change(world: World) -> None:
    world.bot(**HELD)
    world.run(3)
    opening = OrderIntent.objects.get()
    assert steps(world, opening.correlation) == WHOLE
    told = {s.what: s for s in trace_of_decision(world.account.pk, opening.correlation)}
    assert told["tick"].facts["bid"] == 1.1
    assert told["verdict"].facts["approved"] is True
    assert told["reply"].facts["order"] == opening.reply_order
    assert told["cycle"].facts["kind"] == "CYCLE_OPENED"
    world.move(+15, run=5)
    closing = OrderIntent.objects.filter(kind="close").get()
    assert closing.correlation != opening.correlation
    told = {s.what: s for s in trace_of_decision(world.account.pk, closing.correlation)}
    assert set(told) == set(WHOLE)
    assert told["cycle"].facts["kind"] == "CYCLE_CLOSED"
    assert steps(world, opening.correlation) == WHOLE, "what came later belongs to a later decision"


def test_all_that_one_decision_closes_bears_one_id(world: World) -> None:
    world.bot(**{**HELD, "target_profit": 1000.0})
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    world.session.trader.close_all("the test wants it")
    closing = set(OrderIntent.objects.filter(kind="close").values_list("correlation", flat=True))
    assert len(closing) == 1
    assert steps(world, closing.pop()).count("intent") == 2


@pytest.mark.requirement("S0-16")
def test_what_is_not_sent_is_kept_once_with_its_reason_and_its_steps(world: World) -> None:
    world.bot(**{**HELD, "lot_size": 500.0})
    world.run(30)
    assert not OrderIntent.objects.exists()
    (row,) = NotSent.objects.all()
    assert (row.code, row.symbol, row.side) == ("volume", "EURUSD", "buy")
    assert steps(world, row.correlation)[:2] == ["tick", "signal"]
    assert steps(world, row.correlation)[-1] == "verdict"
    world.run(90)
    row.refresh_from_db()
    assert row.times > 30, "it is asked every second, and counted"
    assert NotSent.objects.count() == 1


def test_a_veto_of_the_risk_review_is_kept_with_its_decision(world: World) -> None:
    bot = world.bot(**{**HELD, "target_profit": 1000.0})
    world.run(3)
    from risk.services import raise_block

    world.move(-8)
    raise_block(account_id=world.account.pk, bot_id=bot.pk, cause="person", reason="not now", at=world.clock.now())
    world.move(-4, run=3)
    assert Cycle.objects.get().orders.count() == 1
    blocked = NotSent.objects.filter(code="blocked").get()
    assert "not now" in blocked.detail


def test_rows_are_bounded_and_an_hour_later_it_is_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bot, at = world.bot(**HELD), world.clock.now()
    monkeypatch.setattr(notsent, "KEPT_MAX", 3)
    for hour in (0.0, 0.5, 1.6, 3.0, 4.5, 6.0):
        one = Skipped(bot.pk, "EURUSD", "buy", "spread", f"hour {hour}", 2, {"correlation": f"c{hour:g}"})
        note_not_sent(account_id=world.account.pk, skipped=[one], at=at + timedelta(hours=hour))
    kept = list(NotSent.objects.order_by("id").values_list("detail", "times"))
    assert kept == [("hour 3.0", 2), ("hour 4.5", 2), ("hour 6.0", 2)]


def test_pages_and_routes_show_the_steps_to_those_who_may_see_the_account(world: World, client: Client) -> None:
    bot = world.bot(**HELD)
    world.run(3)
    intent = OrderIntent.objects.get()
    row = NotSent.objects.create(
        account=world.account, bot=bot, symbol="EURUSD", code="spread", detail="<b>wide</b>", correlation="c1",
        first_at=world.clock.now(), last_at=world.clock.now(),
    )  # fmt: skip
    client.force_login(world.ben)
    answer = client.get(f"/api/intents/{intent.pk}/trace")
    assert [s["what"] for s in answer.json()["steps"]] == WHOLE
    assert client.get(f"/api/not-sent/{row.pk}/trace").json()["steps"][-1]["what"] == "verdict"
    assert "handed to the broker" in client.get(page("orderintent", intent.pk)).content.decode()
    shown = client.get(page("notsent", row.pk)).content.decode()
    assert "&lt;b&gt;wide" in shown
    assert "<b>wide" not in shown
    client.force_login(world.cem)
    assert client.get(f"/api/intents/{intent.pk}/trace").status_code == 404
    assert client.get(f"/api/not-sent/{row.pk}/trace").status_code == 404


def page(model: str, pk: int) -> str:
    return reverse(f"admin:orders_{model}_change", args=(pk,))
