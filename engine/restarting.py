"""What a start finds that happened while nobody traded, and what the restart policies make of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import RestartPolicy, TradingAccount
from brokers.gateway import BrokerError
from cycles.models import CycleStatus
from events.services import record
from marketdata.quotes import Market
from orders.domain import KnownOrder
from orders.gate import Gate, fenced
from orders.models import Order
from risk.models import Block
from risk.selectors import plain_blocks
from risk.services import raise_block
from risk.services.blocks import RESTART
from strategies.models import Bot

FROZEN, TP_ONLY, FLATTEN = f"{RESTART} frozen", f"{RESTART} tp-only", f"{RESTART} flatten"
CAUSES: Mapping[str, str] = {
    RestartPolicy.ADOPT_AND_FREEZE: FROZEN,
    RestartPolicy.TP_ONLY: TP_ONLY,
    RestartPolicy.FLATTEN: FLATTEN,
}
EFFECTS: Mapping[str, str] = {
    FROZEN: "bots do nothing; stops at the broker stay",
    TP_ONLY: "bots only close",
    FLATTEN: "everything is closed",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A level of an open cycle that has no order any more; `cost` is the spread and commission of opening it again."""

    cycle: int
    level: int
    lots: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class RestartReport:
    """What changed while nobody traded, as lines for people, and the grid levels that are missing since."""

    filled: tuple[str, ...]
    closed: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[Gap, ...]

    @property
    def nothing(self) -> bool:
        """Tell whether all was as it had been left."""
        return self == RestartReport((), (), (), ())

    def text(self) -> str:
        """Return one line."""
        counts = f"{len(self.filled)} filled, {len(self.closed)} closed, {len(self.changed)} changed"
        if not self.missing:
            return f"While nobody traded: {counts}"
        costs = [gap.cost for gap in self.missing if gap.cost is not None]
        price = f", opening them again costs {sum(costs):.2f}" if len(costs) == len(self.missing) else ""
        return f"While nobody traded: {counts}; {len(self.missing)} grid levels are missing{price}"


def report_of(account_id: int, before: Iterable[KnownOrder], market: Market) -> RestartReport:
    """Compare the orders that were open at the last sign of life with the books after reconciliation."""
    known = {order.id: order for order in before}
    now = {order.pk: order for order in Order.objects.filter(account_id=account_id, pk__in=known)}
    newest = max(known, default=0)
    fresh = Order.objects.filter(account_id=account_id, pk__gt=newest, status__in=("open", "pending")) if known else ()
    filled = [o for o in now.values() if o.status == "open" and known[o.pk].status == "pending"]
    closed = [o for o in now.values() if o.status in ("closed", "cancelled")]
    changed = [o for o in now.values() if o.status == known[o.pk].status and _differs(o, known[o.pk])]
    return RestartReport(
        filled=tuple(map(_named, (*filled, *fresh))),
        closed=tuple(f"{_named(o)} {o.close_reason or o.status}, net {_net(o):+.2f}" for o in closed),
        changed=tuple(f"{_named(o)}: SL {o.sl:g}, TP {o.tp:g}" for o in changed),
        missing=tuple(_gaps(closed, market)),
    )


def _differs(order: Order, known: KnownOrder) -> bool:
    return (float(order.volume), float(order.sl), float(order.tp)) != (known.volume, known.sl, known.tp)


def _named(order: Order) -> str:
    return f"#{order.ticket} {order.side} {order.volume_initial:g} {order.symbol} level {order.level}"


def _net(order: Order) -> Decimal:
    return order.profit + order.swap + order.commission


def _gaps(closed: Sequence[Order], market: Market) -> Iterable[Gap]:
    for order in closed:
        if order.cycle is None or order.cycle.status != CycleStatus.OPEN:
            continue
        lots = float(order.volume_initial)
        try:
            spread = market.quote(order.symbol).spread * market.spec(order.symbol).value_per_price * lots
            cost: float | None = round(spread - float(order.commission), 2)
        except BrokerError:
            cost = None
        yield Gap(order.cycle_id or 0, order.level, lots, cost)


def follow_policy(gate: Gate, report: RestartReport, *, busy: Collection[int | None], at: datetime) -> None:
    """Write the report down and let the policies take hold, in one transaction.

    The account's policy holds for it as a whole, or, when some of its bots have one of their own, for each of the
    others; it takes hold when anything of the account was open, a bot's own when something of that bot was (`busy`). A
    block stands until a person lifts it, which is their approval to go on.
    """
    with fenced(gate):
        if not report.nothing:
            record(
                kind="RESTART_REPORT",
                level="warning" if report.missing else "info",
                text=report.text(),
                account_id=gate.account_id,
                at=at,
                data=asdict(report),
            )
        for bot_id, policy in _policies(gate.account_id, busy):
            cause = CAUSES.get(policy)
            if cause is not None:
                reason = f"restarted with open business: {EFFECTS[cause]} until somebody lifts this. {report.text()}"
                raise_block(account_id=gate.account_id, bot_id=bot_id, cause=cause, reason=reason, at=at)


def _policies(account_id: int, busy: Collection[int | None]) -> list[tuple[int | None, str]]:
    """Return who follows which policy now: a bot, or the account as a whole (None)."""
    general = TradingAccount.objects.values_list("restart_policy", flat=True).get(pk=account_id)
    bots = dict(Bot.objects.filter(account_id=account_id).order_by("id").values_list("id", "restart_policy"))
    own: list[tuple[int | None, str]] = [(pk, policy) for pk, policy in bots.items() if policy and pk in busy]
    if not busy:
        return own
    if not any(bots.values()):
        return [(None, general)]
    return [*own, *((pk, general) for pk, policy in bots.items() if not policy)]


def held_bots(account_id: int, cause: str) -> set[int | None]:
    """Return the bots that a restart policy still holds; None among them stands for every bot of the account."""
    return {block.bot_id for block in plain_blocks(account_id) if block.cause == cause}


def not_frozen(bots: "QuerySet[Bot]") -> "QuerySet[Bot]":
    """Leave out the bots that were frozen at a restart, by themselves or with their account."""
    frozen = Block.objects.filter(
        Q(bot__isnull=True) | Q(bot=OuterRef("pk")), account=OuterRef("account"), cause=FROZEN, lifted_at__isnull=True
    )
    return bots.exclude(Exists(frozen))
