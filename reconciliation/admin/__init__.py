"""Admin of reconciliation: the desk, foreign positions and claims, policies and thresholds, snapshots and steps."""

from reconciliation.admin.desk import DivergenceAdmin
from reconciliation.admin.records import CheckAdmin, PolicyAdmin, SnapshotAdmin, StepAdmin, ThresholdAdmin
from reconciliation.admin.strangers import ClaimAdmin, ManualPositionAdmin

__all__ = [
    "CheckAdmin",
    "ClaimAdmin",
    "DivergenceAdmin",
    "ManualPositionAdmin",
    "PolicyAdmin",
    "SnapshotAdmin",
    "StepAdmin",
    "ThresholdAdmin",
]
