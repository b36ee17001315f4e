"""Look after the database by hand: the embedded PostgreSQL, and backups of whichever is used."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import SystemClock
from engine.restored import after_restore
from tradingsite import postgres
from tradingsite.backup import BackupError, backup, restore


class Command(BaseCommand):
    """`manage.py db start|stop|status`, `db backup FILE`, `db restore FILE`."""

    help = (
        "Start, stop or show the embedded PostgreSQL; write the database into a file, and put it back. "
        "Exit codes: 0 done; 1 it could not be done, or `status` found the server down."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name in ("start", "stop", "status"):
            subcommands.add_parser(name, help=f"{name} the embedded server").add_argument(
                "--json", action="store_true", help="print one JSON object"
            )
        for name, text in (
            ("backup", "write the whole database into a new file; everything may run meanwhile"),
            ("restore", "put a backup in the database's place; engine and site must be stopped"),
        ):
            one = subcommands.add_parser(name, help=text)
            one.add_argument("file", type=Path)
            one.add_argument("--json", action="store_true", help="print one JSON object")
            if name == "restore":
                one.add_argument("--yes", action="store_true", help="don't ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        try:
            match options["action"]:
                case "backup":
                    self._backup(options)
                case "restore":
                    self._restore(options)
                case action:
                    self._steer(action, as_json=options["json"])
        except (postgres.PostgresError, BackupError) as error:
            raise CommandError(str(error)) from error

    def _backup(self, options: dict[str, Any]) -> None:
        with postgres.using():
            size = backup(options["file"])
        if options["json"]:
            self.stdout.write(json.dumps({"file": str(options["file"]), "bytes": size}))
            return
        self.stdout.write(f"{options['file']}: {size / 1e6:.1f} MB.")
        self.stdout.write("Passwords in it are sealed: keep the credential keys too, and in another place.")

    def _restore(self, options: dict[str, Any]) -> None:
        if not options["yes"] and input("The books become those of the backup. Type restore to go on: ") != "restore":
            raise CommandError("Nothing was changed.")
        at = SystemClock().now()

        def prepare(made_at: datetime) -> int:
            return after_restore(made_at=made_at, at=at)

        with postgres.using():
            found = restore(options["file"], at=at, prepare=prepare)
        if options["json"]:
            known = {"made_at": found.made_at.isoformat(), "accounts": found.accounts, "kept": found.kept}
            self.stdout.write(json.dumps(known))
            return
        self.stdout.write(f"Restored. The database of before is kept as {found.kept}.")
        self.stdout.write(
            f"{found.accounts} accounts are frozen: start the engine, settle what the divergence desk shows, then lift "
            "each account's block."
        )

    def _steer(self, action: str, *, as_json: bool) -> None:
        if not postgres.is_embedded():
            raise CommandError("DATABASE_URL is set, so the site uses that server and has none of its own.")
        if action == "start":
            postgres.ensure_running()
        elif action == "stop":
            postgres.stop()
        self._show(action, as_json=as_json)

    def _show(self, action: str, *, as_json: bool) -> None:
        seen = postgres.status()
        if as_json:
            facts = {"running": seen.running, "pid": seen.pid, "data": str(seen.data), "sessions": seen.sessions}
            self.stdout.write(json.dumps(facts))
        elif seen.running:
            self.stdout.write(
                f"The embedded PostgreSQL runs (process {seen.pid}, {seen.sessions} sessions): {seen.url}"
            )
        else:
            self.stdout.write(f"The embedded PostgreSQL is stopped. Its data is in {seen.data}.")
        if action == "status" and not seen.running:
            raise SystemExit(1)
