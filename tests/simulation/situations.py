"""What has to happen for a write to be reached that an ordinary run does not make; others are reached by trading."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from accounts.models import TradingAccount
from events.services import ask
from orders.models import Order
from strategies.models import Bot, BotConfig
from tests.simulation.copies import COPYING_INTERVALS, broken_copies, copied
from tests.simulation.desk import INTERVALS, Crash, Desk
from tests.simulation.faults import FAULTS
from tests.simulation.run import Result, simulate
from tests.simulation.scenario import PIP, SPREAD, START_PRICE, Scenario
from tests.simulation.streams import broken_telling, falls_silent
from tests.world import START

SECONDS, LONG_SECONDS, QUIET = 60.0, 110.0, 75.0
GRID: dict[str, Any] = {
    "lot_size": 0.1, "distance": 5.0, "target_profit": 6.0, "direction": "buy", "max_cycles": 2, "max_levels": 4,
    "entry_cooldown": 15.0,
}  # fmt: skip
Prepare = Callable[[Desk], None]


def _fault(name: str, value: float, at: float) -> Prepare:
    return lambda desk: desk.at(at, partial(FAULTS[name].begin, desk, value))


def _late_and_closed_by_hand(desk: Desk) -> None:
    """An open is executed long after its absence was proved, and closed by a person before anybody looks."""
    desk.faults.delayed_execution(72.3)

    def close() -> None:
        hand = desk.by_hand()
        hand.Close("EURUSD")
        hand.shutdown()

    desk.at(72.85, close)


def _cancel_by_hand(desk: Desk) -> None:
    def cancel() -> None:
        hand = desk.by_hand()
        for order in hand.orders_get() or ():
            hand.order_send({"action": 8, "order": order.ticket})
        hand.shutdown()

    desk.at(4.0, cancel)


def _seen_again(desk: Desk) -> None:
    desk.at(15.0, lambda: _tamper(suspicious_since=START))


def _orphan(desk: Desk) -> None:
    desk.at(15.0, lambda: _tamper(cycle=None))


def _tamper(**fields: Any) -> None:
    Order.objects.filter(pk=Order.objects.filter(status="open").values("pk")[:1]).update(**fields)


def _bad_config(desk: Desk) -> None:
    bot = Bot.objects.get()
    good = dict(bot.config.values) if bot.config else {}
    desk.at(10.0, lambda: _set_values({**good, "distance": -1}))
    desk.at(20.0, lambda: _set_values(good))


def _set_values(values: dict[str, Any]) -> None:
    BotConfig.objects.update(values=values)


def _unreachable(desk: Desk) -> None:
    desk.at(10.0, desk.faults.disconnect)
    desk.at(11.0, desk.kill)
    desk.at(25.0, desk.faults.reconnect)


def _stopped(desk: Desk) -> None:
    def stop() -> None:
        if desk.session is not None:
            with desk.mortal():
                desk.session.stop()
            desk.forget_session()
            desk.expire_lease()

    desk.at(30.0, stop)
    desk.at(40.0, stop)


def _asked(desk: Desk) -> None:
    for at in (10.0, 20.0):
        desk.at(at, lambda: _ask(desk))


def _ask(desk: Desk) -> None:
    ask(account_id=desk.account.pk, kind="force_order_sync", args={}, by=None, at=desk.clock.now())


def _wind_down(desk: Desk) -> None:
    desk.at(20.0, lambda: _set_winding_down(desk))


def _set_winding_down(desk: Desk) -> None:
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="paused", winding_down="close")


NOTHING: Prepare = lambda desk: None  # noqa: E731
# By the beginning of a point's name: what to prepare, and parameters of the bot that differ
SITUATIONS: Mapping[str, tuple[Prepare, dict[str, Any]]] = {
    "orders.adopting.report_foreign": (_fault("by_hand", 0.1, 8.0), {}),
    "orders.adopting.adopt:": (_fault("reply_lost_after", 0.0, 0.0), {}),
    "orders.adopting.adopt_by_deal:": (_fault("reply_lost_after", 0.0, 0.0), {"take_profit": 1.0}),
    "orders.applying._verify_resting": (_cancel_by_hand, {"pending": True}),
    "orders.applying._activate": (NOTHING, {"pending": True}),
    "orders.applying._follow": (_fault("by_hand", 0.3, 8.0), {}),
    "orders.applying.apply": (_seen_again, {}),
    "orders.unknowns.UnknownResolver._prove_absent": (_fault("reply_lost_before", 0.0, 0.0), {}),
    "orders.unknowns.UnknownResolver._request_was_executed": (
        _fault("reply_lost_after", 0.0, 21.0),
        {"max_cycles": 1},
    ),
    "cycles.integrity.examine": (_late_and_closed_by_hand, {}),
    "cycles.manager.CyclesManager.validate": (_orphan, {}),
    "engine.commands.run_commands": (_asked, {}),
    "engine.copying.Copier": (copied, {}),
    "engine.realtime.Realtime._follow_best": (NOTHING, {"trail_start": 0.3, "trail_lock": 0.5}),
    "engine.reporting.Reporter._tell_feed": (falls_silent, {}),
    "engine.session.AccountSession.stop": (_stopped, {}),
    "engine.session.AccountSession._wind_down": (_wind_down, {}),
    "engine.state.show_failure": (_unreachable, {}),
    "engine.trading.Trader._park": (_bad_config, {}),
    "engine.trading.Trader._unpark": (_bad_config, {}),
    "engine.nonorders.NonOrders._say_what_needs_a_person": (NOTHING, {"lot_size": 500.0}),
}


# Absence is proved after a minute
NEED_LONG = {
    "cycles.integrity.examine",
    "orders.unknowns.UnknownResolver._prove_absent",
}
# What has to hold at the end beside the promises of every run, by what was prepared
HOLDS: Mapping[Prepare, Callable[[], Iterable[str]]] = {copied: broken_copies, falls_silent: broken_telling}


def die_at(write: str, sides: Sequence[str]) -> Result:
    """Trade a grid in the write's situation and kill the engine at each of its sides.

    One run does both where the write comes again after the first; else there is a run for each. A side that was not
    reached is a violation.
    """
    prepare, more = next((v for k, v in SITUATIONS.items() if f"{write}:".startswith(k)), (NOTHING, {}))
    left = [f"{write}:{side}" for side in sides]

    def hook(desk: Desk, name: str) -> None:
        if left and name == left[0]:
            desk.note(f"killed at {left.pop(0)}")
            raise Crash(name)

    def arm(desk: Desk) -> None:
        prepare(desk)
        desk.on_point = partial(hook, desk)

    intervals = COPYING_INTERVALS if prepare is copied else INTERVALS
    scenario = _scenario({**GRID, **more}, LONG_SECONDS if write in NEED_LONG else SECONDS)
    while True:
        before = len(left)
        result = simulate(scenario, prepare=arm, intervals=intervals, quiet_seconds=QUIET)
        result.violations += HOLDS.get(prepare, list)()
        if result.violations or not left or len(left) == before:
            break
    result.violations += [f"{point} was not reached: add its situation to situations.py" for point in left]
    return result


def _scenario(bot: dict[str, Any], seconds: float) -> Scenario:
    """Prices fall by 20 pips, rise by 40 and fall again, a pip a second; then they rest."""
    path = [*range(0, -20, -1), *range(-20, 20), *range(20, 0, -1)]
    bids = [START_PRICE + path[min(s, len(path) - 1)] * PIP for s in range(int(seconds + QUIET) + 120)]
    ticks = tuple((float(s), round(bid, 5), round(bid + SPREAD, 5)) for s, bid in enumerate(bids))
    return Scenario(seed=1, seconds=seconds, ticks=ticks, bots=(bot,), happenings=())
