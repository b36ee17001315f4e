"""A few sessions of a process work at a time, in the order of coming, and a hung one keeps nobody out."""

import threading
from collections.abc import Iterator

import pytest

from core.clock import VirtualClock
from engine.turnstile import OVERDUE_SECONDS, Turnstile
from tests.world import START

WAIT = 60.0


class Visitors:
    """Threads that go through a turnstile, and stay until they are let go."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.entered: list[str] = []
        self.came = threading.Semaphore(0)
        self.leave = {name: threading.Event() for name in "abcdef"}
        self.threads: list[threading.Thread] = []

    def send(self, name: str) -> None:
        thread = threading.Thread(target=self._visit, args=(name,))
        waiting = len(self.turnstile._waiting) + len(self.turnstile._inside)
        self.threads.append(thread)
        thread.start()
        while len(self.turnstile._waiting) + len(self.turnstile._inside) == waiting:
            thread.join(0.001)

    def _visit(self, name: str) -> None:
        with self.turnstile.turn():
            self.entered.append(name)
            self.came.release()
            self.leave[name].wait(WAIT)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def visitors(clock: VirtualClock) -> Iterator[Visitors]:
    made = Visitors(Turnstile(clock, places=2))
    yield made
    for event in made.leave.values():
        event.set()
    for thread in made.threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert not made.turnstile._inside


def entered(visitors: Visitors, count: int) -> list[str]:
    for _ in range(count):
        assert visitors.came.acquire(timeout=WAIT)
    return sorted(visitors.entered)


def test_no_more_than_its_places_are_inside_and_the_others_follow_in_turn(visitors: Visitors) -> None:
    for name in "abcd":
        visitors.send(name)
    assert entered(visitors, 2) == ["a", "b"]
    assert not visitors.came.acquire(blocking=False)
    for leaving, following in (("b", "c"), ("a", "d")):
        visitors.leave[leaving].set()
        entered(visitors, 1)
        assert visitors.entered[-1] == following


def test_one_that_is_inside_for_too_long_keeps_nobody_out(visitors: Visitors, clock: VirtualClock) -> None:
    for name in "abc":
        visitors.send(name)
    assert entered(visitors, 2) == ["a", "b"]
    clock.advance(OVERDUE_SECONDS)
    assert entered(visitors, 1) == ["a", "b", "c"], "it looks again by itself"


def test_a_place_is_given_back_whatever_happens_inside(clock: VirtualClock) -> None:
    turnstile = Turnstile(clock, places=1)
    for _ in range(3):
        with pytest.raises(RuntimeError), turnstile.turn():
            raise RuntimeError
    with turnstile.turn():
        assert len(turnstile._inside) == 1
