"""The guards through the API: who may read and change what, and that it is what the pages do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.adminkit import CLOCK
from events.models import Event
from risk.models import GuardAlarm, GuardConfig, KillSwitch
from risk.selectors import current_config
from tests.admin.conftest import Desk
from tests.api.conftest import Api

Ask = Callable[..., Api]
WHO = [
    (None, "", 401), ("ben", "control", 403), ("mia", "read", 403), ("mia", "propose", 403), ("cem", "control", 404),
]  # fmt: skip


def alarm_of(desk: Desk, phase: str) -> GuardAlarm:
    GuardAlarm.objects.filter(account=desk.account).update(
        phase=phase, deadline=CLOCK.now() + timedelta(seconds=60) if phase == "countdown" else None
    )
    return GuardAlarm.objects.get(account=desk.account)


def thrown(desk: Desk, **more: Any) -> dict[str, Any]:
    return {"account": desk.account.pk, "mode": "flatten", "reason": "odd", "confirmation": "Main", **more}


@pytest.mark.parametrize(("name", "scope", "status"), WHO)
def test_people_without_the_role_or_the_scope_change_nothing(
    name: str | None, scope: str, status: int, api: Ask, desk: Desk
) -> None:
    alarm, switch = alarm_of(desk, "countdown"), KillSwitch.objects.get(account=desk.account)
    asked = api(name, scope) if name else api(None)
    why = {"reason": "because"}
    limits = {"values": {"drawdown_close": 18.0}, "seen_version": 1}
    for route, body in (
        (f"alarms/{alarm.pk}/veto", why), (f"alarms/{alarm.pk}/rearm", why), (f"alarms/{alarm.pk}/acknowledge", why),
        (f"guards/{desk.account.pk}/save", limits), ("kill-switches", thrown(desk)),
        (f"kill-switches/{switch.pk}/release", why),
    ):  # fmt: skip
        assert asked.post(route, body).status_code == status, route
    alarm.refresh_from_db()
    assert (alarm.phase, alarm.acknowledged_at) == ("countdown", None)
    assert current_config(desk.account.pk).drawdown_close == 25.0
    assert [k.released_at for k in KillSwitch.objects.filter(account=desk.account)] == [None]


def test_a_manager_vetoes_and_re_arms_and_a_trader_only_acknowledges(api: Ask, desk: Desk) -> None:
    alarm = alarm_of(desk, "countdown")
    trader, manager = api("ada"), api("mia")
    for step in ("veto", "rearm"):
        assert trader.post(f"alarms/{alarm.pk}/{step}", {"reason": "no"}).status_code == 403
    seen = trader.post(f"alarms/{alarm.pk}/acknowledge", {"reason": "I look at it"}).json()
    assert seen["acknowledged_by"] == desk.people["ada"].pk
    assert (
        manager.post(f"alarms/{alarm.pk}/acknowledge", {"reason": "me too"}).json()["acknowledged_by"]
        == seen["acknowledged_by"]
    ), "the first one's name is kept"
    for body, field in (({}, "reason"), ({"reason": ""}, "reason"), ({"reason": "x", "more": 1}, "more")):
        refused = manager.post(f"alarms/{alarm.pk}/veto", body)
        assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, [field])
    vetoed = manager.post(f"alarms/{alarm.pk}/veto", {"reason": "news, will recover"})
    assert (vetoed.status_code, vetoed.json()["phase"]) == (200, "vetoed")
    late = manager.post(f"alarms/{alarm.pk}/veto", {"reason": "again"})
    assert late.status_code == 400
    assert "no countdown" in late.json()["error"]["message"]
    assert manager.post(f"alarms/{alarm.pk}/rearm", {"reason": "looked at it"}).json()["phase"] == "ended"
    assert manager.post(f"alarms/{alarm.pk}/acknowledge", {"reason": "late"}).status_code == 400
    kinds = Event.objects.filter(account=desk.account, kind__startswith="GUARD_").order_by("id")
    assert [e.kind for e in kinds if e.kind != "GUARD_CHANGED"] == [
        "GUARD_ACKNOWLEDGED", "GUARD_VETOED", "GUARD_REARMED"
    ]  # fmt: skip


def test_limits_are_saved_as_versions_and_checked(api: Ask, desk: Desk) -> None:
    manager, route = api("mia"), f"guards/{desk.account.pk}"
    held = manager.get(route).json()
    assert (held["version"], held["is_own"], held["values"]["drawdown_close"]) == (1, True, 25.0)
    for values, version, status, said in (
        ({"drawdown_warn": 30.0}, 1, 400, "milder tier"),
        ({"nonsense": 1}, 1, 400, "nonsense"),
        ({"drawdown_close": "much"}, 1, 400, "drawdown_close"),
        ({"drawdown_close": 18.0}, 0, 409, "saved meanwhile"),
    ):
        refused = manager.post(f"{route}/save", {"values": values, "seen_version": version})
        assert refused.status_code == status, values
        assert said in str(refused.json()["error"])
    saved = manager.post(
        f"{route}/save", {"values": {"drawdown_close": 18.0}, "seen_version": 1, "note": "tighter"}, key="key-of-mine"
    )
    assert (saved.status_code, saved.json()["version"]) == (201, 2)
    again = manager.post(
        f"{route}/save", {"values": {"drawdown_close": 18.0}, "seen_version": 1, "note": "tighter"}, key="key-of-mine"
    )
    assert again.json() == saved.json()
    assert GuardConfig.objects.filter(account=desk.account).count() == 2
    assert current_config(desk.account.pk).drawdown_close == 18.0
    assert api("ben").get(route).json()["values"]["drawdown_close"] == 18.0
    assert api("cem").get(route).status_code == 404
    versions = api("ben").get("guard-settings", account=desk.account.pk).json()["results"]
    assert [v["version"] for v in versions] == [2, 1]


def test_settings_that_hold_no_more_are_told_and_can_be_replaced(api: Ask, desk: Desk) -> None:
    GuardConfig.objects.filter(account=desk.account).update(values={"drawdown_close": "gone"})
    assert api("mia").get(f"guards/{desk.account.pk}").json()["values"] is None
    body = {"values": {"drawdown_close": 22.0}, "seen_version": 1}
    assert api("mia").post(f"guards/{desk.account.pk}/save", body).status_code == 201


def test_a_trader_stops_an_account_by_its_name_and_a_manager_lets_it_go_on(api: Ask, desk: Desk) -> None:
    trader = api("ada")
    for body, status in (
        (thrown(desk, confirmation="main"), 400), (thrown(desk, mode="hard"), 400), (thrown(desk, reason=" "), 400),
        (thrown(desk, bot=999_999_999), 404), (thrown(desk, account=desk.other.pk), 404),
        ({"mode": "flatten", "reason": "odd", "confirmation": "everything"}, 403),
    ):  # fmt: skip
        assert trader.post("kill-switches", body).status_code == status, body
    foreign = thrown(desk, bot=desk.bot.pk, account=desk.other.pk)
    assert api("root").post("kill-switches", foreign).status_code == 400
    switch = trader.post("kill-switches", thrown(desk))
    assert (switch.status_code, switch.json()["mode"], switch.json()["by"]) == (201, "flatten", desk.people["ada"].pk)
    release = f"kill-switches/{switch.json()['id']}/release"
    assert trader.post(release, {"reason": "fine"}).status_code == 403
    assert api("mia").post(release, {"reason": "fine"}).json()["released_at"] is not None
    assert api("mia").post(release, {"reason": "fine"}).status_code == 400
    everything = {"mode": "exits_only", "reason": "travelling", "confirmation": "everything"}
    assert api("root").post("kill-switches", everything).status_code == 201
    assert KillSwitch.objects.filter(account=None, released_at=None).count() == 1


def test_worst_cases_and_blocks_are_shown_to_those_of_the_account(api: Ask, desk: Desk) -> None:
    worst = api("ben").get(f"worst-cases/{desk.account.pk}").json()
    assert (worst["figures"]["to_stop_out"], worst["figures"]["cost_to_close"]) == (9_500.0, -12.5)
    assert worst["bots"][str(desk.bot.pk)]["worst_change"] == -88.0
    assert api("cem").get(f"worst-cases/{desk.account.pk}").status_code == 404
    (block,) = api("ben").get("blocks", cause="person", open="true").json()["results"]
    assert block["reason"] == "news at 14:30"
    assert api("ben").get("alarms", open="false").json()["results"] == []
