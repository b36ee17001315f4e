"""The divergence desk through the API: the same actions, rights and refusals as in the admin."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.adminkit import CLOCK
from events.models import Command, Event
from orders.models import Order, OrderIntent
from reconciliation.models import Claim, Divergence, DivergenceStep
from tests.admin.conftest import Desk
from tests.api.conftest import Api

Ask = Callable[..., Api]
WHY: dict[str, Any] = {"reason": "seen in the terminal"}
ACTIONS: dict[str, Callable[[Desk], dict[str, Any]]] = {
    "accept-broker": lambda desk: WHY,
    "accept-ours": lambda desk: WHY,
    "adopt": lambda desk: {**WHY, "cycle": desk.cycle.pk},
    "manual": lambda desk: WHY,
    "ignore": lambda desk: {**WHY, "until": (CLOCK.now() + timedelta(hours=4)).isoformat()},
    "assign": lambda desk: {**WHY, "assignee": desk.people["ben"].pk},
    "note": lambda desk: WHY,
    "undo": lambda desk: WHY,
}
PEOPLE: list[tuple[str | None, str, int]] = [
    (None, "", 401), ("ben", "control", 403), ("ada", "propose", 403), ("cem", "control", 404), ("ada", "control", 200),
]  # fmt: skip


@pytest.fixture
def row(desk: Desk) -> Divergence:
    return Divergence.objects.get(account=desk.account)


def prepared(row: Divergence, what: str) -> Divergence:
    """Make the divergence one for which an action has a meaning."""
    if what == "accept-broker":
        Divergence.objects.filter(pk=row.pk).update(kind="stop_loss")
    if what == "undo":
        until = CLOCK.now() + timedelta(hours=1)
        Divergence.objects.filter(pk=row.pk).update(state="ignored", ignored_until=until)
    return row


def footprint() -> list[Any]:
    return [
        list(Divergence.objects.order_by("pk").values()), list(DivergenceStep.objects.order_by("pk").values()),
        Claim.objects.count(), Command.objects.count(), Order.objects.count(),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize(("name", "scope", "status"), PEOPLE)
def test_only_traders_with_the_scope_settle(
    what: str, name: str | None, scope: str, status: int, api: Ask, desk: Desk, row: Divergence
) -> None:
    prepared(row, what)
    before = footprint()
    asked = api(name, scope) if name else api(None)
    answer = asked.post(f"divergences/{row.pk}/{what}", ACTIONS[what](desk))
    assert answer.status_code == status, answer.content
    if status != 200:
        assert footprint() == before
        return
    assert answer.json()["steps"][-1]["text"].endswith(WHY["reason"])
    assert answer.json()["steps"][-1]["by"] == desk.people[str(name)].pk
    assert Event.objects.latest("id").account_id == desk.account.pk


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("accept-broker", {"state": "closed", "closed_how": "accepted"}),
        ("adopt", {"state": "closed", "closed_how": "claimed"}),
        ("manual", {"state": "closed", "closed_how": "manual"}),
        ("ignore", {"state": "ignored"}),
        ("undo", {"state": "open", "ignored_until": None}),
        ("note", {"state": "open"}),
    ],
)
def test_an_action_does_what_the_desk_does(
    what: str, expected: dict[str, Any], api: Ask, desk: Desk, row: Divergence
) -> None:
    found = api("ada").post(f"divergences/{prepared(row, what).pk}/{what}", ACTIONS[what](desk)).json()
    assert {name: found[name] for name in expected} == expected


def test_accepting_ours_asks_the_engine_once_however_often_it_comes(api: Ask, row: Divergence) -> None:
    asked = api("ada")
    key = "accept-ours-1"
    answers = [asked.post(f"divergences/{row.pk}/accept-ours", WHY, key=key) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 200]
    assert [a.headers.get("Idempotent-Replay") for a in answers] == [None, "true", "true"]
    command = Command.objects.get(kind="settle_divergence")
    assert (command.account_id, command.args["divergence"]) == (row.account_id, row.pk)
    again = asked.post(f"divergences/{row.pk}/accept-ours", WHY)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert "asked already" in again.json()["error"]["message"]
    assert asked.post(f"divergences/{row.pk}/accept-ours", WHY, key=None).status_code == 400


def test_a_claim_is_released_by_traders_and_once(api: Ask, desk: Desk, row: Divergence) -> None:
    api("ada").post(f"divergences/{row.pk}/adopt", ACTIONS["adopt"](desk))
    claim = Claim.objects.get(divergence=row)
    for name, scope, status in PEOPLE[:4]:
        asked = api(name, scope) if name else api(None)
        assert asked.post(f"claims/{claim.pk}/release", WHY).status_code == status
    held = [c["id"] for c in api("ben").get("claims", is_held="true").json()["results"]]
    assert claim.pk in held
    assert api("ada").post(f"claims/{claim.pk}/release", WHY).json()["released_why"] == WHY["reason"]
    assert [c["id"] for c in api("ben").get("claims", is_held="false").json()["results"]] == [claim.pk]
    assert Order.objects.get(pk=claim.order_id).status == "released"
    twice = api("ada").post(f"claims/{claim.pk}/release", WHY)
    assert twice.status_code == 400
    assert "nothing to release" in twice.json()["error"]["message"]


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("note", {}, "reason"),
        ("note", {"reason": ""}, "reason"),
        ("note", {"reason": "   "}, "reason"),
        ("note", {"reason": 7}, "reason"),
        ("note", {"reason": "a" * 301}, "reason"),
        ("note", {"reason": "\u202eabc"}, "reason"),
        ("note", {"reason": "x", "by": 1}, "by"),
        ("ignore", {"reason": "x"}, "until"),
        ("ignore", {"reason": "x", "until": "tomorrow"}, "until"),
        ("ignore", {"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until"),
        ("adopt", {"reason": "x", "cycle": "1"}, "cycle"),
        ("adopt", {"reason": "x", "cycle": 10**15}, "cycle"),
        ("assign", {"reason": "x"}, "assignee"),
        ("assign", {"reason": "x", "assignee": True}, "assignee"),
        ("assign", {"reason": "x", "assignee": 10**15}, "assignee"),
    ],
)
def test_a_bad_body_is_refused_with_its_field_and_changes_nothing(
    what: str, body: dict[str, Any], field: str, api: Ask, row: Divergence
) -> None:
    before = footprint()
    answer = api("ada").post(f"divergences/{row.pk}/{what}", body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["fields"]
    assert footprint() == before


def test_cycles_and_people_of_other_accounts_do_not_exist(api: Ask, desk: Desk, row: Divergence) -> None:
    foreign = desk.other.cycles.get()
    answer = api("ada").post(f"divergences/{row.pk}/adopt", {**WHY, "cycle": foreign.pk})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["cycle"])
    answer = api("ada").post(f"divergences/{row.pk}/assign", {**WHY, "assignee": desk.people["cem"].pk})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["assignee"])
    answer = api("ada").post(f"divergences/{row.pk}/assign", {**WHY, "assignee": None})
    assert (answer.status_code, answer.json()["assignee"]) == (200, None)


def test_what_has_no_meaning_is_a_conflict_that_says_why(api: Ask, row: Divergence) -> None:
    answer = api("ada").post(f"divergences/{row.pk}/accept-broker", WHY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert "adopt it, or mark it as manual" in answer.json()["error"]["message"]


def test_divergences_are_found_by_what_they_are(api: Ask, row: Divergence) -> None:
    def found(**parameters: Any) -> list[int]:
        return [d["id"] for d in api("ben").get("divergences", **parameters).json()["results"]]

    own: dict[str, Any] = {"state": "open", "kind": "unmatched", "severity": 1, "ticket": row.ticket}
    assert found(**own) == [row.pk]
    for name, other in (("state", "closed"), ("kind", "late"), ("severity", 3), ("ticket", 1)):
        assert found(**{**own, name: other}) == []
    assert found(opened_at_after=(row.opened_at + timedelta(seconds=1)).isoformat()) == []
    whole = api("ben").get(f"divergences/{row.pk}").json()
    assert (whole["matched"], whole["theirs"]["side"], whole["steps"][0]["text"]) == (2, "buy", "mine")


@pytest.mark.parametrize(
    ("name", "scope", "status"),
    [
        (None, "", 401), ("ben", "control", 403), ("ada", "control", 403), ("cem", "control", 404),
        ("mia", "propose", 403), ("mia", "control", 200), ("root", "control", 200),
    ],
)  # fmt: skip
def test_only_managers_settle_an_intent(name: str | None, scope: str, status: int, api: Ask, desk: Desk) -> None:
    OrderIntent.objects.filter(pk=desk.intent.pk).update(state="unknown", done_at=None)
    asked = api(name, scope) if name else api(None)
    answer = asked.post(f"intents/{desk.intent.pk}/settle", {"reason": "the broker says no"})
    assert answer.status_code == status, answer.content
    assert OrderIntent.objects.get(pk=desk.intent.pk).state == ("settled" if status == 200 else "unknown")


def test_an_intent_that_is_known_is_not_settled(api: Ask, desk: Desk) -> None:
    answer = api("mia").post(f"intents/{desk.intent.pk}/settle", {"reason": "x"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (409, "It is not unknown: filled.")
    assert list(api("mia").post(f"intents/{desk.intent.pk}/settle", {}).json()["error"]["fields"]) == ["reason"]
