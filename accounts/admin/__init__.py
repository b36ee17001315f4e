"""Admin of people, trading accounts and the journal.

The journal's models live in `events`, which knows no accounts and so can't say who may see an entry: their admin is
here.
"""

from accounts.admin.accounts import TradingAccountAdmin
from accounts.admin.journal import CommandAdmin, EventAdmin
from accounts.admin.people import AccountRoleAdmin, GroupAdmin, UserAdmin
from accounts.admin.symbols import ServerOffsetAdmin, SnapshotAdmin, SymbolAdmin
from accounts.admin.tokens import ApiRequestAdmin, ApiTokenAdmin

__all__ = [
    "AccountRoleAdmin",
    "ApiRequestAdmin",
    "ApiTokenAdmin",
    "CommandAdmin",
    "EventAdmin",
    "GroupAdmin",
    "ServerOffsetAdmin",
    "SnapshotAdmin",
    "SymbolAdmin",
    "TradingAccountAdmin",
    "UserAdmin",
]
