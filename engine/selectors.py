"""Named reads of the engine: how it is, as a whole and account by account."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now
from django_q.models import OrmQ

from accounts.models import DesiredState, TradingAccount
from accounts.permissions import Person, accounts_of, is_superuser
from accounts.selectors import same_money
from engine.domain import Component, Health, HostFigures, component_of, judge_host, worst
from engine.models import EngineHost, EngineProcess, EngineState
from engine.registry import SILENT_AFTER, live_runner_count
from events.models import Event

EVENTS_OVER = timedelta(minutes=1)
HOST_SILENT_AFTER = timedelta(seconds=20)
JOBS_WAITING_MANY = 100
AVERAGED = ("avg_ms", "p95_ms")


def silent_accounts(account_id: int) -> tuple[str, ...]:
    """Name the accounts of the same money that hold positions while no engine has their lease: their equity is old."""
    others = same_money(TradingAccount.objects.get(pk=account_id)).exclude(pk=account_id)
    held = others.filter(marks__identifiers__len__gt=0).exclude(lease__expires_at__gt=Now())
    return tuple(held.order_by("name").values_list("name", flat=True))


def engine_status(user: Person | None, *, at: datetime, account_id: int | None = None) -> dict[str, Any]:
    """Return S4's status: overall state, active connections and the health of every part that the person may see."""
    accounts = _accounts(user, account_id)
    states = EngineState.objects.in_bulk([account.pk for account in accounts])
    rows = [_account_status(account, states.get(account.pk), at=at) for account in accounts]
    components = engine_components(accounts, rows, at=at)
    running = [row for row in rows if row["status"] in ("running", "paused") and not row["silent"]]
    return {
        "at": at,
        "status": _overall(rows),
        "health": worst(components),
        "active_connections": len(running),
        "components": [component.as_json() for component in components],
        "accounts": rows,
    }


def engine_performance(user: Person | None, *, at: datetime, account_id: int | None = None) -> dict[str, Any]:
    """Return S4's performance: health, averages over all accounts, and the figures of each account and host.

    Durations are milliseconds over the last 100 passes. Hosts and processes are shown to superusers,
    and everything to whoever is on the host (no user).
    """
    accounts = _accounts(user, account_id)
    ids = [account.pk for account in accounts]
    states = EngineState.objects.in_bulk(ids)
    events = _events_per_minute(ids, at=at)
    rows = []
    for account in accounts:
        state = states.get(account.pk)
        statistics: Mapping[str, Any] = state.statistics if state is not None else {}
        rows.append(
            {
                **_account_status(account, state, at=at),
                "jobs": statistics.get("jobs", {}),
                "stages": statistics.get("stages", {}),
                "queries": statistics.get("queries", {}),
                "prices": statistics.get("prices", {}),
                "clock_skew_seconds": statistics.get("clock_skew_seconds"),
                "connection_errors": sum(j.get("broker_errors", 0) for j in statistics.get("jobs", {}).values()),
                "events_per_minute": events.get(account.pk, 0),
            }
        )
    components = engine_components(accounts, rows, at=at)
    sees_hosts = user is None or is_superuser(user)
    return {
        "at": at,
        "status": _overall(rows),
        "health": worst(components),
        "components": [component.as_json() for component in components],
        "averages": averages(rows),
        "events_per_minute": sum(events.values()),
        "accounts": rows,
        "hosts": [_host(host) for host in EngineHost.objects.all()] if sees_hosts else [],
        "processes": [_process(process, at=at) for process in EngineProcess.objects.all()] if sees_hosts else [],
    }


def engine_components(
    accounts: Sequence[TradingAccount], rows: Sequence[Mapping[str, Any]], *, at: datetime
) -> tuple[Component, ...]:
    """Judge what all accounts share, then the accounts as one part."""
    wanted = sum(account.desired_state != DesiredState.STOPPED for account in accounts)
    return (
        _runners(wanted, at=at),
        *_hosts(at=at),
        _database(),
        _waiting_jobs(),
        _accounts_component(rows),
    )


def averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean over accounts of each job's and stage's average and 95th percentile, in milliseconds."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for name, figures in {**row["jobs"], **row["stages"], "query": row["queries"]}.items():
            if figures:
                found.setdefault(name, []).append(figures)
    return {
        name: {key: round(sum(one.get(key, 0.0) for one in all_) / len(all_), 3) for key in AVERAGED}
        for name, all_ in found.items()
    }


def _accounts(user: Person | None, account_id: int | None) -> list[TradingAccount]:
    visible = TradingAccount.objects.all() if user is None else accounts_of(user)
    accounts = visible.order_by("name", "pk")
    return list(accounts if account_id is None else accounts.filter(pk=account_id))


def _overall(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one word for all accounts: the state of most concern among those that shall run."""
    statuses = {row["status"] for row in rows if row["desired_state"] != DesiredState.STOPPED}
    if any(row["silent"] for row in rows):
        return "error"
    return next((s for s in ("error", "starting", "running", "paused") if s in statuses), "stopped")


def _account_status(account: TradingAccount, state: EngineState | None, *, at: datetime) -> dict[str, Any]:
    """Return what the engine says of one account; an account that shall run and shows no life is silent."""
    seen = state.updated_at if state is not None else None
    silent = account.desired_state != DesiredState.STOPPED and (seen is None or at - seen > SILENT_AFTER)
    components = [component_of(c) for c in (state.statistics if state is not None else {}).get("components", [])]
    if silent:
        since = "never" if seen is None else f"last at {seen:%Y-%m-%d %H:%M:%S} UTC"
        components = [Component("session", Health.UNHEALTHY, f"no engine runs this account ({since})")]
    elif state is not None and state.status == EngineState.Status.ERROR:
        components = [Component("session", Health.UNHEALTHY, state.error_message)]
    elif account.desired_state == DesiredState.STOPPED:
        components = []
    return {
        "id": account.pk,
        "name": account.name,
        "desired_state": account.desired_state,
        "status": state.status if state is not None else EngineState.Status.STOPPED,
        "health": worst(components),
        "silent": silent,
        "components": [component.as_json() for component in components],
        "error_message": state.error_message if state is not None else "",
        "start_up": (state.statistics if state is not None else {}).get("start_up", []),
        "prehistoric_data_loaded": state.prehistoric_data_loaded if state is not None else False,
        "active_positions_count": state.active_positions_count if state is not None else 0,
        "last_indication_run": state.last_indication_run if state is not None else None,
        "last_strategy_run": state.last_strategy_run if state is not None else None,
        "last_realtime_run": state.last_realtime_run if state is not None else None,
        "updated_at": seen,
    }


def _runners(wanted: int, *, at: datetime) -> Component:
    if wanted and not live_runner_count(at):
        return Component("engine", Health.UNHEALTHY, "no runner shows life: start `manage.py runengine`")
    return Component("engine", Health.HEALTHY)


def _hosts(*, at: datetime) -> list[Component]:
    """Judge each machine, as one part each: its worst figure says how it is."""
    found = []
    for host in EngineHost.objects.all():
        name = f"host {host.host}"
        if at - host.seen_at > HOST_SILENT_AFTER:
            found.append(Component(name, Health.DEGRADED, f"silent since {host.seen_at:%Y-%m-%d %H:%M:%S} UTC"))
            continue
        if host.problem:
            found.append(Component(name, Health.UNHEALTHY, host.problem))
            continue
        parts = judge_host(_figures(host))
        bad = [part for part in parts if part.health is not Health.HEALTHY]
        found.append(Component(name, worst(parts), "; ".join(f"{part.name}: {part.reason}" for part in bad)))
    return found


def _figures(host: EngineHost) -> HostFigures:
    return HostFigures(host.cpu_percent, host.memory_percent, host.disk_free_bytes, host.clock_skew_seconds)


def _database() -> Component:
    """Name the database as a part: that it answers is proved by everything else that is read here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        (standby,) = cursor.fetchone()
    if standby:
        return Component("database", Health.UNHEALTHY, "it is a standby and takes no writes")
    return Component("database", Health.HEALTHY)


def _waiting_jobs() -> Component:
    waiting = OrmQ.objects.filter(key="jobs").count()
    if waiting > JOBS_WAITING_MANY:
        return Component("jobs queue", Health.DEGRADED, f"{waiting} tasks wait; is the jobs cluster running?")
    return Component("jobs queue", Health.HEALTHY)


def _accounts_component(rows: Sequence[Mapping[str, Any]]) -> Component:
    bad = [row for row in rows if row["health"] != Health.HEALTHY]
    if not bad:
        return Component("accounts", Health.HEALTHY)
    reasons = [
        f"{row['name']}: {next((c['reason'] for c in row['components'] if c['health'] == row['health']), '')}"
        for row in bad[:5]
    ]
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return Component("accounts", max((row["health"] for row in bad), key=list(Health).index), "; ".join(reasons) + more)


def _events_per_minute(ids: Sequence[int], *, at: datetime) -> dict[int, int]:
    """Count the journal's entries of the last minute, by account (S1-55)."""
    recent = Event.objects.filter(at__gt=at - EVENTS_OVER, account_id__in=ids).order_by()
    return dict(recent.values_list("account_id").annotate(count=Count("pk")))


def _host(host: EngineHost) -> dict[str, Any]:
    return {
        "host": host.host,
        "labels": host.labels,
        "runners": host.runners,
        "runners_wanted": host.runners_wanted,
        "seen_at": host.seen_at,
        "cpu_percent": host.cpu_percent,
        "memory_percent": host.memory_percent,
        "disk_free_bytes": host.disk_free_bytes,
        "clock_skew_seconds": host.clock_skew_seconds,
        "problem": host.problem,
        "components": [component.as_json() for component in judge_host(_figures(host))],
    }


def _process(process: EngineProcess, *, at: datetime) -> dict[str, Any]:
    return {
        "name": process.name,
        "role": process.role,
        "host": process.host,
        "pid": process.pid,
        "started_at": process.started_at,
        "seen_at": process.seen_at,
        "silent": at - process.seen_at > SILENT_AFTER,
        "restarts": process.restarts,
        "cpu_percent": round(process.cpu_percent, 1),
        "rss_bytes": process.rss_bytes,
        "handles": process.handles,
        "stop_requested": process.stop_requested,
    }
