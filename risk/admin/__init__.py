"""Admin of blocks, alarms, kill switches and guard settings."""

from risk.admin.alarms import DayAdmin, GuardAlarmAdmin, PeakAdmin, ProjectionAdmin
from risk.admin.blocks import BlockAdmin
from risk.admin.golive import LiveRequestAdmin
from risk.admin.guards import GuardConfigAdmin
from risk.admin.killing import KillSwitchAdmin
from risk.admin.news import NewsAdmin

__all__ = [
    "BlockAdmin",
    "DayAdmin",
    "GuardAlarmAdmin",
    "GuardConfigAdmin",
    "KillSwitchAdmin",
    "LiveRequestAdmin",
    "NewsAdmin",
    "PeakAdmin",
    "ProjectionAdmin",
]
