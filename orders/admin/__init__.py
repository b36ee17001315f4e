"""Admin of intents, orders, deals and marks."""

from orders.admin.books import DealAdmin, MarksAdmin, OrderAdmin
from orders.admin.intents import IntentAdmin, IntentHistoryAdmin
from orders.admin.traces import NotSentAdmin

__all__ = ["DealAdmin", "IntentAdmin", "IntentHistoryAdmin", "MarksAdmin", "NotSentAdmin", "OrderAdmin"]
