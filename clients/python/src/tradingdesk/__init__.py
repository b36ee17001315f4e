"""Typed client of a trading desk's REST API."""

from tradingdesk.client import Desk
from tradingdesk.errors import Conflict, DeskError, Forbidden, Invalid, NotFound, TooMany, Unreachable

__all__ = ["Conflict", "Desk", "DeskError", "Forbidden", "Invalid", "NotFound", "TooMany", "Unreachable"]
