"""Admin of bots and their versioned configurations."""

from strategies.admin.bots import BotAdmin
from strategies.admin.versions import BotConfigAdmin

__all__ = ["BotAdmin", "BotConfigAdmin"]
