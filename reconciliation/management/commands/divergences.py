"""The divergence desk from a terminal."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from accounts.commandkit import EXIT_CODES, RowsCommand, action, find_login, rehearsed
from accounts.models import User
from cycles.models import Cycle
from reconciliation.actions import Action, preview, why_not
from reconciliation.api import DivergenceViewSet, WholeDivergenceSerializer
from reconciliation.models import Divergence
from reconciliation.services import claims, settling

HELP = {
    Action.ACCEPT_BROKER: "let the broker's side count: nothing is sent",
    Action.ACCEPT_OURS: "let the engine ask the broker once to follow our side",
    Action.ADOPT: "make the position a leg of an open cycle",
    Action.MANUAL: "leave the position alone for as long as it lives",
    Action.IGNORE: "take it out of the queue until a time",
    Action.ASSIGN: "say who looks after it",
    Action.NOTE: "write a note beside it",
    Action.UNDO: "put it back into the queue",
}


class Command(RowsCommand):
    """`manage.py divergences list|show|accept-broker|accept-ours|adopt|manual|ignore|assign|note|undo`."""

    help = f"Look at what books and broker disagree about, and settle it. {EXIT_CODES}"
    view = DivergenceViewSet
    columns = ("id", "account", "severity", "kind", "symbol", "ticket", "state", "opened_at", "assignee")
    empty = "No divergence: books and broker agree."

    def add_actions(self, subcommands: Any) -> None:
        for what, text in HELP.items():
            parser = action(subcommands, what.replace("_", "-"), text)
            parser.add_argument("number", type=int)
            match what:
                case Action.ADOPT:
                    parser.add_argument("--cycle", type=int, required=True, help="number of the open cycle")
                case Action.IGNORE:
                    parser.add_argument("--until", required=True, help="for example 2026-03-01T12:00+00:00")
                case Action.ASSIGN:
                    parser.add_argument("--to", metavar="LOGIN", help="without it nobody")

    def whole(self, row: Any) -> dict[str, Any]:
        """Return a divergence with what was done about it."""
        return dict(WholeDivergenceSerializer(row).data)

    def act(self, options: dict[str, Any]) -> None:
        row = self.row(options["number"])
        what = Action(options["what"].replace("-", "_"))
        by = self.person(options, row.account_id, "trader")
        if (problem := why_not(row, what)) is not None:
            raise CommandError(problem)
        happens = preview(row, what)
        rehearsed(lambda: self._settle(row, what, options, by), options)
        if options["dry_run"]:
            self.tell({"id": row.pk, "would": str(what), "then": happens}, options)
        else:
            self.tell(self.whole(self.row(row.pk)), options)

    def _settle(self, row: Divergence, what: Action, options: dict[str, Any], by: User) -> None:
        why, at = options["why"], self.clock.now()
        match what:
            case Action.ACCEPT_BROKER:
                settling.accept_broker(divergence=row, why=why, by=by, at=at)
            case Action.ACCEPT_OURS:
                settling.accept_ours(divergence=row, why=why, by=by, at=at)
            case Action.ADOPT:
                cycle = Cycle.objects.filter(pk=options["cycle"], account_id=row.account_id).first()
                if cycle is None:
                    raise CommandError(f"--cycle: the account has no cycle {options['cycle']}.")
                claims.claim(divergence=row, cycle=cycle, why=why, by=by, at=at)
            case Action.MANUAL:
                settling.mark_manual(divergence=row, why=why, by=by, at=at)
            case Action.IGNORE:
                settling.ignore_until(divergence=row, until=_time(options["until"]), why=why, by=by, at=at)
            case Action.ASSIGN:
                assignee = find_login(options["to"]) if options["to"] is not None else None
                settling.assign(divergence=row, assignee=assignee, why=why, by=by, at=at)
            case Action.NOTE:
                settling.add_note(divergence=row, text=why, by=by, at=at)
            case Action.UNDO:
                settling.undo(divergence=row, why=why, by=by, at=at)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--until: {text!r} is no time, for example 2026-03-01T12:00+00:00.") from None
    if found.tzinfo is None:
        raise CommandError("--until: give the time with its offset, for example 2026-03-01T12:00+00:00.")
    return found
