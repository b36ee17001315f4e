"""Admin of bots and their versioned configurations."""

from strategies.admin.bots import BotAdmin
from strategies.admin.pseudo import PseudoBookAdmin, SignalSettingsAdmin
from strategies.admin.versions import BotConfigAdmin

__all__ = ["BotAdmin", "BotConfigAdmin", "PseudoBookAdmin", "SignalSettingsAdmin"]
