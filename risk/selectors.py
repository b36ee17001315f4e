"""Named reads of blocks, guard settings, alarms, kill switches and what the guards stand on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import F, Max, Q, QuerySet, Sum

from accounts.models import TradingAccount, User
from accounts.permissions import accounts_of, is_superuser
from accounts.selectors import same_money
from brokers.domain import DealKind
from cycles.models import Cycle
from events.prepared import DAY, NUMBER, TIME, Prepared
from orders.models import AccountMarks, Deal, IntentKind, IntentState, Order, OrderIntent
from risk.domain.calendar import NewsItem
from risk.domain.settings import GuardSettings
from risk.models import Block, DayStart, EquityPeak, GuardAlarm, GuardConfig, KillSwitch, NewsEvent

FAILED = (IntentState.REFUSED, IntentState.UNKNOWN, IntentState.ABSENT)
WORKED = (IntentState.ACCEPTED, IntentState.PARTIAL, IntentState.FILLED, IntentState.ADOPTED)
ENTRIES = (IntentKind.OPEN, IntentKind.PLACE)
LOOK_BACK = timedelta(hours=1)
NEWS_AROUND = timedelta(days=1)


class StandingBlock(NamedTuple):
    """A block that stands: the bot and symbol that it is about (None and empty: all), who objects, and why."""

    bot_id: int | None
    cause: str
    reason: str
    symbol: str = ""


_blocks = Prepared(
    lambda account_id: (
        Block.objects.filter(account_id=account_id, lifted_at__isnull=True)
        .order_by("id")
        .values_list("bot_id", "cause", "reason", "symbol")
    ),
    NUMBER,
)


def standing_blocks(account_id: int, kills: Sequence[KillSwitch] | None = None) -> tuple[StandingBlock, ...]:
    """Read the blocks that stand on an account, kill switches that allow exits only among them.

    `kills` are its `standing_kills` when they were read just now.
    """
    blocks = plain_blocks(account_id)
    killed = [
        StandingBlock(switch.bot_id, "kill switch", switch.reason)
        for switch in (standing_kills(account_id) if kills is None else kills)
        if switch.mode != KillSwitch.Mode.NO_ENTRIES
    ]
    return (*killed, *blocks)


def plain_blocks(account_id: int) -> tuple[StandingBlock, ...]:
    """Read the blocks that stand on an account, without kill switches."""
    return tuple(StandingBlock(*row) for row in _blocks(account_id))


def block_on(blocks: Iterable[StandingBlock], bot_id: int | None, symbol: str) -> StandingBlock | None:
    """Return the first block that forbids a bot's entries on a symbol."""
    return next((b for b in blocks if b.bot_id in (None, bot_id) and b.symbol in ("", symbol)), None)


_kills = Prepared(
    lambda account_id: KillSwitch.objects.filter(
        Q(account_id=account_id) | Q(account__isnull=True), released_at__isnull=True
    ).order_by("id"),
    NUMBER,
)


def standing_kills(account_id: int) -> list[KillSwitch]:
    """Read the kill switches that concern an account: its own, its bots', and the one for everything."""
    return _kills(account_id)


def flattened_bots(account_id: int) -> set[int | None]:
    """Return the bots that a kill switch flattens: None among them means every bot of the account."""
    return {s.bot_id for s in standing_kills(account_id) if s.mode == KillSwitch.Mode.FLATTEN}


_guard_values = Prepared(
    lambda account_id: (
        GuardConfig.objects.filter(Q(account_id=account_id) | Q(account__isnull=True))
        .order_by(F("account").asc(nulls_last=True), "-version")
        .values_list("values", flat=True)[:1]
    ),
    NUMBER,
)


def current_config(account_id: int | None) -> GuardSettings:
    """Return the settings that hold for an account: its own, else the default's newest version, else ours.

    Raises:
        pydantic.ValidationError: What is stored does not hold any more.
    """
    newest = _guard_values(account_id)
    return GuardSettings.model_validate(newest[0]) if newest else GuardSettings()


def version_of(account_id: int) -> tuple[int, bool]:
    """Return the version of the settings that hold for an account (0: the built-in ones), and whether they are its own.

    One that has none of its own shows 0 to whoever saves its first version.
    """
    own = GuardConfig.objects.filter(account_id=account_id).aggregate(newest=Max("version"))["newest"]
    return (own, True) if own is not None else (0, False)


def stops_of(projection: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what live pages need to tell the distance to the stop-out: its level in percent, [price, pip] by symbol.

    The price is the bid at which the account would be stopped out if only that symbol moved; None where none does.
    """
    if not projection:
        return {"stop_out": None, "stops": {}}
    rows = projection.get("symbols", {}).items()
    return {
        "stop_out": projection.get("stop_out"),
        "stops": {symbol: [row["stop_out_price"], row["pip"]] for symbol, row in rows if "pip" in row},
    }


def open_alarms(account_id: int | None = None) -> QuerySet[GuardAlarm]:
    """Return the alarms that are not over, of one account or of all, oldest first."""
    found = GuardAlarm.objects.filter(ended_at__isnull=True).order_by("since", "id")
    return found if account_id is None else found.filter(account_id=account_id)


_alarms = Prepared(
    lambda account_id: GuardAlarm.objects.filter(ended_at__isnull=True, account_id=account_id).order_by("since", "id"),
    NUMBER,
)
_peaks = Prepared(lambda account_id: EquityPeak.objects.filter(account_id=account_id), NUMBER)
_days = Prepared(lambda account_id, day: DayStart.objects.filter(account_id=account_id, day=day), NUMBER, DAY)


def standing_alarms(account_id: int) -> list[GuardAlarm]:
    """Read an account's alarms that are not over, oldest first."""
    return _alarms(account_id)


def equity_peaks(account_id: int) -> list[EquityPeak]:
    """Read an account's peaks: of its time on demo money, and of that on real money."""
    return _peaks(account_id)


def day_start_of(account_id: int, day: date) -> DayStart | None:
    """Read what an account had when a day of the broker's clock began."""
    return next(iter(_days(account_id, day)), None)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the imported deals add up to: payments in and out, and the balance that they explain (None: no deals)."""

    flow_total: float
    balance: float | None


def ledger_of(account_id: int) -> Ledger:
    """Add up an account's deals. Credits are no part of the balance; charges and corrections count as results."""
    everything = Sum(F("profit") + F("swap") + F("commission") + F("fee"))
    rows = dict(Deal.objects.filter(account_id=account_id).order_by().values_list("kind").annotate(net=everything))
    balance = sum((net for kind, net in rows.items() if kind != DealKind.CREDIT), start=0)
    return Ledger(float(rows.get(DealKind.BALANCE, 0)), float(balance) if rows else None)


_answered = Prepared(
    lambda account_id, since: (
        OrderIntent.objects.filter(account_id=account_id, sent_at__gte=since, state__in=(*FAILED, *WORKED))
        .order_by("sent_at", "id")
        .values_list("sent_at", "state")
    ),
    NUMBER,
    TIME,
)


def recent_requests(account_id: int, now: datetime) -> tuple[tuple[datetime, bool], ...]:
    """Return (time, worked) of the requests that were answered in the last hour, oldest first."""
    return tuple((at, state in WORKED) for at, state in _answered(account_id, now - LOOK_BACK) if at is not None)


_entries = Prepared(
    lambda account_id, since: OrderIntent.objects.filter(
        account_id=account_id, kind__in=ENTRIES, sent_at__gt=since
    ).values_list("sent_at", flat=True),
    NUMBER,
    TIME,
)


def entries_sent(account_id: int, now: datetime) -> tuple[datetime, ...]:
    """Return when the entries of the last 24 hours were sent."""
    return tuple(at for at in _entries(account_id, now - timedelta(days=1)) if at is not None)


def realized_since(account_id: int, since: datetime) -> tuple[dict[int, float], dict[int, float], dict[int, int]]:
    """Return the net of closed legs of open cycles, the net of every bot's legs closed since, and cycles' bots."""
    cycles: dict[int, float] = {}
    bots: dict[int, float] = defaultdict(float)
    active = dict(
        Cycle.objects.filter(account_id=account_id, status__in=("open", "closing")).values_list("id", "bot_id")
    )
    net = Sum(F("profit") + F("swap") + F("commission"))
    closed = Order.objects.filter(account_id=account_id, status="closed").order_by()
    for cycle_id, total in closed.filter(cycle_id__in=active).values_list("cycle_id").annotate(net=net):
        cycles[cycle_id] = float(total)
    for bot_id, total in closed.filter(closed_at__gte=since, bot__isnull=False).values_list("bot_id").annotate(net=net):
        bots[bot_id] = float(total)
    return cycles, bots, active


def portfolio_drawdown(account_id: int) -> float | None:
    """Return the fall of all accounts of the same currency and money from the sum of their clean peaks, in percent.

    The sum of the peaks is at least the peak of the sums: the guard fires early, never late. Credits are no equity, as
    in the peaks. None: nothing is known.
    """
    try:
        account = TradingAccount.objects.get(pk=account_id)
    except ObjectDoesNotExist:
        return None
    rows = EquityPeak.objects.filter(account__in=same_money(account), demo=account.demo)
    peaks = dict(rows.values_list("account_id", "value"))
    worth = dict(AccountMarks.objects.filter(account_id__in=peaks).values_list("account_id", "equity"))
    total = sum(peaks[known] for known in worth)
    credit = Deal.objects.filter(account_id__in=worth, kind=DealKind.CREDIT).aggregate(net=Sum("profit"))["net"] or 0
    return max(0.0, (total - sum(worth.values()) + float(credit)) / total * 100) if total > 0 else None


def news_around(now: datetime) -> tuple[NewsItem, ...]:
    """Return the calendar's events of a day before and after."""
    return news_between(now, now)


def news_between(begin: datetime, end: datetime) -> tuple[NewsItem, ...]:
    """Return the calendar's events of a period, and of a day before and after it."""
    rows = NewsEvent.objects.filter(at__range=(begin - NEWS_AROUND, end + NEWS_AROUND))
    return tuple(NewsItem(*row) for row in rows.values_list("at", "currency", "impact", "title"))


def kills_seen_by(user: User) -> QuerySet[KillSwitch]:
    """Return the standing switches that concern a person's accounts, with the one for everything."""
    found = KillSwitch.objects.filter(released_at__isnull=True).select_related("account", "bot").order_by("at")
    if is_superuser(user):
        return found
    return found.filter(Q(account__in=accounts_of(user)) | Q(account__isnull=True))
