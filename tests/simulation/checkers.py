"""Hold the promises P1–P9: compare the terminal's own file with the database, by code that the product does not use."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import connection

from accounts.models import TradingAccount
from brokers.simulator.truth import Truth

PREFIX, TOKEN = "td:", slice(3, 13)
TABLES = (
    "orders_orderintent", "orders_intenthistory", "orders_order", "orders_deal", "orders_accountmarks",
    "cycles_cycle", "risk_block", "risk_guardalarm", "risk_killswitch", "events_event",
)  # fmt: skip
# A copy on purpose: a wrong table of the product must not excuse itself
ALLOWED = {
    ("", "planned"), ("planned", "claimed"), ("planned", "refused"), ("planned", "unknown"), ("claimed", "sent"),
    ("claimed", "refused"), ("claimed", "unknown"), ("sent", "accepted"), ("sent", "partial"), ("sent", "filled"),
    ("sent", "refused"), ("sent", "unknown"), ("sent", "adopted"), ("accepted", "partial"), ("accepted", "filled"),
    ("accepted", "refused"), ("partial", "filled"), ("partial", "refused"), ("unknown", "adopted"),
    ("unknown", "absent"), ("unknown", "settled"), ("absent", "adopted"), ("settled", "adopted"),
    ("refused", "adopted"),
}  # fmt: skip
SETTLE_SECONDS = 60.0
NEVER_SENT = ("planned", "claimed", "refused", "absent")
FOREIGN_TOLD = "SELECT 1 FROM events_event WHERE kind = 'POSITION_FOREIGN' AND data->>'ticket' = %s"
# A resting order that was taken back: its placing ends refused (ORDER_STATE_CANCELED, REJECTED, EXPIRED)
ENDED_UNFILLED = (2, 5, 6)
IN, OUT = 0, 1
TRADES = (0, 1)


def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Read rows as dictionaries."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def digest(truth: Truth) -> str:
    """Return one number for the whole end state: broker and books, byte for byte, wherever the terminal's file lies."""
    # An account without a terminal is rows only, as one that is copied
    place = str(TradingAccount.objects.exclude(terminal_path="").values_list("terminal_path", flat=True).get())
    found = hashlib.sha256(json.dumps(asdict(truth), sort_keys=True).encode())
    with connection.cursor() as cursor:
        for table in TABLES:
            key = "account_id" if table == "orders_accountmarks" else "id"
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t ORDER BY {key}")
            for (row,) in cursor.fetchall():
                found.update(row.replace(place, "").encode())
    return found.hexdigest()


def broken(truth: Truth) -> list[str]:
    """Return every promise that does not hold, after the faults ended and it was quiet for a while."""
    checks = (_one_order_per_intent, _intent_before_order, _lives, _absence, _positions, _orders, _ledger, _money,
              _closes, _cycles, _nothing_under_way, _blocked, _fired)  # fmt: skip
    return [violation for check in checks for violation in check(truth)]


def _ours(truth: Truth) -> list[Any]:
    return [o for o in (*truth.history, *truth.orders) if o.comment.startswith(PREFIX)]


def _one_order_per_intent(truth: Truth) -> Iterator[str]:
    times = Counter(o.comment[TOKEN] for o in _ours(truth))
    yield from (f"P1: intent {token} made {n} orders" for token, n in times.items() if n > 1)
    executed: dict[str, list[str]] = defaultdict(list)
    for row in rows("SELECT token, cause_key FROM orders_orderintent WHERE kind IN ('open', 'place')"):
        if times[row["token"]]:
            executed[row["cause_key"]].append(row["token"])
    for cause, tokens in executed.items():
        late = rows("SELECT 1 FROM risk_block WHERE cause = 'late_execution'")
        if len(tokens) > 1 and not late:
            yield f"P1: decision {cause} made orders by {tokens}"


def _intent_before_order(truth: Truth) -> Iterator[str]:
    sent = {r["token"]: r for r in rows("SELECT token, state, sent_at FROM orders_orderintent")}
    for order in _ours(truth):
        intent = sent.get(order.comment[TOKEN])
        if intent is None:
            yield f"P2: order {order.ticket} at the broker has no intent"
        elif intent["sent_at"] is None or intent["sent_at"].timestamp() > order.placed + 1e-6:
            yield f"P2: order {order.ticket} was placed before its intent was written as sent"
        elif intent["state"] in NEVER_SENT and not (intent["state"] == "refused" and order.state in ENDED_UNFILLED):
            yield f"P3: order {order.ticket} exists and its intent {order.comment[TOKEN]} says {intent['state']}"


def _lives(truth: Truth) -> Iterator[str]:
    steps = rows("SELECT intent_id, from_state, to_state FROM orders_intenthistory ORDER BY id")
    now = {r["id"]: r for r in rows("SELECT id, token, state FROM orders_orderintent")}
    at: dict[int, str] = dict.fromkeys(now, "")
    for step in steps:
        if step["from_state"] != at[step["intent_id"]] or (step["from_state"], step["to_state"]) not in ALLOWED:
            yield f"P8: intent {now[step['intent_id']]['token']} jumped {step['from_state']} → {step['to_state']}"
        at[step["intent_id"]] = step["to_state"]
    for i, r in now.items():
        if at[i] != r["state"]:
            yield f"P8: {r['token']} is {r['state']}, its history says {at[i]}"


def _absence(truth: Truth) -> Iterator[str]:
    ended = rows(
        "SELECT i.token, i.sent_at, h.at FROM orders_intenthistory h JOIN orders_orderintent i ON i.id = h.intent_id "
        "WHERE h.to_state = 'absent'"
    )
    placed: dict[str, float] = {o.comment[TOKEN]: o.placed for o in _ours(truth)}
    for row in ended:
        waited = (row["at"] - row["sent_at"]).total_seconds()
        if waited < SETTLE_SECONDS:
            yield f"P3: {row['token']} was called absent after {waited:.1f} s"
        if placed.get(row["token"], float("inf")) <= row["at"].timestamp():
            yield f"P3: {row['token']} was called absent while its order existed"


def _positions(truth: Truth) -> Iterator[str]:
    books = {r["identifier"]: r for r in rows("SELECT * FROM orders_order WHERE status = 'open'")}
    there = {p.identifier: p for p in truth.positions}
    for identifier in books.keys() - there.keys():
        yield f"P6: position {identifier} is open in the books only"
    for identifier, p in there.items():
        row = books.get(identifier)
        if row is None:
            if p.comment.startswith(PREFIX):
                yield f"P6: position {identifier} is open at the broker only"
            elif not rows(FOREIGN_TOLD, str(p.ticket)):
                yield f"P6: foreign position {identifier} was not reported"
        elif (round(float(row["volume"]), 8), row["side"], float(row["sl"]), float(row["tp"])) != (
            round(p.volume, 8), ("buy", "sell")[p.type], round(p.sl, 8), round(p.tp, 8)
        ):  # fmt: skip
            yield f"P6: position {identifier} differs: {row['volume']} {row['side']} {row['sl']} {row['tp']}, not {p}"


def _orders(truth: Truth) -> Iterator[str]:
    books = {r["ticket"] for r in rows("SELECT ticket FROM orders_order WHERE status = 'pending'")}
    there = {o.ticket for o in truth.orders if o.comment.startswith(PREFIX)}
    yield from (f"P6: resting order {t} is on one side only" for t in books ^ there)


def _ledger(truth: Truth) -> Iterator[str]:
    books = {r["ticket"]: r for r in rows("SELECT * FROM orders_deal")}
    for deal in truth.deals:
        row = books.get(deal.ticket)
        if row is None:
            yield f"P6: deal {deal.ticket} is not in the books"
        elif float(row["profit"]) != deal.profit or round(float(row["volume"]), 8) != round(deal.volume, 8):
            yield f"P6: deal {deal.ticket} differs"
    yield from (f"P6: deal {t} is in the books only" for t in books.keys() - {d.ticket for d in truth.deals})


def _money(truth: Truth) -> Iterator[str]:
    net: dict[int, float] = defaultdict(float)
    for deal in truth.deals:
        net[deal.position_id] += deal.profit + deal.swap + deal.commission
    for row in rows("SELECT identifier, profit + swap + commission AS net FROM orders_order WHERE status = 'closed'"):
        if round(net[row["identifier"]], 2) != round(float(row["net"]), 2):
            yield f"P6: order {row['identifier']} says {row['net']}, its deals {net[row['identifier']]:.2f}"


def _closes(truth: Truth) -> Iterator[str]:
    volume: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for deal in truth.deals:
        if deal.type in TRADES and deal.entry in (IN, OUT):
            volume[deal.position_id][deal.entry] += deal.volume
    yield from (f"P1: position {p} closed {o} of {i} lots" for p, (i, o) in volume.items() if o > i + 1e-8)


def _cycles(truth: Truth) -> Iterator[str]:
    alive = rows(
        "SELECT c.id, c.status, count(o.id) FILTER (WHERE o.status IN ('open', 'pending')) AS live, "
        "coalesce(sum(o.profit + o.swap + o.commission) FILTER (WHERE o.status = 'closed'), 0) AS realized, "
        "coalesce(sum(o.volume) FILTER (WHERE o.status = 'open'), 0) AS lots, c.realized_profit, c.total_volume "
        "FROM cycles_cycle c LEFT JOIN orders_order o ON o.cycle_id = c.id GROUP BY c.id ORDER BY c.id"
    )
    for c in alive:
        if (c["status"] == "closed") != (c["live"] == 0):
            yield f"P6: cycle {c['id']} is {c['status']} with {c['live']} live orders"
        if c["realized"] != c["realized_profit"] or c["lots"] != c["total_volume"]:
            books, sums = (c["realized_profit"], c["total_volume"]), (c["realized"], c["lots"])
            yield f"P6: cycle {c['id']} says {books}, its orders {sums}"
    yield from (
        f"P6: order {r['identifier']} lost its cycle"
        for r in rows("SELECT identifier FROM orders_order WHERE cycle_id IS NULL AND intent_id IS NOT NULL")
    )


def _nothing_under_way(truth: Truth) -> Iterator[str]:
    stuck = rows(
        "SELECT token, kind, state, sent_at FROM orders_orderintent "
        "WHERE state IN ('planned', 'claimed', 'sent', 'unknown') "
        "OR (state IN ('accepted', 'partial') AND kind IN ('open', 'close')) "
        "OR (state = 'accepted' AND kind = 'place' AND NOT EXISTS "
        "(SELECT 1 FROM orders_order o WHERE o.intent_id = orders_orderintent.id AND o.status = 'pending'))"
    )
    for row in stuck:
        yield f"P6: intent {row['token']} ({row['kind']}) is still {row['state']}, sent at {_clock(row['sent_at'])}"


def _blocked(truth: Truth) -> Iterator[str]:
    """Nothing that raises exposure left while a block stood or a kill switch was thrown."""
    found = rows(
        "SELECT i.token, i.sent_at, b.cause FROM orders_orderintent i JOIN risk_block b ON b.account_id = i.account_id "
        "AND b.symbol IN ('', i.symbol) AND (b.bot_id IS NULL OR b.bot_id = i.bot_id) AND b.raised_at < i.sent_at "
        "AND (b.lifted_at IS NULL OR i.sent_at < b.lifted_at) WHERE i.kind IN ('open', 'place') "
        "UNION ALL SELECT i.token, i.sent_at, k.mode FROM orders_orderintent i JOIN risk_killswitch k "
        "ON (k.account_id IS NULL OR k.account_id = i.account_id) AND (k.bot_id IS NULL OR k.bot_id = i.bot_id) "
        "AND k.mode <> 'no_entries' AND k.at < i.sent_at AND (k.released_at IS NULL OR i.sent_at < k.released_at) "
        "WHERE i.kind IN ('open', 'place')"
    )
    for row in found:
        yield f"P4: {row['token']} raised exposure at {_clock(row['sent_at'])} while blocked by {row['cause']}"


def _fired(truth: Truth) -> Iterator[str]:
    """What a guard fired at is closed when all is quiet, and its alarm stands until a person ends it."""
    alarms = rows(
        'SELECT guard, level, phase, "left", ended_by_id FROM risk_guardalarm '
        "WHERE tier = 3 AND level IN ('account', 'portfolio', 'bot')"
    )
    for alarm in alarms:
        if alarm["phase"] == "ended" and alarm["ended_by_id"] is None:
            yield f"P9: {alarm['guard']} fired and ended by itself"
        if alarm["phase"] in ("standing", "countdown"):
            yield f"P9: {alarm['guard']} fired and is still {alarm['phase']}"
        ours = [p for p in truth.positions if p.comment.startswith(PREFIX)]
        if alarm["phase"] in ("closing", "closed") and alarm["level"] == "account" and ours:
            yield f"P9: {alarm['guard']} is {alarm['phase']} and {len(ours)} positions are open"


def _clock(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%H:%M:%S}"
