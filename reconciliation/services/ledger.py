"""What a pass writes into the ledger, with a fixed number of statements. All run inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from brokers.domain import Book
from core.numbers import money
from events import live
from events.domain import EventDraft
from events.rows import insert_rows
from events.services import record_many
from reconciliation.domain import Expected, Finding, Held, Kind, Policy, Severity, Treatment, facts_of, wishes_of
from reconciliation.models import AccountCheck, BookSnapshot, Divergence, Ending, State

LEVELS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "error"}
# More of one kind in one pass are told as one event
TOLD_ONE_BY_ONE = 20


def take_snapshot(account_id: int, book: Book, expected: Sequence[Expected], *, at: datetime) -> BookSnapshot:
    """Keep both books as they were when something was first seen to differ."""
    return BookSnapshot.objects.create(
        account_id=account_id,
        at=at,
        balance=money(book.account.balance),
        equity=money(book.account.equity),
        unrealized_pnl=money(book.unrealized_pnl),
        total_open_volume=money(book.total_open_volume, 4),
        broker=[facts_of(p) for p in book.positions],
        books=[wishes_of(e) for e in expected],
    )


def open_divergences(
    account_id: int,
    opened: Sequence[tuple[Finding, Treatment]],
    *,
    done: Mapping[str, tuple[Ending, str]],
    why_not: Mapping[str, str],
    snapshot: BookSnapshot,
    at: datetime,
) -> None:
    """Write new divergences. `done` says, by key, how a policy ended one at once; `why_not` why it could not."""
    rows: list[dict[str, Any]] = []
    for finding, treatment in opened:
        how, text = done.get(finding.key, (None, ""))
        automatic = text or why_not.get(finding.key) or _why_nothing(treatment)
        rows.append(
            {
                "account_id": account_id,
                "kind": finding.kind,
                "key": finding.key,
                "mark": finding.mark[:80],
                "severity": finding.severity,
                "state": State.OPEN if how is None else State.CLOSED,
                "identifier": finding.identifier,
                "ticket": finding.ticket,
                "symbol": finding.symbol,
                "order_id": finding.order_id,
                "intent_id": finding.intent_id,
                "rule": finding.rule[:200],
                "measured": finding.measured,
                "threshold": finding.threshold,
                "ours": dict(finding.ours),
                "theirs": dict(finding.theirs),
                "suggestion": dict(finding.suggestion),
                "snapshot_id": snapshot.pk,
                "policy": treatment.policy,
                "automatic": automatic[:200],
                "opened_at": at,
                "updated_at": at,
                "closed_at": None if how is None else at,
                "closed_how": how or "",
                "closed_why": text[:300],
            }
        )
    keys = insert_rows(Divergence, rows)
    told = [
        Divergence(pk=pk, **row)
        for pk, row in zip(keys, rows, strict=True)
        if row["state"] == State.OPEN and row["kind"] != Kind.UNMATCHED
    ]
    _tell("DIVERGENCE_OPENED", account_id, told, at=at)


def _why_nothing(treatment: Treatment) -> str:
    if treatment.dry_run and treatment.policy is Policy.MIRROR:
        return "dry run: the books would have followed"
    if treatment.dry_run and treatment.policy is Policy.ADOPT:
        return "dry run: it would have been adopted"
    return "none: the policy is to tell people"


def update_divergences(updated: Sequence[tuple[Held, Finding]], *, at: datetime) -> None:
    """Follow divergences that last and have changed."""
    rows = Divergence.objects.in_bulk([held.id for held, _ in updated])
    for held, finding in updated:
        row = rows[held.id]
        row.mark, row.severity, row.rule = finding.mark[:80], finding.severity, finding.rule[:200]
        row.measured, row.threshold = finding.measured, finding.threshold
        row.ours, row.theirs, row.suggestion = dict(finding.ours), dict(finding.theirs), dict(finding.suggestion)
        row.updated_at = at
    names = ("mark", "severity", "rule", "measured", "threshold", "ours", "theirs", "suggestion", "updated_at")
    Divergence.objects.bulk_update(rows.values(), names, batch_size=500)


def end_divergences(account_id: int, ended: Sequence[Held], *, at: datetime) -> None:
    """Close what is not seen any more: over by itself, or because ours was applied when a person asked for that."""
    rows = list(Divergence.objects.filter(pk__in=[h.id for h in ended]).exclude(state=State.CLOSED))
    for row in rows:
        enforced = row.asked_at is not None
        row.closed_how = Ending.ENFORCED if enforced else Ending.GONE
        row.closed_by_id = row.asked_by_id if enforced else None
        row.closed_why = "books and broker agree again"
        row.state, row.closed_at, row.updated_at, row.ignored_until = State.CLOSED, at, at, None
    names = ("state", "closed_how", "closed_by", "closed_why", "closed_at", "updated_at", "ignored_until")
    Divergence.objects.bulk_update(rows, names, batch_size=500)
    _tell("DIVERGENCE_CLOSED", account_id, rows, at=at)


def stop_ignoring(account_id: int, ids: Sequence[int], *, at: datetime) -> None:
    """Put divergences back into the queue whose time of being ignored is over."""
    rows = list(Divergence.objects.filter(pk__in=ids, state=State.IGNORED))
    Divergence.objects.filter(pk__in=[r.pk for r in rows]).update(state=State.OPEN, ignored_until=None, updated_at=at)
    _tell("DIVERGENCE_OPENED", account_id, rows, at=at)


def publish_count(account_id: int) -> None:
    """Tell the pages how many divergences of the account wait for a person."""
    count = Divergence.objects.filter(account_id=account_id, state=State.OPEN).count()
    live.publish(account_id, "divergence", {"open": count})


def note_check(account_id: int, *, at: datetime | None, error: str, statistics: Mapping[str, object]) -> None:
    """Keep when the account was last compared. Who runs the passes calls this: a quiet pass itself writes nothing."""
    values = {"checked_at": at, "error": error[:300], "statistics": dict(statistics)}
    AccountCheck.objects.update_or_create(account_id=account_id, defaults=values)


def keep_balance_offset(account_id: int, offset: float) -> None:
    """Keep by how much balance and known deals differ; from now on that is no divergence."""
    AccountCheck.objects.update_or_create(account_id=account_id, defaults={"balance_offset": money(offset)})


def _tell(kind: str, account_id: int, rows: Sequence[Divergence], *, at: datetime) -> None:
    """Write an event for each, or one a kind when there are many. Foreign positions are told by the orders pass."""
    by_kind: dict[str, list[Divergence]] = {}
    for row in rows:
        if row.kind != Kind.UNMATCHED:
            by_kind.setdefault(row.kind, []).append(row)
    drafts = []
    for group in by_kind.values():
        level = LEVELS[Severity(max(r.severity for r in group))] if kind == "DIVERGENCE_OPENED" else "info"
        if len(group) > TOLD_ONE_BY_ONE:
            text = f"{len(group)} divergences: {group[0].get_kind_display().lower()}, for example {group[0]}"
            drafts.append(EventDraft(kind, text, at, level, account_id))
            continue
        drafts += [
            EventDraft(
                kind,
                f"{row}: {row.rule if kind == 'DIVERGENCE_OPENED' else row.closed_why}",
                at,
                level,
                account_id,
                order_id=row.order_id,
                data={"divergence": row.pk},
            )
            for row in group
        ]
    record_many(drafts)
