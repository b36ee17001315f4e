"""What the reading commands answer, of the accounts that a person may see."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time

from django.db.models import Q

from accounts.models import User
from accounts.permissions import accounts_of
from cycles.models import Cycle, CycleStatus
from engine.selectors import engine_status
from orders.models import AccountMarks
from orders.selectors import closed_trades
from reconciliation.models import Divergence, State
from risk.models import KillSwitch
from strategies.models import Bot
from telegram.domain import shortened

ROWS_MAX = 40
NO_ACCOUNT = "No account is shared with you."


def _status(user: User, at: datetime) -> list[str]:
    found = engine_status(user, at=at)
    lines = [f"Engine: {found['status']}, {found['health']}"]
    for row in found["accounts"]:
        why = f": {row['error_message']}" if row["error_message"] else ""
        lines.append(f"{row['name']}: {row['status']} (wanted: {row['desired_state']}), {row['health']}{why}")
    mine = Q(account=None) | Q(account__in=accounts_of(user))
    standing = KillSwitch.objects.filter(mine, released_at=None).select_related("account", "bot")
    lines.extend(
        f"KILL SWITCH {switch.bot or switch.account or 'everything'}: {switch.get_mode_display()} – {switch.reason}"
        for switch in standing
    )
    return lines


def _profit(user: User, at: datetime) -> list[str]:
    accounts = list(accounts_of(user).order_by("name"))
    marks = AccountMarks.objects.in_bulk([account.pk for account in accounts])
    since = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    today: dict[int, float] = {}
    for trade in closed_trades([account.pk for account in accounts], since=since, until=None):
        today[trade.account_id] = today.get(trade.account_id, 0.0) + trade.result
    lines = []
    for account in accounts:
        mark = marks.get(account.pk)
        floating = sum(mark.profits) + sum(mark.swaps) if mark else 0.0
        equity = f", equity {mark.equity:,.2f}" if mark and mark.equity else ""
        lines.append(
            f"{account.name}: closed today (UTC) {today.get(account.pk, 0.0):+,.2f}, floating {floating:+,.2f}"
            f"{equity} {account.currency}"
        )
    return lines or [NO_ACCOUNT]


def _bots(user: User, at: datetime) -> list[str]:
    bots = Bot.objects.filter(account__in=accounts_of(user)).select_related("account").order_by("account__name", "name")
    lines = [f"{b.account.name} / {b.name}: {b.desired_state}, {', '.join(b.symbols)}" for b in bots[:ROWS_MAX]]
    return lines or ["There is no bot yet."]


def _cycles(user: User, at: datetime) -> list[str]:
    found = Cycle.objects.filter(account__in=accounts_of(user)).exclude(status=CycleStatus.CLOSED)
    rows = found.select_related("account", "bot").order_by("account__name", "-opened_at")
    lines = [
        f"{c.account.name} / {c}: {c.side} {c.symbol}, {c.status}, {c.total_volume.normalize():f} lots, "
        f"closed legs {c.realized_profit:+,.2f}, since {c.opened_at:%m-%d %H:%M}"
        for c in rows[:ROWS_MAX]
    ]
    return [f"{found.count()} open", *lines] if lines else ["No cycle is open."]


def _divergences(user: User, at: datetime) -> list[str]:
    found = Divergence.objects.filter(account__in=accounts_of(user), state=State.OPEN).select_related("account")
    lines = [
        f"{d.account.name}: {d.kind.replace('_', ' ')} #{d.ticket} {d.symbol}, {d.rule}"
        for d in found.order_by("-severity", "opened_at")[:ROWS_MAX]
    ]
    return [f"{found.count()} wait for a person", *lines] if lines else ["Books and broker agree."]


ANSWERS: Mapping[str, Callable[[User, datetime], list[str]]] = {
    "status": _status,
    "profit": _profit,
    "bots": _bots,
    "cycles": _cycles,
    "divergences": _divergences,
}


def reply_to(command: str, user: User, *, at: datetime) -> str:
    """Return the answer to a reading command."""
    return shortened(ANSWERS[command](user, at))
