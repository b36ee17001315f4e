"""The integrity checks from outside: asked for through the API, answered by the account's session."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.adminkit import CLOCK
from accounts.tokens import create_token
from core.ids import SystemIds
from cycles.integrity import CHECKS
from cycles.models import Cycle
from tests.api.conftest import Api
from tests.world import World


@pytest.fixture
def ada(world: World) -> Api:
    """Ask as the trader of the world's account."""
    at = CLOCK.now()
    _, text = create_token(
        user=world.ada, name="t", scope="control", expires_at=at + timedelta(1), ids=SystemIds(), at=at
    )
    return Api(Authorization=f"Bearer {text}")


def test_each_check_is_asked_for_alone_and_answered_by_the_session(world: World, ada: Api) -> None:
    world.bot()
    world.run(3)
    for name in CHECKS:
        Cycle.objects.update(realized_profit=Decimal("77.00"))
        body = {"account": world.account.pk, "kind": "integrity", "args": {"checks": [name]}}
        asked = ada.post("commands", body)
        assert asked.status_code == 202, asked.content
        world.session.wake()
        world.session.step()
        answer = ada.get(asked["Location"].removeprefix("/api/")).json()
        assert answer["state"] == "done", answer
        found = json.loads(answer["result"])["found"]
        assert found == ({"figures": 1} if name == "figures" else {}), name


def test_a_check_that_finds_something_repairs_it_when_asked(world: World, ada: Api) -> None:
    world.bot()
    world.run(3)
    Cycle.objects.update(realized_profit=Decimal("77.00"))
    body = {"account": world.account.pk, "kind": "integrity", "args": {"checks": ["figures"], "fix": True}}
    asked = ada.post("commands", body)
    world.session.wake()
    world.session.step()
    answer = json.loads(ada.get(asked["Location"].removeprefix("/api/")).json()["result"])
    assert (answer["fixed"], answer["left"]) == (1, 0)
    assert Cycle.objects.get().realized_profit == 0
