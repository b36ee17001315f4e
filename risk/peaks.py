"""Peaks and days in the database: read, followed by each reading, and computed again from history."""

from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import takewhile

from accounts.models import AccountSnapshot
from orders.models import Deal
from risk.domain.peak import Peak, Reading, advance, begin, rebuild
from risk.models import DayStart, EquityPeak
from risk.selectors import Ledger

SNAPSHOT_AGE_MAX = timedelta(days=1)


def follow_peak(
    row: EquityPeak | None, reading: Reading, ledger: Ledger, *, account_id: int, demo: bool, needed: int
) -> EquityPeak:
    """Let the peak follow a reading; a first peak needs a complete one. Not saved. Raises ValueError without one.

    The reading's payments are what the ledger holds beyond what the peak knows: late deals are never counted twice.
    """
    if row is None:
        if not reading.complete:
            raise ValueError("no complete reading yet")
        first = begin(reading.at, reading.base, ledger.balance)
        return EquityPeak(
            account_id=account_id, demo=demo, value=first.value, at=first.at, flow_total=ledger.flow_total,
            start_value=first.value, start_at=first.at, start_flow_total=ledger.flow_total,
        )  # fmt: skip
    flow = ledger.flow_total - row.flow_total
    before = Peak(row.value, row.at, tuple(row.above))
    after = advance(before, Reading(reading.at, reading.base, reading.complete, flow), needed)
    row.value, row.at, row.above = after.value, after.at, list(after.above)
    if reading.complete:
        row.flow_total = ledger.flow_total
    return row


def rebuilt(row: EquityPeak, *, needed: int) -> Peak:
    """Compute a peak again from its start, the recorded snapshots and the ledger's payments."""
    return rebuild(Peak(row.start_value, row.start_at), readings_since(row.account_id, row.start_at), needed)


def peak_at(account_id: int, at: datetime, *, demo: bool, needed: int) -> float | None:
    """Compute what an account's clean peak was at a time; None where it is not known so far back."""
    row = EquityPeak.objects.filter(account_id=account_id, demo=demo, start_at__lte=at).first()
    if row is None:
        return None
    until = takewhile(lambda reading: reading.at <= at, readings_since(account_id, row.start_at))
    return rebuild(Peak(row.start_value, row.start_at), until, needed).value


def readings_since(account_id: int, since: datetime) -> Iterator[Reading]:
    """Read the recorded snapshots after a time, each with the payments since the one before."""
    payments = deque(
        Deal.objects.filter(account_id=account_id, kind="balance", at__gt=since)
        .order_by("at", "ticket")
        .values_list("at", "profit")
    )
    snapshots = AccountSnapshot.objects.filter(account_id=account_id, at__gt=since).order_by("at")
    for at, equity, credit, complete in snapshots.values_list("at", "equity", "credit", "complete").iterator():
        flow = 0.0
        while complete and payments and payments[0][0] <= at:
            flow += float(payments.popleft()[1])
        yield Reading(at, float(equity - credit), complete, flow)


def day_start(account_id: int, day: date, midnight: datetime, reading: Reading, balance: float, ledger: Ledger) -> (
    DayStart
):  # fmt: skip
    """Return what the account had at midnight: the last snapshot of the day before, else the first reading. Not saved.

    Payments between that snapshot and midnight belong to the day before, so the ledger's payments are counted from it.
    """
    last = (
        AccountSnapshot.objects.filter(
            account_id=account_id, complete=True, at__lt=midnight, at__gt=midnight - SNAPSHOT_AGE_MAX
        )
        .order_by("-at")
        .first()
    )
    if last is None:
        return DayStart(
            account_id=account_id, day=day, equity=reading.base, balance=balance, flow_total=ledger.flow_total,
            at=reading.at,
        )  # fmt: skip
    since = Deal.objects.filter(account_id=account_id, kind="balance", at__gt=last.at).values_list("profit", flat=True)
    return DayStart(
        account_id=account_id, day=day, equity=float(last.equity - last.credit), balance=float(last.balance),
        flow_total=ledger.flow_total - float(sum(since)), at=last.at,
    )  # fmt: skip
