"""Each line that keeps one decision at one order, shown by what happens at it (`make mutants` removes them)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, transaction

from core import crashpoints
from orders.approval import Planned, approve
from orders.models import IntentState, OrderIntent
from orders.sending import send_intent
from orders.services import AlreadyDecided, Proposal, plan_intent, transition
from risk.models import Block
from risk.selectors import standing_blocks
from tests.world import World

HELD: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0}


def proposal(cause: str = "c1:L0:0:open") -> Proposal:
    return Proposal("open", cause, "EURUSD", "buy", 0.1, 12345, "a test")


def planned(world: World, cause: str = "c1:L0:0:open") -> Planned:
    asked = proposal(cause)
    approved = approve(bot_id=asked.bot_id, symbol=asked.symbol, volume=asked.volume, raises_exposure=True)
    with transaction.atomic():
        return plan_intent(asked, approved, account_id=world.account.pk, ids=world.ids, at=world.clock.now())


def send(world: World, intent: Planned) -> object:
    session = world.session
    return send_intent(intent, gateway=session.gateway, gate=session.gate, clock=world.clock)


def states() -> list[str]:
    return list(OrderIntent.objects.order_by("id").values_list("state", flat=True))


def test_a_step_is_taken_once(world: World) -> None:
    intent = planned(world).row
    taken = [
        transition(intent.pk, "planned", "claimed", fence=1, why="", at=world.clock.now()) for _ in range(2)
    ]  # fmt: skip
    assert taken == [True, False]
    assert intent.history.filter(to_state="claimed").count() == 1


def test_a_send_inside_a_transaction_is_refused(world: World) -> None:
    intent = planned(world)
    world.run(1)
    with pytest.raises(RuntimeError), transaction.atomic():
        send(world, intent)
    assert world.truth.positions == ()


def test_what_the_gate_holds_back_does_not_leave(world: World) -> None:
    world.run(1)
    intent = planned(world)
    world.clock.advance(9)
    assert send(world, intent) is None
    assert states() == ["refused"]
    assert world.truth.positions == ()


def test_a_decision_is_carried_out_once(world: World) -> None:
    planned(world)
    with pytest.raises(AlreadyDecided):
        planned(world)


def test_absence_takes_two_looks_five_seconds_apart(world: World) -> None:
    world.terminal.faults.reply_lost_before_execution()
    world.bot(**HELD)
    world.run(70)
    intent = OrderIntent.objects.order_by("id")[0]
    absent = intent.history.get(to_state="absent")
    assert intent.sent_at is not None
    assert absent.at - intent.sent_at >= timedelta(seconds=65)


def test_what_was_filled_and_closed_unseen_is_adopted_by_its_deals(world: World) -> None:
    world.bot(**HELD)
    world.session.orders.run()
    world.terminal.faults.reply_lost_after_execution()
    world.session.trader.run()
    assert states() == ["unknown"]
    world.by_hand().Close("EURUSD")
    world.run(90)
    assert states()[0] == "adopted"
    world.assert_equal()


def test_no_entry_follows_in_the_same_round_on_one_of_which_nobody_knows(world: World) -> None:
    world.bot("Both", **{**HELD, "direction": "both", "max_cycles": 2, "entry_cooldown": 0.0})
    world.terminal.faults.reply_lost_before_execution()
    world.run(2)
    assert states() == ["unknown"]


def test_a_request_whose_outcome_was_not_recorded_is_looked_up(world: World) -> None:
    lost: list[str] = []

    def lose(name: str) -> None:
        if name == "outcome:uncommitted" and not lost:
            lost.append(name)
            raise OperationalError("the connection died")

    world.bot(**HELD)
    world.start()
    world.terminal.faults.reply_lost_before_execution()
    with crashpoints.rehearsed(lose):
        world.run(1)
    world.run(5)
    assert states() == ["unknown"], "without a restart, too"
    world.run(65)
    assert states()[0] == "absent"


def test_what_left_before_a_backup_was_restored_is_never_sent_again(world: World) -> None:
    intent = planned(world).row
    journal = Path(settings.VAR_DIR) / "journal" / f"account-{world.account.pk}"
    journal.parent.mkdir(exist_ok=True)
    journal.write_text(f"{intent.token}\n")
    world.start()
    assert states() == [IntentState.UNKNOWN]
    assert world.truth.positions == ()


@pytest.mark.requirement("S0-54")
def test_nothing_is_entered_before_the_books_equal_the_broker(world: World) -> None:
    world.bot(**HELD)
    seen: list[tuple[str, ...]] = []

    def look(name: str) -> None:
        if "OrdersManager" in name:
            seen.append(tuple(block[1] for block in standing_blocks(world.account.pk)))

    with crashpoints.rehearsed(look):
        world.start()
    assert seen
    assert all("startup" in causes for causes in seen)
    assert "startup" not in {block[1] for block in standing_blocks(world.account.pk)}
    assert Block.objects.filter(cause="startup", lifted_at__isnull=False).count() == 1
