"""Admin of cycles."""

from cycles.admin.cycles import CycleAdmin

__all__ = ["CycleAdmin"]
