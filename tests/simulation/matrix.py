"""The directed matrix: the engine dies at every point of the send path, while every fault holds, in every operation."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product, zip_longest

from django.db import OperationalError

from orders.approval import approve
from orders.gate import fenced
from orders.models import Order
from orders.sending import send_intent
from orders.services import Proposal, plan_intent
from tests.simulation.desk import Crash, Desk
from tests.simulation.faults import FAULTS, sleep_and_wake
from tests.simulation.guardfaults import GUARD_FAULTS
from tests.simulation.run import Result, simulate
from tests.simulation.scenario import SPREAD, START_PRICE, Scenario

OPERATIONS = ("open", "modify", "close")
MODES = ("hedging", "netting")
POINTS = (
    "claim:uncommitted", "claim:committed", "sent:uncommitted", "sent:committed", "send:passed", "send:answered",
    "outcome:uncommitted", "outcome:committed", "held_back:uncommitted", "held_back:committed",
)  # fmt: skip
# What ends the engine there: it vanishes, it loses the database, or it sleeps while another takes over
ENDS = ("kill", "commit_lost", "pause")
# Faults of the engine itself are the matrix's other axes
OUTSIDE = ("none", *(n for n in FAULTS if n not in ("kill", "kill_at_send", "commit_lost", "pause", *GUARD_FAULTS)))
SLOW_SECONDS = 20.0
MODIFY_AT, CLOSE_AT, SECONDS, QUIET = 10.0, 16.0, 38.0, 90.0
JUMP = 0.0030
INTERVALS = {
    "lease": 6.0,
    "commands": 60.0,
    "realtime": 5.0,
    "orders": 6.0,
    "cycles": 10.0,
    "guards": 12.0,
    "trade": 10.0,
    "copying": 300.0,
    "signals": 300.0,
    "projection": 40.0,
    "clock": 60.0,
    "winding down": 60.0,
    "state": 60.0,
    "reconciliation": 18.0,
}
BOT = {
    "lot_size": 0.1, "distance": 50.0, "target_profit": 20.0, "direction": "buy", "max_cycles": 1, "max_levels": 1,
    "entry_cooldown": 86_400.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One field of the matrix."""

    operation: str
    point: str
    end: str
    fault: str
    mode: str

    def __str__(self) -> str:
        return "/".join((self.operation, self.point, self.end, self.fault, self.mode))

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Read what `str` wrote. Raises ValueError naming what is wrong."""
        parts = text.split("/")
        known = (OPERATIONS, POINTS, ENDS, OUTSIDE, MODES)
        if len(parts) != len(known):
            raise ValueError("give operation/point/end/fault/mode")
        for part, allowed in zip(parts, known, strict=True):
            if part not in allowed:
                raise ValueError(f"there is no {part!r}; known: {', '.join(allowed)}")
        return cls(*parts)


def cases() -> Iterator[Case]:
    """Every operation dies at every point under every fault, in both modes; the other ends without a fault beside."""
    for operation, point, mode in product(OPERATIONS, POINTS, MODES):
        for fault in OUTSIDE:
            yield Case(operation, point, "kill", fault, mode)
        yield Case(operation, point, "commit_lost", "none", mode)
        if point.endswith(":committed") or point == "send:answered":
            yield Case(operation, point, "pause", "none", mode)


def in_layers(seed: int) -> list[Case]:
    """Return all fields in a seed's order, so that each layer has every point with every fault and end once."""
    groups: dict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for case in cases():
        groups[(case.point, case.end, case.fault)].append(case)
    chance = random.Random(seed)
    for group in groups.values():
        chance.shuffle(group)
    return [case for layer in zip_longest(*groups.values()) for case in layer if case is not None]


def run_case(case: Case) -> Result:
    """Run one field; a point that was not reached is a violation: the matrix would not show what it says."""
    ticks = [(float(s), START_PRICE if s < CLOSE_AT else START_PRICE + JUMP) for s in range(int(SECONDS + QUIET) + 60)]
    scenario = Scenario(
        seed=1,
        seconds=SECONDS,
        ticks=tuple((at, round(bid, 5), round(bid + SPREAD, 5)) for at, bid in ticks),
        bots=(BOT,),
        happenings=(),
        is_netting=case.mode == "netting",
    )
    done: list[str] = []
    result = simulate(scenario, prepare=partial(_arm, case, done), intervals=INTERVALS, quiet_seconds=QUIET)
    if not done:
        result.violations.append(f"{case}: the point was not reached")
    result.history.insert(0, str(case))
    return result


def _arm(case: Case, done: list[str], desk: Desk) -> None:
    at = {"open": 0.0, "modify": MODIFY_AT, "close": CLOSE_AT}[case.operation]
    desk.at(at, partial(_listen, case, done, desk))
    if case.operation == "modify":
        desk.at(at, partial(modify, desk))


def _listen(case: Case, done: list[str], desk: Desk) -> None:
    began: list[str] = []

    def hook(name: str) -> None:
        if name == "claim:uncommitted" and not began:
            began.append(name)
            _begin(case, desk)
        if began and name == case.point:
            done.append(name)
            desk.on_point = None
            _end(case, desk, name)

    desk.on_point = hook


def _begin(case: Case, desk: Desk) -> None:
    """Let the fault hold from the moment on at which the operation's intent is claimed."""
    if case.point.startswith("held_back"):
        desk.clock.advance(SLOW_SECONDS)
    if case.fault == "by_hand":
        # Not in the middle of the claim's transaction: a person acts beside it
        desk.after(0.0, partial(FAULTS[case.fault].begin, desk, 0.4))
    elif case.fault not in ("none", "database_down", "query_fails"):
        FAULTS[case.fault].begin(desk, 0.4)
    elif case.fault == "query_fails":
        desk.fail_query(40)
    elif case.fault == "database_down":
        desk.at(desk.clock.ticks() + 0.5, partial(FAULTS[case.fault].begin, desk, 0.4))


def _end(case: Case, desk: Desk, name: str) -> None:
    desk.note(f"{case.end} at {name}")
    if case.end == "kill":
        raise Crash(name)
    if case.end == "commit_lost":
        raise OperationalError(f"the connection died at {name} (simulated)")
    sleep_and_wake(desk, name, seconds=20.0)


def modify(desk: Desk) -> None:
    """Change the stops of the open position, by the services that the trade job uses."""
    order = Order.objects.filter(status="open").first()
    session = desk.session
    if order is None or session is None:
        desk.note("nothing to modify")
        return
    proposal = Proposal(
        kind="stops", cause_key=f"o{order.pk}:matrix:stops", symbol=order.symbol, side=order.side,
        volume=float(order.volume), magic=order.magic, why="matrix", bot_id=order.bot_id, cycle_id=order.cycle_id,
        order_id=order.pk, ticket=order.ticket, sl=1.05, tp=1.2,
    )  # fmt: skip
    with desk.mortal():
        with fenced(session.gate):
            approved = approve(bot_id=order.bot_id, symbol=order.symbol, volume=proposal.volume, raises_exposure=False)
            intent = plan_intent(proposal, approved, account_id=desk.account.pk, ids=desk.ids, at=desk.clock.now())
        send_intent(intent, gateway=session.gateway, gate=session.gate, clock=desk.clock)
