"""The engine's figures in Prometheus' text format (version 0.0.4)."""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.domain import BADNESS, Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
QUANTILES = (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms"))
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


def render(performance: Mapping[str, Any]) -> str:
    """Return what `engine_performance` found as metrics; durations in seconds, health as 0 (healthy) to 2."""
    accounts = performance["accounts"]
    overall: list[Sample] = [({}, _health(performance["health"]))]
    families: list[tuple[str, str, str, Iterable[Sample]]] = [
        ("trading_engine_health", "gauge", "0 healthy, 1 degraded, 2 unhealthy", overall),
        ("trading_component_health", "gauge", "Health of a part of the engine", _components(performance)),
        ("trading_account_up", "gauge", "1 while a session runs the account", _each(accounts, _is_up)),
        ("trading_account_health", "gauge", "Health of the account", _each(accounts, lambda a: _health(a["health"]))),
        ("trading_account_positions", "gauge", "Open", _each(accounts, lambda a: a["active_positions_count"])),
        ("trading_account_events_per_minute", "gauge", "Journal", _each(accounts, lambda a: a["events_per_minute"])),
        ("trading_connection_errors_total", "counter", "Broker", _each(accounts, lambda a: a["connection_errors"])),
        ("trading_job_seconds", "gauge", "Last 100 passes of a job", _durations(accounts, "jobs", "job")),
        ("trading_stage_seconds", "gauge", "Stages of a trade pass", _durations(accounts, "stages", "stage")),
        ("trading_query_seconds", "gauge", "Duration of the last 100 queries", _queries(accounts)),
        ("trading_job_passes_total", "counter", "Passes of a job", _jobs(accounts, "passes", 1.0)),
        ("trading_job_errors_total", "counter", "Failed passes of a job", _jobs(accounts, "errors", 1.0)),
        ("trading_job_overruns_total", "counter", "Passes longer than the interval", _jobs(accounts, "overruns", 1.0)),
        ("trading_job_lag_seconds", "gauge", "How late passes begin (p95)", _jobs(accounts, "lag_p95_ms", 0.001)),
        ("trading_host_cpu_percent", "gauge", "Processors", _hosts(performance, "cpu_percent")),
        ("trading_host_memory_percent", "gauge", "Memory", _hosts(performance, "memory_percent")),
        ("trading_host_disk_free_bytes", "gauge", "Data folder", _hosts(performance, "disk_free_bytes")),
        ("trading_host_clock_skew_seconds", "gauge", "Ahead of database", _hosts(performance, "clock_skew_seconds")),
        ("trading_process_resident_bytes", "gauge", "Memory of a process", _processes(performance, "rss_bytes")),
        ("trading_process_cpu_percent", "gauge", "CPU of a process", _processes(performance, "cpu_percent")),
        ("trading_process_handles", "gauge", "Open files and sockets", _processes(performance, "handles")),
        ("trading_process_restarts_total", "counter", "Restarts", _processes(performance, "restarts")),
    ]  # fmt: skip
    return "".join(_family(*family) for family in families)


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _health(health: str) -> float:
    return float(BADNESS.index(Health(health)))


def _is_up(account: Mapping[str, Any]) -> float:
    return float(account["status"] in ("running", "paused") and not account["silent"])


def _each(accounts: Iterable[Mapping[str, Any]], value: Any) -> list[Sample]:
    return [({"account": account["name"]}, float(value(account))) for account in accounts]


def _components(performance: Mapping[str, Any]) -> list[Sample]:
    found = [({"account": "", "part": c["name"]}, _health(c["health"])) for c in performance["components"]]
    return found + [
        ({"account": account["name"], "part": c["name"]}, _health(c["health"]))
        for account in performance["accounts"]
        for c in account["components"]
    ]


def _durations(accounts: Iterable[Mapping[str, Any]], group: str, label: str) -> list[Sample]:
    return [
        ({"account": account["name"], label: name, "quantile": quantile}, figures[key] / 1000)
        for account in accounts
        for name, figures in account[group].items()
        for quantile, key in QUANTILES
        if key in figures
    ]


def _queries(accounts: Iterable[Mapping[str, Any]]) -> list[Sample]:
    return [
        ({"account": account["name"], "quantile": quantile}, account["queries"][key] / 1000)
        for account in accounts
        for quantile, key in QUANTILES
        if key in account["queries"]
    ]


def _jobs(accounts: Iterable[Mapping[str, Any]], key: str, factor: float) -> list[Sample]:
    return [
        ({"account": account["name"], "job": name}, figures[key] * factor)
        for account in accounts
        for name, figures in account["jobs"].items()
        if key in figures
    ]


def _hosts(performance: Mapping[str, Any], key: str) -> list[Sample]:
    return [({"host": host["host"]}, float(host[key])) for host in performance["hosts"] if host[key] is not None]


def _processes(performance: Mapping[str, Any], key: str) -> list[Sample]:
    return [
        ({"host": p["host"], "role": p["role"], "pid": str(p["pid"])}, float(p[key])) for p in performance["processes"]
    ]
