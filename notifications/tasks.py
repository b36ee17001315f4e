"""What the jobs queue runs of notifications. Harmless when delivered twice: rows are claimed."""

from core.clock import SystemClock
from notifications import services


def deliver(target_id: int) -> str:
    """Send what is due to a target."""
    return services.deliver(target_id, clock=SystemClock())


def sweep() -> int:
    """Send what is due to any target."""
    return services.sweep(clock=SystemClock())
