"""What the live pages show, read in one moment: eleven queries, whatever the number of accounts."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Now, TruncDay

from accounts.models import Symbol, TradingAccount, User
from accounts.permissions import accounts_of
from accounts.selectors import broker_offsets
from cycles.models import Cycle, CycleStatus
from engine.models import EngineProcess, EngineState
from events.selectors import last_events
from events.services import as_delta
from orders.models import AccountMarks, Order, OrderStatus
from risk.models import Block, RiskProjection
from risk.selectors import stops_of
from strategies.models import Bot

# Of more open cycles than this the page shows the newest, and says so
CYCLES_MAX = 300
EVENTS_SHOWN = 20
DIGITS_UNKNOWN = 5

Mark = tuple[float, float, float]
Digits = Mapping[tuple[int, str], int]


def live_snapshot(user: User, only: frozenset[int] | None = None) -> dict[str, Any]:
    """Return what a person may see now: accounts, open cycles with legs, events, engine processes.

    Accounts that `only` does not name are left out.

    Everything is read as of one moment, so that no leg is shown with the marks of another. Money is in account
    currency, times are ISO 8601 in UTC.
    """
    with one_moment():
        visible = accounts_of(user) if only is None else accounts_of(user).filter(pk__in=only)
        accounts = list(visible.order_by("name", "pk"))
        ids = [account.pk for account in accounts]
        marks = AccountMarks.objects.in_bulk(ids)
        digits = {
            (account_id, name): DIGITS_UNKNOWN if known is None else known
            for account_id, name, known in Symbol.objects.filter(account_id__in=ids).values_list(
                "account_id", "name", "digits"
            )
        }
        legs = _legs(ids, marks, digits)
        open_cycles = Cycle.objects.filter(account_id__in=ids).exclude(status=CycleStatus.CLOSED)
        newest = list(open_cycles.select_related("bot").order_by("-opened_at", "-pk")[:CYCLES_MAX])
        total = len(newest) if len(newest) < CYCLES_MAX else open_cycles.count()
        return {
            "accounts": _accounts(accounts, marks),
            "bots": _bots(ids),
            "cycles": [_cycle(cycle, legs.get(cycle.pk, []), digits) for cycle in newest],
            "cycles_total": total,
            "cycles_paper": _on_paper(accounts, newest, open_cycles, total),
            "loose": legs.get(None, []),
            "events": [as_delta(event) for event in last_events(ids, limit=EVENTS_SHOWN)],
            "processes": _processes() if ids else [],
        }


def _on_paper(
    accounts: Collection[TradingAccount], newest: Collection[Cycle], open_cycles: QuerySet[Cycle], total: int
) -> int:
    """Count the open cycles of paper accounts: no figure adds them to those of real brokers."""
    paper = {account.pk for account in accounts if account.is_paper}
    if paper and total > len(newest):
        return open_cycles.filter(account_id__in=paper).count()
    return sum(cycle.account_id in paper for cycle in newest)


@contextmanager
def one_moment() -> Iterator[None]:
    """Let all queries inside see the same moment; a transaction that is open already stays as it is."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _accounts(accounts: Collection[TradingAccount], marks: Mapping[int, AccountMarks]) -> list[dict[str, Any]]:
    ids = [account.pk for account in accounts]
    states = EngineState.objects.in_bulk(ids)
    worst = dict(RiskProjection.objects.filter(account_id__in=ids).values_list("account_id", "data"))
    offsets = broker_offsets(ids)
    blocks: dict[int, list[dict[str, str]]] = {}
    for account_id, cause, reason in Block.objects.filter(account_id__in=ids, lifted_at=None).values_list(
        "account_id", "cause", "reason"
    ):
        blocks.setdefault(account_id, []).append({"cause": cause, "reason": reason})
    return [
        {
            "id": account.pk,
            "name": account.name,
            "server": account.server,
            "login": account.login,
            "demo": account.demo,
            "money": account.money.value,
            "currency": account.currency,
            "desired_state": account.desired_state,
            "clock_offset": offsets.get(account.pk),
            "blocks": blocks.get(account.pk, []),
            **stops_of(worst.get(account.pk)),
            **_worth(marks.get(account.pk)),
            **_engine(states.get(account.pk), marks.get(account.pk)),
        }
        for account in accounts
    ]


def _worth(marks: AccountMarks | None) -> dict[str, Any]:
    """Return what the account is worth; None where the broker has not said anything yet."""
    if marks is None:
        return dict.fromkeys(("balance", "equity", "margin", "margin_level", "floating", "marks_at")) | {
            "marks_seq": 0,
            "positions": 0,
        }
    return {
        "balance": marks.balance,
        "equity": marks.equity,
        "margin": marks.margin,
        "margin_level": marks.margin_level,
        "floating": sum(marks.profits) + sum(marks.swaps),
        "marks_at": marks.at.isoformat(),
        "marks_seq": marks.seq,
        "positions": len(marks.identifiers),
    }


def _engine(state: EngineState | None, marks: AccountMarks | None) -> dict[str, Any]:
    signs = [at for at in (state and state.updated_at, marks and marks.at) if at]
    statistics = state.statistics if state is not None else {}
    return {
        "status": state.status if state is not None else "stopped",
        "health": state.manager_health_status if state is not None else "",
        "error": state.error_message if state is not None else "",
        "seen_at": max(signs).isoformat() if signs else None,
        "jobs": statistics.get("jobs", {}),
    }


def _bots(ids: Collection[int]) -> list[dict[str, Any]]:
    """Return the bots, with the cycles that they closed since midnight UTC."""
    closed = Cycle.objects.filter(account_id__in=ids, closed_at__gte=TruncDay(Now()))
    today = {
        bot_id: (count, float(realized))
        for bot_id, count, realized in closed.order_by()
        .values_list("bot_id")
        .annotate(count=Count("pk"), realized=Sum("realized_profit"))
    }
    bots = Bot.objects.filter(account_id__in=ids).order_by("account__name", "name", "pk")
    return [
        {
            "id": bot.pk,
            "account": bot.account_id,
            "name": bot.name,
            "strategy": bot.strategy,
            "symbols": bot.symbols,
            "desired_state": bot.desired_state,
            "closed_today": today.get(bot.pk, (0, 0.0))[0],
            "realized_today": today.get(bot.pk, (0, 0.0))[1],
        }
        for bot in bots
    ]


def _legs(
    ids: Collection[int], marks: Mapping[int, AccountMarks], digits: Digits
) -> dict[int | None, list[dict[str, Any]]]:
    """Return the open and pending orders by cycle (None: of no cycle), each with its floating values."""
    floating: dict[int, dict[int, Mark]] = {
        account_id: dict(zip(m.identifiers, zip(m.profits, m.swaps, m.prices, strict=True), strict=True))
        for account_id, m in marks.items()
    }
    orders = Order.objects.filter(account_id__in=ids, status__in=(OrderStatus.OPEN, OrderStatus.PENDING))
    legs: dict[int | None, list[dict[str, Any]]] = {}
    for order in orders.order_by("cycle_id", "level", "id"):
        mark = floating.get(order.account_id, {}).get(order.identifier)
        legs.setdefault(order.cycle_id, []).append(
            {
                "id": order.pk,
                "account": order.account_id,
                "identifier": order.identifier,
                "ticket": order.ticket,
                "symbol": order.symbol,
                "digits": digits.get((order.account_id, order.symbol), DIGITS_UNKNOWN),
                "status": order.status,
                "level": order.level,
                "side": order.side,
                "volume": float(order.volume),
                "price_open": float(order.price_open),
                "sl": float(order.sl),
                "tp": float(order.tp),
                "commission": float(order.commission),
                "booked": float(order.profit + order.swap),
                "opened_at": order.opened_at.isoformat(),
                "profit": mark[0] if mark else None,
                "swap": mark[1] if mark else None,
                "price": mark[2] if mark else None,
            }
        )
    return legs


def _cycle(cycle: Cycle, legs: list[dict[str, Any]], digits: Digits) -> dict[str, Any]:
    return {
        "id": cycle.pk,
        "account": cycle.account_id,
        "bot": cycle.bot_id,
        "bot_name": cycle.bot.name,
        "number": cycle.number,
        "symbol": cycle.symbol,
        "digits": digits.get((cycle.account_id, cycle.symbol), DIGITS_UNKNOWN),
        "side": cycle.side,
        "status": cycle.status,
        "realized": float(cycle.realized_profit),
        "opened_at": cycle.opened_at.isoformat(),
        "legs": legs,
    }


def _processes() -> list[dict[str, Any]]:
    return [
        {
            "id": process.pk,
            "name": process.name,
            "role": process.role,
            "host": process.host,
            "pid": process.pid,
            "started_at": process.started_at.isoformat(),
            "seen_at": process.seen_at.isoformat(),
            "restarts": process.restarts,
            "cpu_percent": process.cpu_percent,
            "rss_bytes": process.rss_bytes,
        }
        for process in EngineProcess.objects.order_by("host", "role", "pid")
    ]
