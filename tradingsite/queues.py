"""Settings of the two django-q2 clusters, with the reasons for their numbers.

Each host has an engine queue of its own: a runner that one host asks for is no other host's to run.

The broker delivers a task again once `retry` has passed, also while it still runs; it delivers a failing task for ever
unless attempts are limited. A runner task of the engine runs for up to a day, so its limits lie beyond that.
"""

from typing import Any

HOUR_S = 3600
PREFIX = "trading"  # signs the queue's rows: the same for both clusters, so that either side can read them
ENGINE = "engine"
JOBS = "jobs"


def cluster(*, workers: int, timeout_s: int, retry_s: int, recycle: int, scheduler: bool, label: str) -> dict[str, Any]:
    """Give one cluster's settings. `queue_limit` equals `workers`: a task waits in the database, not in memory."""
    return {
        "label": label,
        "workers": workers,
        "queue_limit": workers,
        "recycle": recycle,
        "timeout": timeout_s,
        "retry": retry_s,
        "max_attempts": 1,
        "ack_failures": True,
        "scheduler": scheduler,
        "bulk": 1,
    }


def engine_queue(host: str) -> str:
    """Name a host's engine cluster and queue."""
    return f"{ENGINE}@{host}"


def queue_settings(engine_workers: int = 2, host: str = "localhost") -> dict[str, Any]:
    """Give Q_CLUSTER: the common part and both clusters, chosen by the variable Q_CLUSTER_NAME.

    A process that names no cluster only puts tasks into queues; it names one with every task.
    """
    jobs = cluster(workers=2, timeout_s=HOUR_S, retry_s=2 * HOUR_S, recycle=50, scheduler=True, label="Jobs")
    engine = cluster(
        workers=engine_workers, timeout_s=25 * HOUR_S, retry_s=26 * HOUR_S, recycle=1, scheduler=False, label="Engine"
    )
    common = {"name": PREFIX, "orm": "default", "poll": 0.2, "save_limit": 250, "catch_up": False, "log_level": "INFO"}
    return {**jobs, **common, "ALT_CLUSTERS": {engine_queue(host): engine, JOBS: jobs}}
