"""Carry out signals that came from outside and were approved: through the trade job's review, once each."""

from typing import TYPE_CHECKING, Any

from brokers.domain import Side
from brokers.gateway import SymbolError
from cycles.models import Cycle, CycleStatus
from engine.byhand import close_cycle
from orders.gate import fenced
from signals.models import Signal
from signals.services import end
from strategies.domain import OpenCycle
from strategies.models import Bot

if TYPE_CHECKING:
    from engine.session import AccountSession

State = Signal.State


class TakenAlready(Exception):
    """The signal has an end: this session, or the one before it, carried it out."""


def follow_signal(session: "AccountSession", args: dict[str, Any]) -> str:
    """Open a cycle, or close the bot's cycles of the symbol, as a signal says. Raises ReadError, LeaseLost."""
    rows = Signal.objects.select_related("source__bot__account", "source__bot__config")
    signal = rows.get(pk=args["signal"], source__bot__account_id=session.account_id)
    if signal.state != State.APPROVED:
        return signal.get_state_display()
    if session.clock.now() > signal.follow_until:
        return _end(session, signal, State.EXPIRED, "too late: the session came to it after its time")
    if signal.action == "close":
        return _close(session, signal)
    return _open(session, signal)


def _open(session: "AccountSession", signal: Signal) -> str:
    bot = next((b for b in session.trader.bots() if b.pk == signal.source.bot_id), None)
    if bot is None or not bot.desired_state == bot.account.desired_state == "running":
        return _end(session, signal, State.REFUSED, "the bot opens nothing now: it is paused, stopped or held back")
    text = f"signal {signal.key}"[:60]
    action = OpenCycle(
        Side(signal.action), float(signal.volume), text, tp=float(signal.tp), sl=float(signal.sl),
        memory={"signal": signal.pk},
    )  # fmt: skip

    def claim(cycle_id: int) -> None:
        if not end(signal_id=signal.pk, state=State.DONE, result="an entry was decided", cycle_id=cycle_id):
            raise TakenAlready

    try:
        vetoes = session.trader.enter_by(bot, signal.symbol, action, text, claim)
    except TakenAlready:
        return "carried out already"
    except SymbolError as problem:
        return _end(session, signal, State.REFUSED, str(problem))
    if vetoes:
        return _end(session, signal, State.REFUSED, "; ".join(veto.detail for veto in vetoes))
    return "an entry was decided"


def _close(session: "AccountSession", signal: Signal) -> str:
    bot: Bot = signal.source.bot
    cycles = Cycle.objects.filter(bot=bot, symbol=signal.symbol, status=CycleStatus.OPEN).order_by("pk")
    said = [
        close_cycle(session, {"cycle": pk, "why": f"signal {signal.key}"}) for pk in cycles.values_list("pk", flat=True)
    ]
    return _end(session, signal, State.DONE, "; ".join(said) or "nothing is open")


def _end(session: "AccountSession", signal: Signal, state: Signal.State, text: str) -> str:
    with fenced(session.gate):
        end(signal_id=signal.pk, state=state, result=text)
    return text
