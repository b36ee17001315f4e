"""What the risk package decides, in pure functions: the review of an order, guards, peaks, alarms, worst cases."""

from orders.approval import Approved
from risk.domain.review import Ask, Load, Standing, Vetoed, entry_objection, retry_wait, review, review_exit

__all__ = ["Approved", "Ask", "Load", "Standing", "Vetoed", "entry_objection", "retry_wait", "review", "review_exit"]
