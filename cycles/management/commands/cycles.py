"""Look at cycles and close them from a terminal."""

from typing import Any

from accounts.commandkit import EXIT_CODES, RowsCommand, action
from cycles.api import CycleViewSet
from cycles.requests import request_cycle_close


class Command(RowsCommand):
    """`manage.py cycles list|show|close`."""

    help = f"Look at cycles and close them. {EXIT_CODES}"
    view = CycleViewSet
    columns = ("id", "account", "bot", "number", "symbol", "side", "kind", "status", "opened_at", "closed_at")
    empty = "No cycle yet: a running bot opens the first."

    def add_actions(self, subcommands: Any) -> None:
        action(subcommands, "close", "close every leg of it", engine=True).add_argument("number", type=int)

    def act(self, options: dict[str, Any]) -> None:
        cycle = self.row(options["number"])
        by = self.person(options, cycle.account_id, "trader")
        self.ask(lambda: request_cycle_close(cycle=cycle, reason=options["why"], by=by, at=self.clock.now()), options)
