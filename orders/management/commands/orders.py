"""Look at positions and resting orders, and change them, from a terminal."""

from typing import Any

from accounts.commandkit import EXIT_CODES, RowsCommand, action, decimal_option
from orders.api import OrderViewSet
from orders.requests import request_order_close, request_stops


class Command(RowsCommand):
    """`manage.py orders list|show|close|modify`."""

    help = f"Look at positions and resting orders, and change them. {EXIT_CODES}"
    view = OrderViewSet
    columns = ("id", "account", "cycle", "ticket", "symbol", "side", "volume", "price_open", "sl", "tp", "status")
    empty = "No order yet: a running bot sends the first."

    def add_actions(self, subcommands: Any) -> None:
        closing = action(subcommands, "close", "close a position, or take a resting order back", engine=True)
        closing.add_argument("number", type=int)
        closing.add_argument("--volume", help="lots; without it all of it")
        changing = action(subcommands, "modify", "set both stops of an open position", engine=True)
        changing.add_argument("number", type=int)
        changing.add_argument("--sl", required=True, help="the stop loss's price; 0 for none")
        changing.add_argument("--tp", required=True, help="the take profit's price; 0 for none")

    def act(self, options: dict[str, Any]) -> None:
        order = self.row(options["number"])
        by = self.person(options, order.account_id, "trader")
        at, why = self.clock.now(), options["why"]
        if options["what"] == "close":
            volume = decimal_option(options, "volume") if options["volume"] is not None else None
            self.ask(
                lambda: request_order_close(order=order, volume=volume, reason=why, by=by, at=at, ids=self.ids), options
            )
            return
        sl, tp = decimal_option(options, "sl"), decimal_option(options, "tp")
        self.ask(lambda: request_stops(order=order, sl=sl, tp=tp, reason=why, by=by, at=at), options)
