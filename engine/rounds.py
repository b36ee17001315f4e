"""What all questions of one pass share, and what the review judges them by."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from brokers.domain import AccountState, Quote, SymbolSpec
from brokers.gateway import Gateway
from cycles import selectors as cycle_selectors
from engine.guarding import Guards
from engine.proposals import with_under_way
from engine.restarting import not_frozen
from events.prepared import NUMBER, Prepared
from orders.domain import KnownIntent
from orders.selectors import intents_under_way
from risk.domain import Load, Standing, Vetoed
from risk.selectors import StandingBlock, flattened_bots, standing_blocks, standing_kills
from strategies.domain import CycleView, Decision, InFlight, View, Watch
from strategies.models import Bot

# The longest wait of a set that the settings allow
SETS_LOOK_BACK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Round:
    """What all instances of one pass share."""

    account: AccountState
    blocks: tuple[StandingBlock, ...]
    no_new_cycles: tuple[tuple[int | None, str], ...]
    unknown: int
    cycles: Mapping[tuple[int, str], tuple[CycleView, ...]]
    loose: tuple[InFlight, ...]
    under_way: tuple[KnownIntent, ...]
    entries: Mapping[tuple[int, str], datetime]
    sets_open: Mapping[tuple[str, str], int]
    sets_closed: Mapping[tuple[str, str], datetime]

    def with_sets(self, load: Load, symbol: str) -> Load:
        """Return a load that knows the sets of one symbol."""
        return replace(
            load,
            sets_open={name: count for (of, name), count in self.sets_open.items() if of == symbol},
            sets_closed={name: at for (of, name), at in self.sets_closed.items() if of == symbol},
        )


_bots = Prepared(
    lambda account_id: (
        not_frozen(Bot.objects.filter(account_id=account_id, config__isnull=False))
        .filter(desired_state__in=("running", "paused"))
        .select_related("config", "account")
        .order_by("id")
    ),
    NUMBER,
)


def bots_to_ask(account_id: int) -> list[Bot]:
    """Read an account's running bots, and paused ones for their exits; none that is frozen or flattened."""
    flattened = flattened_bots(account_id)
    return [bot for bot in _bots(account_id) if not {None, bot.pk} & flattened]


def read_round(account_id: int, gateway: Gateway, at: datetime) -> Round:
    """Read it afresh. Raises ReadError."""
    intents, kills = intents_under_way(account_id), standing_kills(account_id)
    sets_open, sets_closed = cycle_selectors.sets_traded(account_id, at - SETS_LOOK_BACK)
    return Round(
        account=gateway.account(),
        blocks=standing_blocks(account_id, kills),
        no_new_cycles=tuple((switch.bot_id, switch.reason) for switch in kills),
        unknown=sum(i.state == "unknown" for i in intents),
        cycles=cycle_selectors.cycle_views(account_id),
        loose=tuple(cycle_selectors.in_flight_of(intents)),
        under_way=intents,
        entries=cycle_selectors.last_entries(account_id),
        sets_open=sets_open,
        sets_closed=sets_closed,
    )


def standing_of(at: datetime, quote: Quote, spec: SymbolSpec, current: Round, guards: Guards) -> Standing:
    """Return what the account stands at for one symbol."""
    return Standing(
        now=at,
        account=current.account,
        quote=quote,
        spec=spec,
        blocks=current.blocks,
        unknown_outcomes=current.unknown,
        guarded_at=guards.passed_at,
        settings=guards.settings,
        load=current.with_sets(with_under_way(guards.load, current.under_way, spec), spec.name),
        no_new_cycles=current.no_new_cycles,
        spread_max=guards.spread_max(spec),
        quote_valid=guards.market.quote_valid,
    )


@dataclass(frozen=True, slots=True)
class Instance:
    """A bot on one of its symbols: what a strategy is asked for."""

    bot_id: int
    symbol: str


@dataclass(slots=True)
class Asked:
    """What became of the last question to one instance; the live pages and the realtime job read it."""

    view: View
    decision: Decision
    watches: tuple[Watch, ...]
    vetoes: list[Vetoed] = field(default_factory=list)
    traces: list[Mapping[str, Any]] = field(default_factory=list)

    def veto(self, verdict: Vetoed, trace: Mapping[str, Any]) -> None:
        """Keep why something of the decision was not sent."""
        self.vetoes.append(verdict)
        self.traces.append(trace)
