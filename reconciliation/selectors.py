"""Named reads: what our decisions expect of the broker, what the ledger holds, and the rules that apply."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from cycles.models import Cycle, CycleKind, CycleStatus
from orders.adopting import GIVEN_UP
from orders.models import Deal, IntentState, Order, OrderIntent
from reconciliation.domain import Expected, Held, Kind, Policy, Severity, Thresholds, Treatment, default_policy
from reconciliation.models import SETTLED, AccountCheck, Divergence, PolicyRule, SavedFilter, State, ThresholdRule
from strategies.models import Bot

LOOK_BACK = timedelta(hours=24)

# The entry of a position that several of our requests made is nobody's wish, so it has no price
EXPECTED = """
WITH live AS (SELECT * FROM orders_order WHERE account_id = %s AND status = 'open'),
closes AS (
    SELECT c.order_id,
           sum(CASE WHEN c.state = 'adopted' THEN c.volume ELSE c.filled_volume END) AS lots,
           bool_or(c.state NOT IN ('filled', 'adopted', 'settled')) AS under_way
    FROM orders_orderintent c JOIN live ON c.order_id = live.id
    WHERE c.kind = 'close' AND c.state NOT IN ('refused', 'absent') GROUP BY c.order_id
),
joined AS (
    SELECT j.order_id, sum(j.filled_volume) AS lots FROM orders_orderintent j JOIN live ON j.order_id = live.id
    WHERE j.kind IN ('open', 'place') AND j.state IN ('filled', 'adopted') GROUP BY j.order_id
),
stops AS (
    SELECT DISTINCT ON (s.order_id) s.order_id, s.sl, s.tp, s.state NOT IN ('filled', 'adopted', 'settled') AS under_way
    FROM orders_orderintent s JOIN live ON s.order_id = live.id
    WHERE s.kind IN ('stops', 'open', 'place') AND s.state NOT IN ('refused', 'absent') ORDER BY s.order_id, s.id DESC
)
SELECT o.id, o.identifier, o.ticket, coalesce(i.token, ''), o.symbol, coalesce(i.side, o.side),
       (CASE WHEN i.id IS NULL THEN o.volume ELSE greatest(i.volume + coalesce(j.lots, 0) - coalesce(c.lots, 0), 0)
        END)::float8,
       CASE WHEN j.lots IS NOT NULL THEN NULL WHEN i.order_kind = 'market'
            THEN (i.trace -> 'tick' ->> (CASE coalesce(i.side, o.side) WHEN 'buy' THEN 'ask' ELSE 'bid' END))::float8
            ELSE nullif(i.price, 0)::float8 END,
       coalesce(s.sl, i.sl, o.sl)::float8, coalesce(s.tp, i.tp, o.tp)::float8,
       coalesce(c.under_way, false), coalesce(s.under_way, false)
FROM live o
LEFT JOIN orders_orderintent i ON i.id = o.intent_id
LEFT JOIN joined j ON j.order_id = o.id
LEFT JOIN closes c ON c.order_id = o.id
LEFT JOIN stops s ON s.order_id = o.id
ORDER BY o.id
"""


def expected_orders(account_id: int) -> tuple[Expected, ...]:
    """Read the open orders of an account as our own requests want them to be: opened, partly closed, stops set."""
    with connection.cursor() as cursor:
        cursor.execute(EXPECTED, [account_id])
        return tuple(Expected(*row) for row in cursor.fetchall())


def held_divergences(account_id: int) -> tuple[tuple[Held, bool], ...]:
    """Read what lasts in the ledger; the second value tells whether it is ignored for now."""
    rows = Divergence.objects.filter(account_id=account_id).exclude(state=State.CLOSED).order_by("id")
    return tuple(
        (Held(pk, key, mark, severity, rule, suggestion), state == State.IGNORED)
        for pk, key, mark, severity, rule, suggestion, state in rows.values_list(
            "id", "key", "mark", "severity", "rule", "suggestion", "state"
        )
    )


def ignored_too_long(account_id: int, at: datetime) -> list[int]:
    """Find the divergences that were to be ignored until before `at`."""
    rows = Divergence.objects.filter(account_id=account_id, state=State.IGNORED, ignored_until__lte=at)
    return list(rows.values_list("id", flat=True))


def accepted_marks(account_id: int, keys: Sequence[str]) -> dict[str, str]:
    """Return the mark that each of these keys was last settled with; none when its last row ended otherwise."""
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (key) key, mark, closed_how FROM reconciliation_divergence
            WHERE account_id = %s AND key = ANY(%s) AND state = %s ORDER BY key, id DESC
            """,
            [account_id, list(keys), State.CLOSED],
        )
        return {key: mark for key, mark, how in cursor.fetchall() if how in SETTLED}


def _unrecorded(kind: Kind, account_id: int) -> Exists:
    return Exists(Divergence.objects.filter(account_id=account_id, kind=kind, identifier=OuterRef("identifier")))


def closures(account_id: int, since: datetime) -> list[Order]:
    """Find the orders that ended at the broker without our asking, and that the ledger does not have yet."""
    rows = Order.objects.filter(account_id=account_id, status="closed", closed_at__gte=since)
    return list(rows.exclude(close_reason="bot").exclude(_unrecorded(Kind.CLOSED_BY_BROKER, account_id)).order_by("id"))


def late_executions(account_id: int, since: datetime) -> list[OrderIntent]:
    """Find intents that were given up as absent or settled, executed after all, and are not in the ledger yet."""
    given_up = Q(history__from_state__in=GIVEN_UP, history__to_state="adopted")
    known = Divergence.objects.filter(account_id=account_id, kind=Kind.LATE_EXECUTION, intent_id=OuterRef("pk"))
    rows = OrderIntent.objects.filter(given_up, account_id=account_id, state="adopted", done_at__gte=since)
    return list(rows.exclude(Exists(known)).select_related("opened_order").order_by("id"))


def unknown_outcomes(account_id: int) -> list[OrderIntent]:
    """Read the intents of which nobody knows what came."""
    return list(OrderIntent.objects.filter(account_id=account_id, state=IntentState.UNKNOWN).order_by("id"))


@dataclass(frozen=True, slots=True)
class Misbooked:
    """A closed order whose figures are not those of its deals; money in account currency."""

    order_id: int
    identifier: int
    ticket: int
    symbol: str
    booked: float
    dealt: float


def misbooked_orders(account_id: int, since: datetime) -> list[Misbooked]:
    """Find orders closed since then whose booked figures differ from the sum of their deals."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT o.id, o.identifier, o.ticket, o.symbol, (o.profit + o.swap + o.commission)::float8, d.net::float8
            FROM orders_order o
            JOIN LATERAL (SELECT sum(profit + swap + commission + fee) AS net FROM orders_deal
                          WHERE account_id = o.account_id AND position_id = o.identifier) d ON d.net IS NOT NULL
            WHERE o.account_id = %s AND o.status = 'closed' AND o.closed_at >= %s
              AND o.profit + o.swap + o.commission <> d.net
            """,
            [account_id, since],
        )
        return [Misbooked(*row) for row in cursor.fetchall()]


def ledger_sum(account_id: int, after_id: int) -> tuple[float, int]:
    """Add up the deals stored after `after_id`: (account currency, newest id)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(profit + swap + commission + fee), 0)::float8, coalesce(max(id), %s) "
            "FROM orders_deal WHERE account_id = %s AND id > %s",
            [after_id, account_id, after_id],
        )
        row = cursor.fetchone()
    return float(row[0]), int(row[1])


def balance_offset(account_id: int) -> float | None:
    """Return by how much the balance may differ from the known deals; None before the first look."""
    kept = AccountCheck.objects.filter(account_id=account_id).values_list("balance_offset", flat=True).first()
    return None if kept is None else float(kept)


def positions_of_orders(account_id: int, tickets: Sequence[int]) -> dict[int, int]:
    """Return the position that the deals of these order tickets opened."""
    if not tickets:
        return {}
    rows = Deal.objects.filter(account_id=account_id, order_ticket__in=tickets, entry="in")
    return dict(rows.values_list("order_ticket", "position_id"))


def magics_of(account_id: int) -> dict[int, int]:
    """Return the account's bots by magic number."""
    return dict(Bot.objects.filter(account_id=account_id).values_list("magic", "id"))


def adoptive_cycles(account_id: int) -> dict[tuple[int, str, str], Cycle]:
    """Return each bot's newest open cycle by (magic, symbol in lower case, side); a hedging one takes both sides."""
    rows = Cycle.objects.filter(account_id=account_id, status=CycleStatus.OPEN).select_related("bot").order_by("id")
    return {
        (c.bot.magic, c.symbol.casefold(), side): c
        for c in rows
        for side in (("buy", "sell") if c.kind == CycleKind.HEDGE else (c.side,))
    }


def treatments(account_id: int) -> dict[Kind, Treatment]:
    """Return what is done about each kind on an account: its own rule, else the rule for all, else the default."""
    found = {kind: Treatment(default_policy(kind)) for kind in Kind}
    rules = PolicyRule.objects.filter(Q(account_id=account_id) | Q(account__isnull=True))
    for rule in sorted(rules, key=lambda r: r.account_id is not None):
        found[Kind(rule.kind)] = Treatment(Policy(rule.policy), rule.dry_run)
    return found


class Limits:
    """The thresholds of an account by symbol: the most particular rule counts."""

    def __init__(self, rules: Iterable[ThresholdRule]) -> None:
        self._rules = {
            (r.account_id is not None, r.symbol.casefold()): Thresholds(
                r.entry_pips, r.volume_share, r.stops_pips, r.money, r.match_volume_share, r.match_pips
            )
            for r in rules
        }
        self._found: dict[str, Thresholds] = {}

    def of(self, symbol: str) -> Thresholds:
        """Return the thresholds of a symbol; of "" those of the account."""
        if symbol not in self._found:
            name = symbol.casefold()
            places = ((True, name), (True, ""), (False, name), (False, ""))
            found = next((self._rules[place] for place in places if place in self._rules), Thresholds())
            self._found[symbol] = found
        return self._found[symbol]


def limits_of(account_id: int) -> Limits:
    """Read the thresholds of an account."""
    return Limits(ThresholdRule.objects.filter(Q(account_id=account_id) | Q(account__isnull=True)))


def manual_positions() -> QuerySet[Divergence]:
    """Return one row for each foreign position that is at a broker now and not claimed: its newest one."""
    rows = """
        SELECT DISTINCT ON (d.account_id, d.identifier) d.id
        FROM orders_accountmarks m CROSS JOIN LATERAL unnest(m.identifiers) AS u(identifier)
        JOIN reconciliation_divergence d ON d.account_id = m.account_id AND d.identifier = u.identifier
        WHERE d.kind IN ('unmatched', 'missing_books')
          AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.account_id = m.account_id
                          AND o.identifier = u.identifier AND o.status = 'open')
        ORDER BY d.account_id, d.identifier, d.id DESC
    """
    with connection.cursor() as cursor:
        cursor.execute(rows)
        found = [row[0] for row in cursor.fetchall()]
    return Divergence.objects.filter(pk__in=found)


def open_counts(accounts: QuerySet[Any]) -> Mapping[str, int]:
    """Count what waits for a person on these accounts: all, and critical ones."""
    rows = Divergence.objects.filter(account__in=accounts, state=State.OPEN)
    severities = list(rows.values_list("severity", flat=True)[:1000])
    return {"open": len(severities), "critical": severities.count(Severity.CRITICAL)}


def saved_filters(user: AbstractBaseUser) -> QuerySet[SavedFilter]:
    """Return a person's saved filters by name."""
    return SavedFilter.objects.filter(user_id=user.pk)
