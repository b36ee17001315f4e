"""A session's start, phase by phase."""

from typing import Any

import pytest

from accounts.models import Symbol
from brokers.gateway import ConnectError
from core.clock import VirtualClock
from engine.models import EngineState
from engine.selectors import engine_status
from engine.startup import PHASES, StartUp
from tests.world import START, World


@pytest.mark.requirement("S4-48", "S4-31", "S4-38")
def test_a_start_goes_through_its_phases_with_progress(world: World) -> None:
    Symbol.objects.create(account=world.account, name="NOSUCH")
    world.bot()
    world.start()
    assert not EngineState.objects.get().prehistoric_data_loaded, "a new market has no candles yet"
    world.price(1.1)
    world.clock.advance(130)
    world.price(1.1)
    world.restart()
    (shown,) = engine_status(world.ada, at=world.clock.now())["accounts"]
    phases = {phase["name"]: phase for phase in shown["start_up"]}
    assert list(phases) == list(PHASES)
    assert {phase["state"] for phase in phases.values()} == {"done"}
    assert phases["symbols"]["total"] == 2, "the bots' and those that a person added"
    assert phases["history"]["total"] == 1
    assert "NOSUCH" in str(phases["symbols"]["notes"])
    assert set(world.session.market.quotes) == {"EURUSD"}
    assert EngineState.objects.get().prehistoric_data_loaded
    world.run(7)
    assert engine_status(world.ada, at=world.clock.now())["accounts"][0]["start_up"], "still there when it runs"


def test_a_symbol_of_a_bot_without_candles_is_said(world: World) -> None:
    world.bot(symbols=("EURUSD", "NOSUCH"))
    world.start()
    assert not EngineState.objects.get().prehistoric_data_loaded


def test_every_change_is_shown_and_a_failed_phase_says_why() -> None:
    shown: list[list[str]] = []

    def show(phases: list[dict[str, Any]]) -> None:
        shown.append([phase["state"] for phase in phases])

    startup = StartUp(clock=VirtualClock(START), show=show)
    with startup.phase("settings"):
        pass
    with pytest.raises(ConnectError), startup.phase("examination"):
        raise ConnectError("The terminal is away.")
    assert shown[0][0] == "running"
    assert shown[1][0] == "done"
    assert startup.phases["examination"].state == "failed"
    assert startup.phases["examination"].notes == ["The terminal is away."]
