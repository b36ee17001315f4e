"""Look at bots and steer them from a terminal."""

from typing import Any

from accounts.commandkit import EXIT_CODES, RowsCommand, action, rehearsed
from accounts.models import DesiredState
from strategies.api import BotViewSet
from strategies.services import set_bot_state

STATES = {"start": DesiredState.RUNNING, "pause": DesiredState.PAUSED, "stop": DesiredState.STOPPED}
HELP = {
    "start": "let it run: it may open positions",
    "pause": "hold back its entries; its cycles are still looked after",
    "stop": "stop it; its open cycles stay as they are, and nobody manages them",
}


class Command(RowsCommand):
    """`manage.py bots list|show|start|pause|stop`."""

    help = f"Look at bots and steer them; `manage.py botconfig` has their configurations. {EXIT_CODES}"
    view = BotViewSet
    columns = ("id", "account", "name", "strategy", "symbols", "magic", "desired_state")
    empty = "No bot yet: add one in the admin, or `manage.py engine import` a manager_config.json."

    def add_actions(self, subcommands: Any) -> None:
        for name, text in HELP.items():
            action(subcommands, name, text).add_argument("number", type=int)

    def act(self, options: dict[str, Any]) -> None:
        bot = self.row(options["number"])
        by = self.person(options, bot.account_id, "trader")
        state = STATES[options["what"]]

        def service() -> bool:
            return set_bot_state(bot=bot, state=state, reason=options["why"], by=by, at=self.clock.now())

        changed = rehearsed(service, options)
        self.tell(
            {"id": bot.pk, "name": bot.name, "desired_state": str(state), "changed": changed,
             "dry_run": options["dry_run"]}, options,
        )  # fmt: skip
