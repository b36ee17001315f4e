"""What people change through the API: cycles and orders by the session, configurations at once, none by accident."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.api.journal import ASKABLE
from accounts.models import AccountRole, TradingAccount
from core.ids import SystemIds
from cycles.models import Cycle
from engine.commands import COMMANDS
from events.models import AuditEntry, Command
from orders.models import Order, OrderIntent
from strategies.models import BotConfig
from tests.admin.conftest import Desk
from tests.api.conftest import Api
from tests.world import World

Ask = Callable[..., Api]


class Session:
    """Ada at the API of a world's account."""

    def __init__(self, world: World) -> None:
        self.client = Client()
        AccountRole.objects.get_or_create(user=world.ada, account=world.account, defaults={"role": "manager"})
        self.client.force_login(world.ada)
        self.keys = SystemIds()
        self.world = world

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": self.keys.token(20)}
        return self.client.post(f"/api/{path}", body, "application/json", headers=headers)

    def result(self, answer: Any, seconds: float = 3) -> str:
        """Let the session answer a command, and poll it."""
        assert answer.status_code == 202, answer.content
        self.world.run(seconds)
        told = self.client.get(answer.headers["Location"]).json()
        assert told["state"] == "done", told
        return str(told["result"])


@pytest.fixture
def trading(world: World) -> World:
    """A cycle with two legs."""
    world.bot(max_cycles=1, entry_cooldown=0)
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    return world


def test_a_cycle_is_closed_by_its_session_with_all_its_legs(trading: World) -> None:
    asked = Session(trading)
    (cycle,) = trading.cycles("open")
    assert asked.result(asked.post(f"cycles/{cycle.pk}/close", {"reason": "news"})).count("done") == 2
    trading.run(3)
    cycle.refresh_from_db()
    assert (cycle.status, cycle.close_reason) == ("closed", "by hand: news")
    closes = OrderIntent.objects.filter(cycle=cycle, kind="close")
    assert {(i.trace["woken_by"], i.why) for i in closes} == {("person", "by hand: news")}
    again = asked.post(f"cycles/{cycle.pk}/close", {"reason": "news"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "state")
    trading.assert_equal()


def test_a_part_of_an_order_is_closed_once_however_often_the_session_reads_the_request(trading: World) -> None:
    asked = Session(trading)
    order = trading.open_orders()[0]
    asked.result(asked.post(f"orders/{order.pk}/close", {"volume": "0.04", "reason": "half"}))
    order.refresh_from_db()
    assert str(order.volume) == "0.0600"
    # The session died after it had sent and before it had answered
    Command.objects.filter(kind="close_order").update(state="waiting", done_at=None)
    trading.run(3)
    order.refresh_from_db()
    assert str(order.volume) == "0.0600"
    too_much = asked.post(f"orders/{order.pk}/close", {"volume": "0.07", "reason": "half"})
    assert (too_much.status_code, list(too_much.json()["error"]["fields"])) == (400, ["volume"])
    asked.result(asked.post(f"orders/{order.pk}/close", {"reason": "the rest"}))
    order.refresh_from_db()
    assert order.status == "closed"
    trading.assert_equal()


def test_stops_are_set_at_the_broker(trading: World) -> None:
    asked = Session(trading)
    order = trading.open_orders()[0]
    told = asked.result(asked.post(f"orders/{order.pk}/modify", {"sl": "1.05", "tp": "1.15", "reason": "tighter"}))
    assert told.endswith("done")
    position = next(p for p in trading.truth.positions if p.identifier == order.identifier)
    assert (position.sl, position.tp) == (1.05, 1.15)
    wrong = asked.post(f"orders/{order.pk}/modify", {"sl": "1.2", "tp": "1.15", "reason": "tighter"})
    assert (wrong.status_code, list(wrong.json()["error"]["fields"])) == (400, ["sl"])


def test_a_stopped_account_takes_no_request(api: Ask, desk: Desk) -> None:
    before = Command.objects.count()
    for path in (f"cycles/{desk.cycle.pk}/close", f"orders/{desk.order.pk}/close"):
        answer = api("ada").post(path, {"reason": "because"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_running")
    assert Command.objects.count() == before


def test_every_command_that_can_be_asked_for_is_one_that_a_session_knows() -> None:
    assert set(ASKABLE) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "settle_divergence"}, "kind"),
        ({"kind": "reconcile", "args": {"dry": True}}, "args.dry"),
        ({"kind": "reconcile", "args": {"dry_run": 1}}, "args.dry_run"),
        ({"kind": "examine", "args": {"x": 1}}, "args.x"),
        ({"kind": "integrity", "args": {"checks": "all"}}, "args.checks"),
        ({"kind": "integrity", "args": []}, "args"),
    ],
)
def test_commands_are_asked_for_strictly(body: dict[str, Any], field: str, api: Ask, desk: Desk) -> None:
    TradingAccount.objects.update(desired_state="running")
    answer = api("ada").post("commands", {"account": desk.account.pk, **body})
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["error"]["fields"]) == [field]


def test_a_configuration_is_judged_saved_and_brought_back(api: Ask, desk: Desk) -> None:
    asked, path = api("mia"), f"bots/{desk.bot.pk}"
    judged = api("ben", "read").post(f"{path}/validate", {"values": {"lot_size": 0.05}}).json()
    assert [(c["name"], c["after"]) for c in judged["changes"]] == [("lot_size", 0.05)]
    assert BotConfig.objects.filter(bot=desk.bot).count() == 1
    bad = asked.post(f"{path}/configure", {"values": {"lot_size": -1, "lott": 1}})
    assert (bad.status_code, set(bad.json()["error"]["fields"])) == (400, {"lot_size", "lott"})
    saved = asked.post(f"{path}/configure", {"values": {"lot_size": 0.05}, "note": "bigger", "seen_version": 1})
    assert (saved.status_code, saved.json()["version"], saved.json()["note"]) == (201, 2, "bigger")
    late = asked.post(f"{path}/configure", {"values": {"lot_size": 0.07}, "seen_version": 1})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "changed")
    first = BotConfig.objects.get(bot=desk.bot, version=1)
    back = asked.post(f"configurations/{first.pk}/revert", {"seen_version": 2}).json()
    assert (back["version"], back["values"]) == (3, first.values)
    assert AuditEntry.objects.filter(action="BOT_CONFIG", via="api").count() == 2


def test_an_answer_is_sent_once_while_nothing_changes(api: Ask, desk: Desk) -> None:
    asked = api("mia")
    first = asked.client.get(f"/api/bots/{desk.bot.pk}", headers=asked.headers)
    etag = first.headers["ETag"]
    same = {**asked.headers, "If-None-Match": etag}
    for path in (f"/api/bots/{desk.bot.pk}",):
        assert asked.client.get(path, headers=same).status_code == 304
    assert asked.post(f"bots/{desk.bot.pk}/start", **{"If-Match": etag}).status_code == 202
    assert asked.client.get(f"/api/bots/{desk.bot.pk}", headers=same).status_code == 200
    stale = asked.post(f"bots/{desk.bot.pk}/stop", **{"If-Match": etag})
    assert (stale.status_code, stale.json()["error"]["code"]) == (412, "changed")
    desk.bot.refresh_from_db()
    assert desk.bot.desired_state == "running"


def test_only_the_fields_asked_for_are_answered(api: Ask, desk: Desk) -> None:
    assert api("ben").get(f"bots/{desk.bot.pk}", fields="id,name").json() == {"id": desk.bot.pk, "name": desk.bot.name}
    (row,) = api("ben").get("cycles", fields="symbol").json()["results"]
    assert row == {"symbol": "EURUSD"}
    for text in ("password_encrypted", "id,,name", "id,"):
        assert list(api("ben").get("accounts", fields=text).json()["error"]["fields"]) == ["fields"]


def test_nobody_closes_what_is_another_person_s(api: Ask, desk: Desk) -> None:
    TradingAccount.objects.update(desired_state="running")
    foreign = Order.objects.exclude(account=desk.account).get()
    cycle = Cycle.objects.exclude(account=desk.account).get()
    before = Command.objects.count()
    for path in (f"orders/{foreign.pk}/close", f"cycles/{cycle.pk}/close"):
        assert api("ada").post(path, {"reason": "because"}).status_code == 404
    assert Command.objects.count() == before
