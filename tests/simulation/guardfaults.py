"""What holds entries back in a run: guards with tight limits, blocks and kill switches, and people who answer them."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection

from risk.models import Block, GuardAlarm, KillSwitch
from risk.services import lift_block, raise_block
from risk.services.alarms import rearm_alarm, veto_alarm
from risk.services.configs import save_guards
from risk.services.killing import confirmation_of, kill, release
from strategies.models import Bot
from tests.simulation.desk import Desk

# Past them the request is as good as gone: nobody can hold it back any more
TOO_LATE = ("sent:committed", "send:passed")


def limits(value: float) -> dict[str, Any]:
    """Draw guard settings that fire often; `value` in 0…1 is the seed."""
    chance = random.Random(int(value * 1e9))
    close = chance.choice((None, 0.2, 0.4, 1.0))
    reduce = None if close is None else close / 2
    return {
        "drawdown_warn": None,
        "drawdown_reduce": chance.choice((None, reduce)),
        "drawdown_close": close,
        "countdown_seconds": chance.choice((0, 10, 30)),
        "peak_readings": chance.choice((1, 3)),
        "close_foreign": chance.random() < 0.8,
        "daily_warn": None,
        "daily_reduce": chance.choice((None, 0.1, 5.0)),
        "margin_warn": None,
        "margin_reduce": chance.choice((None, 200.0, 20_000.0)),
        "cycle_close": chance.choice((None, 0.1)),
        "position_close": chance.choice((None, 0.1)),
        "bot_reduce": chance.choice((None, 0.1)),
        "spread_floor": chance.choice((5.0, 0.5)),
        "stale_seconds": chance.choice((2.0, 5.0)),
        "error_failures": chance.choice((1, 5)),
        "orders_per_minute": chance.choice((1, 3, 30)),
        "max_cycles": chance.choice((1, 2, 100)),
        "max_orders": chance.choice((2, 5, 200)),
        "max_symbol_lots": chance.choice((0.03, 0.3, 50.0)),
        "max_currency_leverage": chance.choice((0.5, 5.0, 100.0)),
        "worst_case": chance.random() < 0.8,
    }  # fmt: skip


def _tight(desk: Desk, value: float) -> None:
    save_guards(account=desk.account, values=limits(value), at=desk.clock.now())
    desk.after(30 + 60 * value, partial(_answer, desk, value))


def _answer(desk: Desk, value: float) -> None:
    """A person vetoes what counts down, or re-arms what has fired."""
    for alarm in GuardAlarm.objects.filter(account=desk.account, ended_at=None).order_by("id"):
        does = veto_alarm if alarm.phase == "countdown" and value < 0.7 else rearm_alarm
        try:
            does(alarm_id=alarm.pk, reason="rehearsed", by=desk.account_owner, at=desk.clock.now())
            desk.figures[f"person:{does.__name__}"] += 1
        except ValidationError:
            continue


def _person_blocks(desk: Desk, value: float) -> None:
    """A person forbids entries on the account, a bot or the symbol, and allows them again later."""
    bot = Bot.objects.order_by("id").first() if 0.3 < value < 0.6 else None
    block = raise_block(
        account_id=desk.account.pk, bot_id=bot.pk if bot else None, symbol="EURUSD" if value < 0.3 else "",
        cause=f"person {value:.4f}", reason="rehearsed", at=desk.clock.now(),
    )  # fmt: skip

    def lift() -> None:
        lift_block(block_id=block.pk, why="rehearsed", at=desk.clock.now())

    desk.after(5 + 60 * value, lift)


def _throw(desk: Desk, value: float) -> None:
    """A person throws a kill switch on a bot, the account or everything, and releases it later."""
    target = int(value * 9) % 3
    bot = Bot.objects.order_by("-id").first() if target == 0 else None
    account = desk.account if target == 1 else None
    mode = list(KillSwitch.Mode.values)[int(value * 3)]
    named = bot.account if bot is not None else account
    switch = kill(
        mode=mode, reason="rehearsed", confirmation=confirmation_of(named, bot), at=desk.clock.now(), account=account,
        bot=bot,
    )  # fmt: skip
    desk.note(f"kill switch {switch.mode} on {confirmation_of(named, bot)}")
    desk.after(10 + 40 * value, partial(_release, desk, switch.pk))


def _release(desk: Desk, switch_id: int) -> None:
    try:
        release(switch_id=switch_id, reason="rehearsed", at=desk.clock.now())
    except ValidationError:
        desk.note("the switch was released before")


def _in_the_middle(desk: Desk, value: float, do: Callable[[Desk, float], None] = _throw) -> None:
    """A person acts while the session is in the middle of a step: at one of the next points between its writes."""
    left = [int(value * 40)]

    def hook(name: str) -> None:
        if connection.in_atomic_block or name in TOO_LATE:
            return
        left[0] -= 1
        if left[0] < 0:
            desk.on_point = None
            desk.note(f"a person acts at {name}")
            do(desk, value)

    desk.on_point = hook


def _block_in_the_middle(desk: Desk, value: float) -> None:
    _in_the_middle(desk, value, _person_blocks)


GUARD_FAULTS: Mapping[str, Callable[[Desk, float], None]] = {
    "tight_guards": _tight,
    "person_blocks": _person_blocks,
    "person_blocks_in_a_step": _block_in_the_middle,
    "kill_switch": _throw,
    "kill_switch_in_a_step": _in_the_middle,
}


def count(desk: Desk) -> None:
    """Count what held entries back, so that a run that never blocked anything is seen to prove nothing."""
    desk.figures["alarms"] += GuardAlarm.objects.count()
    desk.figures["alarms that close"] += GuardAlarm.objects.filter(tier=GuardAlarm.Tier.CLOSE).count()
    desk.figures["blocks"] += Block.objects.count()
    desk.figures["kill switches"] += KillSwitch.objects.count()
