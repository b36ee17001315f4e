"""All differences of a pass: of pairs, of what is left over on either side, and what the ledger of deals says."""

from collections.abc import Callable, Container
from datetime import datetime

from orders.domain import token_in
from orders.models import Order, OrderIntent
from reconciliation import selectors
from reconciliation.domain import Finding, Kind, Severity, Thresholds, divergences_of, missing_of, unmatched_of
from reconciliation.matching import Matched, suggest

# A balance that is off by more than this share of it is critical
BALANCE_CRITICAL_SHARE = 0.01
EXPECTED_CLOSES = ("stop_loss", "take_profit")


def pair_findings(
    found: Matched, *, pip: Callable[[str], float], limits: Callable[[str], Thresholds]
) -> list[Finding]:  # fmt: skip
    """Compare the identified pairs; `pip` (in price units) and `limits` are asked by symbol. Pure."""
    return [
        finding
        for order, position in found.pairs
        for finding in divergences_of(order, position, pip=pip(position.symbol), limits=limits(position.symbol))
    ]


def leftover_findings(
    found: Matched, *, pip: Callable[[str], float], limits: Thresholds, magics: Container[int]
) -> list[Finding]:
    """Say what identity left over on either side, with suggestions; `magics` are those of our bots. Pure."""
    pairs = []
    if found.orders and found.positions:
        pips = {o.symbol.casefold(): pip(o.symbol) for o in found.orders}
        pairs = suggest(found.orders, found.positions, pips=pips, limits=limits)
    by_order = {o.order_id: p for o, p in pairs}
    by_position = {p.identifier: o for o, p in pairs}
    findings: list[Finding] = []
    for order in found.orders:
        other = by_order.get(order.order_id)
        hint = {} if other is None else {"position": other.identifier, "ticket": other.ticket}
        # A close of ours under way says why it is not there any more; its deals will prove it.
        if not order.volume_open:
            findings.append(missing_of(order, suggestion=hint))
    for position in found.positions:
        like = by_position.get(position.identifier)
        hint = {} if like is None else {"order": like.order_id, "ticket": like.ticket}
        is_ours = token_in(position.comment) is not None or position.magic in magics
        findings.append(unmatched_of(position, is_ours=is_ours, suggestion=hint))
    return findings


def ledger_findings(account_id: int, *, at: datetime) -> list[Finding]:
    """Find what the books of the last 24 hours say: closures by the broker, wrong figures, unclear outcomes."""
    since = at - selectors.LOOK_BACK
    return [
        *(_closure(order) for order in selectors.closures(account_id, since)),
        *(_misbooked(row) for row in selectors.misbooked_orders(account_id, since)),
        *(_unknown(intent) for intent in selectors.unknown_outcomes(account_id)),
        *(_late(intent) for intent in selectors.late_executions(account_id, since)),
    ]


def balance_finding(balance: float, offset: float, usual: float, *, threshold: float) -> list[Finding]:
    """Compare the balance with the known deals; both offsets are balance less deals, in account currency."""
    apart = round(abs(offset - usual), 2)
    if apart <= threshold:
        return []
    severity = Severity.CRITICAL if apart > BALANCE_CRITICAL_SHARE * abs(balance) else Severity.WARNING
    return [
        Finding(
            Kind.BALANCE,
            0,
            severity,
            f"balance and known deals differ by {apart:,.2f}",
            f"{offset:.2f}",
            {"balance": round(balance - offset + usual, 2)},
            {"balance": round(balance, 2), "offset": offset},
            apart,
            threshold,
        )
    ]


def _closure(order: Order) -> Finding:
    net = float(order.profit + order.swap + order.commission)
    return Finding(
        Kind.CLOSED_BY_BROKER,
        order.identifier,
        Severity.INFO if order.close_reason in EXPECTED_CLOSES else Severity.WARNING,
        f"closed at the broker: {order.get_close_reason_display().lower()}",
        "closed",
        {"status": "open", "side": order.side, "volume": float(order.volume_initial)},
        {
            "status": "closed",
            "side": order.side,
            "volume": 0.0,
            "price": float(order.price_close or 0),
            "reason": order.close_reason,
            "net": round(net, 2),
        },
        ticket=order.ticket,
        symbol=order.symbol,
        order_id=order.pk,
    )


def _misbooked(row: selectors.Misbooked) -> Finding:
    apart = round(abs(row.booked - row.dealt), 2)
    return Finding(
        Kind.PROFIT,
        row.identifier,
        Severity.WARNING,
        f"booked figures and deals differ by {apart:,.2f}",
        f"{row.dealt:.2f}",
        {"net": row.booked},
        {"net": row.dealt},
        apart,
        0.0,
        row.ticket,
        row.symbol,
        row.order_id,
    )


def _unknown(intent: OrderIntent) -> Finding:
    return Finding(
        Kind.UNKNOWN_OUTCOME,
        intent.pk,
        Severity.WARNING,
        f"nobody knows what came of the request to {intent.kind}",
        intent.token,
        _asked(intent),
        {},
        symbol=intent.symbol,
        order_id=intent.order_id,
        intent_id=intent.pk,
    )


def _late(intent: OrderIntent) -> Finding:
    order = getattr(intent, "opened_order", None)
    return Finding(
        Kind.LATE_EXECUTION,
        order.identifier if order is not None else intent.pk,
        Severity.WARNING,
        "executed after it was given up",
        intent.token,
        {**_asked(intent), "status": "given up"},
        {"status": "executed", "ticket": intent.reply_order or 0, "volume": float(intent.filled_volume)},
        ticket=intent.reply_order or 0,
        symbol=intent.symbol,
        order_id=order.pk if order is not None else None,
        intent_id=intent.pk,
    )


def _asked(intent: OrderIntent) -> dict[str, object]:
    return {"side": intent.side, "volume": float(intent.volume), "sl": float(intent.sl), "tp": float(intent.tp)}
