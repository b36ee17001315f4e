"""What a start finds that happened while nobody traded, and what the account's restart policy makes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import RestartPolicy, TradingAccount
from brokers.gateway import BrokerError
from cycles.models import CycleStatus
from events.services import record
from marketdata.quotes import Market
from orders.domain import KnownOrder
from orders.gate import Gate, fenced
from orders.models import Order
from risk.models import Block
from risk.services import raise_block
from strategies.models import Bot

FROZEN, TP_ONLY, FLATTEN = "restart frozen", "restart tp-only", "restart flatten"
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


def follow_policy(gate: Gate, report: RestartReport, *, had_business: bool, at: datetime) -> str | None:
    """Write the report down and let the policy take hold, in one transaction; return the block's cause, if any.

    The block stands until a person lifts it, which is their approval to go on.
    """
    policy = TradingAccount.objects.values_list("restart_policy", flat=True).get(pk=gate.account_id)
    cause = CAUSES.get(policy) if had_business else None
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
        if cause is not None:
            reason = f"restarted with open business: {EFFECTS[cause]} until somebody lifts this. {report.text()}"
            raise_block(account_id=gate.account_id, cause=cause, reason=reason, at=at)
    return cause


def stands(account_id: int, cause: str) -> bool:
    """Tell whether a restart policy still holds the account."""
    return Block.objects.filter(account_id=account_id, cause=cause, lifted_at__isnull=True).exists()


def not_frozen(bots: "QuerySet[Bot]") -> "QuerySet[Bot]":
    """Leave out the bots of accounts that were frozen at a restart."""
    frozen = Block.objects.filter(account=OuterRef("account"), cause=FROZEN, lifted_at__isnull=True)
    return bots.exclude(Exists(frozen))
