"""S4's coordinator: start, stop, pause and resume, for one account or all that a person may steer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from accounts.models import DesiredState, TradingAccount, User
from accounts.services import set_desired_state, wind_down
from engine.models import EngineHost
from events.audit import name_of, record_change


class Instruction(StrEnum):
    """What can be asked of the engine."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Instructed:
    """What became of an instruction on one account."""

    account: TradingAccount
    changed: bool


@transaction.atomic
def set_capacity(*, host: str, runners: int | None, at: datetime, by: User | None = None) -> None:
    """Say how many runner processes a host keeps, while it runs; None takes back the number it was started with."""
    known = EngineHost.objects.select_for_update().get(host=host)
    EngineHost.objects.filter(host=host).update(runners_wanted=runners)
    record_change(
        kind="CAPACITY",
        text=f"{host} is to keep {runners or 'its own number of'} runners, by {name_of(by)}",
        subject=f"host {host}",
        before={"runners_wanted": known.runners_wanted},
        after={"runners_wanted": runners},
        by=by,
        at=at,
    )


@transaction.atomic
def coordinate(
    *,
    instruction: Instruction,
    accounts: Sequence[TradingAccount],
    at: datetime,
    by: User | None = None,
    close_positions: bool = False,
) -> list[Instructed]:
    """Carry out an instruction on accounts, all of them or, when one refuses, none.

    Stop with `close_positions` and drain hold back entries first, and stop an account when nothing of it is open:
    the one closes what is open, the other waits until the bots have closed it. Resume is for paused accounts.
    """
    done = []
    for account in accounts:
        match instruction:
            case Instruction.START:
                changed = set_desired_state(account=account, state=DesiredState.RUNNING, by=by, at=at)
            case Instruction.PAUSE:
                stopped = account.desired_state == DesiredState.STOPPED
                changed = not stopped and set_desired_state(account=account, state=DesiredState.PAUSED, by=by, at=at)
            case Instruction.RESUME:
                paused = account.desired_state == DesiredState.PAUSED
                changed = paused and set_desired_state(account=account, state=DesiredState.RUNNING, by=by, at=at)
            case Instruction.STOP if not close_positions:
                changed = set_desired_state(account=account, state=DesiredState.STOPPED, by=by, at=at)
            case _:
                changed = wind_down(account=account, close=instruction is Instruction.STOP, by=by, at=at)
        done.append(Instructed(account, changed))
    return done
