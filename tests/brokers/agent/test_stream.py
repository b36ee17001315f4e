"""The agent's price stream: ticks without asking, and asking when it is gone."""

from collections.abc import Callable

import pytest

from brokers.mt5.line import Line
from core.clock import SystemClock
from marketdata.quotes import Market
from tests.brokers.agent.conftest import Remote


def wait_for(condition: Callable[[], object]) -> None:
    clock = SystemClock()
    until = clock.ticks() + 60
    while not condition():
        assert clock.ticks() < until
        clock.sleep(0.01)


@pytest.mark.requirement("S4-05", "S4-18", "S4-57")
def test_ticks_come_by_themselves_and_again_after_the_connection_broke(remote: Remote) -> None:
    gateway = remote.gateway()
    market = Market(gateway, remote.rig.clock)
    market.refresh(["EURUSD"])
    wait_for(lambda: gateway.streamed("EURUSD"))
    remote.rig.mt5.push_tick("EURUSD", 1.2, 1.2001)
    wait_for(lambda: market.refresh(["EURUSD"])["EURUSD"].bid == 1.2)
    feed = market.feed()
    assert (feed.as_json()["source"], feed.asked, feed.has_fallen_back) == ("stream", frozenset(), False)
    remote.server._hang_up_all()
    wait_for(lambda: gateway.stream_state().failures == 1)
    remote.rig.mt5.push_tick("EURUSD", 1.3, 1.3001)
    wait_for(lambda: gateway.stream_state().connects == 2)
    wait_for(lambda: (quote := gateway.streamed("EURUSD")) and quote.bid == 1.3)
    gateway.close()


def test_a_silent_stream_gives_no_price(remote: Remote) -> None:
    gateway = remote.gateway()
    market = Market(gateway, remote.rig.clock)
    market.follow(["EURUSD"])
    wait_for(lambda: gateway.streamed("EURUSD"))
    gateway._stream.hang_up()
    wait_for(lambda: gateway.stream_state().failures == 1)
    gateway._stream.stop()
    assert gateway.streamed("EURUSD") is None
    assert market.refresh(["EURUSD"])["EURUSD"].bid > 0, "it is asked for"
    assert market.feed().has_fallen_back


@pytest.mark.parametrize("names", [["x" * 300], ["EURUSD"] * 501, [["EURUSD"]], [7]])
def test_the_agent_refuses_what_are_no_names(remote: Remote, names: list[object]) -> None:
    line = Line(remote.server.address, remote.pairing, clock=remote.rig.clock)
    line.say("stream", names, {}, seconds=30, permit=None)
    assert line.receive(30)["error"][1] == "Invalid arguments"
    line.close()
