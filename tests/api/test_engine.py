"""The trade engine's routes: what they ask for happens once, and within two seconds of a session."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.adminkit import CLOCK
from accounts.apikit import idempotency
from accounts.models import ApiRequest, TradingAccount
from accounts.services import wind_down
from engine.coordinator import Instruction, coordinate
from engine.models import EngineState
from events.models import AuditEntry, Command
from tests.admin.conftest import Desk
from tests.api.conftest import Api
from tests.world import World

Ask = Callable[..., Api]


def state(desk: Desk) -> str:
    return TradingAccount.objects.get(pk=desk.account.pk).desired_state


@pytest.mark.requirement("S4-01", "S4-44", "S4-45")
def test_start_pause_resume_and_stop_one_account(api: Ask, desk: Desk) -> None:
    asked = api("ada")
    commands = Command.objects.filter(kind="state_changed", account=desk.account)
    before, seen = commands.count(), []
    for route in ("start", "pause", "resume", "stop", "resume", "pause"):
        answer = asked.post(f"trade-engine/{route}", {"account": desk.account.pk})
        (told,) = answer.json()["accounts"]
        seen.append((route, told["changed"], state(desk)))
        assert (answer.status_code, told["desired_state"]) == (202, state(desk))
    assert seen == [
        ("start", True, "running"), ("pause", True, "paused"), ("resume", True, "running"), ("stop", True, "stopped"),
        ("resume", False, "stopped"), ("pause", False, "stopped"),
    ]  # fmt: skip
    assert commands.count() - before == 4
    entry = AuditEntry.objects.filter(account=desk.account, action="ACCOUNT_STATE").latest("id")
    assert (entry.actor_name, entry.via) == ("ada", "api")


def test_without_an_account_all_that_one_steers_are_meant(api: Ask, desk: Desk) -> None:
    told = api("ada").post("trade-engine/start").json()["accounts"]
    assert [one["id"] for one in told] == [desk.account.pk]
    assert {one["id"] for one in api("root").post("trade-engine/start").json()["accounts"]} == {
        desk.account.pk, desk.other.pk,
    }  # fmt: skip
    assert api("ben").post("trade-engine/start").status_code == 403


@pytest.mark.requirement("S4-46", "S4-47")
def test_status_and_performance_tell_of_own_accounts(api: Ask, desk: Desk) -> None:
    for route in ("status", "performance"):
        found = api("ben").get(f"trade-engine/{route}").json()
        assert [row["id"] for row in found["accounts"]] == [desk.account.pk]
        assert found["accounts"] == api("ben").get(f"trade-engine/{route}", account=desk.account.pk).json()["accounts"]
    assert api("ben").get("trade-engine/performance").json()["hosts"] == []
    (host,) = api("root").get("trade-engine/performance").json()["hosts"]
    assert host["host"] == "h"


def test_a_key_is_required_and_its_answer_is_kept(api: Ask, desk: Desk) -> None:
    asked = api("ada")
    for bad in (None, "short", "with space in it", "x" * 81):
        answer = asked.post("trade-engine/start", {}, key=bad)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["Idempotency-Key"])
    first = asked.post("trade-engine/start", {"account": desk.account.pk}, key="the-same-key")
    asked.post("trade-engine/stop", {"account": desk.account.pk})
    again = asked.post("trade-engine/start", {"account": desk.account.pk}, key="the-same-key")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotent-Replay"] == "true"
    assert state(desk) == "stopped", "it was not carried out again"
    for route, body in (("trade-engine/start", {}), ("trade-engine/stop", {"account": desk.account.pk})):
        other = asked.post(route, body, key="the-same-key")
        assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")


def test_a_key_that_is_a_year_old_trades_nothing(api: Ask, desk: Desk) -> None:
    asked, body = api("ada"), {"account": desk.account.pk}
    assert asked.post("trade-engine/start", body, key="the-same-key").status_code == 202
    asked.post("trade-engine/stop", body)
    ApiRequest.objects.filter(key="the-same-key").update(created_at=CLOCK.now() - timedelta(days=366))
    again = asked.post("trade-engine/start", body, key="the-same-key")
    assert (again.status_code, again.json()["error"]["code"]) == (422, "key_reused")
    assert "older than 30 days" in again.json()["error"]["message"]
    assert state(desk) == "stopped"


def test_another_person_s_key_is_another_key(api: Ask, desk: Desk) -> None:
    assert api("ada").post("trade-engine/start", {}, key="the-same-key").status_code == 202
    assert api("mia").post("trade-engine/stop", {}, key="the-same-key").status_code == 202
    assert state(desk) == "stopped"


def test_what_was_refused_may_be_tried_again_with_the_same_key(api: Ask, desk: Desk) -> None:
    asked = api("ada")
    assert asked.post(f"bots/{desk.bot.pk}/start", {"x": 1}, key="the-same-key").status_code == 400
    assert ApiRequest.objects.get(key="the-same-key").status is None


@pytest.mark.django_db(transaction=True)
def test_of_fifty_requests_with_one_key_one_is_carried_out(api: Ask, desk: Desk) -> None:
    asked = api("ada")
    commands = Command.objects.filter(kind="state_changed", account=desk.account)
    before = commands.count()

    def post(_: int) -> tuple[int, str]:
        try:
            answer = asked.post("trade-engine/start", {"account": desk.account.pk}, key="the-same-key")
            return answer.status_code, answer.json().get("error", {}).get("code", "")
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        answers = set(pool.map(post, range(50)))
    assert answers <= {(202, ""), (409, "in_flight")}
    assert (202, "") in answers
    assert commands.count() - before == 1
    assert AuditEntry.objects.filter(account=desk.account, action="ACCOUNT_STATE").count() == 1


def test_the_limit_is_exact(api: Ask, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PER_MINUTE", 3)
    asked = api("ada")
    codes = [asked.post("trade-engine/pause", {}).status_code for _ in range(5)]
    assert codes == [202, 202, 202, 429, 429]
    ApiRequest.objects.update(created_at=CLOCK.now() - timedelta(minutes=2))
    assert asked.post("trade-engine/pause", {}).status_code == 202


@pytest.mark.requirement("S4-45")
def test_stop_with_closing_closes_everything_and_then_stops(world: World) -> None:
    world.bot(max_cycles=3, entry_cooldown=0)
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    coordinate(
        instruction=Instruction.STOP, accounts=[world.account], close_positions=True, by=world.ada, at=world.clock.now()
    )
    assert TradingAccount.objects.get().desired_state == "paused", "nothing is opened while it closes"
    world.run(8)
    account = TradingAccount.objects.get()
    assert (account.desired_state, account.winding_down) == ("stopped", "")
    assert world.truth.positions == ()
    assert world.cycles("open", "closing") == []
    world.assert_equal()


def test_a_drained_account_waits_for_its_bots_and_then_stops(world: World) -> None:
    world.bot(max_cycles=3, entry_cooldown=0)
    world.run(3)
    wind_down(account=world.account, close=False, by=world.ada, at=world.clock.now())
    world.run(5)
    assert TradingAccount.objects.get().desired_state == "paused"
    assert len(world.open_orders()) == 1
    world.move(+15, run=6)
    assert TradingAccount.objects.get().desired_state == "stopped"
    assert world.open_orders() == []
    world.assert_equal()


def test_who_starts_a_draining_account_again_ends_the_draining(world: World) -> None:
    world.bot(max_cycles=1, entry_cooldown=0)
    world.run(3)
    wind_down(account=world.account, close=True, by=world.ada, at=world.clock.now())
    coordinate(instruction=Instruction.START, accounts=[world.account], by=world.ada, at=world.clock.now())
    world.run(5)
    assert len(world.open_orders()) == 1
    assert TradingAccount.objects.get().desired_state == "running"


@pytest.mark.requirement("S4-37", "S4-42")
def test_the_state_is_true_within_two_seconds(world: World) -> None:
    world.bot()
    world.run(3)
    for instruction, shown in ((Instruction.PAUSE, "paused"), (Instruction.RESUME, "running")):
        world.account.refresh_from_db()
        coordinate(instruction=instruction, accounts=[world.account], by=world.ada, at=world.clock.now())
        world.run(2)
        assert EngineState.objects.get().status == shown


def test_the_document_names_every_route_its_errors_and_no_other_site(api: Ask, desk: Desk) -> None:
    import yaml

    document: Any = yaml.safe_load(api("ben").get("schema/").content)
    assert len(document["paths"]) >= 30
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert {"400", "401", "403"} <= set(operation["responses"]), (method, path)
    # One only judges, one shows a secret once, and an alert is told apart by its own id
    without = {
        "/api/bots/{id}/validate",
        "/api/notification-targets",
        "/api/signal-sources",
        "/api/signals/in/{prefix}",
    }
    keyed = [p for p, o in document["paths"].items() if "post" in o and p not in without]
    assert keyed
    for path in keyed:
        names = {parameter["name"] for parameter in document["paths"][path]["post"]["parameters"]}
        assert "Idempotency-Key" in names, path
    page = api("ben").get("docs/").content.decode()
    assert "swagger" in page
    assert "https://" not in page
    assert "http://" not in page.replace("http://testserver", "")
