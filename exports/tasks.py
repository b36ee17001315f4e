"""What the jobs queue runs of exports. Harmless when delivered twice: rows are claimed."""

from core.clock import SystemClock
from exports import services


def run(export_id: int) -> str:
    """Write the file of an export."""
    return services.run(export_id, clock=SystemClock())


def sweep() -> int:
    """Forget old exports."""
    return services.sweep(clock=SystemClock())
