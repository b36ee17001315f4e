"""What might have been sent and was not: the reason is kept, bounded and without repetition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.clock import Clock
from engine.rounds import Asked
from events.services import record
from orders.gate import Gate, fenced
from orders.notsent import Skipped, note_not_sent
from risk.domain import Vetoed
from strategies.domain import Refusal
from strategies.models import Bot

# Codes of refusals that no price and no time will lift
NEEDS_A_PERSON = frozenset({"volume", "worst_case"})
# The same is written again so much later at the earliest, with how often it was met meanwhile
AGAIN_SECONDS = 60.0
Key = tuple[int, str, str, str]


@dataclass(slots=True)
class _Met:
    written_at: float
    times: int = 0


class NonOrders:
    """Keeps the reasons of one account's session; what it remembers is bounded by bots × symbols × codes."""

    def __init__(self, *, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._met: dict[Key, _Met] = {}
        self._said: set[tuple[int | None, str, str]] = set()

    def tell(self, bot: Bot, asked: Asked, trace: Mapping[str, Any]) -> None:
        """Take what a question to a bot came to: the strategy's refusals, and the review's vetoes with their traces."""
        symbol, refusals = asked.view.spec.name, asked.decision.refusals
        vetoes = list(zip(asked.vetoes, asked.traces, strict=True))
        self._say_what_needs_a_person(bot, symbol, [*refusals, *(verdict for verdict, _ in vetoes)])
        found = [
            *(self._skipped(bot, symbol, r.code, r.detail, r.side or "", "decision", trace) for r in refusals),
            *(self._skipped(bot, symbol, v.code, v.detail, _side(t), "review", t) for v, t in vetoes),
        ]
        new = [skipped for skipped in found if skipped is not None]
        if new:
            with fenced(self._gate):
                note_not_sent(account_id=self._gate.account_id, skipped=new, at=self._clock.now())

    def _skipped(
        self, bot: Bot, symbol: str, code: str, detail: str, side: str, source: str, trace: Mapping[str, Any]
    ) -> Skipped | None:
        """Return what is to be written; None while the same was written lately."""
        ticks, key = self._clock.ticks(), (bot.pk, symbol, str(side), code)
        met = self._met.get(key)
        if met is not None and ticks - met.written_at < AGAIN_SECONDS:
            met.times += 1
            return None
        times = 1 + (met.times if met is not None else 0)
        self._met[key] = _Met(ticks)
        whole = {**trace, "verdict": {"approved": False, "by": source, "code": code, "detail": detail}}
        return Skipped(bot.pk, symbol, str(side), code, detail, times, whole)

    def _say_what_needs_a_person(self, bot: Bot, symbol: str, refused: list[Refusal | Vetoed]) -> None:
        """Tell once a configuration, in the journal, of what is refused until somebody changes it."""
        found = {(bot.config_id, symbol, r.code): r.detail for r in refused if r.code in NEEDS_A_PERSON}
        new = [detail for key, detail in found.items() if key not in self._said]
        self._said.update(found)
        for detail in sorted(new):
            with fenced(self._gate):
                record(
                    kind="ENTRY_REFUSED",
                    level="warning",
                    text=f"{bot.name} can't trade {symbol}: {detail}",
                    account_id=self._gate.account_id,
                    bot_id=bot.pk,
                    at=self._clock.now(),
                )


def _side(trace: Mapping[str, Any]) -> str:
    return str(trace.get("decision", {}).get("side", ""))
